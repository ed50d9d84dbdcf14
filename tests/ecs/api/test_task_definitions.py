import pytest

from support.clients import ACCOUNT, REGION, ecs, refusal
from support.table import needs, needs_member
from support.work import IMAGE, container, register, unique

READ_ONLY = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
)


def arn(family, revision):
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}"


def describe(definition, **of):
    return ecs.describe_task_definition(taskDefinition=definition, **of)["taskDefinition"]


def test_ecs_s_own_defaults_are_echoed():
    family = unique("family")
    made = ecs.register_task_definition(
        family=family, containerDefinitions=[{"name": "web", "image": IMAGE, "memory": 64}]
    )["taskDefinition"]
    assert made["containerDefinitions"] == [
        {
            "name": "web",
            "image": IMAGE,
            "cpu": 0,
            "memory": 64,
            "essential": True,
            "environment": [],
            "mountPoints": [],
            "volumesFrom": [],
            "portMappings": [],
            **others(made),
        }
    ]
    assert (made["taskDefinitionArn"], made["family"], made["revision"]) == (arn(family, 1), family, 1)
    assert (made["status"], made["volumes"], made["placementConstraints"]) == ("ACTIVE", [], [])
    assert sorted(made["compatibilities"]) == ["EC2", "EXTERNAL"]
    absent = {"networkMode", "cpu", "memory", "requiresCompatibilities", "runtimePlatform", "taskRoleArn"}
    assert not absent & set(made), "what was not given is not made up: Terraform would see a change"


def others(made):
    """ECS echoes these as empty lists in some accounts and leaves them out in others; both are right."""
    return {m: [] for m in ("systemControls",) if m in made["containerDefinitions"][0]}


FULL = {
    "networkMode": "bridge",
    "requiresCompatibilities": ["EC2"],
    "cpu": "128",
    "memory": "128",
    "taskRoleArn": "arn:aws:iam::000000000000:role/task",
    "executionRoleArn": "arn:aws:iam::000000000000:role/execution",
    "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    "volumes": [{"name": "data", "host": {}}],
    "containerDefinitions": [
        {
            "name": "web",
            "image": IMAGE,
            "cpu": 10,
            "memory": 64,
            "memoryReservation": 32,
            "entryPoint": ["/bin/sh", "-c"],
            "command": ["exec sleep 1000"],
            "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": ""}],
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "udp", "name": "dns"}],
            "mountPoints": [{"sourceVolume": "data", "containerPath": "/data", "readOnly": True}],
            "dependsOn": [{"containerName": "init", "condition": "COMPLETE"}],
            "stopTimeout": 3,
            "dockerLabels": {"a": "b"},
            "ulimits": [{"name": "nofile", "softLimit": 1024, "hardLimit": 2048}],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": "g", "awslogs-region": "us-local-1", "awslogs-stream-prefix": "p"},
            },
            "healthCheck": {"command": ["CMD-SHELL", "true"], "interval": 5},
            "user": "root",
            "workingDirectory": "/",
        },
        {"name": "init", "image": IMAGE, "memory": 32, "essential": False, "command": ["true"]},
    ],
}


def test_describe_strip_register_gives_an_equal_definition():
    family = unique("family")
    tags = [{"key": "team", "value": "x"}]
    first = ecs.register_task_definition(family=family, tags=tags, **FULL)
    assert first["tags"] == tags
    described = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
    assert described["tags"] == tags
    assert described["taskDefinition"] == first["taskDefinition"]
    stripped = {k: v for k, v in described["taskDefinition"].items() if k not in READ_ONLY}
    second = ecs.register_task_definition(**stripped)["taskDefinition"]
    assert second["revision"] == 2
    changed = {k for k in second if second[k] != first["taskDefinition"].get(k)}
    assert changed <= {"taskDefinitionArn", "revision", "registeredAt"}, changed
    web = second["containerDefinitions"][0]
    assert web["environment"] == FULL["containerDefinitions"][0]["environment"], "in the order in which it was given"
    assert web["healthCheck"] == {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 5, "retries": 3}


def test_a_family_goes_through_its_life():
    family = unique("family")
    one, two = register(family=family), register(family=family)
    assert (one, two) == (arn(family, 1), arn(family, 2))
    assert describe(family)["revision"] == 2
    assert describe(f"{family}:1")["taskDefinitionArn"] == one
    assert ecs.list_task_definitions(familyPrefix=family)["taskDefinitionArns"] == [one, two]
    assert ecs.list_task_definitions(familyPrefix=family, sort="DESC")["taskDefinitionArns"] == [two, one]
    assert ecs.list_task_definition_families(familyPrefix=family)["families"] == [family]

    gone = ecs.deregister_task_definition(taskDefinition=two)["taskDefinition"]
    assert gone["status"] == "INACTIVE" and "deregisteredAt" in gone
    assert describe(family)["revision"] == 1, "the newest that is active"
    assert describe(two)["status"] == "INACTIVE"
    assert ecs.list_task_definitions(familyPrefix=family, status="INACTIVE")["taskDefinitionArns"] == [two]
    assert refusal(ecs.run_task, taskDefinition=two) == ("ClientException", "TaskDefinition is inactive")
    ecs.deregister_task_definition(taskDefinition=one)
    assert refusal(ecs.describe_task_definition, taskDefinition=family) == (
        "ClientException",
        "Unable to describe task definition.",
    )
    assert ecs.list_task_definition_families(familyPrefix=family, status="ACTIVE")["families"] == []
    assert ecs.list_task_definition_families(familyPrefix=family, status="INACTIVE")["families"] == [family]
    assert ecs.list_task_definition_families(familyPrefix=family, status="ALL")["families"] == [family]
    assert register(family=family) == arn(family, 3), "a revision is never used again"


