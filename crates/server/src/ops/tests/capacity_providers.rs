use seawall_model::ErrorCode;
use serde_json::json;

use crate::testing::TestCluster;

const GROUP: &str = "arn:aws:autoscaling:us-local-1:000000000000:autoScalingGroup:1:autoScalingGroupName/g";

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.must(
        "CreateCapacityProvider",
        json!({"name": "big", "autoScalingGroupProvider": {"autoScalingGroupArn": GROUP},
               "tags": [{"key": "a", "value": "b"}]}),
    );
    cluster
}

#[test]
fn a_provider_is_made_with_ecs_defaults_described_changed_and_deleted() {
    let mut cluster = cluster();
    let described = cluster.must("DescribeCapacityProviders", json!({"capacityProviders": ["big", "none"]}));
    let provider = &described["capacityProviders"][0];
    assert_eq!(provider["capacityProviderArn"], "arn:aws:ecs:us-local-1:000000000000:capacity-provider/big");
    assert_eq!(provider["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"], 100);
    assert_eq!(provider["autoScalingGroupProvider"]["managedDraining"], "ENABLED");
    assert!(provider.get("tags").is_none());
    assert_eq!(described["failures"][0]["reason"], "MISSING");
    let all = cluster.must("DescribeCapacityProviders", json!({}));
    let names: Vec<_> = all["capacityProviders"].as_array().unwrap().iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names, ["FARGATE", "FARGATE_SPOT", "big"]);

    let scaling = json!({"managedScaling": {"status": "ENABLED", "targetCapacity": 80}});
    let updated = cluster.must("UpdateCapacityProvider", json!({"name": "big", "autoScalingGroupProvider": scaling}));
    let provider = &updated["capacityProvider"]["autoScalingGroupProvider"];
    assert_eq!(provider["managedScaling"]["targetCapacity"], 80);
    assert_eq!(provider["autoScalingGroupArn"], GROUP);

    let arn = "arn:aws:ecs:us-local-1:000000000000:capacity-provider/big";
    cluster.must("TagResource", json!({"resourceArn": arn, "tags": [{"key": "c", "value": "d"}]}));
    assert_eq!(cluster.must("ListTagsForResource", json!({"resourceArn": arn}))["tags"].as_array().unwrap().len(), 2);

    let gone = cluster.must("DeleteCapacityProvider", json!({"capacityProvider": arn}));
    assert_eq!(gone["capacityProvider"]["updateStatus"], "DELETE_COMPLETE");
    let described = cluster.must("DescribeCapacityProviders", json!({"capacityProviders": ["big"]}));
    assert_eq!(described["failures"][0]["reason"], "MISSING");
}

#[test]
fn a_cluster_has_what_it_was_given_and_a_provider_in_use_stays() {
    let mut cluster = cluster();
    let strategy = json!([{"capacityProvider": "big", "weight": 1}]);
    let put = cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["big", "FARGATE"], "defaultCapacityProviderStrategy": strategy}),
    );
    assert_eq!(put["cluster"]["capacityProviders"], json!(["big", "FARGATE"]));
    assert_eq!(put["cluster"]["defaultCapacityProviderStrategy"][0]["base"], 0);
    let refused = cluster.refused("DeleteCapacityProvider", json!({"capacityProvider": "big"}));
    assert!(refused.message.contains("in use"), "{}", refused.message);
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": []}),
    );
    cluster.must("DeleteCapacityProvider", json!({"capacityProvider": "big"}));
}

#[test]
fn what_could_not_work_is_refused() {
    let mut cluster = cluster();
    let put = |strategy: serde_json::Value| json!({"cluster": "default", "capacityProviders": ["big", "FARGATE"], "defaultCapacityProviderStrategy": strategy});
    for strategy in [
        json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]),
        json!([{"capacityProvider": "big", "weight": 0}]),
        json!([{"capacityProvider": "big", "weight": 1, "base": 1}, {"capacityProvider": "FARGATE", "base": 1}]),
        json!([{"capacityProvider": "big", "weight": 1}, {"capacityProvider": "big", "weight": 1}]),
    ] {
        let refused = cluster.refused("PutClusterCapacityProviders", put(strategy));
        assert_eq!(refused.code, ErrorCode::InvalidParameter);
    }
    let group = json!({"autoScalingGroupArn": GROUP});
    for name in ["big", "ecs-own", "fargate-like", "a b"] {
        let input = json!({"name": name, "autoScalingGroupProvider": group});
        assert_eq!(cluster.refused("CreateCapacityProvider", input).code, ErrorCode::Client, "{name}");
    }
    assert!(
        cluster.refused("DeleteCapacityProvider", json!({"capacityProvider": "FARGATE"})).message.contains("reserved")
    );
    let managed = json!({"name": "m", "managedInstancesProvider": {"infrastructureRoleArn": "r"}});
    assert_eq!(cluster.refused("CreateCapacityProvider", managed).code, ErrorCode::UnsupportedFeature);
}

#[test]
fn a_service_keeps_the_strategy_that_it_asks_for() {
    let mut cluster = cluster();
    cluster.instance("i-1", "a");
    cluster.register("web", 100, 100);
    let strategy = json!([{"capacityProvider": "big", "weight": 1}]);
    let create = |strategy: &serde_json::Value| json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "capacityProviderStrategy": strategy});
    let refused = cluster.refused("CreateService", create(&strategy));
    assert!(refused.message.contains("not associated with the cluster"), "{}", refused.message);
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["big"], "defaultCapacityProviderStrategy": []}),
    );
    let made = cluster.must("CreateService", create(&strategy));
    assert_eq!(
        made["service"]["capacityProviderStrategy"],
        json!([{"capacityProvider": "big", "weight": 1, "base": 0}])
    );
    assert!(made["service"].get("launchType").is_none());
    cluster.reconcile();
    let task = cluster.must("ListTasks", json!({"serviceName": "web"}))["taskArns"][0].clone();
    assert_eq!(cluster.must("DescribeTasks", json!({"tasks": [task]}))["tasks"][0]["launchType"], "EC2");
    let drop = json!({"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": []});
    assert_eq!(cluster.refused("PutClusterCapacityProviders", drop).code, ErrorCode::ResourceInUse);
    let mut both = create(&strategy);
    both["launchType"] = json!("EC2");
    both["serviceName"] = json!("other");
    assert_eq!(cluster.refused("CreateService", both).code, ErrorCode::InvalidParameter);
    let run = json!({"taskDefinition": "web", "capacityProviderStrategy": strategy});
    assert_eq!(cluster.must("RunTask", run)["tasks"].as_array().unwrap().len(), 1);
}
