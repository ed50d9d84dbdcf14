//! The instance has the task's CPU units left.

use seawall_proto::internal::v1::TaskSize;

use super::{Filter, left};
use crate::Candidate;

/// See the module. As `apply` has it: where more is held than there is, a task that needs none does not go either.
pub struct Cpu;

impl Filter for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn reason(&self) -> &'static str {
        "RESOURCE:CPU"
    }

    fn closest(&self) -> &'static str {
        "has insufficient CPU units available."
    }

    fn check(&self, size: &TaskSize, candidate: &Candidate<'_>) -> bool {
        i64::from(size.cpu) <= candidate.cpu_free
    }

    fn explain(&self, size: &TaskSize, candidate: &Candidate<'_>) -> String {
        format!("needs {} CPU units; has {}", size.cpu, left(candidate.cpu_free, candidate.cpu_kept))
    }
}
