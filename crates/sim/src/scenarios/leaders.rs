//! Leaders that pause, lose their majority, hand over, or die with everybody else.

use std::{collections::BTreeSet, time::Duration};

use seawall_env::TaskKind;
use seawall_model::{ErrorCode, TaskId};
use seawall_proto::v1::{
    CreateClusterRequest, CreateClusterResponse, CreateServiceResponse, DescribeClustersRequest,
    DescribeClustersResponse, UpdateServiceRequest, UpdateServiceResponse,
};
use seawall_server::simulated::{self, Options};
use tokio::sync::oneshot;

use super::six_tasks;
use crate::World;

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn create(name: &str) -> CreateClusterRequest {
    CreateClusterRequest { cluster_name: Some(name.into()), ..Default::default() }
}

fn within(timeout: Duration) -> Options {
    Options { timeout, ..Options::default() }
}

pub(super) fn a_paused_leader(seed: u64) {
    let world = six_tasks(seed);
    let workload = world.start_workload();
    for pause in [SECOND / 2, SECOND * 4, SECOND * 12] {
        let old = world.wait_leader();
        world.sim.pause(&old);
        world.run_for(pause);
        // What the workload's readers asked meanwhile waits there, and is answered with what is true then.
        world.sim.resume(&old);
        world.run_for(SECOND * 3);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

pub(super) fn a_minority_leader(seed: u64) {
    let world = six_tasks(seed);
    let old = world.leading();
    let workload = world.start_workload();
    world.isolate(std::slice::from_ref(&old));
    let written = world.call_with::<CreateClusterResponse>(&old, "CreateCluster", &create("lost"), within(SECOND * 3));
    let code = written.expect_err("a minority acknowledged a write").code();
    assert!(matches!(code, Some(ErrorCode::Unknown | ErrorCode::NoLeader)), "{code:?}");
    let read = DescribeClustersRequest::default();
    let answer = world.call_with::<DescribeClustersResponse>(&old, "DescribeClusters", &read, within(SECOND));
    let error = answer.expect_err("a minority answered a linearizable read");
    assert_eq!(error.code(), Some(ErrorCode::NoLeader));
    assert!(error.to_string().contains("do not answer"), "it says whom it waits for: {error}");
    let stale = Options { stale: true, ..within(SECOND) };
    let answer = world.call_with::<DescribeClustersResponse>(&old, "DescribeClusters", &read, stale);
    assert!(answer.is_ok(), "a stale read needs nobody: {answer:?}");
    world.wait_other_leader(&old);
    world.run_for(SECOND * 5);
    world.sim.heal();
    workload.stop_writing();
    world.settle(SETTLE);
}

/// The leader's messages do not arrive at one follower, whose own do: elections must end, writes go on.
pub(super) fn a_one_way_cut(seed: u64) {
    let world = six_tasks(seed);
    let workload = world.start_workload();
    for _ in 0..3 {
        let leader = world.wait_leader();
        let follower = world.followers()[0].clone();
        world.sim.cut(&[&leader], &[&follower]);
        world.run_for(SECOND * 3);
        let before = world.ledger().counts().0;
        world.run_for(SECOND * 5);
        assert!(world.ledger().counts().0 > before, "no writes while a majority is well connected");
        world.sim.heal();
        world.run_for(SECOND);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

/// As a rolling upgrade does: SIGTERM to each member in turn.
pub(super) fn leaders_that_hand_over(seed: u64) {
    let mut world = six_tasks(seed);
    let workload = world.start_workload();
    for _ in 0..3 {
        let leader = world.wait_leader();
        let before = world.member(&leader).leadership().term;
        world.stop_member(&leader);
        let next = world.wait_leader();
        assert!(world.member(&next).leadership().term > before);
        world.run_for(SECOND * 2);
        world.restart_member(&leader);
        world.run_for(SECOND * 2);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

/// A lease starts afresh with each leader, also with one that has led before.
pub(super) fn an_election_loses_no_agent(seed: u64) {
    let world = six_tasks(seed);
    for _ in 0..8 {
        let old = world.wait_leader();
        world.sim.pause(&old);
        world.wait_other_leader(&old);
        world.sim.resume(&old);
        for _ in 0..25 {
            world.run_for(SECOND / 5);
            assert_eq!(world.connected().len(), 3, "an agent was lost for an election");
        }
    }
    world.settle(SETTLE);
    assert_eq!(world.state().tasks.iter().count(), 6, "nothing was replaced");
}

/// Running tasks outlive the whole control plane, and none of them is another one afterwards.
pub(super) fn all_members_die(seed: u64) {
    let mut world = six_tasks(seed);
    let running = |world: &World| -> BTreeSet<TaskId> {
        world.agents().values().flat_map(|agent| agent.host.running_tasks()).collect()
    };
    let before = running(&world);
    for name in ["s1", "s2", "s3"] {
        world.kill_member(name);
    }
    world.run_for(SECOND * 300);
    assert_eq!(running(&world), before);
    for name in ["s1", "s2", "s3"] {
        world.restart_member(name);
    }
    world.settle(SETTLE);
    assert_eq!(running(&world), before, "an outage of the members is no reason to replace a task");
}

/// What a leader that was paused knows is old: it refuses nothing by it.
pub(super) fn a_paused_leader_refuses_nothing(seed: u64) {
    let world = six_tasks(seed);
    for round in 0..20 {
        let old = world.wait_leader();
        world.sim.pause(&old);
        let new = world.wait_other_leader(&old);
        let name = format!("new-{round}");
        let service = crate::world::service(&name, "web", 0);
        let _: CreateServiceResponse = world.call(&new, "CreateService", &service).expect("the new leader takes it");
        let scale = UpdateServiceRequest { service: Some(name), desired_count: Some(0), ..Default::default() };
        // It waits at the old leader and is the first thing that it finds.
        let (env, address) = (world.client().clone(), world.member(&old).client_address());
        let (answer, answered) = oneshot::channel();
        world.client().spawn(TaskKind::request("update"), async move {
            let updated: Result<UpdateServiceResponse, _> =
                simulated::call(&env, &address, "UpdateService", &scale, Options::default()).await;
            let _ = answer.send(updated.map(|_| ()).map_err(|error| error.to_string()));
        });
        world.run_for(SECOND / 10);
        world.sim.resume(&old);
        let updated = world.run(SECOND * 15, async move { answered.await.expect("an answer") });
        assert_eq!(updated, Ok(()), "round {round}");
    }
    world.settle(SETTLE);
}
