import pytest

from support.clients import ACCOUNT, REGION, ecs, refusal
from support.table import needs, needs_member
from support.waiting import until
from support.work import container, register, service, sh, unique, wait


def create(desired=2, definition=None, **members):
    name = unique("service")
    made = ecs.create_service(
        serviceName=name, taskDefinition=definition or register(), desiredCount=desired, **members
    )["service"]
    return name, made


def stable(name):
    wait("services_stable", services=[name])
    return service(name)


def completed(name):
    """Waits until its rollout is one that can be gone back to: that is later than stable."""
    until("the rollout is completed", lambda: service(name)["deployments"][0]["rolloutState"] == "COMPLETED")


def tasks_of(name):
    arns = ecs.list_tasks(serviceName=name)["taskArns"]
    return ecs.describe_tasks(tasks=arns)["tasks"] if arns else []


def test_a_service_goes_through_its_life():
    definition = register()
    name, made = create(2, definition, tags=[{"key": "a", "value": "b"}])
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/{name}"
    assert (made["serviceArn"], made["status"], made["desiredCount"]) == (arn, "ACTIVE", 2)
    assert (made["launchType"], made["schedulingStrategy"], made["taskDefinition"]) == ("EC2", "REPLICA", definition)
    percents = made["deploymentConfiguration"]
    assert (percents["minimumHealthyPercent"], percents["maximumPercent"]) == (100, 200)
    assert (made["availabilityZoneRebalancing"], made["propagateTags"]) == ("ENABLED", "NONE")
    assert made["deployments"][0]["status"] == "PRIMARY"
    assert "networkConfiguration" not in made, "Terraform's provider crashes on an empty one"

    now = stable(name)
    assert (now["runningCount"], now["pendingCount"]) == (2, 0)
    until(
        "it is said that it is steady",
        lambda: any("has reached a steady state." in e["message"] for e in service(name)["events"]),
    )
    deployment = service(name)["deployments"][0]
    assert deployment["rolloutState"] == "COMPLETED"
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    assert all(t["group"] == f"service:{name}" and t["startedBy"] == deployment["id"] for t in tasks_of(name))
    assert any(f"(service {name}) has started" in e["message"] for e in now["events"])
    assert service(arn, include=["TAGS"])["tags"] == [{"key": "a", "value": "b"}]
    assert arn in ecs.list_services(maxResults=100)["serviceArns"]
    assert arn in ecs.list_services(maxResults=100, launchType="EC2", schedulingStrategy="REPLICA")["serviceArns"]

    refused = refusal(ecs.delete_service, service=name)
    assert refused == ("InvalidParameterException", "The service cannot be stopped while it is scaled above 0.")
    assert ecs.update_service(service=name, desiredCount=0)["service"]["desiredCount"] == 0
    assert stable(name)["runningCount"] == 0
    assert ecs.delete_service(service=name)["service"]["status"] in ("DRAINING", "INACTIVE")
    wait("services_inactive", services=[name])
    assert service(name)["status"] == "INACTIVE", "it stays describable"
    assert arn not in ecs.list_services(maxResults=100)["serviceArns"]
    assert refusal(ecs.update_service, service=name, desiredCount=1) == (
        "ServiceNotActiveException",
        "Service was not ACTIVE.",
    )
    again = ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=0)["service"]
    assert again["status"] == "ACTIVE", "the name is free again"
    ecs.delete_service(service=name)


