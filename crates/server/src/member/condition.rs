//! Whether this member is fit to serve: its state is the others', and its disk has room.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::command;
use tokio::sync::{Notify, watch};
use tracing::{error, info, warn};

use crate::api::Node;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Room {
    /// Enough.
    Enough,
    /// Below the reserve: nothing that grows state is taken any more.
    Low,
    /// Below half of it: no snapshot is begun either, since one that fails half-way has used up the rest.
    Critical,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Condition {
    /// This member's state differs from a majority's, and is not reloaded yet.
    diverged: AtomicBool,
    /// As [`Room`].
    room: AtomicU8,
    /// The cluster has taken this member out.
    removed: Notify,
    stopping: watch::Sender<bool>,
}

impl Condition {
    /// Whether what this member knows is known to be right.
    pub(crate) fn serves(&self) -> bool {
        !self.diverged.load(Ordering::Acquire)
    }

    /// Refuses while it is not.
    pub(crate) fn check_serves(&self) -> Result<(), ApiError> {
        if self.serves() {
            return Ok(());
        }
        let why = "this member's state differs from the others' and is being reloaded; ask another member";
        Err(ApiError::new(ErrorCode::NoLeader, why))
    }

    /// What it was before.
    pub(crate) fn set_diverged(&self, diverged: bool) -> bool {
        self.diverged.swap(diverged, Ordering::AcqRel)
    }

    pub(crate) fn set_removed(&self) {
        self.removed.notify_one();
    }

    /// Resolves once a peer says that this member was taken out of the cluster.
    pub(crate) async fn removed(&self) {
        self.removed.notified().await;
    }

    /// From now on this member goes down.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Resolves once it goes down.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopping = self.stopping.subscribe();
        async move {
            // A sender that is gone has stopped too.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    pub(crate) fn room(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Enough,
            1 => Room::Low,
            _ => Room::Critical,
        }
    }
}

/// Looks at the disk for as long as the member lives.
pub(crate) async fn watch_disk(node: Arc<Node>) {
    loop {
        let (fs, folder) = (node.env.fs(), node.config.data_dir.clone());
        match node.env.thread("disk space", move || fs.space(&folder)).await {
            Ok(space) => found(&node, room(space.free_bytes, node.config.disk_reserve_bytes)),
            Err(error) => warn!(%error, "cannot tell how much room the disk has"),
        }
        node.env.sleep(LOOK).await;
    }
}

fn found(node: &Node, now: Room) {
    let before = node.condition.room();
    node.condition.room.store(now as u8, Ordering::Relaxed);
    node.consensus.allow_snapshots(now != Room::Critical);
    let reserve_bytes = node.config.disk_reserve_bytes;
    match now {
        _ if now == before => {}
        Room::Enough => info!("the disk has room again"),
        Room::Low => error!(reserve_bytes, "the disk is nearly full: writes that grow state are refused"),
        Room::Critical => error!(reserve_bytes, "the disk is nearly full: no snapshots are taken either"),
    }
}

fn room(free_bytes: u64, reserve_bytes: u64) -> Room {
    if free_bytes >= reserve_bytes {
        Room::Enough
    } else if free_bytes >= reserve_bytes / 2 {
        Room::Low
    } else {
        Room::Critical
    }
}

/// Whether a client's command makes the state larger for good. What frees something, or lets the cluster keep up what it has
/// promised, is taken on a full disk as well.
pub(crate) fn grows(kind: &command::Kind) -> bool {
    matches!(
        kind,
        command::Kind::CreateCluster(_)
            | command::Kind::RegisterTaskDefinition(_)
            | command::Kind::CreateService(_)
            | command::Kind::PlaceTasks(_)
            | command::Kind::TagResource(_)
            | command::Kind::PutAttributes(_)
            | command::Kind::PutToken(_)
            | command::Kind::CreateSchedule(_)
            | command::Kind::CreateJob(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_has_two_marks() {
        assert_eq!(room(100, 100), Room::Enough);
        assert_eq!(room(99, 100), Room::Low);
        assert_eq!(room(50, 100), Room::Low);
        assert_eq!(room(49, 100), Room::Critical);
        assert_eq!(room(0, 0), Room::Enough);
    }
}
