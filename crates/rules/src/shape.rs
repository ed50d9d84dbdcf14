//! The walk over a request's members, driven by the tables of [`seawall_proto`] and [`members`].

use std::collections::BTreeSet;

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{Kind, Limit, facts, shape};
use serde_json::Value;

use super::members::{self, Rule};

/// Where in the request a member stands, for messages.
#[derive(Clone)]
struct Place {
    /// "Invalid setting for container 'web'. " inside a container definition.
    prefix: String,
    /// "logConfiguration.logDriver"
    path: String,
}

impl Place {
    fn member(&self, name: &str) -> Place {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { prefix: self.prefix.clone(), path }
    }

    /// An item of a list. A container is called by its name, as ECS does.
    fn item(&self, shape: &str, place: usize, value: &Value) -> Place {
        match value["name"].as_str() {
            Some(name) if shape == "ContainerDefinition" => {
                Place { prefix: format!("Invalid setting for container '{name}'. "), path: String::new() }
            }
            _ => Place { prefix: self.prefix.clone(), path: format!("{}[{place}]", self.path) },
        }
    }

    fn says(&self, what: &str) -> String {
        format!("{}{} {what}", self.prefix, self.path)
    }
}

/// Checks `value`, a message called `name`, and says which of its members are used and only stored. `code` is for what is
/// missing or out of its limits; what `inert` names is not refused.
pub fn check(code: ErrorCode, name: &str, value: &Value, inert: &[String]) -> Result<Vec<String>, ApiError> {
    let mut rules = Rules { code, inert, stored: BTreeSet::new() };
    message(&mut rules, name, value, &Place { prefix: String::new(), path: String::new() })?;
    Ok(rules.stored.into_iter().collect())
}

/// What holds for the whole of a request, and what was found in it.
struct Rules<'a> {
    code: ErrorCode,
    inert: &'a [String],
    /// Members that are used and only stored, each once.
    stored: BTreeSet<String>,
}

impl Rules<'_> {
    fn of(&self, name: &str, member: &str) -> Rule {
        match members::rule(name, member) {
            Rule::Refused if self.inert.iter().any(|accepted| accepted == member) => Rule::Stored,
            rule => rule,
        }
    }
}

fn message(rules: &mut Rules<'_>, name: &str, value: &Value, place: &Place) -> Result<(), ApiError> {
    let code = rules.code;
    let limits = facts(name).map_or(&[][..], |f| f.limits);
    for (member, kind) in shape(name).map_or(&[][..], |s| s.members) {
        let Some(held) = value.get(*member).filter(|v| !v.is_null()) else { continue };
        let at = place.member(member);
        let rule = rules.of(name, member);
        if let Some((_, limit)) = limits.iter().find(|(limited, _)| limited == member) {
            within(code, limit, held, &at)?;
        }
        supported(rule, held, &at)?;
        match rule {
            Rule::Works => inner(rules, kind, held, &at)?,
            Rule::Stored if members::is_use(held) => drop(rules.stored.insert(members::without_places(&at.path))),
            _ => {}
        }
    }
    present(code, name, value, place)
}

fn present(code: ErrorCode, name: &str, value: &Value, place: &Place) -> Result<(), ApiError> {
    for member in facts(name).map_or(&[][..], |f| f.required) {
        match &value[*member] {
            // Absent or empty is the same in a message. The operation says so in ECS's words.
            Value::Null if is_list(name, member) => {}
            Value::Null => return Err(ApiError::new(code, place.member(member).says("is required."))),
            Value::String(text) if text.is_empty() => {
                return Err(ApiError::new(code, place.member(member).says("can not be blank.")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_list(name: &str, member: &str) -> bool {
    let members = shape(name).map_or(&[][..], |s| s.members);
    members.iter().any(|(known, kind)| *known == member && matches!(kind, Kind::List(_)))
}

fn inner(rules: &mut Rules<'_>, kind: &Kind, value: &Value, place: &Place) -> Result<(), ApiError> {
    match (kind, value) {
        (Kind::Message(name), _) => message(rules, name, value, place),
        (Kind::List(Kind::Message(name)), Value::Array(items)) => {
            items.iter().enumerate().try_for_each(|(i, v)| message(rules, name, v, &place.item(name, i, v)))
        }
        _ => Ok(()),
    }
}

fn supported(rule: Rule, value: &Value, place: &Place) -> Result<(), ApiError> {
    let refused = |what: String| Err(ApiError::new(ErrorCode::UnsupportedFeature, place.says(&what)));
    match rule {
        Rule::Works | Rule::Stored => Ok(()),
        Rule::Refused if !members::is_use(value) => Ok(()),
        Rule::Refused => refused("is not supported by this version.".into()),
        Rule::Only(allowed) => match values(value).into_iter().find(|v| !allowed.contains(&v.as_str())) {
            None => Ok(()),
            Some(other) => refused(format!("{other} is not supported by this version; it may be {}.", list(allowed))),
        },
    }
}

/// The words of a text, a list of texts, or a number.
fn values(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(values).collect(),
        _ => Vec::new(),
    }
}

fn within(code: ErrorCode, limit: &Limit, value: &Value, place: &Place) -> Result<(), ApiError> {
    let bad = |what: String| Err(ApiError::new(code, place.says(&what)));
    match value {
        Value::String(text)
            if !text.is_empty() && !limit.values.is_empty() && !limit.values.contains(&text.as_str()) =>
        {
            bad(format!("is '{text}'; it must be {}.", list(limit.values)))
        }
        Value::String(text) => range(limit, text.chars().count() as i64)
            .map_or(Ok(()), |range| bad(format!("has {} characters; it must have {range}.", text.chars().count()))),
        Value::Number(number) => match number.as_i64().and_then(|n| range(limit, n)) {
            Some(range) => bad(format!("is {number}; it must be {range}.")),
            None => Ok(()),
        },
        Value::Array(items) => {
            if let Some(range) = range(limit, items.len() as i64) {
                return bad(format!("has {} items; it must have {range}.", items.len()));
            }
            let Some(limit) = limit.item else { return Ok(()) };
            items.iter().enumerate().try_for_each(|(i, v)| within(code, limit, v, &place.item("", i, v)))
        }
        _ => Ok(()),
    }
}

/// The range that `number` is out of, in words.
fn range(limit: &Limit, number: i64) -> Option<String> {
    let outside = limit.min.is_some_and(|min| number < min) || limit.max.is_some_and(|max| number > max);
    outside.then(|| match (limit.min, limit.max) {
        (Some(min), Some(max)) => format!("between {min} and {max}"),
        (Some(min), None) => format!("at least {min}"),
        (_, max) => format!("at most {}", max.unwrap_or(i64::MAX)),
    })
}

fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_only_stored_is_told_by_path() {
        let ports = json!([{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": ""}, {"containerPort": 82, "name": "b"}]);
        let container =
            json!({"name": "main", "image": "i", "portMappings": ports, "secrets": [{"name": "S", "valueFrom": "v"}]});
        let definition = json!({"family": "web", "containerDefinitions": [container], "taskRoleArn": "arn"});
        let check = |inert: &[String]| check(ErrorCode::Client, "RegisterTaskDefinitionRequest", &definition, inert);
        assert!(check(&[]).unwrap_err().message.contains("secrets"));
        assert_eq!(check(&["secrets".into()]).unwrap(), ["portMappings.name", "secrets", "taskRoleArn"]);
    }
}
