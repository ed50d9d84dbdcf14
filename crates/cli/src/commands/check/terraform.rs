//! A plan of `terraform show -json`: the requests that its ECS resources become.
//!
//! The provider's attributes are ECS's members in snake case, with blocks as lists of one, some names of its own, and some
//! members under another.

use seawall_proto::{Kind, shape};
use serde_json::{Map, Value, json};

use super::{DEFINITION, SERVICE, Subject};

/// Resources that become requests.
const MAPPED: [(&str, &str); 3] = [
    ("aws_ecs_task_definition", DEFINITION),
    ("aws_ecs_service", SERVICE),
    ("aws_ecs_cluster", "CreateClusterRequest"),
];
/// Other resources of the provider that go to ECS.
const ECS: &str = "aws_ecs_";
/// Modules in modules: deeper ones are no plan.
const DEPTH_MAX: usize = 32;
/// What the provider uses itself, or ECS tells.
const OWN: &[&str] = &[
    "arn",
    "arn_without_revision",
    "force_delete",
    "force_new_deployment",
    "id",
    "region",
    "revision",
    "sigint_rollback",
    "skip_destroy",
    "tags_all",
    "timeouts",
    "track_latest",
    "triggers",
    "wait_for_steady_state",
];
/// (shape, attribute, ECS's member), where they differ by more than their case.
const RENAMED: &[(&str, &str, &str)] = &[
    (DEFINITION, "volume", "volumes"),
    (DEFINITION, "inference_accelerator", "inferenceAccelerators"),
    ("Volume", "configure_at_launch", "configuredAtLaunch"),
    ("EphemeralStorage", "size_in_gib", "sizeInGiB"),
    (SERVICE, "name", "serviceName"),
    (SERVICE, "iam_role", "role"),
    (SERVICE, "load_balancer", "loadBalancers"),
    (SERVICE, "ordered_placement_strategy", "placementStrategy"),
    (SERVICE, "volume_configuration", "volumeConfigurations"),
    (SERVICE, "enable_ecs_managed_tags", "enableECSManagedTags"),
    ("LoadBalancer", "elb_name", "loadBalancerName"),
    ("DeploymentConfiguration", "lifecycle_hook", "lifecycleHooks"),
    ("CreateClusterRequest", "name", "clusterName"),
    ("CreateClusterRequest", "setting", "settings"),
];
/// (shape, attribute, the member that it stands in, its name there).
const MOVED: &[(&str, &str, &str, &str)] = &[
    (SERVICE, "deployment_maximum_percent", "deploymentConfiguration", "maximumPercent"),
    (SERVICE, "deployment_minimum_healthy_percent", "deploymentConfiguration", "minimumHealthyPercent"),
    (SERVICE, "deployment_circuit_breaker", "deploymentConfiguration", "deploymentCircuitBreaker"),
    (SERVICE, "alarms", "deploymentConfiguration", "alarms"),
    (SERVICE, "network_configuration", "networkConfiguration", "awsvpcConfiguration"),
    ("Volume", "host_path", "host", "sourcePath"),
];

/// Whether a document is a plan, or a state, of Terraform.
pub fn is_plan(value: &Value) -> bool {
    value.get("planned_values").is_some() || (value.get("values").is_some() && value.get("terraform_version").is_some())
}

/// Every resource of ECS in a plan.
pub fn subjects(plan: &Value) -> Vec<Subject> {
    let values = plan.get("planned_values").unwrap_or(&plan["values"]);
    let mut found = Vec::new();
    in_module(&values["root_module"], 0, &mut found);
    found
}

fn in_module(module: &Value, depth: usize, found: &mut Vec<Subject>) {
    if depth > DEPTH_MAX {
        return;
    }
    let list = |key: &str| module[key].as_array().map(Vec::as_slice).unwrap_or_default();
    found.extend(list("resources").iter().filter(|r| r["mode"] != "data").filter_map(subject));
    list("child_modules").iter().for_each(|child| in_module(child, depth + 1, found));
}

