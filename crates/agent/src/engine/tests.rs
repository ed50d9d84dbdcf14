//! The engine on the fake runtime, in the simulation.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use futures::FutureExt;
use seawall_env::{Env, sim::Sim};
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{Assignment, Health, StopCode, TaskReport, TaskStatus},
    v1::{ContainerDefinition, ContainerDependency, ContainerRestartPolicy},
};

use super::{
    Engine, EngineSettings,
    slot::{ESSENTIAL_EXITED, OUT_OF_MEMORY},
    testing::{assignment, container, with},
};
use crate::{
    config::ImagePull,
    runtime::{
        LogQuery,
        fake::{FakeConfig, FakeHost, FakeRuntime},
    },
    spec::Owner,
    store::Store,
};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);
const NODE: &str = "agent";
const EPOCH: u64 = 1;
const ALL: usize = 1000;

/// An agent without a session, on a machine that outlives it.
struct Agent {
    sim: Sim,
    env: Env,
    host: FakeHost,
    settings: EngineSettings,
    engine: Option<Engine>,
}

impl Agent {
    fn new() -> Self {
        Agent::with(EngineSettings {
            image_pull: ImagePull::Default,
            stopped_tasks_kept: 100,
            stopped_task_kept_for: SECOND * 3600,
        })
    }

    fn with(settings: EngineSettings) -> Self {
        let sim = Sim::new(7);
        let env = sim.node(NODE);
        let mut agent = Agent { sim, env, host: FakeHost::default(), settings, engine: None };
        agent.start();
        agent
    }

    fn start(&mut self) {
        let config = FakeConfig { host: self.host.clone(), ..Default::default() };
        let runtime = FakeRuntime::new(self.env.clone(), config);
        let store = Store::open(&self.env, Path::new("/data")).unwrap();
        let owner = Owner { cluster_id: "c".into(), instance: "i".into() };
        let starts = Engine::start(self.env.clone(), Arc::new(runtime), Arc::new(store), self.settings.clone(), owner);
        self.engine = Some(self.sim.run(&self.env, LIMIT, starts).unwrap().unwrap());
    }

    /// Killed and started again, `meanwhile` in between.
    fn restart(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.sim.kill(NODE);
        self.engine = None;
        meanwhile(self);
        self.env = self.sim.restart(NODE);
        self.start();
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn assign(&self, id: u128, containers: Vec<ContainerDefinition>) {
        self.engine().assign(EPOCH, vec![assignment(id, containers)]);
    }

    fn stop(&self, id: u128) {
        self.engine().assign(EPOCH, vec![stopped(assignment(id, vec![container("app")]))]);
    }

    fn report(&self, id: u128) -> TaskReport {
        let of = |report: &TaskReport| crate::spec::task_id(report.task.as_ref()) == task(id);
        self.engine().reports().into_iter().find(of).unwrap()
    }

    fn wait(&self, what: &str, condition: impl FnMut() -> bool) {
        assert!(self.sim.run_until(condition, LIMIT), "not within {LIMIT:?}: {what}");
    }

    fn until(&self, id: u128, status: TaskStatus) -> TaskReport {
        self.wait(&format!("task {id} {status:?}"), || self.report(id).status() == status);
        self.report(id)
    }

    fn acknowledge_all(&self) {
        let reports: Vec<(TaskId, u64)> =
            self.engine().unsent(&BTreeMap::new(), ALL).into_iter().map(|(task, version, _)| (task, version)).collect();
        self.engine().acknowledged(&reports);
    }

    fn unsent(&self) -> Vec<TaskId> {
        self.engine().unsent(&BTreeMap::new(), ALL).into_iter().map(|(task, ..)| task).collect()
    }

    fn calls(&self, verb: &str) -> Vec<String> {
        self.host.calls().into_iter().filter_map(|call| Some(call.strip_prefix(verb)?.trim().to_owned())).collect()
    }
}

fn task(id: u128) -> TaskId {
    TaskId::from_halves((id >> 64) as u64, id as u64)
}

fn stopped(assignment: Assignment) -> Assignment {
    Assignment { desired_running: false, ..assignment }
}

fn app() -> ContainerDefinition {
    container("app")
}

fn side(name: &str) -> ContainerDefinition {
    ContainerDefinition { essential: Some(false), ..container(name) }
}

fn after(mut container: ContainerDefinition, name: &str, condition: &str) -> ContainerDefinition {
    let dependency = ContainerDependency { container_name: Some(name.into()), condition: Some(condition.into()) };
    container.depends_on.push(dependency);
    container
}

fn exits(container: ContainerDefinition, after_ms: u64, code: i32) -> ContainerDefinition {
    with(with(container, "FAKE_RUN_MS", &after_ms.to_string()), "FAKE_EXIT_CODE", &code.to_string())
}

#[test]
fn a_task_runs_until_the_cluster_wants_it_stopped() {
    let agent = Agent::new();
    agent.assign(1, vec![app()]);
    assert_eq!(agent.report(1).status(), TaskStatus::Pending);
    let runs = agent.until(1, TaskStatus::Running);
    assert!(runs.pull_started_at_ms > 0 && runs.started_at_ms >= runs.pull_stopped_at_ms);
    assert_eq!(runs.containers[0].last_status(), TaskStatus::Running);
    assert_eq!(agent.host.running().len(), 1);
    agent.stop(1);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!((ended.stop_code(), ended.stopped_reason.as_str()), (StopCode::Unspecified, ""));
    assert_eq!(ended.containers[0].exit_code, Some(143));
    assert_eq!(ended.containers[0].reason, "");
    assert!(ended.stopped_at_ms >= ended.execution_stopped_at_ms && ended.execution_stopped_at_ms > 0);
    assert!(agent.host.running().is_empty());
}

#[test]
fn what_ignores_sigterm_is_killed_after_its_stop_timeout() {
    let agent = Agent::new();
    let mut app = with(app(), "FAKE_STOP_MS", "60000");
    app.stop_timeout = Some(5);
    agent.assign(1, vec![app]);
    agent.until(1, TaskStatus::Running);
    let began = agent.sim.now();
    agent.stop(1);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.containers[0].exit_code, Some(137));
    assert!((SECOND * 5..SECOND * 6).contains(&(agent.sim.now() - began)));
}

