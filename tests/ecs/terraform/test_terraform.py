"""Terraform and its provider as they are: what a team does with a service, from its first day to its last."""

import json
import pathlib
import shutil

import pytest

from support.checked import Checked
from support.clients import ACCOUNT, ecs
from support.table import OPERATIONS, needs_member
from support.terraform import CHANGE, NO_CHANGE, Terraform
from support.waiting import until
from support.work import unique

FILES = pathlib.Path(__file__).parent
NAME = unique("tf")


@pytest.fixture
def checked():
    with Checked() as proxy:
        yield proxy
    assert proxy.calls, "Terraform came by another way"
    assert not proxy.wrong, proxy.wrong


def service():
    return ecs.describe_services(services=[NAME])["services"][0]


def tasks():
    arns = ecs.list_tasks(serviceName=NAME)["taskArns"]
    return ecs.describe_tasks(tasks=arns)["tasks"] if arns else []


@needs_member("DeploymentCircuitBreaker", "enable")
def test_a_service_from_its_first_day_to_its_last(checked, tmp_path):
    shutil.copy(FILES / "main.tf", tmp_path)
    if OPERATIONS.get("CreateCapacityProvider") == "works":
        shutil.copy(FILES / "capacity.tf", tmp_path)
    terraform = Terraform(tmp_path, checked.endpoint, NAME)
    terraform.init()

    printed = terraform.apply()
    assert f'account = "{ACCOUNT}"' in printed
    # It waited for the steady state, so that is what there is.
    assert (service()["runningCount"], len(service()["deployments"])) == (2, 1)
    code, printed = terraform.plan()
    assert code == NO_CHANGE, f"what was just made is planned again:\n{printed}"

    changed = json.dumps(["sleep", "2000"])
    terraform.environment["TF_VAR_command"] = changed
    code, printed = terraform.plan("-out=change")
    assert code == CHANGE and "1 to add, 1 to change, 1 to destroy" in printed, printed
    # The old revision is deregistered before the service has the new one.
    terraform("apply", "change")
    assert {t["taskDefinitionArn"].rpartition("/")[2] for t in tasks()} == {f"{NAME}:2"}

    terraform.apply(desired_count="3")
    assert (service()["runningCount"], service()["taskDefinition"].rpartition("/")[2]) == (3, f"{NAME}:2")

    made = service()["createdAt"]
    terraform("taint", "aws_ecs_service.web")
    terraform.apply()
    assert service()["createdAt"] > made and service()["runningCount"] == 3

    terraform("state", "rm", "aws_ecs_service.web")
    terraform("import", "aws_ecs_service.web", f"default/{NAME}")
    _, printed = terraform.plan()
    assert "must be replaced" not in printed and "0 to add" in printed or "No changes" in printed, printed

    # Nothing of the new revision ever runs: given up, and back to the last one that was completed.
    until("there is one", lambda: service()["deployments"][0]["rolloutState"] == "COMPLETED")
    good = service()["taskDefinition"]
    printed = terraform.apply(codes=(0, 1), command=json.dumps(["/no/such/program"]))
    until("it is rolled back", lambda: service()["taskDefinition"] == good and service()["runningCount"] == 3)
    assert {t["taskDefinitionArn"] for t in tasks()} == {good}
    terraform.environment["TF_VAR_command"] = changed
    code, printed = terraform.plan()
    terraform("destroy", "-auto-approve")
    assert service()["status"] == "INACTIVE"
    assert ecs.list_task_definitions(familyPrefix=NAME)["taskDefinitionArns"] == []
    assert not [arn for arn in ecs.list_clusters()["clusterArns"] if NAME in arn]
