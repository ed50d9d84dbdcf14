//! Spreading: the zone with the fewest tasks, in it the instance with the fewest, then the emptiest, then the lowest id.
//!
//! A heap of zones, each with a heap of its instances: placing n tasks on m instances costs about m + n log m. Asking every
//! instance again for each task would be n x m, which at 10,000 instances and 4,000 tasks is minutes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use seawall_model::{ClusterId, InstanceId};
use seawall_state::State;

use crate::{Candidate, Overlay, Spread};

/// Tasks of the service or group by instance: those that want to run and can be reached, proposed ones included.
pub fn counts(state: &State, overlay: &Overlay, cluster: ClusterId, spread: &Spread) -> BTreeMap<InstanceId, u32> {
    let mut counts = BTreeMap::new();
    let mut add = |(instance, tasks): (InstanceId, u32)| *counts.entry(instance).or_default() += tasks;
    match spread {
        Spread::Service(service) => state.service_instances(*service).for_each(&mut add),
        Spread::Group(group) => state.group_instances(cluster, group).for_each(&mut add),
    }
    overlay.counts(cluster, spread).for_each(&mut add);
    counts
}

/// Where an instance stands in its zone: the smallest is chosen.
type Rank = (u32, Reverse<u32>, InstanceId);

/// The instances that fit, ready to be taken from in order.
pub(crate) struct Spreader<'a> {
    zones: Vec<Zone<'a>>,
    order: BinaryHeap<Reverse<(u32, Rank, usize)>>,
}

struct Zone<'a> {
    name: &'a str,
    tasks: u32,
    instances: BinaryHeap<Reverse<(Rank, usize)>>,
}

/// What was chosen.
pub(crate) struct Choice {
    /// Place among the candidates.
    pub candidate: usize,
    zone: usize,
}

impl<'a> Spreader<'a> {
    /// `fitting` are places among the candidates; `zone_tasks` the tasks of each zone, on full instances too.
    pub fn new(candidates: &[Candidate<'a>], fitting: &[usize], zone_tasks: &BTreeMap<&'a str, u32>) -> Self {
        let mut by_zone: BTreeMap<&str, Vec<Reverse<(Rank, usize)>>> = BTreeMap::new();
        for &i in fitting {
            by_zone.entry(&candidates[i].row.zone).or_default().push(Reverse((rank(&candidates[i]), i)));
        }
        let zones = by_zone.into_iter().map(|(name, ranks)| Zone {
            name,
            tasks: zone_tasks.get(name).copied().unwrap_or(0),
            instances: ranks.into(),
        });
        let mut spreader = Spreader { zones: zones.collect(), order: BinaryHeap::new() };
        for zone in 0..spreader.zones.len() {
            spreader.enqueue(zone);
        }
        spreader
    }

    /// Takes the best instance out; [`Spreader::put_back`] if it has room for more.
    pub fn take(&mut self) -> Option<Choice> {
        let Reverse((_, _, zone)) = self.order.pop()?;
        let Reverse((_, candidate)) = self.zones[zone].instances.pop()?;
        Some(Choice { candidate, zone })
    }

    /// Tasks and name of the zone of a choice, before it is counted.
    pub fn zone(&self, choice: &Choice) -> (&'a str, u32) {
        let zone = &self.zones[choice.zone];
        (zone.name, zone.tasks)
    }

    /// Counts a placement and returns the instance, as it is now, to its zone if it still `fits`.
    pub fn put_back(&mut self, choice: Choice, now: &Candidate<'_>, fits: bool) {
        let zone = &mut self.zones[choice.zone];
        zone.tasks += 1;
        if fits {
            zone.instances.push(Reverse((rank(now), choice.candidate)));
        }
        self.enqueue(choice.zone);
    }

    /// Among zones with equally few tasks the one with the better instance goes first: otherwise a thousand services of
    /// one task would all go to the zone whose name is first.
    fn enqueue(&mut self, zone: usize) {
        let Zone { tasks, instances, .. } = &self.zones[zone];
        if let Some(Reverse((best, _))) = instances.peek() {
            self.order.push(Reverse((*tasks, *best, zone)));
        }
    }
}

fn rank(candidate: &Candidate<'_>) -> Rank {
    (candidate.tasks, Reverse(candidate.free_share()), candidate.id())
}
