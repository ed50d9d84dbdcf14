"""What tasks run, and names that no other test uses."""

import itertools
import os

from .clients import ecs
from .waiting import until

# `process` or `docker`.
RUNTIME = os.environ.get("SEAWALL_RUNTIME", "process")
# What runs there: the process runtime runs the command as it is, Docker needs an image with busybox.
IMAGE = os.environ.get("SEAWALL_IMAGE", "process")
SLEEP = ["sleep", "1000"]
# Of waiters: their model has 6 and 15 s.
SOON = {"Delay": 1, "MaxAttempts": 60}

_serials = itertools.count(1)


def unique(what):
    """A name that was not there before."""
    return f"{what}-{os.getpid()}-{next(_serials)}"


def sh(script):
    """A command that runs a shell's script."""
    return ["/bin/sh", "-c", script]


def container(command=None, **members):
    """A container definition of 16 MiB."""
    return {"name": "main", "image": IMAGE, "memory": 16, "command": command or SLEEP, **members}


def register(*containers, family=None, **members):
    """A new task definition; its ARN."""
    family = family or unique("family")
    made = ecs.register_task_definition(
        family=family, containerDefinitions=list(containers) or [container()], **members
    )
    return made["taskDefinition"]["taskDefinitionArn"]


def run(definition, **members):
    """One task; its ARN."""
    answer = ecs.run_task(taskDefinition=definition, **members)
    assert not answer["failures"], answer["failures"]
    return answer["tasks"][0]["taskArn"]


def task(arn):
    """A task as it is now."""
    return ecs.describe_tasks(tasks=[arn])["tasks"][0]


def wait(waiter, **of):
    """Waits as the SDK's waiter does, looking more often."""
    next(ecs).get_waiter(waiter).wait(**of, WaiterConfig=SOON)


def stopped(arn):
    """A task that has stopped."""
    wait("tasks_stopped", tasks=[arn])
    return task(arn)


def running(arn):
    """A task that runs."""
    wait("tasks_running", tasks=[arn])
    return task(arn)


def service(name, **of):
    """A service as it is now."""
    return ecs.describe_services(services=[name], **of)["services"][0]


def stop_all(cluster="default"):
    """Ends everything that runs in a cluster."""
    for arn in ecs.list_services(cluster=cluster, maxResults=100)["serviceArns"]:
        ecs.delete_service(cluster=cluster, service=arn, force=True)
    for arn in ecs.list_tasks(cluster=cluster)["taskArns"]:
        ecs.stop_task(cluster=cluster, task=arn)
    until("all tasks have stopped", lambda: not ecs.list_tasks(cluster=cluster)["taskArns"])