@needs("DeleteTaskDefinitions")
def test_inactive_definitions_are_deleted():
    family = unique("family")
    one, two = register(family=family), register(family=family)
    ecs.deregister_task_definition(taskDefinition=one)
    answer = ecs.delete_task_definitions(taskDefinitions=[one, two, arn(family, 9)])
    assert [(d["taskDefinitionArn"], d["status"]) for d in answer["taskDefinitions"]] == [(one, "DELETE_IN_PROGRESS")]
    assert {failure["arn"] for failure in answer["failures"]} == {two, arn(family, 9)}
    assert one not in ecs.list_task_definitions(familyPrefix=family, status="INACTIVE")["taskDefinitionArns"]
    assert register(family=family) == arn(family, 3)
    assert refusal(ecs.delete_task_definitions, taskDefinitions=["x:1"] * 11)[0] in (
        "InvalidParameterException",
        "ClientException",
    )


BAD = [
    ({"containerDefinitions": [{"image": IMAGE, "memory": 4}]}, "Container.name should not be null or empty."),
    (
        {"containerDefinitions": [{"name": "web", "image": IMAGE}]},
        "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified.",
    ),
    ({"family": "a b"}, "family"),
    ({"containerDefinitions": []}, "Container"),
    ({"containerDefinitions": [container(), container()]}, "main"),
    ({"containerDefinitions": [container(essential=False)]}, "essential"),
    ({"containerDefinitions": [container(memory=16, memoryReservation=32)]}, "memoryReservation"),
    ({"containerDefinitions": [container(portMappings=[{"containerPort": 70000}])]}, "70000"),
    ({"containerDefinitions": [container(dependsOn=[{"containerName": "nope", "condition": "START"}])]}, "nope"),
    ({"containerDefinitions": [container(dependsOn=[{"containerName": "main", "condition": "START"}])]}, "main"),
    ({"containerDefinitions": [container(mountPoints=[{"sourceVolume": "nope", "containerPath": "/x"}])]}, "nope"),
    ({"containerDefinitions": [container(healthCheck={"command": ["CMD", "true"], "interval": 1})]}, "interval"),
    ({"containerDefinitions": [container(healthCheck={"command": ["true"]})]}, "CMD"),
    ({"containerDefinitions": [container(volumesFrom=[{"sourceContainer": "nope"}])]}, "nope"),
    ({"containerDefinitions": [container(memory=64)], "memory": "32"}, "memory"),
    ({"memory": "lots"}, "memory"),
    ({"networkMode": "nope"}, "networkMode"),
    ({"tags": [{"key": "aws:x", "value": ""}]}, "aws:"),
    ({"tags": [{"key": str(i), "value": ""} for i in range(51)]}, "50"),
]


@pytest.mark.parametrize("members, says", BAD, ids=[says[:40] for _, says in BAD])
def test_what_is_wrong_is_refused(members, says):
    request = {"family": "bad", "containerDefinitions": [container()], **members}
    code, message = refusal(ecs.register_task_definition, **request)
    assert code in ("ClientException", "InvalidParameterException", "LimitExceededException"), (code, message)
    assert says in message, message


def test_what_is_not_there_is_refused():
    for call in (ecs.describe_task_definition, ecs.deregister_task_definition):
        code, message = refusal(call, taskDefinition="nope:1")
        assert (code, message) == ("ClientException", "Unable to describe task definition.")
    assert refusal(ecs.list_task_definitions, status="NOPE")[0] in ("ClientException", "InvalidParameterException")
    assert refusal(ecs.list_task_definitions, sort="NOPE")[0] in ("ClientException", "InvalidParameterException")
    assert refusal(ecs.list_task_definition_families, status="NOPE")[0] in (
        "ClientException",
        "InvalidParameterException",
    )
    assert refusal(ecs.list_task_definition_families, maxResults=101)[0] == "InvalidParameterException"


@needs_member("RegisterTaskDefinitionRequest", "requiresCompatibilities", "FARGATE")
@needs_member("RegisterTaskDefinitionRequest", "networkMode", "awsvpc")
def test_fargate_s_sizes_are_enforced():
    fargate = {"family": unique("fargate"), "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
    made = ecs.register_task_definition(
        **fargate, cpu="256", memory="512", containerDefinitions=[{"name": "web", "image": IMAGE}]
    )["taskDefinition"]
    assert "FARGATE" in made["compatibilities"]
    for cpu, memory in (("256", "8192"), ("300", "512")):
        code, _ = refusal(
            ecs.register_task_definition, **fargate, cpu=cpu, memory=memory, containerDefinitions=[container()]
        )
        assert code == "ClientException"
    code, _ = refusal(ecs.register_task_definition, **fargate, containerDefinitions=[container()])
    assert code == "ClientException", "a size is required"
