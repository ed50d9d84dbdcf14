//! The times of a schedule. A tick is a moment in epoch milliseconds; only the leader asks when the next one comes.
//!
//! Where clocks are set, an expression that names certain hours keeps to them: a tick in an hour that is left out comes at the
//! first moment after it, one in an hour that comes twice comes the first time. An expression that names every hour follows
//! the hours as they pass: nothing is made up for an hour that is left out, and one that comes twice has its ticks twice.

use std::sync::LazyLock;

use jiff::{
    Timestamp, Zoned,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};
use seawall_model::{ApiError, nearest};

use super::cron::Cron;

/// The zone where none is named.
pub const UTC: &str = "UTC";
/// Compiled in: the same on every machine, and there in an empty image.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
const NEAREST_SHOWN: usize = 3;
const FORMS: &str = "cron(0 3 * * ? *), rate(5 minutes) or at(2030-12-01T10:00:00)";
/// Longest period of a rate.
const RATE_DAYS_MAX: i64 = 3650;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// When a schedule is due.
#[derive(Clone, Debug)]
pub struct Ticks {
    zone: TimeZone,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Cron(Cron),
    /// Every so many milliseconds from an anchor on.
    Rate(i64),
    At(DateTime),
}

impl Ticks {
    /// Reads an expression and the name of a zone.
    ///
    /// # Errors
    /// `InvalidParameterException` saying what is wrong with which.
    pub fn parse(expression: &str, time_zone: &str) -> Result<Ticks, ApiError> {
        let rule = rule(expression.trim())
            .map_err(|why| ApiError::invalid(format!("Invalid schedule expression {expression:?}: {why}.")))?;
        Ok(Ticks { zone: zone(time_zone)?, rule })
    }

    /// The first tick after a moment. A rate counts from `anchor_ms`. `None`: never again.
    pub fn next(&self, anchor_ms: i64, after_ms: i64) -> Option<i64> {
        let after = Timestamp::from_millisecond(after_ms).ok()?;
        match &self.rule {
            Rule::Rate(period_ms) => {
                let periods = (after_ms - anchor_ms).div_euclid(*period_ms).max(0) + 1;
                anchor_ms.checked_add(periods.checked_mul(*period_ms)?)
            }
            Rule::At(time) => self.moment_of(*time).filter(|at| *at > after).map(Timestamp::as_millisecond),
            Rule::Cron(cron) if cron.is_every_hour() => {
                self.next_as_hours_pass(cron, after).map(Timestamp::as_millisecond)
            }
            Rule::Cron(cron) => self.next_by_the_clock(cron, after).map(Timestamp::as_millisecond),
        }
    }

