//! What the cluster query language sees of an instance of the state.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeSet;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{InstanceAttribute, ServiceRow};
use seawall_query::{Expression, Subject};
use seawall_scheduler::InstanceSubject;
use seawall_state::State;
use support::{CLUSTER, World, size};

const SERVICE: u64 = 7;

/// Two instances: one with tasks of every kind, and an idle one.
fn world() -> World {
    let mut world = World::default();
    let busy = world.instance("us-local-1a", 4096, 4096);
    world.instance("us-local-1b", 4096, 4096);
    let row = world.instance_mut(busy);
    row.agent_version = "0.9.0".into();
    row.registered_at_ms = 1_529_360_908_000;
    row.attributes = vec![
        InstanceAttribute { name: "stack".into(), value: "prod".into(), custom: true },
        InstanceAttribute { name: "ecs.capability.awsvpc".into(), ..InstanceAttribute::default() },
    ];
    let service =
        ServiceRow { id: SERVICE, cluster_id: CLUSTER.0, name: "web".into(), changed: 1, ..ServiceRow::default() };
    world.services.insert(SERVICE, service);
    let small = size(1, 1);
    world.task(busy, "family:cron", &small);
    world.task(busy, "family:cron", &small);
    world.task(busy, "service:web", &small).service_id = SERVICE;
    world.task(busy, "family:leaving", &small).desired_running = false;
    world.task(busy, "family:silent", &small).unreachable_since_ms = 5;
    world
}

fn matching(state: &State, expression: &str) -> Vec<u64> {
    let expression = Expression::parse(expression).unwrap();
    let rows = state.instances_of(CLUSTER).filter(|row| expression.matches(&InstanceSubject::new(state, row)));
    rows.map(|row| row.id).collect()
}

#[test]
fn every_subject_is_the_instances_own() {
    let state = world().state();
    for (expression, expected) in [
        ("attribute:stack == prod", vec![1]),
        ("attribute:ecs.capability.awsvpc exists", vec![1]),
        ("attribute:ecs.availability-zone == us-local-1b", vec![2]),
        ("ec2InstanceId in [i-1, i-2]", vec![1, 2]),
        ("agentConnected == false", vec![]),
        ("agentVersion < 1.0.0", vec![1]),
        ("registeredAt > 2018-06-18", vec![1]),
        // A task that is to stop is running until it stopped; one that cannot be reached is not.
        ("runningTasksCount == 4", vec![1]),
        ("runningTasksCount == 0", vec![2]),
        ("task:group == service:web", vec![1]),
        ("task:group in [family:cron, none]", vec![1]),
        ("task:group =~ family:.* and task:group !~ family:.*", vec![1]),
        ("not(task:group == family:cron)", vec![2]),
        ("task:group == family:leaving or task:group == family:silent", vec![]),
        ("task:group !exists", vec![2]),
    ] {
        assert_eq!(matching(&state, expression), expected, "{expression}");
    }
}

#[test]
fn a_zone_that_the_agent_says_goes_before_the_rows() {
    let mut world = world();
    let zone = InstanceAttribute { name: "ecs.availability-zone".into(), value: "z".into(), custom: false };
    world.instance_mut(InstanceId(1)).attributes.push(zone);
    assert_eq!(matching(&world.state(), "attribute:ecs.availability-zone == z"), [1]);
}

#[test]
fn a_group_that_is_asked_for_is_one_of_those_that_are_listed() {
    let state = world().state();
    let all = ["family:cron", "service:web", "service:other", "family:leaving", "family:silent", ""];
    for row in state.instances_of(CLUSTER) {
        let subject = InstanceSubject::new(&state, row);
        let listed: BTreeSet<&str> = subject.groups().collect();
        let asked: BTreeSet<&str> = all.into_iter().filter(|group| subject.runs_group(group)).collect();
        assert_eq!(asked, listed, "instance {}", row.id);
    }
    assert_eq!(InstanceSubject::new(&state, state.instances.get(&InstanceId(1)).unwrap()).groups().count(), 3);
}
