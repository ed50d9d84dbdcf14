//! One member's whole machinery, and the two ways through it: a read after a barrier, a write through the leader.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use seawall_consensus::{Consensus, ReadError};
use seawall_env::{
    Env, Instant,
    net::{Lane, NetError, trust::Fingerprint},
};
use seawall_model::{ApiError, ErrorCode, MemberId};
use seawall_proto::{
    internal::v1::{
        Command, ForwardId, ForwardRequest, ForwardResponse, MemberRow, PeerIdentity, Reply, SubmitRequest,
        SubmitResponse, reply,
    },
    v1::{Member, MemberRole},
};
use seawall_state::{State, error_of};

use crate::{
    ServerConfig,
    auth::Gate,
    dispatch::Sessions,
    history::History,
    leader::{Liveness, Proposer},
    member::{Condition, Hints, Identity, Peerage, Room, commands, peers},
    metrics::Metrics,
    watch::Changes,
    zones::ZoneProofs,
};

/// A write's deadline unless the client sets one.
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// A linearizable read's deadline unless the client sets one.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(10);
/// Changes of members take as long as the new one needs to catch up.
pub(crate) const MEMBERS_DEADLINE: Duration = Duration::from_secs(30);
/// A replay builds a whole state, and more than one of them where it begins far back.
pub(crate) const REPLAY_DEADLINE: Duration = Duration::from_secs(60);
/// Serials that one write may use, one for each of its commands.
pub(crate) const SERIALS_A_WRITE: u64 = 64;
/// Between two tries of a write that found no leader.
const RETRY: Duration = Duration::from_millis(20);
/// One try of a forwarded write; the next may go to another leader.
const FORWARD_TRY: Duration = Duration::from_secs(2);

/// What every part of a member shares.
pub(crate) struct Node {
    pub(crate) env: Env,
    pub(crate) config: ServerConfig,
    pub(crate) identity: Identity,
    pub(crate) consensus: Consensus,
    pub(crate) proposer: Proposer,
    pub(crate) liveness: Liveness,
    pub(crate) peerage: Peerage,
    pub(crate) sessions: Sessions,
    pub(crate) changes: Changes,
    pub(crate) condition: Condition,
    pub(crate) history: History,
    pub(crate) metrics: Arc<Metrics>,
    /// Where peers and clients reach this member.
    pub(crate) peer_address: String,
    pub(crate) client_address: String,
    /// False only in the simulation, whose links have none.
    pub(crate) agents_need_certificates: bool,
    /// Dropped only in the simulation.
    pub(crate) hints: Hints,
    /// Of the cluster's authority, for join tokens; `None` in the simulation.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What its port lets in.
    pub(crate) gate: Gate,
    /// What the loss of each zone would mean.
    pub(crate) zone_proofs: ZoneProofs,
    pub(crate) serials: AtomicU64,
    /// Held by the one decision that is being replayed.
    pub(crate) replays: tokio::sync::Mutex<()>,
}

/// Why a write has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// The answer is this refusal.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// Nothing was proposed: ask the leader.
    #[error("this member does not lead")]
    NotLeader,
    /// It may or may not have happened: asking again under the same serial finds out.
    #[error("the outcome is not known")]
    Unknown,
}

impl Node {
    /// The state after a read barrier, or as it is here and now when `stale`.
    pub(crate) async fn read(&self, stale: bool, deadline: Instant) -> Result<State, ApiError> {
        self.condition.check_serves()?;
        if !stale && self.read_barrier(deadline).await.is_err() {
            return Err(self.no_leader());
        }
        Ok(self.consensus.state().state.clone())
    }

    /// An index that is applied here and not older than this call.
    pub(crate) async fn read_barrier(&self, deadline: Instant) -> Result<u64, ReadError> {
        let index = self.consensus.read_barrier(deadline).await;
        self.metrics.barrier(index.is_err());
        index
    }

    /// Sends an operation to whoever leads until it is answered or `deadline` passes. One effect, however often it is sent.
    pub(crate) async fn write(&self, request: ForwardRequest, deadline: Instant) -> Result<Bytes, ApiError> {
        let request = ForwardRequest { forward: Some(self.next_forward()), ..request };
        self.condition.check_serves()?;
        let mut maybe_done = false;
        loop {
            match self.write_once(&request, deadline).await {
                Ok(body) => return Ok(body),
                Err(WriteError::Refused(error)) => return Err(error),
                Err(WriteError::Unknown) => maybe_done = true,
                Err(WriteError::NotLeader) => {}
            }
            if !self.wait_for_leader(deadline).await {
                return Err(if maybe_done { self.outcome_unknown() } else { self.no_leader() });
            }
        }
    }

