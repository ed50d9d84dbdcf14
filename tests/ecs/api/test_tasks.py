import pytest

from support.clients import ACCOUNT, REGION, ecs, refusal
from support.table import needs, needs_member
from support.waiting import until
from support.work import IMAGE, container, register, run, running, sh, stopped, unique, wait


def listed(**of):
    return ecs.list_tasks(**of)["taskArns"]


def test_a_task_runs_and_is_stopped_with_the_reason_given():
    family = unique("family")
    definition, me = register(container(memory=32), family=family), unique("me")
    answer = ecs.run_task(taskDefinition=family, startedBy=me, tags=[{"key": "a", "value": "b"}], referenceId="ref")
    assert answer["failures"] == []
    made = answer["tasks"][0]
    arn = made["taskArn"]
    assert arn.startswith(f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/") and len(arn.rpartition("/")[2]) == 32
    assert (made["taskDefinitionArn"], made["group"], made["startedBy"]) == (definition, f"family:{family}", me)
    assert (made["desiredStatus"], made["launchType"]) == ("RUNNING", "EC2")
    assert (made["cpu"], made["memory"]) == ("0", "32"), "strings, the sums of the containers"
    assert {"name": "ecs.cpu-architecture", "value": "x86_64"} in made["attributes"]

    seen = running(arn)
    assert seen["lastStatus"] == "RUNNING" and seen["connectivity"] == "CONNECTED"
    assert seen["createdAt"] <= seen["pullStartedAt"] <= seen["pullStoppedAt"] <= seen["startedAt"]
    one = seen["containers"][0]
    assert (one["name"], one["image"], one["lastStatus"]) == ("main", IMAGE, "RUNNING")
    assert one["containerArn"].startswith(f"arn:aws:ecs:{REGION}:{ACCOUNT}:container/default/{arn.rpartition('/')[2]}/")
    assert "runtimeId" in one and "exitCode" not in one
    tagged = ecs.describe_tasks(tasks=[arn.rpartition("/")[2]], include=["TAGS"])["tasks"][0]
    assert tagged["tags"] == [{"key": "a", "value": "b"}]
    assert listed(family=family) == listed(startedBy=me) == [arn]
    assert listed(family=family, desiredStatus="STOPPED") == []
    assert listed(containerInstance=made["containerInstanceArn"], family=family) == [arn]

    stopping = ecs.stop_task(task=arn, reason="because")["task"]
    assert stopping["desiredStatus"] == "STOPPED"
    ended = stopped(arn)
    assert (ended["stopCode"], ended["stoppedReason"]) == ("UserInitiated", "because")
    assert ended["startedAt"] <= ended["stoppingAt"] <= ended["stoppedAt"]
    assert listed(family=family) == [] and listed(family=family, desiredStatus="STOPPED") == [arn]
    assert ended["version"] > seen["version"]


def test_exit_codes_and_reasons_of_every_container_are_set():
    arn = run(
        register(
            container(sh("sleep 0.5; exit 7")),
            container(name="other", essential=False, command=["true"]),
        )
    )
    ended = stopped(arn)
    assert (ended["stopCode"], ended["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    codes = {one["name"]: one["exitCode"] for one in ended["containers"]}
    assert codes == {"main": 7, "other": 0}
    assert "executionStoppedAt" in ended
    killed = stopped(run(register(container(sh("kill -9 $$")))))
    assert killed["containers"][0]["exitCode"] == 137


def test_a_task_that_cannot_start_says_why():
    broken = register(container(["/no/such/program"]))
    ended = stopped(run(broken))
    assert ended["stopCode"] == "TaskFailedToStart", ended
    assert ended["containers"][0]["reason"], ended
    assert "startedAt" not in ended


def test_overrides():
    definition = register(container(["false"], environment=[{"name": "CODE", "value": "1"}]))
    ended = stopped(
        run(
            definition,
            overrides={
                "containerOverrides": [
                    {"name": "main", "command": sh("exit $CODE"), "environment": [{"name": "CODE", "value": "9"}]}
                ]
            },
        )
    )
    assert ended["containers"][0]["exitCode"] == 9
    assert ended["overrides"]["containerOverrides"][0]["name"] == "main"
    code, message = refusal(
        ecs.run_task, taskDefinition=definition, overrides={"containerOverrides": [{"name": "nope"}]}
    )
    assert code in ("ClientException", "InvalidParameterException") and "nope" in message


def test_a_container_s_dependencies_hold():
    arn = run(
        register(
            container(sh("exit 4"), dependsOn=[{"containerName": "first", "condition": "SUCCESS"}]),
            container(name="first", essential=False, command=sh("exit 3")),
        )
    )
    ended = stopped(arn)
    codes = {one["name"]: one.get("exitCode") for one in ended["containers"]}
    assert codes == {"main": None, "first": 3}, ended
    assert ended["stopCode"] == "TaskFailedToStart"


def test_tasks_start_on_the_instances_that_are_named():
    instances = ecs.list_container_instances()["containerInstanceArns"]
    answer = ecs.start_task(
        taskDefinition=register(), containerInstances=[*instances[:2], "0" * 32], startedBy="me-too"
    )
    assert {t["containerInstanceArn"] for t in answer["tasks"]} == set(instances[:2])
    assert answer["failures"][0]["reason"] == "MISSING"
    for one in answer["tasks"]:
        ecs.stop_task(task=one["taskArn"])
    assert (
        refusal(ecs.start_task, taskDefinition=register(), containerInstances=["x"] * 11)[0]
        == "InvalidParameterException"
    )
    assert refusal(ecs.start_task, taskDefinition="nope", containerInstances=instances)[0] == "ClientException"


def test_what_cannot_be_placed_is_a_failure_with_ecs_s_reason():
    for member, reason in (("memory", "RESOURCE:MEMORY"), ("cpu", "RESOURCE:CPU")):
        answer = ecs.run_task(taskDefinition=register(container(**{member: 10_000_000})))
        assert answer["tasks"] == []
        assert {failure["reason"] for failure in answer["failures"]} == {reason}, answer
        assert all(":container-instance/" in failure["arn"] for failure in answer["failures"])
    one_port = register(container(portMappings=[{"containerPort": 31999, "hostPort": 31999}]))
    answer = ecs.run_task(taskDefinition=one_port, count=4)
    assert len(answer["tasks"]) == 3
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:PORTS"}
    for one in answer["tasks"]:
        ecs.stop_task(task=one["taskArn"])


def test_a_cluster_without_instances():
    name = unique("cluster")
    ecs.create_cluster(clusterName=name)
    refused = refusal(ecs.run_task, cluster=name, taskDefinition=register())
    assert refused == ("InvalidParameterException", "No Container Instances were found in your cluster.")
    ecs.delete_cluster(cluster=name)


def test_the_token_makes_one_run_of_two_requests():
    definition, token = register(), unique("token")
    first = ecs.run_task(taskDefinition=definition, clientToken=token, count=2)["tasks"]
    again = ecs.run_task(taskDefinition=definition, clientToken=token, count=2)["tasks"]
    assert {t["taskArn"] for t in first} == {t["taskArn"] for t in again}
    try:
        ecs.run_task(taskDefinition=definition, clientToken=token, count=1)
        raise AssertionError("another request under the same token")
    except ecs.exceptions.ConflictException as error:
        assert set(error.response["resourceIds"]) == {t["taskArn"] for t in first}
    for one in first:
        ecs.stop_task(task=one["taskArn"])


BAD = [
    ("run_task", {"taskDefinition": "nope"}, "ClientException", "TaskDefinition not found."),
    ("run_task", {"taskDefinition": "nope", "cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("run_task", {"taskDefinition": "ok", "count": 11}, "InvalidParameterException", "10"),
    ("run_task", {"taskDefinition": "ok", "count": 0}, "InvalidParameterException", "count"),
    ("run_task", {"taskDefinition": "ok", "startedBy": "x" * 129}, "InvalidParameterException", "startedBy"),
    ("run_task", {"taskDefinition": "ok", "clientToken": "x" * 65}, "InvalidParameterException", "64"),
    ("stop_task", {"task": "0" * 32}, "InvalidParameterException", "The referenced task was not found."),
    ("stop_task", {"task": "x", "cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("describe_tasks", {"tasks": []}, "InvalidParameterException", "Tasks cannot be empty."),
    ("describe_tasks", {"tasks": ["x"] * 101}, "InvalidParameterException", "100"),
    ("describe_tasks", {"tasks": ["x"], "include": ["NOPE"]}, "InvalidParameterException", "NOPE"),
    ("list_tasks", {"serviceName": "nope"}, "ServiceNotFoundException", "Service not found."),
    ("list_tasks", {"desiredStatus": "NOPE"}, "InvalidParameterException", "NOPE"),
    ("list_tasks", {"cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("list_tasks", {"maxResults": 101}, "InvalidParameterException", "maxResults"),
]


@pytest.mark.parametrize("call, request_, code, says", BAD, ids=[f"{call}-{says[:30]}" for call, _, _, says in BAD])
def test_what_is_wrong_is_refused(call, request_, code, says):
    if request_.get("taskDefinition") == "ok":
        request_ = {**request_, "taskDefinition": register()}
    is_code, message = refusal(getattr(ecs, call), **request_)
    assert is_code == code and says in message, (is_code, message)


def test_what_is_missing_is_a_failure():
    answer = ecs.describe_tasks(tasks=["0" * 32])
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{'0' * 32}"
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": arn, "reason": "MISSING"}])


@needs("GetTaskProtection", "UpdateTaskProtection")
def test_tasks_of_services_are_protected():
    name = unique("service")
    ecs.create_service(serviceName=name, taskDefinition=register(), desiredCount=1)
    wait("services_stable", services=[name])
    arn = listed(serviceName=name)[0]
    protected = ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=True, expiresInMinutes=5)
    assert (protected["protectedTasks"][0]["taskArn"], protected["protectedTasks"][0]["protectionEnabled"]) == (
        arn,
        True,
    )
    assert ecs.get_task_protection(cluster="default", tasks=[arn])["protectedTasks"][0]["protectionEnabled"] is True
    off = ecs.update_task_protection(cluster="default", tasks=[arn], protectionEnabled=False)["protectedTasks"][0]
    assert off["protectionEnabled"] is False and "expirationDate" not in off
    alone = run(register())
    answer = ecs.update_task_protection(cluster="default", tasks=[alone], protectionEnabled=True)
    assert answer["failures"][0]["reason"] == "TASK_NOT_VALID"
    for call, more in ((ecs.get_task_protection, {}), (ecs.update_task_protection, {"protectionEnabled": True})):
        assert refusal(call, cluster="nope", tasks=[arn], **more)[0] == "ClusterNotFoundException"
    over = {"tasks": [arn], "protectionEnabled": True, "expiresInMinutes": 2881}
    assert refusal(ecs.update_task_protection, cluster="default", **over)[0] == "InvalidParameterException"
    ecs.stop_task(task=alone)
    ecs.delete_service(service=name, force=True)


@needs_member("RunTaskRequest", "placementConstraints")
@needs_member("RunTaskRequest", "placementStrategy")
def test_tasks_are_placed_as_asked():
    definition = register()
    placed = ecs.run_task(taskDefinition=definition, count=3, placementConstraints=[{"type": "distinctInstance"}])
    assert len({t["containerInstanceArn"] for t in placed["tasks"]}) == 3
    one_zone = ecs.run_task(
        taskDefinition=definition,
        count=2,
        placementConstraints=[{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-local-1b"}],
        placementStrategy=[{"type": "binpack", "field": "memory"}],
    )
    assert {t["availabilityZone"] for t in one_zone["tasks"]} == {"us-local-1b"}
    for t in placed["tasks"] + one_zone["tasks"]:
        ecs.stop_task(task=t["taskArn"])


def test_the_waiters_end():
    arn = run(register())
    wait("tasks_running", tasks=[arn])
    ecs.stop_task(task=arn)
    wait("tasks_stopped", tasks=[arn])


def test_listing_defaults_to_running():
    family = unique("family")
    definition = register(family=family)
    arns = [run(definition) for _ in range(3)]
    ecs.stop_task(task=arns[0])
    until("only what runs is listed", lambda: set(listed(family=family)) == set(arns[1:]))
    assert listed(family=family, desiredStatus="PENDING") == []
    for arn in arns[1:]:
        ecs.stop_task(task=arn)
