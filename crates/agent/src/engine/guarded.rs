//! Tasks of which at most one may be alive: they start with a lease, and end with it.
//!
//! The guard ends their processes; here they are only told that it did. A task is bound to the lease under which it begins, and
//! once that is over, nothing of it starts any more.

use std::time::Duration;

use seawall_model::limits::{GUARD_LEASE_MS, GUARD_STOP_MS};
use seawall_proto::internal::v1::{StopCode, TaskStatus};

use super::{
    Shared,
    slot::{Ending, Slot},
};
use crate::{
    runtime::{Fault, RuntimeError},
    spec::ContainerSpec,
};

/// Longer than any lease of another agent that begins now: what the leader waits, too.
pub const LEASE_OVER: Duration = Duration::from_millis((GUARD_LEASE_MS + GUARD_LEASE_MS / 10 + GUARD_STOP_MS) as u64);
/// Why a task ended that the cluster did not hear of.
const OVER: &str = "The cluster did not renew the task's lease in time, and its guard has ended it";

/// Waits for a lease, and binds the task to it.
pub async fn bind(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    if !slot.spec.is_guarded() {
        return Ok(());
    }
    tokio::select! {
        biased;
        ending = slot.stop_wanted() => return Err(ending),
        () = shared.lease.wait() => {}
    }
    let generation = shared.lease.watch(slot.id(), None).await;
    let generation = generation.map_err(|why| Ending::failed(format!("CannotStartContainerError: {why}")))?;
    slot.bind(generation);
    if shared.lease.lives(generation) { Ok(()) } else { Err(over()) }
}

/// Asked right before a container starts: whether it still may. The guard is told what it would have to end.
pub async fn may_start(shared: &Shared, slot: &Slot, container: &ContainerSpec, id: &str) -> Result<(), RuntimeError> {
    if !slot.spec.is_guarded() {
        return Ok(());
    }
    let refused = |why: String| RuntimeError::new(Fault::Start, why);
    let target = shared.runtime.target(container, id);
    let generation = shared.lease.watch(slot.id(), target).await.map_err(refused)?;
    if shared.lease.lives(generation) { Ok(()) } else { Err(refused(OVER.into())) }
}

/// Says when the task's lease is over. Never returns.
pub async fn watch(shared: &Shared, slot: &Slot) {
    if slot.spec.is_guarded() {
        let generation = match taken_up(shared, slot).await {
            Ok(generation) => generation,
            Err(why) => {
                tracing::warn!(task = %slot.id(), why, "nobody guards a task that was taken up: it ends");
                0
            }
        };
        shared.lease.over(generation).await;
        slot.want_stop(over());
    }
    std::future::pending().await
}

/// The generation that the task is bound to. One that was found on the machine may have begun in an earlier one.
async fn taken_up(shared: &Shared, slot: &Slot) -> Result<u64, String> {
    let status = slot.state().status;
    if status == TaskStatus::Pending {
        return Ok(slot.until(None, Slot::generation).await.unwrap_or_default());
    }
    for index in 0..slot.spec.containers.len() {
        let id = slot.state().containers[index].runtime_id.clone();
        shared.lease.watch(slot.id(), shared.runtime.target(&slot.container(index), &id)).await?;
    }
    shared.lease.watch(slot.id(), None).await
}

fn over() -> Ending {
    Ending { code: StopCode::InfrastructureHealth, reason: OVER.into() }
}
