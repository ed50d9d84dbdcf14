//! The instance has the task's memory left.

use seawall_proto::internal::v1::TaskSize;

use super::{Filter, left};
use crate::Candidate;

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

    fn check(&self, size: &TaskSize, candidate: &Candidate<'_>) -> bool {
        i64::from(size.memory) <= candidate.memory_free
    }

    fn explain(&self, size: &TaskSize, candidate: &Candidate<'_>) -> String {
        format!("needs {} MiB; has {}", size.memory, left(candidate.memory_free, candidate.memory_kept))
    }
}
