//! The service controller in each situation: golden plans, and what comes of them on the real state machine.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::{Now, instances};
use seawall_model::{InstanceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        DeploymentReturn, DeregisterTaskDefinition, Health, InstanceStatus, PortNeed, RolloutState,
        ServiceDeploymentStatus, ServiceEventCode, ServiceStatusCode, StopCode, TaskRow, TaskSize, TaskStatus,
        ZoneState, command::Kind, reply,
    },
    v1::{
        CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration, DeploymentEarlySuccessCriteria,
        ThresholdConfiguration,
    },
};
use support::{Behaviour, Sim, numbered as text};

fn ready(desired: u32, min: u32, max: u32) -> Sim {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, desired, min, max);
    sim.settled();
    sim
}

#[test]
fn a_new_service_starts_its_tasks() {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 6, 100, 200);
    insta::assert_snapshot!("new_1_places", text(&sim));
    let plan = sim.plan();
    sim.execute(plan);
    insta::assert_snapshot!("new_2_says_so", text(&sim));
    let plan = sim.plan();
    sim.execute(plan);
    sim.agents();
    insta::assert_snapshot!("new_3_completes", text(&sim));
    sim.settled();
    assert_eq!(sim.events(), ["STARTED 6", "DEPLOYMENT_COMPLETED 0", "STEADY_STATE 0"]);
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert_eq!(sim.zones().into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn at_rest_it_writes_nothing_however_often_it_looks() {
    let mut sim = ready(6, 100, 200);
    for _ in 0..10 {
        sim.now_ms += 3_600_000;
        assert_eq!(sim.plan(), Default::default());
    }
}

#[test]
fn scaling_in_mirrors_spreading() {
    let mut sim = ready(8, 100, 200);
    sim.scale(4);
    insta::assert_snapshot!("scale_in", text(&sim));
    sim.settled();
    assert_eq!(sim.zone_difference(), 1);
    assert_eq!(sim.running(), 4);
    let stopped = sim.state.tasks_of_service(sim.service).find(|t| t.last_status() == TaskStatus::Stopped).unwrap();
    assert_eq!(stopped.stop_code(), StopCode::ServiceSchedulerInitiated);
    assert_eq!(stopped.stopped_reason, "Scaling activity initiated by (deployment ecs-svc/100)");
    assert!(sim.events().contains(&"STOPPED 4".to_owned()), "{:?}", sim.events());
}

#[test]
fn a_zone_is_lost_and_comes_back() {
    let mut sim = ready(6, 100, 200);
    sim.cut("a");
    insta::assert_snapshot!("lost_1_places_elsewhere", text(&sim));
    let plan = sim.plan();
    sim.execute(plan);
    insta::assert_snapshot!("lost_2_gives_up_the_silent_ones", text(&sim));
    sim.settled();
    assert_eq!(sim.running(), 6);
    assert_eq!(sim.zones().into_values().collect::<Vec<_>>(), [3, 3]);
    assert!(sim.events().contains(&"INSTANCE_LOST 2".to_owned()));
    sim.heal();
    sim.agents();
    sim.settled();
    assert_eq!((sim.running(), sim.existing()), (6, 6), "the old ones stopped");
}

#[test]
fn what_returns_before_it_was_replaced_is_kept() {
    let mut sim = Sim::new();
    sim.instance("a", 300);
    sim.instance("b", 300);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 2, 100, 200);
    sim.settled();
    sim.cut("a");
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.running(), 1, "there is no room for a replacement");
    assert!(sim.events().contains(&"UNABLE_TO_PLACE 1".to_owned()));
    sim.heal();
    sim.settled();
    assert_eq!(sim.existing(), 2);
    assert!(sim.state.tasks_of_service(sim.service).all(|t| t.last_status() == TaskStatus::Running));
}

#[test]
fn a_silent_task_is_awaited_as_long_as_the_service_says() {
    let mut sim = ready(6, 100, 200);
    sim.tag("seawall:loss-policy", "replace-after:300");
    let lost_at_ms = sim.now_ms;
    sim.cut("a");
    insta::assert_snapshot!("awaited_1_says_so", text(&sim));
    assert_eq!(sim.plan().wake_at_ms, Some(lost_at_ms + 300_000));
    let plan = sim.plan();
    sim.execute(plan);
    sim.now_ms += 299_999;
    assert_eq!(sim.plan().commands, [], "it waits");
    sim.now_ms += 1;
    insta::assert_snapshot!("awaited_2_is_over", text(&sim));
    sim.settled();
    assert_eq!(sim.running(), 6);
    assert_eq!(sim.zones().into_values().collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn an_awaited_task_that_comes_back_goes_on() {
    let mut sim = ready(6, 100, 200);
    sim.tag("seawall:loss-policy", "replace-after:300");
    let before = sim.places();
    sim.cut("a");
    sim.reconcile(&mut |_| {});
    sim.now_ms += 200_000;
    sim.heal();
    sim.settled();
    assert_eq!((sim.places(), sim.existing()), (before, 6));
    assert!(!sim.events().iter().any(|event| event.starts_with("STARTED 2")), "{:?}", sim.events());
}

#[test]
fn nobody_waits_for_what_an_operator_or_a_rollout_takes_away() {
    let mut sim = ready(6, 100, 200);
    sim.tag("seawall:loss-policy", "replace-after:300");
    sim.cut("a");
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.running(), 4);
    sim.set_zone("a", ZoneState::Evacuating);
    sim.settled();
    assert_eq!(sim.running(), 6, "the zone's tasks are replaced at once");
    sim.cut("b");
    sim.reconcile(&mut |_| {});
    let silent = 6 - sim.running();
    assert!(silent > 0);
    let definition = sim.definition(256, Behaviour::Run);
    sim.deploy(definition);
    sim.settled();
    assert_eq!(sim.running(), 6, "a rollout replaces all");
}

#[test]
fn a_kept_task_stays_wanted_until_its_replacement_is_healthy() {
    let mut sim = ready(6, 100, 200);
    sim.tag("seawall:loss-policy", "keep");
    sim.cut("a");
    let plan = sim.plan();
    sim.execute(plan);
    insta::assert_snapshot!("kept_1_while_the_replacement_starts", text(&sim));
    sim.agents();
    insta::assert_snapshot!("kept_2_goes_when_it_is_healthy", text(&sim));
    sim.settled();
    sim.heal();
    sim.settled();
    assert_eq!((sim.running(), sim.existing()), (6, 6));
}

#[test]
fn a_kept_task_that_comes_back_first_stays_and_its_replacement_goes() {
    let mut sim = ready(6, 100, 200);
    sim.tag("seawall:loss-policy", "keep");
    let before = sim.places();
    sim.cut("a");
    let plan = sim.plan();
    sim.execute(plan);
    sim.heal();
    insta::assert_snapshot!("kept_3_is_back_first", text(&sim));
    sim.settled();
    assert_eq!(sim.places(), before);
}

#[test]
fn a_mass_loss_holds_replacement() {
    let mut sim = ready(6, 100, 200);
    sim.hold = true;
    sim.cut("a");
    insta::assert_snapshot!("held", text(&sim));
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.running(), 4);
    assert!(sim.wanted().len() == 4 && sim.events().last().unwrap() == "MASS_LOSS_HOLD 2");
    sim.hold = false;
    sim.settled();
    assert_eq!(sim.running(), 6);
}