#[test]
fn the_exit_of_an_essential_container_ends_the_task() {
    let agent = Agent::new();
    agent.assign(1, vec![exits(app(), 2000, 3), side("side")]);
    agent.until(1, TaskStatus::Running);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(
        (ended.stop_code(), ended.stopped_reason.as_str()),
        (StopCode::EssentialContainerExited, ESSENTIAL_EXITED)
    );
    assert_eq!(ended.containers[0].exit_code, Some(3));
    assert_eq!(ended.containers[1].exit_code, Some(143), "the others are stopped");
}

#[test]
fn the_exit_of_another_container_does_not() {
    let agent = Agent::new();
    agent.assign(1, vec![app(), exits(side("side"), 1000, 0)]);
    agent.until(1, TaskStatus::Running);
    agent.wait("side stopped", || agent.report(1).containers[1].last_status() == TaskStatus::Stopped);
    agent.sim.run_for(SECOND * 10);
    assert_eq!(agent.report(1).status(), TaskStatus::Running);
}

#[test]
fn out_of_memory_is_told_whether_it_comes_before_or_after_the_exit() {
    for when in ["before", "late"] {
        let agent = Agent::new();
        agent.assign(1, vec![with(exits(app(), 1000, 137), "FAKE_OOM", when)]);
        agent.until(1, TaskStatus::Running);
        let ended = agent.until(1, TaskStatus::Stopped);
        assert_eq!(ended.stopped_reason, format!("{ESSENTIAL_EXITED}: {OUT_OF_MEMORY}"), "{when}");
        assert_eq!(ended.containers[0].reason, OUT_OF_MEMORY, "{when}");
    }
}

#[test]
fn a_kill_from_outside_is_no_lack_of_memory() {
    let agent = Agent::new();
    agent.assign(1, vec![exits(app(), 1000, 137)]);
    agent.until(1, TaskStatus::Running);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!((ended.stopped_reason.as_str(), ended.containers[0].reason.as_str()), (ESSENTIAL_EXITED, ""));
}

#[test]
fn a_start_that_fails_ends_the_task_and_stops_what_it_had_started() {
    let agent = Agent::new();
    agent.assign(1, vec![side("side"), with(app(), "FAKE_START_ERROR", "port is already allocated")]);
    let ended = agent.until(1, TaskStatus::Stopped);
    let reason = "CannotStartContainerError: port is already allocated";
    assert_eq!((ended.stop_code(), ended.stopped_reason.as_str()), (StopCode::TaskFailedToStart, reason));
    assert_eq!(ended.containers[1].reason, reason);
    assert_eq!((ended.containers[0].reason.as_str(), ended.containers[0].exit_code), ("", Some(143)));
    assert_eq!(ended.started_at_ms, 0);
    assert!(agent.host.running().is_empty());
}

