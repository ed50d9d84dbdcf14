//! What runs is found again, and what others do to it is noticed.

use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};
use seawall_agent::runtime::{Phase, Runtime};
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{StopCode, TaskStatus},
    v1::ContainerDefinition,
};

use crate::ground::{Ground, port};

async fn remove(ground: &Ground, task: TaskId, container: &str) {
    let options = RemoveContainerOptions { force: true, ..Default::default() };
    ground.docker.remove_container(&ground.name(task, container), Some(options)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_taken_up_by_its_labels_alone() {
    let Some(mut ground) = Ground::new().await else { return };
    let app = ContainerDefinition { port_mappings: vec![port(80, 0, "tcp")], ..ground.sleeper("app") };
    let side = ContainerDefinition { essential: Some(false), ..ground.shell("side", "exit 4") };
    let assignment = ground.assignment(vec![app, side]);
    let task = ground.assign(assignment.clone());
    let side_ended = |report: &seawall_proto::internal::v1::TaskReport| report.containers[1].exit_code == Some(4);
    let before = ground.until(task, side_ended).await;
    let before_started = ground.running(task).await.started_at_ms;
    ground.lose_files();
    assert_eq!(ground.containers().await.len(), 2, "the containers stay");
    ground.start().await;
    let now = ground.running(task).await;
    assert_eq!(now.containers[0].runtime_id, before.containers[0].runtime_id);
    assert_eq!(now.containers[0].bindings, before.containers[0].bindings);
    assert_eq!(now.containers[1].exit_code, Some(4));
    assert!((now.started_at_ms - before_started).abs() < 5_000);
    assert!(ground.engine().sync(1, vec![assignment]).is_empty(), "its epoch is on the label, too");
    ground.end(task);
    ground.stopped(task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_see_only_what_is_theirs() {
    let (Some(one), Some(two)) = (Ground::new().await, Ground::new().await) else { return };
    let task = one.run(vec![one.sleeper("app")]);
    one.running(task).await;
    assert!(two.runtime.held(&two.owner.instance).await.unwrap().is_empty());
    let held = two.runtime.held(&one.owner.instance).await.unwrap();
    assert_eq!(held.len(), 1);
    assert_eq!((&held[0].owner, held[0].index), (&one.owner, 0));
    assert_eq!(held[0].observed.phase, Phase::Running);
    assert!(held[0].observed.started_at_ms > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_no_agent_looked_is_reported() {
    let Some(mut ground) = Ground::new().await else { return };
    let tasks = [ground.run(vec![ground.sleeper("app")]), ground.run(vec![ground.sleeper("app")])];
    for task in tasks {
        ground.running(task).await;
    }
    let names = tasks.map(|task| ground.name(task, "app"));
    ground.stop();
    let kill = KillContainerOptions { signal: "SIGKILL".into() };
    ground.docker.kill_container(&names[0], Some(kill)).await.unwrap();
    let options = RemoveContainerOptions { force: true, ..Default::default() };
    ground.docker.remove_container(&names[1], Some(options)).await.unwrap();
    ground.start().await;
    let ended = ground.stopped(tasks[0]).await;
    assert_eq!((ended.stop_code(), ended.containers[0].exit_code), (StopCode::EssentialContainerExited, Some(137)));
    assert_eq!(ended.containers[0].reason, "");
    // Only the agent's own file knows of this one.
    let ended = ground.stopped(tasks[1]).await;
    assert_eq!(ended.containers[0].reason, "ContainerRemovedError: the container was removed by someone else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_cut_off_goes_on() {
    let Some(mut ground) = Ground::new().await else { return };
    let assignment = ground.assignment(vec![ground.sleeper("app")]);
    ground.stop();
    let id = ground.runtime.create(&ground.spec(&assignment, 0)).await.unwrap();
    ground.start().await;
    let task = seawall_agent::spec::task_id(assignment.task.as_ref());
    assert_eq!(ground.running(task).await.containers[0].runtime_id, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_removed_behind_the_agents_back_ends_the_task() {
    let Some(ground) = Ground::new().await else { return };
    let side = ContainerDefinition { essential: Some(false), ..ground.sleeper("side") };
    let task = ground.run(vec![ground.sleeper("app"), side]);
    ground.running(task).await;
    remove(&ground, task, "side").await;
    let removed = "ContainerRemovedError: the container was removed by someone else";
    let side_gone = ground.until(task, |report| report.containers[1].reason == removed).await;
    assert_eq!(side_gone.status(), TaskStatus::Running, "it was not essential");
    remove(&ground, task, "app").await;
    let ended = ground.stopped(task).await;
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.containers[0].reason, removed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_a_stopped_task_is_not_let_run_again() {
    let Some(mut ground) = Ground::new().await else { return };
    let task = ground.run(vec![ground.sleeper("app")]);
    ground.running(task).await;
    ground.end(task);
    ground.stopped(task).await;
    let name = ground.name(task, "app");
    let runs = async |ground: &Ground| {
        ground.docker.inspect_container(&name, None).await.unwrap().state.unwrap().running.unwrap()
    };
    ground.docker.start_container(&name, None).await.unwrap();
    ground.eventually("it is stopped again", async || (!runs(&ground).await).then_some(())).await;

    // The same while the agent is away.
    ground.stop();
    ground.docker.start_container(&name, None).await.unwrap();
    ground.start().await;
    ground.eventually("it is stopped again", async || (!runs(&ground).await).then_some(())).await;
}