#[test]
fn a_rollout_starts_first_and_stops_what_was_replaced() {
    let mut sim = ready(4, 100, 150);
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    insta::assert_snapshot!("rollout_1_starts_two", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.agents();
    insta::assert_snapshot!("rollout_2_stops_two", text(&sim));
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 4, "below minimumHealthyPercent");
        assert!(sim.existing() <= 6, "above maximumPercent");
    });
    assert_eq!(sim.row().deployments.len(), 1);
    let events = sim.events();
    assert_eq!(events[events.len() - 2..], ["DEPLOYMENT_COMPLETED 0", "STEADY_STATE 0"]);
}

#[test]
fn a_rollout_without_room_beyond_desired_stops_first() {
    let mut sim = ready(4, 50, 100);
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    insta::assert_snapshot!("rollout_stop_first", text(&sim));
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 2, "below minimumHealthyPercent");
        assert!(sim.existing() <= 4, "above maximumPercent");
    });
}

#[test]
fn a_rollout_on_a_full_cluster_makes_room_within_the_minimum() {
    let mut sim = Sim::new();
    for zone in ["a", "b", "c", "d"] {
        sim.instance(zone, 256);
    }
    let first = sim.definition(256, Behaviour::Run);
    sim.create(first, 4, 50, 200);
    sim.settled();
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    insta::assert_snapshot!("rollout_full_cluster", text(&sim));
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 2, "below minimumHealthyPercent"));
    assert_eq!(sim.events().iter().filter(|e| e.starts_with("UNABLE_TO_PLACE")).count(), 1, "{:?}", sim.events());
    assert_eq!(sim.row().unplaced_reason, "");
}

#[test]
fn a_rollout_that_fits_nowhere_leaves_the_old_tasks_alone() {
    let mut sim = ready(4, 0, 200);
    let huge = TaskSize { cpu: 100_000, memory: 64, ..Default::default() };
    let special = TaskSize { required_attributes: vec!["nobody.has.it".into()], ..TaskSize::default() };
    for size in [huge, special] {
        let definition = sim.definition_of(size, Behaviour::Run);
        sim.deploy(definition);
        for _ in 0..5 {
            sim.reconcile(&mut |_| {});
            sim.agents();
            sim.now_ms += 1000;
        }
        assert_eq!(sim.running(), 4);
    }
    let unplaced = sim.events().iter().filter(|e| e.starts_with("UNABLE_TO_PLACE")).count();
    assert_eq!(unplaced, 2, "once for each reason");
}

#[test]
fn a_rollout_of_a_fixed_port_makes_room_one_instance_after_the_other() {
    let mut sim = Sim::three_zones(1, 4096);
    let port = PortNeed { host_port: 8080, ..Default::default() };
    let size = TaskSize { cpu: 64, memory: 64, ports: vec![port], ..Default::default() };
    let first = sim.definition_of(size.clone(), Behaviour::Run);
    sim.create(first, 3, 66, 200);
    sim.settled();
    let second = sim.definition_of(size, Behaviour::Run);
    sim.deploy(second);
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 2));
    assert_eq!(sim.running(), 3);
}

#[test]
fn percentages_that_leave_no_room_are_said_once() {
    let mut sim = ready(2, 100, 100);
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    insta::assert_snapshot!("blocked", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.now_ms += 60_000;
    assert!(sim.plan().commands.is_empty());
    assert_eq!(sim.running(), 2);
}

#[test]
fn a_rollout_that_fails_keeps_the_old_tasks() {
    let mut sim = ready(4, 100, 200);
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    for _ in 0..120 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        assert_eq!(sim.running(), 4);
        sim.now_ms += 1000;
    }
    let primary = &sim.row().deployments[0];
    assert!(primary.failed_tasks >= 20 && primary.failed_tasks <= 32, "{}", primary.failed_tasks);
    assert_eq!(sim.events().iter().filter(|e| e.starts_with("UNABLE_TO_START")).count(), 1);
    let good = sim.definition(256, Behaviour::Run);
    sim.deploy(good);
    assert_eq!(sim.row().backoff, None, "an update clears it");
    sim.settled();
    assert_eq!((sim.running(), sim.row().deployments.len()), (4, 1));
}

