//! A cluster of one service or a few: the real state machine, the service controller as its only writer, and agents that do
//! as they are told. Time passes by hand.

use std::collections::{BTreeMap, BTreeSet};

use seawall_controllers::{ControllerPlan, Now, service};
use seawall_model::{ClusterId, Id128, InstanceId, ServiceId, TaskId};
use seawall_proto::{
    internal::v1::{
        AgentIdentity, Command, ConnectInstance, ContainerRow, CreateService, DeleteAttributes, DeleteService,
        DeregisterInstance, DisconnectInstances, EndGuardedTasks, Health, InitCluster, InstanceAttribute,
        InstanceStatus, PlaceTasks, ProtectTasks, PutAttributes, PutClusterCapacityProviders, RaiseClusterVersion,
        RegisterTaskDefinition, ReportTasks, ResourceRef, Resources, ServiceRow, SetInstancesStatus, SetZone, StopCode,
        TagResource, TaskReport, TaskRow, TaskSize, TaskStatus, UpdateService, ZoneState, command::Kind,
        disconnect_instances, place_tasks::Placement, put_attributes, reply, report_tasks, resource_ref,
    },
    v1::{
        ContainerDefinition, CreateServiceRequest, DeploymentCircuitBreaker, DeploymentConfiguration, HealthCheck, Tag,
        TaskDefinition,
    },
};
use seawall_scheduler::{Fleet, Overlay};
use seawall_state::{DAEMON, GUARD_ATTRIBUTE, State, task_id, task_id_message};

/// Passes without a change of the world after which a controller that still writes is taken to be stuck in a loop.
const PASSES_MAX: usize = 60;
/// Time between two looks.
pub const TICK_MS: i64 = 1000;

/// What the containers of a definition do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Run until told to stop.
    Run,
    /// Never start.
    Fail,
    /// Run, and exit with code 1 so long after the placement.
    CrashAfterMs(i64),
    /// Run, and exit at once, each task with another code.
    CrashVariously,
    /// Run with a failing health check.
    Unhealthy,
}

struct Agent {
    zone: String,
    total: Resources,
    session: u64,
    sequence: u64,
    /// What it runs: it knows when each task started, and stops only what it was told to stop while it is reachable.
    reachable: bool,
}

/// See the module.
pub struct Sim {
    pub state: State,
    pub now_ms: i64,
    pub hold: bool,
    /// The cluster has made as many moves as it may.
    pub hold_moves: bool,
    pub overlay: Overlay,
    pub behaviours: BTreeMap<u64, Behaviour>,
    pub service: ServiceId,
    /// Of the instances that connect; empty: none.
    pub provider: String,
    /// Commands applied.
    pub written: usize,
    agents: BTreeMap<u64, Agent>,
    index: u64,
    ids: u64,
}

impl Sim {
    pub fn new() -> Self {
        let mut sim = Sim {
            state: State::new(),
            now_ms: 1_000_000,
            hold: false,
            hold_moves: false,
            overlay: Overlay::default(),
            behaviours: BTreeMap::new(),
            service: ServiceId(0),
            provider: String::new(),
            written: 0,
            agents: BTreeMap::new(),
            index: 0,
            ids: 0,
        };
        let init = InitCluster {
            cluster_id: vec![1; 16].into(),
            region: "us-local-1".into(),
            account: "000000000000".into(),
            ..Default::default()
        };
        sim.done(Kind::InitCluster(init));
        sim
    }

