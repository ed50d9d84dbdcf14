//! Members that applied the same entries have the same state: the same state machine ran everywhere, on the same log.

use std::collections::BTreeMap;

use super::Invariant;
use crate::world::{Seen, World};

/// See the module.
#[derive(Default)]
pub struct EqualHashes {
    /// By index: the hash, and who was first.
    hashes: BTreeMap<u64, (u128, String)>,
}

impl Invariant for EqualHashes {
    fn name(&self) -> &'static str {
        "equal state hash at equal log index"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Applied(entry) = seen else { return Ok(()) };
        let hash = entry.state.hash();
        let (known, first) = self.hashes.entry(entry.index).or_insert_with(|| (hash, member.to_owned()));
        if *known != hash {
            return Err(format!("at {} {first} has {known:032x} and {member} {hash:032x}", entry.index));
        }
        Ok(())
    }

    fn healed(&mut self, world: &World) -> Result<(), String> {
        for (name, member) in world.members().iter().filter_map(|(name, node)| Some((name, node.member()?))) {
            let now = member.consensus().state();
            if let Some((hash, first)) = self.hashes.get(&now.index).filter(|(hash, _)| *hash != now.state.hash()) {
                return Err(format!("at {} {first} has {hash:032x}, {name} another", now.index));
            }
        }
        Ok(())
    }
}
