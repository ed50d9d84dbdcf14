//! The instance has the task's memory left.

use seawall_proto::internal::v1::TaskSize;

use super::Filter;
use crate::Candidate;

/// See the module.
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
        size.memory <= candidate.memory_free
    }

    fn explain(&self, size: &TaskSize, candidate: &Candidate<'_>) -> String {
        format!("needs {} MiB; has {}", size.memory, candidate.memory_free)
    }
}
