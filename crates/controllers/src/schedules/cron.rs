//! Cron expressions, and the next civil time that one names. Zones are `ticks.rs`'s business.
//!
//! Two dialects: six fields as EventBridge has them (`0 3 ? * MON-FRI *`, days of the week from 1 for Sunday, a year, `?` for the
//! day that is not asked about), and the five of UNIX (`0 3 * * 1-5`, from 0 for Sunday; with both days given, either will do).

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime, Weekday, date};

/// The last year that an expression may name, as EventBridge has it. Beyond it nothing is looked for.
const YEAR_MAX: u16 = 2199;
const YEAR_MIN: u16 = 1970;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Of a week, from Sunday; the last of any month is within so many days of its end.
const WEEK: i8 = 7;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cron {
    minutes: BTreeSet<u16>,
    hours: BTreeSet<u16>,
    months: BTreeSet<u16>,
    /// `None`: all.
    years: Option<BTreeSet<u16>>,
    days: Days,
}

/// Days that match.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Days {
    Every,
    OfMonth(Vec<MonthDay>),
    OfWeek(Vec<WeekDay>),
    /// Of UNIX, with both given.
    Either(Vec<MonthDay>, Vec<WeekDay>),
    /// The same where one begins with a star: it restricts, and adds nothing.
    Both(Vec<MonthDay>, Vec<WeekDay>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MonthDay {
    Day(i8),
    /// `L`
    Last,
    /// `15W`: the weekday nearest to it, in the same month.
    Nearest(i8),
    /// `LW`
    LastWeekday,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WeekDay {
    Day(Weekday),
    /// `FRI#2`
    Nth(Weekday, i8),
    /// `FRIL`
    Last(Weekday),
}

/// A field and what may be in it.
struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    /// Names of the values from `min` on.
    words: &'static [&'static str],
}

const MINUTES: Field = Field { name: "minutes", min: 0, max: 59, words: &[] };
const HOURS: Field = Field { name: "hours", min: 0, max: 23, words: &[] };
const MONTH_DAYS: Field = Field { name: "day of the month", min: 1, max: 31, words: &[] };
const MONTH: Field = Field { name: "month", min: 1, max: 12, words: &MONTHS };
const YEAR: Field = Field { name: "year", min: YEAR_MIN, max: YEAR_MAX, words: &[] };
/// Of EventBridge.
const WEEK_DAYS_FROM_1: Field = Field { name: "day of the week", min: 1, max: 7, words: &WEEKDAYS };
/// Of UNIX, where 7 is Sunday too.
const WEEK_DAYS_FROM_0: Field = Field { name: "day of the week", min: 0, max: 7, words: &WEEKDAYS };

