//! Takes the best instance by a strategy, again and again.
//!
//! Instances that share the value of every attribute that is spread over stand in one heap, ordered by what the strategy says of
//! an instance alone. The counts of the values change with each placement, so they are put in when heaps are compared: a
//! choice costs the number of heaps (zones, as a rule) and log n. Asking every instance again for each task would be n x m,
//! which at 10,000 instances and 4,000 tasks is minutes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use crate::{
    Candidate, Strategy,
    strategy::{self, Packed, STEPS_MAX, Step, ZONE},
    values::{Of, Values},
};

/// One number a step, then how many tasks the instance has and how full it is.
type Key = [u64; STEPS_MAX + 2];

/// The instances that fit, ready to be taken from in order.
pub(crate) struct Chooser<'a, 's> {
    strategy: &'s Strategy,
    values: Values<'a, 's>,
    groups: Vec<Group>,
    /// Of each candidate.
    group_of: Vec<usize>,
}

/// Instances that agree in every attribute that is spread over.
struct Group {
    of: Of,
    instances: BinaryHeap<Reverse<(Key, usize)>>,
}

/// What was chosen.
pub(crate) struct Choice {
    /// Place among the candidates.
    pub candidate: usize,
    key: Key,
}

impl<'a, 's> Chooser<'a, 's> {
    /// `fitting` are places among the candidates. The tasks on the others count for the values of attributes all the same.
    pub fn new(strategy: &'s Strategy, candidates: &[Candidate<'a>], fitting: &[usize]) -> Self {
        let mut chooser = Chooser {
            strategy,
            values: Values::new(strategy),
            groups: Vec::new(),
            group_of: Vec::with_capacity(candidates.len()),
        };
        chooser.group(candidates);
        let mut heaps: Vec<Vec<Reverse<(Key, usize)>>> = vec![Vec::new(); chooser.groups.len()];
        for &i in fitting {
            heaps[chooser.group_of[i]].push(Reverse((chooser.key(&candidates[i]), i)));
        }
        for (group, heap) in chooser.groups.iter_mut().zip(heaps) {
            group.instances = heap.into();
        }
        chooser
    }

    /// Takes the best instance out; [`Chooser::put_back`] if it has room for more.
    pub fn take(&mut self) -> Option<Choice> {
        let best = |(i, group): (usize, &Group)| {
            let Reverse((key, candidate)) = *group.instances.peek()?;
            Some((self.with_counts(key, &group.of), candidate, i))
        };
        let (key, candidate, group) = self.groups.iter().enumerate().filter_map(best).min()?;
        self.groups[group].instances.pop();
        Some(Choice { candidate, key })
    }

    /// Counts a placement and returns the instance, as it is now, to the others if it still `fits`.
    pub fn put_back(&mut self, choice: &Choice, now: &Candidate<'_>, fits: bool) {
        let key = self.key(now);
        let group = &mut self.groups[self.group_of[choice.candidate]];
        self.values.add(&group.of, 1);
        if fits {
            group.instances.push(Reverse((key, choice.candidate)));
        }
    }

    /// Why it was chosen: what each step saw of it.
    pub fn why(&self, choice: &Choice) -> String {
        let group = &self.groups[self.group_of[choice.candidate]];
        let mut values = self.values.counted(&group.of);
        let says = |(step, seen): (&Step, u64)| match step {
            Step::SpreadAttribute(name) => {
                let name = if name == ZONE { "zone" } else { name };
                format!("{name} {} had {seen}", values.next().map_or("", |value| value.name))
            }
            Step::SpreadInstance => format!("the instance {seen}"),
            Step::Binpack(Packed::Cpu) => format!("{seen} CPU units were left"),
            Step::Binpack(Packed::Memory) => format!("{seen} MiB were left"),
            Step::Random => "drawn".to_owned(),
        };
        self.strategy.steps.iter().zip(choice.key).map(says).collect::<Vec<_>>().join(", ")
    }

    /// Sorts the candidates by the values of the attributes that are spread over, and counts the tasks of each value.
    fn group(&mut self, candidates: &[Candidate<'a>]) {
        let mut known: BTreeMap<usize, usize> = BTreeMap::new();
        for candidate in candidates {
            let of = self.values.of(|name| candidate.attribute(name));
            self.values.add(&of, candidate.tasks);
            let last = of.last().copied().unwrap_or(0);
            let group = *known.entry(last).or_insert(self.groups.len());
            if group == self.groups.len() {
                self.groups.push(Group { of, instances: BinaryHeap::new() });
            }
            self.group_of.push(group);
        }
    }

    /// What the steps say of the instance alone. Among equals the one with the fewest tasks, then the emptiest.
    fn key(&self, candidate: &Candidate<'_>) -> Key {
        let mut key = Key::default();
        for (slot, step) in key.iter_mut().zip(&self.strategy.steps) {
            *slot = match step {
                Step::SpreadAttribute(_) => 0,
                Step::SpreadInstance => candidate.tasks.into(),
                Step::Binpack(Packed::Cpu) => left(candidate.cpu_free),
                Step::Binpack(Packed::Memory) => left(candidate.memory_free),
                Step::Random => strategy::draw(self.strategy.seed, candidate.row.id, candidate.placed),
            };
        }
        if !self.strategy.packs() {
            key[STEPS_MAX] = candidate.tasks.into();
            key[STEPS_MAX + 1] = u64::MAX - u64::from(candidate.free_share());
        }
        key
    }

    fn with_counts(&self, mut key: Key, of: &Of) -> Key {
        let mut values = self.values.counted(of);
        for (slot, _) in key.iter_mut().zip(&self.strategy.steps).filter(|(_, step)| step.attribute().is_some()) {
            *slot = values.next().map_or(0, |value| value.tasks.into());
        }
        key
    }
}

/// More may be held than there is.
fn left(free: i64) -> u64 {
    free.max(0).unsigned_abs()
}
