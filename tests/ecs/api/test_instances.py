from support.clients import ecs, refusal
from support.table import needs, needs_member
from support.waiting import until
from support.work import register, running, unique


def instances():
    return ecs.list_container_instances()["containerInstanceArns"]


def connected():
    described = ecs.describe_container_instances(containerInstances=instances())["containerInstances"]
    return [one["agentConnected"] for one in described].count(True)


def test_instances_are_listed_and_described():
    arns = instances()
    assert len(arns) == 3
    described = ecs.describe_container_instances(
        containerInstances=[*arns, arns[0].rpartition("/")[2]], include=["TAGS"]
    )
    one = described["containerInstances"][0]
    assert (one["status"], one["agentConnected"]) == ("ACTIVE", True)
    for resources in ("remainingResources", "registeredResources"):
        kinds = {resource["name"]: resource["type"] for resource in one[resources]}
        assert kinds == {"CPU": "INTEGER", "MEMORY": "INTEGER", "PORTS": "STRINGSET", "PORTS_UDP": "STRINGSET"}
    attributes = {a["name"]: a.get("value") for a in one["attributes"]}
    assert attributes["ecs.availability-zone"].startswith("us-local-1")
    assert {"ecs.cpu-architecture", "ecs.os-type"} <= set(attributes)
    missing = ecs.describe_container_instances(containerInstances=["0" * 32])
    assert (missing["containerInstances"], missing["failures"][0]["reason"]) == ([], "MISSING")


def test_what_is_wrong_is_refused():
    assert refusal(ecs.list_container_instances, cluster="nope") == ("ClusterNotFoundException", "Cluster not found.")
    assert refusal(ecs.describe_container_instances, containerInstances=[])[0] in (
        "ClientException",
        "InvalidParameterException",
    )
    assert refusal(ecs.describe_container_instances, containerInstances=["x"] * 101)[0] == "InvalidParameterException"
    assert refusal(ecs.list_container_instances, status="NOPE")[0] == "InvalidParameterException"
    for status in ("INACTIVE", "DEREGISTERING"):
        code, _ = refusal(ecs.update_container_instances_state, containerInstances=instances()[:1], status=status)
        assert code == "InvalidParameterException", status
    assert (
        refusal(ecs.update_container_instances_state, containerInstances=["x"] * 11, status="DRAINING")[0]
        == "InvalidParameterException"
    )
    assert refusal(ecs.deregister_container_instance, containerInstance="0" * 32)[0] in (
        "ClientException",
        "InvalidParameterException",
    )


def test_a_drained_instance_takes_no_tasks_and_comes_back():
    drained = instances()[0]
    answer = ecs.update_container_instances_state(containerInstances=[drained, "0" * 32], status="DRAINING")
    assert (answer["containerInstances"][0]["status"], answer["failures"][0]["reason"]) == ("DRAINING", "MISSING")
    try:
        assert ecs.list_container_instances(status="DRAINING")["containerInstanceArns"] == [drained]
        tasks = ecs.run_task(taskDefinition=register(), count=6)["tasks"]
        assert drained not in {task["containerInstanceArn"] for task in tasks}
        for task in tasks:
            ecs.stop_task(task=task["taskArn"])
    finally:
        back = ecs.update_container_instances_state(containerInstances=[drained], status="ACTIVE")
    assert back["containerInstances"][0]["status"] == "ACTIVE"


def test_an_instance_with_tasks_is_deregistered_only_by_force():
    arn = instances()[0]
    started = ecs.start_task(taskDefinition=register(), containerInstances=[arn])["tasks"][0]["taskArn"]
    running(started)
    code, message = refusal(ecs.deregister_container_instance, containerInstance=arn)
    assert (code, message) == ("InvalidParameterException", "Found running tasks on the instance.")
    gone = ecs.deregister_container_instance(containerInstance=arn, force=True)["containerInstance"]
    assert (gone["containerInstanceArn"], gone["status"]) == (arn, "INACTIVE")
    assert arn not in instances()
    # Its agent lives: it comes back as another instance.
    until("three are connected", lambda: connected() == 3)