impl Cron {
    /// Reads the fields.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub(super) fn parse(text: &str) -> Result<Cron, String> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (fields, year, weekday) = match fields.as_slice() {
            [fields @ .., year] if fields.len() == 5 => (fields, Some(*year), &WEEK_DAYS_FROM_1),
            fields if fields.len() == 5 => (fields, None, &WEEK_DAYS_FROM_0),
            other => {
                return Err(format!(
                    "it has {} fields; it must have 6 (minutes, hours, day of the month, month, day of the week, year), or the \
                     first 5",
                    other.len()
                ));
            }
        };
        let is_unix = year.is_none();
        Ok(Cron {
            minutes: MINUTES.values(fields[0])?,
            hours: HOURS.values(fields[1])?,
            days: days(fields[2], fields[4], weekday, is_unix)?,
            months: MONTH.values(fields[3])?,
            years: year.filter(|text| *text != "*").map(|text| YEAR.values(text)).transpose()?,
        })
    }

    /// Whether it names every hour: such an expression follows the hours as they pass, not those on the clock.
    pub(super) fn is_every_hour(&self) -> bool {
        self.hours.len() == usize::from(HOURS.max) + 1
    }

    /// The first time it names that is not before `from`.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        let from = if from.second() == 0 && from.subsec_nanosecond() == 0 { from } else { next_minute(from)? };
        let mut day = from.date();
        let mut not_before = (from.hour(), from.minute());
        while u16::try_from(day.year()).ok()? <= YEAR_MAX {
            let next = self.next_candidate(day)?;
            if next != day {
                (day, not_before) = (next, (0, 0));
                continue;
            }
            if let Some((hour, minute)) = self.time(not_before).filter(|_| self.days.contain(day)) {
                return Some(day.at(hour, minute, 0, 0));
            }
            (day, not_before) = (day.tomorrow().ok()?, (0, 0));
        }
        None
    }

    /// `day` if its year and month match, else the first day of the next month that does.
    fn next_candidate(&self, day: Date) -> Option<Date> {
        let (year, month) = (u16::try_from(day.year()).ok()?, u16::try_from(day.month()).ok()?);
        let year_matches = |year: u16| self.years.as_ref().is_none_or(|years| years.contains(&year));
        if !year_matches(year) {
            let next = self.years.as_ref()?.range(year..).next()?;
            return Some(date(i16::try_from(*next).ok()?, 1, 1));
        }
        match self.months.range(month..).next() {
            Some(found) if *found == month => Some(day),
            Some(found) => Some(date(day.year(), i8::try_from(*found).ok()?, 1)),
            None => Some(date(day.year() + 1, 1, 1)),
        }
    }

    /// The first time of a day that is not before this one.
    fn time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        let (hour, minute) = (u16::try_from(hour).ok()?, u16::try_from(minute).ok()?);
        let in_this_hour =
            || Some((hour, *self.minutes.range(minute..).next()?)).filter(|_| self.hours.contains(&hour));
        let in_later_hour = || Some((*self.hours.range(hour + 1..).next()?, *self.minutes.first()?));
        let (hour, minute) = in_this_hour().or_else(in_later_hour)?;
        Some((i8::try_from(hour).ok()?, i8::try_from(minute).ok()?))
    }
}

fn next_minute(time: DateTime) -> Option<DateTime> {
    let whole = time.date().at(time.hour(), time.minute(), 0, 0);
    whole.checked_add(jiff::Span::new().minutes(1)).ok()
}

fn days(of_month: &str, of_week: &str, weekday: &Field, is_unix: bool) -> Result<Days, String> {
    let is_any = |text: &str| text == "*" || text == "?";
    if !is_unix && (of_month == "?") == (of_week == "?") {
        return Err("one of the day of the month and the day of the week must be ?, and only one".into());
    }
    let month_days = || items(of_month).map(month_day).collect::<Result<Vec<_>, _>>().map(|days| days.concat());
    let week_days = || items(of_week).map(|item| week_day(item, weekday)).collect::<Result<Vec<_>, _>>();
    Ok(match (is_any(of_month), is_any(of_week)) {
        (true, true) => Days::Every,
        (false, true) => Days::OfMonth(month_days()?),
        (true, false) => Days::OfWeek(week_days()?.concat()),
        (false, false) if of_month.starts_with('*') || of_week.starts_with('*') => {
            Days::Both(month_days()?, week_days()?.concat())
        }
        (false, false) => Days::Either(month_days()?, week_days()?.concat()),
    })
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
}

fn month_day(item: &str) -> Result<Vec<MonthDay>, String> {
    match item {
        "L" => Ok(vec![MonthDay::Last]),
        "LW" => Ok(vec![MonthDay::LastWeekday]),
        _ => match item.strip_suffix('W') {
            Some(day) => Ok(vec![MonthDay::Nearest(small(MONTH_DAYS.value(day)?))]),
            None => Ok(MONTH_DAYS.item(item)?.into_iter().map(|day| MonthDay::Day(small(day))).collect()),
        },
    }
}