#[test]
fn waits_grow_after_failures_and_failures_are_counted_once() {
    let mut sim = Sim::three_zones(1, 4096);
    let broken = sim.definition(256, Behaviour::Fail);
    sim.create(broken, 1, 100, 200);
    let mut placed_at = Vec::new();
    let began = sim.now_ms;
    while sim.now_ms - began < 70_000 {
        let before = sim.state.tasks.len();
        sim.reconcile(&mut |_| {});
        if sim.state.tasks.len() > before {
            placed_at.push(sim.now_ms - began);
        }
        sim.agents();
        sim.now_ms += 100;
    }
    let gaps: Vec<i64> = placed_at.windows(2).map(|w| w[1] - w[0]).collect();
    assert_eq!(gaps, [1100, 2100, 4100, 8100, 16100, 32100]);
    let stopped = sim.state.tasks.len() as u32;
    assert_eq!(sim.row().deployments[0].failed_tasks, stopped);
    assert_eq!(sim.row().backoff.as_ref().unwrap().failures, stopped);
    let before = sim.written;
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.written, before, "nothing is counted again");
}

#[test]
fn waits_end_at_fifteen_minutes() {
    let mut sim = Sim::three_zones(1, 4096);
    let broken = sim.definition(256, Behaviour::Fail);
    sim.create(broken, 1, 100, 200);
    for _ in 0..40 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.reconcile(&mut |_| {});
        let backoff = sim.row().backoff.clone().unwrap();
        assert!(backoff.not_before_ms - backoff.last_failure_ms <= 15 * 60 * 1000);
        assert_eq!(sim.plan().wake_at_ms, Some(backoff.not_before_ms), "it asks to be woken");
        sim.now_ms = backoff.not_before_ms;
    }
    let backoff = sim.row().backoff.clone().unwrap();
    assert_eq!(backoff.not_before_ms - backoff.last_failure_ms, 15 * 60 * 1000);
}

#[test]
fn a_task_that_crashes_at_once_is_started_again_after_a_short_wait_for_ever() {
    let mut sim = Sim::three_zones(1, 4096);
    let crashing = sim.definition(256, Behaviour::CrashAfterMs(100));
    sim.create(crashing, 1, 100, 200);
    let began = sim.now_ms;
    while sim.now_ms - began < 300_000 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms += 100;
    }
    let tasks = sim.state.tasks.len();
    assert!((30..=50).contains(&tasks), "{tasks} tasks in five minutes");
    assert_eq!(sim.row().deployments[0].failed_tasks, 0, "they ran");
}

#[test]
fn a_task_that_lasted_is_replaced_at_once() {
    let mut sim = ready(3, 100, 200);
    sim.now_ms += 60_000;
    sim.kill(&sim.newest());
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 3);
    sim.settled();
}

#[test]
fn failures_do_not_hold_back_what_else_is_lost() {
    let mut sim = ready(6, 100, 200);
    sim.now_ms += 5_000;
    let young = sim.newest();
    assert!(sim.now_ms - young.created_at_ms < 10_000);
    sim.kill(&young);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 5, "the crashed one waits");
    let zone_of_nobody_who_waits = sim.state.instances.get(&InstanceId(young.instance_id)).unwrap().zone.clone();
    let other = ["a", "b", "c"].into_iter().find(|z| *z != zone_of_nobody_who_waits).unwrap();
    sim.cut(other);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 5, "both tasks of the lost zone were replaced at once");
    sim.settled();
    assert_eq!(sim.running(), 6);
}

#[test]
fn unhealthy_tasks_are_replaced_first() {
    let mut sim = ready(2, 100, 200);
    let sick = sim.definition(256, Behaviour::Unhealthy);
    sim.deploy(sick);
    sim.reconcile(&mut |_| {});
    sim.agents();
    insta::assert_snapshot!("unhealthy", text(&sim));
    assert_eq!(sim.running(), 4, "the old ones and the sick ones");
}

#[test]
fn draining_moves_tasks_and_leaves_standalone_ones() {
    let mut sim = ready(6, 100, 200);
    let drained = sim.newest().instance_id;
    let standalone = sim.standalone(drained);
    sim.drain(drained, InstanceStatus::Draining);
    insta::assert_snapshot!("draining", text(&sim));
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 6));
    assert!(sim.wanted().iter().all(|t| t.instance_id != drained));
    let left = sim.state.tasks.get(&standalone).unwrap();
    assert!(left.desired_running && left.last_status() == TaskStatus::Running);
}

#[test]
fn pending_tasks_on_a_draining_instance_stop_at_once() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 3, 100, 100);
    sim.reconcile(&mut |_| {});
    let instance = sim.newest().instance_id;
    sim.drain(instance, InstanceStatus::Draining);
    insta::assert_snapshot!("draining_pending", text(&sim));
}

#[test]
fn a_deleted_service_stops_everything_and_ends() {
    let mut sim = ready(3, 100, 200);
    sim.delete();
    insta::assert_snapshot!("delete", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), ServiceStatusCode::Inactive);
    assert!(sim.plan().commands.is_empty());
}

