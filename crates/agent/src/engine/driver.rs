//! Takes one task through its phases, from wherever it is: a task that was adopted enters the phase it is in.

use std::sync::Arc;

use seawall_proto::internal::v1::TaskStatus;

use super::{
    Shared, order, pull, run,
    slot::{Ending, Slot},
    start, stop,
};

/// Drives the task until it is STOPPED.
pub async fn drive(shared: Arc<Shared>, slot: Arc<Slot>) {
    let ending = live(&shared, &slot).await;
    tracing::info!(task = %slot.id(), reason = ending.reason, "task stops");
    stop::run(&shared, &slot, ending).await;
    tracing::info!(task = %slot.id(), "task stopped");
    shared.board.save(slot.id());
    shared.stopped.notify_one();
}

async fn live(shared: &Shared, slot: &Slot) -> Ending {
    match begin(shared, slot).await {
        Ok(()) => run::run(slot).await,
        Err(ending) => ending,
    }
}

async fn begin(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    if slot.state().status != TaskStatus::Pending {
        return Ok(());
    }
    check(shared, slot)?;
    pull::run(shared, slot).await?;
    start::run(shared, slot).await?;
    let wall_ms = shared.env.wall_ms();
    slot.change(|state| {
        state.status = TaskStatus::Running;
        state.times.started_ms = wall_ms;
    });
    shared.board.save(slot.id());
    Ok(())
}

/// What can be refused before anything is touched.
fn check(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    let spec = &slot.spec;
    let refused = |why: String| Ending::failed(format!("CannotCreateContainerError: {why}"));
    if spec.containers.is_empty() {
        return Err(refused("the task definition has no containers".into()));
    }
    if let Some(name) = order::missing(spec) {
        return Err(refused(format!("a container depends on {name:?}, which the task definition does not have")));
    }
    if let Some(names) = order::cycle(spec) {
        return Err(refused(format!("the dependencies of {names} form a cycle")));
    }
    match shared.runtime.unsupported(spec) {
        Some(what) => Err(Ending::failed(format!("UnsupportedFeatureError: {what}"))),
        None => Ok(()),
    }
}
