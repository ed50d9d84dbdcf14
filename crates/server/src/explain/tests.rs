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
fn a_task_that_waits_says_for_what() {
    let mut cluster = cluster();
    let provider = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
    cluster.must("CreateCapacityProvider", json!({"name": "big", "autoScalingGroupProvider": provider}));
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["big"], "defaultCapacityProviderStrategy": []}),
    );
    cluster.register("huge", 9000, 100);
    let strategy = json!([{"capacityProvider": "big", "weight": 1}]);
    let answer = cluster.must("RunTask", json!({"taskDefinition": "huge", "capacityProviderStrategy": strategy}));
    let id = ids_of(&answer)[0];
    let explained = explain(&cluster.state, None, &id.to_string(), Fargate::default()).unwrap();
    assert_eq!(explained.summary[0], format!("task {id} is PROVISIONING, wanted RUNNING"));
    assert_eq!(explained.summary[1], "it waits for room of the capacity provider big");
    assert!(explained.summary[2].ends_with("has insufficient CPU units available."), "{:?}", explained.summary);
    assert_eq!((explained.filters[0].filter.as_str(), explained.instances.len()), ("cpu", 2));
}
