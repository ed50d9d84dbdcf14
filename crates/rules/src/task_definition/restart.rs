//! restartPolicy and startTimeout.

use std::ops::RangeInclusive;

use seawall_model::ApiError;
use seawall_proto::v1::ContainerDefinition;

use super::invalid;

const IGNORED_EXIT_CODES_MAX: usize = 50;
const ATTEMPT_PERIOD_S: RangeInclusive<i32> = 60..=1800;

/// Within ECS's ranges.
pub fn check(container: &ContainerDefinition) -> Result<(), ApiError> {
    if container.start_timeout() < 0 {
        return Err(invalid(container, "startTimeout must not be negative."));
    }
    let Some(policy) = &container.restart_policy else { return Ok(()) };
    let count = policy.ignored_exit_codes.len();
    if count > IGNORED_EXIT_CODES_MAX {
        return Err(invalid(
            container,
            format!("restartPolicy.ignoredExitCodes has {count} items; it may have {IGNORED_EXIT_CODES_MAX}."),
        ));
    }
    match policy.restart_attempt_period.filter(|period| !ATTEMPT_PERIOD_S.contains(period)) {
        Some(period) => Err(invalid(
            container,
            format!(
                "restartPolicy.restartAttemptPeriod is {period}; it must be between {} and {}.",
                ATTEMPT_PERIOD_S.start(),
                ATTEMPT_PERIOD_S.end()
            ),
        )),
        None => Ok(()),
    }
}
