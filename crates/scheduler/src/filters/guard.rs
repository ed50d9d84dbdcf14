//! The instance's agent can run the guard that ends tasks of which at most one may be alive.

use seawall_state::{GUARD_ATTRIBUTE, has_guard};

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Guard;

impl Filter for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }

    fn reason(&self) -> &'static str {
        "GUARD"
    }

    fn closest(&self) -> &'static str {
        "cannot run the guard that seawall:loss-policy at-most-one asks for."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        !needs.constraints.guarded || has_guard(candidate.row)
    }

    fn explain(&self, _needs: &Requirement, _candidate: &Candidate<'_>) -> String {
        format!("its agent does not say {GUARD_ATTRIBUTE}: it cannot end tasks without its container engine")
    }
}
