//! Takes up the tasks that are on the machine already, from what the runtime holds and the agent's own files.
//!
//! The runtime's labels and folders are the truth of what runs; the files add how a task ended whose containers are gone,
//! and in which epoch the cluster last named it.

use std::{collections::BTreeMap, sync::Arc};

use seawall_model::TaskId;
use seawall_proto::internal::v1::{ContainerRow, TaskReport, TaskStatus};

use super::{
    Shared, pump,
    slot::{ContainerState, Ending, Slot, State},
};
use crate::{
    runtime::{Held, Phase, RuntimeResult},
    spec::{Kept, TaskSpec, task_id},
    store::{Store, StoredTask},
};

/// Adopts them all and starts their drivers.
pub async fn adopt(shared: &Arc<Shared>, store: &Store) -> RuntimeResult<()> {
    let held = shared.runtime.held(&shared.owner.instance).await?;
    let mut tasks: BTreeMap<TaskId, Vec<Held>> = BTreeMap::new();
    for one in held.into_iter().filter(|held| held.owner == shared.owner) {
        tasks.entry(kept_id(&one.kept)).or_default().push(one);
    }
    if let Err(error) = shared.runtime.sweep(&shared.owner, &tasks.keys().copied().collect()).await {
        tracing::warn!(%error, "cannot remove what earlier tasks left");
    }
    let mut stored = store.tasks().await;
    for (task, containers) in tasks {
        let file = stored.remove(&task);
        take_up(shared, containers[0].kept.clone(), containers, file);
    }
    for file in stored.into_values() {
        if let Some(kept) = file.kept.clone() {
            take_up(shared, kept, Vec::new(), Some(file));
        }
    }
    Ok(())
}

fn kept_id(kept: &Kept) -> TaskId {
    task_id(kept.assignment.as_ref().and_then(|a| a.task.as_ref()))
}

fn take_up(shared: &Arc<Shared>, kept: Kept, containers: Vec<Held>, file: Option<StoredTask>) {
    let slot = shared.add(TaskSpec::new(shared.owner.clone(), kept));
    let was_acknowledged = file.as_ref().is_some_and(|file| file.acknowledged);
    let has_containers = !containers.is_empty();
    let runs = |held: &&Held| held.observed.phase == Phase::Running;
    let running: Vec<usize> = containers.iter().filter(runs).map(|held| held.index).collect();
    if let Some(file) = file {
        restore(&slot, file);
    }
    for held in containers.into_iter().filter(|held| held.index < slot.spec.containers.len()) {
        slot.found(held.index, Some(held.observed));
    }
    let status = slot.state().status;
    tracing::info!(task = %slot.id(), ?status, has_containers, "task taken up");
    if status != TaskStatus::Stopped {
        lost_containers(&slot);
        return shared.drive(slot);
    }
    let now = shared.env.now();
    let mut state = slot.state();
    state.finished = Some(now);
    state.cleaned = !has_containers;
    drop(state);
    running.into_iter().for_each(|index| pump::stop_late(shared, &slot, index));
    if !was_acknowledged {
        shared.board.changed(slot.id());
    }
}

/// The containers of a task that was RUNNING and that are not there were removed while no agent looked.
fn lost_containers(slot: &Slot) {
    if slot.state().status != TaskStatus::Running {
        return;
    }
    for index in 0..slot.spec.containers.len() {
        if slot.phase(index) < Phase::Running {
            slot.reached(index, Phase::Running);
            slot.found(index, None);
        }
    }
}

fn restore(slot: &Slot, file: StoredTask) {
    let report = file.report.unwrap_or_default();
    let mut state = slot.state();
    state.epoch = state.epoch.max(file.kept.map(|kept| kept.epoch).unwrap_or_default());
    state.times.pull_started_ms = report.pull_started_at_ms;
    state.times.pull_stopped_ms = report.pull_stopped_at_ms;
    state.times.started_ms = report.started_at_ms;
    for (container, row) in state.containers.iter_mut().zip(&report.containers) {
        container.digest = row.image_digest.clone();
        container.runtime_id = row.runtime_id.clone();
    }
    if let Some(index) = slot.spec.pause {
        state.containers[index].interface = report.interface.clone();
        state.containers[index].bindings = report.containers.iter().flat_map(|row| row.bindings.clone()).collect();
    }
    match report.status() {
        TaskStatus::Stopped => restore_stopped(&mut state, &report),
        TaskStatus::Running => state.status = TaskStatus::Running,
        // Where it was in between is seen from its containers.
        _ => {}
    }
}

fn restore_stopped(state: &mut State, report: &TaskReport) {
    state.status = TaskStatus::Stopped;
    state.times.execution_stopped_ms = report.execution_stopped_at_ms;
    state.times.stopped_ms = report.stopped_at_ms;
    state.ending = Some(Ending { code: report.stop_code(), reason: report.stopped_reason.clone() });
    for (container, row) in state.containers.iter_mut().zip(&report.containers) {
        restore_ended(container, row);
    }
}

fn restore_ended(container: &mut ContainerState, row: &ContainerRow) {
    container.phase = Phase::Exited;
    container.exit_code = row.exit_code;
    container.reason = row.reason.clone();
    container.bindings = row.bindings.clone();
}
