//! Daemons: one task on each instance, first there and last to leave.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_model::{InstanceId, ServiceId};
use seawall_proto::internal::v1::{
    Health, InstanceStatus, PortNeed, RolloutState, ServiceStatusCode, TaskSize, TaskStatus, command::Kind,
};
use support::{Behaviour, Sim};

/// A daemon at rest on three instances.
fn ready(min: u32) -> Sim {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_daemon("agent", definition, min);
    sim.settled();
    sim
}

fn all(sim: &Sim) -> Vec<u64> {
    sim.state.instances.iter().map(|(id, _)| id.0).collect()
}

#[test]
fn it_has_one_task_on_each_instance_and_on_those_that_join() {
    let mut sim = Sim::three_zones(1, 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_daemon("agent", definition, 0);
    insta::assert_snapshot!("daemon_starts", sim.plan().text);
    sim.settled();
    assert_eq!((sim.places(), sim.row().desired_count), (all(&sim), 3));
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert_eq!(sim.events(), ["STARTED 3", "DEPLOYMENT_COMPLETED 0", "STEADY_STATE 0"]);
    let joined = sim.instance("a", 4096);
    insta::assert_snapshot!("daemon_joins", sim.plan().text);
    sim.settled();
    assert_eq!((sim.places(), sim.row().desired_count), (all(&sim), 4));
    assert!(sim.places().contains(&joined.0));
    sim.now_ms += 3_600_000;
    assert_eq!(sim.plan(), Default::default(), "at rest it writes nothing");
}

#[test]
fn without_an_instance_it_is_at_rest() {
    let mut sim = Sim::new();
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_daemon("agent", definition, 0);
    sim.settled();
    assert_eq!((sim.row().desired_count, sim.events().contains(&"STEADY_STATE 0".to_owned())), (0, true));
}

#[test]
fn nothing_takes_the_place_of_one_whose_instance_is_lost() {
    let mut sim = ready(0);
    let task = sim.wanted()[0].clone();
    sim.cut("a");
    sim.settled();
    assert_eq!((sim.row().desired_count, sim.wanted().len()), (2, 2));
    assert!(sim.state.tasks_of_service(sim.service).all(|t| t.desired_running), "it is not given up either");
    sim.heal();
    sim.settled();
    assert_eq!((sim.row().desired_count, sim.places()), (3, all(&sim)));
    assert!(sim.wanted().iter().any(|t| t.id == task.id), "the same task goes on");
}

#[test]
fn one_that_ends_is_started_on_the_same_instance() {
    let mut sim = ready(0);
    sim.now_ms += 60_000;
    let task = sim.newest();
    sim.kill(&task);
    sim.settled();
    assert_eq!(sim.places(), all(&sim));
}

#[test]
fn a_sick_instance_keeps_no_other_waiting() {
    let mut sim = ready(0);
    sim.now_ms += 60_000;
    for _ in 0..3 {
        let young = sim.wanted().into_iter().find(|t| t.instance_id == all(&sim)[0]).expect("it was started again");
        sim.kill(&young);
        sim.reconcile(&mut |_| {});
        sim.now_ms += 1_000;
        while sim.wanted().len() < 3 {
            sim.reconcile(&mut |_| {});
            sim.now_ms += 1_000;
        }
        sim.agents();
    }
    let young = sim.wanted().into_iter().find(|t| t.instance_id == all(&sim)[0]).expect("it was started again");
    sim.kill(&young);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 2, "it waits");
    let joined = sim.instance("b", 4096);
    sim.reconcile(&mut |_| {});
    assert!(sim.places().contains(&joined.0), "a new instance does not: {:?}", sim.places());
}

#[test]
fn a_rollout_stops_and_then_starts_on_as_many_instances_as_the_minimum_allows() {
    for (min, at_least) in [(0, 0), (34, 2), (50, 2), (66, 2)] {
        let mut sim = ready(min);
        let second = sim.definition(256, Behaviour::Run);
        sim.deploy(second);
        if min == 50 {
            insta::assert_snapshot!("daemon_rollout", support::numbered(&sim));
        }
        sim.settle(60_000, &mut |sim| {
            assert!(sim.running() >= at_least, "{min} %: {} run", sim.running());
            for instance in all(sim) {
                let there = sim.state.tasks_of_instance(InstanceId(instance)).count();
                assert!(there <= 1, "{there} tasks on instance {instance}");
            }
        });
        assert!(sim.wanted().iter().all(|t| t.task_definition_id == second));
        assert_eq!((sim.places(), sim.row().deployments.len()), (all(&sim), 1));
    }
}

