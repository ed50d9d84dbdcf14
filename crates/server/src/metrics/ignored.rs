//! Members that were ignored. Their names come from clients, so only so many of them are counted by themselves.

use std::{collections::BTreeSet, sync::Mutex};

use prometheus_client::metrics::{counter::Counter, family::Family};

use super::{OTHER, OfMember};
use crate::dispatch::lock;

/// Different members, of all operations together, that are counted by themselves.
pub(super) const IGNORED_MEMBERS_MAX: usize = 100;
/// Longest path of one that is: ECS's own are shorter.
pub(super) const IGNORED_PATH_BYTES_MAX: usize = 128;

/// See the module.
#[derive(Default)]
pub(super) struct Ignored {
    pub(super) counts: Family<OfMember, Counter>,
    /// Those that are counted by themselves.
    known: Mutex<BTreeSet<OfMember>>,
}

impl Ignored {
    pub(super) fn count(&self, operation: &'static str, member: String) {
        let of = self.bounded(OfMember { operation, member });
        self.counts.get_or_create(&of).inc();
    }

    fn bounded(&self, of: OfMember) -> OfMember {
        let mut known = lock(&self.known);
        if known.contains(&of) {
            return of;
        }
        if known.len() < IGNORED_MEMBERS_MAX && of.member.len() <= IGNORED_PATH_BYTES_MAX {
            known.insert(of.clone());
            return of;
        }
        OfMember { member: OTHER.into(), ..of }
    }
}
