//! Compares a document with the members that ECS has: an unknown one is refused by path, line and nearest name.

use seawall_model::nearest;
use seawall_proto::{Kind, shape};
use serde_json::Value;

use super::scan::{Lines, element, member};

/// The first thing in `value` that the message `name` has no place for; `None` when all fits.
pub fn mistake(name: &str, value: &Value, lines: &Lines) -> Option<String> {
    message(name, value, "", lines)
}

fn message(name: &str, value: &Value, path: &str, lines: &Lines) -> Option<String> {
    let Value::Object(members) = value else { return Some(wrong_type(path, lines, "an object", value)) };
    let known = shape(name).map_or(&[][..], |shape| shape.members);
    members.iter().find_map(|(key, value)| {
        let path = member(path, key);
        match known.iter().find(|(name, _)| name == key) {
            Some((_, kind)) => one(kind, value, &path, lines),
            None => Some(unknown(&path, key, known.iter().map(|(name, _)| *name), lines.of(&path))),
        }
    })
}

fn one(kind: &Kind, value: &Value, path: &str, lines: &Lines) -> Option<String> {
    // What is null is absent: SDKs write both.
    if value.is_null() {
        return None;
    }
    match kind {
        Kind::Message(name) => message(name, value, path, lines),
        Kind::List(kind) => match value {
            Value::Array(items) => {
                items.iter().enumerate().find_map(|(i, item)| one(kind, item, &element(path, i), lines))
            }
            _ => Some(wrong_type(path, lines, "a list", value)),
        },
        Kind::Map(kind) => match value {
            Value::Object(members) => {
                members.iter().find_map(|(key, value)| one(kind, value, &member(path, key), lines))
            }
            _ => Some(wrong_type(path, lines, "an object", value)),
        },
        Kind::String => (!value.is_string()).then(|| wrong_type(path, lines, "a string", value)),
        Kind::Integer => (!value.is_i64()).then(|| wrong_type(path, lines, "a whole number", value)),
        Kind::Double | Kind::Timestamp => (!value.is_number()).then(|| wrong_type(path, lines, "a number", value)),
        Kind::Boolean => (!value.is_boolean()).then(|| wrong_type(path, lines, "true or false", value)),
    }
}

/// The sentence for a name that nothing has.
pub fn unknown<'a>(path: &str, key: &str, known: impl IntoIterator<Item = &'a str>, line: usize) -> String {
    let hint = match nearest(key, known, 1).as_slice() {
        [near] => format!("; did you mean {near}?"),
        _ => String::new(),
    };
    format!("{path} (line {line}): unknown{hint}")
}

fn wrong_type(path: &str, lines: &Lines, wanted: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => scalar.to_string(),
    };
    if path.is_empty() {
        return format!("expected {wanted}, found {found}");
    }
    format!("{path} (line {}): expected {wanted}, found {found}", lines.of(path))
}