fn subject(resource: &Value) -> Option<Subject> {
    let kind = resource["type"].as_str()?.to_owned();
    let name = resource["address"].as_str().unwrap_or(&kind).to_owned();
    let mapped = MAPPED.iter().find(|(mapped, _)| *mapped == kind).map(|(_, shape)| *shape);
    let value = match mapped {
        Some(shape) => message(shape, &resource["values"]),
        None if kind.starts_with(ECS) => Value::Null,
        None => return None,
    };
    Some(Subject { name, shape: mapped, value, within: "", is_whole: false })
}

/// Attributes as the message `name`.
fn message(name: &str, attributes: &Value) -> Value {
    let Value::Object(attributes) = attributes else { return attributes.clone() };
    let mut out = Map::new();
    for (attribute, value) in attributes.iter().filter(|(key, value)| !value.is_null() && !OWN.contains(&key.as_str()))
    {
        if let Some((.., outer, inner)) = MOVED.iter().find(|(of, from, ..)| *of == name && from == attribute) {
            let within = kind_of(name, outer).and_then(|kind| inner_kind(kind, inner));
            let value = within.map_or_else(|| value.clone(), |kind| one(kind, value));
            if let Some(place) = out.entry(*outer).or_insert_with(|| json!({})).as_object_mut() {
                place.insert((*inner).to_owned(), value);
            }
            continue;
        }
        let renamed = RENAMED.iter().find(|(of, from, _)| *of == name && from == attribute);
        let member = renamed.map_or_else(|| camel(attribute), |(.., to)| (*to).to_owned());
        let value = kind_of(name, &member).map_or_else(|| value.clone(), |kind| one(kind, value));
        merge(&mut out, member, value);
    }
    Value::Object(out)
}

/// A block may come after single attributes that stand in the same member.
fn merge(out: &mut Map<String, Value>, member: String, value: Value) {
    match (out.get_mut(&member), value) {
        (Some(Value::Object(there)), Value::Object(more)) => there.extend(more),
        (_, value) => drop(out.insert(member, value)),
    }
}

fn one(kind: &Kind, value: &Value) -> Value {
    match (kind, value) {
        // Containers are JSON in a string, in ECS's own names.
        (Kind::List(_), Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        // Tags, and the options of a proxy.
        (Kind::List(Kind::Message(name)), Value::Object(pairs)) => {
            let key = if kind_of(name, "key").is_some() { "key" } else { "name" };
            pairs.iter().map(|(k, v)| json!({ key: k, "value": v })).collect()
        }
        (Kind::List(Kind::Message(name)), Value::Array(items)) => {
            items.iter().map(|item| message(name, item)).collect()
        }
        (Kind::Message(name), Value::Array(blocks)) => blocks.first().map_or(Value::Null, |block| message(name, block)),
        (Kind::Message(name), Value::Object(_)) => message(name, value),
        (Kind::String, Value::Bool(on)) => json!(if *on { "ENABLED" } else { "DISABLED" }),
        (Kind::String, Value::Number(number)) => json!(number.to_string()),
        (Kind::Integer, Value::String(text)) => text.parse::<i64>().map_or_else(|_| value.clone(), Value::from),
        _ => value.clone(),
    }
}

fn kind_of(name: &str, member: &str) -> Option<&'static Kind> {
    shape(name)?.members.iter().find(|(known, _)| *known == member).map(|(_, kind)| kind)
}

fn inner_kind(kind: &Kind, member: &str) -> Option<&'static Kind> {
    match kind {
        Kind::Message(name) => kind_of(name, member),
        _ => None,
    }
}

