use seawall_model::ErrorCode;
use serde_json::{Value, json};

use crate::testing::{TestCluster, ids_of};

fn tags(cluster: &mut TestCluster, arn: &str) -> Value {
    cluster.must("ListTagsForResource", json!({"resourceArn": arn}))["tags"].clone()
}

#[test]
fn every_resource_is_tagged_by_its_arn() {
    let mut cluster = TestCluster::new();
    let instance = cluster.instance("i-1", "a");
    cluster.register("web", 10, 10);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0}));
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let base = "arn:aws:ecs:us-local-1:000000000000";
    let arns = [
        format!("{base}:cluster/default"),
        cluster.instance_arn(instance),
        format!("{base}:task/default/{task}"),
        format!("{base}:service/default/web"),
        format!("{base}:task-definition/web:1"),
    ];
    for arn in &arns {
        cluster.must(
            "TagResource",
            json!({"resourceArn": arn, "tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}),
        );
        cluster.must("TagResource", json!({"resourceArn": arn, "tags": [{"key": "a", "value": "3"}]}));
        assert_eq!(tags(&mut cluster, arn), json!([{"key": "a", "value": "3"}, {"key": "b", "value": "2"}]), "{arn}");
        cluster.must("UntagResource", json!({"resourceArn": arn, "tagKeys": ["a", "nope"]}));
        assert_eq!(tags(&mut cluster, arn), json!([{"key": "b", "value": "2"}]), "{arn}");
    }
}

#[test]
fn own_tags_are_for_what_they_steer() {
    let mut cluster = TestCluster::new();
    cluster.register("web", 10, 10);
    let tags = |value: &str| json!([{"key": "seawall:healthy-after", "value": value}]);
    let web = |value| json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0, "tags": tags(value)});
    let says = |error: seawall_model::ApiError| (error.code, error.message);
    let refused = |what: &str| (ErrorCode::InvalidParameter, format!("Tag seawall:healthy-after: {what}"));
    let (bad, elsewhere) = ("'x' is not 0 to 3600 seconds.", "it does something on services only.");
    assert_eq!(says(cluster.refused("CreateService", web("x"))), refused(bad));
    cluster.must("CreateService", web("40"));
    let base = "arn:aws:ecs:us-local-1:000000000000";
    let tag = |on: &str, value: &str| json!({"resourceArn": format!("{base}:{on}"), "tags": tags(value)});
    cluster.must("TagResource", tag("service/default/web", "10"));
    assert_eq!(says(cluster.refused("TagResource", tag("service/default/web", "x"))), refused(bad));
    assert_eq!(says(cluster.refused("TagResource", tag("cluster/default", "10"))), refused(elsewhere));
    let error = cluster.refused("CreateCluster", json!({"clusterName": "other", "tags": tags("10")}));
    assert_eq!(says(error), refused(elsewhere));
}

#[test]
fn a_priority_is_for_services_and_tasks() {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    let tags = |value: &str| json!([{"key": "seawall:priority", "value": value}]);
    let refused = cluster.refused(
        "RegisterTaskDefinition",
        json!({"family": "web", "containerDefinitions": [{"name": "main", "image": "busybox", "memory": 8}], "tags": tags("7")}),
    );
    assert_eq!(refused.message, "Tag seawall:priority: it does something on services and tasks only.");
    cluster.register("web", 10, 10);
    let run = |value: &str| json!({"taskDefinition": "web", "tags": tags(value)});
    assert_eq!(cluster.refused("RunTask", run("101")).message, "Tag seawall:priority: '101' is not 0 to 100 points.");
    let started = cluster.must("RunTask", run("7"));
    let arn = started["tasks"][0]["taskArn"].clone();
    cluster.must("TagResource", json!({"resourceArn": arn, "tags": tags("8")}));
    let refused = cluster
        .refused("TagResource", json!({"resourceArn": arn, "tags": [{"key": "seawall:healthy-after", "value": "8"}]}));
    assert_eq!(refused.message, "Tag seawall:healthy-after: it does something on services only.");
    let task = cluster.state.tasks.iter().next().unwrap().1;
    assert_eq!(cluster.state.priority_of_task(task), 8);
}

#[test]
fn limits_and_unknown_resources_are_refused() {
    let mut cluster = TestCluster::new();
    let arn = "arn:aws:ecs:us-local-1:000000000000:cluster/default";
    let fifty: Vec<Value> = (0..50).map(|n| json!({"key": format!("k{n}"), "value": ""})).collect();
    cluster.must("TagResource", json!({"resourceArn": arn, "tags": fifty}));
    let error = cluster.refused("TagResource", json!({"resourceArn": arn, "tags": [{"key": "one-more", "value": ""}]}));
    assert_eq!(error.code, ErrorCode::LimitExceeded);
    let long = "x".repeat(129);
    cluster.refused("TagResource", json!({"resourceArn": arn, "tags": [{"key": long, "value": ""}]}));
    cluster.refused("TagResource", json!({"resourceArn": arn, "tags": [{"key": "aws:x", "value": ""}]}));
    let unknown = "arn:aws:ecs:us-local-1:000000000000:task-definition/nope:1";
    // ECS declares ResourceNotFoundException for the writes only.
    let tags = json!([{"key": "a", "value": ""}]);
    let error = cluster.refused("TagResource", json!({"resourceArn": unknown, "tags": tags}));
    assert_eq!(error.code, ErrorCode::ResourceNotFound);
    let error = cluster.refused("ListTagsForResource", json!({"resourceArn": unknown}));
    assert_eq!(error.code, ErrorCode::InvalidParameter);
    let error = cluster.refused("ListTagsForResource", json!({"resourceArn": "default"}));
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::InvalidParameter, "Invalid arn syntax: default"));
}
