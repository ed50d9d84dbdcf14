//! Cluster time never goes back, and stays near the members' clocks however far one of them is off.

use std::collections::BTreeMap;

use super::Invariant;
use crate::world::Seen;

/// See the module.
#[derive(Default)]
pub struct ClusterTime {
    /// By member: its last index and the time after it.
    last: BTreeMap<String, (u64, i64)>,
}

impl Invariant for ClusterTime {
    fn name(&self) -> &'static str {
        "cluster time never goes back"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        let now = (entry.index, entry.cluster_time_ms);
        let before = self.last.insert(member.to_owned(), now).unwrap_or_default();
        // A member that started again applies its log from the start, or from a snapshot.
        if now.0 > before.0 && now.1 < before.1 {
            return Err(format!("{member} went from {before:?} to {now:?}"));
        }
        Ok(())
    }
}