#[test]
fn an_image_that_cannot_be_had_ends_the_task_before_anything_is_made() {
    let agent = Agent::new();
    let lacking = ContainerDefinition { image: Some("missing:1".into()), ..app() };
    agent.assign(1, vec![side("side"), lacking]);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.stop_code(), StopCode::TaskFailedToStart);
    assert!(ended.stopped_reason.starts_with("CannotPullContainerError: image missing:1"), "{}", ended.stopped_reason);
    assert_eq!(ended.containers[1].reason, ended.stopped_reason);
    assert!(agent.calls("create").is_empty());
}

#[test]
fn fifty_tasks_of_one_image_pull_once() {
    let agent = Agent::new();
    (1..=50).for_each(|id| agent.assign(id, vec![app()]));
    (1..=50).for_each(|id| drop(agent.until(id, TaskStatus::Running)));
    assert_eq!(agent.calls("pull"), ["image"]);
}

#[test]
fn containers_start_in_the_order_of_their_dependencies_and_stop_in_the_reverse() {
    let agent = Agent::new();
    let first = with(side("first"), "FAKE_HEALTHY_MS", "3000");
    let init = exits(after(side("init"), "first", "START"), 1000, 0);
    let last = after(after(app(), "init", "SUCCESS"), "first", "HEALTHY");
    agent.assign(1, vec![last, init, first]);
    let runs = agent.until(1, TaskStatus::Running);
    assert_eq!(agent.calls("start"), ["first", "init", "app"]);
    assert_eq!(runs.containers[1].exit_code, Some(0));
    assert_eq!(runs.containers[2].health(), Health::Healthy);
    agent.stop(1);
    agent.until(1, TaskStatus::Stopped);
    assert_eq!(agent.calls("stop"), ["app", "first"]);
}

#[test]
fn a_dependency_that_fails_ends_the_task() {
    let agent = Agent::new();
    agent.assign(1, vec![after(app(), "init", "SUCCESS"), exits(side("init"), 100, 2)]);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(
        ended.stopped_reason,
        "Task failed to start: container app: dependency init exited with code 2, not with success"
    );
    assert_eq!(agent.calls("create"), ["init"]);
}

#[test]
fn a_wish_to_stop_during_a_start_is_followed_when_the_start_is_done() {
    let agent = Agent::new();
    agent.assign(1, vec![with(app(), "FAKE_START_MS", "5000"), after(side("next"), "app", "START")]);
    agent.sim.run_for(SECOND);
    agent.stop(1);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!((ended.stop_code(), ended.started_at_ms), (StopCode::Unspecified, 0));
    assert_eq!(agent.calls("create"), ["app"], "what had not begun does not begin");
    assert!(agent.host.running().is_empty());
}

#[test]
fn an_agent_that_restarts_takes_up_what_runs() {
    for files_are_lost in [false, true] {
        let mut agent = Agent::new();
        agent.assign(1, vec![app(), side("side")]);
        let before = agent.until(1, TaskStatus::Running);
        agent.sim.run_for(SECOND * 10);
        agent.restart(|agent| {
            if files_are_lost {
                agent.sim.wipe(NODE);
            }
        });
        let now = agent.until(1, TaskStatus::Running);
        assert_eq!(now.containers[0].last_status(), TaskStatus::Running);
        // The host's clock and the agent's differ by the time of the answer.
        assert!((now.started_at_ms - before.started_at_ms).abs() < 1000, "{files_are_lost}");
        assert_eq!(agent.calls("start").len(), 2, "nothing is started twice");
        assert!(agent.engine().sync(EPOCH, vec![assignment(1, vec![app(), side("side")])]).is_empty());
        agent.stop(1);
        agent.until(1, TaskStatus::Stopped);
        assert!(agent.host.running().is_empty());
    }
}

#[test]
fn what_ended_while_no_agent_looked_is_reported() {
    let mut agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND);
    agent.restart(|agent| agent.host.kill(task(1), 9));
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!((ended.stop_code(), ended.containers[0].exit_code), (StopCode::EssentialContainerExited, Some(9)));
    assert!(ended.started_at_ms > 0);
}

