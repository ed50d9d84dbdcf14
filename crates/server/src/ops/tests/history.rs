//! What left the state is answered as before.

use std::{collections::BTreeSet, sync::Arc};

use seawall_model::{ApiError, InstanceId, TaskId};
use seawall_proto::{
    internal::v1::{DeregisterInstance, Limits, RaiseClusterVersion, command},
    v1::{ListHistoryRequest, ListHistoryResponse, ResourceKind},
};
use seawall_state::DEFAULT_LIMITS;
use serde_json::{Value, json};

use crate::{
    ops,
    testing::{TestCluster, ids_of},
};

const HOUR_MS: i64 = 60 * 60 * 1000;

/// A cluster with one instance that keeps little in its tables.
fn cluster() -> (TestCluster, InstanceId) {
    let mut cluster = TestCluster::new();
    let limits = Limits { stopped_tasks_kept: 1, service_events_kept: 2, deleted_services_kept: 1, ..DEFAULT_LIMITS };
    Arc::make_mut(&mut cluster.state.meta).limits = Some(limits);
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    let instance = cluster.instance("i-1", "a");
    cluster.register("web", 10, 10);
    (cluster, instance)
}

/// A task that ended.
fn ended(cluster: &mut TestCluster) -> TaskId {
    let run = json!({"taskDefinition": "web", "startedBy": "me", "tags": [{"key": "k", "value": "v"}],
        "overrides": {"containerOverrides": [{"name": "main", "command": ["x"]}]}});
    let task = ids_of(&cluster.must("RunTask", run))[0];
    cluster.runs(task);
    cluster.now_ms += 1000;
    cluster.ends(task, 3);
    task
}

fn described(cluster: &mut TestCluster, task: TaskId) -> Value {
    cluster.must("DescribeTasks", json!({"tasks": [task.to_string()], "include": ["TAGS"]}))
}

fn history(cluster: &TestCluster, ask: ListHistoryRequest) -> Result<ListHistoryResponse, ApiError> {
    cluster.answered(|ctx| ops::list_history(ctx, &ask))
}

#[test]
fn a_task_is_described_as_before_when_all_around_it_is_gone() {
    let (mut cluster, instance) = cluster();
    let task = ended(&mut cluster);
    let before = described(&mut cluster, task);
    assert_eq!(before["tasks"][0]["lastStatus"], "STOPPED");
    ended(&mut cluster);
    assert!(cluster.state.tasks.get(&task).is_none());
    assert_eq!(described(&mut cluster, task), before);
    let deregister = DeregisterInstance { instance_id: instance.0, force: true, forgotten: false };
    cluster.apply(command::Kind::DeregisterInstance(deregister));
    let mut bare = cluster.state.clone();
    bare.task_definitions = seawall_state::Table::new(5);
    bare.instances = seawall_state::Table::new(4);
    cluster.state = bare;
    assert_eq!(described(&mut cluster, task), before);
    // By ARN too, and without tags unless they are asked for.
    let arn = before["tasks"][0]["taskArn"].clone();
    let answer = cluster.must("DescribeTasks", json!({"tasks": [arn]}));
    assert_eq!(answer["tasks"][0]["tags"], Value::Null);
    assert_eq!(answer["tasks"][0]["taskArn"], arn);
}

#[test]
fn what_never_was_or_is_another_clusters_is_missing() {
    let (mut cluster, _) = cluster();
    let task = ended(&mut cluster);
    ended(&mut cluster);
    cluster.must("CreateCluster", json!({"clusterName": "other"}));
    let answer = cluster.must("DescribeTasks", json!({"cluster": "other", "tasks": [task.to_string()]}));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
    let answer = cluster.must("DescribeTasks", json!({"tasks": ["no-id", TaskId::default().to_string()]}));
    assert_eq!(answer["failures"].as_array().map(Vec::len), Some(2));
    let answer = cluster.must("DescribeServices", json!({"services": ["nothing"]}));
    assert_eq!(answer["failures"][0]["reason"], "MISSING");
}

