//! What the planner decided, and its text for tests and logs.

use std::fmt;

use seawall_model::InstanceId;
use seawall_proto::internal::v1::place_tasks;

use crate::{FAILURES_MAX, Seen, Share, filters};

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where it goes.
    pub instance: InstanceId,
    /// Why there, in under 200 bytes: stored with the task.
    pub note: String,
    /// The capacity provider that it is for; empty: none.
    pub provider: String,
}

/// An instance that could not take a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The instance.
    pub instance: InstanceId,
    /// ECS's reason ("RESOURCE:MEMORY").
    pub reason: &'static str,
    /// With figures ("needs 512 MiB; has 300").
    pub detail: String,
}

/// How many instances a filter left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterCount {
    /// The filter.
    pub filter: &'static str,
    /// Instances for which it was the first to object.
    pub instances: u32,
}

/// A decision. Fewer placements than were asked for means that the rest fits nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One for each task that found a place.
    pub placements: Vec<Placement>,
    /// Capacity providers of tasks that found no place and wait for one, one for each.
    pub waiting: Vec<String>,
    /// Why the rest did not: the closest matches first. Empty where all found a place.
    pub failures: Vec<Failure>,
    /// Instances left out, by filter, when planning began.
    pub counts: Vec<FilterCount>,
    /// What ECS's event says after "… met all of its requirements."; `None` where all found a place.
    pub closest: Option<String>,
    /// Instances left out, by filter, when no more could be placed. Empty where all found a place.
    pub obstacles: Vec<FilterCount>,
    /// What it saw when it began.
    pub seen: Seen,
}

impl From<Placement> for place_tasks::Placement {
    fn from(placement: Placement) -> Self {
        let Placement { instance, note, provider } = placement;
        place_tasks::Placement { instance_id: instance.0, note, capacity_provider: provider }
    }
}

impl Plan {
    /// The placements of a command: those that found a place, then those that wait, for no instance yet.
    pub fn into_placements(self) -> Vec<place_tasks::Placement> {
        let waiting = self.waiting.into_iter().map(|provider| place_tasks::Placement {
            capacity_provider: provider,
            ..place_tasks::Placement::default()
        });
        self.placements.into_iter().map(Into::into).chain(waiting).collect()
    }

    /// Adds what was decided for one capacity provider, of which so many tasks were to be placed.
    pub(crate) fn add(&mut self, some: Plan, share: &Share, count: u32) {
        let provider = &share.provider;
        if share.waits {
            let unplaced = (count as usize).saturating_sub(some.placements.len());
            self.waiting.extend(std::iter::repeat_n(provider.clone(), unplaced));
        } else {
            self.failures.extend(some.failures);
            self.failures.truncate(FAILURES_MAX);
        }
        let of_provider = |placement| Placement { provider: provider.clone(), ..placement };
        self.placements.extend(some.placements.into_iter().map(of_provider));
        self.closest = self.closest.take().or(some.closest);
        add_counts(&mut self.counts, some.counts);
        add_counts(&mut self.obstacles, some.obstacles);
        self.seen.add(some.seen);
    }

    /// [`Plan::obstacles`], as rows hold them.
    pub fn obstacles(&self) -> Vec<u32> {
        numbered(&self.obstacles)
    }
}

/// The filters' numbers and how many instances each left out, by turns: as rows and records hold them.
pub(crate) fn numbered(counts: &[FilterCount]) -> Vec<u32> {
    counts.iter().flat_map(|count| [filters::number_of(count.filter), count.instances]).collect()
}

/// The same instances were asked for each provider.
fn add_counts(known: &mut Vec<FilterCount>, counts: Vec<FilterCount>) {
    for count in counts {
        match known.iter_mut().find(|known| known.filter == count.filter) {
            Some(known) => known.instances = known.instances.max(count.instances),
            None => known.push(count),
        }
    }
}

impl fmt::Display for FilterCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.instances, self.filter)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.placements {
            let of = if p.provider.is_empty() { String::new() } else { format!(" for {}", p.provider) };
            writeln!(f, "place on {}{of}: {}", p.instance, p.note)?;
        }
        for provider in &self.waiting {
            writeln!(f, "one waits for {provider}")?;
        }
        for failure in &self.failures {
            writeln!(f, "not on {}: {}: {}", failure.instance, failure.reason, failure.detail)?;
        }
        for count in &self.counts {
            writeln!(f, "left out: {count}")?;
        }
        if let Some(closest) = &self.closest {
            writeln!(f, "{closest}")?;
        }
        Ok(())
    }
}
