//! What the planner decided, and its text for tests and logs.

use std::fmt;

use seawall_model::InstanceId;

/// One task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Where it goes.
    pub instance: InstanceId,
    /// Why there, in under 200 bytes: stored with the task.
    pub note: String,
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
    /// Why the rest did not: the closest matches first. Empty where all found a place.
    pub failures: Vec<Failure>,
    /// Instances left out, by filter, when planning began.
    pub counts: Vec<FilterCount>,
    /// What ECS's event says after "… met all of its requirements."; `None` where all found a place.
    pub closest: Option<String>,
}

impl fmt::Display for FilterCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.instances, self.filter)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in &self.placements {
            writeln!(f, "place on {}: {}", p.instance, p.note)?;
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
