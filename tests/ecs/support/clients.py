"""Clients of every member, and the check of what they are answered.

SEAWALL_ENDPOINTS names the members: `http://127.0.0.1:7400,http://127.0.0.1:7410,http://127.0.0.1:7420`.
"""

import itertools
import os

import boto3
import botocore.config
import botocore.exceptions

from . import shapes

ENDPOINTS = os.environ["SEAWALL_ENDPOINTS"].split(",")
REGION = "us-local-1"
ACCOUNT = "000000000000"
# Operations that were called at all; the last test of the suite holds them against the model.
CALLED = set()
# Operations that answered without an error.
ANSWERED = set()
# Operations that refused something.
REFUSED = set()


def client(endpoint, service="ecs", **config):
    """An unmodified client whose raw answers are checked."""
    made = boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="anyone",
        aws_secret_access_key="anything",
        config=botocore.config.Config(**{"connect_timeout": 5, "read_timeout": 30, **config}),
    )
    if service == "ecs":
        made.meta.events.register("before-parse.ecs", check)
    return made


def check(operation_model, response_dict, **_):
    """Fails where a raw answer is not what the model says."""
    status = response_dict["status_code"]
    CALLED.add(operation_model.name)
    (ANSWERED if status < 300 else REFUSED).add(operation_model.name)
    wrong = shapes.check(operation_model, status, response_dict["headers"], response_dict["body"])
    assert not wrong, f"{operation_model.name} answered {response_dict['body'].decode()}: {wrong}"


class Members:
    """A client whose every call goes to the next member."""

    def __init__(self, endpoints=None, **config):
        self.each = [client(endpoint, **config) for endpoint in endpoints or ENDPOINTS]
        self._turns = itertools.cycle(self.each)

    def __getattr__(self, name):
        return getattr(next(self._turns), name)

    def __next__(self):
        return next(self._turns)


ecs = Members()


def refusal(call, *args, **kwargs):
    """The exception's name and the message that a call is refused with."""
    try:
        answer = call(*args, **kwargs)
    except botocore.exceptions.ClientError as error:
        said = error.response["Error"]
        return said["Code"], said["Message"]
    raise AssertionError(f"not refused: {answer}")
