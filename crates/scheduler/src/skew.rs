//! How far zones may differ in tasks of a service: a limit that holds, where spreading is only a wish.

use std::collections::BTreeMap;

use seawall_proto::internal::v1::ZoneState;

use crate::{Candidate, Requirement, filters};

/// The zones where the tasks belong, with those that stay there: what a rollout replaces is not counted.
pub(crate) struct Skew<'a> {
    max: u32,
    zones: BTreeMap<&'a str, u32>,
}

impl<'a> Skew<'a> {
    /// `zones` are those where the tasks belong, be there room or not.
    pub fn new(max: u32, zones: impl IntoIterator<Item = (&'a str, u32)>) -> Self {
        Skew { max, zones: zones.into_iter().collect() }
    }

    /// `None` where zones may differ as they like.
    pub fn of(needs: &Requirement, candidates: &[Candidate<'a>]) -> Option<Self> {
        let max = needs.constraints.max_zone_skew?;
        let of_use = candidates.iter().filter(|candidate| belongs(needs, candidate));
        let mut skew = Skew::new(max, of_use.map(|candidate| (candidate.row.zone.as_str(), 0)));
        for candidate in candidates {
            if let Some(tasks) = skew.zones.get_mut(candidate.row.zone.as_str()) {
                *tasks += candidate.staying();
            }
        }
        Some(skew)
    }

    /// Whether the zone may get one more. One that is not among them is for another filter to refuse.
    pub fn may_grow(&self, zone: &str) -> bool {
        let fewest = self.zones.values().min().copied().unwrap_or(0);
        self.zones.get(zone).is_none_or(|tasks| *tasks < fewest.saturating_add(self.max))
    }

    /// The zone got one more.
    pub fn add(&mut self, zone: &str) {
        if let Some(tasks) = self.zones.get_mut(zone) {
            *tasks += 1;
        }
    }

    /// Tells the instances whose zone may not grow.
    pub fn mark(&self, candidates: &mut [Candidate<'_>]) {
        for candidate in candidates {
            candidate.zone_is_ahead = !self.may_grow(&candidate.row.zone);
        }
    }
}

/// Whether the tasks belong on the instance, be there room or not.
pub(crate) fn belongs(needs: &Requirement, candidate: &Candidate<'_>) -> bool {
    candidate.zone_state() == ZoneState::Open && filters::first_failing(&filters::BELONGS, needs, candidate).is_none()
}