#[test]
fn a_start_that_the_agents_end_cut_off_goes_on() {
    let mut agent = Agent::new();
    agent.assign(1, vec![after(app(), "first", "START"), with(side("first"), "FAKE_START_MS", "3000")]);
    agent.sim.run_for(SECOND);
    assert_eq!(agent.calls("create"), ["first"]);
    agent.restart(|_| ());
    agent.until(1, TaskStatus::Running);
    assert_eq!(agent.calls("create"), ["first", "app"]);
}

#[test]
fn after_a_reboot_nothing_runs_and_everything_is_reported() {
    let mut agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND);
    agent.restart(|agent| agent.host.reboot());
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.containers[0].exit_code, Some(255));
    assert_eq!(agent.calls("start").len(), 1, "a task is never started twice");
}

#[test]
fn a_machine_that_lost_the_containers_reports_them_stopped() {
    let mut agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND);
    agent.restart(|agent| agent.host.remove_outside(task(1)));
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.containers[0].reason, "ContainerRemovedError: the container was removed by someone else");
}

#[test]
fn a_running_task_of_which_nothing_is_here_is_reported_stopped() {
    let agent = Agent::new();
    let elsewhere = Assignment { last_status: TaskStatus::Running.into(), ..assignment(1, vec![app()]) };
    agent.engine().assign(EPOCH, vec![elsewhere]);
    assert_eq!(agent.report(1).status(), TaskStatus::Stopped);
    assert_eq!(agent.unsent(), [task(1)]);
    agent.sim.run_for(SECOND);
    assert!(agent.host.calls().is_empty());
    agent.acknowledge_all();
    agent.sim.run_for(SECOND);
    assert!(agent.engine().reports().is_empty(), "then nothing is left of it");
}

#[test]
fn a_container_that_is_removed_behind_the_agents_back_ends_the_task() {
    let agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.host.remove_outside(task(1));
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.containers[0].exit_code, Some(137));
    assert_eq!(ended.containers[0].reason, "ContainerRemovedError: the container was removed by someone else");
}

#[test]
fn what_happens_while_the_engine_restarts_is_found_out() {
    let agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.assign(2, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.until(2, TaskStatus::Running);
    agent.host.restart_engine();
    agent.host.kill(task(1), 1);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.containers[0].exit_code, Some(1));
    agent.host.kill(task(2), 2);
    agent.until(2, TaskStatus::Stopped);
}

#[test]
fn a_whole_sync_stops_what_its_epoch_knew_and_asks_about_the_rest() {
    let agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.assign(2, vec![app()]);
    agent.engine().assign(EPOCH + 1, vec![assignment(3, vec![app()])]);
    (1..=3).for_each(|id| drop(agent.until(id, TaskStatus::Running)));
    let unknown = agent.engine().sync(EPOCH + 1, vec![assignment(1, vec![app()])]);
    assert_eq!(unknown, [task(2)], "named in an older epoch only");
    let ended = agent.until(3, TaskStatus::Stopped);
    assert_eq!(ended.stopped_reason, "Task is no longer assigned to this container instance");
    agent.sim.run_for(SECOND * 10);
    assert_eq!(agent.report(1).status(), TaskStatus::Running);
    assert_eq!(agent.report(2).status(), TaskStatus::Running, "kept until the cluster answers");
    agent.engine().stop_unknown(&unknown);
    agent.until(2, TaskStatus::Stopped);
    assert!(agent.engine().sync(EPOCH + 2, vec![]).contains(&task(1)));
    assert_eq!(agent.engine().sync(EPOCH + 1, vec![]), [], "the newest epoch that named it was this");
    agent.until(1, TaskStatus::Stopped);
}

#[test]
fn the_epoch_that_named_a_task_last_outlives_the_agent() {
    let mut agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    assert!(agent.engine().sync(EPOCH + 1, vec![assignment(1, vec![app()])]).is_empty());
    agent.sim.run_for(SECOND);
    agent.restart(|_| ());
    assert_eq!(agent.engine().sync(EPOCH + 1, vec![]), []);
    agent.until(1, TaskStatus::Stopped);
}

#[test]
fn a_report_is_sent_until_it_is_acknowledged_and_then_not_again() {
    let mut agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    let sent: BTreeMap<TaskId, u64> = agent.engine().unsent(&BTreeMap::new(), ALL).iter().map(|r| (r.0, r.1)).collect();
    assert!(agent.engine().unsent(&sent, ALL).is_empty(), "not twice in one session");
    assert_eq!(agent.unsent(), [task(1)], "but in the next");
    agent.acknowledge_all();
    assert!(agent.unsent().is_empty());
    agent.stop(1);
    agent.until(1, TaskStatus::Stopped);
    assert_eq!(agent.unsent(), [task(1)]);
    agent.sim.run_for(SECOND);
    agent.restart(|_| ());
    assert_eq!(agent.unsent(), [task(1)], "how it ended was not acknowledged yet");
    agent.acknowledge_all();
    agent.sim.run_for(SECOND);
    agent.restart(|_| ());
    assert!(agent.unsent().is_empty());
}

