//! One agent's stream, from its hello to its end (hard part 8).

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use seawall_env::net::{Caller, MessageReceiver, MessageSender, NetError};
use seawall_model::{ApiError, ErrorCode, InstanceId, SessionId, TaskId, limits::SYNC_CHUNK};
use seawall_proto::internal::v1::{
    AgentMessage, Assign, Assignment, Behind, Command, ConnectInstance, Connected, Hello, MemberBeat, MemberMessage,
    Refused, ReportAck, StopUnknown, Sync, Welcome, agent_message, command, member_message, reply, report_tasks,
};
use seawall_state::{State, task_id, task_id_message};
use tokio::sync::{Notify, mpsc};
use tracing::{debug, info, warn};

use super::{Live, assignment, lock, logs, reports};
use crate::api::Node;

const HELLO: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(5);
/// A member beats this often in a lease, so that an agent notices a silent one within a third of it.
const BEATS_A_LEASE: u64 = 12;
/// An agent is told what it was not told yet at least this often, whatever hints were lost.
const EVERYTHING: Duration = Duration::from_secs(15);
const LOG_ORDERS_WAITING: usize = 64;
/// Of a cluster that was never restored.
const FIRST_EPOCH: u64 = 1;

/// Why a stream did not become a session.
enum Turned {
    Behind,
    Refused { reason: String, retry: bool },
    Gone,
}

pub(super) async fn serve(
    node: Arc<Node>,
    caller: Caller,
    mut incoming: MessageReceiver,
    outgoing: MessageSender,
) -> Result<(), NetError> {
    let hello = match node.env.timeout(HELLO, incoming.recv()).await {
        Ok(Some(bytes)) => decode(bytes)?,
        _ => return Ok(()),
    };
    let Some(agent_message::Kind::Hello(hello)) = hello.kind else {
        return Err(NetError::Refused("the first message of an agent is its hello".into()));
    };
    let name = hello.identity.as_ref().map(|i| i.ec2_instance_id.clone()).unwrap_or_default();
    let out = Out { node: node.clone(), outgoing };
    match connect(&node, &caller, &hello).await {
        Ok(connected) => {
            let run = hello.identity.as_ref().map(|i| i.run).unwrap_or_default();
            let mut session = Session::start(node, out, connected, run);
            info!(instance = %name, session = %session.live.session, "agent connected");
            let end = session.run(incoming).await;
            session.node.sessions.remove(&session.live);
            logs::end_all(&session.live);
            info!(instance = %name, session = %session.live.session, end, "agent left");
        }
        Err(Turned::Behind) => drop(out.send(member_message::Kind::Behind(Behind {})).await),
        Err(Turned::Refused { reason, retry }) => {
            warn!(instance = %name, %reason, "agent refused");
            let _ = out.send(member_message::Kind::Refused(Refused { reason, retry })).await;
        }
        Err(Turned::Gone) => {}
    }
    Ok(())
}

fn decode(bytes: Bytes) -> Result<AgentMessage, NetError> {
    AgentMessage::decode(bytes).map_err(|e| NetError::Broken(format!("a message of an agent does not decode: {e}")))
}

