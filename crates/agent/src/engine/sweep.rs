//! Removes what stopped tasks leave behind: their containers are kept for a while so that logs can still be read.

use std::{sync::Arc, time::Duration};

use seawall_env::Instant;
use seawall_model::TaskId;

use super::{Shared, slot::Slot};
use crate::runtime::RuntimeResult;

/// Between two attempts to remove what an engine did not let go.
const RETRY: Duration = Duration::from_secs(30);

/// Runs for as long as the engine does.
pub async fn run(shared: Arc<Shared>) {
    loop {
        let stopped = stopped(&shared);
        let mut all_clean = true;
        for slot in surplus(&shared, &stopped) {
            all_clean &= clean(&shared, &slot).await;
        }
        forget(&shared);
        wait(&shared, &stopped, all_clean).await;
    }
}

/// Stopped tasks, the newest first.
fn stopped(shared: &Shared) -> Vec<(Instant, Arc<Slot>)> {
    let finished = |slot: &Arc<Slot>| slot.state().finished.map(|at| (at, slot.clone()));
    let mut stopped: Vec<(Instant, Arc<Slot>)> = shared.tasks().values().filter_map(finished).collect();
    stopped.sort_by_key(|(at, slot)| std::cmp::Reverse((*at, slot.id())));
    stopped
}

/// Those too many or too old whose containers are still there.
fn surplus(shared: &Shared, stopped: &[(Instant, Arc<Slot>)]) -> Vec<Arc<Slot>> {
    let now = shared.env.now();
    let settings = &shared.settings;
    let with_containers = stopped.iter().filter(|(_, slot)| !slot.state().cleaned).enumerate();
    let old = with_containers.filter(|(place, (at, _))| {
        *place >= settings.stopped_tasks_kept || now - *at >= settings.stopped_task_kept_for
    });
    old.map(|(_, (_, slot))| slot.clone()).collect()
}

/// False where the runtime did not let it go.
async fn clean(shared: &Shared, slot: &Slot) -> bool {
    let removed = remove(shared, slot).await;
    match &removed {
        Ok(()) => slot.state().cleaned = true,
        Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot remove what a stopped task left"),
    }
    removed.is_ok()
}

async fn remove(shared: &Shared, slot: &Slot) -> RuntimeResult<()> {
    for index in 0..slot.spec.containers.len() {
        shared.runtime.remove(&slot.container(index)).await?;
    }
    shared.runtime.remove_task(&slot.spec).await
}

/// A task is forgotten when nothing of it is left and the cluster knows how it ended.
fn forget(shared: &Shared) {
    let over = |slot: &Slot| slot.state().cleaned && !shared.board.waits(slot.id());
    let gone: Vec<TaskId> = shared.tasks().values().filter(|slot| over(slot)).map(|slot| slot.id()).collect();
    for task in gone {
        shared.tasks().remove(&task);
        shared.board.save(task);
    }
}

/// Until another task stops, or the oldest is old enough.
async fn wait(shared: &Shared, stopped: &[(Instant, Arc<Slot>)], all_clean: bool) {
    let kept = stopped.iter().rev().find(|(_, slot)| !slot.state().cleaned);
    let due = kept.map(|(at, _)| *at + shared.settings.stopped_task_kept_for);
    let retry = shared.env.now() + RETRY;
    let at = match due {
        None => return shared.stopped.notified().await,
        Some(_) if !all_clean => retry,
        Some(due) => due.max(shared.env.now()),
    };
    tokio::select! {
        biased;
        () = shared.stopped.notified() => {}
        () = shared.env.sleep_until(at) => {}
    }
}
