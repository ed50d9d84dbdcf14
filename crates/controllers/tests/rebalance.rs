//! Moving tasks between zones of which one came back, or was short of room.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::service::BUDGET_RETRY_MS;
use seawall_model::InstanceId;
use seawall_proto::{internal::v1::RolloutState, v1::CreateServiceRequest};
use support::{Behaviour, Sim};

fn create(sim: &mut Sim, desired: u32, percents: (u32, u32), rebalancing: &str) {
    let definition = sim.definition(256, Behaviour::Run);
    let spec = CreateServiceRequest {
        desired_count: Some(desired as i32),
        availability_zone_rebalancing: Some(rebalancing.into()),
        ..Default::default()
    };
    sim.create_as("web", definition, percents, spec);
    sim.settled();
}

/// Tasks by zone.
fn zones(sim: &Sim) -> Vec<usize> {
    sim.zones().into_values().collect()
}

/// A service of which zone c has nothing: the zone was lost and is back.
fn uneven(desired: u32, percents: (u32, u32), rebalancing: &str) -> Sim {
    let mut sim = Sim::three_zones(2, 4096);
    create(&mut sim, desired, percents, rebalancing);
    sim.cut("c");
    sim.settled();
    sim.now_ms += 60_000;
    sim.heal();
    sim.agents();
    sim
}

#[test]
fn a_zone_that_came_back_gets_its_tasks_one_at_a_time() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    assert_eq!(zones(&sim), [3, 3, 0], "what the lost zone had was replaced, and stopped when it was back");
    insta::assert_snapshot!("rebalance_1_starts", support::numbered(&sim));
    sim.reconcile(&mut |_| {});
    assert!(sim.plan().commands.is_empty(), "the new task does not run yet: {}", sim.plan().text);
    sim.agents();
    insta::assert_snapshot!("rebalance_2_stops", support::numbered(&sim));
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 6, "below the desired count");
        assert!(sim.wanted().len() <= 7, "more than one at a time");
    });
    assert_eq!(zones(&sim), [2, 2, 2]);
    let events: Vec<_> =
        sim.row().events.iter().rev().take(3).map(|e| (e.code().as_str_name(), e.detail.as_str())).collect();
    assert_eq!(events[0].0, "SERVICE_EVENT_CODE_STEADY_STATE");
    assert_eq!(events[1], ("SERVICE_EVENT_CODE_BALANCED", "2 tasks in a, 2 tasks in b, 2 tasks in c"));
    let begun: Vec<_> = sim.events().into_iter().filter(|e| e.starts_with("NOT_BALANCED")).collect();
    assert_eq!(begun.len(), 1, "said once for all moves");
    sim.now_ms += 3_600_000;
    assert_eq!(sim.plan(), Default::default(), "at rest it writes nothing");
}

#[test]
fn a_difference_of_one_is_even() {
    let mut sim = Sim::three_zones(2, 4096);
    create(&mut sim, 4, (100, 200), "ENABLED");
    assert_eq!(zones(&sim), [2, 1, 1]);
    assert_eq!(sim.plan(), Default::default());
}

#[test]
fn it_stays_as_it_is_where_moving_is_off_or_has_no_room() {
    for (percents, rebalancing) in [((100, 200), "DISABLED"), ((50, 100), "ENABLED"), ((50, 116), "ENABLED")] {
        let mut sim = uneven(6, percents, rebalancing);
        sim.settled();
        assert_eq!(zones(&sim), [3, 3, 0], "{percents:?} {rebalancing}");
        let before = sim.written;
        sim.now_ms += 3_600_000;
        sim.reconcile(&mut |_| {});
        assert_eq!(sim.written, before);
    }
}

#[test]
fn a_zone_without_room_is_let_be_and_one_with_some_is_used() {
    let mut sim = Sim::new();
    for (zone, cpu) in [("a", 4096), ("b", 4096), ("c", 256), ("d", 100)] {
        sim.instance(zone, cpu);
    }
    create(&mut sim, 9, (100, 200), "ENABLED");
    assert_eq!(zones(&sim), [4, 4, 1, 0]);
    let before = sim.written;
    sim.now_ms += 3_600_000;
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.written, before, "{:?}", sim.events());
    sim.instance("c", 512);
    sim.settled();
    assert_eq!(zones(&sim), [3, 3, 3, 0]);
}

#[test]
fn a_move_that_would_gain_nothing_is_not_made() {
    let mut sim = Sim::new();
    for (zone, cpu) in [("a", 4096), ("b", 4096), ("c", 100)] {
        sim.instance(zone, cpu);
    }
    create(&mut sim, 5, (100, 200), "ENABLED");
    assert_eq!(zones(&sim), [3, 2, 0]);
    assert_eq!(sim.plan(), Default::default());
}

