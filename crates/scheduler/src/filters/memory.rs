//! The instance has the task's memory left.

use super::{Filter, left};
use crate::{Candidate, Requirement};

/// See the module. As `apply` has it: where more is held than there is, a task that needs none does not go either.
pub struct Memory;

impl Filter for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn reason(&self) -> &'static str {
        "RESOURCE:MEMORY"
    }

    fn closest(&self) -> &'static str {
        "has insufficient memory available."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        i64::from(needs.size.memory) <= candidate.memory_free
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("needs {} MiB; has {}", needs.size.memory, left(candidate.memory_free, candidate.memory_kept))
    }
}
