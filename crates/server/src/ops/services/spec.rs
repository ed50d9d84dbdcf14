//! What a service asks for, with ECS's defaults.

use seawall_model::{ApiError, limits::SERVICE_TASKS_MAX};
use seawall_proto::{
    internal::v1::TaskDefinitionRow,
    v1::{CreateServiceRequest, DeploymentConfiguration},
};

use crate::{
    render,
    validate::{
        launch::{self, Launch},
        placement::{self, Placement},
    },
};

/// The only scheduling strategy of this version.
pub const REPLICA: &str = "REPLICA";
/// minimumHealthyPercent unless asked for otherwise.
const MINIMUM_HEALTHY_PERCENT: u32 = 100;
/// maximumPercent unless asked for otherwise.
const MAXIMUM_PERCENT: u32 = 200;
/// Below it a service could never have its desired count.
const MAXIMUM_PERCENT_MIN: u32 = 100;

/// minimumHealthyPercent and maximumPercent: what is asked for, else `before`.
///
/// # Errors
/// `InvalidParameterException` for percentages under which no rollout could ever go on.
pub fn percents(asked: Option<&DeploymentConfiguration>, before: Option<(u32, u32)>) -> Result<(u32, u32), ApiError> {
    let (minimum, maximum) = before.unwrap_or((MINIMUM_HEALTHY_PERCENT, MAXIMUM_PERCENT));
    let given = |member: &str, value: Option<i32>, default: u32| match value.map(u32::try_from) {
        None => Ok(default),
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) => Err(ApiError::invalid(format!("deploymentConfiguration.{member} must not be negative."))),
    };
    let minimum = given("minimumHealthyPercent", asked.and_then(|a| a.minimum_healthy_percent), minimum)?;
    let maximum = given("maximumPercent", asked.and_then(|a| a.maximum_percent), maximum)?;
    if minimum > 100 {
        return Err(ApiError::invalid(format!(
            "deploymentConfiguration.minimumHealthyPercent is {minimum}; it must be between 0 and 100."
        )));
    }
    if maximum < MAXIMUM_PERCENT_MIN {
        return Err(ApiError::invalid(format!(
            "deploymentConfiguration.maximumPercent is {maximum}; it must be at least {MAXIMUM_PERCENT_MIN}."
        )));
    }
    if (minimum, maximum) == (100, 100) {
        return Err(ApiError::invalid(
            "deploymentConfiguration: with minimumHealthyPercent 100 and maximumPercent 100 no deployment could start or \
             stop a task.",
        ));
    }
    Ok((minimum, maximum))
}

/// A deployment configuration after an update: what is asked for, else as it was.
pub fn merged(
    asked: Option<&DeploymentConfiguration>,
    old: Option<DeploymentConfiguration>,
) -> DeploymentConfiguration {
    let (asked, old) = (asked.cloned().unwrap_or_default(), old.unwrap_or_default());
    DeploymentConfiguration {
        deployment_circuit_breaker: asked.deployment_circuit_breaker.or(old.deployment_circuit_breaker),
        alarms: asked.alarms.or(old.alarms),
        strategy: asked.strategy.or(old.strategy),
        bake_time_in_minutes: asked.bake_time_in_minutes.or(old.bake_time_in_minutes),
        ..old
    }
}

/// The circuit breaker's threshold, where one is given.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_breaker(asked: Option<&DeploymentConfiguration>) -> Result<(), ApiError> {
    let breaker = asked.and_then(|asked| asked.deployment_circuit_breaker.as_ref());
    let Some(threshold) = breaker.and_then(|breaker| breaker.threshold_configuration.as_ref()) else { return Ok(()) };
    let (value, limit) = (threshold.value(), if threshold.r#type() == "COUNT" { i32::MAX } else { 100 });
    if (1..=limit).contains(&value) {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration.value is {value}; it must be between 1 and \
         {limit}."
    )))
}

/// Launch type, platform version, network configuration and placement fit the definition.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_tasks(definition: &TaskDefinitionRow, spec: &CreateServiceRequest) -> Result<(), ApiError> {
    let launch = Launch {
        launch_type: render::task::launch_type(spec.launch_type()),
        platform_version: spec.platform_version(),
        network: spec.network_configuration.as_ref(),
    };
    let Some(definition) = &definition.definition else { return Ok(()) };
    launch::check(definition, &launch)?;
    let asked = Placement { strategy: &spec.placement_strategy, constraints: &spec.placement_constraints };
    placement::check(definition, launch.launch_type, &asked).map(drop)
}

/// A desired count within ECS's quota.
///
/// # Errors
/// `InvalidParameterException`
pub fn desired_count(count: i32) -> Result<u32, ApiError> {
    match u32::try_from(count) {
        Ok(count) if count <= SERVICE_TASKS_MAX => Ok(count),
        _ => Err(ApiError::invalid(format!("desiredCount is {count}; it must be between 0 and {SERVICE_TASKS_MAX}."))),
    }
}

/// Seconds of a grace period.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_grace_period(seconds: Option<i32>) -> Result<(), ApiError> {
    match seconds.filter(|s| *s < 0) {
        None => Ok(()),
        Some(s) => Err(ApiError::invalid(format!("healthCheckGracePeriodSeconds is {s}; it must not be negative."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(minimum: Option<i32>, maximum: Option<i32>) -> DeploymentConfiguration {
        DeploymentConfiguration { minimum_healthy_percent: minimum, maximum_percent: maximum, ..Default::default() }
    }

    #[test]
    fn percents_default_to_what_was_and_deadlocks_are_refused() {
        assert_eq!(percents(None, None), Ok((100, 200)));
        assert_eq!(percents(Some(&asked(Some(50), None)), None), Ok((50, 200)));
        assert_eq!(percents(Some(&asked(None, Some(150))), Some((0, 100))), Ok((0, 150)));
        for (minimum, maximum) in [(100, 100), (101, 200), (-1, 200), (50, 99)] {
            assert!(percents(Some(&asked(Some(minimum), Some(maximum))), None).is_err(), "{minimum} {maximum}");
        }
    }
}
