//! Indexes and hashes are those of the rows, and no two tasks hold one port of an instance.

use super::Invariant;
use crate::world::{Seen, World};

/// Going through every row at every entry would take most of the time of a run.
const EVERY_ENTRIES: u64 = 64;

/// See the module.
#[derive(Default)]
pub struct ConsistentState {
    checked: u64,
}

impl Invariant for ConsistentState {
    fn name(&self) -> &'static str {
        "the state is consistent with itself"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        if entry.index < self.checked + EVERY_ENTRIES {
            return Ok(());
        }
        self.checked = entry.index;
        entry.state.check().map_err(|why| format!("{member} at {}: {why}", entry.index))
    }

    fn healed(&mut self, world: &World) -> Result<(), String> {
        world.state().check()
    }
}
