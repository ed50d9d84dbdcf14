//! Daemons come first: nothing of another service goes to an instance whose daemons are about to be placed.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Daemons;

impl Filter for Daemons {
    fn name(&self) -> &'static str {
        "daemons"
    }

    fn reason(&self) -> &'static str {
        "DAEMON"
    }

    fn closest(&self) -> &'static str {
        "has no tasks of its daemon services yet, which are placed first."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        !candidate.awaits_daemon
    }

    fn explain(&self, _needs: &Requirement, _candidate: &Candidate<'_>) -> String {
        "the tasks of daemon services are placed there first".into()
    }
}
