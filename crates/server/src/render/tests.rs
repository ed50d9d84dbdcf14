//! Golden answers: one of each resource, as ECS's JSON has it.

use serde_json::{Value, json};

use crate::testing::{TestCluster, ids_of};

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "us-local-1a");
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "web", "tags": [{"key": "team", "value": "x"}], "containerDefinitions": [
            {"name": "main", "image": "nginx:1", "cpu": 100, "memory": 300, "memoryReservation": 200,
             "portMappings": [{"containerPort": 80}], "environment": [{"name": "A", "value": "b"}]},
            {"name": "side", "image": "busybox", "memory": 50, "essential": false, "links": ["main"]}]}),
    );
    cluster
}

fn golden(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn a_task() {
    let mut cluster = cluster();
    let overrides = json!({"containerOverrides": [{"name": "main", "command": ["run"]}]});
    let answer = cluster.must(
        "RunTask",
        json!({"taskDefinition": "web", "startedBy": "me", "overrides": overrides, "propagateTags": "TASK_DEFINITION"}),
    );
    insta::assert_snapshot!("task_pending", golden(&answer["tasks"][0]));
    let task = ids_of(&answer)[0];
    cluster.now_ms += 1000;
    cluster.runs(task);
    cluster.now_ms += 1000;
    cluster.ends(task, 3);
    let shown = cluster.must("DescribeTasks", json!({"tasks": [task.to_string()], "include": ["TAGS"]}));
    insta::assert_snapshot!("task_stopped", golden(&shown["tasks"][0]));
}

#[test]
fn a_service() {
    let mut cluster = cluster();
    cluster.must(
        "CreateService",
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "tags": [{"key": "team", "value": "x"}]}),
    );
    cluster.reconcile();
    let shown = cluster.must("DescribeServices", json!({"services": ["web"], "include": ["TAGS"]}));
    insta::assert_snapshot!("service", golden(&shown["services"][0]));
}

#[test]
fn an_instance() {
    let mut cluster = cluster();
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    cluster.runs(task);
    let arn = cluster.must("ListContainerInstances", json!({}))["containerInstanceArns"].clone();
    let shown = cluster.must(
        "DescribeContainerInstances",
        json!({"containerInstances": arn, "include": ["TAGS", "CONTAINER_INSTANCE_HEALTH"]}),
    );
    insta::assert_snapshot!("instance", golden(&shown["containerInstances"][0]));
}

#[test]
fn a_task_definition() {
    let mut cluster = cluster();
    let shown = cluster.must("DescribeTaskDefinition", json!({"taskDefinition": "web", "include": ["TAGS"]}));
    insta::assert_snapshot!("task_definition", golden(&shown));
}

#[test]
fn a_cluster() {
    let mut cluster = cluster();
    cluster.must("RunTask", json!({"taskDefinition": "web"}));
    let shown = cluster.must("DescribeClusters", json!({"include": ["SETTINGS", "STATISTICS", "TAGS"]}));
    insta::assert_snapshot!("cluster", golden(&shown["clusters"][0]));
}
