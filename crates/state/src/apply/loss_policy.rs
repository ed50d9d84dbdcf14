//! What a service must be like of which at most one task may be alive.

use seawall_model::{ApiError, ErrorCode, ServiceId, own_tags};
use seawall_proto::internal::v1::ServiceRow;

use super::Apply;
use crate::{is_at_most_one, is_daemon};

/// Members of the first version would place its tasks without a token.
const SINCE_VERSION: u32 = 2;

impl Apply<'_> {
    /// A service as it is to be.
    pub(super) fn check_loss_policy(&self, row: &ServiceRow) -> Result<(), ApiError> {
        if !is_at_most_one(row) {
            return Ok(());
        }
        let version = self.state.meta.cluster_version;
        if version < SINCE_VERSION {
            let message = format!(
                "{} at-most-one needs cluster version {SINCE_VERSION}; this cluster is at {version}. next: upgrade every member, then raise the version.",
                own_tags::LOSS_POLICY
            );
            return Err(ApiError::new(ErrorCode::UnsupportedFeature, message));
        }
        let Some((what, next)) = self.obstacle(row) else { return Ok(()) };
        Err(ApiError::invalid(format!("{} at-most-one: {what}. next: {next}.", own_tags::LOSS_POLICY)))
    }

    /// What is in the way, and what to do about it.
    fn obstacle(&self, row: &ServiceRow) -> Option<(String, &'static str)> {
        let (minimum, maximum) = (row.minimum_healthy_percent, row.maximum_percent);
        if is_daemon(row) {
            return Some(("a DAEMON service has a task on each instance".into(), "use a REPLICA service"));
        }
        if row.desired_count > 1 {
            return Some((format!("the desiredCount is {}", row.desired_count), "set desiredCount to 0 or 1"));
        }
        if (minimum, maximum) != (0, 100) {
            let what = format!(
                "minimumHealthyPercent is {minimum} and maximumPercent {maximum}, so that a new task would start before the old one has ended"
            );
            return Some((what, "set them to 0 and 100"));
        }
        let mut tasks = self.state.live_tasks_of_service(ServiceId(row.id));
        let has_unguarded = tasks.any(|task| task.fencing_token == 0);
        has_unguarded.then(|| {
            let next = "set desiredCount to 0, and set the tag when they have stopped";
            ("the service has tasks that no guard would end".into(), next)
        })
    }
}
