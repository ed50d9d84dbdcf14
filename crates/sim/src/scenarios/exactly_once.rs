//! A write that is sent again has one effect, and its answer names the same results.

use std::time::Duration;

use seawall_proto::v1::{
    CreateClusterRequest, CreateClusterResponse, DeregisterContainerInstanceRequest,
    DeregisterContainerInstanceResponse, RegisterTaskDefinitionResponse, RunTaskRequest, RunTaskResponse,
};

use crate::{
    World,
    world::{Setup, definition},
};

const SETTLE: Duration = Duration::from_secs(60);
/// What members send each other.
const FORWARD: &str = "/seawall.internal.v1.Peer/Forward";
const SUBMIT: &str = "/seawall.internal.v1.Peer/Submit";
/// All that three agents have room for.
const ALL: i32 = 3 * 16;
/// RunTask takes so many at once.
const AT_ONCE: i32 = 10;

fn run_task(count: i32, token: Option<&str>) -> RunTaskRequest {
    RunTaskRequest {
        task_definition: Some("job".into()),
        count: Some(count),
        client_token: token.map(str::to_owned),
        ..Default::default()
    }
}

fn ids(response: &RunTaskResponse) -> Vec<String> {
    response.tasks.iter().map(|task| task.task_arn().to_owned()).collect()
}

/// A follower sends again what it got no answer to.
pub(super) fn replies_of_the_leader_are_lost(seed: u64) {
    let world = World::formed(&Setup::three_zones(seed));
    world.register("job", &[]);
    let follower = world.followers()[0].clone();
    let lose = |times| world.sim.lose_replies(FORWARD, times);
    let mut placed = 0;
    while placed < ALL {
        // The last call fills the cluster: its repetition finds no room, and answers with the same tasks all the same.
        let count = AT_ONCE.min(ALL - placed);
        lose(2);
        let response: RunTaskResponse = world.call(&follower, "RunTask", &run_task(count, None)).expect("it is placed");
        assert_eq!((response.tasks.len() as i32, response.failures.len()), (count, 0), "{:?}", response.failures);
        placed += count;
        assert_eq!(world.state().tasks.iter().count() as i32, placed, "one effect");
    }
    lose(1);
    let response = world.call::<RegisterTaskDefinitionResponse>(
        &follower,
        "RegisterTaskDefinition",
        &definition("job", &[("VERSION", "2")]),
    );
    assert_eq!(response.expect("registered").task_definition.unwrap_or_default().revision(), 2);
    lose(1);
    let create = CreateClusterRequest { cluster_name: Some("once".into()), ..Default::default() };
    let _: CreateClusterResponse = world.call(&follower, "CreateCluster", &create).expect("created");
    lose(1);
    let instance = world.state().instances.iter().next().map(|(_, row)| row.clone()).expect("an instance");
    let arn = seawall_model::Id128::from_halves(instance.arn_hi, instance.arn_lo).to_string();
    let gone =
        DeregisterContainerInstanceRequest { container_instance: Some(arn), force: Some(true), ..Default::default() };
    let _: DeregisterContainerInstanceResponse =
        world.call(&follower, "DeregisterContainerInstance", &gone).expect("it was deregistered by the first try");
    // Reports and connections of agents come again too.
    world.sim.lose_replies(SUBMIT, 20);
    world.run_for(SETTLE / 2);
    world.settle(SETTLE);
}

/// A client that got no answer asks again, of another leader.
pub(super) fn tokens_after_a_leader_change(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("job", &[]);
    let mut answers = Vec::new();
    let mut placed = 0;
    while placed < ALL {
        let count = AT_ONCE.min(ALL - placed);
        let token = format!("token-{placed}");
        let response: RunTaskResponse = world.must("RunTask", &run_task(count, Some(&token)));
        assert_eq!(response.tasks.len() as i32, count);
        answers.push((count, token, ids(&response)));
        placed += count;
    }
    let old = world.leading();
    world.kill_member(&old);
    world.wait_other_leader(&old);
    for (count, token, expected) in &answers {
        let response: RunTaskResponse = world.must("RunTask", &run_task(*count, Some(token)));
        assert_eq!(&ids(&response), expected, "the same tasks, though there is no room for others");
        assert_eq!(response.failures, []);
    }
    let (count, token, _) = &answers[0];
    let follower = world.followers()[0].clone();
    let other = world.call::<RunTaskResponse>(&follower, "RunTask", &run_task(count - 1, Some(token)));
    let error = other.expect_err("another request under the same token");
    assert_eq!(error.code(), Some(seawall_model::ErrorCode::Conflict), "{error}");
    assert_eq!(world.state().tasks.iter().count() as i32, ALL);
    world.restart_member(&old);
    world.settle(SETTLE);
}
