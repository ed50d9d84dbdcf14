//! Which of the times that have come a job begins for.

use seawall_proto::internal::v1::ScheduleRow;

use super::{Ticks, policy};

/// With SKIP, a job that could not begin for so long after its time does not, unless the schedule says otherwise.
pub const ON_TIME_MS: i64 = 60_000;
/// Times that ALL makes up for; those before them are let pass.
pub const CATCH_UP_MAX: usize = 100;
/// Times let pass that are counted, one by one, for one job.
pub const MISSED_COUNTED_MAX: u32 = 1000;

/// A time that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The time.
    pub tick_ms: i64,
    /// Times before it that no job begins for.
    pub missed: u32,
}

/// The time to begin the next job for, if one has come.
pub fn due(ticks: &Ticks, row: &ScheduleRow, now_ms: i64) -> Option<Due> {
    let spec = row.spec.clone().unwrap_or_default();
    let deadline_ms = match (spec.start_deadline_seconds(), spec.catch_up()) {
        (0, policy::SKIP) => ON_TIME_MS,
        (0, _) => i64::MAX,
        (seconds, _) => i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000),
    };
    // Up to here it is too late.
    let late_ms = row.handled_ms.max(now_ms.saturating_sub(deadline_ms).saturating_sub(1));
    let next = |after_ms| ticks.next(row.anchor_ms, after_ms).filter(|tick| *tick <= now_ms);
    let newest = newest(&next, late_ms, now_ms)?;
    let tick_ms = if spec.catch_up() == policy::ALL { oldest_of_newest(&next, late_ms, newest) } else { newest };
    let passed = std::iter::successors(next(row.handled_ms), |last| next(*last)).take_while(|tick| *tick < tick_ms);
    let missed = passed.take(MISSED_COUNTED_MAX as usize).count() as u32;
    Some(Due { tick_ms, missed })
}

/// The last time after `after_ms` that has come. Halves the span again and again, so that a year of minutes costs forty looks.
fn newest(next: &impl Fn(i64) -> Option<i64>, after_ms: i64, now_ms: i64) -> Option<i64> {
    next(after_ms)?;
    // Something comes after `low`, nothing after `high`.
    let (mut low, mut high) = (after_ms, now_ms);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if next(middle).is_some() { low = middle } else { high = middle }
    }
    next(low)
}

/// The first of the last [`CATCH_UP_MAX`] times up to `newest_ms`.
fn oldest_of_newest(next: &impl Fn(i64) -> Option<i64>, after_ms: i64, newest_ms: i64) -> i64 {
    let first: Vec<i64> = std::iter::successors(next(after_ms), |last| next(*last)).take(CATCH_UP_MAX + 1).collect();
    if first.len() <= CATCH_UP_MAX {
        return first.first().copied().unwrap_or(newest_ms);
    }
    let mut oldest_ms = newest_ms;
    for _ in 1..CATCH_UP_MAX {
        let before = |after| next(after).filter(|tick| *tick < oldest_ms);
        oldest_ms = newest(&before, after_ms, oldest_ms).unwrap_or(oldest_ms);
    }
    oldest_ms
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::ScheduleSpec;

    use super::*;

    const MINUTE_MS: i64 = 60_000;

    /// Every minute, with nothing done since the hour 0.
    fn found(catch_up: &str, start_deadline_seconds: u64, now_ms: i64) -> Option<(i64, u32)> {
        let spec = ScheduleSpec {
            catch_up: Some(catch_up.into()),
            start_deadline_seconds: Some(start_deadline_seconds),
            ..Default::default()
        };
        let row = ScheduleRow { spec: Some(spec), ..Default::default() };
        let ticks = Ticks::parse("rate(1 minute)", "UTC").unwrap();
        due(&ticks, &row, now_ms).map(|due| (due.tick_ms, due.missed))
    }

    #[test]
    fn nothing_is_due_before_its_time_and_everything_at_it() {
        for policy in [policy::SKIP, policy::ONE, policy::ALL] {
            assert_eq!(found(policy, 0, MINUTE_MS - 1), None, "{policy}");
            assert_eq!(found(policy, 0, MINUTE_MS), Some((MINUTE_MS, 0)), "{policy}");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_the_policy_says() {
        // Half a minute after the tenth.
        let now_ms = 10 * MINUTE_MS + MINUTE_MS / 2;
        assert_eq!(found(policy::ONE, 0, now_ms), Some((10 * MINUTE_MS, 9)));
        assert_eq!(found(policy::ALL, 0, now_ms), Some((MINUTE_MS, 0)));
        assert_eq!(found(policy::ALL, 150, now_ms), Some((8 * MINUTE_MS, 7)), "no older than 2.5 minutes");
        assert_eq!(found(policy::SKIP, 0, now_ms), Some((10 * MINUTE_MS, 9)));
        assert_eq!(found(policy::SKIP, 10, now_ms), None, "half a minute is too late");
        assert_eq!(found(policy::ONE, 30, now_ms), Some((10 * MINUTE_MS, 9)), "just in time");
    }

    #[test]
    fn a_year_of_minutes_is_looked_through_in_no_time_and_made_up_for_within_the_limit() {
        let year = 365 * 24 * 60;
        assert_eq!(found(policy::ONE, 0, year * MINUTE_MS), Some((year * MINUTE_MS, MISSED_COUNTED_MAX)));
        let oldest = (year - CATCH_UP_MAX as i64 + 1) * MINUTE_MS;
        assert_eq!(found(policy::ALL, 0, year * MINUTE_MS), Some((oldest, MISSED_COUNTED_MAX)));
    }
}