def test_a_deployment_replaces_the_tasks_and_then_it_is_the_only_one():
    family = unique("family")
    name, _ = create(2, register(family=family))
    before = {t["taskArn"] for t in tasks_of(name)} if stable(name) else set()
    second = register(container(sh("exec sleep 2000")), family=family)
    updated = ecs.update_service(service=name, taskDefinition=family)["service"]
    assert updated["taskDefinition"] == second
    assert {d["status"] for d in updated["deployments"]} == {"PRIMARY", "ACTIVE"}
    now = stable(name)
    assert len(now["deployments"]) == 1 and now["deployments"][0]["taskDefinition"] == second
    after = tasks_of(name)
    assert {t["taskDefinitionArn"] for t in after} == {second}
    assert not before & {t["taskArn"] for t in after}
    old = ecs.describe_tasks(tasks=sorted(before))["tasks"]
    assert {t["stopCode"] for t in old} == {"ServiceSchedulerInitiated"}
    assert all(t["stoppedReason"].startswith("Scaling activity initiated by (deployment ecs-svc/") for t in old)

    # What Terraform does: the old revision is deregistered while the service still runs it.
    ecs.deregister_task_definition(taskDefinition=second)
    ecs.update_service(service=name, desiredCount=3)
    assert stable(name)["runningCount"] == 3
    forced = ecs.update_service(service=name, forceNewDeployment=True)["service"]
    assert len(forced["deployments"]) == 2
    stable(name)
    ecs.delete_service(service=name, force=True)


def test_a_task_that_ends_is_replaced():
    name, _ = create(1)
    stable(name)
    first = tasks_of(name)[0]["taskArn"]
    ecs.stop_task(task=first)
    until("another runs", lambda: [t for t in tasks_of(name) if t["taskArn"] != first and t["lastStatus"] == "RUNNING"])
    ecs.delete_service(service=name, force=True)