fn camel(attribute: &str) -> String {
    let mut words = attribute.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        let head = letters.next().map(|letter| letter.to_ascii_uppercase());
        name + &head.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(values: Value) -> Value {
        message(SERVICE, &values)
    }

    #[test]
    fn a_services_attributes_become_ecs_members() {
        let values = json!({
            "name": "web", "desired_count": 2, "id": "x", "iam_role": null, "enable_ecs_managed_tags": false,
            "deployment_maximum_percent": 200, "tags": {"team": "a"}, "wait_for_steady_state": true,
            "deployment_circuit_breaker": [{"enable": true, "rollback": true}],
            "deployment_configuration": [{"strategy": "ROLLING", "bake_time_in_minutes": "0"}],
            "load_balancer": [{"elb_name": "", "container_name": "web", "container_port": 80, "target_group_arn": "t"}],
            "network_configuration": [{"subnets": ["s"], "assign_public_ip": false, "security_groups": []}],
            "ordered_placement_strategy": [{"type": "spread", "field": "host"}],
        });
        let expected = json!({
            "serviceName": "web", "desiredCount": 2, "enableECSManagedTags": false,
            "deploymentConfiguration": {"maximumPercent": 200, "deploymentCircuitBreaker": {"enable": true, "rollback": true},
                "strategy": "ROLLING", "bakeTimeInMinutes": 0},
            "tags": [{"key": "team", "value": "a"}],
            "loadBalancers": [{"loadBalancerName": "", "containerName": "web", "containerPort": 80, "targetGroupArn": "t"}],
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"], "assignPublicIp": "DISABLED", "securityGroups": []}},
            "placementStrategy": [{"type": "spread", "field": "host"}],
        });
        assert_eq!(service(values), expected);
    }

    #[test]
    fn a_definitions_containers_are_json_in_a_string() {
        let values = json!({
            "family": "web", "container_definitions": "[{\"name\":\"web\",\"image\":\"w\",\"memory\":64}]", "cpu": "256",
            "requires_compatibilities": ["FARGATE"], "skip_destroy": false, "track_latest": false,
            "volume": [{"name": "v", "host_path": "/v", "docker_volume_configuration": [], "configure_at_launch": null}],
            "ephemeral_storage": [{"size_in_gib": 21}], "runtime_platform": [],
        });
        let expected = json!({
            "family": "web", "containerDefinitions": [{"name": "web", "image": "w", "memory": 64}], "cpu": "256",
            "requiresCompatibilities": ["FARGATE"],
            "volumes": [{"name": "v", "host": {"sourcePath": "/v"}, "dockerVolumeConfiguration": null}],
            "ephemeralStorage": {"sizeInGiB": 21}, "runtimePlatform": null,
        });
        assert_eq!(message(DEFINITION, &values), expected);
    }

    /// Each name on the right is one of ECS's.
    #[test]
    fn renamed_members_exist() {
        for (name, _, member) in RENAMED {
            assert!(kind_of(name, member).is_some(), "{name}.{member}");
        }
        for (name, _, outer, inner) in MOVED {
            let kind = kind_of(name, outer).and_then(|kind| inner_kind(kind, inner));
            assert!(kind.is_some(), "{name}.{outer}.{inner}");
        }
    }

    #[test]
    fn resources_of_modules_are_found_and_those_not_known_are_said() {
        let resource =
            |kind: &str| json!({"mode": "managed", "type": kind, "address": format!("{kind}.x"), "values": {}});
        let plan = json!({"planned_values": {"root_module": {
            "resources": [resource("aws_ecs_service"), resource("aws_s3_bucket"), resource("aws_ecs_tag")],
            "child_modules": [{"resources": [resource("aws_ecs_task_definition")]}],
        }}});
        assert!(is_plan(&plan));
        let found: Vec<_> = subjects(&plan).into_iter().map(|s| (s.name, s.shape)).collect();
        assert_eq!(
            found,
            [
                ("aws_ecs_service.x".to_owned(), Some(SERVICE)),
                ("aws_ecs_tag.x".to_owned(), None),
                ("aws_ecs_task_definition.x".to_owned(), Some(DEFINITION)),
            ]
        );
    }
}
