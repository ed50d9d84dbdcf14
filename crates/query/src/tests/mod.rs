mod errors;
mod matches;
mod properties;

use std::collections::BTreeMap;

use crate::{Expression, Subject};

/// A container instance made up for a test.
#[derive(Clone, Debug, Default)]
struct Instance {
    attributes: BTreeMap<String, String>,
    groups: Vec<String>,
    connected: bool,
    version: String,
    id: String,
    registered_at_ms: i64,
    running: u32,
}

impl Subject for Instance {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    fn runs_group(&self, group: &str) -> bool {
        self.groups.iter().any(|of| of == group)
    }

    fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.iter().map(String::as_str)
    }

    fn agent_connected(&self) -> bool {
        self.connected
    }

    fn agent_version(&self) -> &str {
        &self.version
    }

    fn ec2_instance_id(&self) -> &str {
        &self.id
    }

    fn registered_at_ms(&self) -> i64 {
        self.registered_at_ms
    }

    fn running_tasks_count(&self) -> u32 {
        self.running
    }
}

/// 2018-06-18T22:28:28Z
const REGISTERED_AT_MS: i64 = 1_529_360_908_000;

fn instance() -> Instance {
    let attributes = [
        ("ecs.instance-type", "g2.2xlarge"),
        ("ecs.availability-zone", "us-east-1a"),
        ("ecs.os-type", "linux"),
        ("ecs.capability.privileged", ""),
        ("stack", "blue green"),
        ("rank", "10"),
        ("kernel", "5.10-arm"),
        ("open", "5' \\d (a)"),
    ];
    Instance {
        attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        groups: vec!["service:production".into(), "family:cron".into()],
        connected: true,
        version: "1.14.5".into(),
        id: "i-abcd1234".into(),
        registered_at_ms: REGISTERED_AT_MS,
        running: 2,
    }
}

fn parsed(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}
