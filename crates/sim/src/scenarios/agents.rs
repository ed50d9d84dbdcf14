//! Agents that die, are alone, forget, or meet themselves.

use std::{collections::BTreeSet, time::Duration};

use seawall_agent::AgentConfig;
use seawall_model::TaskId;
use seawall_proto::v1::{
    CreateClusterRequest, CreateClusterResponse, DescribeTasksRequest, DescribeTasksResponse, RunTaskRequest,
    RunTaskResponse, Task,
};

use super::six_tasks;
use crate::{
    World,
    world::{Setup, agent_config},
};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn running(world: &World) -> BTreeSet<TaskId> {
    world.agents().values().flat_map(|agent| agent.host.running_tasks()).collect()
}

/// Runs standalone tasks; their ARNs.
fn run_tasks(world: &World, family: &str, count: i32) -> Vec<String> {
    let request = RunTaskRequest { task_definition: Some(family.into()), count: Some(count), ..Default::default() };
    let response: RunTaskResponse = world.must("RunTask", &request);
    assert_eq!(response.failures, []);
    response.tasks.iter().map(|task| task.task_arn().to_owned()).collect()
}

fn describe(world: &World, tasks: &[String]) -> Vec<Task> {
    let request = DescribeTasksRequest { tasks: tasks.to_vec(), ..Default::default() };
    let response: DescribeTasksResponse = world.must("DescribeTasks", &request);
    response.tasks
}

pub(super) fn agents_restart_while_a_member_is_down(seed: u64) {
    let mut world = six_tasks(seed);
    let before = running(&world);
    world.kill_member("s1");
    for name in ["a1", "a2", "a3"] {
        world.kill_agent(name);
        world.run_for(SECOND);
        world.restart_agent(name);
        world.run_for(SECOND * 2);
    }
    world.wait("every agent to connect", SETTLE, |w| w.connected().len() == 3);
    world.restart_member("s1");
    world.settle(SETTLE);
    assert_eq!(running(&world), before, "an agent that is back within its lease keeps its tasks");
}

/// It keeps its tasks, and tells what happened meanwhile.
pub(super) fn a_lonely_agent(seed: u64) {
    let world = six_tasks(seed);
    world.register("job", &[("FAKE_RUN_MS", "20000"), ("FAKE_EXIT_CODE", "7")]);
    let jobs = run_tasks(&world, "job", 3);
    world.wait("the jobs to run", SETTLE, |w| running(w).len() == 9);
    let kept: BTreeSet<TaskId> = running(&world);
    world.isolate(&["a1".into(), "a2".into(), "a3".into()]);
    world.run_for(SECOND * 10);
    assert_eq!(running(&world), kept, "nobody is heard, nothing is stopped");
    world.run_for(SECOND * 20);
    assert_eq!(running(&world).len(), 6, "the jobs ended by themselves");
    world.sim.heal();
    world.settle(SETTLE);
    for job in describe(&world, &jobs) {
        assert_eq!((job.last_status(), job.stop_code()), ("STOPPED", "EssentialContainerExited"));
        assert_eq!(job.containers[0].exit_code, Some(7), "what happened meanwhile is reported");
    }
}

/// What runs is found again from its labels, under the old instance.
pub(super) fn an_agent_loses_its_folder(seed: u64) {
    let mut world = six_tasks(seed);
    let before = running(&world);
    let arns = |world: &World| -> Vec<(String, u64)> {
        world.state().instances.iter().map(|(_, row)| (row.ec2_instance_id.clone(), row.arn_lo)).collect()
    };
    let instances = arns(&world);
    for name in ["a1", "a2", "a3"] {
        world.kill_agent(name);
        world.sim.wipe(name);
        world.restart_agent(name);
        world.run_for(SECOND * 2);
    }
    world.settle(SETTLE);
    assert_eq!(running(&world), before);
    assert_eq!(arns(&world), instances);
}

