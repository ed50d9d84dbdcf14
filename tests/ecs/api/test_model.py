"""The installed SDK's own model against the page that says what this version has: nothing may be in neither."""

import re

import pytest

from support.clients import ecs, refusal
from support.table import MEMBERS, MODEL, OPERATIONS, only

UNSUPPORTED = [name for name, what in OPERATIONS.items() if what != "works"]


def method(operation):
    """The name under which boto3 has an operation."""
    from botocore import xform_name

    return xform_name(operation)


def sample(shape, name="", seen=()):
    """A value of a shape that uses it: as little as is allowed, nothing that is empty."""
    if shape.type_name == "structure":
        wanted = [m for m in shape.members if m in shape.required_members] or list(shape.members)[:1]
        return {
            m: sample(shape.members[m], m, (*seen, shape.name)) for m in wanted if shape.members[m].name not in seen
        }
    if shape.type_name == "list":
        return [sample(shape.member, name, seen)]
    if shape.type_name == "map":
        return {"key": sample(shape.value, name, seen)}
    if shape.type_name == "string":
        return shape.enum[0] if shape.enum else "x"
    least = shape.metadata.get("min", 1)
    return {"boolean": True, "timestamp": 1700000000}.get(shape.type_name, least)


def required_of(shape):
    """The members that must be there. Those that are switches are off: they are no use of the member."""
    members = ((m, shape.members[m]) for m in shape.required_members)
    return {m: False if kind.type_name == "boolean" else sample(kind, m) for m, kind in members}


def inputs():
    """Every member of every input that a working operation can be sent, with the path to it."""

    def below(shape, make):
        for member, kind in shape.members.items():
            rule = MEMBERS.get(shape.name, {}).get(member)
            yield shape, member, kind, rule, make
            inner, wrap = kind, lambda value: value
            if kind.type_name == "list":
                inner, wrap = kind.member, lambda value: [value]
            if inner.type_name == "structure" and rule == "works" and inner.name not in seen:
                seen.add(inner.name)
                required, outer = required_of(inner), make
                yield from below(inner, lambda value, o=outer, m=member, w=wrap, r=required: o({m: w({**r, **value})}))

    for name, what in OPERATIONS.items():
        if what == "works":
            shape = MODEL.operation_model(name).input_shape
            seen = {shape.name}
            required = required_of(shape)
            yield from ((name, *each) for each in below(shape, lambda value, r=required: {**r, **value}))


INPUTS = list(inputs())


def test_every_operation_of_the_sdk_is_known():
    assert sorted(OPERATIONS) == sorted(MODEL.operation_names)


def test_every_input_member_of_the_sdk_is_known():
    unknown = {f"{shape.name}.{member}" for _, shape, member, _, rule, _ in INPUTS if rule is None}
    assert not unknown, "a member that no table knows does nothing, silently or not: decide what becomes of it"
    reachable = {shape.name for _, shape, *_ in INPUTS}
    no_members = {name for name in MEMBERS if not MODEL.shape_for(name).members}
    assert set(MEMBERS) == reachable | no_members, "the page has shapes that no request reaches"


@pytest.mark.parametrize("operation", UNSUPPORTED)
def test_an_unsupported_operation_says_so_by_name(operation):
    shape = MODEL.operation_model(operation).input_shape
    code, message = refusal(getattr(ecs, method(operation)), **required_of(shape))
    assert code == "UnsupportedFeatureException"
    assert message.startswith(f"{operation} is not supported by this version. "), message


REFUSED = [each for each in INPUTS if each[4] == "refused"]


@pytest.mark.parametrize(
    "operation, member, kind, make",
    [(operation, member, kind, make) for operation, _, member, kind, _, make in REFUSED],
    ids=[f"{operation}-{shape.name}.{member}" for operation, shape, member, *_ in REFUSED],
)
def test_a_refused_member_is_named(operation, member, kind, make):
    code, message = refusal(getattr(ecs, method(operation)), **make({member: sample(kind, member)}))
    assert code == "UnsupportedFeatureException", message
    assert re.search(rf"\b{member}\b.* is not supported by this version", message), message


OTHER_VALUES = [
    (operation, shape, member, value, make)
    for operation, shape, member, kind, rule, make in INPUTS
    if rule and only(rule)
    for value in getattr(kind.member if kind.type_name == "list" else kind, "enum", [])
    if value not in [*only(rule), "NONE", "DISABLED"]
]


@pytest.mark.parametrize(
    "operation, shape, member, value, make",
    OTHER_VALUES,
    ids=[f"{operation}-{shape.name}.{member}-{value}" for operation, shape, member, value, _ in OTHER_VALUES],
)
def test_a_value_that_does_not_work_is_named(operation, shape, member, value, make):
    listed = [value] if shape.members[member].type_name == "list" else value
    code, message = refusal(getattr(ecs, method(operation)), **make({member: listed}))
    assert code == "UnsupportedFeatureException", message
    assert member in message and value in message, message
