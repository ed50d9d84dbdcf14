//! Keys of the tags that steer Seawall. What each takes and where stands in `seawall_rules::tags`, for people in docs/tags.md.

/// Of a service: seconds after its start that a task without a health check counts as healthy.
pub const HEALTHY_AFTER: &str = "seawall:healthy-after";
/// Of a service: what becomes of a task whose instance falls silent ([`crate::LossPolicy`]).
pub const LOSS_POLICY: &str = "seawall:loss-policy";
/// Of a service: its tasks that one instance may have at most, those that a rollout replaces not counted.
pub const MAX_PER_INSTANCE: &str = "seawall:max-per-instance";
/// Of a service: its tasks that one zone may have more than another, those that a rollout replaces not counted.
pub const MAX_ZONE_SKEW: &str = "seawall:max-zone-skew";
/// Of a service: whether tasks are moved between instances; 0 or 1. Without it as `availabilityZoneRebalancing` says of zones.
pub const REBALANCE: &str = "seawall:rebalance";
/// Of a service: zones that may be lost while all its tasks still find a place; 0 or 1.
pub const ZONE_LOSS_TOLERANCE: &str = "seawall:zone-loss-tolerance";
/// Of a service or a task: its class. What has the higher one comes first where room is scarce.
pub const PRIORITY: &str = "seawall:priority";

/// The class of what says none: there are lower ones and higher ones.
pub const PRIORITY_DEFAULT: u32 = 50;
/// The highest class.
pub const PRIORITY_MAX: u32 = 100;