/// Two live agents with one identity: the older is closed.
pub(super) fn two_agents_of_one_name(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    let servers: Vec<String> = world.members().values().map(|node| node.client_address()).collect();
    let mut twin = agent_config("a", &servers);
    twin.instance_id = Some("a1".into());
    world.add_agent("a1-twin", twin, Default::default());
    world.wait("one of them to end", SETTLE, |w| w.agent("a1").ended().is_some());
    assert!(world.agent("a1").ended().is_some_and(|why| why.contains("another")), "{:?}", world.ended());
    world.run_for(SECOND * 10);
    assert_eq!(world.agent("a1-twin").ended(), None);
    assert_eq!(world.connected().len(), 3);
    world.bury();
    world.settle(SETTLE);
}

pub(super) fn a_machine_reboots(seed: u64) {
    let mut world = six_tasks(seed);
    let before = running(&world);
    let gone = world.agent("a2").host.running_tasks();
    world.power_off_agent("a2");
    world.run_for(SECOND);
    world.restart_agent("a2");
    world.settle(SETTLE);
    let after = running(&world);
    assert!(after.is_disjoint(&gone), "a task never runs again after a reboot");
    assert_eq!(before.intersection(&after).count(), 4, "the others are untouched");
}

/// A machine that came back with its name and without its containers does not run again what it had begun.
pub(super) fn a_machine_comes_back_empty(seed: u64) {
    let mut world = six_tasks(seed);
    world.register("job", &[]);
    let jobs = run_tasks(&world, "job", 3);
    world.wait("the jobs to run", SETTLE, |w| running(w).len() == 9);
    for name in ["a1", "a2", "a3"] {
        let gone = world.agent(name).host.running_tasks();
        assert_eq!(gone.len(), 3);
        world.power_off_agent(name);
        world.agent(name).host.forget_all();
        world.sim.wipe(name);
        world.restart_agent(name);
        world.run_for(SECOND * 5);
        assert!(world.agent(name).host.running_tasks().is_disjoint(&gone));
    }
    world.settle(SETTLE);
    for job in describe(&world, &jobs) {
        assert_eq!(job.last_status(), "STOPPED", "a standalone task is not started elsewhere");
        assert!(job.stopped_reason().contains("not on its container instance any more"), "{}", job.stopped_reason());
    }
}

/// Tasks that end are replaced, at once where they had lasted.
pub(super) fn tasks_that_end_by_themselves(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("short", &[("FAKE_RUN_MS", "15000")]);
    world.create_service("short", "short", 6);
    for _ in 0..4 {
        world.run_for(SECOND * 10);
        let agent = format!("a{}", 1 + world.client().random_u64() % 3);
        world.kill_agent(&agent);
        world.run_for(SECOND * 2);
        world.restart_agent(&agent);
    }
    world.update_service(
        "short",
        seawall_proto::v1::UpdateServiceRequest {
            task_definition: Some(world.register("short", &[])),
            ..Default::default()
        },
    );
    world.settle(SETTLE * 2);
}

/// Who names a cluster that does not exist waits for it; who is registered elsewhere is told so and ends.
pub(super) fn an_agent_of_the_wrong_cluster(seed: u64) {
    let mut world = six_tasks(seed);
    let servers: Vec<String> = world.members().values().map(|member| member.client_address()).collect();
    let of = |cluster: &str, instance: &str| {
        let config = agent_config("a", &servers);
        AgentConfig { cluster: cluster.into(), instance_id: Some(instance.into()), ..config }
    };
    world.add_agent("late", of("later", "i-late"), Default::default());
    world.run_for(SECOND * 10);
    assert_eq!(world.agent("late").ended(), None);
    assert!(!world.connected().contains("i-late"));
    let request = CreateClusterRequest { cluster_name: Some("later".into()), ..Default::default() };
    let _: CreateClusterResponse = world.must("CreateCluster", &request);
    world.wait("the agent to connect", SETTLE, |w| w.connected().contains("i-late"));

    world.add_agent("moved", of("default", "i-late"), Default::default());
    world.wait("the agent to end", SECOND * 5, |w| w.agent("moved").ended().is_some());
    let why = world.agent("moved").ended().unwrap_or_default();
    assert!(why.contains("registered in the cluster \"later\""), "{why}");
    world.bury();
    world.settle(SETTLE);
}
