//! Carries the runtime's events to the tasks.
//!
//! When the stream of events ends, some may have been missed: it is opened again, and then every container is looked at.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use seawall_env::TaskKind;
use tokio::sync::mpsc;

use super::{Shared, slot::Slot};
use crate::runtime::{Event, EventKind, Phase};

/// The first wait after the stream broke; doubled each time…
const RETRY: Duration = Duration::from_millis(200);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Containers looked at together.
const LOOKS_AT_ONCE: usize = 4;

/// Runs for as long as the engine does.
pub async fn run(shared: Arc<Shared>, mut events: mpsc::Receiver<Event>) {
    loop {
        while let Some(event) = events.recv().await {
            deliver(&shared, event).await;
        }
        tracing::warn!("the runtime's events broke off");
        events = reopen(&shared).await;
        look_at_all(&shared).await;
    }
}

async fn reopen(shared: &Shared) -> mpsc::Receiver<Event> {
    let mut retry = RETRY;
    loop {
        shared.env.sleep(shared.env.jitter(retry)).await;
        match shared.runtime.events(&shared.owner).await {
            Ok(events) => return events,
            Err(error) => tracing::warn!(%error, "the runtime does not answer"),
        }
        retry = (retry * 2).min(RETRY_MAX);
    }
}

async fn deliver(shared: &Arc<Shared>, event: Event) {
    let Some(slot) = shared.slot(event.task) else { return };
    let finished = slot.state().finished.is_some();
    if finished && event.kind == EventKind::Started {
        return stop_late(shared, &slot, event.index);
    }
    if !finished {
        slot.observe(event.index, event.kind);
    }
}

/// A start that was given up for lost and that the engine carried out after all.
fn stop_late(shared: &Arc<Shared>, slot: &Arc<Slot>, index: usize) {
    let (shared, container) = (shared.clone(), slot.container(index));
    tracing::warn!(task = %slot.id(), container = container.name(), "a container of a stopped task started");
    let kind = TaskKind::request("stop late start");
    shared.env.clone().spawn(kind, async move {
        if let Err(error) = shared.runtime.stop(&container, 0).await {
            tracing::warn!(%error, "a container of a stopped task does not stop");
        }
    });
}

async fn look_at_all(shared: &Arc<Shared>) {
    let slots: Vec<Arc<Slot>> = shared.tasks().values().cloned().collect();
    let open = slots.iter().flat_map(|slot| open_containers(slot).into_iter().map(|index| (slot.clone(), index)));
    let looks: Vec<_> = open.map(|(slot, index)| look_at(shared.clone(), slot, index)).collect();
    stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).collect::<Vec<()>>().await;
}

fn open_containers(slot: &Slot) -> Vec<usize> {
    let state = slot.state();
    let is_open = |index: &usize| (Phase::Created..Phase::Exited).contains(&state.containers[*index].phase);
    let all = if state.finished.is_none() { 0..state.containers.len() } else { 0..0 };
    all.filter(is_open).collect()
}

async fn look_at(shared: Arc<Shared>, slot: Arc<Slot>, index: usize) {
    match shared.runtime.inspect(&slot.container(index)).await {
        Ok(observed) => slot.found(index, observed),
        Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot look at a container"),
    }
}
