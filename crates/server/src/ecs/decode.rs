//! A JSON body to the message of an operation: types are checked against the tables made from ECS's model, so that a wrong
//! one is named, and nothing is silently ignored.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{Kind, shape};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::unsupported;
use crate::validate::members::{is_use, without_places};

/// Not part of ECS's JSON: gRPC's own.
const OURS: &[&str] = &["expectedVersion"];

/// The message called `name` that `body` holds. Members that are not known and used for nothing are left out, and added to
/// `ignored` by path, without places in lists.
///
/// # Errors
/// `SerializationException` for what is not JSON or of a wrong type, `UnsupportedFeatureException` for a member that this
/// version does not know.
pub(crate) fn decode<R: DeserializeOwned>(
    name: &'static str,
    body: &[u8],
    ignored: &mut Vec<String>,
) -> Result<R, ApiError> {
    let mut value: Value = match body {
        // ECS takes an empty body for an empty object.
        [] => Value::Object(Map::new()),
        _ => serde_json::from_slice(body).map_err(|e| wrong(format!("The body is not JSON: {e}")))?,
    };
    message(name, &mut value, "", ignored)?;
    serde_json::from_value(value).map_err(|e| wrong(e.to_string()))
}

fn wrong(message: String) -> ApiError {
    ApiError::new(ErrorCode::Serialization, message)
}

fn message(name: &str, value: &mut Value, path: &str, ignored: &mut Vec<String>) -> Result<(), ApiError> {
    let Value::Object(members) = value else { return Err(mismatch(value, "an object", path)) };
    let known = shape(name).map_or(&[][..], |shape| shape.members);
    let at = |member: &str| if path.is_empty() { member.to_owned() } else { format!("{path}.{member}") };
    members.retain(|member, held| match find(known, member) {
        // `null` is absent.
        Some(_) => !held.is_null(),
        None if is_use(held) => true,
        // Newer clients send such members.
        None => {
            ignored.push(without_places(&at(member)));
            false
        }
    });
    for (member, held) in members {
        let at = at(member);
        match find(known, member) {
            Some(kind) => check(kind, held, &at, ignored)?,
            None => return Err(unsupported(format!("{at} is not a member that this version of Seawall knows."))),
        }
    }
    Ok(())
}

fn find(known: &'static [(&'static str, Kind)], member: &str) -> Option<&'static Kind> {
    known.iter().find(|(name, _)| *name == member && !OURS.contains(name)).map(|(_, kind)| kind)
}

fn check(kind: &Kind, value: &mut Value, path: &str, ignored: &mut Vec<String>) -> Result<(), ApiError> {
    match (kind, &mut *value) {
        (Kind::Message(name), _) => message(name, value, path, ignored),
        (Kind::List(item), Value::Array(items)) => items.iter_mut().enumerate().try_for_each(|(place, held)| {
            let at = format!("{path}[{place}]");
            if held.is_null() { Err(mismatch(held, wanted(item), &at)) } else { check(item, held, &at, ignored) }
        }),
        (Kind::Map(of), Value::Object(entries)) => entries.iter_mut().try_for_each(|(key, held)| {
            let at = format!("{path}.{key}");
            if held.is_null() { Err(mismatch(held, wanted(of), &at)) } else { check(of, held, &at, ignored) }
        }),
        (Kind::String, Value::String(_)) | (Kind::Boolean, Value::Bool(_)) => Ok(()),
        (Kind::Double | Kind::Timestamp, Value::Number(_)) => Ok(()),
        (Kind::Integer, Value::Number(number)) if number.is_i64() => Ok(()),
        (Kind::Integer, Value::Number(number)) if whole(number.as_f64()).is_some() => {
            // JavaScript and others write whole numbers as 2.0.
            *value = whole(number.as_f64()).map_or(Value::Null, Value::from);
            Ok(())
        }
        _ => Err(mismatch(value, wanted(kind), path)),
    }
}

fn whole(number: Option<f64>) -> Option<i64> {
    number.filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64)
}

fn mismatch(value: &Value, wanted: &str, path: &str) -> ApiError {
    let found = match value {
        Value::Null => "NULL_VALUE",
        Value::Bool(_) => "BOOLEAN_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::String(_) => "STRING_VALUE",
        Value::Array(_) => "A list",
        Value::Object(_) => "An object",
    };
    let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
    wrong(format!("{place}{found} can not be converted to {wanted}"))
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::String => "a String",
        Kind::Integer => "an Integer",
        Kind::Double => "a Double",
        Kind::Boolean => "a Boolean",
        Kind::Timestamp => "a Timestamp (epoch seconds)",
        Kind::Message(_) | Kind::Map(_) => "an object",
        Kind::List(_) => "a list",
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1;

    use super::*;

    fn error(body: &str) -> String {
        decode::<v1::CreateServiceRequest>("CreateServiceRequest", body.as_bytes(), &mut Vec::new())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn wrong_types_are_named() {
        assert_eq!(
            error(r#"{"desiredCount":"2"}"#),
            "SerializationException: desiredCount: STRING_VALUE can not be converted to an Integer"
        );
        assert_eq!(
            error(r#"{"tags":[{"key":"a","value":1}]}"#),
            "SerializationException: tags[0].value: NUMBER_VALUE can not be converted to a String"
        );
        assert_eq!(error("[]"), "SerializationException: A list can not be converted to an object");
        assert!(error("{").starts_with("SerializationException: The body is not JSON"));
        assert!(error(r#"{"desiredCount":1.5}"#).contains("an Integer"));
        assert!(error(r#"{"desiredCount":99999999999}"#).starts_with("SerializationException"));
    }

    #[test]
    fn unknown_members_are_refused_where_they_are_used() {
        assert_eq!(
            error(r#"{"deploymentConfiguration":{"maximumPercnt":1}}"#),
            "UnsupportedFeatureException: deploymentConfiguration.maximumPercnt is not a member that this version of Seawall knows."
        );
        assert!(error(r#"{"expectedVersion":4}"#).contains("expectedVersion"));
        let body =
            br#"{"serviceName":"web","novelty":[],"other":null,"role":null,"desiredCount":2.0,"tags":[{"new":""}]}"#;
        let mut ignored = Vec::new();
        let request: v1::CreateServiceRequest = decode("CreateServiceRequest", body, &mut ignored).unwrap();
        assert_eq!((request.service_name(), request.desired_count()), ("web", 2));
        assert_eq!(ignored, ["novelty", "other", "tags.new"]);
    }
}