def test_attributes_are_put_listed_and_deleted():
    arn, name = instances()[0], unique("attribute")
    attribute = {"name": name, "value": "ssd", "targetId": arn}
    put = ecs.put_attributes(attributes=[attribute])["attributes"]
    assert put == [attribute | {"targetType": "container-instance"}] or put == [attribute]
    listed = ecs.list_attributes(targetType="container-instance", attributeName=name)["attributes"]
    assert [(a["name"], a["value"], a["targetId"]) for a in listed] == [(name, "ssd", arn)]
    by_value = ecs.list_attributes(targetType="container-instance", attributeName=name, attributeValue="hdd")
    assert by_value["attributes"] == []
    assert ecs.delete_attributes(attributes=[{"name": name, "targetId": arn}])["attributes"][0]["name"] == name
    assert ecs.list_attributes(targetType="container-instance", attributeName=name)["attributes"] == []
    for call in (ecs.put_attributes, ecs.delete_attributes):
        nowhere = {"name": name, "targetId": "0" * 32, "targetType": "container-instance"}
        assert refusal(call, attributes=[nowhere])[0] == "TargetNotFoundException"
    many = [{"name": f"{name}-{i}", "value": "1", "targetId": arn} for i in range(11)]
    code, _ = refusal(ecs.put_attributes, attributes=many)
    assert code in ("InvalidParameterException", "AttributeLimitExceededException")
    assert refusal(ecs.put_attributes, attributes=[{"name": "a b!", "targetId": arn}])[0] == "InvalidParameterException"
    assert refusal(ecs.list_attributes, targetType="nope")[0] == "InvalidParameterException"
    assert (
        refusal(ecs.list_attributes, cluster="nope", targetType="container-instance")[0] == "ClusterNotFoundException"
    )


@needs_member("ListContainerInstancesRequest", "filter")
def test_instances_are_filtered_by_the_query_language():
    arn, name = instances()[1], unique("attribute")
    ecs.put_attributes(attributes=[{"name": name, "value": "ssd", "targetId": arn}])
    for query in (f"attribute:{name} == ssd", f"attribute:{name} in [hdd, ssd] and agentConnected == true"):
        assert ecs.list_container_instances(filter=query)["containerInstanceArns"] == [arn]
    assert len(ecs.list_container_instances(filter=f"attribute:{name} !exists")["containerInstanceArns"]) == 2
    others = ecs.list_container_instances(filter=f"attribute:{name} !exists", maxResults=1)
    assert arn not in others["containerInstanceArns"]
    code, _ = refusal(ecs.list_container_instances, filter="agentConnected == true", nextToken=others["nextToken"])
    assert code == "InvalidParameterException"
    task = ecs.start_task(taskDefinition=register(), containerInstances=[arn], group=name)["tasks"][0]["taskArn"]
    assert ecs.list_container_instances(filter=f"task:group == {name}")["containerInstanceArns"] == [arn]
    ecs.stop_task(task=task)
    assert ecs.list_container_instances(filter=f"task:group == {name}")["containerInstanceArns"] == []
    wrong = refusal(ecs.list_container_instances, filter="attribute:stack ==")
    assert wrong == (
        "InvalidParameterException",
        "Invalid expression at position 18: expected a value after '==', found the end",
    )
    ecs.delete_attributes(attributes=[{"name": name, "targetId": arn}])


@needs("UpdateContainerAgent")
def test_an_agent_is_not_updated_from_afar():
    code, _ = refusal(ecs.update_container_agent, containerInstance=instances()[0])
    assert code in ("NoUpdateAvailableException", "UnsupportedFeatureException")
    assert refusal(ecs.update_container_agent, cluster="nope", containerInstance="x")[0] == "ClusterNotFoundException"
