//! Health checks of containers.

use std::ops::RangeInclusive;

use seawall_model::ApiError;
use seawall_proto::v1::ContainerDefinition;

use super::invalid;

/// Command and ranges, as ECS has them.
pub fn check(container: &ContainerDefinition) -> Result<(), ApiError> {
    let Some(check) = &container.health_check else { return Ok(()) };
    let runs_something = match check.command.first().map(String::as_str) {
        Some("CMD") => check.command.len() > 1,
        Some("CMD-SHELL") => check.command.len() == 2,
        _ => false,
    };
    if !runs_something {
        return Err(invalid(
            container,
            "healthCheck.command must be CMD with a program and its arguments, or CMD-SHELL with one command line.",
        ));
    }
    in_range(container, "interval", check.interval, 5..=300)?;
    in_range(container, "timeout", check.timeout, 2..=60)?;
    in_range(container, "retries", check.retries, 1..=10)?;
    in_range(container, "startPeriod", check.start_period, 0..=300)
}

fn in_range(
    container: &ContainerDefinition,
    member: &str,
    value: Option<i32>,
    range: RangeInclusive<i32>,
) -> Result<(), ApiError> {
    match value.filter(|v| !range.contains(v)) {
        None => Ok(()),
        Some(value) => Err(invalid(
            container,
            format!("healthCheck.{member} is {value}; it must be between {} and {}.", range.start(), range.end()),
        )),
    }
}
