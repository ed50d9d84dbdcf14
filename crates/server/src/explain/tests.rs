use std::sync::Arc;

use seawall_proto::internal::v1::{Limits, RaiseClusterVersion, command};
use seawall_state::DEFAULT_LIMITS;
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

fn explained(cluster: &TestCluster, name: &str) -> Result<ExplainResponse, ApiError> {
    let ask = ExplainRequest { resource: name.into(), ..Default::default() };
    explain(&cluster.state, &ask, Fargate::default())
}

fn summary(cluster: &TestCluster, name: &str) -> Vec<String> {
    explained(cluster, name).unwrap().summary
}

#[test]
fn a_service_says_what_it_lacks_and_why_each_instance_does_not_do() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 5}));
    cluster.reconcile();
    let answer = explained(&cluster, "web").unwrap();
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
    let error = explained(&cluster, "wbe").unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::ResourceNotFound, "no service, task or instance is called wbe (services: web)")
    );
    let elsewhere = ExplainRequest { cluster: Some("nope".into()), resource: "web".into(), ..Default::default() };
    let error = explain(&cluster.state, &elsewhere, Fargate::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::ClusterNotFound);
}

#[test]
fn a_task_shows_how_it_was_decided_and_on_request_how_it_would_be_now() {
    let mut cluster = cluster();
    cluster.instance_with("i-3", "c", 100, 100);
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web", "count": 2})))[1];
    let answer = explained(&cluster, &task.to_string()).unwrap();
    assert_eq!(answer.summary[3], "3 of 3 instances were looked at then, 2 fitted; left out: 1 by memory");
    let decision = answer.decision.unwrap();
    assert_eq!((decision.planner_version, decision.tasks, decision.fitted), (seawall_scheduler::PLANNER_VERSION, 2, 2));
    assert_eq!(decision.placed_index, cluster.state.decisions.first().unwrap().1.placed_index);
    assert!(answer.summary[2].contains(&format!("requirement class {}", decision.requirement_class)));
    let best: Vec<_> = decision
        .best
        .iter()
        .map(|best| (best.ec2_instance_id.as_str(), best.zone.as_str(), best.taken, best.scores.as_str()))
        .collect();
    let scores = "zone had 0, instance had 0, 100 % free";
    assert_eq!(best, [("i-1", "a", false, scores), ("i-2", "b", true, scores)]);
    assert!(answer.instances.is_empty() && answer.filters.is_empty(), "the whole table is asked for");

    let ask = ExplainRequest { resource: task.to_string(), all: true, ..Default::default() };
    let all = explain(&cluster.state, &ask, Fargate::default()).unwrap();
    let fits: Vec<_> = all.instances.iter().map(|i| (i.ec2_instance_id.as_str(), i.fits)).collect();
    assert_eq!(fits, [("i-1", true), ("i-2", true), ("i-3", false)]);
    assert_eq!((all.filters[0].filter.as_str(), all.filters[0].instances), ("memory", 1));
}

#[test]
fn a_task_that_left_the_state_still_shows_its_decision() {
    let mut cluster = cluster();
    let limits = Limits { stopped_tasks_kept: 0, ..DEFAULT_LIMITS };
    Arc::make_mut(&mut cluster.state.meta).limits = Some(limits);
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    let task = ids_of(&cluster.must("RunTask", json!({"taskDefinition": "web"})))[0];
    let before = explained(&cluster, &task.to_string()).unwrap().decision;
    cluster.runs(task);
    cluster.ends(task, 7);
    assert!(cluster.state.tasks.get(&task).is_none() && cluster.state.decisions.is_empty());
    let (_, record) = cluster.state.history_open.first().unwrap();
    let retired = explain_retired(&cluster.state, record).unwrap();
    assert!(before.is_some() && retired.decision == before);
    assert!(retired.summary.iter().any(|line| line.starts_with("stopped: ")), "{:?}", retired.summary);
}

#[test]
fn a_service_keeps_what_left_instances_out_with_its_reason() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 5}));
    cluster.reconcile();
    let says = "when that was first said instances were left out so: 2 by cpu";
    assert!(summary(&cluster, "web").contains(&says.to_owned()), "{:?}", summary(&cluster, "web"));
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
    let explained = explained(&cluster, &id.to_string()).unwrap();
    assert_eq!(explained.summary[0], format!("task {id} is PROVISIONING, wanted RUNNING"));
    let at =
        explained.summary.iter().position(|line| line == "it waits for room of the capacity provider big").unwrap();
    assert!(explained.summary[at + 1].ends_with("has insufficient CPU units available."), "{:?}", explained.summary);
    assert_eq!((explained.filters[0].filter.as_str(), explained.instances.len()), ("cpu", 2));
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
