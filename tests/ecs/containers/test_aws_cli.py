"""The AWS CLI as a person types it, on real containers: the newest of PyPI and the one that Debian has."""

import json
import os
import subprocess

import pytest

from support.checked import Checked
from support.clients import ecs
from support.docker import containers_of
from support.waiting import until
from support.work import IMAGE, sh, unique

# Where the programs are: `newest=/path/aws,debian=/usr/bin/aws`.
PROGRAMS = dict(each.split("=") for each in os.environ["SEAWALL_AWS"].split(",") if each)
ENDS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


class Aws:
    """Types commands."""

    def __init__(self, program, folder, endpoint):
        self.program, self.folder, self.endpoint = program, folder, endpoint
        nothing = str(folder / "nothing")
        self.environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-local-1",
            "AWS_PAGER": "",
            "AWS_CONFIG_FILE": nothing,
            "AWS_SHARED_CREDENTIALS_FILE": nothing,
        }

    def _run(self, words):
        line = [self.program, "--endpoint-url", self.endpoint, "ecs", *words]
        return subprocess.run(line, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120)

    def __call__(self, *words):
        """What a command prints: its JSON where it has any."""
        ended = self._run(words)
        assert ended.returncode == 0, (words, ended.stdout, ended.stderr)
        return json.loads(ended.stdout) if ended.stdout.startswith(("{", "[", '"')) else ended.stdout.strip()

    def refused(self, *words):
        ended = self._run(words)
        assert ended.returncode in (254, 255), (words, ended)
        return ended.stderr.strip()


@pytest.fixture(params=sorted(PROGRAMS))
def aws(request, tmp_path):
    with Checked() as proxy:
        yield Aws(PROGRAMS[request.param], tmp_path, proxy.endpoint)
    assert proxy.calls and not proxy.wrong, proxy.wrong


def definition_file(aws, family):
    definition = {
        "family": family,
        "containerDefinitions": [
            {
                "name": "web",
                "image": IMAGE,
                "memory": 16,
                "command": sh(ENDS),
                "stopTimeout": 2,
                "portMappings": [{"containerPort": 80}],
            }
        ],
    }
    (aws.folder / "task.json").write_text(json.dumps(definition))


def test_clusters(aws):
    name = unique("cluster")
    made = aws("create-cluster", "--cluster-name", name, "--tags", "key=team,value=x")
    assert made["cluster"]["status"] == "ACTIVE"
    assert made["cluster"]["clusterArn"] in aws("list-clusters", "--output", "text")
    found = aws("describe-clusters", "--clusters", name, "--include", "TAGS")["clusters"]
    assert found[0]["tags"] == [{"key": "team", "value": "x"}]
    assert aws("delete-cluster", "--cluster", name)["cluster"]["status"] == "INACTIVE"
    said = aws.refused("describe-tasks", "--cluster", "nope", "--tasks", "x")
    assert said.endswith(
        "An error occurred (ClusterNotFoundException) when calling the DescribeTasks operation: Cluster not found."
    )


def test_tasks(aws):
    family, me = unique("family"), unique("me")
    definition_file(aws, family)
    made = aws("register-task-definition", "--cli-input-json", "file://task.json")["taskDefinition"]
    assert (made["family"], made["revision"]) == (family, 1)
    inline = json.dumps([{"name": "web", "image": IMAGE, "memory": 16, "command": sh("exit 3")}])
    aws("register-task-definition", "--family", family, "--container-definitions", inline)
    arns = aws("list-task-definitions", "--family-prefix", family)["taskDefinitionArns"]
    assert [arn.rpartition("/")[2] for arn in arns] == [f"{family}:1", f"{family}:2"]

    task = aws(
        "run-task",
        "--task-definition",
        f"{family}:1",
        "--count",
        "1",
        "--started-by",
        me,
        "--query",
        "tasks[0].taskArn",
        "--output",
        "text",
    )
    until("it runs", lambda: ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "RUNNING")
    aws("wait", "tasks-running", "--tasks", task)
    assert aws("list-tasks", "--started-by", me)["taskArns"] == [task]
    assert aws("list-tasks", "--family", family, "--desired-status", "STOPPED")["taskArns"] == []
    one = aws("describe-tasks", "--tasks", task)["tasks"][0]
    assert one["lastStatus"] == "RUNNING" and one["containers"][0]["networkBindings"][0]["hostPort"]
    assert one["containers"][0]["runtimeId"] in containers_of(task)
    stopping = aws("stop-task", "--task", task, "--reason", "enough")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    until("it has stopped", lambda: ecs.describe_tasks(tasks=[task])["tasks"][0]["lastStatus"] == "STOPPED")
    aws("wait", "tasks-stopped", "--tasks", task)
    query = "tasks[0].[stoppedReason,containers[0].exitCode]"
    assert aws("describe-tasks", "--tasks", task, "--query", query) == ["enough", 0]
    assert containers_of(task) == []


