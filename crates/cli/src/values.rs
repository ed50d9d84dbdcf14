//! Values of flags: durations, `KEY=VALUE`, ports.

use std::{str::FromStr, time::Duration};

/// A day in seconds.
const DAY_S: u64 = 86_400;
/// Ten years: clocks, timers and gRPC's deadlines all reach further.
const DURATION_MAX: Duration = Duration::from_secs(3650 * DAY_S);

/// A time such as `250ms`, `10s`, `5m`, `24h` or `7d`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_s = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(format!("{unit:?} is no unit of time; use ms, s, m, h or d")),
    };
    let number: f64 = number.parse().map_err(|_| "use a number and a unit, such as 10s or 5m".to_owned())?;
    let length = Duration::try_from_secs_f64(number * unit_s).ok().filter(|length| *length <= DURATION_MAX);
    length.ok_or_else(|| format!("longer than the limit of {}d", DURATION_MAX.as_secs() / DAY_S))
}

/// A time, or `never`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaybeNever(pub Option<Duration>);

/// A time as [`duration`] reads it, or `never`.
pub fn duration_or_never(text: &str) -> Result<MaybeNever, String> {
    if text == "never" {
        return Ok(MaybeNever(None));
    }
    duration(text).map(|length| MaybeNever(Some(length)))
}

/// `KEY=VALUE`; the value may hold further equal signs.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("use KEY=VALUE".to_owned()),
    }
}

/// A published port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Of the host; a free one when absent.
    pub host: Option<u16>,
    /// Of the container.
    pub container: u16,
    /// "tcp" or "udp".
    pub protocol: &'static str,
}

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (ports, protocol) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), "tcp"),
            Some((ports, "udp")) => (ports, "udp"),
            Some((_, other)) => return Err(format!("{other:?} is no protocol; use tcp or udp")),
        };
        let (host, container) = match ports.split_once(':') {
            None => (None, ports),
            Some((host, container)) => (Some(port(host)?), container),
        };
        Ok(Port { host, container: port(container)?, protocol })
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{text:?} is no port; use 1 to 65535")),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert!(duration("3w").unwrap_err().contains("no unit"));
        assert!(duration("soon").is_err());
        assert!(duration("").is_err());
        assert_eq!(duration("3650d"), Ok(DURATION_MAX));
        for long in ["3651d", "9999999999d", &"9".repeat(400)] {
            assert_eq!(duration(long), Err("longer than the limit of 3650d".into()), "{long}");
        }
        assert_eq!(duration_or_never("never"), Ok(MaybeNever(None)));
        assert_eq!(duration_or_never("3s"), Ok(MaybeNever(Some(Duration::from_secs(3)))));
    }

    #[test]
    fn ports_may_name_the_host_and_the_protocol() {
        assert_eq!("80".parse(), Ok(Port { host: None, container: 80, protocol: "tcp" }));
        assert_eq!("8080:80/tcp".parse(), Ok(Port { host: Some(8080), container: 80, protocol: "tcp" }));
        assert_eq!("53/udp".parse(), Ok(Port { host: None, container: 53, protocol: "udp" }));
        assert!("80/sctp".parse::<Port>().is_err());
        assert!("0".parse::<Port>().is_err());
        assert!("70000".parse::<Port>().is_err());
    }

    #[test]
    fn a_value_may_hold_equal_signs() {
        assert_eq!(key_value("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(key_value("=b").is_err());
        assert!(key_value("a").is_err());
    }
}
