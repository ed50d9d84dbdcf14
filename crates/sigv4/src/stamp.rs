//! Times as signatures carry them: `20261125T140211Z`.

use std::fmt;

use time::{Date, Month, OffsetDateTime, Time};

/// A second in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp(OffsetDateTime);

impl Stamp {
    /// The second that holds this many milliseconds since 1970; the last one that can be written for what lies beyond.
    pub fn of_ms(ms: i64) -> Stamp {
        let last = Date::MAX.with_time(Time::MIDNIGHT).assume_utc();
        Stamp(OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(last))
    }

    /// Reads `20261125T140211Z`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Stamp> {
        let digits = text.as_bytes();
        if digits.len() != 16 || digits[8] != b'T' || digits[15] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u16> {
            let part = digits.get(from..to)?;
            part.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u16::from(digit - b'0')))
        };
        let small = |from| number(from, from + 2).and_then(|n| u8::try_from(n).ok());
        let month = Month::try_from(small(4)?).ok()?;
        let date = Date::from_calendar_date(i32::from(number(0, 4)?), month, small(6)?).ok()?;
        let time = Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
        Some(Stamp(date.with_time(time).assume_utc()))
    }

    /// Milliseconds since 1970.
    pub fn ms(self) -> i64 {
        self.0.unix_timestamp().saturating_mul(1000)
    }

    /// Its day, as scopes begin: `20261125`.
    pub fn day(self) -> String {
        let date = self.0.date();
        format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day())
    }

    /// For people: `14:02:11`, with the day where it is not that of `other`.
    pub fn clock(self, other: Stamp) -> String {
        let (hour, minute, second) = self.0.to_hms();
        let clock = format!("{hour:02}:{minute:02}:{second:02}");
        if self.0.date() == other.0.date() { clock } else { format!("{} {clock}", self.0.date()) }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hour, minute, second) = self.0.to_hms();
        write!(f, "{}T{hour:02}{minute:02}{second:02}Z", self.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_as_they_are_written() {
        let stamp = Stamp::parse("20261125T140211Z").unwrap();
        assert_eq!(stamp.ms(), 1_795_615_331_000);
        assert_eq!(Stamp::of_ms(1_795_615_331_999), stamp);
        assert_eq!((stamp.to_string().as_str(), stamp.day().as_str()), ("20261125T140211Z", "20261125"));
        let later = Stamp::parse("20261126T000000Z").unwrap();
        assert_eq!((stamp.clock(stamp), stamp.clock(later)), ("14:02:11".into(), "2026-11-25 14:02:11".into()));
        for wrong in
            ["", "20261125T140211", "20261325T140211Z", "20260230T000000Z", "2026112éT14021Z", "20261125T246060Z"]
        {
            assert_eq!(Stamp::parse(wrong), None, "{wrong}");
        }
        assert!(Stamp::of_ms(i64::MAX) > stamp && Stamp::of_ms(-1) < stamp);
    }
}
