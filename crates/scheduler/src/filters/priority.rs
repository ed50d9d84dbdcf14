//! Nobody of a higher class waits for the room: what is freed goes to the highest class that it fits.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Priority;

impl Filter for Priority {
    fn name(&self) -> &'static str {
        "priority"
    }

    fn reason(&self) -> &'static str {
        "PRIORITY"
    }

    fn closest(&self) -> &'static str {
        "keeps its room for a task that comes first by its seawall:priority."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.kept_for.is_none()
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("its room is kept for a task of priority {} that waits", candidate.kept_for.unwrap_or_default())
    }
}
