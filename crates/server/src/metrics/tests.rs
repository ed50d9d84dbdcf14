//! What is counted, on a whole member in the simulator.

use std::{collections::BTreeMap, time::Duration};

use axum::body::Body;
use http::Request;
use seawall_model::{ErrorCode, limits::WRITES_WAITING_BYTES_MAX};
use seawall_proto::internal::v1::{
    AgentIdentity, Command, ConnectInstance, ForwardRequest, InstanceAttribute, InstanceStatus, Resources,
    SetInstancesStatus, command,
};
use serde_json::{Value, json};

use super::{
    Asked, Protocol,
    ignored::{IGNORED_MEMBERS_MAX, IGNORED_PATH_BYTES_MAX},
    page::text,
    process::Process,
};
use crate::{
    api::WriteError,
    ecs,
    testing::{LIMIT, OneMember},
};

/// One line of a page that is no comment.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

/// The samples of a page in the text format.
pub(super) fn samples(page: &str) -> Vec<Sample> {
    page.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end of labels in {line}"));
    let pairs = labels.split_terminator("\",").map(|pair| pair.trim_end_matches('"').split_once("=\""));
    let pairs = pairs.map(|pair| pair.unwrap_or_else(|| panic!("no label in {line}")));
    Sample {
        name: name.into(),
        labels: pairs.map(|(label, value)| (label.into(), value.into())).collect(),
        value: value.parse().unwrap_or_else(|e| panic!("{e} in {line}")),
    }
}

impl OneMember {
    /// The page as it is now.
    pub(super) fn page(&self) -> String {
        text(&self.node, Process::default()).unwrap()
    }

    /// The value of a sample with these labels and perhaps others; `None` where there is none.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let samples = samples(&self.page());
        let is_it = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|v| v == value))
        };
        let mut found = samples.iter().filter(is_it);
        let value = found.next().map(|sample| sample.value);
        assert!(found.next().is_none(), "{name} {labels:?} are several samples");
        value
    }

    /// Lets what is on its way come to its end.
    fn rest(&self) {
        let env = self.env.clone();
        self.run(async move { env.sleep(Duration::from_secs(1)).await });
    }

    /// An operation over the JSON protocol; its status and answer.
    pub(super) fn ask(&self, operation: &str, body: &Value) -> (u16, Value) {
        let node = self.node.clone();
        let request = request(operation, body);
        self.run(async move {
            let response = ecs::serve(node, request).await;
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            (status, serde_json::from_slice(&body).unwrap())
        })
    }

    /// The answer of an operation that succeeds.
    pub(super) fn must(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(operation, body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// A connected instance of 1 GiB.
    /// A capacity provider with managed scaling.
    pub(super) fn provider(&self, name: &str) {
        let group = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
        self.must("CreateCapacityProvider", &json!({"name": name, "autoScalingGroupProvider": group}));
        let put = json!({"cluster": "default", "capacityProviders": [name], "defaultCapacityProviderStrategy": []});
        self.must("PutClusterCapacityProviders", &put);
    }

    pub(super) fn connect(&self, name: &str) {
        self.connect_to(name, "");
    }

    /// An instance of a capacity provider; empty: of none.
    fn connect_to(&self, name: &str, capacity_provider: &str) {
        let architecture =
            InstanceAttribute { name: "ecs.cpu-architecture".into(), value: "x86_64".into(), custom: false };
        self.propose(vec![command::Kind::ConnectInstance(ConnectInstance {
            identity: Some(AgentIdentity {
                ec2_instance_id: name.into(),
                zone: "a".into(),
                total: Some(Resources { cpu: 1024, memory: 1024, ..Resources::default() }),
                attributes: vec![architecture],
                boot_id: "first".into(),
                capacity_provider: capacity_provider.into(),
                ..AgentIdentity::default()
            }),
            member_id: self.node.identity.member_id,
            new_arn_hi: 7,
            new_arn_lo: name.bytes().map(u64::from).sum(),
        })]);
    }

    pub(super) fn register_web(&self) {
        let containers = json!([{"name": "main", "image": "busybox", "cpu": 100, "memory": 100}]);
        self.must("RegisterTaskDefinition", &json!({"family": "web", "containerDefinitions": containers}));
    }
}

fn request(operation: &str, body: &Value) -> axum::extract::Request {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let request =
        Request::post("/").header("x-amz-target", target).header("content-type", "application/x-amz-json-1.1");
    request.body(Body::from(body.to_string())).unwrap()
}

#[test]
fn a_stored_member_is_counted_once_for_a_request_and_its_repeats() {
    let one = OneMember::new(1);
    one.register_web();
    let body = json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "clientToken": "t",
        "loadBalancers": [{"targetGroupArn": "arn", "containerName": "main", "containerPort": 80}],
        "serviceRegistries": []});
    let used = |operation, member| {
        one.value("seawall_stored_members_used_total", &[("operation", operation), ("member", member)])
    };
    assert_eq!(used("CreateService", "loadBalancers"), None);
    one.must("CreateService", &body);
    assert_eq!(used("CreateService", "loadBalancers"), Some(1.0));
    assert_eq!(used("CreateService", "serviceRegistries"), None, "an empty list is no use");
    one.must("CreateService", &body);
    assert_eq!(used("CreateService", "loadBalancers"), Some(1.0), "it was done before");
    let (status, _) = one.ask("CreateService", &json!({"serviceName": "web", "loadBalancers": body["loadBalancers"]}));
    assert_eq!((status, used("CreateService", "loadBalancers")), (400, Some(1.0)), "what is refused is not stored");

    let port = json!({"containerPort": 80, "name": "http"});
    let container =
        json!({"name": "main", "image": "busybox", "memory": 6, "portMappings": [port, {"containerPort": 81}]});
    one.must("RegisterTaskDefinition", &json!({"family": "named", "containerDefinitions": [container]}));
    assert_eq!(used("RegisterTaskDefinition", "portMappings.name"), Some(1.0));
}

