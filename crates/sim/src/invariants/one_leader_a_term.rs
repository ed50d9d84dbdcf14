//! Two leaders of one term would both have their writes acknowledged.

use std::collections::BTreeMap;

use seawall_model::MemberId;

use super::Invariant;
use crate::world::Seen;

/// See the module.
#[derive(Default)]
pub struct OneLeaderATerm {
    leaders: BTreeMap<u64, MemberId>,
    /// The newest term of each member: none ever goes back.
    terms: BTreeMap<String, u64>,
}

impl Invariant for OneLeaderATerm {
    fn name(&self) -> &'static str {
        "one leader a term"
    }

    fn seen(&mut self, member: &str, seen: &Seen) -> Result<(), String> {
        let Seen::Leadership(now) = seen else { return Ok(()) };
        if now.term == 0 {
            // A process that has just started and has not read its vote.
            return Ok(());
        }
        let before = self.terms.insert(member.to_owned(), now.term).unwrap_or(0);
        if now.term < before {
            return Err(format!("{member} went from term {before} back to {}", now.term));
        }
        let Some(leader) = now.leader else { return Ok(()) };
        let known = *self.leaders.entry(now.term).or_insert(leader);
        if known != leader {
            return Err(format!("in term {} both {known} and {leader} lead, says {member}", now.term));
        }
        Ok(())
    }
}
