//! Phase three: nothing to do until it must end, but to start again what a restart policy says.

use super::{
    Shared, restart,
    slot::{Ending, Slot},
};

/// What a task that runs comes to.
enum Next {
    End(Ending),
    Restart(usize),
}

/// Waits for the end: an essential container's exit, or the cluster's wish.
pub async fn run(shared: &Shared, slot: &Slot) -> Ending {
    loop {
        match slot.until(None, next).await {
            Some(Next::End(ending)) => return ending,
            Some(Next::Restart(index)) => restart::run(shared, slot, index).await,
            None => return Ending::wanted(),
        }
    }
}

fn next(slot: &Slot) -> Option<Next> {
    let end = slot.must_end().map(Next::End);
    end.or_else(|| slot.to_restart().map(Next::Restart))
}
