//! Tasks with a fencing token: they start with a lease, and their guard ends them with it.

use std::time::Duration;

use rustix::process::Signal;
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Assignment, StopCode, TaskStatus};

use crate::machine::{Machine, UNTIL_TOLD, new_assignment, runs, shell, signal};

const OWNER: u64 = 7;
const LEASE: Duration = Duration::from_secs(3);
const EPOCH: u64 = 1;

fn guarded() -> (TaskId, Assignment) {
    let (id, assignment) = new_assignment(shell(UNTIL_TOLD));
    (id, Assignment { fencing_token: 1, ..assignment })
}

/// The program of the task's one container.
async fn program(machine: &Machine, id: TaskId) -> u32 {
    let status = machine.data_dir().join("process").join(id.to_string()).join("0/status");
    let read = async || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&status).ok()?).ok();
    machine.until("the task runs", read).await["pid"].as_u64().unwrap().try_into().unwrap()
}

pub async fn a_task_starts_with_a_lease_and_ends_with_it(machine: &Machine) {
    let engine = machine.engine().await;
    let (id, assignment) = guarded();
    engine.assign(EPOCH, vec![assignment]);
    machine.env.sleep(Duration::from_millis(500)).await;
    let status = machine.data_dir().join("process").join(id.to_string()).join("0/status");
    assert!(!status.exists(), "without a lease nothing starts");
    let begun = machine.env.now();
    engine.granted(OWNER, machine.env.boottime(), LEASE);
    let program = program(machine, id).await;
    machine.env.sleep(LEASE / 2).await;
    let extended = machine.env.now();
    engine.granted(OWNER, machine.env.boottime(), LEASE);
    machine.until("the program is ended", async || (!runs(program)).then_some(())).await;
    let now = machine.env.now();
    assert!(now - extended >= LEASE && now - begun < LEASE * 4, "{:?} after it was fed", now - extended);
    let report = machine.report(&engine, id, TaskStatus::Stopped).await;
    assert_eq!(report.stop_code(), StopCode::InfrastructureHealth, "{}", report.stopped_reason);
}

/// Neither the agent nor the shim is asked: the agent is gone, the shim hangs.
pub async fn the_guard_ends_tasks_without_agent_and_shim(machine: &Machine) {
    let engine = machine.engine().await;
    let (id, assignment) = guarded();
    engine.granted(OWNER, machine.env.boottime(), LEASE);
    engine.assign(EPOCH, vec![assignment]);
    let program = program(machine, id).await;
    drop(engine);
    let status = machine.data_dir().join("process").join(id.to_string()).join("0/status");
    let status: serde_json::Value = serde_json::from_slice(&std::fs::read(status).unwrap()).unwrap();
    let shim = u32::try_from(status["shim"].as_u64().unwrap()).unwrap();
    signal(shim, Signal::STOP);
    machine.until("the program is ended", async || (!runs(program)).then_some(())).await;
    signal(shim, Signal::CONT);
    machine.until_nothing_runs().await;
}

/// The next agent finds what the guard knows: the task goes on under the lease, and ends with it.
pub async fn a_task_that_is_taken_up_keeps_its_lease(machine: &Machine) {
    let engine = machine.engine().await;
    let (id, assignment) = guarded();
    engine.granted(OWNER, machine.env.boottime(), LEASE);
    engine.assign(EPOCH, vec![assignment]);
    let program = program(machine, id).await;
    machine.report(&engine, id, TaskStatus::Running).await;
    drop(engine);
    let engine = machine.engine().await;
    let fed = machine.env.now();
    engine.granted(OWNER, machine.env.boottime(), LEASE);
    machine.until("the program is ended", async || (!runs(program)).then_some(())).await;
    assert!(machine.env.now() - fed >= LEASE);
    let report = machine.report(&engine, id, TaskStatus::Stopped).await;
    assert_eq!(report.stop_code(), StopCode::InfrastructureHealth, "{}", report.stopped_reason);
}