#[test]
fn a_deleted_service_waits_for_silent_instances_without_writing() {
    let mut sim = ready(3, 100, 200);
    sim.cut("a");
    sim.delete();
    for _ in 0..5 {
        sim.reconcile(&mut |_| {});
        sim.agents();
    }
    assert_eq!(sim.row().status(), ServiceStatusCode::Draining);
    sim.heal();
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), ServiceStatusCode::Inactive);
}

#[test]
fn a_rollout_completes_while_a_zone_is_away() {
    let mut sim = ready(6, 100, 200);
    sim.cut("a");
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    sim.settled();
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert_eq!(sim.row().deployments.len(), 2, "the old one's last tasks are not known to have stopped");
    sim.heal();
    sim.agents();
    sim.settled();
    assert_eq!((sim.row().deployments.len(), sim.existing()), (1, 6));
}

#[test]
fn unable_to_place_is_said_once_and_again_for_another_reason() {
    let mut sim = Sim::new();
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 1, 100, 200);
    insta::assert_snapshot!("no_instances", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.instance("a", 100);
    insta::assert_snapshot!("too_small", text(&sim));
    sim.reconcile(&mut |_| {});
    sim.instance("b", 120);
    let plan = sim.plan();
    assert!(plan.commands.is_empty(), "the same filter on another instance: {}", plan.text);
    assert!(plan.wake_at_ms.is_some());
    let said = sim.row().events.iter().filter(|e| e.code() == ServiceEventCode::UnableToPlace).count();
    assert_eq!(said, 2);
    sim.instance("c", 4096);
    sim.settled();
    assert_eq!(sim.row().unplaced_reason, "");
}

#[test]
fn what_is_on_its_way_is_not_proposed_again() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 3, 100, 200);
    let mut plan = sim.plan();
    let Kind::PlaceTasks(place) = &mut plan.commands[0] else { panic!("{}", plan.text) };
    place.base = Some(Default::default());
    sim.overlay.add(&sim.state, place);
    assert!(sim.plan().commands.is_empty());
    sim.overlay = Default::default();
    sim.settled();
    sim.scale(2);
    let plan = sim.plan();
    let Kind::StopTasks(stop) = &plan.commands[0] else { panic!("{}", plan.text) };
    sim.overlay.add_stop(stop);
    assert!(!sim.plan().commands.iter().any(|c| matches!(c, Kind::StopTasks(_))), "{}", sim.plan().text);
}

#[test]
fn a_stale_plan_is_refused() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 3, 100, 200);
    let (first, second) = (sim.plan(), sim.plan());
    sim.execute(first);
    let replies = sim.execute(second);
    assert!(matches!(replies[0], reply::Kind::Stale(_)), "{replies:?}");
    assert_eq!(sim.wanted().len(), 3);
    sim.settled();
    sim.scale(2);
    let scale_in = sim.plan();
    sim.kill(&sim.newest());
    let replies = sim.execute(scale_in);
    assert!(matches!(replies[0], reply::Kind::Stale(_)), "{replies:?}");
    sim.settled();
    assert_eq!(sim.running(), 2);
}

#[test]
fn large_services_start_and_stop_in_bounded_commands() {
    let mut sim = Sim::three_zones(4, 1_000_000);
    let definition = sim.definition(1, Behaviour::Run);
    sim.create(definition, 1000, 100, 200);
    let plan = sim.plan();
    let Kind::PlaceTasks(place) = &plan.commands[0] else { panic!("{}", plan.text) };
    assert_eq!(place.placements.len(), 256);
    assert_eq!(plan.wake_at_ms, Some(sim.now_ms), "the rest follows at once");
    sim.settled();
    assert_eq!(sim.running(), 1000);
    sim.scale(0);
    let plan = sim.plan();
    let Kind::StopTasks(stop) = &plan.commands[0] else { panic!("{}", plan.text) };
    assert_eq!((stop.tasks.len(), plan.wake_at_ms), (256, Some(sim.now_ms)));
    sim.settled();
}

#[test]
fn silent_instances_are_forgotten_in_time() {
    let mut sim = ready(3, 100, 200);
    sim.cut("a");
    let forget_after_ms = 24 * 3600 * 1000;
    let look =
        |sim: &Sim| instances::plan(&sim.state, Now { cluster_time_ms: sim.now_ms, ..Now::default() }, forget_after_ms);
    let lost_at_ms = sim.now_ms;
    sim.now_ms += forget_after_ms - 1;
    let early = look(&sim);
    assert_eq!((early.commands.len(), early.wake_at_ms), (0, Some(lost_at_ms + forget_after_ms)));
    sim.now_ms += 1;
    let plan = look(&sim);
    insta::assert_snapshot!("forget", plan.text);
    for reply in sim.execute(plan) {
        assert!(matches!(reply, reply::Kind::Done(_)), "{reply:?}");
    }
    assert_eq!(look(&sim), Default::default());
    sim.settled();
    assert_eq!(sim.running(), 3);
}

fn breaker(rollback: bool) -> DeploymentCircuitBreaker {
    DeploymentCircuitBreaker { enable: Some(true), rollback: Some(rollback), ..Default::default() }
}

/// A service whose circuit breaker watches, at rest on its first revision.
fn watched(desired: u32, min: u32, breaker: DeploymentCircuitBreaker) -> Sim {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_watched(definition, desired, (min, 200), Some(breaker));
    sim.settled();
    sim.now_ms += 60_000;
    sim
}

/// Lets time pass until the service has said `event`; how long it took.
fn until_said(sim: &mut Sim, event: &str, max_ms: i64) -> i64 {
    let began_ms = sim.now_ms;
    while !sim.events().iter().any(|e| e.starts_with(event)) {
        assert!(sim.now_ms - began_ms < max_ms, "{event} was not said: {:?}", sim.events());
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms += support::TICK_MS;
    }
    sim.now_ms - began_ms
}

