//! Room on the disk that holds log and snapshots (hard part 15).
//!
//! A log that cannot be written ends its process. Long before, below the first watermark, a leader makes way for a member
//! with room, and where there is none it refuses what would make the state grow: what stops, deletes or reports goes on,
//! so that room can be made. Below the second no snapshot is started, which would need as much again.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use seawall_env::fs::Space;
use seawall_model::{ApiError, ErrorCode};
use tracing::{error, info};

use crate::api::Node;

const TICK: Duration = Duration::from_secs(1);
/// The first watermark is this share of the disk…
const LOW_PART: u64 = 20;
/// …but no less and no more than this.
const LOW_BYTES_MIN: u64 = 64 << 20;
const LOW_BYTES_MAX: u64 = 1 << 30;
/// The second is this part of the first.
const VERY_LOW_PART: u64 = 4;

/// How much room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Level {
    Enough,
    Low,
    VeryLow,
}

/// By what is free and the size of the disk.
fn level(space: Space) -> Level {
    let low = (space.total_bytes / LOW_PART).clamp(LOW_BYTES_MIN, LOW_BYTES_MAX);
    match space.free_bytes {
        free if free < low / VERY_LOW_PART => Level::VeryLow,
        free if free < low => Level::Low,
        _ => Level::Enough,
    }
}

/// What was seen last.
#[derive(Default)]
pub(crate) struct Room(AtomicU8);

impl Room {
    pub(crate) fn is_low(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Level::Low as u8
    }

    fn set(&self, level: Level) -> bool {
        self.0.swap(level as u8, Ordering::Relaxed) != level as u8
    }
}

/// The answer to a write that would make the state grow.
pub(crate) fn refusal(name: &str) -> ApiError {
    let text = format!(
        "the disk of {name} is nearly full and no other member can lead: nothing new is taken until there is room; \
         deleting and stopping still work"
    );
    ApiError::new(ErrorCode::DiskFull, text)
}

/// Looks at the disk for as long as the member lives.
pub(crate) async fn watch(node: Arc<Node>) {
    let folder: PathBuf = node.config.data_dir.clone();
    loop {
        let (fs, path) = (node.env.fs(), folder.clone());
        match node.env.thread("room", move || fs.space(&path)).await {
            Ok(space) => take(&node, space),
            // The log's own writes say more, and end the process.
            Err(error) => error!(%error, "cannot tell how much room the disk has"),
        }
        node.env.sleep(TICK).await;
    }
}

fn take(node: &Node, space: Space) {
    let level = level(space);
    if node.room.set(level) {
        let free_mib = space.free_bytes >> 20;
        match level {
            Level::Enough => info!(free_mib, "the disk has room"),
            Level::Low => error!(free_mib, "the disk is nearly full: this member does not lead, or takes nothing new"),
            Level::VeryLow => error!(free_mib, "the disk is nearly full: no snapshot is taken either"),
        }
        node.consensus.hold_snapshots(level == Level::VeryLow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_a_share_of_the_disk_within_bounds() {
        let at =
            |free_mib: u64, total_mib: u64| level(Space { free_bytes: free_mib << 20, total_bytes: total_mib << 20 });
        assert_eq!(at(1024, 1 << 20), Level::Enough, "of a large disk a gigabyte is enough");
        assert_eq!(at(1023, 1 << 20), Level::Low);
        assert_eq!(at(255, 1 << 20), Level::VeryLow);
        assert_eq!(at(500, 10_000), Level::Enough);
        assert_eq!(at(499, 10_000), Level::Low);
        assert_eq!(at(63, 200), Level::Low, "of a small disk not less than 64 MiB");
        assert_eq!(at(15, 200), Level::VeryLow);
    }
}