    /// A moment in the schedule's zone, for people.
    pub fn local(&self, at_ms: i64) -> String {
        let at = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::MAX);
        Zoned::new(at, self.zone.clone()).to_string()
    }

    /// One civil time names one moment, so each is due once.
    fn next_by_the_clock(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut from = self.zone.to_datetime(after);
        // In an hour that comes a second time, its first ticks are over: at most the minutes of that hour are passed.
        loop {
            let time = cron.next(from)?;
            match self.moment_of(time) {
                Some(moment) if moment > after => return Some(moment),
                _ => from = time.checked_add(jiff::Span::new().minutes(1)).ok()?,
            }
        }
    }

    /// Between two transitions of the zone its offset is fixed: a match there is a moment.
    fn next_as_hours_pass(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let mut begin = after.checked_add(jiff::Span::new().milliseconds(1)).ok()?;
        loop {
            let offset = self.zone.to_offset(begin);
            let found = offset.to_timestamp(cron.next(offset.to_datetime(begin))?).ok()?;
            match self.zone.following(begin).next() {
                Some(transition) if transition.timestamp() <= found => begin = transition.timestamp(),
                _ => return Some(found),
            }
        }
    }

    /// The moment that a civil time means: the first of two, and where there is none, that at which the clock goes on.
    fn moment_of(&self, time: DateTime) -> Option<Timestamp> {
        let at = |offset: Offset| offset.to_timestamp(time).ok();
        match self.zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            // By the later offset it is before the transition.
            AmbiguousOffset::Gap { after, .. } => {
                let before = at(after)?;
                self.zone.following(before).next().map(|transition| transition.timestamp())
            }
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, ApiError> {
    ZONES.get(name).map_err(|_| {
        let near = nearest_zones(name);
        ApiError::invalid(format!("Unknown time zone {name:?}: zones are named as IANA does (nearest: {near})."))
    })
}

/// Who leaves the continent out means the city.
fn nearest_zones(name: &str) -> String {
    let all: Vec<String> = ZONES.available().map(|zone| zone.as_str().to_owned()).collect();
    let called: Vec<&str> = match name.contains('/') {
        true => all.iter().map(String::as_str).collect(),
        false => all.iter().filter_map(|zone| zone.rsplit('/').next()).collect(),
    };
    let zone_of = |city: &str| called.iter().position(|called| *called == city).map(|at| all[at].as_str());
    let near = nearest(name, called.iter().copied(), NEAREST_SHOWN);
    near.into_iter().filter_map(zone_of).collect::<Vec<_>>().join(", ")
}

fn rule(text: &str) -> Result<Rule, String> {
    let within = |word: &str| text.strip_prefix(word)?.strip_prefix('(')?.strip_suffix(')');
    if let Some(inner) = within("cron") {
        return Cron::parse(inner).map(Rule::Cron);
    }
    if let Some(inner) = within("rate") {
        return rate(inner).map(Rule::Rate);
    }
    if let Some(inner) = within("at") {
        return at(inner).map(Rule::At);
    }
    if text.contains('(') || text.split_ascii_whitespace().count() != 5 {
        return Err(format!("it must look like {FORMS}"));
    }
    Cron::parse(text).map(Rule::Cron)
}

fn rate(text: &str) -> Result<i64, String> {
    let (value, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit_ms = match unit.trim() {
        "minute" | "minutes" => MINUTE_MS,
        "hour" | "hours" => 60 * MINUTE_MS,
        "day" | "days" => DAY_MS,
        _ => return Err("a rate has a number and minutes, hours or days".into()),
    };
    let period_ms = value.parse::<u32>().ok().filter(|value| *value > 0).map(|value| i64::from(value) * unit_ms);
    match period_ms {
        Some(period_ms) if period_ms <= RATE_DAYS_MAX * DAY_MS => Ok(period_ms),
        _ => Err(format!("a rate is a whole number from 1 on, and at most {RATE_DAYS_MAX} days")),
    }
}

fn at(text: &str) -> Result<DateTime, String> {
    // Civil, as EventBridge has it: the zone is a member of its own.
    let is_civil = text.len() == "2030-12-01T10:00:00".len();
    let time = is_civil.then(|| text.parse::<DateTime>().ok()).flatten();
    time.ok_or_else(|| "a time looks like 2030-12-01T10:00:00, in the schedule's zone".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn first(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let ticks = Ticks::parse(expression, zone).unwrap();
        let after = ms(after);
        let times = std::iter::successors(ticks.next(after, after), |last| ticks.next(after, *last));
        times.take(count).map(|at| ticks.local(at)).collect()
    }

    #[test]
    fn an_hour_that_is_left_out() {
        // Berlin goes from 02:00 to 03:00 on 29 March 2026.
        let before = "2026-03-28T12:00:00Z";
        assert_eq!(
            first("cron(30 2 * * ? *)", "Europe/Berlin", before, 2),
            ["2026-03-29T03:00:00+02:00[Europe/Berlin]", "2026-03-30T02:30:00+02:00[Europe/Berlin]"]
        );
        // Several of that hour come together, once.
        assert_eq!(
            first("cron(*/20 2,3 29 3 ? 2026)", "Europe/Berlin", before, 9),
            [
                "2026-03-29T03:00:00+02:00[Europe/Berlin]",
                "2026-03-29T03:20:00+02:00[Europe/Berlin]",
                "2026-03-29T03:40:00+02:00[Europe/Berlin]"
            ]
        );
        assert_eq!(
            first("cron(30 * * * ? *)", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T01:30:00+01:00[Europe/Berlin]", "2026-03-29T03:30:00+02:00[Europe/Berlin]"]
        );
        // A whole day, in Samoa.
        assert_eq!(
            first("cron(0 9 30 12 ? 2011)", "Pacific/Apia", "2011-12-01T00:00:00Z", 2),
            ["2011-12-31T00:00:00+14:00[Pacific/Apia]"]
        );
    }

    #[test]
    fn an_hour_that_comes_twice() {
        // Berlin goes from 03:00 back to 02:00 on 25 October 2026.
        let before = "2026-10-24T23:00:00Z";
        assert_eq!(
            first("cron(30 2 * * ? *)", "Europe/Berlin", before, 2),
            ["2026-10-25T02:30:00+02:00[Europe/Berlin]", "2026-10-26T02:30:00+01:00[Europe/Berlin]"]
        );
        assert_eq!(
            first("cron(30 * * * ? *)", "Europe/Berlin", before, 4),
            [
                "2026-10-25T01:30:00+02:00[Europe/Berlin]",
                "2026-10-25T02:30:00+02:00[Europe/Berlin]",
                "2026-10-25T02:30:00+01:00[Europe/Berlin]",
                "2026-10-25T03:30:00+01:00[Europe/Berlin]"
            ]
        );
        // Asked in the second of the two hours, the first one's ticks are over.
        assert_eq!(
            first("cron(45 2 * * ? *)", "Europe/Berlin", "2026-10-25T01:10:00Z", 1),
            ["2026-10-26T02:45:00+01:00[Europe/Berlin]"]
        );
        assert_eq!(
            first("at(2026-10-25T02:30:00)", "Europe/Berlin", before, 2),
            ["2026-10-25T02:30:00+02:00[Europe/Berlin]"]
        );
    }

    #[test]
    fn rates_count_from_their_anchor() {
        let ticks = Ticks::parse("rate(5 minutes)", UTC).unwrap();
        assert_eq!(ticks.next(1_000, 1_000), Some(301_000));
        assert_eq!(ticks.next(1_000, 301_000), Some(601_000));
        assert_eq!(ticks.next(1_000, 301_000 + 299_999), Some(601_000));
        assert_eq!(ticks.next(1_000, 0), Some(301_000), "a moment before the anchor");
        assert_eq!(Ticks::parse("rate(1 day)", UTC).unwrap().next(0, 0), Some(DAY_MS));
        assert_eq!(Ticks::parse("rate(2 hours)", UTC).unwrap().next(0, 0), Some(7_200_000));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let told = |expression: &str, zone: &str| Ticks::parse(expression, zone).unwrap_err().message;
        insta::assert_snapshot!(
            [
                told("every day", UTC),
                told("cron(0 25 * * ? *)", UTC),
                told("rate(0 minutes)", UTC),
                told("rate(5)", UTC),
                told("rate(5000 days)", UTC),
                told("at(tomorrow)", UTC),
                told("at(2030-02-30T10:00:00)", UTC),
                told("at(2030-02-03T10:00:00Z)", UTC),
                told("rate(1 day)", "Europe/Berlino"),
                told("rate(1 day)", "Berlin"),
            ].join("\n"),
            @r#"
        Invalid schedule expression "every day": it must look like cron(0 3 * * ? *), rate(5 minutes) or at(2030-12-01T10:00:00).
        Invalid schedule expression "cron(0 25 * * ? *)": hours: "25" is not 0 to 23.
        Invalid schedule expression "rate(0 minutes)": a rate is a whole number from 1 on, and at most 3650 days.
        Invalid schedule expression "rate(5)": a rate has a number and minutes, hours or days.
        Invalid schedule expression "rate(5000 days)": a rate is a whole number from 1 on, and at most 3650 days.
        Invalid schedule expression "at(tomorrow)": a time looks like 2030-12-01T10:00:00, in the schedule's zone.
        Invalid schedule expression "at(2030-02-30T10:00:00)": a time looks like 2030-12-01T10:00:00, in the schedule's zone.
        Invalid schedule expression "at(2030-02-03T10:00:00Z)": a time looks like 2030-12-01T10:00:00, in the schedule's zone.
        Unknown time zone "Europe/Berlino": zones are named as IANA does (nearest: Europe/Berlin, Europe/Dublin, Europe/Tallinn).
        Unknown time zone "Berlin": zones are named as IANA does (nearest: Europe/Berlin, Asia/Bahrain, America/Belem).
        "#
        );
    }

    const ZONES_WITH_CHANGES: [&str; 5] =
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Santiago"];
    const EXPRESSIONS: [&str; 6] = [
        "cron(*/15 * * * ? *)",
        "cron(30 2 * * ? *)",
        "cron(*/20 1,2,3 ? * SUN *)",
        "cron(0 0 * * ? *)",
        "cron(59 */2 * * ? *)",
        "rate(35 minutes)",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whenever one asks, the answer is the same row of moments: nothing comes twice, and nothing between two is left out.
        #[test]
        fn ticks_do_not_depend_on_when_one_asks(
            zone in 0..5usize, expression in 0..6usize, start_min in 0i64..5_256_000, asks in prop::collection::vec(0i64..10_000_000, 1..20),
        ) {
            let ticks = Ticks::parse(EXPRESSIONS[expression], ZONES_WITH_CHANGES[zone]).unwrap();
            let start = ms("2024-01-01T00:00:00Z") + start_min * MINUTE_MS;
            let next = |after| ticks.next(start, after).unwrap();
            let row: Vec<i64> = std::iter::successors(Some(next(start)), |last| Some(next(*last))).take(200).collect();
            prop_assert!(row.is_sorted_by(|a, b| a < b));
            for ask in asks {
                let after = start + ask;
                let expected = row.iter().find(|tick| **tick > after);
                if let Some(expected) = expected {
                    prop_assert_eq!(next(after), *expected, "after {}", after);
                }
            }
        }

        /// Over ten years of changes in five zones each day has its tick, and none has two.
        #[test]
        fn a_daily_tick_comes_once_a_day(zone in 0..5usize, minute in 0u32..60, hour in 0u32..24, start_day in 0i64..3_000) {
            let ticks = Ticks::parse(&format!("cron({minute} {hour} * * ? *)"), ZONES_WITH_CHANGES[zone]).unwrap();
            let start = ms("2024-01-01T12:00:00Z") + start_day * DAY_MS;
            let days = 400;
            let row: Vec<i64> = std::iter::successors(ticks.next(0, start), |last| ticks.next(0, *last)).take(days).collect();
            let dates: Vec<_> =
                row.iter().map(|at| ticks.zone.to_datetime(Timestamp::from_millisecond(*at).unwrap()).date()).collect();
            for pair in dates.windows(2) {
                prop_assert_eq!(pair[0].tomorrow().unwrap(), pair[1], "{}", ticks.local(row[0]));
            }
        }
    }
}