async fn connect(node: &Arc<Node>, caller: &Caller, hello: &Hello) -> Result<Connected, Turned> {
    let mut identity = hello.identity.clone().ok_or(Turned::Gone)?;
    if identity.host_ip.is_empty() {
        identity.host_ip = ip_of(caller);
    }
    let refused = |reason: String| Turned::Refused { reason, retry: false };
    let expected = format!("agent:{}", identity.ec2_instance_id);
    match &caller.certificate_name {
        Some(name) if *name == expected => {}
        Some(name) => return Err(refused(format!("the certificate is {name}'s, the instance says it is {expected}"))),
        None if node.agents_need_certificates => {
            return Err(refused(
                "an agent connects with a certificate of this cluster; join with a token first".into(),
            ));
        }
        None => {}
    }
    let cluster_id = node.identity.cluster_bytes();
    if !hello.cluster_id.is_empty() && hello.cluster_id != cluster_id {
        return Err(refused(format!(
            "this agent's data folder belongs to another cluster ({}); give it an empty --data-dir to move it here",
            hex(&hello.cluster_id)
        )));
    }
    let deadline = node.env.now() + CONNECT;
    node.read_barrier(deadline).await.map_err(|_| Turned::Behind)?;
    if !node.condition.serves() {
        return Err(Turned::Behind);
    }
    if (hello.seen_epoch, hello.seen_index) > (node.identity.epoch, node.consensus.state().index) {
        return Err(Turned::Behind);
    }
    let id = node.env.new_id();
    let command = Command {
        kind: Some(command::Kind::ConnectInstance(ConnectInstance {
            identity: Some(identity),
            member_id: node.identity.member_id,
            new_arn_hi: id.hi(),
            new_arn_lo: id.lo(),
        })),
        ..Default::default()
    };
    let (index, reply) = node.submit(command, deadline).await.map_err(turned)?;
    let Some(reply::Kind::Connected(connected)) = reply.kind else { return Err(Turned::Behind) };
    node.consensus.wait_applied(index, deadline).await.map_err(|_| Turned::Behind)?;
    Ok(connected)
}

/// Where an agent that names no `--host-ip` is reached: from where it called.
fn ip_of(caller: &Caller) -> String {
    let address = caller.address.parse::<std::net::SocketAddr>();
    address.map(|address| address.ip().to_canonical().to_string()).unwrap_or_default()
}

