//! The deployment circuit breaker's settings, as a service's spec has them.

use seawall_proto::v1::{CreateServiceRequest, DeploymentConfiguration};

/// Failures of `BOUNDED_PERCENT` are never fewer…
const BOUNDED_MIN: u64 = 3;
/// …and never more than this.
const BOUNDED_MAX: u64 = 200;
/// The share of the desired count unless asked for otherwise.
const PERCENT: u64 = 50;

/// A circuit breaker that is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// A deployment that failed is rolled back.
    pub rollback: bool,
    /// A healthy task of the deployment forgives the failures before it.
    pub reset_on_healthy_task: bool,
    /// Tasks that end alike are enough: nobody said how many failures are.
    pub looks_for_crash_loops: bool,
    threshold: Threshold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Threshold {
    Count(u64),
    Bounded(u64),
    Unbounded(u64),
}

impl CircuitBreaker {
    /// Of a spec; `None` where it is off.
    pub fn of(spec: Option<&CreateServiceRequest>) -> Option<Self> {
        Self::of_configuration(spec?.deployment_configuration.as_ref())
    }

    /// Of a deployment configuration; `None` where it is off.
    pub fn of_configuration(configuration: Option<&DeploymentConfiguration>) -> Option<Self> {
        let asked = configuration?.deployment_circuit_breaker.as_ref().filter(|breaker| breaker.enable())?;
        let threshold = asked.threshold_configuration.as_ref();
        let looks_for_crash_loops = threshold.is_none();
        let value = threshold.and_then(|t| t.value).and_then(|value| u64::try_from(value).ok());
        let threshold = match threshold.map(|t| t.r#type()) {
            Some("COUNT") => Threshold::Count(value.unwrap_or(BOUNDED_MIN)),
            Some("UNBOUNDED_PERCENT") => Threshold::Unbounded(value.unwrap_or(PERCENT)),
            _ => Threshold::Bounded(value.unwrap_or(PERCENT)),
        };
        let reset_on_healthy_task = asked.reset_on_healthy_task.unwrap_or(true);
        Some(CircuitBreaker { rollback: asked.rollback(), reset_on_healthy_task, looks_for_crash_loops, threshold })
    }

    /// Failures at which a deployment of so many tasks is given up.
    pub fn threshold(self, desired: u32) -> u32 {
        let share = |percent: u64| (u64::from(desired) * percent).div_ceil(100);
        let failures = match self.threshold {
            Threshold::Count(count) => count,
            Threshold::Bounded(percent) => share(percent).clamp(BOUNDED_MIN, BOUNDED_MAX),
            Threshold::Unbounded(percent) => share(percent),
        };
        u32::try_from(failures.max(1)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::{DeploymentCircuitBreaker, ThresholdConfiguration};

    use super::*;

    fn breaker(threshold: Option<(&str, i32)>) -> CircuitBreaker {
        let threshold_configuration =
            threshold.map(|(kind, value)| ThresholdConfiguration { r#type: Some(kind.into()), value: Some(value) });
        let asked = DeploymentCircuitBreaker {
            enable: Some(true),
            threshold_configuration,
            ..DeploymentCircuitBreaker::default()
        };
        let configuration =
            DeploymentConfiguration { deployment_circuit_breaker: Some(asked), ..DeploymentConfiguration::default() };
        CircuitBreaker::of_configuration(Some(&configuration)).unwrap()
    }

    #[test]
    fn thresholds_are_counts_or_shares_of_the_desired_count() {
        let of = |threshold, desired: [u32; 4]| desired.map(|desired| breaker(threshold).threshold(desired));
        assert_eq!(of(None, [0, 5, 7, 5000]), [3, 3, 4, 200]);
        assert_eq!(of(Some(("BOUNDED_PERCENT", 10)), [0, 29, 31, 5000]), [3, 3, 4, 200]);
        assert_eq!(of(Some(("UNBOUNDED_PERCENT", 50)), [0, 1, 3, 5000]), [1, 1, 2, 2500]);
        assert_eq!(of(Some(("COUNT", 7)), [0, 1, 100, 5000]), [7; 4]);
    }

    #[test]
    fn it_is_off_unless_switched_on_and_forgives_unless_told_otherwise() {
        assert_eq!(CircuitBreaker::of(None), None);
        let off = DeploymentConfiguration {
            deployment_circuit_breaker: Some(DeploymentCircuitBreaker::default()),
            ..DeploymentConfiguration::default()
        };
        assert_eq!(CircuitBreaker::of_configuration(Some(&off)), None);
        assert!(breaker(None).reset_on_healthy_task && !breaker(None).rollback);
        assert!(breaker(None).looks_for_crash_loops && !breaker(Some(("COUNT", 5))).looks_for_crash_loops);
    }
}
