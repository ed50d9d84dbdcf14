//! Many who want the same room at the same time.

use std::{sync::Arc, time::Duration};

use seawall_proto::v1::{RunTaskRequest, RunTaskResponse, UpdateServiceRequest};
use seawall_server::simulated::{self, CallError, Options};

use crate::{
    World,
    world::{Setup, lock},
};

const SETTLE: Duration = Duration::from_secs(120);
const SECOND: Duration = Duration::from_secs(1);
/// Of three instances with sixteen tasks each.
const ROOM: usize = 48;
/// Calls at once, each for as many tasks as a call may ask for.
const CALLS: usize = 12;
const AT_ONCE: i32 = 10;

/// Twice as many tasks as there is room for are asked of all members at once, while a service grows and the leader dies.
pub(super) fn a_crowd_wants_the_same_room(seed: u64) {
    let mut world = World::formed(&Setup::three_zones(seed));
    world.register("web", &[]);
    world.create_service("web", "web", 6);
    world.register("job", &[("FAKE_RUN_MS", "20000")]);
    let answers = Arc::default();
    for call in 0..CALLS {
        ask(&world, &format!("s{}", 1 + call % 3), &answers);
    }
    let grow = UpdateServiceRequest { desired_count: Some(20), ..Default::default() };
    world.update_service("web", grow);
    let leader = world.wait_leader();
    world.kill_member(&leader);
    world.wait("every call to be answered", SETTLE, |_| lock(&answers).len() == CALLS);
    let placed: usize = lock(&answers).iter().flatten().map(|answer| answer.tasks.len()).sum();
    assert!(placed > 0 && placed <= ROOM - 6, "{placed} tasks in a room of {ROOM}");
    for answer in lock(&answers).iter().flatten() {
        let lacks = answer.tasks.len() < AT_ONCE as usize;
        assert_eq!(lacks, !answer.failures.is_empty(), "what is not placed is said: {answer:?}");
    }
    world.restart_member(&leader);
    // The jobs end; then there is room for all of the service.
    world.settle(SETTLE);
    assert_eq!(world.running("web"), 20);
    world.run_for(SECOND);
}

type Answers = Arc<std::sync::Mutex<Vec<Option<RunTaskResponse>>>>;

fn ask(world: &World, member: &str, answers: &Answers) {
    let (env, address) = (world.client().clone(), world.member(member).client_address());
    let answers = answers.clone();
    world.client().spawn(seawall_env::TaskKind::vital("crowd"), async move {
        let request =
            RunTaskRequest { task_definition: Some("job".into()), count: Some(AT_ONCE), ..Default::default() };
        let answer: Result<RunTaskResponse, CallError> =
            simulated::call(&env, &address, "RunTask", &request, Options::default()).await;
        // Of the member that is killed nobody knows.
        lock(&answers).push(answer.ok());
    });
}