    /// An operation that only the leader can do itself, such as a change of members. It is not sent again once it may have
    /// happened: the operator looks and decides.
    pub(crate) async fn lead(
        self: &Arc<Self>,
        operation: &str,
        body: Bytes,
        request_id: &str,
        deadline: Instant,
    ) -> Result<Bytes, ApiError> {
        loop {
            let leadership = self.consensus.leadership();
            if leadership.is_leader {
                return commands::run(self, operation, body).await;
            }
            let address = leadership.leader.and_then(|id| self.peer_address(id));
            if let Some(address) = address {
                let request = ForwardRequest {
                    operation: operation.to_owned(),
                    body: body.clone(),
                    request_id: request_id.to_owned(),
                    ..Default::default()
                };
                match self.forward_to(&address, request, deadline - self.env.now()).await {
                    Ok(answer) => return answer,
                    Err(WriteError::NotLeader) => {}
                    Err(_) => return Err(self.outcome_unknown()),
                }
            }
            if !self.wait_for_leader(deadline).await {
                return Err(self.no_leader());
            }
        }
    }

    async fn write_once(&self, request: &ForwardRequest, deadline: Instant) -> Result<Bytes, WriteError> {
        let leadership = self.consensus.leadership();
        if leadership.is_leader {
            return self.proposer.operation(request.clone(), deadline).await;
        }
        let leader = leadership.leader.filter(|id| *id != self.identity.id());
        let Some(address) = leader.and_then(|id| self.peer_address(id)) else { return Err(WriteError::NotLeader) };
        let limit = (deadline - self.env.now()).min(FORWARD_TRY);
        let question = self.forward_to(&address, request.clone(), limit);
        Ok(self.unless_another_leads(question).await.ok_or(WriteError::Unknown)???)
    }

    /// The outer error says that there is no answer yet.
    async fn forward_to(
        &self,
        address: &str,
        mut request: ForwardRequest,
        limit: Duration,
    ) -> Result<Result<Bytes, ApiError>, WriteError> {
        request.timeout_ms = limit.as_millis() as u32;
        let body = request.encode_to_vec().into();
        let answer = self.env.net().call(address, Lane::Main, peers::FORWARD, body, limit).await.map_err(|error| {
            // A connection that was refused carried nothing.
            if matches!(error, NetError::Unreachable { .. }) { WriteError::NotLeader } else { WriteError::Unknown }
        })?;
        let answer = ForwardResponse::decode(answer).map_err(|_| WriteError::Unknown)?;
        if answer.not_leader {
            return Err(WriteError::NotLeader);
        }
        // What this client does next on this member sees its own write; past the deadline a read waits by itself.
        let _ = self.consensus.wait_applied(answer.applied_index, self.env.now() + limit).await;
        Ok(match answer.error {
            None => Ok(answer.body),
            Some(refusal) => Err(error_of(refusal)),
        })
    }

    /// A command of this member's own (an agent connected, reports): sent until applied, refused, or `deadline` passes.
    pub(crate) async fn submit(&self, mut command: Command, deadline: Instant) -> Result<(u64, Reply), ApiError> {
        command.forward = Some(self.next_forward());
        loop {
            match self.submit_once(&command, deadline).await {
                Ok((_, Reply { kind: Some(reply::Kind::Refusal(refusal)) })) => return Err(error_of(refusal)),
                Ok(done) => return Ok(done),
                // Too much waits: these commands are the cluster's own and can wait as well.
                Err(WriteError::Refused(error)) if error.code == ErrorCode::Overloaded => {}
                Err(WriteError::Refused(error)) => return Err(error),
                Err(WriteError::NotLeader | WriteError::Unknown) => {}
            }
            if !self.wait_for_leader(deadline).await {
                return Err(self.no_leader());
            }
        }
    }

    async fn submit_once(&self, command: &Command, deadline: Instant) -> Result<(u64, Reply), WriteError> {
        let leadership = self.consensus.leadership();
        if leadership.is_leader {
            return self.proposer.command(command.clone(), deadline).await;
        }
        let leader = leadership.leader.filter(|id| *id != self.identity.id());
        let Some(address) = leader.and_then(|id| self.peer_address(id)) else { return Err(WriteError::NotLeader) };
        let limit = (deadline - self.env.now()).min(FORWARD_TRY);
        let request = SubmitRequest { command: Some(command.clone()), timeout_ms: limit.as_millis() as u32 };
        let body = request.encode_to_vec().into();
        let call = self.env.net().call(&address, Lane::Main, peers::SUBMIT, body, limit);
        let answer = self.unless_another_leads(call).await.ok_or(WriteError::Unknown)?;
        let answer = answer.map_err(|_| WriteError::Unknown)?;
        let answer = SubmitResponse::decode(answer).map_err(|_| WriteError::Unknown)?;
        if let Some(refusal) = answer.refusal {
            return Err(WriteError::Refused(error_of(refusal)));
        }
        answer.reply.map(|reply| (answer.index, reply)).ok_or(WriteError::NotLeader)
    }

