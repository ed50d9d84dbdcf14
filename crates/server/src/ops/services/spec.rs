//! What a service asks for, with ECS's defaults.

use seawall_model::{ApiError, limits::SERVICE_TASKS_MAX};
use seawall_proto::{
    internal::v1::TaskDefinitionRow,
    v1::{CreateServiceRequest, DeploymentConfiguration},
};
use seawall_scheduler::Strategy;
use seawall_state::DAEMON;

use crate::{
    render,
    validate::{
        launch::{self, Launch},
        placement::{self, Placement},
        task_definition::fargate::FARGATE,
    },
};

/// The scheduling strategy of services that have as many tasks as desired.
pub const REPLICA: &str = "REPLICA";
/// minimumHealthyPercent and maximumPercent of those unless asked for otherwise.
const PERCENTS: (u32, u32) = (100, 200);
/// The same of daemons.
const DAEMON_PERCENTS: (u32, u32) = (0, 100);
/// Below it a service could never have its desired count.
const MAXIMUM_PERCENT_MIN: u32 = 100;
/// Tasks are moved between zones.
const ENABLED: &str = "ENABLED";
/// They are not.
pub const DISABLED: &str = "DISABLED";

/// minimumHealthyPercent and maximumPercent unless asked for otherwise.
pub fn default_percents(strategy: &str) -> (u32, u32) {
    if strategy == DAEMON { DAEMON_PERCENTS } else { PERCENTS }
}

/// minimumHealthyPercent and maximumPercent: what is asked for, else `before`.
///
/// # Errors
/// `InvalidParameterException` for percentages under which no rollout could ever go on.
pub fn percents(asked: Option<&DeploymentConfiguration>, before: (u32, u32)) -> Result<(u32, u32), ApiError> {
    let (minimum, maximum) = before;
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

/// What a request asks for that a daemon may not have.
pub struct Daemon<'a> {
    pub desired_count: Option<i32>,
    pub has_strategy: bool,
    pub has_providers: bool,
    pub launch_type: &'a str,
    pub maximum_percent: Option<i32>,
}

/// What a daemon has no use for.
///
/// # Errors
/// `InvalidParameterException` in ECS's words.
pub fn check_daemon(asked: &Daemon<'_>) -> Result<(), ApiError> {
    let refused = |what: &str, way_out: &str| {
        let message = format!("The daemon scheduling strategy does not support {what}. {way_out} and try again");
        Err(ApiError::invalid(message))
    };
    if asked.desired_count.is_some() {
        return refused("a desired count for services", "Remove the desired count value");
    }
    if asked.has_strategy {
        return refused("placement strategies", "Remove the placement strategy");
    }
    if asked.launch_type == FARGATE {
        return refused("the launch type FARGATE", "Change the launch type");
    }
    if asked.maximum_percent.is_some_and(|maximum| maximum > DAEMON_PERCENTS.1 as i32) {
        return refused(
            "values above 100 for maximumPercent on a deployment configuration",
            "Change the maximumPercent value to 100,",
        );
    }
    if asked.has_providers {
        return Err(ApiError::invalid(
            "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling \
             strategy.",
        ));
    }
    Ok(())
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
        early_success_criteria: asked.early_success_criteria.or(old.early_success_criteria),
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

/// Early success criteria that are switched on, beside the minimum.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_early_success(asked: Option<&DeploymentConfiguration>, minimum: u32) -> Result<(), ApiError> {
    let criteria = asked.and_then(|asked| asked.early_success_criteria.as_ref()).filter(|criteria| criteria.enable());
    let Some(criteria) = criteria else { return Ok(()) };
    let bad = |what: String| Err(ApiError::invalid(format!("deploymentConfiguration.earlySuccessCriteria{what}")));
    match criteria.healthy_percent.map(i64::from) {
        None => bad(": healthyPercent is required where it is enabled.".into()),
        Some(percent) if percent < i64::from(minimum) => {
            bad(format!(".healthyPercent is {percent}; it must be at least minimumHealthyPercent, which is {minimum}."))
        }
        Some(_) if criteria.source_service_revision_cleanup().is_empty() => {
            bad(": sourceServiceRevisionCleanup is required where it is enabled.".into())
        }
        Some(_) => Ok(()),
    }
}

