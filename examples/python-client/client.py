"""A whole round against a Seawall cluster over gRPC, with nothing but grpcio and the files under proto/.

python client.py ADDRESS [--image IMAGE] [--command WORD ...]

Creates and deletes a cluster, registers a task definition, runs a service, follows its tasks with Watch, stops one and sees
it replaced, scales, and leaves nothing behind. Exits 0 only if every step did what it says.
"""

import argparse
import sys
import time
import uuid

import grpc
from seawall.v1 import (
    cluster_pb2,
    common_pb2,
    control_pb2,
    control_pb2_grpc,
    ecs_pb2_grpc,
    service_pb2,
    tag_pb2,
    task_definition_pb2,
    task_pb2,
    watch_pb2,
)

CALL_TIMEOUT_S = 10
STEP_TIMEOUT_S = 60
ROUND_TIMEOUT_S = 180
DESIRED = 3


class Step:
    """Prints a step's name, and how long it took once it is done."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.began = time.monotonic()

    def __exit__(self, kind, error, trace):
        outcome = "ok" if kind is None else "FAILED"
        print(f"{outcome:6} {time.monotonic() - self.began:6.2f} s  {self.name}", flush=True)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def error_of(call):
    """The ECS exception that `call` is refused with."""
    try:
        call()
    except grpc.RpcError as error:
        return dict(error.trailing_metadata() or ()).get("x-seawall-error")
    return None


class Tasks:
    """The tasks of one service as a watch shows them: a listing first, then each change."""

    def __init__(self, control, service):
        self.group = f"service:{service}"
        self.tasks = {}
        self.last = None
        self.stream = control.Watch(
            watch_pb2.WatchRequest(kinds=[watch_pb2.RESOURCE_KIND_TASK], cluster="default", list_first=True),
            timeout=ROUND_TIMEOUT_S,
        )
        self.until(lambda: self.synced)

    synced = False

    def until(self, reached):
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while not reached():
            expect(time.monotonic() < deadline, f"not reached in {STEP_TIMEOUT_S} s: {self.tasks}")
            self.take(next(self.stream))

    def take(self, event):
        position = (event.position.epoch, event.position.index, event.position.ordinal)
        expect(self.last is None or position >= self.last, f"the watch went back from {self.last} to {position}")
        self.last = position
        if event.WhichOneof("change") == "synced":
            self.synced = True
        elif event.WhichOneof("change") == "task" and event.task.group == self.group:
            if event.deleted:
                self.tasks.pop(event.task.task_arn, None)
            else:
                self.tasks[event.task.task_arn] = event.task

    def running(self):
        wanted = ("RUNNING", "RUNNING")
        return [arn for arn, t in self.tasks.items() if (t.desired_status, t.last_status) == wanted]

    def stopped(self):
        return sum(task.last_status == "STOPPED" for task in self.tasks.values())

    def over(self):
        return self.stopped() == len(self.tasks)


def clusters(ecs, name):
    created = ecs.CreateCluster(
        cluster_pb2.CreateClusterRequest(cluster_name=name, tags=[common_pb2.Tag(key="made-by", value="python")]),
        timeout=CALL_TIMEOUT_S,
    ).cluster
    expect(created.status == "ACTIVE" and created.cluster_name == name, f"{created}")
    listed = ecs.ListClusters(cluster_pb2.ListClustersRequest(), timeout=CALL_TIMEOUT_S).cluster_arns
    expect(created.cluster_arn in listed, f"{created.cluster_arn} is not among {listed}")
    ecs.TagResource(
        tag_pb2.TagResourceRequest(
            resource_arn=created.cluster_arn, tags=[common_pb2.Tag(key="stage", value="trial")]
        ),
        timeout=CALL_TIMEOUT_S,
    )
    request = tag_pb2.ListTagsForResourceRequest(resource_arn=created.cluster_arn)
    tags = {t.key: t.value for t in ecs.ListTagsForResource(request, timeout=CALL_TIMEOUT_S).tags}
    expect(tags == {"made-by": "python", "stage": "trial"}, f"{tags}")


def register(ecs, family, image, command):
    container = task_definition_pb2.ContainerDefinition(
        name="app", image=image, command=command, cpu=16, memory=16, essential=True
    )
    request = task_definition_pb2.RegisterTaskDefinitionRequest(family=family, container_definitions=[container])
    definition = ecs.RegisterTaskDefinition(request, timeout=CALL_TIMEOUT_S).task_definition
    expect(definition.status == "ACTIVE" and definition.family == family, f"{definition}")
    return definition.task_definition_arn


def create(ecs, name, definition):
    request = service_pb2.CreateServiceRequest(
        service_name=name, task_definition=definition, desired_count=DESIRED, client_token=uuid.uuid4().hex
    )
    first = ecs.CreateService(request, timeout=CALL_TIMEOUT_S).service
    again = ecs.CreateService(request, timeout=CALL_TIMEOUT_S).service
    expect(first.service_arn == again.service_arn, "one client token made two services")


def describe(ecs, service):
    request = service_pb2.DescribeServicesRequest(services=[service])
    return ecs.DescribeServices(request, timeout=CALL_TIMEOUT_S).services[0]


def check_tasks(ecs, service, watched):
    request = task_pb2.ListTasksRequest(service_name=service, max_results=2)
    arns = []
    for _ in range(DESIRED):
        page = ecs.ListTasks(request, timeout=CALL_TIMEOUT_S)
        arns.extend(page.task_arns)
        if not page.next_token:
            break
        request.next_token = page.next_token
    expect(sorted(arns) == sorted(watched), f"listed {arns}, watched {watched}")
    tasks = ecs.DescribeTasks(task_pb2.DescribeTasksRequest(tasks=arns), timeout=CALL_TIMEOUT_S).tasks
    zones = {task.availability_zone for task in tasks}
    expect(len(zones) == min(DESIRED, 3), f"{DESIRED} tasks are in {zones}")


def stop_one(ecs, tasks):
    victim = tasks.running()[0]
    request = task_pb2.StopTaskRequest(task=victim, reason="the example stops it")
    stopped = ecs.StopTask(request, timeout=CALL_TIMEOUT_S).task
    expect(stopped.desired_status == "STOPPED", f"{stopped}")
    tasks.until(lambda: victim not in tasks.running() and len(tasks.running()) == DESIRED)
    expect(tasks.tasks[victim].stopped_reason == "the example stops it", f"{tasks.tasks[victim]}")


def scale(ecs, service, tasks, count):
    ecs.UpdateService(service_pb2.UpdateServiceRequest(service=service, desired_count=count), timeout=CALL_TIMEOUT_S)
    # runningCount is what runs, not what is wanted: a task that is told to stop counts until it has.
    tasks.until(lambda: len(tasks.running()) == count and tasks.stopped() == len(tasks.tasks) - count)
    shown = describe(ecs, service)
    expect((shown.desired_count, shown.running_count) == (count, count), f"{shown}")


def delete(ecs, service, definition, cluster, tasks):
    ecs.DeleteService(service_pb2.DeleteServiceRequest(service=service, force=True), timeout=CALL_TIMEOUT_S)
    tasks.until(tasks.over)
    request = task_definition_pb2.DeregisterTaskDefinitionRequest(task_definition=definition)
    gone = ecs.DeregisterTaskDefinition(request, timeout=CALL_TIMEOUT_S).task_definition
    expect(gone.status == "INACTIVE", f"{gone}")
    ecs.DeleteCluster(cluster_pb2.DeleteClusterRequest(cluster=cluster), timeout=CALL_TIMEOUT_S)
    listed = ecs.ListClusters(cluster_pb2.ListClustersRequest(), timeout=CALL_TIMEOUT_S).cluster_arns
    expect(not any(arn.endswith(f"/{cluster}") for arn in listed), f"{cluster} is still listed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="host:port of any member that serves plain text")
    parser.add_argument("--image", default="process")
    parser.add_argument("--command", nargs="*", default=["/bin/sleep", "600"])
    args = parser.parse_args()
    name = f"python-{uuid.uuid4().hex[:8]}"
    with grpc.insecure_channel(args.address) as channel:
        ecs = ecs_pb2_grpc.EcsStub(channel)
        control = control_pb2_grpc.ControlStub(channel)
        with Step("members and status"):
            members = control.DescribeMembers(control_pb2.DescribeMembersRequest(), timeout=CALL_TIMEOUT_S)
            expect(members.leader in [m.name for m in members.members], f"{members}")
        with Step("a cluster with tags"):
            clusters(ecs, name)
        with Step("an unknown cluster is refused by name"):
            unknown = service_pb2.ListServicesRequest(cluster="no-such-cluster")
            refusal = error_of(lambda: ecs.ListServices(unknown, timeout=CALL_TIMEOUT_S))
            expect(refusal == "ClusterNotFoundException", f"{refusal}")
        with Step("a task definition"):
            definition = register(ecs, name, args.image, args.command)
        with Step("a watch that starts with a listing"):
            tasks = Tasks(control, name)
        with Step(f"a service of {DESIRED} tasks, created twice with one token"):
            create(ecs, name, definition)
            tasks.until(lambda: len(tasks.running()) == DESIRED)
        with Step("its tasks, page by page, one in each zone"):
            check_tasks(ecs, name, tasks.running())
        with Step("a stopped task is replaced"):
            stop_one(ecs, tasks)
        with Step("scaled in"):
            scale(ecs, name, tasks, 1)
        with Step("service, task definition and cluster deleted"):
            delete(ecs, name, definition, name, tasks)


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, grpc.RpcError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
