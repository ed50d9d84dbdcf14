//! The instance's zone is open: the operator has not fenced it.

use seawall_proto::internal::v1::ZoneState;

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Zone;

impl Filter for Zone {
    fn name(&self) -> &'static str {
        "zone"
    }

    fn reason(&self) -> &'static str {
        "LOCATION"
    }

    fn closest(&self) -> &'static str {
        "is in a zone that is fenced."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.zone_state() == ZoneState::Open
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        format!("zone {} is fenced", candidate.row.zone)
    }
}
