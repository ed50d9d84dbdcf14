//! Looks at the containers: after events may have been missed, and every few minutes, since an engine drops events of its own
//! accord where it has too many.
//!
//! Beside the pump, which must not wait for an engine that answers late.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};

use super::{Shared, slot::Slot};
use crate::runtime::Phase;

/// Between two looks when nothing seems to be missing.
const EVERY: Duration = Duration::from_secs(300);
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(10);
/// Containers looked at together.
const LOOKS_AT_ONCE: usize = 4;

/// Runs for as long as the engine does.
pub async fn run(shared: Arc<Shared>) {
    let mut wait = EVERY;
    loop {
        tokio::select! {
            biased;
            () = shared.look.notified() => {}
            () = shared.env.sleep(wait) => {}
        }
        wait = if look_at_all(&shared).await { EVERY } else { RETRY };
    }
}

/// False where the runtime did not answer: the rest was not looked at.
async fn look_at_all(shared: &Shared) -> bool {
    let slots: Vec<Arc<Slot>> = shared.tasks().values().cloned().collect();
    let open = slots.iter().flat_map(|slot| open_containers(slot).into_iter().map(|index| (slot.clone(), index)));
    let looks: Vec<_> = open.map(|(slot, index)| look_at(shared, slot, index)).collect();
    let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
    while let Some(answered) = looks.next().await {
        if !answered {
            return false;
        }
    }
    true
}

fn open_containers(slot: &Slot) -> Vec<usize> {
    let state = slot.state();
    let is_open = |index: &usize| (Phase::Created..Phase::Exited).contains(&state.containers[*index].phase);
    let all = if state.finished.is_none() { 0..state.containers.len() } else { 0..0 };
    all.filter(is_open).collect()
}

async fn look_at(shared: &Shared, slot: Arc<Slot>, index: usize) -> bool {
    let observed = shared.runtime.inspect(&slot.container(index)).await;
    let answered = observed.is_ok();
    match observed {
        Ok(observed) => slot.found(index, observed),
        Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot look at a container"),
    }
    answered
}