#[test]
fn planning_again_counts_nothing_twice() {
    let one = OneMember::new(2);
    one.register_web();
    one.connect("i-1");
    one.connect("i-2");
    let instances: Vec<u64> = one.node.consensus.state().state.instances.iter().map(|(id, _)| id.0).collect();
    let run = request("RunTask", &json!({"taskDefinition": "web", "referenceId": "mine"}));
    let (consensus, node) = (one.node.consensus.clone(), one.node.clone());
    // On its way when the task is planned, applied before it: the instance that is planned for takes none any more.
    let drain = command::Kind::SetInstancesStatus(SetInstancesStatus {
        cluster_id: one.node.consensus.state().state.cluster_by_name(0, "default").unwrap().id,
        instance_ids: vec![instances[0]],
        status: InstanceStatus::Draining.into(),
        ..SetInstancesStatus::default()
    });
    let drain = Command { kind: Some(drain), ..Command::default() };
    let (drained, answer) = one
        .run(async move { futures::future::join(consensus.propose(vec![drain], None), ecs::serve(node, run)).await });
    assert!(drained.is_ok());
    assert_eq!(answer.status(), 200);
    assert_eq!(one.value("seawall_writes_replanned_total", &[]), Some(1.0));
    let used = [("operation", "RunTask"), ("member", "referenceId")];
    assert_eq!(one.value("seawall_stored_members_used_total", &used), Some(1.0));
}

#[test]
fn ignored_members_are_counted_under_a_bounded_number_of_names() {
    let one = OneMember::new(3);
    one.must("ListClusters", &json!({"novelty": [], "other1": null}));
    one.must("ListClusters", &json!({"novelty": false}));
    let ignored = |member: &str| {
        one.value("seawall_ignored_empty_members_total", &[("operation", "ListClusters"), ("member", member)])
    };
    assert_eq!((ignored("novelty"), ignored("other1"), ignored("other")), (Some(2.0), Some(1.0), None));
    let (status, _) = one.ask("ListClusters", &json!({"novelty": [1], "third": null}));
    assert_eq!((status, ignored("third")), (400, None), "what is refused ignores nothing");

    let long = "x".repeat(IGNORED_PATH_BYTES_MAX + 1);
    one.must("ListClusters", &json!({long.clone(): null}));
    assert_eq!((ignored(&long), ignored("other")), (None, Some(1.0)));
    let many: serde_json::Map<String, Value> =
        (0..IGNORED_MEMBERS_MAX).map(|n| (format!("new{n}"), Value::Null)).collect();
    one.must("ListClusters", &Value::Object(many));
    let names = samples(&one.page()).iter().filter(|s| s.name == "seawall_ignored_empty_members_total").count();
    assert_eq!(names, IGNORED_MEMBERS_MAX + 1);
    assert_eq!(ignored("other"), Some(3.0), "two were known before");
    one.must("ListClusters", &json!({"novelty": null}));
    assert_eq!(ignored("novelty"), Some(3.0));
}

#[test]
fn requests_are_counted_by_how_they_end() {
    let one = OneMember::new(4);
    let requests = |operation, code| {
        let labels = [("operation", operation), ("protocol", "json"), ("code", code)];
        one.value("seawall_requests_total", &labels)
    };
    one.must("ListClusters", &json!({}));
    one.ask("ListServices", &json!({"cluster": "none"}));
    one.ask("Invent", &json!({}));
    assert_eq!(requests("ListClusters", "OK"), Some(1.0));
    assert_eq!(requests("ListServices", "ClusterNotFoundException"), Some(1.0));
    assert_eq!(requests("other", "UnknownOperationException"), Some(1.0));
    let count = [("operation", "ListClusters")];
    assert_eq!(one.value("seawall_request_duration_seconds_count", &count), Some(1.0));

    drop(Asked::new(&one.node, Protocol::Json, "RunTask"));
    assert_eq!(requests("RunTask", "gone"), Some(1.0));
    // One to know whether keys exist, and one for each read.
    assert_eq!(one.value("seawall_read_barriers_total", &[("outcome", "ok")]), Some(3.0));
}

