//! Phase four: containers are stopped in the reverse of their start order.
//!
//! A task is STOPPED only when none of its containers can be running: its ports and memory are given to others then. So
//! an engine that does not answer leaves a task STOPPING for as long as it does not.

use std::time::Duration;

use futures::future::join_all;
use seawall_proto::internal::v1::TaskStatus;

use super::{
    Shared, order,
    slot::{Ending, Slot},
};
use crate::runtime::{Fault, Phase, RuntimeError};

/// Between SIGTERM and SIGKILL unless the container says otherwise.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// The first wait after a stop that failed; doubled each time…
const RETRY: Duration = Duration::from_millis(500);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// An exit is told by an event; past this the engine is asked.
const EXIT_EVENT: Duration = Duration::from_millis(500);

/// Ends the task.
pub async fn run(shared: &Shared, slot: &Slot, ending: Ending) {
    let begun = shared.env.wall_ms();
    slot.change(|state| {
        state.ending = Some(ending);
        state.status = TaskStatus::Stopping;
        state.times.execution_stopped_ms = begun;
    });
    let mut ended: Vec<bool> = vec![false; slot.spec.containers.len()];
    while ended.contains(&false) {
        let now = order::stoppable(&slot.spec, &ended);
        join_all(now.iter().map(|&index| stop(shared, slot, index))).await;
        now.into_iter().for_each(|index| ended[index] = true);
    }
    let (now, wall_ms) = (shared.env.now(), shared.env.wall_ms());
    slot.change(|state| {
        state.status = TaskStatus::Stopped;
        state.times.stopped_ms = wall_ms;
        state.finished = Some(now);
    });
}

/// Returns when the container cannot be running.
async fn stop(shared: &Shared, slot: &Slot, index: usize) {
    let mut retry = RETRY;
    loop {
        match slot.phase(index) {
            Phase::Exited if !slot.state().containers[index].awaits_start => return,
            Phase::Absent | Phase::Removed => return,
            // Of one that ended a start may be under way that failed for this agent.
            Phase::Unsure | Phase::Created | Phase::Exited => {
                if look(shared, slot, index).await.is_ok_and(|runs| !runs) {
                    return;
                }
            }
            Phase::Running => end(shared, slot, index).await,
        }
        if slot.phase(index) == Phase::Running || is_open(slot, index) {
            shared.env.sleep(shared.env.jitter(retry)).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }
}

fn is_open(slot: &Slot, index: usize) -> bool {
    let state = slot.state();
    let container = &state.containers[index];
    match container.phase {
        Phase::Unsure | Phase::Created => true,
        phase => phase == Phase::Exited && container.awaits_start,
    }
}

/// Asks the engine; whether the container runs.
async fn look(shared: &Shared, slot: &Slot, index: usize) -> Result<bool, RuntimeError> {
    let observed = shared.runtime.inspect(&slot.container(index)).await;
    if let Err(error) = &observed {
        tracing::warn!(task = %slot.id(), %error, "cannot tell whether a container runs");
    }
    slot.found(index, observed?);
    Ok(slot.phase(index) == Phase::Running)
}

async fn end(shared: &Shared, slot: &Slot, index: usize) {
    let container = slot.container(index);
    slot.state().containers[index].stopped_by_us = true;
    match shared.runtime.stop(&container, grace_ms(container.definition().stop_timeout)).await {
        Ok(()) => {}
        Err(error) if error.fault == Fault::Gone => {}
        Err(error) => return tracing::warn!(task = %slot.id(), %error, "a container does not stop"),
    }
    let at = shared.env.now() + EXIT_EVENT;
    let exited = slot.until(Some(at), |slot| (slot.phase(index) > Phase::Running).then_some(())).await;
    if exited.is_none() {
        // The failure was logged; the caller comes back to it.
        let _ = look(shared, slot, index).await;
    }
}

fn grace_ms(stop_timeout: Option<i32>) -> u64 {
    let grace = stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    u64::try_from(grace.unwrap_or(STOP_TIMEOUT).as_millis()).unwrap_or(u64::MAX)
}