def test_instances(aws):
    instance = aws("list-container-instances", "--query", "containerInstanceArns[0]", "--output", "text")
    found = aws("describe-container-instances", "--container-instances", instance)["containerInstances"][0]
    assert (found["status"], found["agentConnected"]) == ("ACTIVE", True)
    state = ("update-container-instances-state", "--container-instances", instance, "--status")
    assert aws(*state, "DRAINING")["containerInstances"][0]["status"] == "DRAINING"
    assert aws(*state, "ACTIVE")["containerInstances"][0]["status"] == "ACTIVE"
    family = unique("family")
    definition_file(aws, family)
    aws("register-task-definition", "--cli-input-json", "file://task.json")
    started = aws("start-task", "--task-definition", family, "--container-instances", instance)["tasks"][0]
    assert started["containerInstanceArn"] == instance
    aws("stop-task", "--task", started["taskArn"])


def test_services(aws):
    family, name = unique("family"), unique("service")
    definition_file(aws, family)
    aws("register-task-definition", "--cli-input-json", "file://task.json")
    # As a person fills it in: what is of no use is deleted, the rest is left as it came.
    skeleton = aws("create-service", "--generate-cli-skeleton")
    service = {member: value for member, value in skeleton.items() if not isinstance(value, (list, dict, bool))}
    service |= {"serviceName": name, "taskDefinition": family, "desiredCount": 1, "launchType": "EC2"}
    # The words it has for the others are the first or any of those that there are.
    words = {"schedulingStrategy": "REPLICA", "propagateTags": "NONE", "availabilityZoneRebalancing": "ENABLED"}
    service |= {member: word for member, word in words.items() if member in skeleton}
    (aws.folder / "service.json").write_text(json.dumps(service))
    arn = aws("create-service", "--cli-input-json", "file://service.json")["service"]["serviceArn"]
    stable(aws, name, 1)
    assert arn in aws("list-services")["serviceArns"]
    aws("update-service", "--service", name, "--desired-count", "2", "--force-new-deployment")
    stable(aws, name, 2)
    query = "services[0].[status,runningCount,length(deployments),deployments[0].rolloutState]"
    assert aws("describe-services", "--services", name, "--query", query) == ["ACTIVE", 2, 1, "COMPLETED"]
    tasks = aws("list-tasks", "--service-name", name)["taskArns"]
    assert [len(containers_of(task)) for task in tasks] == [1, 1]
    said = aws.refused("delete-service", "--service", name)
    assert said.endswith("The service cannot be stopped while it is scaled above 0.")
    aws("update-service", "--service", name, "--desired-count", "0")
    until("nothing runs", lambda: ecs.describe_services(services=[name])["services"][0]["runningCount"] == 0)
    aws("delete-service", "--service", name)
    until("it is gone", lambda: ecs.describe_services(services=[name])["services"][0]["status"] == "INACTIVE")
    aws("wait", "services-inactive", "--services", name)
    until("no container runs", lambda: not any(containers_of(task) for task in tasks))


def stable(aws, name, count):
    """The CLI's waiter looks every 15 s, so it is asked once there is nothing left to wait for."""

    def look():
        service = ecs.describe_services(services=[name])["services"][0]
        done = service["deployments"][0]["rolloutState"] == "COMPLETED"
        return done and len(service["deployments"]) == 1 and service["runningCount"] == count

    until("the service is stable", look)
    aws("wait", "services-stable", "--services", name)
