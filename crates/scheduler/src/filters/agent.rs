//! The instance's agent is connected: nothing starts where nobody listens.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Agent;

impl Filter for Agent {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn reason(&self) -> &'static str {
        "AGENT"
    }

    fn closest(&self) -> &'static str {
        "encountered error \"AGENT\"."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.row.connected
    }

    fn explain(&self, _needs: &Requirement, _candidate: &Candidate<'_>) -> String {
        "its agent is not connected".into()
    }
}