#[test]
fn an_idle_task_reports_nothing() {
    let agent = Agent::new();
    agent.assign(1, vec![with(app(), "FAKE_HEALTHY_MS", "1000")]);
    agent.wait("healthy", || agent.report(1).health() == Health::Healthy);
    agent.acknowledge_all();
    let changes = agent.engine().changes();
    let before = *changes.borrow();
    agent.sim.run_for(SECOND * 7200);
    assert_eq!(*changes.borrow(), before);
    assert!(agent.unsent().is_empty());
}

#[test]
fn only_so_many_stopped_tasks_keep_their_containers() {
    let agent = Agent::with(EngineSettings {
        image_pull: ImagePull::Default,
        stopped_tasks_kept: 2,
        stopped_task_kept_for: SECOND * 600,
    });
    for id in 1..=4 {
        agent.assign(id, vec![app()]);
        agent.until(id, TaskStatus::Running);
        agent.stop(id);
        agent.until(id, TaskStatus::Stopped);
    }
    agent.sim.run_for(SECOND);
    assert_eq!(agent.host.kept(), [task(3), task(4)]);
    assert_eq!(agent.engine().reports().len(), 4, "the cluster was not told of them yet");
    agent.acknowledge_all();
    agent.sim.run_for(SECOND);
    assert_eq!(agent.engine().reports().len(), 2);
    assert_eq!(agent.engine().containers(task(4)).unwrap(), ["app"], "their logs can still be read");
    agent.sim.run_for(SECOND * 601);
    assert!(agent.host.kept().is_empty());
    assert!(agent.engine().reports().is_empty());
}

#[test]
fn what_an_engine_does_not_let_go_is_tried_again_soon() {
    let agent = Agent::with(EngineSettings {
        image_pull: ImagePull::Default,
        stopped_tasks_kept: 0,
        stopped_task_kept_for: SECOND * 3600,
    });
    agent.host.refuse_removals(2);
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    agent.stop(1);
    agent.until(1, TaskStatus::Stopped);
    agent.sim.run_for(SECOND * 10);
    assert_eq!(agent.host.kept(), [task(1)]);
    agent.sim.run_for(SECOND * 60);
    assert!(agent.host.kept().is_empty());
}

#[test]
fn the_log_of_a_container_is_found_by_names() {
    let agent = Agent::new();
    agent.assign(1, vec![app()]);
    agent.until(1, TaskStatus::Running);
    let engine = agent.engine();
    let read = |id: u128, name: &'static str| engine.logs(task(id), name, LogQuery::default()).now_or_never().unwrap();
    assert!(read(1, "app").unwrap().is_ok());
    assert!(read(1, "other").is_none() && read(2, "app").is_none());
}

#[test]
fn an_engine_that_is_dropped_touches_nothing_any_more() {
    let mut agent = Agent::new();
    agent.assign(1, vec![with(app(), "FAKE_START_MS", "100"), with(side("slow"), "FAKE_START_MS", "5000")]);
    agent.sim.run_for(SECOND);
    agent.engine = None;
    agent.sim.run_for(SECOND * 60);
    assert_eq!(agent.host.running().len(), 1, "the start under way was not carried on");
    agent.start();
    agent.until(1, TaskStatus::Running);
    assert_eq!(agent.calls("create").len(), 2);
}

#[test]
fn a_reason_is_cut_to_what_the_cluster_keeps() {
    let agent = Agent::new();
    // The cut would fall into the middle of a character.
    agent.assign(1, vec![with(app(), "FAKE_START_ERROR", &"€".repeat(100_000))]);
    let report = agent.until(1, TaskStatus::Stopped);
    assert!(report.stopped_reason.starts_with("CannotStartContainerError: €"));
    assert!((1000..=1024).contains(&report.stopped_reason.len()));
    assert!((1000..=1024).contains(&report.containers[0].reason.len()));
}