fn week_day(item: &str, field: &Field) -> Result<Vec<WeekDay>, String> {
    if item == "L" {
        // The last day of a week.
        return Ok(vec![WeekDay::Day(Weekday::Saturday)]);
    }
    if let Some((day, nth)) = item.split_once('#') {
        return match nth.parse() {
            Ok(nth @ 1..=5) => Ok(vec![WeekDay::Nth(field.weekday(field.value(day)?), nth)]),
            _ => Err(format!("{}: {item:?}: # takes 1 to 5", field.name)),
        };
    }
    // SAT, but not a name that happens to end in L: there is none.
    if let Some(day) = item.strip_suffix('L') {
        return Ok(vec![WeekDay::Last(field.weekday(field.value(day)?))]);
    }
    Ok(field.item(item)?.into_iter().map(|day| WeekDay::Day(field.weekday(day))).collect())
}

impl Field {
    /// All values of a list.
    fn values(&self, text: &str) -> Result<BTreeSet<u16>, String> {
        let mut all = BTreeSet::new();
        for item in items(text) {
            all.extend(self.item(item)?);
        }
        Ok(all)
    }

    /// `*`, `5`, `MON-FRI`, `*/15`, `10/15` or `10-40/15`.
    fn item(&self, item: &str) -> Result<Vec<u16>, String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(item, step)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // From there on, where a step follows.
            None => (self.value(range)?, if step.is_some() { self.max } else { self.value(range)? }),
        };
        if first > last {
            return Err(format!("{}: {item:?} goes backwards", self.name));
        }
        Ok((first..=last).step_by(step.unwrap_or(1)).collect())
    }

    fn step(&self, item: &str, step: &str) -> Result<usize, String> {
        match step.parse::<u16>() {
            Ok(step) if (1..=self.max).contains(&step) => Ok(step.into()),
            _ => Err(format!("{}: {item:?}: a step is a whole number from 1 to {}", self.name, self.max)),
        }
    }

    fn value(&self, text: &str) -> Result<u16, String> {
        if let Some(at) = self.words.iter().position(|word| word.eq_ignore_ascii_case(text)) {
            return Ok(self.min + at as u16);
        }
        match text.parse::<u16>() {
            Ok(value) if (self.min..=self.max).contains(&value) => Ok(value),
            _ => {
                let words = match self.words {
                    [first, .., last] => format!(", or {first} to {last}"),
                    _ => String::new(),
                };
                Err(format!("{}: {text:?} is not {} to {}{words}", self.name, self.min, self.max))
            }
        }
    }

    /// The day that a value of this field means.
    fn weekday(&self, value: u16) -> Weekday {
        let from_sunday = (value - self.min) % WEEK as u16;
        Weekday::from_sunday_zero_offset(small(from_sunday)).unwrap_or(Weekday::Sunday)
    }
}

/// Values of days fit in any integer.
fn small(value: u16) -> i8 {
    value as i8
}

impl Days {
    fn contain(&self, day: Date) -> bool {
        let of_month = |days: &[MonthDay]| days.iter().any(|d| d.is(day));
        let of_week = |days: &[WeekDay]| days.iter().any(|d| d.is(day));
        match self {
            Days::Every => true,
            Days::OfMonth(days) => of_month(days),
            Days::OfWeek(days) => of_week(days),
            Days::Either(month, week) => of_month(month) || of_week(week),
            Days::Both(month, week) => of_month(month) && of_week(week),
        }
    }
}

impl MonthDay {
    fn is(self, day: Date) -> bool {
        match self {
            MonthDay::Day(wanted) => day.day() == wanted,
            MonthDay::Last => day.day() == day.days_in_month(),
            MonthDay::Nearest(wanted) => wanted <= day.days_in_month() && day.day() == nearest_weekday(day, wanted),
            MonthDay::LastWeekday => day.day() == nearest_weekday(day, day.days_in_month()),
        }
    }
}

/// The Monday to Friday nearest to a day of the month that `in_month` is in, without leaving it.
fn nearest_weekday(in_month: Date, wanted: i8) -> i8 {
    let wanted_date = date(in_month.year(), in_month.month(), wanted);
    match wanted_date.weekday() {
        Weekday::Saturday if wanted == 1 => 3,
        Weekday::Saturday => wanted - 1,
        Weekday::Sunday if wanted == in_month.days_in_month() => wanted - 2,
        Weekday::Sunday => wanted + 1,
        _ => wanted,
    }
}

