use seawall_model::ErrorCode;
use serde_json::json;

use crate::testing::TestCluster;

#[test]
fn default_exists_and_a_new_one_is_echoed() {
    let mut cluster = TestCluster::new();
    assert_eq!(
        cluster.must("DescribeClusters", json!({}))["clusters"][0]["clusterArn"],
        "arn:aws:ecs:us-local-1:000000000000:cluster/default"
    );
    let made = cluster.must("CreateCluster", json!({"clusterName": "prod", "tags": [{"key": "a", "value": "b"}]}));
    assert_eq!(made["cluster"]["status"], "ACTIVE");
    assert_eq!(made["cluster"]["tags"], json!([{"key": "a", "value": "b"}]));
    let again = cluster.must("CreateCluster", json!({"clusterName": "prod"}));
    assert_eq!(again["cluster"]["clusterArn"], made["cluster"]["clusterArn"], "creating it again finds it");
    assert_eq!(cluster.must("ListClusters", json!({}))["clusterArns"].as_array().unwrap().len(), 2);
}

#[test]
fn an_unknown_cluster_is_a_failure_to_describe_and_an_error_elsewhere() {
    let mut cluster = TestCluster::new();
    let answer = cluster.must("DescribeClusters", json!({"clusters": ["nope", "default"]}));
    assert_eq!(answer["clusters"].as_array().unwrap().len(), 1);
    assert_eq!(
        answer["failures"],
        json!([{"arn": "arn:aws:ecs:us-local-1:000000000000:cluster/nope", "reason": "MISSING"}])
    );
    for (operation, input) in [
        ("ListTasks", json!({})),
        ("ListServices", json!({})),
        ("ListContainerInstances", json!({})),
        ("DescribeTasks", json!({"tasks": ["x"]})),
        ("DescribeServices", json!({"services": ["x"]})),
        ("RunTask", json!({"taskDefinition": "web"})),
        ("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1})),
        ("UpdateService", json!({"service": "web"})),
        ("DeleteService", json!({"service": "web"})),
        ("StopTask", json!({"task": "x"})),
        ("DeleteCluster", json!({})),
        ("ListAttributes", json!({"targetType": "container-instance"})),
    ] {
        let mut input = input;
        input["cluster"] = "nope".into();
        let error = cluster.refused(operation, input);
        assert_eq!(
            (error.code, error.message.as_str()),
            (ErrorCode::ClusterNotFound, "Cluster not found."),
            "{operation}"
        );
    }
}

#[test]
fn a_name_or_an_arn_of_something_else_is_refused() {
    let mut cluster = TestCluster::new();
    assert!(cluster.refused("CreateCluster", json!({"clusterName": "a b"})).message.contains("Invalid cluster name"));
    let task = "arn:aws:ecs:us-local-1:000000000000:task/default/0123456789abcdef0123456789abcdef";
    assert!(cluster.refused("ListTasks", json!({"cluster": task})).message.contains("is not a cluster"));
    let elsewhere = "arn:aws:ecs:eu-west-1:000000000000:cluster/default";
    assert_eq!(cluster.refused("ListTasks", json!({"cluster": elsewhere})).code, ErrorCode::InvalidParameter);
}

#[test]
fn a_cluster_is_deleted_once_it_is_empty() {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    let message = |cluster: &mut TestCluster| {
        let error = cluster.refused("DeleteCluster", json!({"cluster": "default"}));
        (error.code, error.message)
    };
    assert_eq!(
        message(&mut cluster),
        (
            ErrorCode::ClusterContainsContainerInstances,
            "The Cluster cannot be deleted while Container Instances are active or draining.".into()
        )
    );
    cluster.register("web", 100, 100);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
    let (code, text) = message(&mut cluster);
    assert_eq!(
        (code, text.as_str()),
        (ErrorCode::ClusterContainsServices, "The Cluster cannot be deleted while Services are active.")
    );
    cluster.must("CreateCluster", json!({"clusterName": "empty"}));
    let deleted = cluster.must("DeleteCluster", json!({"cluster": "empty"}));
    assert_eq!(deleted["cluster"]["status"], "INACTIVE");
    let shown = cluster.must("DescribeClusters", json!({"clusters": ["empty"]}));
    assert_eq!(shown["clusters"][0]["status"], "INACTIVE", "it stays describable");
    assert_eq!(cluster.must("ListClusters", json!({}))["clusterArns"].as_array().unwrap().len(), 1);
    assert_eq!(cluster.refused("DeleteCluster", json!({"cluster": "empty"})).code, ErrorCode::ClusterNotFound);
}

#[test]
fn what_an_update_leaves_out_stays() {
    let mut cluster = TestCluster::new();
    let setting = |value: &str| json!([{"name": "containerInsights", "value": value}]);
    cluster.must(
        "CreateCluster",
        json!({"clusterName": "prod", "settings": setting("enabled"), "serviceConnectDefaults": {"namespace": "ns"},
               "configuration": {"executeCommandConfiguration": {"logging": "DEFAULT"}}}),
    );
    let described = |cluster: &mut TestCluster| {
        let include = json!({"clusters": ["prod"], "include": ["SETTINGS", "CONFIGURATIONS"]});
        cluster.must("DescribeClusters", include)["clusters"][0].clone()
    };
    assert_eq!(described(&mut cluster)["settings"], setting("enabled"));
    let updated = cluster.must("UpdateClusterSettings", json!({"cluster": "prod", "settings": setting("enhanced")}));
    assert_eq!(updated["cluster"]["settings"], setting("enhanced"));
    let logging = json!({"executeCommandConfiguration": {"logging": "NONE"}});
    cluster.must("UpdateCluster", json!({"cluster": "prod", "configuration": logging}));
    let now = described(&mut cluster);
    assert_eq!(now["configuration"], logging);
    assert_eq!(now["settings"], setting("enhanced"));
    assert_eq!(now["serviceConnectDefaults"]["namespace"], "ns");
    let plain = cluster.must("DescribeClusters", json!({"clusters": ["prod"]}));
    assert!(plain["clusters"][0].get("configuration").is_none());
}
