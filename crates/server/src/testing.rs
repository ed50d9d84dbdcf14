//! A cluster in one value, for tests of the pure parts: operations as JSON in and out, applied as the proposer would, without
//! a log.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use prost::Message;
use seawall_consensus::MemoryStore;
use seawall_controllers::Now;
use seawall_env::{Env, TaskKind, sim::Sim};
use seawall_model::{ApiError, ClusterId, ErrorCode, Id128, InstanceId, ServiceId, TaskDefinitionId, TaskId};
use seawall_proto::{
    internal::v1::{
        AgentIdentity, Command, ConnectInstance, ContainerRow, CreateCluster, InitCluster, InstanceAttribute,
        PlaceTasks, Principal, Reply, ReportTasks, Resources, StopCode, TaskReport, TaskStatus, command, reply,
        report_tasks,
    },
    v1,
};
use seawall_scheduler::{Fargate, Fleet, Overlay, PlaceRequest};
use seawall_state::{Effects, State, task_id_message};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use crate::{
    ServerConfig,
    api::Node,
    ecs::decode,
    history,
    ops::{self, Ctx, IdSource, Outcome, Prepared, ReadCtx, ReadOp, Recall, Write, tolerance},
    render,
    simulated::{self, Faults, Links},
};

/// Cluster time at the start.
pub(crate) const START_MS: i64 = 1_767_225_600_000;
/// What an instance has unless a test says otherwise.
pub(crate) const CPU: u32 = 1024;
/// MiB of one.
pub(crate) const MEMORY_MIB: u32 = 2048;

/// See the module.
pub(crate) struct TestCluster {
    pub(crate) state: State,
    pub(crate) now_ms: i64,
    index: u64,
    ids: Counted,
    sequence: u64,
    /// As `--accept-inert`.
    pub(crate) accept_inert: Vec<String>,
    pub(crate) fargate: Fargate,
    /// Reads are answered as over gRPC: with the instances of FARGATE's pools.
    pub(crate) shows_pools: bool,
}

/// Ids that are the same in every run.
#[derive(Default)]
struct Counted(u64);

impl IdSource for Counted {
    fn deployment_id(&mut self) -> u64 {
        self.0 += 1;
        1_000_000_000_000_000_000 + self.0
    }

    fn service_deployment_id(&mut self) -> String {
        self.0 += 1;
        format!("{:0>21}", self.0)
    }

    fn task_base(&mut self) -> TaskId {
        self.0 += 1;
        Id128::from_halves(self.0, 0)
    }
}

macro_rules! by_name {
    (read $name:ident, $this:ident, $request:ident, $input:ident) => {
        $this.read::<ops::$name>($request)
    };
    (write $name:ident, $this:ident, $request:ident, $input:ident) => {{
        // ECS's JSON has no such member.
        let expected_version = $input["expectedVersion"].as_i64();
        let mut request = $request;
        request.expected_version = expected_version;
        $this.write(stringify!($name), request)
    }};
}

macro_rules! call {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        /// Calls an operation with its input as JSON; its output as JSON, without what is empty.
        pub(crate) fn call(&mut self, operation: &str, input: Value) -> Result<Value, ApiError> {
            match operation {
                $(stringify!($name) => {
                    let mut body = input.clone();
                    if let Some(members) = body.as_object_mut() {
                        members.remove("expectedVersion");
                    }
                    let request: v1::$request = decode(stringify!($request), body.to_string().as_bytes(), &mut Vec::new())?;
                    let bytes = by_name!($kind $name, self, request, input)?;
                    let response = v1::$response::decode(bytes.as_slice()).expect("the output of the operation");
                    Ok(without_empty(serde_json::to_value(response).expect("JSON")))
                })*
                _ => panic!("{operation} is no operation"),
            }
        }
    };
}

impl TestCluster {
    /// A cluster that was just formed.
    pub(crate) fn new() -> TestCluster {
        let mut cluster = TestCluster {
            state: State::new(),
            now_ms: START_MS,
            index: 0,
            ids: Counted::default(),
            sequence: 0,
            accept_inert: Vec::new(),
            fargate: Fargate::default(),
            shows_pools: false,
        };
        cluster.apply(command::Kind::InitCluster(InitCluster {
            cluster_id: vec![1; 16].into(),
            region: "us-local-1".into(),
            account: "000000000000".into(),
            limits: None,
            first_id: 0,
        }));
        cluster
    }

    ops::for_each_operation!(call);

    /// The same for a call that succeeds.
    pub(crate) fn must(&mut self, operation: &str, input: Value) -> Value {
        self.call(operation, input).unwrap_or_else(|error| panic!("{operation}: {error}"))
    }

