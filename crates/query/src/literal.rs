//! Values that are more than text: versions, instants, numbers.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use semver::{BuildMetadata, Version};

/// The beginning of year 0: instants before it are written with another form of year.
const FIRST_INSTANT_MS: i64 = -62_167_219_200_000;

/// A version of one to three numbers ("1.14", "1.14.5", "1.14.5-rc.1"); what is missing is 0.
pub fn version(text: &str) -> Option<Version> {
    let parsed = match text.bytes().filter(|b| *b == b'.').count() {
        0 => Version::parse(&format!("{text}.0.0")),
        1 => Version::parse(&format!("{text}.0")),
        _ => Version::parse(text),
    };
    // It takes no part in the order of versions.
    parsed.ok().map(|version| Version { build: BuildMetadata::EMPTY, ..version })
}

/// An instant, to the millisecond: "2018-06-18", "2018-06-18T22:28:28", and that with "Z" or "+02:00".
pub fn instant(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_at_checked(10)?;
    let is_extended = date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-';
    if !is_extended || !(time.is_empty() || time.starts_with('T')) {
        return None;
    }
    let at = if time.ends_with('Z') || time.contains(['+', '-']) {
        text.parse::<Timestamp>().ok()?
    } else {
        TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?
    };
    let ms = at.as_millisecond();
    (ms >= FIRST_INSTANT_MS).then(|| Timestamp::from_millisecond(ms).ok())?
}

/// A count of tasks.
pub fn count(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// "-12.5": what an attribute is compared by where both sides are numbers.
pub fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (is_number(whole) && is_number(fraction)).then(|| text.parse().ok())?
}

/// Whether the name of an attribute may have the character.
pub fn is_in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-./\\".contains(c)
}

/// `agentConnected`'s word.
pub fn boolean(text: &str) -> Option<&'static str> {
    ["true", "false"].into_iter().find(|word| text.eq_ignore_ascii_case(word))
}