#[test]
fn a_move_waits_for_tasks_that_were_protected_meanwhile() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    sim.reconcile(&mut |_| {});
    let moved = sim.newest();
    let old: Vec<_> = sim.wanted().into_iter().filter(|t| t.id != moved.id).collect();
    old.iter().for_each(|task| sim.protect(task, i64::MAX));
    sim.agents();
    sim.now_ms += 60_000;
    sim.reconcile(&mut |_| {});
    assert_eq!(zones(&sim), [3, 3, 1], "not even the new task goes");
    sim.protect(&old[0], 0);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 6);
    assert!(sim.wanted().iter().all(|t| t.id != old[0].id));
}

#[test]
fn protected_tasks_stay_and_that_is_said_once() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    for task in sim.wanted() {
        sim.protect(&task, i64::MAX);
    }
    sim.settled();
    sim.now_ms += 60_000;
    sim.reconcile(&mut |_| {});
    assert_eq!(zones(&sim), [3, 3, 0]);
    let said: Vec<_> = sim.events().into_iter().filter(|e| e.contains("BALANCE")).collect();
    assert_eq!(said, ["BALANCE_PROTECTED 6"]);
    let free = sim.wanted()[0].clone();
    sim.protect(&free, 0);
    sim.settled();
    let zone = &sim.state.instances.get(&InstanceId(free.instance_id)).unwrap().zone;
    let protected_zone = if zone == "a" { [2, 3, 1] } else { [3, 2, 1] };
    assert_eq!(zones(&sim), protected_zone, "the one that may go went, and no other");
    assert!(sim.wanted().iter().all(|t| t.id != free.id));
}

#[test]
fn nothing_moves_during_a_deployment_or_a_hold() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    sim.hold = true;
    sim.settled();
    assert_eq!(zones(&sim), [3, 3, 0]);
    sim.hold = false;
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    for _ in 0..30 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        assert!(!sim.row().rebalancing);
        sim.now_ms += 1_000;
    }
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress);
    assert!(!sim.events().iter().any(|e| e.starts_with("NOT_BALANCED")));
}

#[test]
fn a_zone_where_tasks_fail_gets_no_more_for_a_while() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    sim.reconcile(&mut |_| {});
    let moved = sim.newest();
    sim.agents();
    sim.kill(&moved);
    let tasks = sim.state.tasks.len();
    let began_ms = sim.now_ms;
    while sim.now_ms < began_ms + 4 * 60_000 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms += 1_000;
    }
    assert_eq!((sim.state.tasks.len(), zones(&sim)), (tasks, vec![3, 3, 0]));
    assert_eq!(sim.events().last().unwrap(), "STEADY_STATE 0");
    let due_ms = sim.plan().wake_at_ms.expect("it asks to be woken");
    assert_eq!(due_ms, moved.created_at_ms + seawall_controllers::service::SHUN_MS);
    sim.now_ms = due_ms;
    sim.settled();
    assert_eq!(zones(&sim), [2, 2, 2]);
}

#[test]
fn scaling_in_the_middle_of_a_move_ends_it() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    sim.reconcile(&mut |_| {});
    assert!(sim.row().rebalancing);
    sim.scale(3);
    assert!(!sim.row().rebalancing);
    sim.settled();
    assert_eq!((zones(&sim), sim.running()), (vec![1, 1, 1], 3));
}

#[test]
fn a_zone_that_is_lost_in_the_middle_of_a_move_is_replaced_as_ever() {
    let mut sim = uneven(6, (100, 200), "ENABLED");
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.cut("c");
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 6));
    assert_eq!(zones(&sim), [3, 3]);
}

#[test]
fn what_an_older_revision_did_keeps_no_zone_from_getting_tasks() {
    let mut sim = Sim::three_zones(2, 4096);
    let broken = sim.definition(256, Behaviour::Fail);
    let spec = CreateServiceRequest {
        desired_count: Some(6),
        availability_zone_rebalancing: Some("ENABLED".into()),
        ..Default::default()
    };
    sim.create_as("web", broken, (100, 200), spec);
    sim.reconcile(&mut |_| {});
    sim.agents();
    let good = sim.definition(256, Behaviour::Run);
    sim.deploy(good);
    sim.settled();
    sim.cut("c");
    sim.settled();
    sim.heal();
    sim.agents();
    sim.settled();
    assert_eq!(zones(&sim), [2, 2, 2]);
}

/// Tasks on each of the instances.
fn on(sim: &Sim, instances: &[InstanceId]) -> Vec<usize> {
    let places = sim.places();
    instances.iter().map(|id| places.iter().filter(|place| **place == id.0).count()).collect()
}

