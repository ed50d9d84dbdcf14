//! Carries the runtime's events to the tasks.
//!
//! When the stream of events ends, some may have been missed: it is opened again, and then every container is looked at
//! ([`super::look`]).

use std::{sync::Arc, time::Duration};

use seawall_env::TaskKind;
use tokio::sync::mpsc;

use super::{Shared, slot::Slot};
use crate::runtime::{Event, EventKind};

/// The first wait after the stream broke; doubled each time…
const RETRY: Duration = Duration::from_millis(200);
/// …up to this.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Runs for as long as the engine does.
pub async fn run(shared: Arc<Shared>, mut events: mpsc::Receiver<Event>) {
    let mut retry = RETRY;
    loop {
        let opened = shared.env.now();
        while let Some(event) = events.recv().await {
            deliver(&shared, event);
        }
        tracing::warn!("the runtime's events broke off");
        // A stream that breaks as soon as it is open is no better than none.
        if shared.env.now() - opened > RETRY_MAX {
            retry = RETRY;
        }
        events = reopen(&shared, &mut retry).await;
        shared.look.notify_one();
    }
}

async fn reopen(shared: &Shared, retry: &mut Duration) -> mpsc::Receiver<Event> {
    loop {
        shared.env.sleep(shared.env.jitter(*retry)).await;
        *retry = (*retry * 2).min(RETRY_MAX);
        match shared.runtime.events(&shared.owner).await {
            Ok(events) => return events,
            Err(error) => tracing::warn!(%error, "the runtime does not answer"),
        }
    }
}

fn deliver(shared: &Arc<Shared>, event: Event) {
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
pub fn stop_late(shared: &Arc<Shared>, slot: &Arc<Slot>, index: usize) {
    let (shared, container) = (shared.clone(), slot.container(index));
    tracing::warn!(task = %slot.id(), container = container.name(), "a container of a stopped task started");
    let kind = TaskKind::request("stop late start");
    shared.env.clone().spawn(kind, async move {
        if let Err(error) = shared.runtime.stop(&container, 0).await {
            tracing::warn!(%error, "a container of a stopped task does not stop");
        }
    });
}