#[test]
fn a_minimum_that_leaves_no_task_to_stop_is_said() {
    let mut sim = Sim::new();
    sim.instance("a", 4096);
    let definition = sim.definition(256, Behaviour::Run);
    sim.create_daemon("agent", definition, 50);
    sim.settled();
    let second = sim.definition(256, Behaviour::Run);
    sim.deploy(second);
    sim.reconcile(&mut |_| {});
    assert_eq!((sim.running(), sim.events().last().unwrap().as_str()), (1, "BLOCKED_BY_PERCENTS 1"));
    sim.instance("b", 4096);
    sim.settled();
    assert!(sim.wanted().iter().all(|t| t.task_definition_id == second), "two instances have one to spare");
}

#[test]
fn a_rollout_whose_tasks_fail_leaves_the_minimum_alone() {
    let mut sim = ready(50);
    let broken = sim.definition(256, Behaviour::Fail);
    sim.deploy(broken);
    for _ in 0..120 {
        sim.reconcile(&mut |_| {});
        sim.agents();
        assert!(sim.running() >= 2, "{}", sim.running());
        sim.now_ms += 1_000;
    }
    let failed = sim.row().deployments[0].failed_tasks;
    assert!((5..=16).contains(&failed), "{failed}: the waits grow");
    let good = sim.definition(256, Behaviour::Run);
    sim.deploy(good);
    sim.settled();
    assert_eq!((sim.running(), sim.row().deployments.len()), (3, 1));
}

#[test]
fn only_instances_with_what_it_asks_for_have_one() {
    let mut sim = Sim::three_zones(1, 4096);
    let instances = all(&sim);
    sim.attribute(instances[0], "disk");
    let size = TaskSize { cpu: 64, memory: 64, required_attributes: vec!["disk".into()], ..Default::default() };
    let definition = sim.definition_of(size, Behaviour::Run);
    sim.create_daemon("agent", definition, 0);
    sim.settled();
    assert_eq!((sim.places(), sim.row().desired_count), (vec![instances[0]], 1));
    sim.attribute(instances[1], "disk");
    sim.settled();
    assert_eq!(sim.places(), instances[..2]);
    sim.no_attribute(instances[0], "disk");
    insta::assert_snapshot!("daemon_violates", support::numbered(&sim));
    sim.settled();
    assert_eq!((sim.places(), sim.row().desired_count), (vec![instances[1]], 1));
    assert_eq!(sim.existing(), 1, "the task that must not be there was stopped");
}

#[test]
fn unhealthy_tasks_go_one_by_one() {
    let mut sim = ready(0);
    sim.now_ms += 60_000;
    for task in sim.wanted() {
        sim.health(&task, Health::Unhealthy);
    }
    let mut most = 0;
    sim.settle(60_000, &mut |sim| most = most.max(3 - sim.running()));
    assert_eq!((most, sim.places()), (1, all(&sim)));
}

/// A daemon and a service beside it, at rest.
fn with_web(desired: u32) -> (Sim, ServiceId, ServiceId) {
    let mut sim = ready(0);
    let daemon = sim.service;
    let definition = sim.definition(512, Behaviour::Run);
    sim.create(definition, desired, 100, 200);
    sim.settled();
    let web = sim.service;
    (sim, daemon, web)
}

#[test]
fn on_an_instance_that_drains_it_stops_when_no_others_are_left() {
    let (mut sim, daemon, web) = with_web(3);
    let drained = all(&sim)[0];
    sim.standalone(drained);
    sim.agents();
    sim.drain(drained, InstanceStatus::Draining);
    sim.reconcile_all(&[daemon, web]);
    assert_eq!((sim.row().desired_count, sim.look_at(daemon).places().len()), (3, 3), "it stays with the others");
    assert_eq!(sim.row().desired_count, 2);
    assert!(sim.row().steady, "nothing waits for it");
    sim.agents();
    sim.reconcile_all(&[daemon, web]);
    assert!(sim.look_at(web).wanted().iter().all(|t| t.instance_id != drained), "moved");
    assert!(sim.look_at(daemon).places().contains(&drained), "the moved task has not stopped yet");
    sim.agents();
    insta::assert_snapshot!("daemon_leaves_last", support::numbered(&sim));
    sim.reconcile_all(&[daemon, web]);
    assert!(!sim.places().contains(&drained), "a standalone task does not hold it");
    sim.agents();
    sim.drain(drained, InstanceStatus::Active);
    sim.settled();
    assert_eq!(sim.places(), all(&sim), "back");
}

