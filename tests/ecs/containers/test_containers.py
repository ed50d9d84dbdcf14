"""Real containers through an unmodified SDK: what emulators of ECS are known to get wrong, one test each."""

import http.client

from support.clients import ecs
from support.docker import containers_of, docker
from support.table import needs_member
from support.waiting import until
from support.work import IMAGE, container, register, run, running, service, sh, stopped, unique, wait

# A shell that is the first process of a container takes no SIGTERM unless it says so.
ENDS = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
WEB = sh("mkdir /www && echo hello > /www/index.html && exec httpd -f -p 80 -h /www")


def of_docker(command=None, **members):
    return container(command or sh(ENDS), **{"stopTimeout": 2, **members})


def fetch(address, port):
    def look():
        connection = http.client.HTTPConnection(address, port, timeout=2)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        except OSError:
            return None
        finally:
            connection.close()

    return until(f"{address}:{port} answers", look)


def create(desired, definition):
    name = unique("service")
    ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=desired)
    wait("services_stable", services=[name])
    return name


def tasks_of(name):
    return ecs.describe_tasks(tasks=ecs.list_tasks(serviceName=name)["taskArns"])["tasks"]


def test_counts_are_those_of_containers():
    """Emulators: runningCount stays 0, or stays what it was."""
    name = create(2, register(of_docker()))
    now = service(name)
    assert (now["runningCount"], now["pendingCount"], now["desiredCount"]) == (2, 0, 2)
    tasks = tasks_of(name)
    assert [len(containers_of(t["taskArn"])) for t in tasks] == [1, 1]
    docker("kill", *containers_of(tasks[0]["taskArn"]))
    dead = stopped(tasks[0]["taskArn"])
    assert (dead["containers"][0]["exitCode"], dead["stopCode"]) == (137, "EssentialContainerExited")
    wait("services_stable", services=[name])
    assert tasks[0]["taskArn"] not in {t["taskArn"] for t in tasks_of(name)}
    all_tasks = [t["taskArn"] for t in tasks_of(name)]
    ecs.delete_service(service=name, force=True)
    # Emulators: containers of deleted services go on.
    wait("services_inactive", services=[name])
    until("no container runs", lambda: not any(containers_of(arn) for arn in all_tasks))
    assert service(name)["runningCount"] == 0


def test_exit_codes_and_reasons_are_set():
    """Emulators: exitCode is never set."""
    ended = stopped(run(register(of_docker(sh("exit 42")), of_docker(sh("exit 0"), name="other", essential=False))))
    assert {c["name"]: c["exitCode"] for c in ended["containers"]} == {"main": 42, "other": 0}
    assert ended["stoppedReason"] == "Essential container in task exited"
    missing = stopped(run(register(of_docker(image="no-such-image:1"))))
    assert missing["stopCode"] == "TaskFailedToStart"
    assert missing["containers"][0]["reason"].startswith("CannotPullContainerError"), missing
    assert "exitCode" not in missing["containers"][0]
    broken = stopped(run(register(of_docker(["/no/such/program"]))))
    assert broken["stopCode"] == "TaskFailedToStart"
    assert broken["containers"][0]["reason"].startswith(("CannotStartContainerError", "CannotCreateContainerError")), (
        broken
    )


def test_a_container_over_its_memory_is_killed_and_says_so():
    hog = sh("head -c 64m /dev/zero | tail; x=$(head -c 64m /dev/zero | tr '\\0' x); echo ${#x}")
    ended = stopped(run(register(of_docker(hog, memory=8))))
    one = ended["containers"][0]
    assert one["exitCode"] == 137 and one["reason"].startswith("OutOfMemoryError"), one


