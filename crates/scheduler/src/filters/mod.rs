//! What an instance must offer. One file a filter; each can say why it left an instance out.

mod agent;
mod attributes;
mod cordon;
mod cpu;
mod daemons;
mod distinct_instance;
mod guard;
mod max_per_instance;
mod max_zone_skew;
mod member_of;
mod memory;
mod number;
mod pool;
mod ports;
mod priority;
mod status;
mod zone;

use crate::{Candidate, FilterCount, Requirement};

pub use number::{name_of, number_of};

/// One requirement.
pub trait Filter: Sync {
    /// For people ("cpu").
    fn name(&self) -> &'static str;
    /// ECS's failure reason ("RESOURCE:CPU").
    fn reason(&self) -> &'static str;
    /// The end of ECS's event after "The closest matching (container-instance ID) ".
    fn closest(&self) -> &'static str;
    /// Whether the instance passes.
    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool;
    /// Why it does not, with figures.
    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String;
}

/// In the order they are asked: the further an instance gets, the closer a match it is.
pub const PIPELINE: [&dyn Filter; 16] = [
    &status::Status,
    &agent::Agent,
    &zone::Zone,
    &cordon::Cordon,
    &pool::InPool,
    &attributes::Attributes,
    &guard::Guard,
    &member_of::MemberOf,
    &distinct_instance::DistinctInstance,
    &max_per_instance::MaxPerInstance,
    &daemons::Daemons,
    &memory::Memory,
    &cpu::Cpu,
    &ports::Ports,
    &max_zone_skew::MaxZoneSkew,
    &priority::Priority,
];

/// StartTask chooses the instance, so attributes and constraints are not asked for.
pub const CHOSEN: [&dyn Filter; 5] = [&status::Status, &agent::Agent, &memory::Memory, &cpu::Cpu, &ports::Ports];

/// Whether a daemon's task belongs on an instance, be there room or not. One that is there stays when its zone is fenced.
pub const BELONGS: [&dyn Filter; 5] =
    [&status::Status, &agent::Agent, &pool::InPool, &attributes::Attributes, &member_of::MemberOf];

/// The place of a filter in [`PIPELINE`], by its name.
pub(crate) fn place_of(filter: &dyn Filter) -> usize {
    PIPELINE.iter().position(|known| known.name() == filter.name()).unwrap_or(0)
}

/// Instances that each filter of [`PIPELINE`] was the first to leave out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LeftOut([u32; PIPELINE.len()]);

impl LeftOut {
    /// One more, by the filter at this place.
    pub(crate) fn add(&mut self, at: usize) {
        self.0[at] += 1;
    }

    /// Of the filters that left any out.
    pub(crate) fn counts(&self) -> Vec<FilterCount> {
        let counts = PIPELINE.iter().zip(self.0).filter(|(_, instances)| *instances > 0);
        counts.map(|(filter, instances)| FilterCount { filter: filter.name(), instances }).collect()
    }
}

/// Units that are left, and those that are not left since daemons need them.
fn left(free: i64, kept: u32) -> String {
    match kept {
        0 => free.to_string(),
        kept => format!("{free} beside {kept} that are kept for daemons"),
    }
}

/// The place and the filter of `pipeline` that leaves the instance out; `None` where it fits.
pub fn first_failing<'f>(
    pipeline: &[&'f dyn Filter],
    needs: &Requirement,
    candidate: &Candidate<'_>,
) -> Option<(usize, &'f dyn Filter)> {
    pipeline.iter().copied().enumerate().find(|(_, filter)| !filter.check(needs, candidate))
}