    /// A question to the leader, given up once another member is known to lead: the one that was asked may be silent for as
    /// long as its deadline, while the new one would answer at once.
    async fn unless_another_leads<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        let mut leadership = self.consensus.watch_leadership();
        let asked = leadership.borrow_and_update().leader;
        let other = leadership.wait_for(|now| now.leader.is_some() && now.leader != asked);
        tokio::select! {
            biased;
            answer = question => Some(answer),
            Ok(_) = other => None,
        }
    }

    /// Waits a moment for a leader to appear; false when the deadline has passed.
    async fn wait_for_leader(&self, deadline: Instant) -> bool {
        let now = self.env.now();
        if now >= deadline {
            return false;
        }
        let mut leadership = self.consensus.watch_leadership();
        leadership.borrow_and_update();
        let pause = self.env.jitter(RETRY).min(deadline - now);
        let changed = async {
            if leadership.changed().await.is_err() {
                // Replication has ended: nothing changes any more.
                std::future::pending::<()>().await;
            }
        };
        // A change of leadership ends the pause early; both ways mean "try again".
        let _ = self.env.timeout(pause, changed).await;
        true
    }

    fn next_forward(&self) -> ForwardId {
        ForwardId {
            member_id: self.identity.member_id,
            boot: self.identity.boot,
            serial: self.serials.fetch_add(SERIALS_A_WRITE, Ordering::Relaxed),
        }
    }

    /// Where peers reach a member: from state, or from the membership while state does not know it yet.
    pub(crate) fn peer_address(&self, id: MemberId) -> Option<String> {
        let state = self.consensus.state();
        if let Some(row) = state.state.members.get(&id.0)
            && !row.peer_address.is_empty()
        {
            return Some(row.peer_address.clone());
        }
        let members = self.consensus.membership();
        members.voters.get(&id).or_else(|| members.learners.get(&id)).map(ToString::to_string)
    }

    pub(crate) fn identity_message(&self) -> PeerIdentity {
        PeerIdentity {
            cluster_id: self.identity.cluster_bytes().into(),
            member_id: self.identity.member_id,
            epoch: self.identity.epoch,
            name: self.identity.name.clone(),
            zone: self.identity.zone.clone(),
            ..Default::default()
        }
    }

    pub(crate) fn own_row(&self) -> MemberRow {
        MemberRow {
            id: self.identity.member_id,
            name: self.identity.name.clone(),
            zone: self.identity.zone.clone(),
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
            version: self.config.version.clone(),
            changed: 0,
        }
    }

    /// This member as it describes itself to whoever probes it.
    pub(crate) fn own_member(&self) -> Member {
        let leadership = self.consensus.leadership();
        let is_voter = self.consensus.membership().voters.contains_key(&self.identity.id());
        let role = match (leadership.is_leader, is_voter) {
            (true, _) => MemberRole::Leader,
            (false, true) => MemberRole::Voter,
            (false, false) => MemberRole::Learner,
        };
        let applied = self.consensus.state();
        let hash = self.consensus.hash_points().last().copied();
        Member {
            id: self.identity.member_id,
            name: self.identity.name.clone(),
            zone: self.identity.zone.clone(),
            role: role.into(),
            alive: true,
            peer_address: self.peer_address.clone(),
            client_address: self.client_address.clone(),
            applied_index: applied.index,
            log_bytes: self.consensus.log_bytes(),
            version: self.config.version.clone(),
            clock_offset_ms: self.liveness.own_offset_ms(self),
            disk_nearly_full: self.condition.room() != Room::Enough,
            last_seen: Some(seawall_proto::timestamp_of(self.env.wall_ms())),
            state_hash: hash.map(|p| format!("{:032x}", p.hash)).unwrap_or_default(),
            state_hash_index: hash.map(|p| p.index).unwrap_or_default(),
        }
    }

    /// Cluster time, as the proposer stamps it.
    pub(crate) fn cluster_time_ms(&self) -> i64 {
        self.liveness.cluster_time_ms(self)
    }

    fn no_leader(&self) -> ApiError {
        ApiError::new(ErrorCode::NoLeader, format!("no leader: {}", self.peerage.whom_we_wait_for(self)))
    }

    fn outcome_unknown(&self) -> ApiError {
        ApiError::new(
            ErrorCode::Unknown,
            format!("the write may or may not have happened: {}", self.peerage.whom_we_wait_for(self)),
        )
    }
}
