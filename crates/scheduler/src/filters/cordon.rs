//! The instance has not failed task after task: one that has takes none for a while.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Cordon;

impl Filter for Cordon {
    fn name(&self) -> &'static str {
        "cordon"
    }

    fn reason(&self) -> &'static str {
        "CORDONED"
    }

    fn closest(&self) -> &'static str {
        "takes no tasks for a while, since it kept failing them."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.row.cordoned_until_ms == 0
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        candidate.row.cordon_reason.clone()
    }
}