/// Whether tasks are moved between zones, given the rest of the spec: as asked, else where that is possible.
///
/// # Errors
/// `InvalidParameterException` where it is asked for and cannot be.
pub fn rebalancing(asked: Option<&str>, spec: &CreateServiceRequest, maximum_percent: u32) -> Result<String, ApiError> {
    let zones_first = Strategy::parse(&spec.placement_strategy, 0).is_ok_and(|strategy| strategy.spreads_zones_first());
    let obstacle = match () {
        () if spec.scheduling_strategy() == DAEMON => Some("the scheduling strategy DAEMON"),
        () if maximum_percent <= MAXIMUM_PERCENT_MIN => Some("maximumPercent <= 100"),
        () if !zones_first => {
            Some("a placement strategy that does not spread over attribute:ecs.availability-zone first")
        }
        () => None,
    };
    match (asked.filter(|word| !word.is_empty()), obstacle) {
        (None, None) => Ok(ENABLED.into()),
        (None, Some(_)) => Ok(DISABLED.into()),
        (Some(ENABLED), Some(obstacle)) => {
            Err(ApiError::invalid(format!("AvailabilityZoneRebalancing does not support {obstacle}")))
        }
        (Some(word), _) => Ok(word.into()),
    }
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
    placement::check(definition, launch.launch_type, &asked)
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
    use seawall_proto::v1::PlacementStrategy;

    use super::*;

    fn asked(minimum: Option<i32>, maximum: Option<i32>) -> DeploymentConfiguration {
        DeploymentConfiguration { minimum_healthy_percent: minimum, maximum_percent: maximum, ..Default::default() }
    }

    #[test]
    fn percents_default_to_what_was_and_deadlocks_are_refused() {
        assert_eq!(percents(None, default_percents(REPLICA)), Ok((100, 200)));
        assert_eq!(percents(None, default_percents(DAEMON)), Ok((0, 100)));
        assert_eq!(percents(Some(&asked(Some(50), None)), PERCENTS), Ok((50, 200)));
        assert_eq!(percents(Some(&asked(None, Some(150))), (0, 100)), Ok((0, 150)));
        for (minimum, maximum) in [(100, 100), (101, 200), (-1, 200), (50, 99)] {
            assert!(percents(Some(&asked(Some(minimum), Some(maximum))), PERCENTS).is_err(), "{minimum} {maximum}");
        }
    }

    #[test]
    fn zones_are_rebalanced_where_that_is_possible() {
        let plain = CreateServiceRequest::default();
        let daemon = CreateServiceRequest { scheduling_strategy: Some(DAEMON.into()), ..plain.clone() };
        let by = |field: &str| CreateServiceRequest {
            placement_strategy: vec![PlacementStrategy { r#type: Some("spread".into()), field: Some(field.into()) }],
            ..plain.clone()
        };
        let says =
            |asked, spec: &CreateServiceRequest, maximum| rebalancing(asked, spec, maximum).map_err(|e| e.message);
        let refused = |what: &str| Err(format!("AvailabilityZoneRebalancing does not support {what}"));
        assert_eq!(says(None, &plain, 200), Ok("ENABLED".into()));
        assert_eq!(says(None, &by("attribute:ecs.availability-zone"), 101), Ok("ENABLED".into()));
        for (spec, maximum) in [(&plain, 100), (&daemon, 200), (&by("instanceId"), 200)] {
            assert_eq!(says(None, spec, maximum), Ok("DISABLED".into()));
            assert_eq!(says(Some("DISABLED"), spec, maximum), Ok("DISABLED".into()));
            assert!(says(Some("ENABLED"), spec, maximum).is_err());
        }
        assert_eq!(says(Some("ENABLED"), &plain, 100), refused("maximumPercent <= 100"));
        assert_eq!(says(Some("DISABLED"), &plain, 200), Ok("DISABLED".into()));
    }
}
