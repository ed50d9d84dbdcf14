//! What was acknowledged is there: for readers at once, on every member after healing, and for watchers without a gap.

use std::collections::BTreeSet;

use super::Invariant;
use crate::world::World;

/// See the module.
pub struct Acknowledged;

impl Invariant for Acknowledged {
    fn name(&self) -> &'static str {
        "acknowledged writes are there"
    }

    fn look(&mut self, world: &World) -> Result<(), String> {
        match world.ledger().broken().first() {
            None => Ok(()),
            Some(how) => Err(how.clone()),
        }
    }

    fn healed(&mut self, world: &World) -> Result<(), String> {
        let acknowledged = world.ledger().acknowledged();
        let missing = |has: &BTreeSet<String>| acknowledged.difference(has).next().cloned();
        for (name, member) in world.members().iter().filter_map(|(name, node)| Some((name, node.member()?))) {
            let state = member.consensus().state();
            let has = state.state.clusters.iter().map(|(_, row)| row.name.clone()).collect();
            if let Some(missing) = missing(&has) {
                return Err(format!("{name} lacks {missing}"));
            }
        }
        for (watch, told) in world.ledger().told() {
            if let Some(missing) = missing(&told) {
                return Err(format!("the watch at {watch} has not told of {missing}"));
            }
        }
        Ok(())
    }
}
