//! FARGATE's pools: their instances are hidden, what their tasks use is counted, and spot capacity goes.

use seawall_controllers::{Now, reclaim};
use seawall_model::{InstanceId, TaskId};
use seawall_proto::{
    internal::v1::{Limits, RaiseClusterVersion, ReclaimInstance, command, reply},
    timestamp_of,
    v1::{ListUsageRequest, UsageGroup},
};
use serde_json::{Value, json};

use crate::{
    ops::list_usage,
    testing::{START_MS, TestCluster, ids_of},
};

/// A cluster with an instance of each of FARGATE's pools and one of nobody's.
fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.instance("i-open", "a");
    cluster.instance_of("i-pool", "a", "FARGATE");
    cluster.instance_of("i-spot", "b", "FARGATE_SPOT");
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
               "defaultCapacityProviderStrategy": []}),
    );
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "web", "networkMode": "awsvpc", "cpu": "256", "memory": "512",
               "requiresCompatibilities": ["FARGATE"],
               "containerDefinitions": [{"name": "main", "image": "busybox"}]}),
    );
    cluster
}

fn run(cluster: &mut TestCluster, provider: &str) -> TaskId {
    let answer = cluster.must(
        "RunTask",
        json!({"taskDefinition": "web", "capacityProviderStrategy": [{"capacityProvider": provider, "weight": 1}],
               "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}}),
    );
    ids_of(&answer)[0]
}

fn described(cluster: &mut TestCluster, task: TaskId) -> Value {
    cluster.must("DescribeTasks", json!({"tasks": [task.to_string()]}))["tasks"][0].clone()
}

fn id(cluster: &TestCluster, name: &str) -> InstanceId {
    InstanceId(cluster.state.instance_by_ec2_id(name).unwrap().id)
}

#[test]
fn ecs_knows_of_no_instance_under_fargate_and_operators_do() {
    let mut cluster = cluster();
    let spot = id(&cluster, "i-spot");
    let hidden = cluster.instance_arn(spot);
    let open = cluster.instance_arn(id(&cluster, "i-open"));
    assert_eq!(cluster.must("ListContainerInstances", json!({}))["containerInstanceArns"], json!([open]));
    let asked = json!({"containerInstances": [hidden]});
    let answer = cluster.must("DescribeContainerInstances", asked.clone());
    assert_eq!(answer, json!({"failures": [{"arn": hidden, "reason": "MISSING"}]}));
    let attributes = cluster.must("ListAttributes", json!({"targetType": "container-instance"}));
    assert!(attributes["attributes"].as_array().unwrap().iter().all(|a| a["targetId"] == open), "{attributes}");
    assert_eq!(cluster.must("DescribeClusters", json!({}))["clusters"][0]["registeredContainerInstancesCount"], 1);

    let task = run(&mut cluster, "FARGATE_SPOT");
    assert_eq!(cluster.state.tasks.get(&task).unwrap().instance_id, spot.0);
    let shown = described(&mut cluster, task);
    assert!(shown.get("containerInstanceArn").is_none(), "{shown}");
    assert_eq!((&shown["capacityProviderName"], &shown["availabilityZone"]), (&json!("FARGATE_SPOT"), &json!("b")));

    cluster.shows_pools = true;
    let all = cluster.must("ListContainerInstances", json!({}))["containerInstanceArns"].clone();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let answer = cluster.must("DescribeContainerInstances", asked);
    assert_eq!(answer["containerInstances"][0]["ec2InstanceId"], "i-spot");
}

/// (family, service, provider, tasks, vCPU-seconds, MiB-seconds) of all pages together.
fn used(cluster: &TestCluster, since_s: i64, until_s: i64) -> Vec<(String, u64, f64, f64)> {
    let mut request = ListUsageRequest {
        since: Some(timestamp_of(START_MS + since_s * 1000)),
        until: Some(timestamp_of(START_MS + until_s * 1000)),
        ..ListUsageRequest::default()
    };
    let mut groups: Vec<UsageGroup> = Vec::new();
    loop {
        let page = cluster.answered(|ctx| list_usage(ctx, &request)).unwrap();
        groups.extend(page.groups);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let shown = |g: &UsageGroup| (g.capacity_provider.clone(), g.tasks, g.vcpu_seconds, g.mib_seconds);
    groups.iter().map(shown).collect()
}

#[test]
fn use_counts_from_the_pull_to_the_stop_by_the_millisecond() {
    let mut cluster = cluster();
    let (kept, spot) = (run(&mut cluster, "FARGATE"), run(&mut cluster, "FARGATE_SPOT"));
    assert_eq!(used(&cluster, 0, 1000), [], "what never began used nothing");
    for task in [kept, spot] {
        cluster.report(task, |report| report.pull_started_at_ms = START_MS + 10_000);
        cluster.runs(task);
    }
    cluster.now_ms = START_MS + 70_500;
    cluster.ends(spot, 0);
    cluster.now_ms = START_MS + 110_000;
    let both = [("FARGATE".to_owned(), 1, 25.0, 51_200.0), ("FARGATE_SPOT".to_owned(), 1, 15.125, 30_976.0)];
    assert_eq!(used(&cluster, 0, 1000), both);
    assert_eq!(used(&cluster, 0, 1000), both, "asking changes nothing");
    assert_eq!(
        used(&cluster, 50, 70),
        [("FARGATE".into(), 1, 5.0, 10_240.0), ("FARGATE_SPOT".into(), 1, 5.0, 10_240.0)]
    );
    assert_eq!(used(&cluster, 80, 90), [("FARGATE".into(), 1, 2.5, 5120.0)]);
    let backwards = ListUsageRequest {
        since: Some(timestamp_of(START_MS)),
        until: Some(timestamp_of(START_MS)),
        ..ListUsageRequest::default()
    };
    let refused = cluster.answered(|ctx| list_usage(ctx, &backwards)).unwrap_err();
    assert!(refused.message.contains("after since"), "{}", refused.message);
}

#[test]
fn what_left_the_state_is_counted_once_too() {
    let mut cluster = cluster();
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    std::sync::Arc::make_mut(&mut cluster.state.meta).limits =
        Some(Limits { stopped_tasks_kept: 1, ..seawall_state::DEFAULT_LIMITS });
    for _ in 0..3 {
        let task = run(&mut cluster, "FARGATE");
        let now_ms = cluster.now_ms;
        cluster.report(task, |report| report.pull_started_at_ms = now_ms);
        cluster.runs(task);
        cluster.now_ms += 8000;
        cluster.ends(task, 0);
    }
    assert_eq!(cluster.state.tasks.iter().count(), 1);
    let all = used(&cluster, 0, 1000);
    assert_eq!((all.iter().map(|u| u.1).sum::<u64>(), all.iter().map(|u| u.2).sum::<f64>()), (3, 6.0));
}

#[test]
fn a_reclaimed_spot_task_is_told_and_then_interrupted() {
    let mut cluster = cluster();
    let task = run(&mut cluster, "FARGATE_SPOT");
    cluster.runs(task);
    let spot = id(&cluster, "i-spot");
    let announce = |cluster: &mut TestCluster, id: InstanceId, notice_ms| {
        let before = cluster.state.clone();
        match cluster.apply(command::Kind::ReclaimInstance(ReclaimInstance { instance_id: id.0, notice_ms })).0 {
            reply::Kind::Refusal(refusal) => {
                assert_eq!(before.hash(), cluster.state.hash());
                refusal.message
            }
            _ => String::new(),
        }
    };
    for name in ["i-open", "i-pool"] {
        let id = id(&cluster, name);
        assert!(announce(&mut cluster, id, 0).contains("Drain it instead"));
    }
    assert!(announce(&mut cluster, spot, 3_600_001).contains("3601 s; it must be 0 to 3600 s"));
    assert!(announce(&mut cluster, InstanceId(999_999), 0).contains("not found"));
    assert_eq!(announce(&mut cluster, spot, 120_000), "");
    let shown = described(&mut cluster, task);
    let told = json!({"name": "seawall.reclaim-at", "value": (START_MS / 1000 + 120).to_string()});
    assert_eq!((&shown["attributes"][0], &shown["desiredStatus"]), (&told, &json!("RUNNING")));
    let refused = cluster.must("RunTask", json!({"taskDefinition": "web", "networkConfiguration":
        {"awsvpcConfiguration": {"subnets": ["s"]}}, "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}));
    assert_eq!(refused["failures"].as_array().unwrap().len(), 3, "it takes nothing new: {refused}");

    cluster.now_ms += 120_000;
    let now = Now { cluster_time_ms: cluster.now_ms, ..Now::default() };
    reclaim::plan(&cluster.state, now).commands.into_iter().for_each(|kind| drop(cluster.apply(kind)));
    cluster.ends(task, 143);
    let shown = described(&mut cluster, task);
    assert_eq!((&shown["stopCode"], &shown["lastStatus"]), (&json!("SpotInterruption"), &json!("STOPPED")));
    assert_eq!(shown["stoppedReason"], "Your Spot Task was interrupted.");
    assert!(shown.get("attributes").is_none(), "{shown}");
}
