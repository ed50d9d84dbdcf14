//! Placement strategies, constraints and whose instances take a task, through the operations.

use seawall_model::{ErrorCode, InstanceId};
use seawall_proto::internal::v1::{RaiseClusterVersion, command};
use seawall_scheduler::Fargate;
use serde_json::{Value, json};

use crate::testing::{TestCluster, id_of};

/// Two zones of two instances each; the first of each has an SSD.
fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    for (name, zone) in [("i-1", "a"), ("i-2", "a"), ("i-3", "b"), ("i-4", "b")] {
        cluster.instance(name, zone);
    }
    for name in ["i-1", "i-3"] {
        let disk = json!({"name": "disk", "value": "ssd", "targetId": arn(&mut cluster, name)});
        cluster.must("PutAttributes", json!({"attributes": [disk]}));
    }
    cluster.register("web", 100, 100);
    cluster
}

fn instances(cluster: &mut TestCluster) -> Vec<Value> {
    let arns = cluster.must("ListContainerInstances", json!({}))["containerInstanceArns"].clone();
    let all = cluster.must("DescribeContainerInstances", json!({"containerInstances": arns}));
    all["containerInstances"].as_array().unwrap().clone()
}

fn arn(cluster: &mut TestCluster, name: &str) -> Value {
    let all = instances(cluster);
    all.iter().find(|i| i["ec2InstanceId"] == name).unwrap()["containerInstanceArn"].clone()
}

/// The names of the instances that tasks stand on, sorted.
fn on(cluster: &mut TestCluster, tasks: &Value) -> Vec<String> {
    // From the rows: tasks in FARGATE's pools do not name their instances.
    let name = |task: &Value| {
        let row = cluster.state.tasks.get(&id_of(&task["taskArn"])).unwrap();
        cluster.state.instances.get(&InstanceId(row.instance_id)).unwrap().ec2_instance_id.clone()
    };
    let mut names: Vec<String> = tasks.as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}

fn tasks_of(cluster: &mut TestCluster, service: &str) -> Value {
    let arns = cluster.must("ListTasks", json!({"serviceName": service}))["taskArns"].clone();
    cluster.must("DescribeTasks", json!({"tasks": arns}))["tasks"].clone()
}

