//! A service of which at most one task may be alive, under every fault that could make two of it. The invariant of that name looks
//! at the machines themselves.

use std::{collections::BTreeSet, time::Duration};

use seawall_model::TaskId;
use seawall_proto::v1::{
    CreateServiceRequest, CreateServiceResponse, DeploymentConfiguration, Tag, UpdateServiceRequest,
};

use crate::{
    World,
    world::{Setup, service},
};

const SECOND: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(90);
/// A grant, a tenth more, and what a guard may take, are over.
const SURELY_OVER: Duration = Duration::from_secs(30);
const ROUNDS: u64 = 12;
/// Hosts run a tenth slower than members, or faster.
const SLOW: f64 = 0.955;
const FAST: f64 = 1.05;

/// Three zones whose hosts have guards, and the service.
fn singleton(seed: u64) -> World {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.guard_agents();
    world.register("one", &[]);
    let tag = Tag { key: Some("seawall:loss-policy".into()), value: Some("at-most-one".into()) };
    let request = CreateServiceRequest {
        deployment_configuration: Some(DeploymentConfiguration {
            minimum_healthy_percent: Some(0),
            maximum_percent: Some(100),
            ..Default::default()
        }),
        tags: vec![tag],
        ..service("one", "one", 1)
    };
    let _: CreateServiceResponse = world.must("CreateService", &request);
    world.wait_running("one", 1);
    world
}

fn alive(world: &World) -> BTreeSet<TaskId> {
    world.agents().values().flat_map(|agent| agent.host.running_tasks()).collect()
}

/// The machine on which the task is alive.
fn host(world: &World) -> Option<String> {
    world.agents().iter().find(|(_, agent)| !agent.host.running_tasks().is_empty()).map(|(name, _)| name.clone())
}

fn wait_elsewhere(world: &World, than: &str) {
    world.wait_for("the task to start elsewhere", SURELY_OVER, |world| match host(world) {
        Some(name) if name != than => Ok(()),
        other => Err(format!("it is on {other:?}")),
    });
}

/// Neither does the agent run nor is anything asked of it: only its guard acts.
pub(super) fn a_paused_agent_keeps_no_task_alive(seed: u64) {
    let world = singleton(seed);
    let name = host(&world).unwrap_or_default();
    let before = alive(&world);
    world.sim.pause(&name);
    wait_elsewhere(&world, &name);
    assert!(alive(&world).is_disjoint(&before));
    world.sim.resume(&name);
    world.settle(SETTLE);
    assert_eq!(alive(&world).len(), 1);
}

/// The same for one that is cut off, and for one that comes back while its task is waited for.
pub(super) fn a_cut_off_task_ends_before_another_starts(seed: u64) {
    let world = singleton(seed);
    let name = host(&world).unwrap_or_default();
    let before = alive(&world);
    world.isolate(std::slice::from_ref(&name));
    world.run_for(SECOND * 5);
    world.sim.heal();
    world.run_for(SURELY_OVER);
    assert_eq!(alive(&world), before, "back before its lease was over it goes on");
    world.isolate(std::slice::from_ref(&name));
    wait_elsewhere(&world, &name);
    world.sim.heal();
    world.settle(SETTLE);
    assert_eq!(alive(&world).len(), 1);
}

/// Grants outlive leaders: a task that can be reached is never ended for an election.
pub(super) fn elections_end_no_guarded_task(seed: u64) {
    let mut world = singleton(seed);
    let before = alive(&world);
    for _ in 0..3 {
        let leader = world.leading();
        world.kill_member(&leader);
        world.wait_other_leader(&leader);
        world.run_for(SECOND * 15);
        world.restart_member(&leader);
        world.run_for(SECOND * 5);
    }
    assert_eq!(alive(&world), before);
    world.settle(SETTLE);
}

/// Everything at once: cuts, deaths of leaders, paused and dead agents, rollouts, and clocks a tenth apart.
pub(super) fn at_most_one_is_alive_whatever_happens(seed: u64) {
    let mut world = singleton(seed);
    let (hosts, members) = if seed.is_multiple_of(2) { (SLOW, FAST) } else { (FAST, SLOW) };
    for _ in 0..ROUNDS {
        drift(&world, hosts, members);
        fault(&mut world);
        let seconds = world.client().random_u64() % 25;
        world.run_for(Duration::from_millis(500) + SECOND * seconds as u32);
        world.heal();
        let seconds = world.client().random_u64() % 15;
        world.run_for(SECOND * seconds as u32);
    }
    world.heal();
    world.settle(SETTLE);
    assert_eq!(alive(&world).len(), 1);
}

fn drift(world: &World, hosts: f64, members: f64) {
    world.agents().keys().for_each(|name| world.set_clock_rate(name, hosts));
    world.members().keys().for_each(|name| world.set_clock_rate(name, members));
}

fn fault(world: &mut World) {
    let leader = world.leading();
    let name = host(world).unwrap_or_else(|| "a1".into());
    match world.client().random_u64() % 8 {
        0 => world.isolate(&[name]),
        1 => world.sim.pause(&name),
        2 => world.kill_member(&leader),
        3 => world.isolate(&world.in_zone(&world.zone_of(&name))),
        4 => world.isolate(&[leader, name]),
        5 => world.kill_agent(&name),
        6 => world.power_off_agent(&name),
        _ => {
            let force = UpdateServiceRequest { force_new_deployment: Some(true), ..Default::default() };
            world.update_service("one", force);
            world.sim.pause(&leader);
        }
    }
}
