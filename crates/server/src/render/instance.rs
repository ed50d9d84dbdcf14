//! `ContainerInstance`.

use seawall_model::{Id128, InstanceId};
use seawall_proto::{
    internal::v1::{InstanceAttribute, InstanceRow, InstanceStatus, Resources},
    timestamp_unless_zero,
    v1::{
        Attribute, ContainerInstance, ContainerInstanceHealthStatus, InstanceHealthCheckResult, Resource, VersionInfo,
    },
};
use seawall_scheduler::ZONE_ATTRIBUTE;
use seawall_state::{State, Usage};

use super::{count, unless_empty, version};

/// What `include` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// `TAGS`
    pub tags: bool,
    /// `CONTAINER_INSTANCE_HEALTH`
    pub health: bool,
}

impl Include {
    /// From the request's words.
    pub fn of(words: &[String]) -> Self {
        let has = |word: &str| words.iter().any(|w| w == word);
        Include { tags: has("TAGS"), health: has("CONTAINER_INSTANCE_HEALTH") }
    }
}

/// The ARN of an instance.
pub fn arn(state: &State, row: &InstanceRow) -> String {
    state.arns().instance(super::cluster_name(state, row.cluster_id), Id128::from_halves(row.arn_hi, row.arn_lo))
}

/// The instance with what its tasks leave free.
pub fn render(state: &State, row: &InstanceRow, include: Include) -> ContainerInstance {
    let id = InstanceId(row.id);
    let tasks = state.instance_counts(id);
    let registered = row.registered.clone().unwrap_or_default();
    let remaining = state.usage(id).map_or_else(|| registered.clone(), |usage| remaining(&registered, usage));
    ContainerInstance {
        container_instance_arn: Some(arn(state, row)),
        ec2_instance_id: Some(row.ec2_instance_id.clone()),
        capacity_provider_name: unless_empty(&row.capacity_provider),
        version: version(row.changed),
        version_info: Some(VersionInfo {
            agent_version: unless_empty(&row.agent_version),
            agent_hash: None,
            docker_version: unless_empty(&row.docker_version).map(|v| format!("DockerVersion: {v}")),
        }),
        remaining_resources: resources(&remaining),
        registered_resources: resources(&registered),
        status: Some(status(row.status).into()),
        status_reason: unless_empty(if row.cordoned_until_ms == 0 { &row.status_reason } else { &row.cordon_reason }),
        agent_connected: Some(row.connected),
        running_tasks_count: count(tasks.running),
        pending_tasks_count: count(tasks.pending),
        attributes: attributes(row),
        registered_at: timestamp_unless_zero(row.registered_at_ms),
        tags: if include.tags { row.tags.clone() } else { Vec::new() },
        health_status: include.health.then(|| health(row)),
        ..Default::default()
    }
}

/// The word of an instance's status.
pub fn status(status: i32) -> &'static str {
    match InstanceStatus::try_from(status).unwrap_or_default() {
        InstanceStatus::Unspecified => "REGISTERING",
        InstanceStatus::Active => "ACTIVE",
        InstanceStatus::Draining => "DRAINING",
        InstanceStatus::Deregistering => "DEREGISTERING",
        InstanceStatus::Inactive => "INACTIVE",
    }
}

/// The attributes that clients see: its zone is one of them, whatever the agent said.
pub fn attributes(row: &InstanceRow) -> Vec<Attribute> {
    let zone = InstanceAttribute { name: ZONE_ATTRIBUTE.into(), value: row.zone.clone(), custom: false };
    let known = row.attributes.iter().any(|a| a.name == ZONE_ATTRIBUTE);
    let all = row.attributes.iter().chain((!known).then_some(&zone));
    all.map(|a| Attribute { name: Some(a.name.clone()), value: unless_empty(&a.value), ..Default::default() }).collect()
}

fn remaining(registered: &Resources, usage: &Usage) -> Resources {
    let with = |reserved: &[u32], used: &imbl::OrdSet<u16>| {
        let mut ports: Vec<u32> = reserved.iter().copied().chain(used.iter().map(|p| u32::from(*p))).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    Resources {
        cpu: registered.cpu.saturating_sub(usage.cpu),
        memory: registered.memory.saturating_sub(usage.memory),
        ports_tcp: with(&registered.ports_tcp, &usage.ports_tcp),
        ports_udp: with(&registered.ports_udp, &usage.ports_udp),
    }
}

/// ECS lists ports that are taken, in what is registered as in what remains.
fn resources(resources: &Resources) -> Vec<Resource> {
    let base = |name: &str, kind: &str| Resource {
        name: Some(name.into()),
        r#type: Some(kind.into()),
        double_value: Some(0.0),
        long_value: Some(0),
        integer_value: Some(0),
        string_set_value: Vec::new(),
    };
    let number = |name: &str, value: u32| Resource { integer_value: count(value), ..base(name, "INTEGER") };
    let ports = |name: &str, ports: &[u32]| Resource {
        string_set_value: ports.iter().map(u32::to_string).collect(),
        ..base(name, "STRINGSET")
    };
    vec![
        number("CPU", resources.cpu),
        number("MEMORY", resources.memory),
        ports("PORTS", &resources.ports_tcp),
        ports("PORTS_UDP", &resources.ports_udp),
    ]
}

fn health(row: &InstanceRow) -> ContainerInstanceHealthStatus {
    let word = if row.connected { "OK" } else { "IMPAIRED" };
    let since = if row.connected { row.registered_at_ms } else { row.disconnected_at_ms };
    ContainerInstanceHealthStatus {
        overall_status: Some(word.into()),
        details: vec![InstanceHealthCheckResult {
            r#type: Some("AGENT_CONNECTIVITY".into()),
            status: Some(word.into()),
            last_status_change: timestamp_unless_zero(since),
            ..Default::default()
        }],
    }
}
