//! What the outcomes of a health check say of the container: ECS's rule. Pure but for the clock's values it is given.

use std::time::{Duration, Instant};

use super::files::{Health, HealthCheck};

/// Follows the outcomes of one check.
pub struct Judge {
    retries: u32,
    /// Failures until then do not count, unless it was healthy before.
    lenient_until: Instant,
    failures: u32,
    health: Health,
}

impl Judge {
    /// Nothing known yet.
    pub fn new(check: &HealthCheck, started: Instant) -> Self {
        let lenient_until = started + Duration::from_millis(check.start_period_ms);
        Judge { retries: check.retries.max(1), lenient_until, failures: 0, health: Health::Unknown }
    }

    /// How the container stands after one more outcome.
    pub fn after(&mut self, succeeded: bool, now: Instant) -> Health {
        if succeeded {
            self.failures = 0;
            self.health = Health::Healthy;
        } else if self.health != Health::Unknown || now >= self.lenient_until {
            self.failures += 1;
            if self.failures >= self.retries {
                self.health = Health::Unhealthy;
            }
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(retries: u32, start_period_ms: u64, now: Instant) -> Judge {
        Judge::new(&HealthCheck { retries, start_period_ms, ..Default::default() }, now)
    }

    #[test]
    fn only_so_many_failures_in_a_row_make_it_unhealthy() {
        let now = Instant::now();
        let mut judge = judge(2, 0, now);
        assert_eq!(judge.after(false, now), Health::Unknown);
        assert_eq!(judge.after(true, now), Health::Healthy);
        assert_eq!(judge.after(false, now), Health::Healthy);
        assert_eq!(judge.after(false, now), Health::Unhealthy);
        assert_eq!(judge.after(true, now), Health::Healthy);
    }

    #[test]
    fn failures_of_the_start_period_do_not_count_until_it_was_healthy() {
        let now = Instant::now();
        let mut judge = judge(1, 1000, now);
        assert_eq!(judge.after(false, now), Health::Unknown);
        assert_eq!(judge.after(true, now), Health::Healthy);
        assert_eq!(judge.after(false, now), Health::Unhealthy);
        let mut late = super::tests::judge(1, 1000, now);
        assert_eq!(late.after(false, now + Duration::from_millis(1000)), Health::Unhealthy);
    }
}
