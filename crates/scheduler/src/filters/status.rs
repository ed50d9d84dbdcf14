//! The instance is ACTIVE: neither draining nor on its way out.

use seawall_proto::internal::v1::InstanceStatus;

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Status;

impl Filter for Status {
    fn name(&self) -> &'static str {
        "status"
    }

    fn reason(&self) -> &'static str {
        "INACTIVE"
    }

    fn closest(&self) -> &'static str {
        "is not ACTIVE."
    }

    fn check(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.row.status() == InstanceStatus::Active
    }

    fn explain(&self, _needs: &Requirement, candidate: &Candidate<'_>) -> String {
        let name = candidate.row.status().as_str_name();
        format!("is {}", name.trim_start_matches("INSTANCE_STATUS_"))
    }
}