#[test]
fn run_task_goes_where_it_is_told() {
    let mut cluster = cluster();
    let run = |more: Value| {
        let mut input = json!({"taskDefinition": "web", "count": 2});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let ssd = run(json!({"placementConstraints": [{"type": "memberOf", "expression": "attribute:disk == ssd"}]}));
    let placed = cluster.must("RunTask", ssd);
    assert_eq!(on(&mut cluster, &placed["tasks"]), ["i-1", "i-3"]);
    let packed = run(json!({"placementStrategy": [{"type": "binpack", "field": "memory"}], "group": "batch"}));
    let placed = cluster.must("RunTask", packed);
    assert_eq!(on(&mut cluster, &placed["tasks"]), ["i-1", "i-1"], "the fullest takes both");
    let apart = run(json!({"count": 5, "group": "one-each", "placementConstraints": [{"type": "distinctInstance"}]}));
    let placed = cluster.must("RunTask", apart);
    assert_eq!(placed["tasks"].as_array().unwrap().len(), 4);
    let reason = placed["failures"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("DistinctInstance"), "{reason}");
}

#[test]
fn a_definition_s_constraints_hold_for_services_and_new_ones_only_for_new_tasks() {
    let mut cluster = cluster();
    let mut definition = json!({"family": "db", "containerDefinitions": [
        {"name": "main", "image": "busybox", "cpu": 100, "memory": 100}]});
    definition["placementConstraints"] = json!([{"type": "memberOf", "expression": "attribute:disk == ssd"}]);
    let made = cluster.must("RegisterTaskDefinition", definition.clone());
    assert_eq!(made["taskDefinition"]["placementConstraints"], definition["placementConstraints"]);
    cluster.must(
        "CreateService",
        json!({"serviceName": "db", "taskDefinition": "db", "desiredCount": 4,
               "placementStrategy": [{"type": "spread", "field": "instanceId"}]}),
    );
    cluster.reconcile();
    let tasks = tasks_of(&mut cluster, "db");
    assert_eq!(on(&mut cluster, &tasks), ["i-1", "i-1", "i-3", "i-3"]);
    let zone_b = json!([{"type": "memberOf", "expression": "attribute:ecs.availability-zone == b"}]);
    cluster.must("UpdateService", json!({"service": "db", "placementConstraints": zone_b, "desiredCount": 6}));
    cluster.reconcile();
    let tasks = tasks_of(&mut cluster, "db");
    assert_eq!(on(&mut cluster, &tasks), ["i-1", "i-1", "i-3", "i-3", "i-3", "i-3"]);
    let bad = json!({"family": "bad", "containerDefinitions": definition["containerDefinitions"],
                     "placementConstraints": [{"type": "memberOf", "expression": "disk is ssd"}]});
    let error = cluster.refused("RegisterTaskDefinition", bad);
    assert!(error.code == ErrorCode::Client && error.message.starts_with("placementConstraints[0].expression"));
}

#[test]
fn a_service_that_fits_nowhere_says_which_constraint_is_in_the_way() {
    let mut cluster = cluster();
    cluster.must(
        "CreateService",
        json!({"serviceName": "gpu", "taskDefinition": "web", "desiredCount": 1,
               "placementConstraints": [{"type": "memberOf", "expression": "attribute:gpu exists"}]}),
    );
    cluster.plan_once();
    let service = cluster.must("DescribeServices", json!({"services": ["gpu"]}))["services"][0].clone();
    let message = service["events"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("MemberOf placement constraint unsatisfied."), "{message}");
}

fn fargate(cluster: &mut TestCluster) -> Value {
    cluster.must(
        "RegisterTaskDefinition",
        json!({"family": "small", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256",
               "memory": "512", "containerDefinitions": [{"name": "main", "image": "busybox"}]}),
    );
    json!({"taskDefinition": "small", "launchType": "FARGATE",
           "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}})
}

#[test]
fn fargate_is_served_by_everybody_until_it_has_a_pool() {
    let mut cluster = cluster();
    let run = fargate(&mut cluster);
    cluster.instance_of("e-1", "a", "");
    let placed = cluster.must("RunTask", run.clone());
    assert_eq!(on(&mut cluster, &placed["tasks"]), ["e-1"]);
    cluster.instance_of("f-1", "a", "FARGATE");
    for _ in 0..2 {
        let placed = cluster.must("RunTask", run.clone());
        assert_eq!(on(&mut cluster, &placed["tasks"]), ["f-1"]);
    }
    let other = cluster.must("RunTask", json!({"taskDefinition": "web", "count": 10}));
    assert!(!on(&mut cluster, &other["tasks"]).contains(&"f-1".to_owned()), "the pool takes its own tasks only");
}

#[test]
fn fargate_waits_for_its_pool_or_is_refused_where_the_operator_says_so() {
    let mut cluster = cluster();
    let run = fargate(&mut cluster);
    cluster.fargate = Fargate::Pool;
    let placed = cluster.must("RunTask", run.clone());
    assert_eq!(placed["failures"][0]["reason"], "CAPACITY");
    cluster.fargate = Fargate::Refuse;
    let error = cluster.refused("RunTask", run.clone());
    assert!(
        error.code == ErrorCode::InvalidParameter && error.message.contains("--fargate=refuse"),
        "{}",
        error.message
    );
    let mut create = run;
    create["serviceName"] = json!("small");
    create["desiredCount"] = json!(1);
    assert!(cluster.refused("CreateService", create).message.contains("--fargate=refuse"));
}

#[test]
fn a_service_is_shared_out_among_its_providers_and_keeps_its_shares() {
    let mut cluster = cluster();
    cluster.instance_of("o-1", "a", "steady");
    cluster.instance_of("s-1", "b", "cheap");
    let group = "arn:aws:autoscaling:us-local-1:000000000000:autoScalingGroup:1:autoScalingGroupName/g";
    for name in ["steady", "cheap"] {
        let input = json!({"name": name, "autoScalingGroupProvider": {"autoScalingGroupArn": group}});
        cluster.must("CreateCapacityProvider", input);
    }
    let strategy =
        json!([{"capacityProvider": "steady", "weight": 1, "base": 1}, {"capacityProvider": "cheap", "weight": 2}]);
    cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["steady", "cheap"],
               "defaultCapacityProviderStrategy": strategy}),
    );
    let made = cluster.must("CreateService", json!({"serviceName": "s", "taskDefinition": "web", "desiredCount": 4}));
    assert_eq!(made["service"]["capacityProviderStrategy"].as_array().unwrap().len(), 2, "the cluster's own");
    cluster.reconcile();
    let count = |cluster: &mut TestCluster, provider: &str| {
        let tasks = tasks_of(cluster, "s");
        tasks.as_array().unwrap().iter().filter(|t| t["capacityProviderName"] == provider).count()
    };
    assert_eq!((count(&mut cluster, "steady"), count(&mut cluster, "cheap")), (2, 2));
    cluster.must("UpdateService", json!({"service": "s", "desiredCount": 7}));
    cluster.reconcile();
    assert_eq!((count(&mut cluster, "steady"), count(&mut cluster, "cheap")), (3, 4));
    let tasks = tasks_of(&mut cluster, "s");
    assert!(on(&mut cluster, &tasks).iter().all(|name| name == "o-1" || name == "s-1"));
}

