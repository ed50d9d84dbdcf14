//! What commands print: tables for people, ECS's own JSON for programs.

pub mod table;

use std::io::{self, Write as _};

use seawall_proto::millis;
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::{Format, Global},
    failure::Failure,
    terminal,
};
use table::{Style, Table};

/// The same resources in every form.
pub struct Listing {
    /// For people.
    pub table: Table,
    /// For `-o name` and `-q`.
    pub names: Vec<String>,
    /// For `-o json`: ECS's answer.
    pub json: Value,
    /// For `-o jsonl`: one a resource.
    pub items: Vec<Value>,
    /// Said in place of a table without rows.
    pub none: &'static str,
}

impl Listing {
    /// Writes it to standard output.
    pub fn print(&self, global: &Global) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match effective(global) {
            Format::Name => self.names.iter().try_for_each(|name| writeln!(out, "{}", visible(name)))?,
            Format::Json => writeln!(out, "{}", pretty(&self.json))?,
            Format::Jsonl => self.items.iter().try_for_each(|item| writeln!(out, "{item}"))?,
            Format::Table | Format::Wide if self.table.is_empty() => writeln!(io::stderr(), "{}", self.none)?,
            Format::Table | Format::Wide => out.write_all(self.table.render(style(global)).as_bytes())?,
        }
        Ok(out.flush()?)
    }
}

/// What a changing command says: a sentence for people, the resource for programs.
pub fn done(global: &Global, name: &str, sentence: &str, resource: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match effective(global) {
        Format::Name => writeln!(out, "{}", visible(name))?,
        Format::Json => writeln!(out, "{}", pretty(&json(resource)))?,
        Format::Jsonl => writeln!(out, "{}", json(resource))?,
        Format::Table | Format::Wide => writeln!(out, "{}", visible(sentence))?,
    }
    Ok(out.flush()?)
}

/// A document that is JSON in every form (definitions, plans).
pub fn document(value: &impl Serialize) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{}", pretty(&json(value)))?)
}

/// One JSON object a line.
pub fn item(value: &impl Serialize) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{}", json(value))?)
}

/// A line on standard output.
pub fn say(line: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout().lock(), "{}", visible(line))?)
}

/// Text with a visible stand-in for each control character: names and reasons come from others, and an escape sequence in
/// them would command the terminal that shows them. Line breaks stay.
pub fn visible(text: &str) -> String {
    text.chars().map(stand_in).collect()
}

fn stand_in(c: char) -> char {
    match c {
        '\n' => c,
        '\t' | '\r' => ' ',
        // Unicode has a picture of each of these, in the same order: ␛ is that of ESC.
        '\0'..' ' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The format that the flags ask for: `-q` is `-o name`.
pub fn effective(global: &Global) -> Format {
    if global.quiet { Format::Name } else { global.output }
}

/// How tables are drawn now.
pub fn style(global: &Global) -> Style {
    Style {
        wide: global.output == Format::Wide,
        width: terminal::width(),
        colours: terminal::colours(global.no_color, &std::io::stdout()),
    }
}

/// A message as ECS's JSON.
pub fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_else(|e| panic!("public messages always serialize: {e}"))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// How long ago something was ("-" where it was not).
pub fn age(time: Option<&prost_types::Timestamp>, now_ms: i64) -> String {
    time.map_or_else(|| "-".to_owned(), |time| span((now_ms - millis(time)).max(0)))
}

/// A length of time in its largest unit that still says something.
pub fn span(length_ms: i64) -> String {
    let seconds = length_ms / 1000;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A point of time in the local form of RFC 3339, with milliseconds.
pub fn clock(time: &prost_types::Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(millis(time)) {
        Ok(at) => at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// "-" for nothing.
pub fn or_dash(text: Option<&str>) -> String {
    text.filter(|t| !t.is_empty()).unwrap_or("-").to_owned()
}

/// A size in bytes for people.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let unit = (0..3).take_while(|&i| count >> (10 * (i + 1)) > 0).count();
    format!("{} {}", count >> (10 * unit), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(visible("web ü 1→2\nnext"), "web ü 1→2\nnext");
        assert_eq!(visible("\x1b[2J\t\r\x07\x7f\u{9b}0m"), "␛[2J  ␇��0m");
        let left =
            (0..0xa0).filter_map(char::from_u32).filter(|c| visible(&c.to_string()).chars().any(char::is_control));
        assert_eq!(left.collect::<Vec<_>>(), ['\n']);
    }

    #[test]
    fn lengths_of_time_have_one_unit() {
        assert_eq!(span(900), "0s");
        assert_eq!(span(119_000), "119s");
        assert_eq!(span(120_000), "2m");
        assert_eq!(span(3 * 3_600_000), "3h");
        assert_eq!(span(3 * 86_400_000), "3d");
        assert_eq!(age(None, 5), "-");
    }

    #[test]
    fn sizes_have_one_unit() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes(5 << 40), "5120 GiB");
    }
}
