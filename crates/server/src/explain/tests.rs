use serde_json::json;

use super::*;
use crate::testing::{TestCluster, ids_of};

fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-1", "a");
    cluster.instance("i-2", "b");
    cluster.register("web", 400, 600);
    cluster
}

fn summary(cluster: &TestCluster, name: &str) -> Vec<String> {
    explain(&cluster.state, None, name, Fargate::default()).unwrap().summary
}

#[test]
fn a_service_says_what_it_lacks_and_why_each_instance_does_not_do() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 5}));
    cluster.reconcile();
    let answer = explain(&cluster.state, None, "web", Fargate::default()).unwrap();
    assert_eq!(answer.summary[0], "service web: 4 of 5 running, 0 pending");
    assert!(answer.summary[1].ends_with("has insufficient CPU units available."), "{:?}", answer.summary);
    assert!(answer.summary.last().unwrap().contains("one more task fits nowhere now"), "{:?}", answer.summary);
    assert_eq!((answer.filters[0].filter.as_str(), answer.filters[0].instances), ("cpu", 2));
    let verdicts: Vec<_> = answer
        .instances
        .iter()
        .map(|i| (i.ec2_instance_id.as_str(), i.zone.as_str(), i.fits, i.reason.as_str(), i.detail.as_str()))
        .collect();
    let detail = "needs 400 CPU units; has 224";
    assert_eq!(verdicts, [("i-1", "a", false, "RESOURCE:CPU", detail), ("i-2", "b", false, "RESOURCE:CPU", detail)]);
    assert_eq!((answer.instances[0].service_tasks_in_zone, answer.instances[0].service_tasks_on_instance), (2, 2));
}

#[test]
fn a_task_says_why_it_is_where_it_is_and_what_stopped_it() {
    let mut cluster = cluster();
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let pending = summary(&cluster, &task.to_string());
    assert_eq!(pending[0], format!("task {task} is PENDING, wanted RUNNING"));
    assert_eq!(pending[1], "placed: zone a had 0, the instance 0; 2 of 2 fit");
    cluster.runs(task);
    cluster.ends(task, 7);
    // The first digits of an id are enough.
    let stopped = summary(&cluster, &task.to_string()[..8]);
    assert!(stopped.contains(&"stopped: Essential container in task exited".into()), "{stopped:?}");
}

#[test]
fn an_instance_says_what_it_holds() {
    let mut cluster = cluster();
    cluster.must("RunTask", json!({"taskDefinition": "web"}));
    assert_eq!(
        summary(&cluster, "i-1"),
        [
            "instance i-1 in zone a is ACTIVE, its agent is connected",
            "400 of 1024 CPU units and 600 of 2048 MiB are taken by 0 running and 1 pending tasks"
        ]
    );
}

#[test]
fn what_is_not_there_is_answered_with_what_is() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 0}));
    let error = explain(&cluster.state, None, "wbe", Fargate::default()).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::ResourceNotFound, "no service, task or instance is called wbe (services: web)")
    );
    assert_eq!(
        explain(&cluster.state, Some("nope"), "web", Fargate::default()).unwrap_err().code,
        ErrorCode::ClusterNotFound
    );
}

#[test]
fn a_service_says_what_a_replacement_waits_for() {
    let mut cluster = cluster();
    let tags = json!([{"key": "seawall:loss-policy", "value": "replace-after:300"}]);
    cluster
        .must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "tags": tags}));
    cluster.reconcile();
    let instance = cluster.state.instance_by_ec2_id("i-1").unwrap().clone();
    let item =
        seawall_proto::internal::v1::disconnect_instances::Item { instance_id: instance.id, session: instance.session };
    let lost = seawall_proto::internal::v1::DisconnectInstances { items: vec![item], lost: true };
    cluster.apply(seawall_proto::internal::v1::command::Kind::DisconnectInstances(lost));
    let waits =
        |cluster: &TestCluster| summary(cluster, "web").into_iter().find(|line| line.starts_with("loss policy"));
    assert!(waits(&cluster).unwrap().contains("on i-1 is waited for, for 300 s"));
    let arn = "arn:aws:ecs:us-local-1:000000000000:service/default/web";
    cluster.must("TagResource", json!({"resourceArn": arn, "tags": [{"key": "seawall:loss-policy", "value": "keep"}]}));
    assert!(waits(&cluster).unwrap().contains("stays wanted until another is healthy"));
}

#[test]
fn a_service_says_its_class_and_whose_tasks_may_make_room() {
    let mut cluster = cluster();
    let tags = |priority: &str| json!([{"key": "seawall:priority", "value": priority}]);
    let service = |name: &str, count: u32, priority: &str, minimum: u32| {
        json!({"serviceName": name, "taskDefinition": "web", "desiredCount": count, "tags": tags(priority),
            "deploymentConfiguration": {"minimumHealthyPercent": minimum, "maximumPercent": 200}})
    };
    cluster.must("CreateService", service("low", 4, "10", 100));
    cluster.reconcile();
    cluster.must("CreateService", service("high", 1, "90", 100));
    cluster.plan_once();
    let says = summary(&cluster, "high");
    assert_eq!(says[1], "its priority is 90; what has none has 50, and the higher comes first");
    let minimum = "preemption: of 4 tasks of lower priority 4 keep their service at its minimumHealthyPercent";
    assert!(says.contains(&minimum.into()), "{says:?}");
    cluster.must(
        "UpdateService",
        json!({"service": "low", "deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 200}}),
    );
    let says = summary(&cluster, "high");
    let may = "preemption: 1 tasks of lower priority on instance i-1 (service:low) may stop to make room";
    let also = may.replace("i-1", "i-2");
    assert!(says.contains(&may.into()) || says.contains(&also), "{says:?}");
    assert!(!summary(&cluster, "low").iter().any(|line| line.starts_with("preemption: 1")));
}

#[test]
fn what_waits_for_a_higher_class_is_told_so() {
    let mut cluster = cluster();
    cluster.register("big", 700, 600);
    let tag = |priority: &str| json!([{"key": "seawall:priority", "value": priority}]);
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}));
    cluster.reconcile();
    cluster.must(
        "CreateService",
        json!({"serviceName": "big", "taskDefinition": "big", "desiredCount": 1, "tags": tag("90")}),
    );
    cluster.plan_once();
    cluster.instance("i-3", "c");
    let refused = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 3}));
    let reasons: Vec<&str> =
        refused["failures"].as_array().unwrap().iter().map(|failure| failure["reason"].as_str().unwrap()).collect();
    assert_eq!(refused["tasks"].as_array().map_or(0, Vec::len), 2, "where the other does not fit");
    assert!(reasons.contains(&"PRIORITY"), "{reasons:?}");
    let first = cluster.must("RunTask", json!({"taskDefinition": "web", "tags": tag("91")}));
    let task = ids_of(&first)[0];
    assert!(summary(&cluster, &task.to_string()).iter().any(|line| line.starts_with("its priority is 91")));
}