impl WeekDay {
    fn is(self, day: Date) -> bool {
        match self {
            WeekDay::Day(wanted) => day.weekday() == wanted,
            WeekDay::Nth(wanted, nth) => day.weekday() == wanted && (day.day() - 1) / WEEK + 1 == nth,
            WeekDay::Last(wanted) => day.weekday() == wanted && day.day() + WEEK > day.days_in_month(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(expression: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(expression).unwrap();
        let mut from: DateTime = from.parse().unwrap();
        let mut times = Vec::new();
        while times.len() < count
            && let Some(next) = cron.next(from)
        {
            times.push(next.strftime("%a %Y-%m-%d %H:%M").to_string());
            from = next.checked_add(jiff::Span::new().minutes(1)).unwrap();
        }
        times
    }

    #[test]
    fn times_of_expressions() {
        let from = "2026-01-30T10:07:30";
        let cases = [
            ("0 3 * * ? *", ["Sat 2026-01-31 03:00", "Sun 2026-02-01 03:00"]),
            ("*/15 10 ? * MON-FRI *", ["Fri 2026-01-30 10:15", "Fri 2026-01-30 10:30"]),
            ("5/20 * * * ? *", ["Fri 2026-01-30 10:25", "Fri 2026-01-30 10:45"]),
            // EventBridge counts from Sunday as 1, UNIX from Sunday as 0, and there 7 is Sunday too.
            ("0 8 ? * 2 *", ["Mon 2026-02-02 08:00", "Mon 2026-02-09 08:00"]),
            ("0 8 * * 1", ["Mon 2026-02-02 08:00", "Mon 2026-02-09 08:00"]),
            ("0 8 * * 7", ["Sun 2026-02-01 08:00", "Sun 2026-02-08 08:00"]),
            ("0 8 ? * 6#3 *", ["Fri 2026-02-20 08:00", "Fri 2026-03-20 08:00"]),
            ("0 8 ? * 6L *", ["Fri 2026-01-30 08:00", "Fri 2026-02-27 08:00"]),
            ("0 8 ? * L *", ["Sat 2026-01-31 08:00", "Sat 2026-02-07 08:00"]),
            ("0 8 L * ? *", ["Sat 2026-01-31 08:00", "Sat 2026-02-28 08:00"]),
            ("0 8 LW * ? *", ["Fri 2026-02-27 08:00", "Tue 2026-03-31 08:00"]),
            // Saturday the 31st is kept in its month; Sunday the 1st moves to Monday.
            ("0 8 31W * ? *", ["Tue 2026-03-31 08:00", "Fri 2026-05-29 08:00"]),
            ("0 8 1W * ? *", ["Mon 2026-02-02 08:00", "Mon 2026-03-02 08:00"]),
            ("0 0 29 FEB ? *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
            ("0 0 1 1 ? 2030,2035", ["Tue 2030-01-01 00:00", "Mon 2035-01-01 00:00"]),
            // UNIX: either day will do.
            ("0 0 13 * 5", ["Fri 2026-02-06 00:00", "Fri 2026-02-13 00:00"]),
            ("0 0 */2 * 5", ["Fri 2026-02-13 00:00", "Fri 2026-02-27 00:00"]),
            ("0 0 13 * ?", ["Fri 2026-02-13 00:00", "Fri 2026-03-13 00:00"]),
        ];
        for (expression, expected) in cases {
            let times = first(expression, from, 2);
            let found = if expression.contains("6L") { first(expression, "2026-01-30T00:00:00", 2) } else { times };
            assert_eq!(found, expected, "{expression}");
        }
    }

    #[test]
    fn what_is_past_or_impossible_has_no_time() {
        for expression in ["0 0 31 2 ? *", "0 0 30 FEB ? *", "0 0 1 1 ? 2020", "0 0 31 4,6,9,11 ? *"] {
            assert_eq!(first(expression, "2026-01-30T10:07:30", 1), Vec::<String>::new(), "{expression}");
        }
        assert_eq!(first("59 23 31 12 ? 2199", "2026-01-01T00:00:00", 2), ["Tue 2199-12-31 23:59"]);
    }

    #[test]
    fn what_is_wrong_is_said_by_field() {
        let told = |text: &str| Cron::parse(text).unwrap_err();
        assert_eq!(
            told("* * *"),
            "it has 3 fields; it must have 6 (minutes, hours, day of the month, month, day of the week, year), or the first 5"
        );
        assert_eq!(told("60 * * * ? *"), "minutes: \"60\" is not 0 to 59");
        assert_eq!(told("0 24 * * ? *"), "hours: \"24\" is not 0 to 23");
        assert_eq!(told("0 0 0 * ? *"), "day of the month: \"0\" is not 1 to 31");
        assert_eq!(told("0 0 1 FOO ? *"), "month: \"FOO\" is not 1 to 12, or JAN to DEC");
        assert_eq!(told("0 0 ? * 0 *"), "day of the week: \"0\" is not 1 to 7, or SUN to SAT");
        assert_eq!(told("0 0 ? * FRI-MON *"), "day of the week: \"FRI-MON\" goes backwards");
        assert_eq!(told("0 0 ? * FRI#6 *"), "day of the week: \"FRI#6\": # takes 1 to 5");
        assert_eq!(told("*/0 * * * ? *"), "minutes: \"*/0\": a step is a whole number from 1 to 59");
        assert_eq!(told("0 0 1 1 ? 1969"), "year: \"1969\" is not 1970 to 2199");
        let days = "one of the day of the month and the day of the week must be ?, and only one";
        assert_eq!(told("0 0 * * * *"), days);
        assert_eq!(told("0 0 ? * ? *"), days);
        assert_eq!(told(", * * * ? *"), "minutes: \"\" is not 0 to 59");
    }

    fn field(min: u16, max: u16) -> impl Strategy<Value = String> {
        prop_oneof![
            Just("*".to_owned()),
            (min..=max).prop_map(|v| v.to_string()),
            (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (min..=max, 1..=max.min(20)).prop_map(|(a, step)| format!("{a}/{step}")),
            (min..=max, min..=max).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against looking at each minute of a month.
        #[test]
        fn the_next_time_is_the_first_minute_that_matches(
            minute in field(0, 59), hour in field(0, 23), day in field(1, 31), month in field(1, 12), start in 0i64..525_600,
        ) {
            let cron = Cron::parse(&format!("{minute} {hour} {day} {month} ? *")).unwrap();
            let values = |field: &Field, text: &str| field.values(text).unwrap();
            let (minutes, hours) = (values(&MINUTES, &minute), values(&HOURS, &hour));
            let (days, months) = (values(&MONTH_DAYS, &day), values(&MONTH, &month));
            let begin = date(2027, 1, 1).at(0, 0, 0, 0).checked_add(jiff::Span::new().minutes(start)).unwrap();
            let matches = |time: DateTime| {
                let has = |set: &BTreeSet<u16>, value: i8| set.contains(&(value as u16));
                has(&minutes, time.minute()) && has(&hours, time.hour()) && has(&days, time.day()) && has(&months, time.month())
            };
            let mut time = begin;
            let found = (0..31 * 24 * 60).find_map(|_| {
                let this = time;
                time = time.checked_add(jiff::Span::new().minutes(1)).unwrap();
                matches(this).then_some(this)
            });
            match found {
                Some(first) => prop_assert_eq!(cron.next(begin), Some(first)),
                None => prop_assert!(cron.next(begin).is_none_or(|next| next >= time)),
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9*?LW#,/A-Z -]{0,24}") {
            if let Ok(cron) = Cron::parse(&text) {
                cron.next(date(2026, 1, 1).at(0, 0, 0, 0));
            }
        }
    }
}
