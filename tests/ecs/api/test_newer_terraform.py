"""What providers of Terraform send that are newer than the one that the tests run, call by call."""

from support.clients import ecs
from support.table import needs
from support.work import register, service, unique, wait


def create(**members):
    name = unique("service")
    made = ecs.create_service(serviceName=name, taskDefinition=register(), desiredCount=1, launchType="EC2", **members)
    return name, made["service"]


def test_what_a_service_says_of_its_rollouts_is_read_back():
    """deployment_configuration { strategy, bake_time_in_minutes }, deployment_circuit_breaker switched off, no alarms."""
    asked = {
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
        "minimumHealthyPercent": 50,
        "maximumPercent": 200,
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "alarms": {"alarmNames": [], "enable": False, "rollback": False},
        "lifecycleHooks": [],
    }
    name, made = create(deploymentConfiguration=asked, deploymentController={"type": "ECS"})
    for told in (made, service(name, include=["TAGS"])):
        is_ = told["deploymentConfiguration"]
        assert (is_["strategy"], is_["minimumHealthyPercent"], is_["maximumPercent"]) == ("ROLLING", 50, 200)
        assert is_["deploymentCircuitBreaker"]["enable"] is False
        assert told["deploymentController"] == {"type": "ECS"}
    # Switched off by an empty structure, as the provider does where the block is taken out.
    ecs.update_service(
        service=name, deploymentConfiguration={"deploymentCircuitBreaker": {"enable": False, "rollback": False}}
    )
    ecs.delete_service(service=name, force=True)


def test_rebalancing_is_read_back():
    for asked in ("DISABLED", "ENABLED"):
        name, made = create(availabilityZoneRebalancing=asked)
        assert made["availabilityZoneRebalancing"] == service(name)["availabilityZoneRebalancing"] == asked
        other = {"DISABLED": "ENABLED", "ENABLED": "DISABLED"}[asked]
        assert ecs.update_service(service=name, desiredCount=1)["service"]["availabilityZoneRebalancing"] == asked
        updated = ecs.update_service(service=name, availabilityZoneRebalancing=other)["service"]
        assert updated["availabilityZoneRebalancing"] == other
        ecs.delete_service(service=name, force=True)


def test_force_delete():
    name, _ = create()
    wait("services_stable", services=[name])
    assert ecs.delete_service(service=name, force=True)["service"]["status"] in ("DRAINING", "INACTIVE")
    wait("services_inactive", services=[name])


def test_what_is_not_used_is_sent_empty():
    """Lists and switches of blocks that a file does not have."""
    name, made = create(
        loadBalancers=[],
        serviceRegistries=[],
        placementConstraints=[],
        placementStrategy=[],
        capacityProviderStrategy=[],
        volumeConfigurations=[],
        vpcLatticeConfigurations=[],
        enableExecuteCommand=False,
        enableECSManagedTags=False,
        propagateTags="NONE",
        healthCheckGracePeriodSeconds=0,
    )
    assert (made["loadBalancers"], made["serviceRegistries"], made["placementConstraints"]) == ([], [], [])
    assert made["enableExecuteCommand"] is False and made["enableECSManagedTags"] is False
    ecs.delete_service(service=name, force=True)


@needs("ListServiceDeployments", "DescribeServiceDeployments")
def test_the_deployment_that_is_waited_for():
    """wait_for_steady_state follows the primary deployment, and since 6.x the service deployment with it."""
    name, made = create()
    wait("services_stable", services=[name])
    listed = ecs.list_service_deployments(service=name, cluster=made["clusterArn"])["serviceDeployments"]
    assert len(listed) == 1
    found = ecs.describe_service_deployments(serviceDeploymentArns=[listed[0]["serviceDeploymentArn"]])
    assert found["serviceDeployments"][0]["status"] in ("IN_PROGRESS", "SUCCESSFUL")
    ecs.delete_service(service=name, force=True)