def test_ports_are_published_where_network_bindings_say():
    """Emulators: portMappings are ignored, or networkBindings are empty."""
    arn = run(register(of_docker(WEB, portMappings=[{"containerPort": 80}])))
    bindings = running(arn)["containers"][0]["networkBindings"]
    assert len(bindings) == 1 and (bindings[0]["containerPort"], bindings[0]["protocol"]) == (80, "tcp")
    assert bindings[0]["hostPort"] >= 1024
    assert fetch(bindings[0]["bindIP"], bindings[0]["hostPort"]) == "hello\n"
    ecs.stop_task(task=arn)


def test_volumes_are_shared_by_the_containers_that_say_so():
    """Emulators: volumesFrom is ignored."""
    volumes = [{"name": "data", "host": {}}]
    writer = of_docker(
        sh(f"echo shared > /data/file; {ENDS}"),
        name="writer",
        essential=False,
        mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}],
    )
    reads = "for i in 1 2 3 4 5 6 7 8 9; do test -f /data/file && break; sleep 0.3; done"
    reader = of_docker(
        sh(f'{reads}; test "$(cat /data/file)" = shared && ! touch /data/other && exit 33'),
        volumesFrom=[{"sourceContainer": "writer", "readOnly": True}],
        dependsOn=[{"containerName": "writer", "condition": "START"}],
    )
    ended = stopped(run(register(reader, writer, volumes=volumes)))
    assert {c["name"]: c["exitCode"] for c in ended["containers"]}["main"] == 33, ended


def test_an_unhealthy_task_of_a_service_is_replaced():
    check = {"command": ["CMD-SHELL", "test ! -f /sick"], "interval": 5, "retries": 1, "timeout": 2}
    name = create(1, register(of_docker(healthCheck=check)))
    first = tasks_of(name)[0]
    until("it is healthy", lambda: tasks_of(name)[0]["healthStatus"] == "HEALTHY")
    docker("exec", containers_of(first["taskArn"])[0], "touch", "/sick")
    ended = stopped(first["taskArn"])
    assert "health check" in ended["stoppedReason"], ended
    ecs.delete_service(service=name, force=True)


def test_a_task_is_told_to_end_and_killed_only_when_it_does_not():
    polite = run(register(of_docker(stopTimeout=30)))
    running(polite)
    ecs.stop_task(task=polite)
    assert stopped(polite)["containers"][0]["exitCode"] == 0
    rude = run(register(of_docker(["sleep", "1000"], stopTimeout=2)))
    running(rude)
    ecs.stop_task(task=rude)
    assert stopped(rude)["containers"][0]["exitCode"] == 137


@needs_member("RegisterTaskDefinitionRequest", "requiresCompatibilities", "FARGATE")
@needs_member("RegisterTaskDefinitionRequest", "networkMode", "awsvpc")
@needs_member("CreateServiceRequest", "networkConfiguration")
def test_what_most_files_say_runs():
    """FARGATE, awsvpc, a task's own address, containers that share localhost."""
    definition = register(
        {"name": "web", "image": IMAGE, "command": WEB, "portMappings": [{"containerPort": 80}]},
        {
            "name": "beside",
            "image": IMAGE,
            "command": sh(f"until wget -q -O /tmp/x http://127.0.0.1/; do sleep 0.1; done; {ENDS}"),
        },
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        executionRoleArn="arn:aws:iam::000000000000:role/execution",
    )
    name = unique("service")
    made = ecs.create_service(
        serviceName=name,
        taskDefinition=definition,
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}},
    )["service"]
    assert made["launchType"] == "FARGATE"
    wait("services_stable", services=[name])
    one = tasks_of(name)[0]
    assert one["launchType"] == "FARGATE"
    (attachment,) = [a for a in one["attachments"] if a["type"] == "ElasticNetworkInterface"]
    details = {d["name"]: d["value"] for d in attachment["details"]}
    assert attachment["status"] == "ATTACHED" and details["privateIPv4Address"]
    assert {c["networkInterfaces"][0]["privateIpv4Address"] for c in one["containers"]} == {
        details["privateIPv4Address"]
    }
    assert fetch(details["privateIPv4Address"], 80) == "hello\n"
    ecs.delete_service(service=name, force=True)
