//! States made of rows, for tests that need a situation and not its history.

pub mod borg;

use std::collections::BTreeMap;

use prost::Message;
use seawall_model::{ClusterId, Id128, InstanceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        ClusterRow, InstanceAttribute, InstanceRow, InstanceStatus, MetaRow, PortNeed, Resources, ServiceRow,
        TaskDefinitionRow, TaskRow, TaskSize, TaskStatus,
    },
    v1::{ContainerDefinition, TaskDefinition},
};
use seawall_scheduler::{PlaceRequest, Requirement};
use seawall_state::{Chunk, Restore, State, task_id_message};

/// The cluster that everything is in.
pub const CLUSTER: ClusterId = ClusterId(1);
/// The cluster time that worlds begin at.
pub const NOW_MS: i64 = 1_000_000;

/// Rows that become a state.
#[derive(Clone, Default)]
pub struct World {
    pub instances: BTreeMap<u64, InstanceRow>,
    pub definitions: BTreeMap<u64, TaskDefinitionRow>,
    pub services: BTreeMap<u64, ServiceRow>,
    pub tasks: BTreeMap<u128, TaskRow>,
}

impl World {
    /// The state with these rows.
    pub fn state(&self) -> State {
        let empty = State::new();
        let meta = MetaRow { next_id: 1000, cluster_time_ms: NOW_MS, ..MetaRow::default() };
        let cluster = ClusterRow { id: CLUSTER.0, name: "default".into(), active: true, ..ClusterRow::default() };
        let mut restore = Restore::default();
        let chunks = [
            chunk(0, [&meta]),
            chunk(empty.clusters.number(), [&cluster]),
            chunk(empty.instances.number(), self.instances.values()),
            chunk(empty.task_definitions.number(), self.definitions.values()),
            chunk(empty.services.number(), self.services.values()),
            chunk(empty.tasks.number(), self.tasks.values()),
        ];
        for chunk in &chunks {
            restore.add(chunk).expect("rows decode");
        }
        restore.finish().expect("there is a meta row")
    }

    /// An ACTIVE, connected instance.
    pub fn instance(&mut self, zone: &str, cpu: u32, memory: u32) -> InstanceId {
        let id = self.instances.len() as u64 + 1;
        let row = InstanceRow {
            id,
            arn_lo: id,
            cluster_id: CLUSTER.0,
            ec2_instance_id: format!("i-{id}"),
            zone: zone.into(),
            status: InstanceStatus::Active.into(),
            registered: Some(Resources { cpu, memory, ports_tcp: vec![22], ports_udp: Vec::new() }),
            connected: true,
            ..InstanceRow::default()
        };
        self.instances.insert(id, row);
        InstanceId(id)
    }

    /// The row of an instance, to change.
    pub fn instance_mut(&mut self, id: InstanceId) -> &mut InstanceRow {
        self.instances.get_mut(&id.0).expect("the instance is there")
    }

    /// A revision whose tasks take this.
    pub fn definition(&mut self, size: TaskSize) -> TaskDefinitionId {
        let id = self.definitions.len() as u64 + 1;
        let container = ContainerDefinition { name: Some("web".into()), essential: Some(true), ..Default::default() };
        let definition = TaskDefinition { container_definitions: vec![container], ..Default::default() };
        let row = TaskDefinitionRow {
            id,
            family: "web".into(),
            revision: id as u32,
            definition: Some(definition),
            size: Some(size),
            ..TaskDefinitionRow::default()
        };
        self.definitions.insert(id, row);
        TaskDefinitionId(id)
    }

    /// A RUNNING standalone task of the group.
    pub fn task(&mut self, instance: InstanceId, group: &str, size: &TaskSize) -> &mut TaskRow {
        let id = Id128(self.tasks.len() as u128 + 1);
        let row = TaskRow {
            id: Some(task_id_message(id)),
            cluster_id: CLUSTER.0,
            instance_id: instance.0,
            last_status: TaskStatus::Running.into(),
            desired_running: true,
            group: group.into(),
            cpu: size.cpu,
            memory: size.memory,
            size: Some(size.clone()),
            created_at_ms: NOW_MS - 60_000,
            started_at_ms: NOW_MS - 59_000,
            ..TaskRow::default()
        };
        self.tasks.entry(id.0).or_insert(row)
    }
}

/// Tasks of the group `family:web`, placed as they are by default.
pub fn request(size: TaskSize, count: u32) -> PlaceRequest {
    PlaceRequest::of_group(CLUSTER, "family:web", Requirement { size, ..Requirement::default() }, count)
}

/// CPU units and MiB.
pub fn size(cpu: u32, memory: u32) -> TaskSize {
    TaskSize { cpu, memory, ..TaskSize::default() }
}

/// The same with a fixed TCP host port.
pub fn with_port(mut size: TaskSize, host_port: u32) -> TaskSize {
    size.ports.push(PortNeed { host_port, ..PortNeed::default() });
    size
}

/// An attribute of an instance.
pub fn attribute(name: &str) -> InstanceAttribute {
    InstanceAttribute { name: name.into(), ..InstanceAttribute::default() }
}

fn chunk<'a, M: Message + 'a>(table: u8, rows: impl IntoIterator<Item = &'a M>) -> Chunk {
    let mut bytes = Vec::new();
    for row in rows {
        row.encode_length_delimited(&mut bytes).expect("a Vec takes any length");
    }
    Chunk { table, rows: bytes }
}