    /// The error of a call that is refused.
    pub(crate) fn refused(&mut self, operation: &str, input: Value) -> ApiError {
        let hash = self.state.hash();
        match self.call(operation, input) {
            Ok(answer) => panic!("{operation} was not refused: {answer}"),
            Err(error) => {
                assert_eq!(self.state.hash(), hash, "a refusal changes nothing");
                error
            }
        }
    }

    /// Applies a command as the next entry.
    pub(crate) fn apply(&mut self, kind: command::Kind) -> (reply::Kind, Effects) {
        self.send(Command { kind: Some(kind), ..Command::default() })
    }

    /// The same for one with a client token.
    pub(crate) fn send(&mut self, command: Command) -> (reply::Kind, Effects) {
        self.index += 1;
        let command = Command { cluster_time_ms: self.now_ms, ..command };
        let (reply, effects) = self.state.apply(self.index, &command);
        (reply.kind.expect("a reply"), effects)
    }

    fn read<Op: ReadOp>(&self, request: Op::Request) -> Result<Vec<u8>, ApiError> {
        self.answered(|ctx| ops::answer::<Op>(ctx, &request)).map(|answer| answer.encode_to_vec())
    }

    /// What is answered once all of history that it asks for is known: here all of it is in the state.
    pub(crate) fn answered<A>(&self, answer: impl Fn(&ReadCtx<'_>) -> Result<A, ApiError>) -> Result<A, ApiError> {
        let principal = Principal::default();
        let mut recall = Recall::default();
        loop {
            let ctx = ReadCtx {
                state: &self.state,
                principal: &principal,
                now_ms: self.now_ms,
                history: &recall,
                shows_pools: self.shows_pools,
            };
            let answer = answer(&ctx);
            let Some(lacked) = recall.take_lacked() else { return answer };
            let found = history::find_open(&self.state, &lacked.lookups);
            recall.learn(lacked.lookups, found);
            for of in lacked.pages {
                let (page, _) = of.open(&self.state);
                recall.learn_page(of, page);
            }
        }
    }

    fn write(&mut self, operation: &str, request: impl Message) -> Result<Vec<u8>, ApiError> {
        let state = self.state.clone();
        let principal = Principal::default();
        let mut ctx = Ctx {
            accept_inert: &self.accept_inert,
            fargate: self.fargate,
            state: &state,
            principal: &principal,
            ids: &mut self.ids,
            forward: None,
            invocation: None,
            now_ms: self.now_ms,
        };
        let prepared = ops::prepare(operation, &request.encode_to_vec(), &mut ctx)?;
        let Prepared { write, expected_version, render, .. } = prepared;
        let mut outcome = Outcome::default();
        let kinds = match write {
            Write::Commands(kinds) => kinds,
            Write::Nothing => Vec::new(),
            Write::Repeated(replies) => {
                outcome.replies = replies;
                Vec::new()
            }
            Write::Place { request, template, token } => {
                place(&state, &request, *template, self.fargate, &mut outcome)?
                    .map(|kind| (kind, token))
                    .into_iter()
                    .collect()
            }
        };
        for (kind, client_token) in kinds {
            let before = self.state.clone();
            let command = Command { kind: Some(kind), client_token, expected_version, ..Command::default() };
            let (kind, _) = self.send(command);
            if let reply::Kind::Refusal(refusal) = kind {
                // As the proposer: rehearsed, not proposed.
                self.state = before;
                return Err(ApiError {
                    code: ErrorCode::from_name(&refusal.code),
                    message: refusal.message,
                    resource_ids: refusal.resource_ids,
                });
            }
            outcome.replies.push(Reply { kind: Some(kind) });
        }
        render(&self.state, &outcome)
    }

    /// A connected instance.
    pub(crate) fn instance(&mut self, name: &str, zone: &str) -> InstanceId {
        self.instance_with(name, zone, CPU, MEMORY_MIB)
    }

    /// A connected instance of this size.
    pub(crate) fn instance_with(&mut self, name: &str, zone: &str, cpu: u32, memory: u32) -> InstanceId {
        self.connect(AgentIdentity {
            ec2_instance_id: name.into(),
            zone: zone.into(),
            total: Some(Resources { cpu, memory, ports_tcp: vec![22], ports_udp: Vec::new() }),
            attributes: vec![attribute("ecs.cpu-architecture", "x86_64")],
            ..AgentIdentity::default()
        })
    }

    /// A connected instance of a capacity provider, whose tasks can have addresses of their own. Empty: of none.
    pub(crate) fn instance_of(&mut self, name: &str, zone: &str, provider: &str) -> InstanceId {
        self.connect(AgentIdentity {
            ec2_instance_id: name.into(),
            zone: zone.into(),
            total: Some(Resources { cpu: CPU, memory: MEMORY_MIB, ..Resources::default() }),
            attributes: vec![attribute("ecs.capability.task-eni", "")],
            capacity_provider: provider.into(),
            ..AgentIdentity::default()
        })
    }

    fn connect(&mut self, identity: AgentIdentity) -> InstanceId {
        let (reply, _) = self.apply(command::Kind::ConnectInstance(ConnectInstance {
            identity: Some(AgentIdentity { boot_id: "first".into(), ..identity }),
            member_id: 1,
            new_arn_hi: 7,
            new_arn_lo: self.index,
        }));
        let reply::Kind::Connected(connected) = reply else { panic!("not connected: {reply:?}") };
        InstanceId(connected.instance_id)
    }

    /// The 32 digits by which callers name an instance.
    pub(crate) fn instance_arn(&self, id: InstanceId) -> String {
        render::instance::arn(&self.state, self.state.instances.get(&id).expect("the instance"))
    }

    /// Registers a definition with one container that takes this; its family and revision.
    pub(crate) fn register(&mut self, family: &str, cpu: u32, memory: u32) -> String {
        let answer = self.must(
            "RegisterTaskDefinition",
            serde_json::json!({"family": family, "containerDefinitions": [
                {"name": "main", "image": "busybox", "cpu": cpu, "memory": memory}]}),
        );
        format!("{family}:{}", answer["taskDefinition"]["revision"])
    }

    /// The tasks that are not stopped, by id.
    pub(crate) fn live(&self) -> Vec<TaskId> {
        let live = self.state.tasks.iter().filter(|(_, task)| task.last_status() != TaskStatus::Stopped);
        live.map(|(id, _)| *id).collect()
    }

    /// Its agent says that a task runs.
    pub(crate) fn runs(&mut self, task: TaskId) {
        let (now_ms, running) = (self.now_ms, TaskStatus::Running.into());
        self.report(task, |report| {
            report.status = running;
            report.started_at_ms = now_ms;
            report.containers.iter_mut().for_each(|row| row.last_status = running);
        });
    }

    /// Its agent says that a task's containers ended with this code.
    pub(crate) fn ends(&mut self, task: TaskId, exit_code: i32) {
        let (now_ms, stopped) = (self.now_ms, TaskStatus::Stopped.into());
        self.report(task, |report| {
            report.status = stopped;
            report.stopped_at_ms = now_ms;
            report.execution_stopped_at_ms = now_ms;
            report.stop_code = StopCode::EssentialContainerExited.into();
            report.stopped_reason = "Essential container in task exited".into();
            for row in &mut report.containers {
                (row.last_status, row.exit_code) = (stopped, Some(exit_code));
            }
        });
    }

    /// Its agent says what a task is.
    pub(crate) fn report(&mut self, task: TaskId, change: impl FnOnce(&mut TaskReport)) {
        let row = self.state.tasks.get(&task).expect("the task").clone();
        let session = self.state.instances.get(&InstanceId(row.instance_id)).expect("its instance").session;
        let definition = self.state.task_definitions.get(&TaskDefinitionId(row.task_definition_id));
        let containers =
            definition.and_then(|row| row.definition.as_ref()).map_or(0, |d| d.container_definitions.len());
        let mut report = TaskReport {
            containers: vec![ContainerRow::default(); containers],
            task: row.id,
            status: row.last_status,
            started_at_ms: row.started_at_ms,
            ..TaskReport::default()
        };
        change(&mut report);
        self.sequence += 1;
        let item =
            report_tasks::Item { instance_id: row.instance_id, session, sequence: self.sequence, tasks: vec![report] };
        self.apply(command::Kind::ReportTasks(ReportTasks { items: vec![item] }));
    }

    /// Runs the service controller until it has nothing to do; agents start and stop at once what it asks for.
    pub(crate) fn reconcile(&mut self) {
        for _ in 0..100 {
            let services: Vec<ServiceId> = self.state.services.iter().map(|(id, _)| *id).collect();
            let mut quiet = true;
            for service in services {
                let now = self.now();
                let plan = seawall_controllers::service::plan(&self.fleet(), service, now);
                for kind in plan.commands {
                    quiet = false;
                    let kind = self.with_base(kind);
                    self.apply(kind);
                }
            }
            self.agents_obey();
            self.now_ms += 1000;
            if quiet {
                return;
            }
        }
        panic!("the service controller finds no rest");
    }

    /// Runs the controller of waiting tasks once for every cluster that has some.
    pub(crate) fn place_waiting(&mut self) {
        let clusters: BTreeSet<ClusterId> = self.state.clusters_with_waiting_tasks().collect();
        for cluster in clusters {
            let plan = seawall_controllers::waiting::plan(&self.fleet(), cluster, self.now());
            plan.commands.into_iter().for_each(|kind| drop(self.apply(kind)));
        }
    }

    /// Runs the service controller once for every service; agents do nothing.
    pub(crate) fn plan_once(&mut self) {
        let services: Vec<ServiceId> = self.state.services.iter().map(|(id, _)| *id).collect();
        for service in services {
            let now = self.now();
            let plan = seawall_controllers::service::plan(&self.fleet(), service, now);
            for kind in plan.commands {
                let kind = self.with_base(kind);
                self.apply(kind);
            }
        }
    }

    fn fleet(&self) -> Fleet {
        Fleet::new(&self.state, &Overlay::default())
    }

    fn now(&self) -> Now {
        Now { cluster_time_ms: self.now_ms, fargate: self.fargate, ..Now::default() }
    }

    fn with_base(&mut self, mut kind: command::Kind) -> command::Kind {
        if let command::Kind::PlaceTasks(place) = &mut kind {
            place.base = Some(task_id_message(self.ids.task_base()));
        }
        kind
    }

    fn agents_obey(&mut self) {
        for id in self.live() {
            let task = self.state.tasks.get(&id).expect("a live task").clone();
            match (task.desired_running, task.last_status()) {
                (true, TaskStatus::Pending) => self.runs(id),
                (false, _) => self.ends(id, 143),
                _ => {}
            }
        }
    }
}

fn attribute(name: &str, value: &str) -> InstanceAttribute {
    InstanceAttribute { name: name.into(), value: value.into(), custom: false }
}

fn place(
    state: &State,
    request: &PlaceRequest,
    mut template: PlaceTasks,
    fargate: Fargate,
    outcome: &mut Outcome,
) -> Result<Option<command::Kind>, ApiError> {
    let plan = seawall_scheduler::place(state, &Overlay::default(), request);
    let failures = render::placement_failures(state, &plan);
    template.decision = Some(request.decision(&plan));
    template.placements = plan.into_placements();
    if template.placements.is_empty() {
        outcome.failures = failures;
        return Ok(None);
    }
    template.failures = failures;
    tolerance::check_placed(state, &Overlay::default(), &template, fargate)?;
    Ok(Some(command::Kind::PlaceTasks(template)))
}

/// Lists and objects without members say nothing in a test.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, without_empty(value)));
            Value::Object(members.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// The id at the end of a task's ARN.
pub(crate) fn id_of(arn: &Value) -> TaskId {
    let text = arn.as_str().expect("an ARN");
    text.rsplit('/').next().and_then(|id| id.parse().ok()).expect("it ends in an id")
}

/// The ids of the tasks in an answer.
pub(crate) fn ids_of(answer: &Value) -> Vec<TaskId> {
    let tasks = answer["tasks"].as_array().cloned().unwrap_or_default();
    tasks.iter().map(|task| id_of(&task["taskArn"])).collect()
}

/// A cluster of one member in the simulator, for what needs a whole node.
pub(crate) struct OneMember {
    pub(crate) sim: Sim,
    pub(crate) env: Env,
    pub(crate) node: Arc<Node>,
    // Dropping it would ask the member to stop.
    _shutdown: watch::Sender<bool>,
}

/// Longest wait for anything in such a test.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

impl OneMember {
    /// Formed, with a leader.
    pub(crate) fn new(seed: u64) -> OneMember {
        let sim = Sim::new(seed);
        let env = sim.node("s1");
        let links = Arc::new(Links::new("s1:7401", "s1:7400"));
        sim.serve(&env, "s1:7401", links.peers());
        sim.serve(&env, "s1:7400", links.clients());
        let mut config = ServerConfig::new("s1", "a", "/data".into(), "/secret".into());
        config.join = vec!["s1:7401".into()];
        let (started, is_started) = oneshot::channel();
        let (shutdown, stop) = watch::channel(false);
        let member =
            simulated::run(env.clone(), config, links, MemoryStore::default(), Faults::default(), started, stop);
        env.spawn(TaskKind::vital("member"), async move {
            if let Err(error) = member.await {
                panic!("the member ended: {error}");
            }
        });
        let member = sim.run(&env, LIMIT, is_started).expect("it starts in time").expect("it starts");
        OneMember { sim, env, node: member.node(), _shutdown: shutdown }
    }

    /// Runs work on the member's machine.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.sim.run(&self.env, LIMIT, work).expect("it ends in time")
    }

    /// Proposes commands as one entry; its index.
    pub(crate) fn propose(&self, kinds: Vec<command::Kind>) -> u64 {
        let consensus = self.node.consensus.clone();
        let command = |kind| Command { kind: Some(kind), cluster_time_ms: START_MS, ..Command::default() };
        let commands = kinds.into_iter().map(command).collect();
        self.run(async move { consensus.propose(commands, None).await }).expect("it leads").index
    }
}

/// A command that makes a cluster.
pub(crate) fn create_cluster(name: &str) -> command::Kind {
    command::Kind::CreateCluster(CreateCluster { name: name.into(), ..CreateCluster::default() })
}
