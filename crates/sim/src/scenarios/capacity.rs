//! Tasks that wait for room of a capacity provider, while leaders die.

use std::time::Duration;

use seawall_proto::{
    internal::v1::{TaskRow, TaskStatus},
    v1::{
        AutoScalingGroupProvider, CapacityProviderStrategyItem, CreateCapacityProviderRequest,
        CreateCapacityProviderResponse, ManagedScaling, PutClusterCapacityProvidersRequest,
        PutClusterCapacityProvidersResponse, RunTaskRequest, RunTaskResponse,
    },
};

use super::decisions::replay_all;
use crate::{World, world::Setup};

const SECOND: Duration = Duration::from_secs(1);
const SETTLE: Duration = Duration::from_secs(60);
/// RunTasks of the backlog, of ten tasks each.
const CALLS: usize = 20;

fn provider(world: &World, name: &str) {
    let scaling = ManagedScaling { status: Some("ENABLED".into()), ..ManagedScaling::default() };
    let group = AutoScalingGroupProvider {
        auto_scaling_group_arn: Some("group".into()),
        managed_scaling: Some(scaling),
        ..AutoScalingGroupProvider::default()
    };
    let create = CreateCapacityProviderRequest {
        name: Some(name.into()),
        auto_scaling_group_provider: Some(group),
        ..CreateCapacityProviderRequest::default()
    };
    let _: CreateCapacityProviderResponse = world.must("CreateCapacityProvider", &create);
    let put = PutClusterCapacityProvidersRequest {
        cluster: Some("default".into()),
        capacity_providers: vec![name.into()],
        ..PutClusterCapacityProvidersRequest::default()
    };
    let _: PutClusterCapacityProvidersResponse = world.must("PutClusterCapacityProviders", &put);
}

/// Starts tasks of the family "short"; how many there are.
fn run(world: &World, group: &str, count: i32) -> usize {
    let item = CapacityProviderStrategyItem {
        capacity_provider: Some("big".into()),
        weight: Some(1),
        ..CapacityProviderStrategyItem::default()
    };
    let request = RunTaskRequest {
        task_definition: Some("short".into()),
        group: Some(group.into()),
        count: Some(count),
        capacity_provider_strategy: vec![item],
        client_token: Some(world.client().new_id().to_string()),
        ..RunTaskRequest::default()
    };
    let answer: RunTaskResponse = world.must("RunTask", &request);
    assert_eq!(answer.failures.len(), 0, "what finds no room waits");
    answer.tasks.len()
}

fn rows(world: &World, group: &str) -> Vec<TaskRow> {
    let state = world.state();
    state.tasks.iter().filter(|(_, row)| row.group == group).map(|(_, row)| TaskRow::clone(row)).collect()
}

/// Far more tasks than there is room for all run, each once, and another group's single task does not wait for them all. Every
/// decision is made again.
pub(super) fn waiting_tasks_all_run_while_leaders_die(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("short", &[("FAKE_RUN_MS", "4000")]);
    provider(&world, "big");
    let asked: usize = (0..CALLS).map(|_| run(&world, "backlog", 10)).sum();
    assert!(rows(&world, "backlog").iter().any(|row| row.waiting.is_some()), "there is too much room for this test");
    run(&world, "single", 1);
    world.wait_for("the single task to run", SETTLE, |world| {
        let row = rows(world, "single").pop().ok_or("it is gone")?;
        if row.started_at_ms != 0 { Ok(()) } else { Err(format!("{row:?}")) }
    });
    assert!(rows(&world, "backlog").iter().any(|row| row.waiting.is_some()), "it did not wait for the backlog");
    for _ in 0..2 {
        let leader = world.wait_leader();
        world.kill_member(&leader);
        world.wait_other_leader(&leader);
        world.restart_member(&leader);
        world.run_for(SECOND * 3);
    }
    world.wait_for("every task to have run", SETTLE * 5, |world| {
        let rows = rows(world, "backlog");
        let ran = rows.iter().filter(|row| row.last_status() == TaskStatus::Stopped && row.started_at_ms != 0).count();
        if ran == asked { Ok(()) } else { Err(format!("{ran} of {} have run", rows.len())) }
    });
    world.settle(SETTLE);
    let late = world.state().decisions.iter().filter(|(_, row)| row.waited).count();
    assert!(late > asked / 2, "{late} tasks have the decision that ended their wait");
    let (same, _) = replay_all(&world, "s1");
    assert!(same > late, "s1 could make {same} decisions again, {late} of tasks that waited");
}
