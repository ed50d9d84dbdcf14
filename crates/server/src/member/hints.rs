//! What tells controllers and agents' sessions when to look (hard part 4). Losing all of it costs delay, never an outcome:
//! the simulation drops every one to prove that.

use seawall_consensus::AppliedEntry;
use seawall_state::Change;

/// Whether hints arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hints {
    /// In production, always.
    Delivered,
    /// In the simulation, on request.
    Dropped,
    /// The same for those of the entry of this index.
    LostOf(u64),
}

impl Hints {
    /// What an applied entry changed, as far as it is told.
    pub(crate) fn of(self, entry: &AppliedEntry) -> impl Iterator<Item = &Change> {
        let told = match self {
            Hints::Delivered => true,
            Hints::Dropped => false,
            Hints::LostOf(index) => entry.index != index,
        };
        entry.effects.iter().filter(move |_| told).flat_map(|effects| &effects.changes)
    }
}
