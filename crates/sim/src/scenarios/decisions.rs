//! Decisions: whoever led, what was decided is decided again by every member that still holds the past.

use std::time::Duration;

use futures::future::join_all;
use seawall_model::TaskId;
use seawall_proto::v1::{
    PlacementConstraint, PlacementStrategy, ReplayDecisionRequest, ReplayDecisionResponse, RunTaskRequest,
    RunTaskResponse, UpdateServiceRequest,
};
use seawall_server::simulated::{self, Options};

use super::{six_tasks, snapshots::snapshot_everywhere};
use crate::World;

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// RunTasks of one burst.
const BURST: usize = 12;

/// Many RunTasks at once through one member, each asking for something else.
fn burst(world: &World) {
    let member = world.leading();
    let (env, address) = (world.client().clone(), world.member(&member).client_address());
    let text = |text: &str| Some(text.to_owned());
    let requests = (0..BURST).map(|nth| RunTaskRequest {
        task_definition: text("short"),
        count: Some(1 + nth as i32 % 3),
        group: Some(format!("group-{}", nth % 4)),
        placement_strategy: match nth % 3 {
            0 => Vec::new(),
            1 => vec![PlacementStrategy { r#type: text("binpack"), field: text("memory") }],
            _ => vec![PlacementStrategy { r#type: text("random"), field: None }],
        },
        placement_constraints: match nth % 4 {
            3 => vec![PlacementConstraint { r#type: text("distinctInstance"), expression: None }],
            _ => Vec::new(),
        },
        ..RunTaskRequest::default()
    });
    let requests: Vec<RunTaskRequest> = requests.collect();
    world.run(SETTLE, async move {
        let calls = requests
            .iter()
            .map(|request| simulated::call::<RunTaskResponse>(&env, &address, "RunTask", request, Options::default()));
        // The leader may die meanwhile: what was placed is what counts.
        drop(join_all(calls).await);
    });
}

/// A task of every decision that a member's state holds.
fn one_of_each(world: &World, member: &str) -> Vec<TaskId> {
    let state = world.member(member).member().map(|member| member.consensus().state().state.clone());
    let state = state.unwrap_or_else(|| world.fail(&format!("{member} does not serve")));
    let first = |base: &TaskId| state.tasks.range(base..).next().map(|(id, _)| *id);
    state.decisions.iter().filter_map(|(base, _)| first(base)).collect()
}

/// Has a member decide everything again; how much it could, and how many placements were on their way.
pub(super) fn replay_all(world: &World, member: &str) -> (usize, u32) {
    let (mut same, mut on_their_way) = (0, 0);
    for task in one_of_each(world, member) {
        let ask = ReplayDecisionRequest { cluster: None, task: task.to_string() };
        let answer = world.call::<ReplayDecisionResponse>(member, "ReplayDecision", &ask);
        let answer = answer.unwrap_or_else(|error| world.fail(&format!("{member}: {error}")));
        match answer.outcome.as_str() {
            "SAME" => {
                same += 1;
                on_their_way += answer.in_flight;
            }
            "NOT_REPLAYED" if answer.reason.contains("holds the past from entry") => {}
            _ => world.fail(&format!("{member}, task {task}: {answer:?}")),
        }
    }
    (same, on_their_way)
}

/// Bursts, updates, a zone's loss and leaders' deaths, with a snapshot in between.
pub(super) fn every_decision_is_made_again(seed: u64) {
    let mut world = six_tasks(seed);
    world.register("short", &[("FAKE_RUN_MS", "3000")]);
    burst(&world);
    let all_before = replay_all(&world, "s1").0;
    snapshot_everywhere(&world);
    burst(&world);
    let old = world.leading();
    world.kill_member(&old);
    world.wait_leader();
    burst(&world);
    let new = world.register("web", &[("VERSION", "2")]);
    world.update_service("web", UpdateServiceRequest { task_definition: Some(new), ..Default::default() });
    world.run_for(SECOND * 2);
    world.restart_member(&old);
    world.wait_leader();
    world.run_for(SECOND);
    world.power_off_zone("a");
    world.wait_leader();
    world.run_for(SECOND * 6);
    burst(&world);
    world.power_on_zone("a");
    world.settle(SETTLE);
    burst(&world);
    world.run_for(SECOND);

    let mut on_their_way = 0;
    for member in ["s1", "s2", "s3"] {
        let (same, flying) = replay_all(&world, member);
        if same < BURST * 2 {
            world.fail(&format!("{member} could make {same} decisions again"));
        }
        on_their_way += flying;
    }
    if on_their_way == 0 || all_before < BURST / 2 {
        world.fail(&format!("{on_their_way} placements on their way, {all_before} decisions at first"));
    }
}
