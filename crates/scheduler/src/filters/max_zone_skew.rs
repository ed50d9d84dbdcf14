//! The instance's zone has not as many tasks of the service more than another as it may have.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct MaxZoneSkew;

impl Filter for MaxZoneSkew {
    fn name(&self) -> &'static str {
        "max-zone-skew"
    }

    fn reason(&self) -> &'static str {
        "MAX-ZONE-SKEW"
    }

    fn closest(&self) -> &'static str {
        "is in a zone that has as many tasks of the service more than another as seawall:max-zone-skew allows."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        !candidate.zone_is_ahead
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        let max = needs.constraints.max_zone_skew.unwrap_or_default();
        format!("zone {} has {max} more of its tasks than the zone with the fewest", candidate.row.zone)
    }
}