/// A tag of Seawall's own.
fn tag(key: &str, value: &str) -> Value {
    json!([{"key": key, "value": value}])
}

#[test]
fn an_instance_has_no_more_tasks_of_a_service_than_its_tag_says_also_after_a_rollout() {
    let mut cluster = cluster();
    let bad = json!({"serviceName": "few", "taskDefinition": "web", "desiredCount": 1,
                     "tags": tag("seawall:max-per-instance", "0")});
    assert!(cluster.refused("CreateService", bad).message.contains("seawall:max-per-instance"));
    cluster.must(
        "CreateService",
        json!({"serviceName": "few", "taskDefinition": "web", "desiredCount": 6,
               "tags": tag("seawall:max-per-instance", "1")}),
    );
    cluster.plan_once();
    let tasks = tasks_of(&mut cluster, "few");
    assert_eq!(on(&mut cluster, &tasks), ["i-1", "i-2", "i-3", "i-4"]);
    let service = cluster.must("DescribeServices", json!({"services": ["few"]}))["services"][0].clone();
    assert!(service["events"].to_string().contains("seawall:max-per-instance"), "{service}");
    cluster.must("UpdateService", json!({"service": "few", "desiredCount": 4}));
    cluster.reconcile();
    // Every instance has one that is replaced: the new ones start beside them.
    cluster.register("web", 100, 100);
    cluster.must("UpdateService", json!({"service": "few", "taskDefinition": "web"}));
    cluster.plan_once();
    assert_eq!(tasks_of(&mut cluster, "few").as_array().unwrap().len(), 8, "start first");
    cluster.reconcile();
    let tasks = tasks_of(&mut cluster, "few");
    assert_eq!(on(&mut cluster, &tasks), ["i-1", "i-2", "i-3", "i-4"]);
}

#[test]
fn no_zone_gets_ahead_of_another_also_after_a_rollout_and_a_scale_in() {
    let mut cluster = TestCluster::new();
    for (name, zone, memory) in [("i-1", "a", 8000), ("i-2", "b", 8000), ("i-3", "c", 150)] {
        cluster.instance_with(name, zone, 4000, memory);
    }
    cluster.register("web", 100, 100);
    cluster.must(
        "CreateService",
        json!({"serviceName": "even", "taskDefinition": "web", "desiredCount": 6,
               "placementStrategy": [{"type": "binpack", "field": "memory"}], "tags": tag("seawall:max-zone-skew", "1")}),
    );
    cluster.plan_once();
    let names = |cluster: &mut TestCluster| {
        let tasks = tasks_of(cluster, "even");
        on(cluster, &tasks)
    };
    assert_eq!(names(&mut cluster), ["i-1", "i-1", "i-2", "i-2", "i-3"], "zone c has room for one");
    let service = cluster.must("DescribeServices", json!({"services": ["even"]}))["services"][0].clone();
    assert!(service["events"].to_string().contains("seawall:max-zone-skew"), "{service}");
    cluster.must("UpdateService", json!({"service": "even", "desiredCount": 5}));
    cluster.reconcile();
    cluster.register("web", 100, 50);
    cluster.must("UpdateService", json!({"service": "even", "taskDefinition": "web"}));
    cluster.reconcile();
    assert_eq!(names(&mut cluster), ["i-1", "i-1", "i-2", "i-2", "i-3"]);
    cluster.must("UpdateService", json!({"service": "even", "desiredCount": 3}));
    cluster.reconcile();
    assert_eq!(names(&mut cluster), ["i-1", "i-2", "i-3"]);
}

