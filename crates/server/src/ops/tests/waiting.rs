//! Tasks that wait in PROVISIONING, where a capacity provider has managed scaling.

use seawall_model::ErrorCode;
use seawall_scheduler::reservations;
use serde_json::{Value, json};

use crate::testing::{TestCluster, ids_of};

/// A cluster whose tasks go to the provider "big" unless they say otherwise.
fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    let scaling = json!({"status": "ENABLED"});
    cluster.must(
        "CreateCapacityProvider",
        json!({"name": "big", "autoScalingGroupProvider": {"autoScalingGroupArn": "g", "managedScaling": scaling}}),
    );
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["big"],
               "defaultCapacityProviderStrategy": [{"capacityProvider": "big", "weight": 1}]}),
    );
    cluster.register("web", 512, 512);
    cluster
}

fn run(cluster: &mut TestCluster, group: &str, count: u32) -> Value {
    cluster.must("RunTask", json!({"taskDefinition": "web", "group": group, "count": count}))
}

/// The groups of the tasks of a status, one for each.
fn groups(cluster: &mut TestCluster, status: &str) -> Vec<String> {
    let arns = cluster.must("ListTasks", json!({}))["taskArns"].clone();
    let described = cluster.must("DescribeTasks", json!({"tasks": arns}));
    let tasks = described["tasks"].as_array().cloned().unwrap_or_default();
    let of_status = tasks.iter().filter(|task| task["lastStatus"] == status);
    of_status.map(|task| task["group"].as_str().unwrap().to_owned()).collect()
}

/// Needed, running instances, per cent.
fn reservation(cluster: &TestCluster) -> (u32, u32, u32) {
    let id = *cluster.state.clusters.iter().next().unwrap().0;
    let all = reservations(&cluster.state, id);
    (all[0].needed, all[0].instances, all[0].percent())
}

#[test]
fn what_finds_no_room_waits_and_starts_once_there_is_some() {
    let mut cluster = cluster();
    let answer = run(&mut cluster, "a", 3);
    assert!(answer.get("failures").is_none(), "{answer}");
    let task = &answer["tasks"][0];
    assert_eq!((&task["lastStatus"], &task["desiredStatus"]), (&json!("PROVISIONING"), &json!("RUNNING")));
    assert_eq!(task["capacityProviderName"], "big");
    for absent in ["containerInstanceArn", "connectivity", "availabilityZone", "stoppedReason"] {
        assert!(task.get(absent).is_none(), "{absent}");
    }
    assert_eq!(cluster.must("DescribeClusters", json!({}))["clusters"][0]["pendingTasksCount"], 3);
    assert_eq!(reservation(&cluster), (1, 0, 200));
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PROVISIONING").len(), 3);

    cluster.instance_of("i-1", "a", "big");
    assert_eq!(reservation(&cluster), (2, 1, 200));
    cluster.place_waiting();
    let ids = ids_of(&answer);
    let row = cluster.state.tasks.get(&ids[0]).unwrap();
    assert!(row.instance_id != 0 && !row.placement_note.is_empty(), "the first comes first: {row:?}");
    assert_eq!(groups(&mut cluster, "PENDING").len(), 2);
    cluster.runs(ids[0]);
    cluster.runs(ids[1]);
    assert_eq!(reservation(&cluster), (2, 1, 200), "one busy, and one more for what waits");
    cluster.instance_of("i-2", "b", "big");
    assert_eq!(reservation(&cluster), (2, 2, 100), "what just came is no surplus");
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PROVISIONING"), [""; 0]);
    cluster.ends(ids[0], 0);
    cluster.ends(ids[1], 0);
    assert_eq!(reservation(&cluster), (1, 2, 50));
}

#[test]
fn a_backlog_holds_up_no_other_group() {
    let mut cluster = cluster();
    let first = run(&mut cluster, "backlog", 10);
    run(&mut cluster, "single", 1);
    cluster.instance_of("i-1", "a", "big");
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PENDING"), ["backlog", "single"]);
    // Its next ones wait for their turn behind those of a new group.
    run(&mut cluster, "third", 1);
    cluster.ends(ids_of(&first)[0], 0);
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PENDING"), ["single", "third"]);
}

