"""Terraform and its provider as they are: what a team does with a service, from its first day to its last."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from support.checked import Checked
from support.clients import ACCOUNT, ecs
from support.table import OPERATIONS, needs_member
from support.waiting import until
from support.work import IMAGE, SLEEP, unique

TERRAFORM = os.environ["SEAWALL_TERRAFORM"]
PLUGINS = os.environ["SEAWALL_TERRAFORM_PLUGINS"]
FILES = pathlib.Path(__file__).parent
NAME = unique("tf")
NO_CHANGE, CHANGE = 0, 2


class Terraform:
    """Runs commands in a folder of its own."""

    def __init__(self, folder, endpoint):
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "CHECKPOINT_DISABLE": "1",
            "TF_IN_AUTOMATION": "1",
            # The provider's schema is large: most of what it does is to clean up after reading it.
            "GOGC": "800",
            "TF_CLI_ARGS": "-no-color",
            "TF_VAR_endpoint": endpoint,
            "TF_VAR_name": NAME,
            "TF_VAR_image": IMAGE,
            "TF_VAR_command": json.dumps(SLEEP),
            "TF_VAR_desired_count": "2",
        }

    def __call__(self, *words, codes=(0,), **variables):
        """What a command prints and its exit code; `variables` stay what they are from then on."""
        self.environment.update({f"TF_VAR_{name}": value for name, value in variables.items()})
        ended = subprocess.run(
            [TERRAFORM, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert ended.returncode in codes, f"{' '.join(words)} ended with {ended.returncode}:\n{ended.stdout}"
        return ended.stdout, ended.returncode

    def apply(self, codes=(0,), **variables):
        return self("apply", "-auto-approve", codes=codes, **variables)[0]

    def plan(self, *words):
        printed, code = self("plan", "-detailed-exitcode", *words, codes=(NO_CHANGE, CHANGE))
        return code, printed


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
    terraform = Terraform(tmp_path, checked.endpoint)
    terraform("init", f"-plugin-dir={PLUGINS}")

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
