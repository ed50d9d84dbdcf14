//! Golden answers: one of each resource, as ECS's JSON has it.

use seawall_model::ServiceId;
use seawall_proto::internal::v1::{
    DisconnectInstances, Health, PortBinding, StopTasks, TaskReport, TaskStatus, command, disconnect_instances,
};
use seawall_state::task_id_message;
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

#[test]
fn endpoints_leave_before_their_task_does() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}));
    cluster.reconcile();
    let task = cluster.live()[0];
    let service = ServiceId(cluster.state.services.iter().next().unwrap().1.id);
    let endpoints = |cluster: &TestCluster| {
        super::endpoint::of_service(&cluster.state, cluster.state.services.get(&service).unwrap())
    };
    let published = |health: Health| {
        move |report: &mut TaskReport| {
            let binding = PortBinding { bind_ip: "10.0.0.1".into(), container_port: 80, host_port: 32768, udp: false };
            report.status = TaskStatus::Running.into();
            report.containers[0].bindings = vec![binding];
            report.health = health.into();
        }
    };
    cluster.report(task, published(Health::Unknown));
    let found = endpoints(&cluster);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].host_ip.as_str(), found[0].host_port, found[0].ready), ("10.0.0.1", 32768, true));
    cluster.report(task, published(Health::Unhealthy));
    assert!(!endpoints(&cluster)[0].ready);
    cluster.report(task, published(Health::Healthy));
    assert!(endpoints(&cluster)[0].ready);
    let row = cluster.state.instances.iter().next().unwrap().1.clone();
    let lost = disconnect_instances::Item { instance_id: row.id, session: row.session };
    cluster.apply(command::Kind::DisconnectInstances(DisconnectInstances { items: vec![lost], lost: true }));
    assert!(!endpoints(&cluster)[0].ready, "its instance is lost");
    cluster.instance("i-1", "us-local-1a");
    assert!(endpoints(&cluster)[0].ready, "and back");
    cluster.apply(command::Kind::StopTasks(StopTasks { tasks: vec![task_id_message(task)], ..Default::default() }));
    assert!(!endpoints(&cluster)[0].ready, "before its SIGTERM");
    cluster.ends(task, 0);
    assert_eq!(endpoints(&cluster), []);
}