fn turned(error: ApiError) -> Turned {
    match error.code {
        // The agent has given this connection up.
        ErrorCode::Conflict => Turned::Gone,
        ErrorCode::NoLeader | ErrorCode::Server => Turned::Behind,
        ErrorCode::ClusterNotFound => Turned::Refused { reason: error.message, retry: true },
        _ => Turned::Refused { reason: error.message, retry: false },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The way to the agent.
struct Out {
    node: Arc<Node>,
    outgoing: MessageSender,
}

impl Out {
    async fn send(&self, kind: member_message::Kind) -> Result<(), ()> {
        let message = MemberMessage {
            epoch: self.node.identity.epoch,
            applied_index: self.node.consensus.state().index,
            kind: Some(kind),
        };
        self.outgoing.send(message.encode_to_vec().into()).await.map_err(|_| ())
    }
}

struct Session {
    node: Arc<Node>,
    out: Out,
    live: Arc<Live>,
    log_orders: mpsc::Receiver<logs::Order>,
    /// What the agent was last told to want of each task.
    told: BTreeMap<TaskId, bool>,
    acked: u64,
    welcome: Welcome,
}

impl Session {
    fn start(node: Arc<Node>, out: Out, connected: Connected, run: u64) -> Session {
        let (orders, log_orders) = mpsc::channel(LOG_ORDERS_WAITING);
        let live = Arc::new(Live {
            instance: InstanceId(connected.instance_id),
            session: SessionId(connected.session),
            run,
            last_beat: Mutex::new(node.env.now()),
            boottime_ms: AtomicU64::new(0),
            granted: Mutex::default(),
            dirty: Mutex::default(),
            resync: AtomicBool::new(true),
            superseded: AtomicBool::new(false),
            acked: AtomicU64::new(0),
            logs: Mutex::default(),
            log_orders: orders,
            wake: Notify::new(),
        });
        // Registered before the first full sync is read from state: what changes in between marks it again.
        node.sessions.add(live.clone());
        let state = node.consensus.state();
        let welcome = Welcome {
            cluster_id: node.identity.cluster_bytes().into(),
            instance_id: connected.instance_id,
            arn_hi: connected.arn_hi,
            arn_lo: connected.arn_lo,
            session: connected.session,
            lease_ms: node.config.lease_ms as u32,
            beat_ms: node.config.beat_ms as u32,
            region: state.state.meta.region.clone(),
            account: state.state.meta.account.clone(),
            member: node.identity.name.clone(),
        };
        live.wake.notify_one();
        Session { node, out, live, log_orders, told: BTreeMap::new(), acked: 0, welcome }
    }

    /// Runs until either side ends it; says why for the log.
    async fn run(&mut self, mut incoming: MessageReceiver) -> &'static str {
        let welcome = std::mem::take(&mut self.welcome);
        if self.out.send(member_message::Kind::Welcome(welcome)).await.is_err() {
            return "stream closed";
        }
        let beat = Duration::from_millis((self.node.config.lease_ms / BEATS_A_LEASE).max(1));
        let lease = Duration::from_millis(self.node.config.lease_ms);
        let mut next_beat = self.node.env.now();
        let mut everything_at = next_beat + self.node.env.jitter(EVERYTHING / 2);
        loop {
            let live = self.live.clone();
            let sleep = self.node.env.sleep_until(next_beat);
            let sent = tokio::select! {
                biased;
                () = live.wake.notified() => self.push().await,
                () = sleep => {
                    if self.node.env.now() - *lock(&live.last_beat) > lease {
                        return "silent";
                    }
                    next_beat = self.node.env.now() + beat;
                    if next_beat >= everything_at {
                        everything_at = next_beat + self.node.env.jitter(EVERYTHING / 2);
                        self.look_at_everything();
                    }
                    self.beat().await
                }
                Some(order) = self.log_orders.recv() => self.out.send(order.into_message()).await,
                message = incoming.recv() => match message {
                    None => return "stream closed",
                    Some(bytes) => match self.receive(bytes).await {
                        Ok(sent) => sent,
                        Err(why) => return why,
                    },
                },
            };
            if sent.is_err() {
                return "stream closed";
            }
            if live.superseded.load(Ordering::Acquire) {
                let _ = self.out.send(member_message::Kind::Refused(self.why_superseded())).await;
                return "superseded";
            }
        }
    }

    fn why_superseded(&self) -> Refused {
        let state = self.node.consensus.state();
        let refused = |reason: &str, retry| Refused { reason: reason.into(), retry };
        match state.state.instances.get(&self.live.instance) {
            None => refused("the instance was deregistered", true),
            Some(row) if row.run != self.live.run => refused("another agent connected as this instance", false),
            Some(row) if !row.connected => refused("the instance was taken for lost; connect anew", true),
            Some(_) => refused("this member does not serve this connection any more; connect to another member", true),
        }
    }

    async fn beat(&self) -> Result<(), ()> {
        let state = self.node.consensus.state();
        let leader = self.node.consensus.leadership().leader;
        let name = leader.and_then(|id| state.state.members.get(&id.0).map(|row| row.name.clone())).unwrap_or_default();
        let client_addresses = state.state.members.iter().map(|(_, row)| row.client_address.clone()).collect();
        self.out.send(member_message::Kind::Beat(MemberBeat { leader: name, client_addresses })).await
    }

    /// Marks every task that it has or was told of, and the session itself where a newer one is known.
    fn look_at_everything(&self) {
        let state = self.node.consensus.state();
        let held = state.state.tasks_of_instance(self.live.instance).filter_map(|task| task.id.as_ref().map(task_id));
        held.chain(self.told.keys().copied()).for_each(|id| self.live.mark(id));
        if !super::is_current(&state.state, &self.live) {
            self.live.supersede();
        }
    }

    /// Tells the agent what changed since it was last told.
    async fn push(&mut self) -> Result<(), ()> {
        let acked = self.live.acked.load(Ordering::Acquire);
        if acked > self.acked {
            self.acked = acked;
            self.out.send(member_message::Kind::ReportAck(ReportAck { sequence: acked })).await?;
        }
        let dirty = std::mem::take(&mut *lock(&self.live.dirty));
        let state = self.node.consensus.state();
        if self.live.resync.swap(false, Ordering::AcqRel) {
            self.sync(&state.state).await?;
            return self.grant().await;
        }
        let changed: Vec<Assignment> = dirty.into_iter().filter_map(|id| self.news(&state.state, id)).collect();
        for chunk in changed.chunks(SYNC_CHUNK) {
            self.out.send(member_message::Kind::Assign(Assign { assignments: chunk.to_vec() })).await?;
        }
        self.grant().await
    }

    /// Comes after what the agent is told of its tasks: one that is over does not begin with a grant of this session.
    async fn grant(&mut self) -> Result<(), ()> {
        let granted = lock(&self.live.granted).take();
        match granted {
            Some(grant) => self.out.send(member_message::Kind::Grant(grant)).await,
            None => Ok(()),
        }
    }

    /// The assignment to send if the agent has not been told the task's desired status yet.
    fn news(&mut self, state: &State, id: TaskId) -> Option<Assignment> {
        let task = state.tasks.get(&id).filter(|task| assignment::is_live(task));
        let Some(task) = task else {
            self.told.remove(&id);
            return None;
        };
        if self.told.insert(id, task.desired_running) == Some(task.desired_running) {
            return None;
        }
        Some(assignment::of(state, task))
    }

    async fn sync(&mut self, state: &State) -> Result<(), ()> {
        let all = assignment::all(state, self.live.instance);
        self.told = all.iter().filter_map(|a| Some((task_id(a.task.as_ref()?), a.desired_running))).collect();
        let sync_id = self.node.env.random_u64();
        let mut chunks: Vec<Vec<Assignment>> = all.chunks(SYNC_CHUNK).map(<[Assignment]>::to_vec).collect();
        let end = chunks.pop().unwrap_or_default();
        for assignments in chunks {
            self.out.send(member_message::Kind::Sync(Sync { sync_id, assignments, last: false })).await?;
        }
        self.out.send(member_message::Kind::Sync(Sync { sync_id, assignments: end, last: true })).await
    }

    /// The outer error ends the session.
    async fn receive(&mut self, bytes: Bytes) -> Result<Result<(), ()>, &'static str> {
        *lock(&self.live.last_beat) = self.node.env.now();
        let message = decode(bytes).map_err(|_| "undecodable message")?;
        match message.kind {
            Some(agent_message::Kind::Beat(beat)) => {
                self.live.boottime_ms.store(beat.boottime_ms, Ordering::Release);
                Ok(Ok(()))
            }
            Some(agent_message::Kind::Report(report)) => {
                let item = report_tasks::Item {
                    instance_id: self.live.instance.0,
                    session: self.live.session.0,
                    sequence: report.sequence,
                    tasks: report.tasks,
                };
                if item.encoded_len() > reports::REPORT_BYTES_MAX {
                    return Err("a report over the size limit");
                }
                let waiting = reports::Waiting { live: self.live.clone(), item };
                self.node.sessions.reports.try_send(waiting).map_err(|_| "too many reports wait for the leader")?;
                Ok(Ok(()))
            }
            Some(agent_message::Kind::LogChunk(chunk)) => {
                logs::deliver(&self.live, chunk);
                Ok(Ok(()))
            }
            Some(agent_message::Kind::UnknownTasks(unknown)) => {
                let tasks: Vec<TaskId> = unknown.tasks.iter().map(task_id).collect();
                Ok(self.answer_unknown(tasks).await)
            }
            Some(agent_message::Kind::Hello(_)) | None => Err("unexpected message"),
        }
    }

    /// Names the tasks that must stop. After a restore from an older state (a later epoch than the first) the cluster may
    /// have forgotten what it once assigned: such a task is not stopped without an operator's word.
    async fn answer_unknown(&self, tasks: Vec<TaskId>) -> Result<(), ()> {
        let state = self.node.consensus.state();
        let forgets_nothing = self.node.identity.epoch == FIRST_EPOCH;
        let over = |id: &TaskId| match state.state.tasks.get(id) {
            None => forgets_nothing,
            Some(row) => !assignment::is_live(row) || row.instance_id != self.live.instance.0,
        };
        let tasks: Vec<_> = tasks.into_iter().filter(over).map(task_id_message).collect();
        if tasks.is_empty() {
            return Ok(());
        }
        debug!(count = tasks.len(), instance = %self.live.instance, "stopping tasks that are over");
        self.out.send(member_message::Kind::StopUnknown(StopUnknown { tasks })).await
    }
}