fn service_deployments(sim: &Sim) -> Vec<(ServiceDeploymentStatus, u32)> {
    sim.state.service_deployments_of(sim.service).map(|row| (row.status(), row.failures)).collect()
}

#[test]
fn a_breaking_rollout_is_rolled_back_and_the_good_tasks_stay() {
    let mut sim = watched(4, 100, breaker(true));
    let good: Vec<_> = sim.wanted().iter().map(support::id_of).collect();
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    sim.reconcile(&mut |_| {});
    sim.agents();
    insta::assert_snapshot!("breaker_trips", text(&sim));
    let plan = sim.plan();
    sim.execute(plan);
    assert_eq!(sim.events().last().unwrap(), "ROLLING_BACK 0");
    let row = sim.row();
    let primary = &row.deployments[0];
    assert_eq!((primary.id, primary.primary, primary.returned()), (100, true, DeploymentReturn::CircuitBreaker));
    assert_eq!(row.backoff, None, "what failed is over");
    insta::assert_snapshot!("breaker_rolls_back", text(&sim));
    sim.settle(60_000, &mut |sim| assert_eq!(sim.running(), 4));
    assert_eq!(sim.wanted().iter().map(support::id_of).collect::<Vec<_>>(), good, "nothing was started again");
    assert_eq!((sim.row().deployments.len(), sim.row().deployments[0].rollout_state()), (1, RolloutState::Completed));
    assert_eq!(
        service_deployments(&sim),
        [(ServiceDeploymentStatus::Successful, 0), (ServiceDeploymentStatus::RollbackSuccessful, 4)]
    );
}

#[test]
fn without_rollback_a_breaking_rollout_stops_for_good() {
    let mut sim = watched(3, 100, breaker(false));
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    until_said(&mut sim, "DEPLOYMENT_FAILED", 60_000);
    let tasks = sim.state.tasks.len();
    for _ in 0..60 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms += 1000;
    }
    assert_eq!(sim.state.tasks.len(), tasks, "no new tasks of it");
    assert_eq!(sim.running(), 3, "the old ones stay");
    assert_eq!((sim.row().deployments[0].rollout_state(), sim.row().deployments.len()), (RolloutState::Failed, 2));
    assert_eq!(service_deployments(&sim)[1].0, ServiceDeploymentStatus::Stopped);
    let good = sim.definition(256, Behaviour::Run);
    sim.deploy(good);
    sim.settled();
    assert_eq!((sim.running(), sim.row().deployments.len()), (3, 1));
}

#[test]
fn a_first_rollout_has_nothing_to_go_back_to() {
    let mut sim = Sim::three_zones(1, 4096);
    let broken = sim.definition(256, Behaviour::Fail);
    sim.create_watched(broken, 2, (100, 200), Some(breaker(true)));
    let took_ms = until_said(&mut sim, "DEPLOYMENT_FAILED", 60_000);
    assert!(took_ms <= 30_000, "{took_ms} ms");
    assert_eq!(service_deployments(&sim), [(ServiceDeploymentStatus::RollbackFailed, 4)]);
    assert!(!sim.events().iter().any(|e| e.starts_with("ROLLING_BACK")));
    sim.scale(0);
    sim.settled();
    sim.delete();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), ServiceStatusCode::Inactive);
}

#[test]
fn what_crashes_at_once_or_is_unhealthy_is_rolled_back_too() {
    for behaviour in [Behaviour::CrashAfterMs(3_000), Behaviour::Unhealthy] {
        let mut sim = watched(2, 100, breaker(true));
        let broken = sim.definition(256, behaviour);
        sim.deploy(broken);
        let began_ms = sim.now_ms;
        while !sim.events().iter().any(|e| e.starts_with("ROLLING_BACK")) {
            assert!(sim.now_ms - began_ms < 60_000, "{behaviour:?}: {:?}", sim.events());
            sim.reconcile(&mut |_| {});
            sim.agents();
            assert!(sim.running() >= 2, "the old ones stay until the new ones have proven themselves");
            sim.now_ms += support::TICK_MS;
        }
        sim.settled();
        assert_eq!(sim.running(), 2);
    }
}

#[test]
fn a_threshold_of_many_failures_is_reached_in_a_minute() {
    let threshold = ThresholdConfiguration { r#type: Some("COUNT".into()), value: Some(20) };
    let mut sim =
        watched(2, 100, DeploymentCircuitBreaker { threshold_configuration: Some(threshold), ..breaker(true) });
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    let took_ms = until_said(&mut sim, "ROLLING_BACK", 600_000);
    assert!(took_ms <= 75_000, "{took_ms} ms");
}

#[test]
fn a_healthy_task_forgives_failures_unless_told_otherwise() {
    for (reset, trips) in [(None, false), (Some(false), true)] {
        let asked = DeploymentCircuitBreaker { reset_on_healthy_task: reset, ..breaker(true) };
        let mut sim = watched(6, 100, asked);
        let new = sim.definition(256, Behaviour::Run);
        sim.deploy(new);
        sim.reconcile(&mut |_| {});
        sim.agents();
        for pause_ms in [10_000, 4_000, 4_000] {
            sim.kill(&sim.newest());
            sim.reconcile(&mut |_| {});
            sim.now_ms += pause_ms - 1_000;
            sim.reconcile(&mut |_| {});
            sim.agents();
            sim.now_ms += 1_000;
        }
        sim.settled();
        assert_eq!(sim.events().iter().any(|e| e.starts_with("ROLLING_BACK")), trips, "{reset:?}: {:?}", sim.events());
    }
}

#[test]
fn a_rollback_runs_an_inactive_definition_and_replaces_what_is_lost_meanwhile() {
    let mut sim = watched(6, 100, breaker(true));
    let first = sim.row().deployments[0].task_definition_id;
    let broken = sim.definition(256, Behaviour::Fail);
    sim.apply(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: first }));
    sim.deploy(broken);
    sim.reconcile(&mut |_| {});
    sim.cut("a");
    until_said(&mut sim, "ROLLING_BACK", 60_000);
    assert!(sim.state.is_definition_in_use(TaskDefinitionId(first)));
    sim.settled();
    assert_eq!(sim.running(), 6, "two were placed anew, of the revision that is INACTIVE");
    assert!(sim.wanted().iter().all(|t| t.task_definition_id == first));
}

