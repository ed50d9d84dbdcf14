//! The instance has no more tasks of the service than it may have. Those that a rollout replaces are not counted.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct MaxPerInstance;

impl Filter for MaxPerInstance {
    fn name(&self) -> &'static str {
        "max-per-instance"
    }

    fn reason(&self) -> &'static str {
        "MAX-PER-INSTANCE"
    }

    fn closest(&self) -> &'static str {
        "has as many tasks of the service as seawall:max-per-instance allows."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        needs.constraints.max_per_instance.is_none_or(|max| candidate.staying() < max)
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("has {} of its tasks that stay", candidate.staying())
    }
}
