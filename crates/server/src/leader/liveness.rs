//! Who lives, as the leader knows it: leases of agents, members' relays, cluster time. None of it enters the log.
//!
//! A lease starts afresh with each leader, so an election never makes a healthy instance look lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use prost::Message;
use seawall_controllers::mass_loss::{self, AgentView, Hold};
use seawall_env::{Instant, net::Lane};
use seawall_model::{InstanceId, MemberId, SessionId};
use seawall_proto::{
    internal::v1::{HashPoint, InstanceRow, RelayRequest, RelayResponse, disconnect_instances, relay_request},
    v1::ControllerStatus,
};
use seawall_state::State;
use tracing::{error, info, warn};

use crate::{
    ServerConfig,
    api::Node,
    dispatch::lock,
    member::{membership, peers},
};

#[cfg(test)]
mod tests;

/// Members relay this often.
const TICK: Duration = Duration::from_millis(250);
const RELAY_CALL: Duration = Duration::from_millis(750);
/// A member that has not relayed for this long counts as dead.
const MEMBER_SILENT: Duration = Duration::from_secs(3);
/// A clock further off than this is said to be wrong.
const CLOCK_OFF_MS: i64 = 5000;

/// What the leader has heard.
#[derive(Default)]
pub(crate) struct Liveness {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    term: u64,
    members: BTreeMap<MemberId, Heard>,
    leases: BTreeMap<InstanceId, Lease>,
    hold: Hold,
    lost: BTreeMap<InstanceId, Lost>,
    controllers: BTreeMap<&'static str, ControllerStatus>,
}

#[derive(Clone, Default)]
struct Heard {
    at: Instant,
    wall_ms: i64,
    /// Its wall clock less the leader's, when it relayed.
    offset_ms: i64,
    applied_index: u64,
    log_bytes: u64,
    low_on_disk: bool,
    hashes: Vec<HashPoint>,
}

/// An instance whose lease ran out before this leader's eyes.
#[derive(Clone, Copy)]
struct Lost {
    at: Instant,
    /// Who held its stream.
    member: MemberId,
}

#[derive(Clone, Copy)]
struct Lease {
    session: SessionId,
    renewed: Instant,
}

/// A member as the leader heard it last.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberView {
    pub(crate) alive: bool,
    pub(crate) last_seen_ms: i64,
    pub(crate) clock_offset_ms: i64,
    pub(crate) applied_index: u64,
    pub(crate) log_bytes: u64,
    pub(crate) low_on_disk: bool,
    pub(crate) hash: Option<(u64, u128)>,
}

impl Liveness {
    /// A new term begins here: every lease starts afresh.
    pub(super) fn lead(&self, node: &Node, term: u64) {
        let now = node.env.now();
        let state = node.consensus.state();
        let leases = connected(&state.state).map(|(id, session, _)| (id, Lease { session, renewed: now })).collect();
        let members = node.consensus.membership();
        let heard = members.voters.keys().chain(members.learners.keys());
        let heard = heard.map(|id| (*id, Heard { at: now, ..Heard::default() })).collect();
        let mut inner = lock(&self.inner);
        inner.term = term;
        inner.leases = leases;
        inner.members = heard;
        inner.hold = Hold::default();
        inner.lost.clear();
    }

    /// Takes one member's relay.
    pub(crate) fn relay(&self, node: &Node, request: RelayRequest) -> RelayResponse {
        let leadership = *node.consensus.leadership().borrow();
        if !leadership.is_leader {
            let leader_id = leadership.leader.unwrap_or_default().0;
            return RelayResponse { not_leader: true, leader_id, ..Default::default() };
        }
        let now = node.env.now();
        let mut inner = lock(&self.inner);
        for beat in &request.beats {
            let lease = Lease { session: SessionId(beat.session), renewed: now };
            inner.leases.insert(InstanceId(beat.instance_id), lease);
        }
        let member = MemberId(request.member_id);
        let offset_ms = request.wall_ms - node.env.wall_ms();
        if offset_ms.abs() > CLOCK_OFF_MS && member != node.identity.id() {
            warn!(%member, offset_ms, "a member's clock differs from the leader's; run a time service on every host");
        }
        let heard = Heard {
            at: now,
            wall_ms: request.wall_ms,
            offset_ms,
            applied_index: request.applied_index,
            log_bytes: request.log_bytes,
            low_on_disk: request.low_on_disk,
            hashes: request.hashes,
        };
        inner.members.insert(member, heard);
        RelayResponse { diverged: inner.diverged(member), ..Default::default() }
    }

    /// Cluster time for the next command: the median of the voters' wall clocks, as far as they are heard.
    pub(crate) fn cluster_time_ms(&self, node: &Node) -> i64 {
        let voters = node.consensus.membership().voters;
        let inner = lock(&self.inner);
        let now = node.env.now();
        let heard = |id: &MemberId| inner.members.get(id).filter(|m| m.wall_ms != 0 && now - m.at < MEMBER_SILENT);
        let offset =
            |id: &MemberId| if *id == node.identity.id() { Some(0) } else { heard(id).map(|member| member.offset_ms) };
        node.env.wall_ms() + median(voters.keys().filter_map(offset).collect())
    }

