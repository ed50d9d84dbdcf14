//! One session on one stream: hello, welcome, then assignments in and reports out until either side is silent or ends it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    Instant,
    net::{MessageReceiver, MessageSender},
};
use seawall_proto::internal::v1::{
    AgentBeat, AgentMessage, Assignment, MemberMessage, Refused, Sync, UnknownTasks, Welcome, agent_message,
    member_message,
};

use super::{Agent, encode, logs::Logs, reports::Reports};
use crate::{
    engine::Engine,
    error::AgentError,
    spec::{proto_id, task_id},
    store::{Identity, Position},
};

/// Parts of a lease after which a silent member is left.
const SILENCES_A_LEASE: u32 = 3;
/// The position is written this often while it moves; each whole sync writes it as well.
const KEEP_POSITION: Duration = Duration::from_secs(10);

/// How a stream ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It broke, or the member was silent.
    Lost(&'static str),
    /// The member is behind what this agent has seen.
    Behind,
    /// The member said no.
    Refused {
        /// For people.
        reason: String,
        /// Whether trying again may help.
        retry: bool,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Lost(why) => f.write_str(why),
            End::Behind => f.write_str("the member is behind what this agent has seen"),
            End::Refused { reason, .. } => write!(f, "refused: {reason}"),
        }
    }
}

/// See the module.
pub(super) struct Stream<'a> {
    agent: &'a mut Agent,
    out: MessageSender,
    incoming: MessageReceiver,
    heard: Instant,
    silence: Duration,
    reports: Reports,
    logs: Logs,
    /// Of the instance, as the cluster knows it.
    instance: u64,
    /// A task waits for a grant, which answers a beat.
    beats_at_once: bool,
    /// A whole sync of which the end has not come yet.
    sync: Option<(u64, Vec<Assignment>)>,
    kept: (Position, Instant),
}

impl<'a> Stream<'a> {
    pub(super) fn new(agent: &'a mut Agent, out: MessageSender, incoming: MessageReceiver) -> Self {
        let now = agent.env.now();
        Stream {
            logs: Logs::new(agent.env.clone(), out.clone()),
            kept: (agent.position, now),
            agent,
            out,
            incoming,
            heard: now,
            silence: Duration::ZERO,
            instance: 0,
            beats_at_once: false,
            reports: Reports::default(),
            sync: None,
        }
    }

    /// Says hello and waits to be welcomed.
    pub(super) async fn hello(&mut self, limit: Duration) -> Result<Welcome, End> {
        let hello = agent_message::Kind::Hello(self.agent.hello());
        self.silence = limit;
        self.send(hello).await?;
        let answer = self.agent.env.timeout(limit, self.incoming.recv()).await;
        let message = match answer {
            Err(_) => return Err(End::Lost("no welcome in time")),
            Ok(None) => return Err(End::Lost("the member closed the stream")),
            Ok(Some(bytes)) => decode(bytes)?,
        };
        self.see(&message)?;
        match message.kind {
            Some(member_message::Kind::Welcome(welcome)) => Ok(welcome),
            _ => Err(End::Lost("the member answered a hello with something else")),
        }
    }

    /// The session. An error means that the agent itself cannot go on.
    pub(super) async fn run(mut self, welcome: Welcome) -> Result<End, AgentError> {
        self.agent.welcomed(&welcome).await;
        self.agent.start_engine().await?;
        self.silence = Duration::from_millis(welcome.lease_ms.into()) / SILENCES_A_LEASE;
        self.heard = self.agent.env.now();
        self.instance = welcome.instance_id;
        let beat = Duration::from_millis(u64::from(welcome.beat_ms).max(1));
        match self.attend(beat).await {
            Ok(never) => match never {},
            Err(end) => Ok(end),
        }
    }

    async fn attend(&mut self, beat: Duration) -> Result<std::convert::Infallible, End> {
        let mut changes = engine(self.agent).changes();
        let mut next_beat = self.agent.env.now();
        loop {
            if std::mem::take(&mut self.beats_at_once) {
                next_beat = self.agent.env.now();
            }
            changes.borrow_and_update();
            self.report().await?;
            let now = self.agent.env.now();
            if now >= next_beat {
                next_beat = now + beat;
                self.send(agent_message::Kind::Beat(self.now_beat())).await?;
                self.keep_position(KEEP_POSITION).await;
            }
            let silent = self.agent.env.sleep_until(self.heard + self.silence);
            let beats = self.agent.env.sleep_until(next_beat);
            tokio::select! {
                biased;
                message = self.incoming.recv() => {
                    let bytes = message.ok_or(End::Lost("the member closed the stream"))?;
                    self.heard = self.agent.env.now();
                    self.receive(decode(bytes)?).await?;
                }
                () = silent => return Err(End::Lost("the member is silent")),
                () = beats => {}
                // The engine outlives the stream.
                _ = changes.changed(), if self.reports.has_room() => {}
            }
        }
    }

    fn now_beat(&self) -> AgentBeat {
        let boottime_ms = u64::try_from(self.agent.env.boottime().as_millis()).unwrap_or_default();
        AgentBeat { wall_ms: self.agent.env.wall_ms(), boottime_ms }
    }