#[test]
fn a_service_that_must_survive_a_zone_is_refused_where_it_would_not_fit() {
    let mut cluster = TestCluster::new();
    for (name, zone) in [("i-1", "a"), ("i-2", "b")] {
        cluster.instance_with(name, zone, 1000, 1000);
    }
    cluster.register("web", 400, 100);
    let create = |count: u32| {
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": count,
               "tags": tag("seawall:zone-loss-tolerance", "1")})
    };
    let error = cluster.refused("CreateService", create(3));
    assert!(error.code == ErrorCode::InvalidParameter, "{error}");
    assert!(error.message.contains("without zone a 1 of 3 tasks would find no place"), "{}", error.message);
    cluster.must("CreateService", create(2));
    cluster.must("CreateService", create(2));
    cluster.reconcile();
    let grow = json!({"service": "web", "desiredCount": 3});
    assert!(cluster.refused("UpdateService", grow.clone()).message.contains("without zone"));
    cluster.must("UpdateService", json!({"service": "web", "desiredCount": 1}));
    cluster.instance_with("i-3", "b", 1000, 1000);
    let error = cluster.refused("UpdateService", grow.clone());
    assert!(error.message.contains("without zone b"), "{}", error.message);
    cluster.instance_with("i-4", "a", 1000, 1000);
    cluster.must("UpdateService", grow);
}

#[test]
fn what_would_leave_it_short_is_refused_to_others() {
    let mut cluster = TestCluster::new();
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    for (name, zone) in [("i-1", "a"), ("i-2", "b")] {
        cluster.instance_with(name, zone, 1000, 1000);
    }
    cluster.register("web", 300, 100);
    cluster.register("log", 100, 100);
    cluster.must(
        "CreateService",
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2,
               "tags": tag("seawall:zone-loss-tolerance", "1")}),
    );
    cluster.reconcile();
    let other = |count: u32| json!({"serviceName": "other", "taskDefinition": "web", "desiredCount": count});
    let error = cluster.refused("CreateService", other(4)).message;
    assert!(
        error.contains("of service web: beside these tasks 1 of its own would find no place without zone a"),
        "{error}"
    );
    cluster.must("CreateService", other(2));
    cluster.reconcile();
    let grow = json!({"service": "other", "desiredCount": 3});
    assert!(cluster.refused("UpdateService", grow).message.contains("of service web"));
    let daemon = |name: &str| json!({"serviceName": name, "taskDefinition": "log", "schedulingStrategy": "DAEMON"});
    cluster.must("CreateService", daemon("log"));
    cluster.reconcile();
    assert!(cluster.refused("CreateService", daemon("more")).message.contains("of service web"));
    let less = json!({"service": "other", "desiredCount": 1});
    cluster.must("UpdateService", less);
}

#[test]
fn tasks_of_a_call_that_would_leave_it_short_are_refused() {
    let mut cluster = TestCluster::new();
    let first = cluster.instance_with("i-1", "a", 1000, 1000);
    cluster.instance_with("i-2", "b", 1000, 1000);
    cluster.register("web", 300, 100);
    let run = |count: u32| json!({"taskDefinition": "web", "count": count});
    cluster.must(
        "CreateService",
        json!({"serviceName": "web", "taskDefinition": "web", "desiredCount": 2,
               "tags": tag("seawall:zone-loss-tolerance", "1")}),
    );
    cluster.reconcile();
    let error = cluster.refused("RunTask", run(4)).message;
    assert!(error.contains("of service web: beside these tasks 1 of its own would find no place"), "{error}");
    cluster.must("RunTask", run(2));
    let start = json!({"taskDefinition": "web", "containerInstances": [cluster.instance_arn(first)]});
    assert!(cluster.refused("StartTask", start.clone()).message.contains("of service web"));
    let another = json!({"cluster": "other", "taskDefinition": "web"});
    cluster.must("CreateCluster", json!({"clusterName": "other"}));
    assert!(!cluster.refused("RunTask", another).message.contains("of service web"));
    cluster.must("UpdateService", json!({"service": "web", "desiredCount": 1}));
    cluster.reconcile();
    cluster.must("StartTask", start);
}

#[test]
fn a_daemon_has_no_place_but_its_instances_so_no_zone_is_asked_of_it() {
    let mut cluster = TestCluster::new();
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    cluster.instance_with("i-1", "a", 1000, 1000);
    cluster.instance_with("i-2", "b", 1000, 1000);
    for memory in [100, 600] {
        cluster.register(&format!("log-{memory}"), 10, memory);
    }
    cluster.must(
        "CreateService",
        json!({"serviceName": "log", "taskDefinition": "log-100", "schedulingStrategy": "DAEMON",
               "tags": tag("seawall:zone-loss-tolerance", "1")}),
    );
    cluster.reconcile();
    cluster.must("UpdateService", json!({"service": "log", "taskDefinition": "log-600"}));
}
