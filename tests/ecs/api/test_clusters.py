from support.clients import ACCOUNT, REGION, ecs, refusal
from support.table import needs, needs_member
from support.work import register, unique, wait


def arn(name):
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{name}"


def test_a_cluster_is_made_described_listed_and_deleted():
    name = unique("cluster")
    made = ecs.create_cluster(clusterName=name, tags=[{"key": "team", "value": "x"}])["cluster"]
    assert (made["clusterArn"], made["clusterName"], made["status"]) == (arn(name), name, "ACTIVE")
    again = ecs.create_cluster(clusterName=name)["cluster"]
    assert again["clusterArn"] == made["clusterArn"], "the name is taken by what was asked for"
    bare = ecs.describe_clusters(clusters=[name])["clusters"][0]
    counts = [
        bare[f"{what}Count"]
        for what in ("runningTasks", "pendingTasks", "activeServices", "registeredContainerInstances")
    ]
    assert counts == [0, 0, 0, 0]
    assert "TAGS" not in bare and bare.get("tags", []) == [], "only on request"
    full = ecs.describe_clusters(
        clusters=[arn(name)], include=["TAGS", "SETTINGS", "CONFIGURATIONS", "STATISTICS", "ATTACHMENTS"]
    )
    full = full["clusters"][0]
    assert full["tags"] == [{"key": "team", "value": "x"}]
    assert full["settings"] == [{"name": "containerInsights", "value": "disabled"}]
    assert arn(name) in ecs.list_clusters(maxResults=100)["clusterArns"]
    gone = ecs.delete_cluster(cluster=name)["cluster"]
    assert (gone["clusterName"], gone["status"]) == (name, "INACTIVE")
    assert arn(name) not in ecs.list_clusters(maxResults=100)["clusterArns"]


def test_the_default_cluster_is_meant_where_none_is_named():
    answer = ecs.describe_clusters()["clusters"]
    assert [cluster["clusterName"] for cluster in answer] == ["default"]
    assert answer[0]["registeredContainerInstancesCount"] == 3


def test_what_is_not_there_is_a_failure_and_what_is_wrong_is_refused():
    answer = ecs.describe_clusters(clusters=["nope", "default"])
    assert [cluster["clusterName"] for cluster in answer["clusters"]] == ["default"]
    assert answer["failures"] == [{"arn": arn("nope"), "reason": "MISSING"}]
    assert refusal(ecs.create_cluster, clusterName="a b")[0] == "InvalidParameterException"
    assert refusal(ecs.create_cluster, clusterName="x" * 256)[0] == "InvalidParameterException"
    assert refusal(ecs.delete_cluster, cluster="nope") == ("ClusterNotFoundException", "Cluster not found.")
    assert refusal(ecs.describe_clusters, clusters=["default"] * 101)[0] == "InvalidParameterException"
    assert refusal(ecs.list_clusters, maxResults=101)[0] == "InvalidParameterException"
    assert refusal(ecs.list_clusters, nextToken="rubbish")[0] == "InvalidParameterException"


def test_identifiers_of_another_region_or_account_are_refused():
    for other, what in [
        ("arn:aws:ecs:eu-west-1:000000000000:cluster/default", "eu-west-1"),
        ("arn:aws:ecs:us-local-1:123456789012:cluster/default", "123456789012"),
    ]:
        code, message = refusal(ecs.list_tasks, cluster=other)
        assert code == "InvalidParameterException" and what in message, message
    assert (
        "Your accessing region is us-local-1"
        in refusal(ecs.list_tasks, cluster="arn:aws:ecs:eu-west-1:000000000000:cluster/default")[1]
    )


def test_a_cluster_with_something_in_it_is_not_deleted():
    name = unique("cluster")
    ecs.create_cluster(clusterName=name)
    ecs.create_service(cluster=name, serviceName="s", taskDefinition=register(), desiredCount=1)
    code, message = refusal(ecs.delete_cluster, cluster=name)
    assert code == "ClusterContainsServicesException"
    assert message == "The Cluster cannot be deleted while Services are active."
    ecs.delete_service(cluster=name, service="s", force=True)
    wait("services_inactive", cluster=name, services=["s"])
    ecs.delete_cluster(cluster=name)


@needs("UpdateCluster", "UpdateClusterSettings")
def test_a_cluster_is_updated():
    name = unique("cluster")
    ecs.create_cluster(clusterName=name)
    settings = [{"name": "containerInsights", "value": "disabled"}]
    assert ecs.update_cluster(cluster=name, settings=settings)["cluster"]["clusterName"] == name
    assert ecs.update_cluster_settings(cluster=name, settings=settings)["cluster"]["settings"] == settings
    for call in (ecs.update_cluster, ecs.update_cluster_settings):
        assert refusal(call, cluster="nope", settings=settings) == ("ClusterNotFoundException", "Cluster not found.")
    ecs.delete_cluster(cluster=name)
    assert refusal(ecs.update_cluster, cluster=name)[0] == "ClusterNotFoundException"


GROUP = "arn:aws:autoscaling:us-local-1:000000000000:autoScalingGroup:0:autoScalingGroupName/machines"