fn restarted(container: ContainerDefinition, ignored: &[i32]) -> ContainerDefinition {
    let policy = ContainerRestartPolicy {
        enabled: Some(true),
        ignored_exit_codes: ignored.to_vec(),
        restart_attempt_period: Some(60),
    };
    ContainerDefinition { restart_policy: Some(policy), ..container }
}

/// How often a container of task 1 was started.
fn starts(agent: &Agent, index: usize) -> u32 {
    agent.host.starts().get(&(task(1), index)).copied().unwrap_or_default()
}

#[test]
fn a_container_with_a_restart_policy_is_started_again_in_its_task() {
    let agent = Agent::new();
    agent.assign(1, vec![restarted(exits(app(), 61_000, 3), &[]), side("side")]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND * 200);
    assert_eq!((starts(&agent, 0), starts(&agent, 1)), (4, 1));
    let runs = agent.report(1);
    assert_eq!(runs.status(), TaskStatus::Running);
    assert_eq!((runs.containers[0].last_status(), runs.containers[0].exit_code), (TaskStatus::Running, None));
    agent.stop(1);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.containers[0].exit_code, Some(143), "stopped by us, and not started again");
    agent.sim.run_for(SECOND * 200);
    assert!(agent.host.running().is_empty());
}

#[test]
fn one_that_did_not_run_long_enough_is_not_started_again() {
    let agent = Agent::new();
    agent.assign(1, vec![restarted(exits(app(), 59_000, 3), &[])]);
    agent.until(1, TaskStatus::Running);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!((ended.containers[0].exit_code, starts(&agent, 0)), (Some(3), 1));
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
}

#[test]
fn exit_codes_may_be_left_out_of_a_restart_policy() {
    let agent = Agent::new();
    agent.assign(1, vec![app(), restarted(exits(side("side"), 61_000, 0), &[0])]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND * 200);
    assert_eq!(starts(&agent, 1), 1);
    assert_eq!(agent.report(1).containers[1].last_status(), TaskStatus::Stopped);
    assert_eq!(agent.report(1).status(), TaskStatus::Running);
}

#[test]
fn a_restart_that_fails_ends_the_task_of_an_essential_container() {
    let agent = Agent::new();
    let app = with(restarted(exits(app(), 61_000, 3), &[]), "FAKE_RESTART_ERROR", "no room");
    agent.assign(1, vec![app]);
    agent.until(1, TaskStatus::Running);
    agent.sim.run_for(SECOND * 62);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.containers[0].reason, "CannotStartContainerError: no room");
    assert_eq!(agent.calls("restart"), ["app"], "once");
}

#[test]
fn a_policy_goes_on_after_the_agent_was_started_again() {
    let mut agent = Agent::new();
    agent.assign(1, vec![restarted(app(), &[])]);
    agent.until(1, TaskStatus::Running);
    agent.restart(|_| ());
    agent.sim.run_for(SECOND * 61);
    agent.host.kill(task(1), 9);
    agent.wait("it is started again", || starts(&agent, 0) == 2);
    agent.sim.run_for(SECOND);
    assert_eq!(agent.report(1).containers[0].last_status(), TaskStatus::Running);
    agent.host.kill(task(1), 9);
    let ended = agent.until(1, TaskStatus::Stopped);
    assert_eq!(ended.containers[0].exit_code, Some(9), "too soon after the last start");
}

#[test]
fn the_ports_of_a_shared_network_are_told_of_those_that_asked() {
    let agent = Agent::new();
    let mut app = app();
    let mapping = |port| seawall_proto::v1::PortMapping {
        container_port: Some(port),
        host_port: Some(port),
        ..Default::default()
    };
    app.port_mappings = vec![mapping(80)];
    let mut web = side("web");
    web.port_mappings = vec![mapping(81)];
    let mut assigned = assignment(1, vec![app, web, side("other")]);
    assigned.definition.as_mut().unwrap().network_mode = Some("awsvpc".into());
    agent.engine().assign(EPOCH, vec![assigned]);
    let runs = agent.until(1, TaskStatus::Running);
    let ports = |index: usize| runs.containers[index].bindings.iter().map(|b| b.container_port).collect::<Vec<_>>();
    assert_eq!((runs.containers.len(), ports(0), ports(1), ports(2)), (3, vec![80], vec![81], vec![]));
    assert!(runs.interface.is_some());
    assert_eq!(agent.calls("start")[0], crate::pause::NAME, "the others wait for it");
    agent.stop(1);
    agent.until(1, TaskStatus::Stopped);
    assert_eq!(agent.calls("stop").last().unwrap(), crate::pause::NAME);
}