#[test]
fn a_rollout_does_not_wait_for_one_that_leaves_last() {
    let (mut sim, daemon, web) = with_web(3);
    let drained = all(&sim)[0];
    for task in sim.look_at(web).wanted() {
        sim.protect(&task, i64::MAX);
    }
    sim.drain(drained, InstanceStatus::Draining);
    let second = sim.definition(256, Behaviour::Run);
    sim.look_at(daemon).deploy(second);
    sim.settled();
    assert_eq!(sim.row().deployments[0].rollout_state(), RolloutState::Completed);
    assert_eq!(sim.places(), all(&sim), "the old one is still there, since a task of web is");
}

#[test]
fn its_room_is_kept_from_others() {
    let mut sim = Sim::new();
    for zone in ["a", "b", "c"] {
        sim.instance(zone, 1000);
    }
    let (broken, web) = (sim.definition(300, Behaviour::Fail), sim.definition(200, Behaviour::Run));
    sim.create_daemon("agent", broken, 0);
    let daemon = sim.service;
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 0, "it fails and waits");
    sim.create(web, 20, 100, 200);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.wanted().len(), 9, "three on each instance, with 300 units to spare");
    insta::assert_snapshot!("daemon_keeps_room", sim.row().unplaced_reason.clone());
    sim.behaviours.insert(broken, Behaviour::Run);
    sim.look_at(daemon).settled();
    assert_eq!(sim.places(), all(&sim));
}

#[test]
fn it_comes_first_where_an_instance_joins() {
    let (mut sim, daemon, web) = with_web(6);
    let joined = sim.instance("a", 4096);
    sim.look_at(web).scale(7);
    let before_the_daemon = sim.plan();
    let Kind::PlaceTasks(place) = &before_the_daemon.commands[0] else { panic!("{}", before_the_daemon.text) };
    assert!(place.placements.iter().all(|p| p.instance_id != joined.0), "{}", before_the_daemon.text);
    sim.look_at(daemon).reconcile(&mut |_| {});
    sim.look_at(web);
    let after = sim.plan();
    let Kind::PlaceTasks(place) = &after.commands[0] else { panic!("{}", after.text) };
    assert_eq!(place.placements[0].instance_id, joined.0, "{}", after.text);
}

#[test]
fn one_that_fits_nowhere_is_said_and_stops_nobody() {
    let mut sim = Sim::new();
    sim.instance("a", 200);
    let port = PortNeed { host_port: 80, ..Default::default() };
    let (huge, web) = (
        sim.definition(300, Behaviour::Run),
        sim.definition_of(TaskSize { cpu: 100, memory: 64, ports: vec![port], ..Default::default() }, Behaviour::Run),
    );
    sim.create_daemon("agent", huge, 0);
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.events(), ["UNABLE_TO_PLACE 1"]);
    assert_eq!(sim.row().desired_count, 1, "it belongs there");
    assert!(sim.plan().wake_at_ms.is_some());
    sim.create(web, 1, 100, 200);
    sim.settled();
}

#[test]
fn two_daemons_do_not_wait_for_each_other() {
    let mut sim = Sim::new();
    sim.instance("a", 1000);
    let (one, two) = (sim.definition(600, Behaviour::Run), sim.definition(300, Behaviour::Run));
    sim.create_daemon("one", one, 0);
    let first = sim.service;
    sim.create_daemon("two", two, 0);
    let second = sim.service;
    sim.reconcile_all(&[first, second]);
    sim.agents();
    assert_eq!((sim.look_at(first).running(), sim.look_at(second).running()), (1, 1));
}

#[test]
fn a_deleted_daemon_stops_everywhere() {
    let mut sim = ready(0);
    sim.cut("a");
    sim.delete();
    sim.reconcile(&mut |_| {});
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), ServiceStatusCode::Draining, "one cannot be reached");
    sim.heal();
    sim.agents();
    sim.reconcile(&mut |_| {});
    assert_eq!(sim.row().status(), ServiceStatusCode::Inactive);
    assert!(sim.state.tasks_of_service(sim.service).all(|t| t.last_status() == TaskStatus::Stopped));
}