@needs(
    "CreateCapacityProvider",
    "DescribeCapacityProviders",
    "UpdateCapacityProvider",
    "DeleteCapacityProvider",
    "PutClusterCapacityProviders",
)
def test_capacity_providers():
    name = unique("provider")
    made = ecs.create_capacity_provider(
        name=name, autoScalingGroupProvider={"autoScalingGroupArn": GROUP}, tags=[{"key": "a", "value": "b"}]
    )["capacityProvider"]
    assert (made["name"], made["status"]) == (name, "ACTIVE")
    assert made["capacityProviderArn"] == f"arn:aws:ecs:{REGION}:{ACCOUNT}:capacity-provider/{name}"
    found = ecs.describe_capacity_providers(capacityProviders=[name], include=["TAGS"])["capacityProviders"][0]
    assert found["tags"] == [{"key": "a", "value": "b"}]
    assert found["autoScalingGroupProvider"]["autoScalingGroupArn"] == GROUP
    everything = ecs.describe_capacity_providers()["capacityProviders"]
    assert {"FARGATE", "FARGATE_SPOT", name} <= {provider["name"] for provider in everything}
    assert refusal(ecs.describe_capacity_providers, cluster="nope")[0] == "ClusterNotFoundException"
    missing = ecs.describe_capacity_providers(capacityProviders=["nope"])
    assert missing["failures"][0]["reason"] == "MISSING"

    cluster = unique("cluster")
    ecs.create_cluster(clusterName=cluster)
    strategy = [{"capacityProvider": name, "weight": 1, "base": 2}]
    put = ecs.put_cluster_capacity_providers(
        cluster=cluster, capacityProviders=[name], defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert (put["capacityProviders"], put["defaultCapacityProviderStrategy"]) == ([name], strategy)
    assert (
        refusal(
            ecs.put_cluster_capacity_providers, cluster="nope", capacityProviders=[], defaultCapacityProviderStrategy=[]
        )[0]
        == "ClusterNotFoundException"
    )
    assert refusal(ecs.delete_capacity_provider, capacityProvider=name)[0] in (
        "ClientException",
        "ResourceInUseException",
        "InvalidParameterException",
    )
    ecs.put_cluster_capacity_providers(cluster=cluster, capacityProviders=[], defaultCapacityProviderStrategy=[])

    updated = ecs.update_capacity_provider(
        name=name, autoScalingGroupProvider={"managedTerminationProtection": "DISABLED"}
    )["capacityProvider"]
    assert updated["updateStatus"] == "UPDATE_COMPLETE"
    ecs.delete_capacity_provider(capacityProvider=name)
    gone = ecs.describe_capacity_providers(capacityProviders=[name])
    assert not [p for p in gone["capacityProviders"] if p["status"] == "ACTIVE"]
    for call, named in [
        (ecs.update_capacity_provider, {"name": "nope"}),
        (ecs.delete_capacity_provider, {"capacityProvider": "nope"}),
    ]:
        assert refusal(call, **named)[0] in ("ClientException", "InvalidParameterException")
    assert refusal(ecs.delete_capacity_provider, capacityProvider="FARGATE")[0] in (
        "ClientException",
        "InvalidParameterException",
    )
    ecs.delete_cluster(cluster=cluster)


@needs("PutAccountSetting", "PutAccountSettingDefault", "ListAccountSettings", "DeleteAccountSetting")
def test_account_settings():
    before = {s["name"]: s["value"] for s in pages_of_settings(effectiveSettings=True)}
    assert before["taskLongArnFormat"] == "enabled"
    set_ = ecs.put_account_setting(name="containerInsights", value="disabled")["setting"]
    assert (set_["name"], set_["value"]) == ("containerInsights", "disabled")
    ecs.put_account_setting_default(name="containerInsights", value="disabled")
    assert "containerInsights" in {s["name"] for s in pages_of_settings()}
    assert ecs.delete_account_setting(name="containerInsights")["setting"]["name"] == "containerInsights"
    assert refusal(ecs.put_account_setting, name="nope", value="enabled")[0] == "InvalidParameterException"
    assert refusal(ecs.put_account_setting_default, name="nope", value="enabled")[0] == "InvalidParameterException"
    assert refusal(ecs.delete_account_setting, name="nope")[0] == "InvalidParameterException"
    assert refusal(ecs.list_account_settings, maxResults=101)[0] == "InvalidParameterException"


def pages_of_settings(**of):
    pages = next(ecs).get_paginator("list_account_settings").paginate(**of)
    return [setting for page in pages for setting in page["settings"]]


@needs_member("CreateClusterRequest", "capacityProviders")
def test_a_cluster_is_made_with_its_capacity_providers():
    name = unique("cluster")
    strategy = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}]
    made = ecs.create_cluster(
        clusterName=name, capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=strategy
    )["cluster"]
    assert (made["capacityProviders"], made["defaultCapacityProviderStrategy"]) == (["FARGATE"], strategy)
    ecs.delete_cluster(cluster=name)


def test_the_cluster_of_the_instances_is_not_deleted():
    code, message = refusal(ecs.delete_cluster, cluster="default")
    assert (code, message) in (
        (
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        ),
        ("ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."),
    )
