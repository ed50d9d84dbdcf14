"""Holds raw JSON answers against botocore's model.

An SDK throws away what it does not know and bends what it can, so a client that works proves little: Go's and Rust's SDKs
refuse what Python's takes. Here every byte of every answer must be what the model says.
"""

import json
import re

# Answers that any operation may give, beside those that the model declares for it: the common errors of AWS JSON 1.1 and of
# ECS, and the one that says what this version does not have.
COMMON_ERRORS = {
    "AccessDeniedException",
    "ClientException",
    "InvalidParameterException",
    "InvalidSignatureException",
    "SerializationException",
    "ServerException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "UnsupportedFeatureException",
}
REQUEST_ID = re.compile(r"^[0-9a-f-]{32,36}$")


def check(operation_model, status, headers, body):
    """What is wrong with an answer; an empty list where nothing is."""
    request_id = headers.get("x-amzn-requestid", "")
    wrong = [] if REQUEST_ID.match(request_id) else [f"x-amzn-RequestId is {request_id!r}"]
    kind = headers.get("content-type")
    if kind != "application/x-amz-json-1.1":
        wrong.append(f"Content-Type is {kind!r}")
    try:
        answer = json.loads(body, parse_constant=_no_number)
    except ValueError as error:
        return [*wrong, f"no JSON: {error}: {body[:200]!r}"]
    if status < 300:
        return wrong + [*_differences(answer, operation_model.output_shape, operation_model.name)]
    return wrong + [*_error(answer, operation_model, status)]


def _no_number(text):
    raise ValueError(f"{text} is no JSON number")


def _error(answer, operation_model, status):
    name = answer.get("__type")
    declared = {shape.name for shape in operation_model.error_shapes}
    if name not in declared | COMMON_ERRORS:
        yield f"{operation_model.name} does not declare {name}"
    if not isinstance(answer.get("message"), str) or not answer["message"]:
        yield f"{name} has no message"
    if set(answer) - {"__type", "message", "resourceIds"}:
        yield f"{name} has unknown members: {sorted(answer)}"
    if (status >= 500) != (name == "ServerException") or status < 400:
        yield f"{name} with HTTP status {status}"


def _differences(value, shape, path):
    check_of_type = _CHECKS[shape.type_name]
    yield from check_of_type(value, shape, path)


def _structure(value, shape, path):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no structure"
        return
    for name in shape.required_members:
        if name not in value:
            yield f"{path}: {name} is required and missing"
    for name, member in value.items():
        if name not in shape.members:
            yield f"{path}: {name} is not in the model's {shape.name}"
        else:
            yield from _differences(member, shape.members[name], f"{path}.{name}")


def _list(value, shape, path):
    if not isinstance(value, list):
        yield f"{path}: {value!r} is no list"
        return
    for index, item in enumerate(value):
        yield from _differences(item, shape.member, f"{path}[{index}]")


def _map(value, shape, path):
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is no map"
        return
    for key, item in value.items():
        yield from _differences(key, shape.key, f"{path}, key {key}")
        yield from _differences(item, shape.value, f"{path}.{key}")


def _string(value, shape, path):
    if not isinstance(value, str):
        yield f"{path}: {value!r} is no string"
    elif shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


def _integer(value, shape, path):
    if not isinstance(value, int) or isinstance(value, bool):
        yield f"{path}: {value!r} is no integer"
    elif shape.type_name == "integer" and not -(2**31) <= value < 2**31:
        yield f"{path}: {value} has more than 32 bits"


def _number(value, shape, path):
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        yield f"{path}: {value!r} is no number"


# The first second of 2001 and of 2100: a time in milliseconds or as seconds since a boot is none of these.
TIMES = range(978307200, 4102444800)


def _timestamp(value, shape, path):
    yield from _number(value, shape, path)
    if isinstance(value, (int, float)) and int(value) not in TIMES:
        yield f"{path}: {value} is no time in epoch seconds"


def _boolean(value, shape, path):
    if not isinstance(value, bool):
        yield f"{path}: {value!r} is no boolean"


_CHECKS = {
    "structure": _structure,
    "list": _list,
    "map": _map,
    "string": _string,
    "integer": _integer,
    "long": _integer,
    "float": _number,
    "double": _number,
    "timestamp": _timestamp,
    "boolean": _boolean,
}
