//! `MEMBER=VALUE` as ECS's JSON: members by their names in the API, nested ones by their own name where it is the only
//! one of that name (`minimumHealthyPercent=50`).

use seawall_model::nearest;
use seawall_proto::{Kind, shape};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Members are looked for this deep below the request.
const DEPTH_MAX: usize = 3;
/// Members that name the resource itself.
const NOT_SET: [&str; 3] = ["cluster", "service", "expectedVersion"];

/// Builds the request `name` from changes.
pub fn request<T: DeserializeOwned>(name: &str, changes: &[(String, String)]) -> Result<T, Failure> {
    let mut document = Map::new();
    let known = members(name, "", DEPTH_MAX);
    for (key, text) in changes {
        let (path, kind) = find(&known, key)?;
        put(&mut document, path, value(key, kind, text)?);
    }
    serde_json::from_value(Value::Object(document)).map_err(|e| Failure::usage(e.to_string()))
}

/// Every member with its path, nearest the root first.
fn members(name: &str, below: &str, depth: usize) -> Vec<(String, &'static Kind)> {
    let Some(shape) = shape(name) else { return Vec::new() };
    let path = |member: &str| if below.is_empty() { member.to_owned() } else { format!("{below}.{member}") };
    let own = shape.members.iter().filter(|(member, _)| !NOT_SET.contains(member));
    let mut all: Vec<_> = own.clone().map(|(member, kind)| (path(member), kind)).collect();
    for (member, kind) in own {
        if let Kind::Message(inner) = kind
            && depth > 1
        {
            all.extend(members(inner, &path(member), depth - 1));
        }
    }
    all
}

fn find<'a>(known: &'a [(String, &'static Kind)], key: &str) -> Result<(&'a str, &'static Kind), Failure> {
    if let Some((path, kind)) = known.iter().find(|(path, _)| path == key) {
        return Ok((path, kind));
    }
    let by_last: Vec<_> = known.iter().filter(|(path, _)| path.rsplit('.').next() == Some(key)).collect();
    match by_last.as_slice() {
        [(path, kind)] => Ok((path, kind)),
        [] => {
            let near = nearest(key, known.iter().map(|(path, _)| path.rsplit('.').next().unwrap_or(path)), 1);
            Err(Failure::usage(format!("{key}: unknown; did you mean {}?", near.first().copied().unwrap_or_default())))
        }
        several => {
            let paths: Vec<&str> = several.iter().map(|(path, _)| path.as_str()).collect();
            Err(Failure::usage(format!("{key}: which of {}?", paths.join(", "))))
        }
    }
}

fn value(key: &str, kind: &Kind, text: &str) -> Result<Value, Failure> {
    let wrong = |wanted: &str| Failure::usage(format!("{key}: expected {wanted}, found {text:?}"));
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        Kind::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
        Kind::Double | Kind::Timestamp => text.parse::<f64>().map(Value::from).map_err(|_| wrong("a number")),
        Kind::Message(_) | Kind::Map(_) | Kind::List(_) => serde_json::from_str(text).map_err(|_| wrong("JSON")),
    }
}

fn put(document: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(document.insert(path.to_owned(), value)),
        Some((first, rest)) => {
            let inner = document.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::UpdateServiceRequest;

    use super::*;

    fn update(changes: &[(&str, &str)]) -> Result<UpdateServiceRequest, Failure> {
        let changes: Vec<_> = changes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        request("UpdateServiceRequest", &changes)
    }

    #[test]
    fn members_are_found_by_name_and_by_path() {
        let request = update(&[
            ("desiredCount", "4"),
            ("minimumHealthyPercent", "50"),
            ("deploymentConfiguration.maximumPercent", "150"),
            ("taskDefinition", "web:2"),
            ("placementStrategy", "[]"),
        ])
        .unwrap();
        assert_eq!(request.desired_count, Some(4));
        assert_eq!(request.task_definition.as_deref(), Some("web:2"));
        let deployment = request.deployment_configuration.unwrap();
        assert_eq!((deployment.minimum_healthy_percent, deployment.maximum_percent), (Some(50), Some(150)));
        assert_eq!(request.placement_strategy.unwrap().items, vec![]);
    }

    #[test]
    fn wrong_members_and_values_are_refused() {
        assert_eq!(
            update(&[("desiredCont", "4")]).unwrap_err().what,
            "desiredCont: unknown; did you mean desiredCount?"
        );
        assert_eq!(
            update(&[("desiredCount", "four")]).unwrap_err().what,
            "desiredCount: expected a whole number, found \"four\""
        );
        assert!(update(&[("enable", "true")]).unwrap_err().what.starts_with("enable: which of "));
        assert!(update(&[("cluster", "x")]).is_err());
    }
}