#[test]
fn a_duration_is_that_of_the_members_own_clock() {
    let one = OneMember::new(5);
    let (node, env) = (one.node.clone(), one.env.clone());
    one.run(async move {
        let asked = Asked::new(&node, Protocol::Grpc, "RunTask");
        env.sleep(LIMIT / 4).await;
        asked.ends("OK");
    });
    let of = |name: &str| one.value(name, &[("operation", "RunTask")]).unwrap();
    assert_eq!(of("seawall_request_duration_seconds_sum"), (LIMIT / 4).as_secs_f64());
}

#[test]
fn the_leader_shows_what_the_cluster_holds() {
    let one = OneMember::new(6);
    one.register_web();
    one.connect("i-1");
    let instances =
        |status, connected| one.value("seawall_instances", &[("status", status), ("connected", connected)]).unwrap();
    assert_eq!((instances("ACTIVE", "true"), instances("DRAINING", "false")), (1.0, 0.0));
    one.must("RunTask", &json!({"taskDefinition": "web", "count": 3}));
    one.must("CreateService", &json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2}));
    let now = |name: &str| one.value(name, &[]).unwrap();
    assert_eq!((now("seawall_services_active"), now("seawall_services_short")), (1.0, 1.0));
    let tasks = |status| one.value("seawall_tasks", &[("status", status)]).unwrap();
    let pending = tasks("PENDING");
    assert!((3.0..=5.0).contains(&pending), "{pending}");
    assert_eq!((tasks("RUNNING"), tasks("STOPPED"), now("seawall_tasks_unreachable")), (0.0, 0.0, 0.0));
    assert_eq!((now("seawall_is_leader"), now("seawall_leadership_changes_total")), (1.0, 1.0));
    one.rest();
    let log = ["raft_last_log_index", "raft_committed_index", "raft_applied_index"];
    let [last, committed, applied] = log.map(|name| now(&format!("seawall_{name}")));
    assert_eq!((committed, applied), (last, last), "what was on its way has come");
    assert!(now("seawall_proposed_entry_commands_count") >= 3.0);
    assert_eq!((now("seawall_writes_waiting"), now("seawall_writes_waiting_bytes")), (0.0, 0.0));
    assert_eq!(one.value("seawall_members", &[("role", "voter")]), Some(1.0));
    assert_eq!(one.value("seawall_follower_lag_entries", &[("member", "s1")]), Some(0.0));
}

#[test]
fn a_task_that_waits_is_placed_once_an_instance_joins_and_the_reservation_follows() {
    let one = OneMember::new(1);
    one.register_web();
    one.provider("big");
    let labels = [("cluster", "default"), ("capacity_provider", "big")];
    let reservation = || one.value("seawall_capacity_provider_reservation", &labels);
    let waiting = || one.value("seawall_tasks", &[("status", "PROVISIONING")]);
    assert_eq!(reservation(), Some(100.0));
    let strategy = json!([{"capacityProvider": "big", "weight": 1}]);
    one.must("RunTask", &json!({"taskDefinition": "web", "count": 2, "capacityProviderStrategy": strategy}));
    assert_eq!((reservation(), waiting()), (Some(200.0), Some(2.0)));
    one.connect_to("i-1", "big");
    one.rest();
    assert_eq!((reservation(), waiting()), (Some(100.0), Some(0.0)));
    assert_eq!(one.value("seawall_tasks", &[("status", "PENDING")]), Some(2.0));
}

#[test]
fn looking_writes_nothing() {
    let one = OneMember::new(7);
    one.rest();
    let before = one.node.consensus.log_indexes();
    for _ in 0..100 {
        let node = one.node.clone();
        assert_eq!(one.run(super::page(node)).status(), 200);
    }
    assert_eq!(one.node.consensus.log_indexes(), before);
}

#[test]
fn a_write_that_is_refused_by_a_limit_is_counted() {
    let one = OneMember::new(8);
    one.rest();
    let (node, deadline) = (one.node.clone(), one.env.now() + LIMIT);
    let large = ForwardRequest { body: vec![0; WRITES_WAITING_BYTES_MAX + 1].into(), ..ForwardRequest::default() };
    let refused = one.run(async move { node.proposer.operation(large, deadline).await });
    assert!(matches!(refused, Err(WriteError::Refused(error)) if error.code == ErrorCode::Overloaded));
    assert_eq!(one.value("seawall_writes_refused_total", &[("limit", "bytes")]), Some(1.0));
    assert_eq!(one.value("seawall_writes_waiting_bytes", &[]), Some(0.0), "it waits no longer");
}

#[test]
fn a_snapshot_is_counted() {
    let one = OneMember::new(9);
    let taken = || one.value("seawall_snapshots_total", &[]).unwrap();
    assert_eq!(taken(), 0.0);
    let (consensus, env) = (one.node.consensus.clone(), one.env.clone());
    one.run(async move {
        consensus.trigger_snapshot().await;
        while consensus.snapshot_index().is_none() {
            env.sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(taken(), 1.0);
    assert!(one.value("seawall_snapshot_bytes", &[]).unwrap() > 0.0);
}
