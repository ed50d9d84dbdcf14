//! No two tasks of the service or group stand on one instance, where that is asked for.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct DistinctInstance;

impl Filter for DistinctInstance {
    fn name(&self) -> &'static str {
        "distinct-instance"
    }

    fn reason(&self) -> &'static str {
        "DistinctInstance placement constraint unsatisfied."
    }

    fn closest(&self) -> &'static str {
        "encountered error \"DistinctInstance placement constraint unsatisfied.\"."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        !needs.constraints.distinct_instance || candidate.tasks == 0
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("has {} of its tasks already", candidate.tasks)
    }
}
