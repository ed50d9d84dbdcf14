//! The instance has the task's CPU units left.

use super::{Filter, left};
use crate::{Candidate, Requirement};

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

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        i64::from(needs.size.cpu) <= candidate.cpu_free
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("needs {} CPU units; has {}", needs.size.cpu, left(candidate.cpu_free, candidate.cpu_kept))
    }
}
