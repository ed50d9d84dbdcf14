//! Classes: whose turn it is where room is scarce, and tasks of lower classes that make room.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::service::{LOOK_AGAIN_MS, PREEMPTIONS_A_MINUTE};
use seawall_model::ServiceId;
use seawall_proto::{
    internal::v1::{InstanceStatus, RaiseClusterVersion, StopCode, TaskRow, TaskStatus, command::Kind},
    v1::CreateServiceRequest,
};
use support::{Behaviour, Sim, TICK_MS, numbered};

/// Two instances of 1000 CPU units that a service of class 10 fills with its four tasks.
fn full(minimum: u32) -> (Sim, ServiceId) {
    let mut sim = Sim::new();
    sim.apply(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    sim.instance("a", 1000);
    sim.instance("b", 1000);
    let low = service(&mut sim, "low", 10, (500, 4), minimum);
    sim.settled();
    assert_eq!(sim.running(), 4);
    (sim, low)
}

/// A service whose tasks take so many CPU units; its class and its minimum.
fn service(sim: &mut Sim, name: &str, priority: u32, (cpu, desired): (u32, i32), minimum: u32) -> ServiceId {
    let definition = sim.definition(cpu, Behaviour::Run);
    let spec = CreateServiceRequest { desired_count: Some(desired), ..Default::default() };
    let id = sim.create_as(name, definition, (minimum, 200), spec);
    sim.tag("seawall:priority", &priority.to_string());
    id
}

/// Time passes for all of them; the controllers look in this order, and again between all that happens.
fn run(sim: &mut Sim, services: &[ServiceId], seconds: i64) {
    for _ in 0..seconds {
        sim.reconcile_all(services);
        sim.agents();
        sim.reconcile_all(services);
        sim.now_ms += TICK_MS;
    }
}

fn running(sim: &mut Sim, service: ServiceId) -> usize {
    sim.look_at(service).running()
}

fn preempted(sim: &Sim) -> Vec<TaskRow> {
    sim.state.tasks.iter().map(|(_, task)| TaskRow::clone(task)).filter(|task| task.preempted_by != 0).collect()
}

#[test]
fn a_task_that_fits_nowhere_has_one_of_a_lower_class_stopped() {
    let (mut sim, low) = full(0);
    let high = service(&mut sim, "high", 90, (400, 1), 100);
    let at = |sim: &Sim| sim.state.live_tasks_of_service(low).map(|task| support::id_of(task)).collect::<Vec<_>>();
    let mut text = numbered(&sim);
    for (place, id) in at(&sim).iter().enumerate() {
        text = text.replace(&id.to_string(), &format!("low {place}"));
    }
    insta::assert_snapshot!(text);
    // Its replacement looks first, at every moment.
    run(&mut sim, &[low, high], 5);
    assert_eq!((running(&mut sim, high), running(&mut sim, low)), (1, 3));
    let victims = preempted(&sim);
    assert_eq!(victims.len(), 1);
    assert_eq!(victims[0].stopped_reason, "Preempted by (service high), whose seawall:priority is 90");
    assert_eq!((victims[0].stop_code(), victims[0].preempted_by), (StopCode::ServiceSchedulerInitiated, high.0));
    assert!(sim.look_at(low).events().contains(&"PREEMPTED 1".to_owned()), "{:?}", sim.events());
    assert!(!sim.events().contains(&"STOPPED 1".to_owned()), "it is said once");
    assert_eq!(sim.row().events.iter().find(|e| e.count == 1 && e.detail == "high").map(|e| e.tasks.len()), Some(1));
    assert!(sim.look_at(high).events().contains(&"PREEMPTING 1".to_owned()));
    assert!(sim.row().backoff.is_none() && sim.look_at(low).row().backoff.is_none(), "nobody has failed");
    let before = sim.written;
    run(&mut sim, &[low, high], 60);
    assert_eq!((sim.written, preempted(&sim).len()), (before, 1), "and there it ends");
    sim.instance("c", 1000);
    run(&mut sim, &[low, high], 5);
    assert_eq!((running(&mut sim, high), running(&mut sim, low)), (1, 4), "it is replaced where there is room");
}

/// 400 units are free beside the victim's 500, and the replacement of the victim would fit into them.
#[test]
fn what_is_free_beside_a_victim_is_kept_with_its_room() {
    let mut sim = Sim::new();
    sim.apply(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    sim.instance("a", 1000);
    let low = service(&mut sim, "low", 10, (300, 2), 0);
    sim.settled();
    let high = service(&mut sim, "high", 90, (600, 1), 100);
    let peer = service(&mut sim, "peer", 90, (300, 1), 100);
    sim.look_at(high).reconcile(&mut |_| {});
    assert_eq!(preempted(&sim).len(), 1, "400 are free, and 300 more would be enough");
    for _ in 0..5 {
        for other in [low, peer] {
            sim.look_at(other).reconcile(&mut |_| {});
        }
        sim.now_ms += TICK_MS;
    }
    assert_eq!(sim.look_at(low).wanted().len(), 1, "it does not take what is free");
    assert_eq!(sim.look_at(peer).wanted().len(), 0, "nor does one of the same class");
    run(&mut sim, &[low, peer, high], 10);
    let all = [running(&mut sim, high), running(&mut sim, peer), running(&mut sim, low)];
    assert_eq!(all, [1, 1, 0], "then it is its peer's turn");
}

#[test]
fn a_service_keeps_its_minimum() {
    for (minimum, left) in [(100, 4), (75, 3), (50, 2), (51, 3), (0, 0)] {
        let (mut sim, low) = full(minimum);
        let high = service(&mut sim, "high", 90, (500, 4), 100);
        run(&mut sim, &[low, high], 10);
        assert_eq!((running(&mut sim, low), running(&mut sim, high)), (left, 4 - left), "{minimum} %");
    }
}

#[test]
fn only_lower_classes_make_room_and_protected_tasks_stay() {
    for (priority, high_runs) in [(9, 0), (10, 0), (11, 1)] {
        let (mut sim, low) = full(0);
        let high = service(&mut sim, "high", priority, (500, 1), 100);
        run(&mut sim, &[high, low], 10);
        assert_eq!((running(&mut sim, high), running(&mut sim, low)), (high_runs, 4 - high_runs), "{priority}");
    }
    let (mut sim, low) = full(0);
    let until_ms = sim.now_ms + 30_000;
    for task in sim.look_at(low).wanted() {
        sim.protect(&task, until_ms);
    }
    let high = service(&mut sim, "high", 90, (500, 1), 100);
    run(&mut sim, &[high, low], 20);
    assert_eq!(running(&mut sim, high), 0);
    run(&mut sim, &[high, low], 20);
    assert_eq!(running(&mut sim, high), 1, "until the protection ends");
}

#[test]
fn nobody_is_stopped_for_what_fails_or_while_replacement_is_held() {
    let (mut sim, low) = full(0);
    let high = service(&mut sim, "high", 90, (500, 1), 100);
    sim.hold = true;
    run(&mut sim, &[high, low], 5);
    assert_eq!(preempted(&sim).len(), 0, "while it is not known who is lost");
    sim.hold = false;
    run(&mut sim, &[high, low], 5);
    assert_eq!(preempted(&sim).len(), 1);
    let failing = sim.definition(500, Behaviour::Fail);
    sim.look_at(high).deploy(failing);
    sim.scale(2);
    run(&mut sim, &[low, high], 60);
    assert!(preempted(&sim).len() <= 3, "{}", preempted(&sim).len());
}

#[test]
fn a_member_of_an_older_version_is_told_of_no_preemption() {
    let mut sim = Sim::new();
    sim.instance("a", 1000);
    let low = service(&mut sim, "low", 10, (500, 2), 0);
    sim.settled();
    let high = service(&mut sim, "high", 90, (500, 1), 100);
    run(&mut sim, &[high, low], 5);
    assert_eq!(preempted(&sim).len(), 0);
}

#[test]
fn so_many_make_room_in_any_minute_and_no_more() {
    let tasks = PREEMPTIONS_A_MINUTE as i32 + 10;
    let mut sim = Sim::new();
    sim.apply(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    for _ in 0..tasks {
        sim.instance("a", 1000);
    }
    let low = service(&mut sim, "low", 10, (1000, tasks), 0);
    sim.settled();
    let high = service(&mut sim, "high", 90, (1000, tasks), 100);
    let began_ms = sim.now_ms;
    while sim.now_ms < began_ms + 55_000 {
        run(&mut sim, &[low, high], 5);
    }
    assert_eq!(preempted(&sim).len(), PREEMPTIONS_A_MINUTE);
    assert_eq!(running(&mut sim, high), PREEMPTIONS_A_MINUTE);
    let wake = sim.plan().wake_at_ms.expect("it looks again");
    assert!(wake <= sim.now_ms + LOOK_AGAIN_MS);
    run(&mut sim, &[low, high], 15);
    assert_eq!(running(&mut sim, high), tasks as usize, "the minute is over");
}

/// Room that is freed goes to the highest class, whoever looks first.
#[test]
fn freed_room_is_the_highest_class_s() {
    let (mut sim, low) = full(100);
    let names = [("one", 20), ("two", 60), ("three", 40)];
    let waiting: Vec<ServiceId> =
        names.iter().map(|(name, priority)| service(&mut sim, name, *priority, (500, 1), 100)).collect();
    let mut order = vec![low];
    order.extend(&waiting);
    run(&mut sim, &order, 2);
    let runs = |sim: &mut Sim| waiting.iter().map(|id| running(sim, *id)).collect::<Vec<_>>();
    assert_eq!(runs(&mut sim), [0, 0, 0]);
    for expected in [[0, 1, 0], [0, 1, 1], [1, 1, 1]] {
        let task = sim.look_at(low).wanted()[0].clone();
        sim.kill(&task);
        run(&mut sim, &order, 3);
        assert_eq!(runs(&mut sim), expected);
    }
    assert_eq!(running(&mut sim, low), 1);
    // Its own class lets the last one go first where a higher one wants no more.
    sim.look_at(waiting[0]).scale(0);
    run(&mut sim, &order, 3);
    assert_eq!(running(&mut sim, low), 2);
}

/// A rollout has the tasks that it replaces: it pushes nobody out.
#[test]
fn a_rollout_stops_nobody_else() {
    let (mut sim, low) = full(50);
    let high = service(&mut sim, "high", 90, (500, 1), 100);
    run(&mut sim, &[high, low], 5);
    assert_eq!(preempted(&sim).len(), 1);
    let next = sim.definition(500, Behaviour::Run);
    sim.look_at(high).deploy(next);
    run(&mut sim, &[high, low], 30);
    assert_eq!(preempted(&sim).len(), 1, "it has its task, and waits for room for the next");
    let drained = sim.look_at(high).wanted()[0].instance_id;
    sim.drain(drained, InstanceStatus::Draining);
    run(&mut sim, &[high, low], 1);
    assert!(sim.look_at(high).wanted().iter().any(|task| task.last_status() == TaskStatus::Running));
}

/// A pass places so many; when they find no place, the rest is not asked for at once, again and again.
#[test]
fn a_large_backlog_that_fits_nowhere_is_looked_at_now_and_then() {
    let (mut sim, _) = full(0);
    service(&mut sim, "backlog", 10, (5000, 5000), 100);
    sim.reconcile(&mut |_| {});
    assert!(sim.plan().wake_at_ms.expect("it looks again") >= sim.now_ms + 1000, "{:?}", sim.plan().wake_at_ms);
}