    /// Three zones with `per_zone` instances each.
    pub fn three_zones(per_zone: usize, cpu: u32) -> Self {
        let mut sim = Sim::new();
        for zone in ["a", "b", "c"] {
            for _ in 0..per_zone {
                sim.instance(zone, cpu);
            }
        }
        sim
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.state.cluster_by_name(0, "default").expect("the default cluster is there").id)
    }

    pub fn row(&self) -> &ServiceRow {
        self.state.services.get(&self.service).expect("the service is there")
    }

    /// Applies a command in an entry of its own.
    pub fn apply(&mut self, kind: Kind) -> reply::Kind {
        self.index += 1;
        self.apply_at(self.index, kind)
    }

    fn apply_at(&mut self, index: u64, kind: Kind) -> reply::Kind {
        let command = Command { cluster_time_ms: self.now_ms, kind: Some(kind), ..Default::default() };
        let (reply, _) = self.state.apply(index, &command);
        reply.kind.expect("every command is answered")
    }

    fn done(&mut self, kind: Kind) -> u64 {
        match self.apply(kind) {
            reply::Kind::Done(done) => done.id,
            other => panic!("refused: {other:?}"),
        }
    }

    fn id(&mut self) -> Id128 {
        self.ids += 1;
        Id128::time_ordered(self.now_ms, self.ids)
    }

    pub fn instance(&mut self, zone: &str, cpu: u32) -> InstanceId {
        let number = self.agents.len() + 1;
        let total = Resources { cpu, memory: 65_536, ..Default::default() };
        let agent = Agent { zone: zone.into(), total, session: 0, sequence: 0, reachable: true };
        self.connect(number, agent)
    }

    fn connect(&mut self, number: usize, mut agent: Agent) -> InstanceId {
        let arn = Id128(number as u128);
        let identity = AgentIdentity {
            cluster: "default".into(),
            ec2_instance_id: format!("i-{number}"),
            zone: agent.zone.clone(),
            total: Some(agent.total.clone()),
            attributes: vec![InstanceAttribute { name: GUARD_ATTRIBUTE.into(), ..Default::default() }],
            capacity_provider: self.provider.clone(),
            ..Default::default()
        };
        let connect =
            ConnectInstance { identity: Some(identity), member_id: 1, new_arn_hi: arn.hi(), new_arn_lo: arn.lo() };
        let reply::Kind::Connected(connected) = self.apply(Kind::ConnectInstance(connect)) else {
            panic!("instance {number} was refused")
        };
        agent.session = connected.session;
        agent.sequence = 0;
        agent.reachable = true;
        self.agents.insert(connected.instance_id, agent);
        InstanceId(connected.instance_id)
    }

    /// The agents of a zone fall silent; their containers go on.
    pub fn cut(&mut self, zone: &str) {
        let cut: Vec<u64> = self.agents.iter().filter(|(_, a)| a.zone == zone).map(|(id, _)| *id).collect();
        self.cut_instances(&cut);
    }

    pub fn cut_instances(&mut self, ids: &[u64]) {
        let mut items = Vec::new();
        for id in ids {
            let agent = self.agents.get_mut(id).expect("the agent is there");
            agent.reachable = false;
            items.push(disconnect_instances::Item { instance_id: *id, session: agent.session });
        }
        self.done(Kind::DisconnectInstances(DisconnectInstances { items, lost: true }));
    }

    /// Silent agents come back.
    pub fn heal(&mut self) {
        let silent: Vec<u64> = self.agents.iter().filter(|(_, a)| !a.reachable).map(|(id, _)| *id).collect();
        for id in silent {
            let agent = self.agents.remove(&id).expect("the agent is there");
            let name = self.state.instances.get(&InstanceId(id)).map(|row| row.ec2_instance_id.clone());
            let number = name.and_then(|n| n.trim_start_matches("i-").parse().ok()).expect("the instance is known");
            self.connect(number, agent);
        }
    }

    /// Gives the cluster these capacity providers.
    pub fn put_providers(&mut self, names: &[&str]) {
        let put = PutClusterCapacityProviders {
            cluster_id: self.cluster().0,
            capacity_providers: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        self.done(Kind::PutClusterCapacityProviders(put));
    }

    pub fn drain(&mut self, id: u64, status: InstanceStatus) {
        let cluster_id = self.cluster().0;
        let set =
            SetInstancesStatus { cluster_id, instance_ids: vec![id], status: status.into(), ..Default::default() };
        self.done(Kind::SetInstancesStatus(set));
    }

    /// Wanted tasks of the service in a zone.
    pub fn in_zone(&self, zone: &str) -> usize {
        self.wanted().iter().filter(|task| self.agents[&task.instance_id].zone == zone).count()
    }

    pub fn set_zone(&mut self, zone: &str, state: ZoneState) {
        self.done(Kind::SetZone(SetZone { zone: zone.into(), state: state.into(), ..Default::default() }));
    }

    /// Takes an instance out of the cluster.
    pub fn deregister(&mut self, id: u64, force: bool) -> reply::Kind {
        self.apply(Kind::DeregisterInstance(DeregisterInstance { instance_id: id, force, ..Default::default() }))
    }

    /// Its agent connects again, with so many CPU units.
    pub fn resize(&mut self, id: u64, cpu: u32) {
        self.agents.get_mut(&id).expect("the agent is there").total.cpu = cpu;
        self.cut_instances(&[id]);
        self.heal();
    }

    /// A standalone task on an instance.
    pub fn standalone(&mut self, instance: u64) -> TaskId {
        let definition = self.definition(64, Behaviour::Run);
        let base = self.id();
        let place = PlaceTasks {
            cluster_id: self.cluster().0,
            task_definition_id: definition,
            base: Some(task_id_message(base)),
            placements: vec![Placement { instance_id: instance, ..Placement::default() }],
            ..Default::default()
        };
        assert!(matches!(self.apply(Kind::PlaceTasks(place)), reply::Kind::Placed(placed) if placed.tasks.len() == 1));
        base
    }

    pub fn definition(&mut self, cpu: u32, behaviour: Behaviour) -> u64 {
        self.definition_of(TaskSize { cpu, memory: 64, ..Default::default() }, behaviour)
    }

    pub fn definition_of(&mut self, size: TaskSize, behaviour: Behaviour) -> u64 {
        let check = HealthCheck { command: vec!["CMD".into()], ..Default::default() };
        let container = ContainerDefinition {
            name: Some("web".into()),
            essential: Some(true),
            health_check: (behaviour == Behaviour::Unhealthy).then_some(check),
            ..Default::default()
        };
        let definition =
            TaskDefinition { family: Some("web".into()), container_definitions: vec![container], ..Default::default() };
        let id = self.done(Kind::RegisterTaskDefinition(RegisterTaskDefinition {
            definition: Some(definition),
            size: Some(size),
            ..Default::default()
        }));
        self.behaviours.insert(id, behaviour);
        id
    }

    pub fn create(&mut self, definition: u64, desired: u32, min: u32, max: u32) {
        self.create_watched(definition, desired, (min, max), None);
    }

    /// The same with a circuit breaker, where one is given.
    pub fn create_watched(
        &mut self,
        definition: u64,
        desired: u32,
        (min, max): (u32, u32),
        breaker: Option<DeploymentCircuitBreaker>,
    ) {
        let configuration = DeploymentConfiguration { deployment_circuit_breaker: breaker, ..Default::default() };
        self.create_configured(definition, desired, (min, max), configuration);
    }

    /// The same with a deployment configuration.
    pub fn create_configured(
        &mut self,
        definition: u64,
        desired: u32,
        percents: (u32, u32),
        configuration: DeploymentConfiguration,
    ) {
        let spec = CreateServiceRequest {
            desired_count: Some(desired as i32),
            deployment_configuration: Some(configuration),
            ..Default::default()
        };
        self.create_as("web", definition, percents, spec);
    }

    /// One task on each instance.
    pub fn create_daemon(&mut self, name: &str, definition: u64, min: u32) {
        let spec = CreateServiceRequest { scheduling_strategy: Some(DAEMON.into()), ..Default::default() };
        self.create_as(name, definition, (min, 100), spec);
    }

    /// A service of which at most one task may be alive.
    pub fn create_at_most_one(&mut self, definition: u64) {
        self.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
        let tag = Tag { key: Some("seawall:loss-policy".into()), value: Some("at-most-one".into()) };
        let spec = CreateServiceRequest { desired_count: Some(1), tags: vec![tag], ..Default::default() };
        self.create_as("web", definition, (0, 100), spec);
    }

    /// The leader says that the guards of silent and of deregistered instances have ended their tasks.
    pub fn guards_have_ended(&mut self, ids: &[u64]) {
        let session = |id: &u64| self.agents.get(id).map_or(0, |agent| agent.session);
        let item = |id: &u64| disconnect_instances::Item { instance_id: *id, session: session(id) };
        let items = ids.iter().map(item).collect();
        self.done(Kind::EndGuardedTasks(EndGuardedTasks { items }));
    }

    /// Tasks of the service that may be alive.
    pub fn alive(&self) -> usize {
        self.state.live_tasks_of_service(self.service).count()
    }

    /// A service that asks for all this; it is the one looked at from now on.
    pub fn create_as(
        &mut self,
        name: &str,
        definition: u64,
        (min, max): (u32, u32),
        spec: CreateServiceRequest,
    ) -> ServiceId {
        let create = CreateService {
            cluster_id: self.cluster().0,
            spec: Some(CreateServiceRequest { service_name: Some(name.into()), ..spec }),
            task_definition_id: definition,
            minimum_healthy_percent: min,
            maximum_percent: max,
            deployment_id: 100,
            service_deployment_id: service_deployment_id(100),
            ..Default::default()
        };
        self.service = ServiceId(self.done(Kind::CreateService(create)));
        self.service
    }

    /// Looks at this service from now on.
    pub fn look_at(&mut self, service: ServiceId) -> &mut Self {
        self.service = service;
        self
    }

    /// Runs the controller for all services, in this order, until none has anything to do.
    pub fn reconcile_all(&mut self, services: &[ServiceId]) {
        let (looked_at, mut before) = (self.service, usize::MAX);
        while before != self.written {
            before = self.written;
            for service in services {
                self.look_at(*service).reconcile(&mut |_| {});
            }
        }
        self.service = looked_at;
    }

    /// Sets a tag of the service.
    pub fn tag(&mut self, key: &str, value: &str) {
        let tag = Tag { key: Some(key.into()), value: Some(value.into()) };
        let resource = ResourceRef { kind: Some(resource_ref::Kind::ServiceId(self.service.0)) };
        self.done(Kind::TagResource(TagResource { resource: Some(resource), tags: vec![tag] }));
    }

    /// Sets an attribute of an instance.
    pub fn attribute(&mut self, instance: u64, name: &str) {
        let item = put_attributes::Item { instance_id: instance, name: name.into(), ..Default::default() };
        self.done(Kind::PutAttributes(PutAttributes { cluster_id: self.cluster().0, items: vec![item] }));
    }

    /// Takes it away.
    pub fn no_attribute(&mut self, instance: u64, name: &str) {
        let item = put_attributes::Item { instance_id: instance, name: name.into(), ..Default::default() };
        self.done(Kind::DeleteAttributes(DeleteAttributes { cluster_id: self.cluster().0, items: vec![item] }));
    }

    /// Instances of the wanted tasks, by id.
    pub fn places(&self) -> Vec<u64> {
        let mut places: Vec<u64> = self.wanted().iter().map(|task| task.instance_id).collect();
        places.sort_unstable();
        places
    }

    pub fn scale(&mut self, desired: u32) {
        let update = UpdateService { service_id: self.service.0, desired_count: Some(desired), ..Default::default() };
        self.done(Kind::UpdateService(update));
    }

    pub fn deploy(&mut self, definition: u64) {
        let deployment_id = 1 + self.state.service_revisions_of(self.service).map(|r| r.id).max().unwrap_or(100);
        let update = UpdateService {
            service_id: self.service.0,
            task_definition_id: definition,
            deployment_id,
            force_new_deployment: true,
            service_deployment_id: service_deployment_id(deployment_id),
            ..Default::default()
        };
        self.done(Kind::UpdateService(update));
    }

    pub fn delete(&mut self) {
        self.done(Kind::DeleteService(DeleteService { service_id: self.service.0, force: true }));
    }

    /// What the controller would do now.
    pub fn plan(&self) -> ControllerPlan {
        let now = Now {
            cluster_time_ms: self.now_ms,
            hold_replacement: self.hold,
            hold_moves: self.hold_moves,
            ..Now::default()
        };
        service::plan(&Fleet::new(&self.state, &self.overlay), self.service, now)
    }

    /// Proposes a plan as one entry. Replies in order.
    pub fn execute(&mut self, plan: ControllerPlan) -> Vec<reply::Kind> {
        self.index += 1;
        let index = self.index;
        let mut replies = Vec::new();
        for mut kind in plan.commands {
            if let Kind::PlaceTasks(place) = &mut kind {
                place.base = Some(task_id_message(self.id()));
            }
            self.written += 1;
            replies.push(self.apply_at(index, kind));
        }
        replies
    }

    /// Runs the controller until it has nothing to do, with `check` after every change.
    pub fn reconcile(&mut self, check: &mut dyn FnMut(&Sim)) {
        for _ in 0..PASSES_MAX {
            let plan = self.plan();
            if plan.commands.is_empty() {
                return;
            }
            let text = plan.text.clone();
            for reply in self.execute(plan) {
                let fine = match &reply {
                    reply::Kind::Placed(placed) => placed.rejected.is_empty(),
                    reply::Kind::Done(_) => true,
                    _ => false,
                };
                assert!(fine, "{reply:?} to\n{text}");
            }
            check(self);
        }
        panic!("the controller never comes to rest:\n{}", self.plan().text);
    }

    /// Agents do what they were told and say so.
    pub fn agents(&mut self) {
        let ids: Vec<u64> = self.agents.iter().filter(|(_, a)| a.reachable).map(|(id, _)| *id).collect();
        for id in ids {
            let tasks: Vec<TaskReport> =
                self.state.tasks_of_instance(InstanceId(id)).filter_map(|task| self.report(task)).collect();
            if tasks.is_empty() {
                continue;
            }
            let agent = self.agents.get_mut(&id).expect("the agent is there");
            agent.sequence += 1;
            let (session, sequence) = (agent.session, agent.sequence);
            let items = vec![report_tasks::Item { instance_id: id, session, sequence, tasks }];
            self.done(Kind::ReportTasks(ReportTasks { items }));
        }
    }

    fn report(&self, task: &TaskRow) -> Option<TaskReport> {
        let behaviour = self.behaviours[&task.task_definition_id];
        let report = TaskReport { task: task.id, ..Default::default() };
        let stopped = |code: StopCode| TaskReport {
            status: TaskStatus::Stopped.into(),
            stop_code: code.into(),
            stopped_reason: "as told".into(),
            ..report.clone()
        };
        let health = if behaviour == Behaviour::Unhealthy { Health::Unhealthy } else { Health::Unknown };
        match (task.desired_running, task.last_status(), behaviour) {
            (false, ..) => Some(stopped(StopCode::Unspecified)),
            (_, TaskStatus::Pending, Behaviour::Fail) => Some(stopped(StopCode::TaskFailedToStart)),
            (_, TaskStatus::Pending, _) => {
                Some(TaskReport { status: TaskStatus::Running.into(), health: health.into(), ..report })
            }
            (_, TaskStatus::Running, Behaviour::CrashAfterMs(ms)) if self.now_ms >= task.created_at_ms + ms => {
                Some(exited(stopped(StopCode::EssentialContainerExited), 1))
            }
            (_, TaskStatus::Running, Behaviour::CrashVariously) => {
                let id = task.id.as_ref().map(task_id).unwrap_or_default();
                Some(exited(stopped(StopCode::EssentialContainerExited), 1 + (id.0 >> 16) as i32 % 200))
            }
            _ => None,
        }
    }

    /// Protects a task from scale-in until then.
    pub fn protect(&mut self, task: &TaskRow, until_ms: i64) {
        self.done(Kind::ProtectTasks(ProtectTasks {
            cluster_id: self.cluster().0,
            tasks: task.id.into_iter().collect(),
            protected_until_ms: until_ms,
        }));
    }

    /// One container dies.
    pub fn kill(&mut self, task: &TaskRow) {
        self.says(TaskReport {
            task: task.id,
            status: TaskStatus::Stopped.into(),
            stop_code: StopCode::EssentialContainerExited.into(),
            ..Default::default()
        });
    }

    /// A health check says this of a task that runs.
    pub fn health(&mut self, task: &TaskRow, health: Health) {
        let status = TaskStatus::Running.into();
        self.says(TaskReport { task: task.id, status, health: health.into(), ..Default::default() });
    }

    /// The agent of a task says this of it.
    fn says(&mut self, report: TaskReport) {
        let id = report.task.as_ref().map(task_id).unwrap_or_default();
        let instance_id = self.state.tasks.get(&id).expect("the task is there").instance_id;
        let agent = self.agents.get_mut(&instance_id).expect("the agent is there");
        agent.sequence += 1;
        let (session, sequence) = (agent.session, agent.sequence);
        let items = vec![report_tasks::Item { instance_id, session, sequence, tasks: vec![report] }];
        self.done(Kind::ReportTasks(ReportTasks { items }));
    }

    /// Lets time pass until the service is steady; how long it took.
    pub fn settle(&mut self, max_ms: i64, check: &mut dyn FnMut(&Sim)) -> i64 {
        let began_ms = self.now_ms;
        while self.now_ms - began_ms <= max_ms {
            self.reconcile(check);
            if self.row().steady {
                return self.now_ms - began_ms;
            }
            self.agents();
            check(self);
            self.now_ms += TICK_MS;
        }
        panic!("not steady after {max_ms} ms: {:#?}\n{}", self.row(), self.plan().text);
    }

    /// The same without invariants.
    pub fn settled(&mut self) -> i64 {
        self.settle(120_000, &mut |_| {})
    }

    /// Tasks that want to run and can be reached.
    pub fn wanted(&self) -> Vec<TaskRow> {
        let wanted =
            |t: &TaskRow| t.desired_running && t.last_status() != TaskStatus::Stopped && t.unreachable_since_ms == 0;
        self.state.tasks_of_service(self.service).filter(|t| wanted(t)).map(|t| TaskRow::clone(t)).collect()
    }

    /// Reachable tasks that are RUNNING and wanted.
    pub fn running(&self) -> usize {
        self.wanted().iter().filter(|t| t.last_status() == TaskStatus::Running).count()
    }

    /// Reachable tasks that exist.
    pub fn existing(&self) -> usize {
        let exists = |t: &TaskRow| t.last_status() != TaskStatus::Stopped && t.unreachable_since_ms == 0;
        self.state.tasks_of_service(self.service).filter(|t| exists(t)).count()
    }

    /// Wanted tasks by zone, of zones that can be reached.
    pub fn zones(&self) -> BTreeMap<String, usize> {
        let alive: BTreeSet<&str> = self.agents.values().filter(|a| a.reachable).map(|a| a.zone.as_str()).collect();
        let mut zones: BTreeMap<String, usize> = alive.into_iter().map(|zone| (zone.to_owned(), 0)).collect();
        for task in self.wanted() {
            *zones.entry(self.agents[&task.instance_id].zone.clone()).or_default() += 1;
        }
        zones
    }

    pub fn zone_difference(&self) -> usize {
        let zones = self.zones();
        zones.values().max().unwrap_or(&0) - zones.values().min().unwrap_or(&0)
    }

    /// Codes of the service's events, oldest first, with their counts.
    pub fn events(&self) -> Vec<String> {
        let code = |code: &str| code.trim_start_matches("SERVICE_EVENT_CODE_").to_owned();
        self.row().events.iter().map(|e| format!("{} {}", code(e.code().as_str_name()), e.count)).collect()
    }

    /// The last placed task.
    pub fn newest(&self) -> TaskRow {
        self.wanted().into_iter().max_by_key(|t| t.id.as_ref().map(task_id)).expect("there is a task")
    }
}

/// The same report, with what its container ended with.
fn exited(report: TaskReport, code: i32) -> TaskReport {
    let container =
        ContainerRow { last_status: TaskStatus::Stopped.into(), exit_code: Some(code), ..Default::default() };
    TaskReport { containers: vec![container], ..report }
}

/// The service deployment of a deployment: 21 characters.
pub fn service_deployment_id(deployment_id: u64) -> String {
    format!("{deployment_id:0>21}")
}

/// A task's id.
pub fn id_of(task: &TaskRow) -> TaskId {
    task.id.as_ref().map(task_id).unwrap_or_default()
}

/// The plan's text with task ids by their place, so that golden files do not hold times.
pub fn numbered(sim: &Sim) -> String {
    let mut text = sim.plan().text;
    for (place, task) in sim.state.tasks_of_service(sim.service).enumerate() {
        text = text.replace(&id_of(task).to_string(), &format!("#{place}"));
    }
    text
}