def test_what_is_absent_stays_and_what_is_empty_is_cleared():
    spread = [{"type": "spread", "field": "attribute:ecs.availability-zone"}]
    name, made = create(0, placementStrategy=spread, healthCheckGracePeriodSeconds=9)
    assert made["placementStrategy"] == spread
    kept = ecs.update_service(service=name, deploymentConfiguration={"maximumPercent": 150})["service"]
    assert (kept["placementStrategy"], kept["healthCheckGracePeriodSeconds"]) == (spread, 9)
    assert kept["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert kept["deploymentConfiguration"]["maximumPercent"] == 150
    assert not ecs.update_service(service=name, placementStrategy=[])["service"].get("placementStrategy")
    ecs.delete_service(service=name)


BAD = [
    ("create_service", {"serviceName": "a b"}, "InvalidParameterException", "Invalid service name"),
    ("create_service", {"taskDefinition": "nope"}, "ClientException", "TaskDefinition not found."),
    ("create_service", {"cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("create_service", {"desiredCount": -1}, "InvalidParameterException", "desiredCount"),
    ("create_service", {"desiredCount": 5001}, "InvalidParameterException", "5000"),
    ("create_service", {"clientToken": "x" * 37}, "InvalidParameterException", "36"),
    (
        "create_service",
        {"healthCheckGracePeriodSeconds": -1},
        "InvalidParameterException",
        "healthCheckGracePeriodSeconds",
    ),
    ("update_service", {"service": "nope"}, "ServiceNotFoundException", "Service not found."),
    ("update_service", {"service": "nope", "cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("delete_service", {"service": "nope"}, "ServiceNotFoundException", "Service not found."),
    ("delete_service", {"service": "nope", "cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("describe_services", {"services": []}, "InvalidParameterException", "Services cannot be empty."),
    ("describe_services", {"services": ["x"] * 11}, "InvalidParameterException", "10"),
    ("describe_services", {"services": ["x"], "cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("list_services", {"cluster": "nope"}, "ClusterNotFoundException", "Cluster not found."),
    ("list_services", {"nextToken": "nope"}, "InvalidParameterException", "nextToken"),
]


@pytest.mark.parametrize("call, request_, code, says", BAD, ids=[f"{call}-{says[:30]}" for call, _, _, says in BAD])
def test_what_is_wrong_is_refused(call, request_, code, says):
    if call == "create_service":
        base = {"serviceName": unique("service"), "desiredCount": 1}
        request_ = {**base, "taskDefinition": register(), **request_}
    is_code, message = refusal(getattr(ecs, call), **request_)
    assert is_code == code and says in message, (is_code, message)


def test_what_is_missing_is_a_failure():
    answer = ecs.describe_services(services=["nope"])
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/nope"
    assert (answer["services"], answer["failures"]) == ([], [{"arn": arn, "reason": "MISSING"}])


def test_the_same_service_again_is_the_same_and_another_is_refused():
    definition = register()
    name, made = create(1, definition)
    same = ecs.create_service(serviceName=name, taskDefinition=definition, desiredCount=1)["service"]
    assert same["createdAt"] == made["createdAt"]
    other = refusal(ecs.create_service, serviceName=name, taskDefinition=definition, desiredCount=2)
    assert other == ("InvalidParameterException", "Creation of service was not idempotent.")
    ecs.delete_service(service=name, force=True)


def test_tags_are_put_listed_and_removed():
    name, made = create(0)
    arn = made["serviceArn"]
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "3"}])
    ecs.untag_resource(resourceArn=arn, tagKeys=["a", "nope"])
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "3"}]
    nowhere = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/default/nope"
    for call, more in (
        ("tag_resource", {"tags": []}),
        ("untag_resource", {"tagKeys": []}),
        ("list_tags_for_resource", {}),
    ):
        code, _ = refusal(getattr(ecs, call), resourceArn=nowhere, **more)
        assert code in ("ResourceNotFoundException", "InvalidParameterException"), call
        code, _ = refusal(getattr(ecs, call), resourceArn="not-an-arn", **more)
        assert code == "InvalidParameterException", call
    ecs.delete_service(service=name)
    for what, on in (
        ("task definition", register()),
        ("cluster", ecs.describe_clusters()["clusters"][0]["clusterArn"]),
        ("instance", ecs.list_container_instances()["containerInstanceArns"][0]),
    ):
        ecs.tag_resource(resourceArn=on, tags=[{"key": "what", "value": what}])
        assert {"key": "what", "value": what} in ecs.list_tags_for_resource(resourceArn=on)["tags"]
        ecs.untag_resource(resourceArn=on, tagKeys=["what"])


def test_tags_are_propagated_to_tasks():
    name, _ = create(1, tags=[{"key": "of", "value": "service"}], propagateTags="SERVICE")
    stable(name)
    arn = ecs.list_tasks(serviceName=name)["taskArns"]
    assert ecs.describe_tasks(tasks=arn, include=["TAGS"])["tasks"][0]["tags"] == [{"key": "of", "value": "service"}]
    ecs.delete_service(service=name, force=True)


def test_what_is_stored_is_echoed_and_said():
    balancer = [
        {
            "targetGroupArn": "arn:aws:elasticloadbalancing:us-local-1:000000000000:targetgroup/x/0",
            "containerName": "main",
            "containerPort": 80,
        }
    ]
    definition = register(container(portMappings=[{"containerPort": 80}]))
    name, made = create(0, definition, loadBalancers=balancer)
    assert made["loadBalancers"] == balancer
    says = f"(service {name}) loadBalancers is stored but has no effect in this version"
    assert any(says in e["message"] for e in service(name)["events"]), service(name)["events"]
    ecs.delete_service(service=name)


@needs_member("DeploymentCircuitBreaker", "enable")
def test_the_circuit_breaker_rolls_back():
    family = unique("family")
    good = register(family=family)
    name, _ = create(1, good, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    completed(name)
    bad = register(container(["/no/such/program"]), family=family)
    ecs.update_service(service=name, taskDefinition=bad)
    until("it is rolled back", lambda: service(name)["taskDefinition"] == good)
    now = stable(name)
    assert {t["taskDefinitionArn"] for t in tasks_of(name)} == {good} and now["runningCount"] == 1
    messages = [e["message"] for e in now["events"]]
    assert any("circuit breaker" in m for m in messages) or any("rolling back" in m for m in messages), messages
    ecs.delete_service(service=name, force=True)


@needs_member("CreateServiceRequest", "schedulingStrategy", "DAEMON")
def test_a_daemon_runs_once_on_each_instance():
    name = unique("daemon")
    made = ecs.create_service(serviceName=name, taskDefinition=register(), schedulingStrategy="DAEMON")["service"]
    percents = made["deploymentConfiguration"]
    assert (percents["minimumHealthyPercent"], percents["maximumPercent"]) == (0, 100)
    until("it is known how many there are to be", lambda: service(name)["desiredCount"] == 3)
    now = stable(name)
    assert (now["schedulingStrategy"], now["runningCount"]) == ("DAEMON", 3)
    assert len({t["containerInstanceArn"] for t in tasks_of(name)}) == 3
    assert now["serviceArn"] in ecs.list_services(maxResults=100, schedulingStrategy="DAEMON")["serviceArns"]
    assert now["serviceArn"] not in ecs.list_services(maxResults=100, schedulingStrategy="REPLICA")["serviceArns"]

    drained = tasks_of(name)[0]["containerInstanceArn"]
    ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
    until("it left the instance", lambda: drained not in {t["containerInstanceArn"] for t in tasks_of(name)})
    assert service(name)["desiredCount"] == 2
    ecs.update_container_instances_state(containerInstances=[drained], status="ACTIVE")
    until("it is back", lambda: drained in {t["containerInstanceArn"] for t in tasks_of(name)})

    assert refusal(ecs.update_service, service=name, desiredCount=1) == (
        "InvalidParameterException",
        "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again",
    )
    ecs.delete_service(service=name)


@needs_member("CreateServiceRequest", "availabilityZoneRebalancing")
def test_zones_are_rebalanced():
    name, made = create(3)
    assert made["availabilityZoneRebalancing"] == "ENABLED"
    stable(name)

    def places():
        return {t["containerInstanceArn"] for t in tasks_of(name) if t["lastStatus"] == "RUNNING"}

    assert len(places()) == 3
    drained = sorted(places())[0]
    ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
    until("its task has moved", lambda: drained not in places() and len(tasks_of(name)) == 3)
    ecs.update_container_instances_state(containerInstances=[drained], status="ACTIVE")
    until("one is back", lambda: drained in places() and len(tasks_of(name)) == 3)
    messages = [e["message"] for e in service(name)["events"]]
    begun = [m for m in messages if m.startswith(f"(service {name}) is not AZ balanced with ")]
    assert begun and begun[0].endswith(". AZ Rebalancing in progress."), messages
    until(
        "it is said that it is done",
        lambda: any(f"(service {name}) is AZ balanced with 1 tasks in " in e["message"] for e in service(name)["events"]),
    )
    assert refusal(
        ecs.update_service,
        service=name,
        deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100},
    ) == ("InvalidParameterException", "AvailabilityZoneRebalancing does not support maximumPercent <= 100")
    ecs.delete_service(service=name, force=True)


@needs_member("DeploymentConfiguration", "earlySuccessCriteria")
def test_a_deployment_is_done_when_enough_tasks_are_healthy():
    criteria = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "DEFERRED"}
    name, made = create(2, deploymentConfiguration={"minimumHealthyPercent": 50, "earlySuccessCriteria": criteria})
    assert made["deploymentConfiguration"]["earlySuccessCriteria"] == criteria
    completed(name)
    refused = refusal(ecs.update_service, service=name, deploymentConfiguration={"minimumHealthyPercent": 60})
    assert refused[0] == "InvalidParameterException" and "earlySuccessCriteria.healthyPercent is 50" in refused[1]
    ecs.delete_service(service=name, force=True)


@needs("ListServiceDeployments", "DescribeServiceDeployments", "DescribeServiceRevisions")
def test_service_deployments_and_revisions():
    name, made = create(1)
    stable(name)
    listed = until(
        "the deployment has ended",
        lambda: [
            d for d in ecs.list_service_deployments(service=name)["serviceDeployments"] if d["status"] == "SUCCESSFUL"
        ],
    )
    arn = listed[0]["serviceDeploymentArn"]
    assert f":service-deployment/default/{name}/" in arn
    one = ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert (one["status"], one["serviceArn"]) == ("SUCCESSFUL", made["serviceArn"])
    revision = one["targetServiceRevision"]["arn"]
    found = ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"][0]
    assert (found["taskDefinition"], found["serviceArn"]) == (made["taskDefinition"], made["serviceArn"])
    missing = ecs.describe_service_deployments(serviceDeploymentArns=[arn[:-3] + "xxx"])
    assert missing["failures"][0]["reason"] == "MISSING"
    missing = ecs.describe_service_revisions(serviceRevisionArns=[revision[:-3] + "000"])
    assert missing["failures"][0]["reason"] == "MISSING"
    assert refusal(ecs.list_service_deployments, service="nope")[0] == "ServiceNotFoundException"
    assert refusal(ecs.list_service_deployments, service=name, cluster="nope")[0] == "ClusterNotFoundException"
    assert refusal(ecs.describe_service_deployments, serviceDeploymentArns=[])[0] == "InvalidParameterException"
    assert refusal(ecs.describe_service_revisions, serviceRevisionArns=[])[0] == "InvalidParameterException"
    ecs.delete_service(service=name, force=True)


@needs("StopServiceDeployment", "ListServiceDeployments")
def test_a_deployment_is_stopped_and_rolled_back():
    """What newer providers of Terraform do on an interrupt (sigint_rollback)."""
    family = unique("family")
    good = register(family=family)
    name, _ = create(1, good)
    completed(name)
    ecs.update_service(service=name, taskDefinition=register(container(["/no/such/program"]), family=family))
    of = {"service": name, "status": ["PENDING", "IN_PROGRESS"]}
    arn = ecs.list_service_deployments(**of)["serviceDeployments"][0]["serviceDeploymentArn"]
    assert ecs.stop_service_deployment(serviceDeploymentArn=arn, stopType="ROLLBACK")["serviceDeploymentArn"] == arn
    ended = ("ROLLBACK_SUCCESSFUL", "STOPPED")
    until(
        "it is rolled back",
        lambda: (
            ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]["status"] in ended
        ),
    )
    assert stable(name)["taskDefinition"] == good
    code, _ = refusal(ecs.stop_service_deployment, serviceDeploymentArn=arn[:-3] + "xxx")
    assert code == "ServiceDeploymentNotFoundException"
    ecs.delete_service(service=name, force=True)


@needs("ListServicesByNamespace")
def test_services_by_namespace():
    namespace = unique("namespace")
    name, made = create(0, serviceConnectConfiguration={"enabled": True, "namespace": namespace})
    assert ecs.list_services_by_namespace(namespace=namespace)["serviceArns"] == [made["serviceArn"]]
    ecs.delete_service(service=name)
    code, _ = refusal(ecs.list_services_by_namespace, namespace="nope")
    assert code == "NamespaceNotFoundException"


@needs("ContinueServiceDeployment", "ListServiceDeployments")
def test_no_deployment_waits_for_a_hook():
    name, _ = create(0)
    arn = ecs.list_service_deployments(service=name)["serviceDeployments"][0]["serviceDeploymentArn"]
    code, message = refusal(ecs.continue_service_deployment, serviceDeploymentArn=arn, hookId="hook")
    assert code in ("ClientException", "InvalidParameterException") and "hook" in message
    code, _ = refusal(ecs.continue_service_deployment, serviceDeploymentArn=arn[:-3] + "xxx", hookId="hook")
    assert code == "ServiceDeploymentNotFoundException"
    ecs.delete_service(service=name)