#[test]
fn a_watched_rollout_completes_when_its_tasks_have_lasted() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_watched(definition, 3, (100, 200), Some(breaker(true)));
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    let plan = sim.plan();
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress);
    let due_ms = plan.wake_at_ms.expect("it asks to be woken");
    sim.now_ms = due_ms;
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert!(sim.row().steady);
}

#[test]
fn a_rollback_itself_is_not_watched() {
    let mut sim = watched(2, 100, breaker(true));
    let first = sim.row().deployments[0].task_definition_id;
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    sim.behaviours.insert(first, Behaviour::Fail);
    for task in sim.wanted() {
        sim.kill(&task);
    }
    until_said(&mut sim, "ROLLING_BACK", 60_000);
    for _ in 0..60 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms += 1000;
    }
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress, "it goes on trying");
    sim.behaviours.insert(first, Behaviour::Run);
    sim.settled();
    assert_eq!(sim.running(), 2);
}

/// A service whose tasks count as healthy so long after their placement.
fn patient(seconds: &str, breaker: Option<DeploymentCircuitBreaker>) -> Sim {
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_watched(definition, 3, (100, 200), breaker);
    sim.tag("seawall:healthy-after", seconds);
    sim
}

#[test]
fn tasks_without_a_health_check_are_healthy_when_the_tag_says() {
    let mut sim = patient("40", None);
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    let placed_ms = sim.newest().created_at_ms;
    assert!(!sim.row().steady);
    assert_eq!(sim.plan().wake_at_ms, Some(placed_ms + 40_000));
    sim.now_ms = placed_ms + 40_000;
    sim.reconcile(&mut |_| {});
    assert!(sim.row().steady);
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    let old: Vec<_> = sim.wanted().iter().map(support::id_of).collect();
    let took_ms = sim.settle(120_000, &mut |sim| {
        let newest_ms = sim.newest().created_at_ms;
        let kept = sim.wanted().iter().filter(|t| old.contains(&support::id_of(t))).count();
        assert!(kept == 3 || sim.now_ms >= newest_ms + 40_000, "an old task left early");
    });
    assert!((40_000..60_000).contains(&took_ms), "{took_ms}");
}

#[test]
fn a_tag_of_zero_does_not_make_crashes_lasting() {
    let mut sim = patient("0", Some(breaker(true)));
    sim.settled();
    sim.now_ms += 60_000;
    let crashing = sim.definition(256, Behaviour::CrashAfterMs(3_000));
    sim.deploy(crashing);
    until_said(&mut sim, "ROLLING_BACK", 60_000);
    sim.settled();
    assert_eq!(sim.running(), 3);
}

#[test]
fn a_crash_loop_is_given_up_before_the_threshold() {
    let mut sim = watched(20, 100, breaker(true));
    let crashing = sim.definition(256, Behaviour::CrashAfterMs(2_000));
    sim.scale(21);
    sim.deploy(crashing);
    until_said(&mut sim, "DEPLOYMENT_FAILED", 60_000);
    let failed = sim.row().events.iter().find(|e| e.code() == ServiceEventCode::DeploymentFailed).unwrap();
    assert_eq!(failed.detail, "exit code 1 of container web");
    sim.settled();
    assert_eq!(sim.running(), 21);
}

/// Failures one by one, each on another instance: at how many the rollout was given up.
fn failures_until_given_up(behaviour: Behaviour, asked: DeploymentCircuitBreaker) -> u32 {
    let mut sim = Sim::three_zones(2, 4096);
    let good = sim.definition(256, Behaviour::Run);
    sim.create_watched(good, 12, (100, 109), Some(asked));
    sim.settled();
    sim.now_ms += 60_000;
    let broken = sim.definition(256, behaviour);
    sim.deploy(broken);
    until_said(&mut sim, "DEPLOYMENT_FAILED", 600_000);
    sim.row().events.iter().find(|e| e.code() == ServiceEventCode::DeploymentFailed).unwrap().count
}