    /// Agents whose lease ran out, at most what one command takes.
    pub(super) fn expired(&self, node: &Node, state: &State) -> Vec<disconnect_instances::Item> {
        let now = node.env.now();
        let lease_time = Duration::from_millis(node.config.lease_ms);
        let mut inner = lock(&self.inner);
        let mut lost = Vec::new();
        let mut current = BTreeMap::new();
        for (instance, session, member) in connected(state) {
            let known = inner.leases.get(&instance).filter(|lease| lease.session >= session);
            let lease = known.copied().unwrap_or(Lease { session, renewed: now });
            if now - lease.renewed > lease_time {
                lost.push(disconnect_instances::Item { instance_id: instance.0, session: session.0 });
                inner.lost.entry(instance).or_insert(Lost { at: now, member });
            }
            current.insert(instance, lease);
        }
        inner.leases = current;
        lost
    }

    /// Looks whether too many instances fell silent at once for replacing their tasks to be wise.
    pub(super) fn judge_mass_loss(&self, node: &Node, state: &State) {
        let now = node.env.now();
        let live_members = self.views(node).into_iter().filter(|(_, view)| view.alive).map(|(id, _)| id).collect();
        let mut inner = lock(&self.inner);
        let agents = inner.agents(state, now, &node.config);
        let input = mass_loss::Input {
            agents: &agents,
            live_members: &live_members,
            lease_ms: node.config.lease_ms as i64,
            hold_max_ms: node.config.mass_loss_hold.as_millis() as i64,
            now_ms: now.0.as_millis() as i64,
        };
        let hold = mass_loss::decide(&inner.hold, &input);
        match (&inner.hold, &hold) {
            (Hold::Off { .. }, Hold::On { reason, .. }) => error!(%reason, "replacement of lost tasks is held"),
            (Hold::On { .. }, Hold::Off { .. }) => warn!("replacement of lost tasks goes on"),
            _ => {}
        }
        inner.hold = hold;
    }

    /// Whether lost tasks are left alone for now.
    pub(crate) fn holds_replacement(&self) -> bool {
        lock(&self.inner).hold.is_on()
    }

    /// Why, for people.
    pub(crate) fn hold_reason(&self) -> Option<String> {
        match &lock(&self.inner).hold {
            Hold::On { reason, .. } => Some(reason.clone()),
            Hold::Off { .. } => None,
        }
    }

    /// Members as heard last.
    pub(crate) fn views(&self, node: &Node) -> BTreeMap<MemberId, MemberView> {
        let now = node.env.now();
        let inner = lock(&self.inner);
        let view = |(id, m): (&MemberId, &Heard)| {
            let alive = *id == node.identity.id() || now - m.at < MEMBER_SILENT;
            let hash = m.hashes.last().map(|p| (p.index, hash_of(p)));
            let view = MemberView {
                alive,
                last_seen_ms: m.wall_ms,
                clock_offset_ms: m.offset_ms,
                applied_index: m.applied_index,
                log_bytes: m.log_bytes,
                low_on_disk: m.low_on_disk,
                hash,
            };
            (*id, view)
        };
        inner.members.iter().map(view).collect()
    }

    /// Forgets a member that left.
    pub(crate) fn forget(&self, member: MemberId) {
        lock(&self.inner).members.remove(&member);
    }

    /// Notes a controller's run, for the status.
    pub(super) fn status(&self, name: &'static str, wall_ms: i64, took: Duration, failed: Option<String>) {
        let mut inner = lock(&self.inner);
        let status = inner.controllers.entry(name).or_default();
        status.name = name.into();
        status.last_run = Some(seawall_proto::timestamp_of(wall_ms));
        status.last_duration_us = took.as_micros() as u64;
        status.runs += 1;
        status.last_error = failed.unwrap_or_default();
    }

    /// Every controller's last run.
    pub(crate) fn controllers(&self) -> Vec<ControllerStatus> {
        lock(&self.inner).controllers.values().cloned().collect()
    }
}

