//! Phase three: nothing to do until it must end.

use super::slot::{Ending, Slot};

/// Waits for the end: an essential container's exit, or the cluster's wish.
pub async fn run(slot: &Slot) -> Ending {
    slot.until(None, Slot::must_end).await.unwrap_or_else(Ending::wanted)
}