#[test]
fn only_tasks_that_end_alike_are_a_crash_loop_and_only_where_no_threshold_is_given() {
    assert_eq!(failures_until_given_up(Behaviour::CrashAfterMs(0), breaker(true)), 3);
    assert_eq!(failures_until_given_up(Behaviour::Fail, breaker(true)), 3, "the same reason each time");
    assert_eq!(failures_until_given_up(Behaviour::CrashVariously, breaker(true)), 6, "half of twelve");
    let threshold = ThresholdConfiguration { r#type: Some("BOUNDED_PERCENT".into()), value: Some(50) };
    let asked = DeploymentCircuitBreaker { threshold_configuration: Some(threshold), ..breaker(true) };
    assert_eq!(failures_until_given_up(Behaviour::CrashAfterMs(0), asked), 6);
}

#[test]
fn what_crashes_on_one_instance_while_others_start_is_no_crash_loop() {
    let mut sim = watched(12, 100, breaker(true));
    let slow = sim.definition(256, Behaviour::Run);
    sim.deploy(slow);
    sim.reconcile(&mut |_| {});
    sim.agents();
    let sick = sim.newest().instance_id;
    let crash = |sim: &mut Sim| {
        let young = sim.wanted().into_iter().find(|t| t.task_definition_id == slow && t.instance_id == sick);
        sim.kill(&young.expect("it is started there again, for it has the fewest tasks"));
        sim.now_ms += 1_000;
        sim.reconcile(&mut |_| {});
    };
    (0..2).for_each(|_| crash(&mut sim));
    assert_eq!(sim.row().deployments[0].breaker_failures, 2);
    sim.agents();
    crash(&mut sim);
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress, "{:?}", sim.events());
    assert_eq!(sim.row().deployments[0].breaker_failures, 3);
    sim.settled();
    assert!(sim.wanted().iter().all(|t| t.task_definition_id == slow));
}

/// A service of ten tasks that is done when so many percent of them are healthy.
fn early(percent: i32, cleanup: &str) -> Sim {
    let criteria = DeploymentEarlySuccessCriteria {
        enable: Some(true),
        healthy_percent: Some(percent),
        source_service_revision_cleanup: Some(cleanup.into()),
    };
    let configuration =
        DeploymentConfiguration { early_success_criteria: Some(criteria), ..DeploymentConfiguration::default() };
    let mut sim = Sim::three_zones(2, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_configured(definition, 10, (50, 150), configuration);
    sim.settled();
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    sim
}

#[test]
fn early_success_completes_a_deployment_when_enough_tasks_are_healthy() {
    let mut sim = early(50, "DEFERRED");
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress, "five are on their way");
    sim.agents();
    insta::assert_snapshot!("early_success_deferred", text(&sim));
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert_eq!(sim.row().deployments.len(), 2, "the old tasks have not stopped yet");
    sim.settle(60_000, &mut |sim| assert!(sim.running() >= 10, "old tasks stay until new ones run in their place"));
    assert_eq!((sim.running(), sim.row().deployments.len()), (10, 1));
    let completed = sim.events().iter().filter(|e| e.starts_with("DEPLOYMENT_COMPLETED")).count();
    assert_eq!(completed, 2, "once for each deployment");
}

#[test]
fn early_success_waits_for_the_old_tasks_where_it_is_told_to() {
    let mut sim = early(50, "BLOCKING");
    sim.reconcile(&mut |_| {});
    sim.agents();
    let stopping = sim.plan();
    assert!(stopping.text.matches("stop task").count() == 10, "no old task is needed any more: {}", stopping.text);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress);
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert!(sim.running() < 10, "before all new tasks run");
    sim.settled();
    assert_eq!(sim.running(), 10);
}

#[test]
fn early_success_that_is_not_met_changes_nothing() {
    let mut sim = early(51, "DEFERRED");
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::InProgress, "5 of 10 are not 51 %");
    sim.settled();
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
}

#[test]
fn unhealthy_tasks_go_one_by_one_where_there_is_no_room_to_start_first() {
    let mut sim = ready(4, 50, 100);
    sim.now_ms += 60_000;
    for task in &sim.wanted()[..3] {
        sim.health(task, Health::Unhealthy);
    }
    insta::assert_snapshot!("unhealthy_one_by_one", text(&sim));
    let mut most = 0;
    sim.settle(60_000, &mut |sim| {
        let missing = 4 - sim.wanted().iter().filter(|t| t.last_status() == TaskStatus::Running).count();
        most = most.max(missing);
    });
    assert_eq!((most, sim.running()), (1, 4), "one at a time");
    assert!(sim.wanted().iter().all(|t| t.health() != Health::Unhealthy));
}

#[test]
fn a_new_revision_does_not_wait_for_unhealthy_old_tasks() {
    let mut sim = ready(4, 50, 100);
    sim.now_ms += 60_000;
    for task in sim.wanted() {
        sim.health(&task, Health::Unhealthy);
    }
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    let stops = sim.plan().text.matches("stop task").count();
    assert_eq!(stops, 4, "{}", sim.plan().text);
}

#[test]
fn unhealthy_tasks_are_replaced_before_they_stop_where_there_is_room() {
    let mut sim = ready(4, 100, 150);
    sim.now_ms += 60_000;
    for task in &sim.wanted()[..3] {
        sim.health(task, Health::Unhealthy);
    }
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 4, "one stopped before another ran in its place");
        assert!(sim.existing() <= 6, "above maximumPercent");
    });
    assert!(sim.wanted().iter().all(|t| t.health() != Health::Unhealthy));
    let why = |t: &TaskRow| (t.stop_code(), t.stopped_reason.clone());
    let stopped: Vec<_> =
        sim.state.tasks_of_service(sim.service).filter(|t| !t.desired_running).map(|t| why(t)).collect();
    assert_eq!(
        stopped,
        vec![(StopCode::ServiceSchedulerInitiated, "Task failed container health checks".to_owned()); 3]
    );
}