/// Six tasks in one zone on two instances, and a third that has just joined.
fn crowded(spec: CreateServiceRequest) -> (Sim, Vec<InstanceId>) {
    let mut sim = Sim::new();
    let mut instances = vec![sim.instance("a", 4096), sim.instance("a", 4096)];
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_as("web", definition, (100, 200), CreateServiceRequest { desired_count: Some(6), ..spec });
    sim.settled();
    instances.push(sim.instance("a", 4096));
    assert_eq!(on(&sim, &instances), [3, 3, 0]);
    (sim, instances)
}

fn enabled() -> CreateServiceRequest {
    CreateServiceRequest { availability_zone_rebalancing: Some("ENABLED".into()), ..Default::default() }
}

#[test]
fn an_instance_that_joins_gets_tasks_of_its_zone_one_at_a_time() {
    let (mut sim, instances) = crowded(enabled());
    let plan = sim.plan();
    assert_eq!(plan.moves, 1);
    insta::assert_snapshot!("rebalance_instances_starts", support::numbered(&sim));
    sim.reconcile(&mut |_| {});
    assert!(sim.plan().commands.is_empty(), "the new task does not run yet: {}", sim.plan().text);
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 6, "below the desired count");
        assert!(sim.wanted().len() <= 7, "more than one at a time");
    });
    assert_eq!(on(&sim, &instances), [2, 2, 2]);
    let said: Vec<_> = sim.events().into_iter().filter(|e| e.contains("EVEN")).collect();
    assert_eq!(said, ["NOT_EVEN 0", "EVEN 0"], "once for all moves");
    sim.now_ms += 3_600_000;
    assert_eq!(sim.plan(), Default::default(), "at rest it writes nothing");
}

#[test]
fn an_instance_that_has_room_again_gets_tasks() {
    let mut sim = Sim::new();
    let full = sim.instance("a", 1000);
    let definition = sim.definition(900, Behaviour::Run);
    let big =
        sim.create_as("big", definition, (100, 200), CreateServiceRequest { desired_count: Some(1), ..enabled() });
    sim.settled();
    let other = sim.instance("a", 4096);
    let definition = sim.definition(256, Behaviour::Run);
    let spec = CreateServiceRequest { desired_count: Some(4), ..enabled() };
    let web = sim.create_as("web", definition, (100, 200), spec);
    sim.settled();
    assert_eq!(on(&sim, &[full, other]), [0, 4]);
    sim.look_at(big).scale(0);
    sim.settled();
    sim.look_at(web).reconcile(&mut |_| {});
    sim.settled();
    assert_eq!(on(&sim, &[full, other]), [2, 2]);
}

#[test]
fn tasks_stay_where_moving_between_instances_is_off_held_or_protected() {
    let (mut sim, instances) =
        crowded(CreateServiceRequest { availability_zone_rebalancing: Some("DISABLED".into()), ..Default::default() });
    assert_eq!(sim.plan(), Default::default(), "as for zones");
    sim.tag("seawall:rebalance", "1");
    sim.hold_moves = true;
    let held = sim.plan();
    assert_eq!((held.commands.len(), held.wake_at_ms), (0, Some(sim.now_ms + BUDGET_RETRY_MS)));
    sim.hold_moves = false;
    for task in sim.wanted() {
        sim.protect(&task, i64::MAX);
    }
    assert!(sim.plan().commands.is_empty());
    for task in sim.wanted() {
        sim.protect(&task, 0);
    }
    sim.tag("seawall:rebalance", "0");
    assert_eq!(sim.plan(), Default::default());
    sim.tag("seawall:rebalance", "1");
    sim.settled();
    assert_eq!(on(&sim, &instances), [2, 2, 2], "also where zones are not moved");
}

#[test]
fn an_instance_of_another_zone_or_without_room_is_no_better_place() {
    let mut sim = Sim::new();
    let instances = [sim.instance("a", 4096), sim.instance("b", 4096)];
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_as("web", definition, (100, 200), CreateServiceRequest { desired_count: Some(6), ..enabled() });
    sim.settled();
    sim.instance("a", 200);
    sim.instance("b", 200);
    assert_eq!(on(&sim, &instances), [3, 3]);
    assert_eq!(sim.plan(), Default::default());
}

#[test]
fn what_packs_is_not_spread() {
    let step = |kind: &str, field: &str| seawall_proto::v1::PlacementStrategy {
        r#type: Some(kind.into()),
        field: Some(field.into()),
    };
    let mut sim = Sim::new();
    sim.instance("a", 4096);
    let definition = sim.definition(256, Behaviour::Run);
    let placement_strategy = vec![step("binpack", "cpu"), step("spread", "instanceId")];
    let spec = CreateServiceRequest { placement_strategy, desired_count: Some(6), ..enabled() };
    sim.create_as("web", definition, (100, 200), spec);
    sim.settled();
    sim.instance("a", 4096);
    assert_eq!(sim.plan(), Default::default());
}
