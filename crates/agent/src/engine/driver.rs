//! Takes one task through its phases, from wherever it is: a task that was adopted enters the phase it is in.

use std::{sync::Arc, time::Duration};

use seawall_proto::internal::v1::TaskStatus;

use super::{
    Shared, guarded, order, pull, run,
    slot::{Ending, Slot},
    start, stop,
};

/// How long the news that a container was killed for memory may follow that of its exit.
const OOM_EVENT: Duration = Duration::from_millis(300);

/// Drives the task until it is STOPPED.
pub async fn drive(shared: Arc<Shared>, slot: Arc<Slot>) {
    let ending = live(&shared, &slot).await;
    tracing::info!(task = %slot.id(), reason = ending.reason, "task stops");
    stop::run(&shared, &slot, ending).await;
    tracing::info!(task = %slot.id(), "task stopped");
    if slot.spec.is_guarded() {
        shared.lease.forget(slot.id()).await;
    }
    shared.board.save(slot.id());
    shared.stopped.notify_one();
}

async fn live(shared: &Shared, slot: &Slot) -> Ending {
    match begin(shared, slot).await {
        Ok(()) => explained(shared, slot, run::run(shared, slot).await).await,
        Err(ending) => explained(shared, slot, ending).await,
    }
}

/// A report of an exit is final, and a runtime tells of the lack of memory that caused it before or after: it is asked, and
/// waited for.
async fn explained(shared: &Shared, slot: &Slot, ending: Ending) -> Ending {
    let killed = slot.unexplained_kills();
    for &index in &killed {
        match shared.runtime.inspect(&slot.container(index)).await {
            Ok(observed) => slot.found(index, observed),
            Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot tell why a container was killed"),
        }
    }
    if slot.unexplained_kills().is_empty() {
        return if killed.is_empty() { ending } else { slot.must_end().unwrap_or(ending) };
    }
    let at = shared.env.now() + OOM_EVENT;
    slot.until(Some(at), |slot| slot.unexplained_kills().is_empty().then_some(())).await;
    slot.must_end().unwrap_or(ending)
}

async fn begin(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    if slot.state().status != TaskStatus::Pending {
        return Ok(());
    }
    check(shared, slot)?;
    pull::run(shared, slot).await?;
    guarded::bind(shared, slot).await?;
    start::run(shared, slot).await?;
    let wall_ms = shared.env.wall_ms();
    slot.change(|state| {
        state.status = TaskStatus::Running;
        // A task that was taken up without the agent's own files started before now.
        let seen_ms = state.containers.iter().map(|c| c.started_at_ms).max().unwrap_or_default();
        state.times.started_ms = if seen_ms > 0 { seen_ms } else { wall_ms };
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
