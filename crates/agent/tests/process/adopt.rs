//! Agents that come after a killed one.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;
use seawall_agent::{runtime::LogQuery, spec::proto_id};
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Assignment, StopCode, TaskStatus};

use crate::{
    machine::{Machine, runs, signal},
    programs::AGENTS_TASK,
};

const TASK: TaskId = seawall_model::Id128(AGENTS_TASK as u128);

/// An agent as a process of its own.
struct Agent(Child);

impl Agent {
    fn start(folder: &Path) -> Agent {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Agent(command.arg("agent").arg(folder).stdin(Stdio::null()).spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts an agent, waits for its task to run, kills the agent with SIGKILL; the pids of shim and program.
async fn after_a_killed_agent(machine: &Machine) -> (u32, u32) {
    let agent = Agent::start(machine.data_dir());
    let status = machine.data_dir().join("process").join(TASK.to_string()).join("0/status");
    let read = async || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&status).ok()?).ok();
    let status = machine.until("the agent's task runs", read).await;
    agent.kill();
    let number = |name: &str| status[name].as_u64().unwrap().try_into().unwrap();
    (number("shim"), number("pid"))
}

pub async fn a_killed_agent_leaves_tasks_that_the_next_takes_up(machine: &Machine) {
    let (shim, program) = after_a_killed_agent(machine).await;
    assert!(runs(shim) && runs(program));
    // Its own files are gone too.
    std::fs::remove_dir_all(machine.data_dir().join("agent")).unwrap();
    let engine = machine.engine().await;
    let report = machine.report(&engine, TASK, TaskStatus::Running).await;
    assert_eq!(report.containers[0].last_status(), TaskStatus::Running);
    let mut log = engine.logs(TASK, "app", LogQuery::default()).await.unwrap().unwrap();
    assert_eq!(&log.recv().await.unwrap().unwrap().line[..], b"up");
    assert!(runs(program));
    let stop = Assignment { task: Some(proto_id(TASK)), desired_running: false, ..Default::default() };
    engine.assign(2, vec![stop]);
    let report = machine.report(&engine, TASK, TaskStatus::Stopped).await;
    assert_eq!(report.containers[0].exit_code, Some(143));
    machine.until_nothing_runs().await;
}

pub async fn what_ended_without_an_agent_is_told_by_the_next(machine: &Machine) {
    let (shim, program) = after_a_killed_agent(machine).await;
    signal(shim, Signal::KILL);
    // The kernel sees to that: there is no agent.
    machine.until("the program ends with its shim", async || (!runs(program)).then_some(())).await;
    let engine = machine.engine().await;
    let report = machine.report(&engine, TASK, TaskStatus::Stopped).await;
    assert_eq!((report.containers[0].exit_code, report.stop_code()), (Some(137), StopCode::EssentialContainerExited));
    machine.until_nothing_runs().await;
}