#[test]
fn health_checks_do_not_count_in_the_grace_period() {
    let mut sim = Sim::three_zones(1, 4096);
    let sick = sim.definition(256, Behaviour::Unhealthy);
    let spec = CreateServiceRequest {
        desired_count: Some(2),
        health_check_grace_period_seconds: Some(30),
        ..Default::default()
    };
    sim.create_as("web", sick, (100, 200), spec);
    sim.reconcile(&mut |_| {});
    let placed_ms = sim.newest().created_at_ms;
    sim.agents();
    sim.now_ms += 29_999;
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 2);
    assert_eq!(sim.plan().wake_at_ms, Some(placed_ms + 30_000), "it asks to be woken when it is over");
    sim.now_ms = placed_ms + 30_000;
    assert_eq!(sim.plan().text.matches("start one").count(), 2, "{}", sim.plan().text);
}

#[test]
fn protected_tasks_outlive_scale_in_rollouts_and_draining() {
    let mut sim = ready(4, 100, 200);
    let protected = sim.wanted()[0].clone();
    let until_ms = sim.now_ms + 600_000;
    sim.protect(&protected, until_ms);
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    sim.drain(protected.instance_id, InstanceStatus::Draining);
    sim.scale(1);
    while sim.now_ms < until_ms - 1 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        sim.now_ms = (sim.now_ms + 10_000).min(until_ms - 1);
        let kept = sim.wanted().iter().any(|t| t.id == protected.id);
        assert!(kept, "it was told to stop");
    }
    assert_eq!(sim.running(), 2, "the one of the new revision, and the protected one");
    let said: Vec<_> = sim.events().into_iter().filter(|e| e.starts_with("SCALE_IN_PROTECTED")).collect();
    assert_eq!(said, ["SCALE_IN_PROTECTED 1"], "once");
    assert_eq!(sim.plan().wake_at_ms, Some(until_ms), "it asks to be woken");
    sim.now_ms = until_ms;
    sim.settled();
    assert_eq!((sim.running(), sim.row().deployments.len()), (1, 1));
}

#[test]
fn a_protected_task_that_comes_back_goes_on() {
    let mut sim = ready(3, 100, 200);
    let in_a = |sim: &Sim, t: &TaskRow| sim.state.instances.get(&InstanceId(t.instance_id)).unwrap().zone == "a";
    let protected = sim.wanted().into_iter().find(|t| in_a(&sim, t)).unwrap();
    let until_ms = sim.now_ms + 600_000;
    sim.protect(&protected, until_ms);
    sim.cut("a");
    sim.settled();
    assert_eq!(sim.running(), 3, "it is replaced");
    sim.heal();
    sim.agents();
    sim.reconcile(&mut |_| {});
    sim.agents();
    assert!(sim.wanted().iter().any(|t| t.id == protected.id), "and it goes on");
    sim.now_ms = until_ms;
    sim.settled();
    assert_eq!(sim.running(), 3);
}

#[test]
fn draining_keeps_to_the_percentages() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create(definition, 6, 67, 100);
    sim.settled();
    let drained = sim.newest().instance_id;
    sim.drain(drained, InstanceStatus::Draining);
    sim.settle(60_000, &mut |sim| {
        assert!(sim.running() >= 5, "below minimumHealthyPercent: {}", sim.running());
        assert!(sim.existing() <= 6, "above maximumPercent");
    });
    assert!(sim.wanted().iter().all(|t| t.instance_id != drained));
}

#[test]
fn draining_that_is_called_off_keeps_what_has_not_moved() {
    let mut sim = ready(6, 100, 117);
    let drained = sim.newest().instance_id;
    let there: Vec<_> = sim.wanted().iter().filter(|t| t.instance_id == drained).map(support::id_of).collect();
    sim.drain(drained, InstanceStatus::Draining);
    sim.reconcile(&mut |_| {});
    sim.drain(drained, InstanceStatus::Active);
    sim.settled();
    assert_eq!(sim.running(), 6);
    assert!(there.iter().all(|id| sim.wanted().iter().any(|t| support::id_of(t) == *id)), "the surplus one went");
}

#[test]
fn tasks_of_an_instance_that_is_deregistered_by_force_are_replaced() {
    let mut sim = ready(6, 100, 200);
    let gone = sim.newest().instance_id;
    let refused = sim.deregister(gone, false);
    assert!(
        matches!(&refused, reply::Kind::Refusal(r) if r.message == "Found running tasks on the instance."),
        "{refused:?}"
    );
    assert!(matches!(sim.deregister(gone, true), reply::Kind::Done(_)));
    let orphan = sim.state.tasks_of_service(sim.service).find(|t| t.instance_id == gone).unwrap();
    assert_eq!(orphan.stopped_reason, "Container instance deregistration forced by user");
    assert_eq!(sim.plan().text.matches("start one").count(), 1, "{}", sim.plan().text);
    sim.settled();
    assert_eq!((sim.running(), sim.row().deployments[0].failed_tasks), (6, 0), "no failure of the service's");
}

#[test]
fn tasks_stay_on_an_instance_that_shrinks_or_loses_an_attribute() {
    let mut sim = Sim::new();
    let (one, two) = (sim.instance("a", 1024), sim.instance("b", 1024));
    for id in [one, two] {
        sim.attribute(id.0, "disk");
    }
    let size = TaskSize { cpu: 256, memory: 64, required_attributes: vec!["disk".into()], ..Default::default() };
    let definition = sim.definition_of(size, Behaviour::Run);
    sim.create(definition, 4, 100, 200);
    sim.settled();
    sim.no_attribute(one.0, "disk");
    sim.resize(two.0, 256);
    sim.settled();
    assert_eq!((sim.running(), sim.state.tasks.len()), (4, 4), "nothing was evicted or replaced");
    sim.scale(6);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 4, "and nothing new fits");
    assert_eq!(sim.events().last().unwrap(), "UNABLE_TO_PLACE 2");
}
