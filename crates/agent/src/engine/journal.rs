//! Keeps each started task's file as the task is: away from the path of a start, one writer, newest state only.

use std::sync::Arc;

use super::{Shared, slot::Slot};
use crate::store::{Store, StoredTask};

/// Runs for as long as the engine does.
pub async fn run(shared: Arc<Shared>, store: Arc<Store>) {
    loop {
        for task in shared.board.unsaved().await {
            let written = match shared.slot(task) {
                Some(slot) => store.save_task(task, stored(&shared, &slot)).await,
                None => store.forget_task(task).await,
            };
            if let Err(error) = written {
                // Labels and folders still tell what runs; only the last report of a task that is gone could be lost.
                tracing::error!(%task, %error, "cannot write a task's file");
            }
        }
    }
}

fn stored(shared: &Shared, slot: &Slot) -> StoredTask {
    let mut kept = slot.spec.kept();
    kept.epoch = slot.state().epoch;
    StoredTask { kept: Some(kept), report: Some(slot.report()), acknowledged: !shared.board.waits(slot.id()) }
}
