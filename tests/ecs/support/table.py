"""docs/compatibility.md: what of ECS this version has. It is made from the server's own tables."""

import pathlib
import re

import botocore.session
import pytest

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "compatibility.md"
MODEL = botocore.session.get_session().get_service_model("ecs")


def _read():
    operations, members, into = {}, {}, None
    for line in PAGE.read_text().splitlines():
        row = re.match(r"\| `(\w+)` \| (.*) \|$", line)
        if line.startswith("### "):
            into = members.setdefault(line.strip("# `"), {})
        elif line == "## Operations":
            into = operations
        elif row:
            into[row[1]] = row[2]
    return operations, members


# Operation: `works` or why it does not. Input shape: member: `works`, `stored`, `refused` or `only ...`.
OPERATIONS, MEMBERS = _read()
WORKING = [name for name, what in OPERATIONS.items() if what == "works"]


def needs(*operations):
    """For a test of operations that another version may not have."""
    missing = [name for name in operations if OPERATIONS.get(name) != "works"]
    return pytest.mark.skipif(bool(missing), reason=f"this version has no {', '.join(missing)}")


def needs_member(shape, member, value=None):
    """For a test of a member, or of one of its values, that another version may not have."""
    rule = MEMBERS.get(shape, {}).get(member, "refused")
    there = rule == "works" or (value is not None and f"`{value}`" in rule)
    return pytest.mark.skipif(not there, reason=f"{shape}.{member} is {rule} in this version")


def only(rule):
    """The values of an `only` rule; None for another rule."""
    return re.findall(r"`([^`]+)`", rule) if rule.startswith("only") else None