#[test]
fn newcomers_of_a_group_wait_behind_it() {
    let mut cluster = cluster();
    run(&mut cluster, "a", 1);
    cluster.instance_of("i-1", "a", "big");
    let newcomer = run(&mut cluster, "a", 1);
    assert_eq!(newcomer["tasks"][0]["lastStatus"], "PROVISIONING");
    assert_eq!(run(&mut cluster, "b", 1)["tasks"][0]["lastStatus"], "PENDING", "another group is not behind");
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PROVISIONING"), ["a"]);
    assert_eq!(groups(&mut cluster, "PENDING"), ["a", "b"]);
}

#[test]
fn one_that_fits_nowhere_holds_up_none_that_does() {
    let mut cluster = cluster();
    cluster.register("huge", 9000, 100);
    cluster.must("RunTask", json!({"taskDefinition": "huge", "group": "a"}));
    run(&mut cluster, "a", 1);
    cluster.instance_of("i-1", "a", "big");
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PENDING"), ["a"]);
    let id = *cluster.state.clusters.iter().next().unwrap().0;
    assert_eq!(reservations(&cluster.state, id)[0].too_large, 1);
    assert_eq!(reservation(&cluster), (1, 1, 100), "no instance of this size would help");
}

#[test]
fn constraints_and_strategy_hold_when_it_is_placed_too() {
    let mut cluster = cluster();
    let distinct = json!([{"type": "distinctInstance"}]);
    cluster.must("RunTask", json!({"taskDefinition": "web", "count": 2, "placementConstraints": distinct}));
    assert_eq!(reservation(&cluster), (1, 0, 200));
    cluster.instance_of("i-1", "a", "big");
    assert_eq!(reservation(&cluster), (2, 1, 200), "no two of the group on one instance");
    cluster.place_waiting();
    assert_eq!(groups(&mut cluster, "PROVISIONING").len(), 1);
}

#[test]
fn stop_task_ends_one_that_waits_at_once() {
    let mut cluster = cluster();
    let id = ids_of(&run(&mut cluster, "a", 1))[0];
    let stopped = cluster.must("StopTask", json!({"task": id.to_string(), "reason": "not needed"}));
    assert_eq!(stopped["task"]["lastStatus"], "STOPPED");
    assert_eq!(stopped["task"]["stopCode"], "UserInitiated");
    assert_eq!(stopped["task"]["stoppedReason"], "not needed");
}

#[test]
fn the_quota_is_refused_as_a_whole() {
    let mut cluster = cluster();
    for _ in 0..50 {
        run(&mut cluster, "a", 10);
    }
    let refused = cluster.refused("RunTask", json!({"taskDefinition": "web", "group": "b"}));
    assert_eq!(refused.code, ErrorCode::Client);
    assert!(refused.message.contains("500 tasks in the PROVISIONING state"), "{}", refused.message);
}

#[test]
fn without_managed_scaling_it_is_a_failure() {
    let mut cluster = cluster();
    let off = json!({"managedScaling": {"status": "DISABLED"}});
    cluster.must("UpdateCapacityProvider", json!({"name": "big", "autoScalingGroupProvider": off}));
    let refused = cluster.refused("RunTask", json!({"taskDefinition": "web"}));
    assert!(refused.message.contains("No Container Instances"), "{}", refused.message);
    cluster.instance_with("i-1", "a", 100, 100);
    let answer = cluster.must("RunTask", json!({"taskDefinition": "web"}));
    assert_eq!(answer["failures"][0]["reason"], "RESOURCE:MEMORY");
}

#[test]
fn a_service_counts_what_it_cannot_start_as_pending() {
    let mut cluster = cluster();
    cluster.instance_of("i-1", "a", "big");
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 5}));
    cluster.reconcile();
    let service = cluster.must("DescribeServices", json!({"services": ["web"]}))["services"][0].clone();
    assert_eq!((&service["runningCount"], &service["pendingCount"]), (&json!(2), &json!(3)));
    assert_eq!(service["deployments"][0]["pendingCount"], 3);
    assert_eq!(reservation(&cluster), (3, 1, 300));
}
