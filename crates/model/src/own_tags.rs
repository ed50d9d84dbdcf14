//! Keys of the tags that steer Seawall. What each takes and where stands in `seawall_rules::tags`, for people in docs/tags.md.

/// Of a service: seconds after its start that a task without a health check counts as healthy.
pub const HEALTHY_AFTER: &str = "seawall:healthy-after";
