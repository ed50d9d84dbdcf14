//! Tasks that look at Raft: who leads, whether it still runs, and whether it is time for a snapshot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openraft::{RaftMetrics, async_runtime::watch::WatchReceiver as _};
use seawall_env::{Env, TaskKind};
use seawall_model::MemberId;
use tokio::sync::watch;

use crate::{
    Leadership,
    machine::Published,
    raft::{Raft, TypeConfig},
};

/// Between two attempts to take a snapshot: one that is being written is not asked for again at once.
const SNAPSHOT_PAUSE: Duration = Duration::from_secs(1);
/// A member whose turn comes later waits for this part of the limit more, each time.
const TURNS: u64 = 8;

/// Who leads, by what openraft reports.
pub(crate) fn leadership_of(metrics: &RaftMetrics<TypeConfig>) -> Leadership {
    let leads = metrics.state.is_leader() && metrics.current_leader == Some(metrics.id);
    let applied_term = metrics.last_applied.map(|id| id.leader_id.term);
    Leadership {
        term: metrics.current_term,
        leader: metrics.current_leader.map(MemberId),
        is_leader: leads && applied_term == Some(metrics.current_term),
    }
}

/// Follows who leads, until Raft ends: then nobody does.
pub(crate) fn watch_leadership(env: &Env, raft: &Raft) -> watch::Receiver<Leadership> {
    let mut metrics = raft.metrics();
    let (sender, receiver) = watch::channel(leadership_of(&metrics.borrow_watched()));
    env.spawn(TaskKind::vital("leadership"), async move {
        while metrics.changed().await.is_ok() {
            let now = {
                let metrics = metrics.borrow_and_update();
                match metrics.running_state {
                    Ok(()) => leadership_of(&metrics),
                    Err(_) => Leadership { term: metrics.current_term, ..Default::default() },
                }
            };
            sender.send_if_modified(|held| std::mem::replace(held, now) != now);
        }
        sender.send_modify(|held| *held = Leadership { term: held.term, ..Default::default() });
    });
    receiver
}

/// Why Raft stopped; `None` while it runs.
pub(crate) fn watch_stop(env: &Env, raft: &Raft) -> watch::Receiver<Option<String>> {
    let mut metrics = raft.metrics();
    let (sender, receiver) = watch::channel(None);
    env.spawn(TaskKind::vital("raft's end"), async move {
        let reason = loop {
            if let Err(reason) = &metrics.borrow_and_update().running_state {
                break reason.to_string();
            }
            if metrics.changed().await.is_err() {
                break "shut down".to_owned();
            }
        };
        tracing::info!("this member takes part no longer: {reason}");
        sender.send_replace(Some(reason));
    });
    receiver
}

/// How many members take their snapshots before this one: logs are equally long everywhere, and snapshots of all at once would
/// slow every sync of a majority. The leader comes last.
fn turn(metrics: &RaftMetrics<TypeConfig>) -> u64 {
    let leader = metrics.current_leader;
    let voters = metrics.membership_config.voter_ids();
    voters.filter(|id| Some(*id) != leader && (leader == Some(metrics.id) || *id < metrics.id)).count() as u64
}

/// Takes a snapshot whenever the log since the last one is larger than `limit_bytes` and than that snapshot, unless none are
/// `allowed` for lack of room.
pub(crate) fn start_compactor(
    env: &Env,
    raft: &Raft,
    published: Arc<Published>,
    limit_bytes: u64,
    allowed: Arc<AtomicBool>,
) {
    let (on, raft) = (env.clone(), raft.clone());
    env.spawn(TaskKind::vital("compactor"), async move {
        let mut applied = published.index();
        while applied.changed().await.is_ok() {
            let snapshot_bytes = published.snapshot().map_or(0, |file| file.bytes);
            let limit_bytes = limit_bytes.max(snapshot_bytes);
            let turn = turn(&raft.metrics().borrow_watched());
            let is_due = published.log_bytes() > limit_bytes + limit_bytes / TURNS * turn;
            if !is_due || !allowed.load(Ordering::Relaxed) {
                continue;
            }
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
            on.sleep(SNAPSHOT_PAUSE).await;
        }
    });
}
