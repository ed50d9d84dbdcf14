//! Scaling in: the mirror of placing.
//!
//! Where a placement takes the value or instance with the fewest tasks, scaling in takes the one with the most; where it fills
//! up the instance with the least left, scaling in takes from the one with the most left.

use std::collections::BTreeMap;

use seawall_model::InstanceId;
use seawall_state::State;

use crate::{
    Candidate, Overlay, Strategy, key,
    strategy::{self, STEPS_MAX, Step},
    values::{Of, Values},
};

/// Of an instance: the largest gives a task away first.
pub type Rank = [u64; STEPS_MAX + 1];

/// The instances that some tasks stand on.
pub struct Mirror<'a, 's> {
    strategy: &'s Strategy,
    values: Values<'a, 's>,
    seats: BTreeMap<InstanceId, Seat<'a>>,
}

struct Seat<'a> {
    of: Of,
    candidate: Candidate<'a>,
}

impl<'a, 's> Mirror<'a, 's> {
    /// `instances` holds an instance once for each task that counts. One that the state does not know is left out.
    pub fn new(
        strategy: &'s Strategy,
        state: &'a State,
        overlay: &'a Overlay,
        instances: impl Iterator<Item = InstanceId>,
    ) -> Self {
        let mut mirror = Mirror { strategy, values: Values::new(strategy), seats: BTreeMap::new() };
        for id in instances {
            let Some(row) = state.instances.get(&id) else { continue };
            let values = &mut mirror.values;
            let seat = mirror.seats.entry(id).or_insert_with(|| {
                let candidate = Candidate::new(state, overlay, row);
                Seat { of: values.of(|name| candidate.attribute(name)), candidate }
            });
            seat.candidate.tasks += 1;
            mirror.values.add(&seat.of, 1);
        }
        mirror
    }

    /// Which instance gives a task away first.
    pub fn rank(&self, instance: InstanceId) -> Rank {
        let mut rank = Rank::default();
        let Some(Seat { of, candidate }) = self.seats.get(&instance) else { return rank };
        let mut values = self.values.counted(of);
        for (slot, step) in rank.iter_mut().zip(&self.strategy.steps) {
            *slot = match step {
                Step::SpreadAttribute(_) => values.next().map_or(0, |value| value.tasks.into()),
                Step::SpreadInstance => candidate.tasks.into(),
                Step::Binpack(packed) => key::left(candidate, *packed),
                Step::Random => strategy::draw(self.strategy.seed, candidate.row.id, candidate.tasks),
            };
        }
        if !self.strategy.packs() {
            rank[STEPS_MAX] = candidate.tasks.into();
        }
        rank
    }

    /// One of its tasks goes, and gives back what it holds.
    pub fn remove(&mut self, instance: InstanceId, cpu: u32, memory: u32) {
        let Some(seat) = self.seats.get_mut(&instance) else { return };
        seat.candidate.tasks = seat.candidate.tasks.saturating_sub(1);
        seat.candidate.give_back(cpu, memory, []);
        self.values.remove_one(&seat.of);
    }
}