    async fn send(&self, kind: agent_message::Kind) -> Result<(), End> {
        let message = encode(&AgentMessage { kind: Some(kind) });
        match self.agent.env.timeout(self.silence, self.out.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost("the stream broke")),
            Err(_) => Err(End::Lost("the member takes no messages")),
        }
    }

    /// Sends what has changed.
    async fn report(&mut self) -> Result<(), End> {
        while self.reports.has_room() {
            let Some(report) = self.reports.next(engine(self.agent)) else { return Ok(()) };
            self.send(agent_message::Kind::Report(report)).await?;
        }
        Ok(())
    }

    /// A member never goes back: what it says from before what this agent has seen is not followed. Its refusal is: the
    /// log of another cluster, which this agent came to by mistake, may be far shorter.
    fn see(&mut self, message: &MemberMessage) -> Result<(), End> {
        match &message.kind {
            Some(member_message::Kind::Refused(Refused { reason, retry })) => {
                return Err(End::Refused { reason: reason.clone(), retry: *retry });
            }
            Some(member_message::Kind::Behind(_)) => return Err(End::Behind),
            _ => {}
        }
        let position = Position { epoch: message.epoch, index: message.applied_index };
        if position < self.agent.position {
            return Err(End::Behind);
        }
        self.agent.position = position;
        Ok(())
    }

    async fn keep_position(&mut self, every: Duration) {
        let (now, position) = (self.agent.env.now(), self.agent.position);
        if self.kept.0 != position && now - self.kept.1 >= every && self.agent.keep_position().await {
            self.kept = (position, now);
        }
    }

    async fn receive(&mut self, message: MemberMessage) -> Result<(), End> {
        self.see(&message)?;
        let epoch = message.epoch;
        match message.kind {
            Some(member_message::Kind::Beat(beat)) => self.learn(beat.client_addresses).await,
            Some(member_message::Kind::Assign(assign)) => {
                self.beats_at_once |= assign.assignments.iter().any(waits_for_grant);
                engine(self.agent).assign(epoch, assign.assignments);
            }
            Some(member_message::Kind::Grant(grant)) => {
                let (sent, length) = (grant.boottime_ms, u64::from(grant.lease_ms));
                engine(self.agent).granted(self.instance, Duration::from_millis(sent), Duration::from_millis(length));
            }
            Some(member_message::Kind::Sync(sync)) => self.sync(epoch, sync).await?,
            Some(member_message::Kind::ReportAck(ack)) => self.reports.acknowledged(engine(self.agent), ack.sequence),
            Some(member_message::Kind::StopUnknown(stop)) => {
                let tasks: Vec<_> = stop.tasks.iter().map(|task| task_id(Some(task))).collect();
                engine(self.agent).stop_unknown(&tasks);
            }
            Some(member_message::Kind::LogRequest(request)) => self.logs.start(engine(self.agent), request).await,
            Some(member_message::Kind::LogCredit(credit)) => self.logs.credit(credit.request_id, credit.chunks),
            Some(member_message::Kind::LogCancel(cancel)) => self.logs.cancel(cancel.request_id),
            // `see` has ended the stream.
            Some(member_message::Kind::Behind(_) | member_message::Kind::Refused(_)) => {}
            // Of a newer version: what an agent must obey is announced by the cluster's version first.
            Some(member_message::Kind::Welcome(_)) | None => {}
        }
        Ok(())
    }

    async fn learn(&mut self, mut addresses: Vec<String>) {
        addresses.retain(|address| !address.is_empty());
        self.agent.keep(Identity { members: addresses, ..self.agent.identity.clone() }).await;
    }

    /// Gathers the chunks of a whole sync, and follows it once it is whole.
    async fn sync(&mut self, epoch: u64, chunk: Sync) -> Result<(), End> {
        let mut all = match self.sync.take() {
            Some((id, all)) if id == chunk.sync_id => all,
            _ => Vec::new(),
        };
        all.extend(chunk.assignments);
        if !chunk.last {
            self.sync = Some((chunk.sync_id, all));
            return Ok(());
        }
        self.beats_at_once |= all.iter().any(waits_for_grant);
        let unknown = engine(self.agent).sync(epoch, all);
        self.keep_position(Duration::ZERO).await;
        if !unknown.is_empty() {
            let tasks = unknown.into_iter().map(proto_id).collect();
            self.send(agent_message::Kind::UnknownTasks(UnknownTasks { tasks })).await?;
        }
        Ok(())
    }
}

fn waits_for_grant(assignment: &Assignment) -> bool {
    assignment.fencing_token != 0 && assignment.desired_running
}

/// The engine of an agent that was welcomed.
fn engine(agent: &Agent) -> &Engine {
    agent.engine.as_ref().expect("started with the welcome")
}

fn decode(bytes: Bytes) -> Result<MemberMessage, End> {
    MemberMessage::decode(bytes).map_err(|_| End::Lost("a message of the member does not decode"))
}