#[test]
fn deleted_services_stay_inactive_and_tell_their_events() {
    let (mut cluster, _) = cluster();
    cluster.must("CreateService", json!({"serviceName": "old", "taskDefinition": "web", "desiredCount": 2}));
    cluster.reconcile();
    for count in [1, 3, 0] {
        cluster.must("UpdateService", json!({"service": "old", "desiredCount": count}));
        cluster.reconcile();
    }
    cluster.must("DeleteService", json!({"service": "old"}));
    cluster.reconcile();
    let describe = json!({"services": ["old"], "include": ["TAGS"]});
    let before = cluster.must("DescribeServices", describe.clone());
    assert_eq!(before["services"][0]["status"], "INACTIVE");
    cluster.must("CreateService", json!({"serviceName": "new", "taskDefinition": "web", "desiredCount": 0}));
    cluster.reconcile();
    cluster.must("DeleteService", json!({"service": "new"}));
    cluster.reconcile();
    assert_eq!(cluster.state.services.iter().count(), 1);
    assert_eq!(cluster.must("DescribeServices", describe), before);

    let ask = ListHistoryRequest {
        kind: ResourceKind::ServiceEvent.into(),
        service: Some("old".into()),
        max_results: Some(2),
        ..ListHistoryRequest::default()
    };
    let all = pages(&cluster, ask);
    let events: Vec<&str> = all
        .iter()
        .flat_map(|page| &page.events)
        .filter_map(|change| change.event.as_ref()?.message.as_deref())
        .collect();
    // The row that left holds the last two; these are the ones that left it before.
    assert!(events.len() > 4, "{events:?}");
    assert!(events.iter().all(|text| text.starts_with("(service old) ")), "{events:?}");
    assert!(events.last().is_some_and(|text| text.contains("has started 2 tasks")), "{events:?}");
    let ask = ListHistoryRequest { kind: ResourceKind::Service.into(), ..ListHistoryRequest::default() };
    let all = pages(&cluster, ask);
    let names: Vec<&str> = all.iter().flat_map(|page| &page.services).map(|service| service.service_name()).collect();
    assert_eq!(names, ["new", "old"]);
}

fn pages(cluster: &TestCluster, mut ask: ListHistoryRequest) -> Vec<ListHistoryResponse> {
    let mut all = Vec::new();
    loop {
        let page = history(cluster, ask.clone()).unwrap();
        ask.next_token = page.next_token.clone();
        all.push(page);
        if ask.next_token.is_none() {
            return all;
        }
    }
}

#[test]
fn tasks_are_listed_over_pages_while_more_of_them_leave() {
    let (mut cluster, _) = cluster();
    let tasks: Vec<TaskId> = (0..9).map(|_| ended(&mut cluster)).collect();
    let mut ask =
        ListHistoryRequest { kind: ResourceKind::Task.into(), max_results: Some(2), ..ListHistoryRequest::default() };
    let mut seen = Vec::new();
    loop {
        let page = history(&cluster, ask.clone()).unwrap();
        assert!(page.tasks.len() <= 2);
        seen.extend(page.tasks.into_iter().filter_map(|task| task.task_arn));
        ask.next_token = page.next_token;
        if ask.next_token.is_none() {
            break;
        }
        ended(&mut cluster);
    }
    let arn = |task: &TaskId| cluster.state.arns().task("default", *task);
    let wanted: Vec<String> = tasks.iter().rev().map(arn).collect();
    assert_eq!(seen, wanted, "newest first, each once");
}

#[test]
fn an_hour_of_stopped_tasks_is_listed_wherever_they_are() {
    let (mut cluster, _) = cluster();
    let old = ended(&mut cluster);
    ended(&mut cluster);
    cluster.now_ms += HOUR_MS;
    let recent: Vec<TaskId> = (0..5).map(|_| ended(&mut cluster)).collect();
    let (mut arns, mut token) = (BTreeSet::new(), Value::Null);
    loop {
        let page = cluster.must(
            "ListTasks",
            json!({"desiredStatus": "STOPPED", "maxResults": 2, "nextToken": token, "family": "web"}),
        );
        for arn in page["taskArns"].as_array().into_iter().flatten() {
            assert!(arns.insert(arn.as_str().unwrap_or_default().to_owned()), "{arn} comes twice");
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    let wanted = recent.iter().map(|task| cluster.state.arns().task("default", *task)).collect();
    assert_eq!(arns, wanted);
    assert_eq!(described(&mut cluster, old)["tasks"].as_array().map(Vec::len), Some(1));
    let other = cluster.must("ListTasks", json!({"desiredStatus": "STOPPED", "family": "db"}));
    let other =
        cluster.must("ListTasks", json!({"desiredStatus": "STOPPED", "family": "db", "nextToken": other["nextToken"]}));
    assert_eq!(other["taskArns"], Value::Null);
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let (cluster, _) = cluster();
    let of = |kind: ResourceKind| ListHistoryRequest { kind: kind.into(), ..ListHistoryRequest::default() };
    let refused = |ask| history(&cluster, ask).unwrap_err().message;
    assert_eq!(refused(of(ResourceKind::Cluster)), "kind must be a task, a service or a service event.");
    assert_eq!(refused(of(ResourceKind::ServiceEvent)), "service must be given: events are listed by service.");
    let unknown = ListHistoryRequest { service: Some("web".into()), ..of(ResourceKind::Task) };
    assert_eq!(refused(unknown), "Service not found.");
    let since = Some(seawall_proto::timestamp_of(1));
    let services = ListHistoryRequest { since, ..of(ResourceKind::Service) };
    assert!(refused(services).starts_with("since cannot be given for services"));
}
