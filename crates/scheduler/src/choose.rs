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
    BEST_MAX, Best, Candidate, Strategy,
    key::{self, Key},
    skew::Skew,
    values::{Of, Values},
};

/// The instances that fit, ready to be taken from in order.
pub(crate) struct Chooser<'a, 's> {
    strategy: &'s Strategy,
    values: Values<'a, 's>,
    groups: Vec<Group<'a>>,
    /// Of each candidate.
    group_of: Vec<usize>,
    /// How far zones may differ, where that is asked.
    pub skew: Option<Skew<'a>>,
}

/// Instances that agree in every attribute that is spread over, and in their zone where that may not get ahead.
struct Group<'a> {
    of: Of,
    zone: &'a str,
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
    pub fn new(
        strategy: &'s Strategy,
        candidates: &[Candidate<'a>],
        fitting: &[usize],
        skew: Option<Skew<'a>>,
    ) -> Self {
        let mut chooser = Chooser {
            strategy,
            values: Values::new(strategy),
            groups: Vec::new(),
            group_of: Vec::with_capacity(candidates.len()),
            skew,
        };
        chooser.group(candidates);
        let mut heaps: Vec<Vec<Reverse<(Key, usize)>>> = vec![Vec::new(); chooser.groups.len()];
        for &i in fitting {
            heaps[chooser.group_of[i]].push(Reverse((key::own(strategy, &candidates[i]), i)));
        }
        for (group, heap) in chooser.groups.iter_mut().zip(heaps) {
            group.instances = heap.into();
        }
        chooser
    }

    /// Takes the best instance out; [`Chooser::put_back`] if it has room for more.
    pub fn take(&mut self) -> Option<Choice> {
        let best = |(i, group): (usize, &Group<'_>)| {
            if self.skew.as_ref().is_some_and(|skew| !skew.may_grow(group.zone)) {
                return None;
            }
            let Reverse((key, candidate)) = *group.instances.peek()?;
            let counts = self.values.counted(&group.of).map(|value| value.tasks);
            Some((key::with_counts(self.strategy, key, counts), candidate, i))
        };
        let (key, candidate, group) = self.groups.iter().enumerate().filter_map(best).min()?;
        self.groups[group].instances.pop();
        Some(Choice { candidate, key })
    }

    /// The best instances, the best first. They stay.
    pub fn best(&mut self, candidates: &[Candidate<'a>]) -> Vec<Best> {
        let best: Vec<Choice> = (0..BEST_MAX).map_while(|_| self.take()).collect();
        for choice in &best {
            let own = key::own(self.strategy, &candidates[choice.candidate]);
            self.groups[self.group_of[choice.candidate]].instances.push(Reverse((own, choice.candidate)));
        }
        best.iter().map(|choice| Best { instance: candidates[choice.candidate].id(), key: Some(choice.key) }).collect()
    }

    /// Counts a placement and returns the instance, as it is now, to the others if it still `fits`.
    pub fn put_back(&mut self, choice: &Choice, now: &Candidate<'_>, fits: bool) {
        let key = key::own(self.strategy, now);
        let group = &mut self.groups[self.group_of[choice.candidate]];
        self.values.add(&group.of, 1);
        if let Some(skew) = &mut self.skew {
            skew.add(group.zone);
        }
        if fits {
            group.instances.push(Reverse((key, choice.candidate)));
        }
    }

    /// Why it was chosen.
    pub fn why(&self, choice: &Choice) -> String {
        let group = &self.groups[self.group_of[choice.candidate]];
        key::why(self.strategy, &choice.key, self.values.counted(&group.of).map(|value| value.name))
    }

    /// Sorts the candidates by the values of the attributes that are spread over, and counts the tasks of each value.
    fn group(&mut self, candidates: &[Candidate<'a>]) {
        let mut known: BTreeMap<(usize, &str), usize> = BTreeMap::new();
        for candidate in candidates {
            let of = self.values.of(|name| candidate.attribute(name));
            self.values.add(&of, candidate.tasks);
            let last = of.last().copied().unwrap_or(0);
            let zone = if self.skew.is_some() { candidate.row.zone.as_str() } else { "" };
            let group = *known.entry((last, zone)).or_insert(self.groups.len());
            if group == self.groups.len() {
                self.groups.push(Group { of, zone, instances: BinaryHeap::new() });
            }
            self.group_of.push(group);
        }
    }
}
