//! The host ports that the task asks for by number are free on the instance, TCP and UDP apart.

use super::Filter;
use crate::{Candidate, Requirement};

/// See the module.
pub struct Ports;

impl Filter for Ports {
    fn name(&self) -> &'static str {
        "ports"
    }

    fn reason(&self) -> &'static str {
        "RESOURCE:PORTS"
    }

    fn closest(&self) -> &'static str {
        "is already using a port required by your task."
    }

    fn check(&self, needs: &Requirement, candidate: &Candidate<'_>) -> bool {
        candidate.port_in_use(&needs.size).is_none()
    }

    fn explain(&self, needs: &Requirement, candidate: &Candidate<'_>) -> String {
        let (port, udp) = candidate.port_in_use(&needs.size).unwrap_or_default();
        format!("needs host port {port}/{}; it is taken", if udp { "udp" } else { "tcp" })
    }
}
