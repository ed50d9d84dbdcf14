//! A service of which at most one task may be alive: stop before start on every path, and what a silent task is waited for.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::instances;
use seawall_proto::internal::v1::{Health, InstanceStatus, StopCode, TaskStatus, ZoneState, command::Kind, reply};
use support::{Behaviour, Sim, numbered as text};

/// The service at rest with its one task; where that is.
fn ready() -> (Sim, u64) {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_at_most_one(definition);
    settled(&mut sim);
    let place = sim.places()[0];
    (sim, place)
}

/// Lets time pass until it is steady. Never are two alive.
fn settled(sim: &mut Sim) {
    sim.settle(120_000, &mut |sim| assert!(sim.alive() <= 1, "two are alive"));
    assert_eq!((sim.running(), sim.alive()), (1, 1));
}

fn token(sim: &Sim) -> u64 {
    sim.newest().fencing_token
}

#[test]
fn a_rollout_stops_the_old_task_first_and_tokens_grow() {
    let (mut sim, _) = ready();
    let mut last = token(&sim);
    assert!(last > 0);
    for _ in 0..3 {
        let definition = sim.definition(256, Behaviour::Run);
        sim.deploy(definition);
        settled(&mut sim);
        assert!(token(&sim) > last, "a token only grows");
        assert_eq!(sim.row().fencing_token, token(&sim));
        last = token(&sim);
    }
    let definition = sim.definition(256, Behaviour::Run);
    sim.deploy(definition);
    insta::assert_snapshot!("rollout", text(&sim));
}

#[test]
fn draining_evacuation_and_ill_health_stop_first() {
    let (mut sim, place) = ready();
    sim.drain(place, InstanceStatus::Draining);
    settled(&mut sim);
    assert_ne!(sim.places(), [place]);
    sim.drain(place, InstanceStatus::Active);
    let zone = ["a", "b", "c"].into_iter().find(|zone| sim.in_zone(zone) == 1).unwrap();
    sim.set_zone(zone, ZoneState::Evacuating);
    settled(&mut sim);
    assert_eq!(sim.in_zone(zone), 0);
    let sick = sim.newest();
    sim.health(&sick, Health::Unhealthy);
    settled(&mut sim);
    assert_ne!(sim.newest().id, sick.id);
}

#[test]
fn a_silent_task_is_replaced_only_when_its_guard_has_ended_it() {
    let (mut sim, place) = ready();
    sim.cut_instances(&[place]);
    insta::assert_snapshot!("silent_1_waits", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.now_ms += 3_600_000;
    assert_eq!(sim.plan().commands, [], "no clock replaces it");
    sim.guards_have_ended(&[place]);
    insta::assert_snapshot!("silent_2_has_ended", text(&sim));
    settled(&mut sim);
    assert_ne!(sim.places(), [place]);
    let mut tasks = sim.state.tasks_of_service(sim.service);
    let ended = tasks.find(|task| task.last_status() == TaskStatus::Stopped).unwrap();
    assert_eq!(ended.stop_code(), StopCode::InfrastructureHealth);
}

#[test]
fn a_silent_task_that_comes_back_goes_on_and_a_late_word_ends_nothing() {
    let (mut sim, place) = ready();
    let before = sim.newest().id;
    sim.cut_instances(&[place]);
    sim.reconcile(&mut |_| {});
    sim.guards_have_ended(&[]);
    let session = sim.state.instances.get(&seawall_model::InstanceId(place)).unwrap().session;
    sim.heal();
    let item = seawall_proto::internal::v1::disconnect_instances::Item { instance_id: place, session };
    sim.apply(Kind::EndGuardedTasks(seawall_proto::internal::v1::EndGuardedTasks { items: vec![item] }));
    settled(&mut sim);
    assert_eq!(sim.newest().id, before);
}

#[test]
fn a_task_that_was_told_to_stop_before_its_instance_fell_silent_is_waited_for() {
    let (mut sim, place) = ready();
    let definition = sim.definition(256, Behaviour::Run);
    sim.deploy(definition);
    let plan = sim.plan();
    sim.execute(plan);
    sim.cut_instances(&[place]);
    for _ in 0..5 {
        sim.reconcile(&mut |sim| assert_eq!(sim.alive(), 1));
        sim.now_ms += 60_000;
    }
    sim.guards_have_ended(&[place]);
    settled(&mut sim);
}

#[test]
fn an_instance_that_is_deregistered_or_forgotten_holds_its_task_until_the_guard_has_ended_it() {
    for forgotten in [false, true] {
        let (mut sim, place) = ready();
        if forgotten {
            sim.cut_instances(&[place]);
            sim.now_ms += 1000;
            let now = seawall_controllers::Now { cluster_time_ms: sim.now_ms, ..Default::default() };
            let plan = instances::plan(&sim.state, now, 1000);
            assert!(matches!(sim.execute(plan)[..], [reply::Kind::Done(_)]));
        } else {
            assert!(matches!(sim.deregister(place, true), reply::Kind::Done(_)));
        }
        for _ in 0..5 {
            sim.reconcile(&mut |sim| assert_eq!(sim.alive(), 1));
            sim.now_ms += 60_000;
        }
        assert_eq!(sim.state.guarded_instances().map(|id| id.0).collect::<Vec<_>>(), [place]);
        sim.guards_have_ended(&[place]);
        assert_eq!(sim.alive(), 0);
        sim.reconcile(&mut |sim| assert!(sim.alive() <= 1));
        assert_eq!(sim.alive(), 1);
    }
}

#[test]
fn a_plan_that_did_not_see_a_silent_task_is_refused() {
    let (mut sim, place) = ready();
    sim.cut_instances(&[place]);
    sim.reconcile(&mut |_| {});
    let mut blind = sim.state.clone();
    std::mem::swap(&mut blind, &mut sim.state);
    sim.state = blind.clone();
    sim.guards_have_ended(&[place]);
    let plan = sim.plan();
    sim.state = blind;
    let replies = sim.execute(plan);
    assert!(matches!(replies[0], reply::Kind::Stale(_)), "{replies:?}");
    assert_eq!(sim.alive(), 1);
}

#[test]
fn a_deleted_service_is_over_when_its_silent_task_is() {
    let (mut sim, place) = ready();
    sim.cut_instances(&[place]);
    sim.delete();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.alive(), 1);
    sim.guards_have_ended(&[place]);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), seawall_proto::internal::v1::ServiceStatusCode::Inactive);
}