impl Inner {
    /// Agents that are connected, or were when they were lost. Their last beats lie up to a beat apart, so leases that one
    /// fault ends run out one after the other: as soon as one has, those that are as silent count as lost with it.
    /// Otherwise the tasks of the first would be moved before there is a mass of them.
    fn agents(&mut self, state: &State, now: Instant, config: &ServerConfig) -> Vec<AgentView> {
        let lease = Duration::from_millis(config.lease_ms);
        let leases = &self.leases;
        let silent_for = |id: &InstanceId| leases.get(id).map_or(Duration::ZERO, |lease| now - lease.renewed);
        self.lost.retain(|id, _| state.instances.get(id).is_some_and(|row| !row.connected || silent_for(id) > lease));
        let began = self.lost.values().any(|lost| now - lost.at < lease);
        let suspect = lease.saturating_sub(Duration::from_millis(config.beat_ms) + TICK);
        let view = |(id, row): (&InstanceId, &Arc<InstanceRow>)| {
            let lost = self.lost.get(id).copied();
            let is_suspect = began && row.connected && silent_for(id) >= suspect;
            (row.connected || lost.is_some()).then(|| AgentView {
                zone: row.zone.clone(),
                member: lost.map_or(MemberId(row.member_id), |lost| lost.member),
                lost_at_ms: lost.map(|lost| lost.at).or(is_suspect.then_some(now)).map(|at| at.0.as_millis() as i64),
            })
        };
        state.instances.iter().filter_map(view).collect()
    }

    /// Whether a majority of members agrees, at an index it has too, on another hash than `member`'s.
    fn diverged(&self, member: MemberId) -> bool {
        let Some(own) = self.members.get(&member) else { return false };
        own.hashes.iter().any(|point| {
            let mut counts: BTreeMap<u128, usize> = BTreeMap::new();
            for heard in self.members.values() {
                let at = heard.hashes.iter().find(|p| p.index == point.index);
                at.into_iter().for_each(|p| *counts.entry(hash_of(p)).or_default() += 1);
            }
            counts.into_iter().any(|(hash, count)| hash != hash_of(point) && count > self.members.len() / 2)
        })
    }
}

/// The middle one, the earlier of two; 0 where there is none.
fn median(mut offsets: Vec<i64>) -> i64 {
    offsets.sort_unstable();
    offsets.get(offsets.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn hash_of(point: &HashPoint) -> u128 {
    u128::from_be_bytes(point.hash.as_ref().try_into().unwrap_or_default())
}

fn connected(state: &State) -> impl Iterator<Item = (InstanceId, SessionId, MemberId)> {
    let rows = state.instances.iter().filter(|(_, row)| row.connected);
    rows.map(|(id, row)| (*id, SessionId(row.session), MemberId(row.member_id)))
}

/// Tells the leader, once a tick, which agents and that this member live.
pub(crate) async fn relay_loop(node: Arc<Node>) {
    let mut since = Instant::default();
    loop {
        let now = node.env.now();
        let request = relay(&node, since);
        since = now;
        if let Some(answer) = tell(&node, request).await
            && answer.diverged
        {
            doubt(&node);
        }
        if node.is_doubtful() {
            heal(&node).await;
        }
        node.env.sleep_until(now + TICK).await;
    }
}

fn relay(node: &Node, since: Instant) -> RelayRequest {
    let beats = node.sessions.beats_since(since).into_iter();
    let hashes = node.consensus.hash_points().into_iter();
    RelayRequest {
        member_id: node.identity.member_id,
        term: node.consensus.leadership().borrow().term,
        beats: beats.map(|(i, s)| relay_request::Beat { instance_id: i.0, session: s.0 }).collect(),
        applied_index: node.consensus.state().index,
        wall_ms: node.env.wall_ms(),
        log_bytes: node.consensus.log_bytes(),
        low_on_disk: node.room.is_low(),
        version: node.config.version.clone(),
        hashes: hashes.map(|p| HashPoint { index: p.index, hash: p.hash.to_be_bytes().to_vec().into() }).collect(),
        ..Default::default()
    }
}

async fn tell(node: &Node, request: RelayRequest) -> Option<RelayResponse> {
    let leadership = *node.consensus.leadership().borrow();
    if leadership.is_leader {
        return Some(node.liveness.relay(node, request));
    }
    let address = node.peer_address(leadership.leader?)?;
    let body = request.encode_to_vec().into();
    let answer = node.env.net().call(&address, Lane::Main, peers::RELAY, body, RELAY_CALL).await.ok()?;
    RelayResponse::decode(answer).ok()
}

/// Nothing is answered from this state any more, and no agent is told anything by it.
fn doubt(node: &Node) {
    if !node.doubtful.swap(true, Ordering::AcqRel) {
        error!("this member's state differs from a majority's at the same index; it serves nobody until it has theirs");
    }
    node.sessions.close_all();
}

/// Loads the leader's state in place of this member's own. A leader first makes another one of those that agree.
async fn heal(node: &Node) {
    let leadership = *node.consensus.leadership().borrow();
    let Some(leader) = leadership.leader else { return };
    let done = if leader == node.identity.id() {
        let Some(to) = membership::best_successor(node, false) else { return };
        node.consensus.transfer_leader(to).await
    } else {
        let installed = node.consensus.install_state_from(leader).await;
        if installed.is_ok() {
            node.doubtful.store(false, Ordering::Release);
            info!("the state is reloaded; this member serves again");
        }
        installed
    };
    if let Err(error) = done {
        error!(%error, "the state could not be reloaded; trying again");
    }
}
