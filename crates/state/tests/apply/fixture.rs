//! A state that was brought about by commands, and short ways to bring about more.

use seawall_model::{ClusterId, DeploymentId, Id128, InstanceId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::{
    internal::v1::{
        AgentIdentity, Command, ConnectInstance, Connected, CreateCapacityProvider, CreateService, DisconnectInstances,
        Done, InitCluster, PlaceTasks, Placed, PortNeed, Refusal, RegisterTaskDefinition, Reply, ReportTasks,
        Resources, ServiceRow, StopCode, StopTasks, TaskReport, TaskRow, TaskSize, TaskStatus, command,
        disconnect_instances, place_tasks, reply, report_tasks,
    },
    v1::{AutoScalingGroupProvider, ContainerDefinition, CreateServiceRequest, ManagedScaling, Tag, TaskDefinition},
};
use seawall_state::{Change, Effects, State, task_id, task_id_message};

pub use command::Kind;

/// A cluster that has formed, at some index and time.
pub struct World {
    pub state: State,
    pub index: u64,
    pub now_ms: i64,
    pub effects: Effects,
    pub next_base: u64,
    /// Everything that was applied, from the first index on.
    pub log: Vec<Command>,
}

impl World {
    pub fn new() -> World {
        let state = State::new();
        let mut world =
            World { state, index: 0, now_ms: 1_000_000, effects: Effects::default(), next_base: 1, log: Vec::new() };
        world.done(init());
        world
    }

    /// Applies a command at the next index and checks the whole state.
    pub fn send(&mut self, command: &Command) -> reply::Kind {
        self.index += 1;
        self.log.push(command.clone());
        let (reply, effects) = self.state.apply(self.index, command);
        self.effects = effects;
        self.state.check().unwrap();
        reply.kind.unwrap()
    }

    pub fn apply(&mut self, kind: Kind) -> reply::Kind {
        let command = self.command(kind);
        self.send(&command)
    }

    pub fn command(&self, kind: Kind) -> Command {
        Command { cluster_time_ms: self.now_ms, kind: Some(kind), ..Command::default() }
    }

    pub fn done(&mut self, kind: Kind) -> Done {
        match self.apply(kind) {
            reply::Kind::Done(done) => done,
            other => panic!("{other:?}"),
        }
    }

    /// The refusal of a command, which changed nothing.
    pub fn refused(&mut self, kind: Kind) -> Refusal {
        let before = self.state.hash();
        match self.apply(kind) {
            reply::Kind::Refusal(refusal) => {
                assert_eq!(self.state.hash(), before, "a refusal changed the state");
                refusal
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn stale(&mut self, kind: Kind) {
        let before = self.state.hash();
        let reply = self.apply(kind);
        assert!(matches!(reply, reply::Kind::Stale(_)), "{reply:?}");
        assert_eq!(self.state.hash(), before, "a stale command changed the state");
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.state.cluster_by_name(0, "default").unwrap().id)
    }

    pub fn connect(&mut self, name: &str, zone: &str) -> Connected {
        let command = self.connecting(identity(name, zone));
        match self.apply(command) {
            reply::Kind::Connected(connected) => connected,
            other => panic!("{other:?}"),
        }
    }

    /// An instance of 1000 CPU units and MiB.
    pub fn instance(&mut self, name: &str, zone: &str) -> InstanceId {
        InstanceId(self.connect(name, zone).instance_id)
    }

    pub fn connecting(&mut self, identity: AgentIdentity) -> Kind {
        self.next_base += 1;
        Kind::ConnectInstance(ConnectInstance {
            identity: Some(identity),
            member_id: 1,
            new_arn_hi: 7,
            new_arn_lo: self.next_base,
        })
    }

    pub fn lose(&mut self, instance: InstanceId) {
        let session = self.state.instances.get(&instance).unwrap().session;
        self.done(disconnect(instance, session, true));
    }

    pub fn definition(&mut self, family: &str, size: TaskSize) -> TaskDefinitionId {
        TaskDefinitionId(self.done(register(family, size)).id)
    }

    pub fn place(&mut self, definition: TaskDefinitionId, instances: &[InstanceId]) -> Placed {
        let place = self.placing(definition, instances);
        self.placed(Kind::PlaceTasks(place))
    }

    pub fn placed(&mut self, kind: Kind) -> Placed {
        match self.apply(kind) {
            reply::Kind::Placed(placed) => placed,
            other => panic!("{other:?}"),
        }
    }

    pub fn task(&mut self, definition: TaskDefinitionId, instance: InstanceId) -> TaskId {
        let placed = self.place(definition, &[instance]);
        assert_eq!(placed.rejected, []);
        task_id(&placed.tasks[0])
    }

    pub fn placing(&mut self, definition: TaskDefinitionId, instances: &[InstanceId]) -> PlaceTasks {
        self.next_base += 1;
        let placement = |id: &InstanceId| place_tasks::Placement {
            instance_id: id.0,
            note: "the emptiest".to_owned(),
            ..Default::default()
        };
        PlaceTasks {
            cluster_id: self.cluster().0,
            task_definition_id: definition.0,
            base: Some(task_id_message(Id128::time_ordered(self.now_ms, self.next_base))),
            placements: instances.iter().map(placement).collect(),
            ..PlaceTasks::default()
        }
    }

    pub fn service(&mut self, name: &str, definition: TaskDefinitionId, desired: i32) -> ServiceId {
        let create = self.creating(name, definition, desired);
        ServiceId(self.done(Kind::CreateService(create)).id)
    }

    pub fn creating(&self, name: &str, definition: TaskDefinitionId, desired: i32) -> CreateService {
        CreateService {
            cluster_id: self.cluster().0,
            spec: Some(CreateServiceRequest {
                service_name: Some(name.into()),
                desired_count: Some(desired),
                ..CreateServiceRequest::default()
            }),
            task_definition_id: definition.0,
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            deployment_id: 9000 + self.index,
            service_deployment_id: service_deployment_id(9000 + self.index),
            stored_members: Vec::new(),
        }
    }

    /// A placement for the primary deployment of a service.
    pub fn placing_service(&mut self, service: ServiceId, instances: &[InstanceId]) -> PlaceTasks {
        let row = self.service_row(service);
        let (deployment, definition) = seawall_state::primary_deployment(&row).unwrap();
        PlaceTasks {
            service_id: service.0,
            deployment_id: deployment.0,
            service_version: row.changed,
            ..self.placing(definition, instances)
        }
    }

    pub fn service_row(&self, service: ServiceId) -> ServiceRow {
        (**self.state.services.get(&service).unwrap()).clone()
    }

    pub fn primary(&self, service: ServiceId) -> DeploymentId {
        seawall_state::primary_deployment(&self.service_row(service)).unwrap().0
    }

    pub fn row(&self, task: TaskId) -> TaskRow {
        (**self.state.tasks.get(&task).unwrap()).clone()
    }

    /// A report of the task's agent, newer than those before.
    pub fn report(&mut self, task: TaskId, status: TaskStatus) {
        let report = TaskReport { task: Some(task_id_message(task)), status: status.into(), ..TaskReport::default() };
        self.report_all(InstanceId(self.row(task).instance_id), vec![report]);
    }

    pub fn report_all(&mut self, instance: InstanceId, tasks: Vec<TaskReport>) {
        let row = self.state.instances.get(&instance).unwrap();
        let item =
            report_tasks::Item { instance_id: instance.0, session: row.session, sequence: row.sequence + 1, tasks };
        self.done(Kind::ReportTasks(ReportTasks { items: vec![item] }));
    }

    pub fn has_changed(&self, change: &Change) -> bool {
        self.effects.changes.contains(change)
    }
}

pub fn init() -> Kind {
    Kind::InitCluster(InitCluster {
        cluster_id: vec![1; 16].into(),
        region: "us-local-1".into(),
        account: "000000000000".into(),
        limits: None,
        first_id: 4,
    })
}

pub fn identity(name: &str, zone: &str) -> AgentIdentity {
    AgentIdentity {
        ec2_instance_id: name.into(),
        zone: zone.into(),
        total: Some(Resources { cpu: 1000, memory: 1000, ports_tcp: vec![22], ports_udp: vec![] }),
        boot_id: "first".into(),
        host_ip: "10.0.0.1".into(),
        ..AgentIdentity::default()
    }
}

pub fn disconnect(instance: InstanceId, session: u64, lost: bool) -> Kind {
    let items = vec![disconnect_instances::Item { instance_id: instance.0, session }];
    Kind::DisconnectInstances(DisconnectInstances { items, lost })
}

pub fn size(cpu: u32, memory: u32) -> TaskSize {
    TaskSize { cpu, memory, ..TaskSize::default() }
}

pub fn with_port(size: TaskSize, host_port: u32) -> TaskSize {
    let need = PortNeed { container: 0, container_port: 80, host_port, udp: false };
    TaskSize { ports: vec![need], ..size }
}

pub fn register(family: &str, size: TaskSize) -> Kind {
    let container = ContainerDefinition { name: Some("main".into()), ..ContainerDefinition::default() };
    Kind::RegisterTaskDefinition(RegisterTaskDefinition {
        definition: Some(TaskDefinition {
            family: Some(family.into()),
            container_definitions: vec![container],
            ..TaskDefinition::default()
        }),
        size: Some(size),
        ..RegisterTaskDefinition::default()
    })
}

pub fn stop(tasks: &[TaskId], reason: &str) -> StopTasks {
    StopTasks {
        tasks: tasks.iter().map(|id| task_id_message(*id)).collect(),
        code: StopCode::UserInitiated.into(),
        reason: reason.into(),
        ..StopTasks::default()
    }
}

pub fn tag(key: &str, value: &str) -> Tag {
    Tag { key: Some(key.into()), value: Some(value.into()) }
}

/// The id of a service deployment: 21 characters.
pub fn service_deployment_id(number: u64) -> String {
    format!("{number:0>21}")
}

/// The kind of a reply, for comparing.
pub fn kind(reply: Reply) -> reply::Kind {
    reply.kind.unwrap()
}

/// A capacity provider with this status of managed scaling.
pub fn provider(name: &str, managed_scaling: &str) -> Kind {
    let scaling = ManagedScaling { status: Some(managed_scaling.into()), ..ManagedScaling::default() };
    let group = AutoScalingGroupProvider { managed_scaling: Some(scaling), ..AutoScalingGroupProvider::default() };
    Kind::CreateCapacityProvider(CreateCapacityProvider {
        name: name.into(),
        auto_scaling_group_provider: Some(group),
        tags: Vec::new(),
    })
}
