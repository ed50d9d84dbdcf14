//! Who lives, as the leader knows it: leases of agents, members' relays, cluster time. None of it enters the log.
//!
//! A lease starts afresh with each leader, so an election never makes a healthy instance look lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use seawall_controllers::mass_loss::{self, AgentView, Hold};
use seawall_env::Instant;
use seawall_model::{InstanceId, MemberId, SessionId};
use seawall_proto::{
    internal::v1::{HashPoint, InstanceRow, RelayRequest, RelayResponse, disconnect_instances, relay_request::Beat},
    v1::ControllerStatus,
};
use seawall_state::State;
use tokio::sync::Notify;
use tracing::{error, warn};

use super::grants::{self, Grants};
use crate::{ServerConfig, api::Node, dispatch::lock, member::Room};

#[cfg(test)]
mod tests;

/// Members relay this often.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// A member that has not relayed for this long counts as dead.
const MEMBER_SILENT: Duration = Duration::from_secs(3);
/// A clock further off than this is said to be wrong.
pub(crate) const CLOCK_OFF_MS: i64 = 5000;
/// Instances in one command: a tenth of what fits.
const DISCONNECTS_A_COMMAND: usize = 1024;

/// What the leader has heard.
#[derive(Default)]
pub(crate) struct Liveness {
    inner: Mutex<Inner>,
    /// Woken when cluster time becomes known to a leader.
    pub(super) time_known: Notify,
}

#[derive(Default)]
struct Inner {
    term: u64,
    members: BTreeMap<MemberId, Heard>,
    leases: BTreeMap<InstanceId, Lease>,
    hold: Hold,
    lost: BTreeMap<InstanceId, Lost>,
    grants: Grants,
    controllers: BTreeMap<&'static str, ControllerStatus>,
    /// Cluster time as the leader said it last, and when.
    told: Option<(Instant, i64)>,
}

#[derive(Clone, Default)]
struct Heard {
    at: Instant,
    wall_ms: i64,
    /// Its wall clock less the leader's monotonic one: a leader whose own wall clock is set does not take the others along.
    base_ms: i64,
    applied_index: u64,
    log_bytes: u64,
    disk_low: bool,
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
    last_heard: Instant,
    pub(crate) last_seen_ms: i64,
    pub(crate) applied_index: u64,
    pub(crate) log_bytes: u64,
    pub(crate) disk_low: bool,
    pub(crate) hash: Option<(u64, u128)>,
}

impl MemberView {
    /// Whether the leader heard it lately.
    pub(crate) fn is_heard_within(&self, node: &Node, limit: Duration) -> bool {
        node.env.now() - self.last_heard < limit
    }
}

impl Liveness {
    /// A new term begins here: every lease starts afresh.
    pub(super) fn lead(&self, node: &Node, term: u64) {
        let now = node.env.now();
        let state = node.consensus.state();
        let leases = connected(&state.state).map(|(id, session, _)| (id, Lease { session, renewed: now })).collect();
        let members = node.consensus.membership();
        let heard = members.voters.keys().chain(members.learners.keys());
        let mut inner = lock(&self.inner);
        // Relays may come before this member knows that it leads: what they said of clocks holds.
        let known = |id: &MemberId| inner.members.get(id).filter(|heard| now - heard.at < MEMBER_SILENT).cloned();
        let heard = heard.map(|id| (*id, Heard { at: now, ..known(id).unwrap_or_default() })).collect();
        inner.term = term;
        inner.leases = leases;
        inner.members = heard;
        inner.hold = Hold::default();
        inner.lost.clear();
        inner.grants.lead(now);
    }

    /// Grants the beats of sessions that are current, in a term that a majority confirmed after they were `received`; those.
    pub(super) fn grant(&self, term: u64, received: Instant, beats: Vec<Beat>, state: &State) -> Vec<Beat> {
        let mut inner = lock(&self.inner);
        // Until this term has begun here, what is granted would be forgotten when it does.
        if inner.term != term { Vec::new() } else { grants::current(beats, received, &mut inner.grants, state) }
    }

    /// Instances whose guards have ended their tasks by now; none before this leader's term has begun here.
    pub(super) fn guards_over(&self, node: &Node, state: &State) -> Vec<disconnect_instances::Item> {
        let leadership = node.consensus.leadership();
        let mut inner = lock(&self.inner);
        if !leadership.is_leader || inner.term != leadership.term {
            return Vec::new();
        }
        inner.grants.over(node.env.now(), state)
    }

    /// Takes one member's relay.
    pub(crate) fn relay(&self, node: &Node, request: RelayRequest) -> RelayResponse {
        let leadership = node.consensus.leadership();
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
        let heard = Heard {
            at: now,
            wall_ms: request.wall_ms,
            base_ms: request.wall_ms - monotonic_ms(now),
            applied_index: request.applied_index,
            log_bytes: request.log_bytes,
            disk_low: request.disk_low,
            hashes: request.hashes,
        };
        let knew = inner.clock_ms(node).is_some();
        inner.members.insert(member, heard);
        let clock_ms = inner.clock_ms(node);
        if clock_ms.is_some() && !knew {
            self.time_known.notify_one();
        }
        let answer = RelayResponse { cluster_time_ms: clock_ms.unwrap_or_default(), ..Default::default() };
        match inner.verdict(member) {
            Verdict::Same => answer,
            Verdict::Differs(from) => RelayResponse { diverged: true, agrees: from.0, ..answer },
            Verdict::Undecided => RelayResponse { diverged: true, ..answer },
        }
    }

    /// Cluster time for the next command. It never goes back.
    pub(crate) fn cluster_time_ms(&self, node: &Node) -> i64 {
        let clock_ms = lock(&self.inner).clock_ms(node);
        clock_ms.unwrap_or_else(|| node.env.wall_ms()).max(node.consensus.state().state.meta.cluster_time_ms)
    }

    /// This member's wall clock less cluster time, as far as it knows that.
    pub(crate) fn own_offset_ms(&self, node: &Node) -> i64 {
        let clock_ms = lock(&self.inner).clock_ms(node);
        clock_ms.map_or(0, |clock_ms| node.env.wall_ms() - clock_ms)
    }

    /// False on a leader that no leader before has told the time and that has not heard a majority's clocks: it may be the
    /// one whose clock is wrong, and a time that is once in the log stays.
    pub(super) fn knows_time(&self, node: &Node) -> bool {
        lock(&self.inner).clock_ms(node).is_some()
    }

    /// Takes the time as the leader says it.
    pub(super) fn tell_time(&self, now: Instant, cluster_time_ms: i64) {
        if cluster_time_ms != 0 {
            lock(&self.inner).told = Some((now, cluster_time_ms));
        }
    }

    /// Agents whose lease ran out, at most what one command takes; the rest follow with the next tick.
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
                if lost.len() < DISCONNECTS_A_COMMAND {
                    lost.push(disconnect_instances::Item { instance_id: instance.0, session: session.0 });
                }
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
            now_ms: monotonic_ms(now),
        };
        let hold = mass_loss::decide(&inner.hold, &input);
        match (&inner.hold, &hold) {
            (Hold::Off { .. }, Hold::On { reason, .. }) => error!(%reason, "replacement of lost tasks is held"),
            (Hold::On { .. }, Hold::Off { .. }) => warn!("replacement of lost tasks goes on"),
            _ => {}
        }
        inner.hold = hold;
    }

    /// An operator ends the hold; its reason, `None` where there is none.
    pub(crate) fn release_hold(&self, node: &Node) -> Option<String> {
        let reason = self.hold_reason()?;
        let mut inner = lock(&self.inner);
        inner.hold = inner.hold.release(monotonic_ms(node.env.now()));
        warn!(%reason, "an operator lets replacement of lost tasks go on");
        Some(reason)
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
            let last_heard = if *id == node.identity.id() { now } else { m.at };
            let alive = now - last_heard < MEMBER_SILENT;
            let hash = m.hashes.last().map(|p| (p.index, hash_of(p)));
            let view = MemberView {
                alive,
                last_heard,
                last_seen_ms: m.wall_ms,
                applied_index: m.applied_index,
                log_bytes: m.log_bytes,
                disk_low: m.disk_low,
                hash,
            };
            (*id, view)
        };
        inner.members.iter().map(view).collect()
    }

    /// Whether this member and a majority of the voters have room on their disks.
    pub(super) fn has_room(&self, node: &Node) -> bool {
        let voters = node.consensus.membership().voters;
        let inner = lock(&self.inner);
        let low = voters.keys().filter(|id| inner.members.get(id).is_some_and(|heard| heard.disk_low)).count();
        node.condition.room() == Room::Enough && low <= voters.len() / 2
    }

    /// Forgets a member that left.
    pub(crate) fn forget(&self, member: MemberId) {
        lock(&self.inner).members.remove(&member);
    }

    /// Notes a controller's run, for the status.
    pub(crate) fn status(&self, name: &'static str, wall_ms: i64, took: Duration, failed: Option<String>) {
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
    /// The median of the voters' wall clocks where a majority of them is heard, else as the leader said it last.
    fn clock_ms(&self, node: &Node) -> Option<i64> {
        let voters = node.consensus.membership().voters;
        let now = node.env.now();
        let heard = |id: &MemberId| self.members.get(id).filter(|m| m.wall_ms != 0 && now - m.at < MEMBER_SILENT);
        let own = |id: &MemberId| (*id == node.identity.id()).then(|| node.env.wall_ms() - monotonic_ms(now));
        let base = |id: &MemberId| heard(id).map(|member| member.base_ms).or_else(|| own(id));
        let bases: Vec<i64> = voters.keys().filter_map(base).collect();
        if node.consensus.leadership().is_leader && bases.len() > voters.len() / 2 {
            return Some(monotonic_ms(now) + median(bases));
        }
        self.told.map(|(at, told_ms)| told_ms + (now - at).as_millis() as i64)
    }

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

    /// Compares `member`'s state hashes with the others', at indexes that both have.
    fn verdict(&self, member: MemberId) -> Verdict {
        let Some(own) = self.members.get(&member) else { return Verdict::Same };
        let mut verdict = Verdict::Same;
        for point in &own.hashes {
            let mut by_hash: BTreeMap<u128, Vec<MemberId>> = BTreeMap::new();
            for (id, heard) in &self.members {
                if let Some(theirs) = heard.hashes.iter().find(|p| p.index == point.index) {
                    by_hash.entry(hash_of(theirs)).or_default().push(*id);
                }
            }
            let is_alone = by_hash.len() == 1;
            let most = by_hash.into_iter().max_by_key(|(_, ids)| ids.len()).unwrap_or_default();
            match most {
                _ if is_alone => {}
                (hash, ids) if ids.len() > self.members.len() / 2 => {
                    if hash != hash_of(point) {
                        return Verdict::Differs(ids[0]);
                    }
                }
                _ => verdict = Verdict::Undecided,
            }
        }
        verdict
    }
}

/// What a member's state hashes say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// Nothing speaks against it.
    Same,
    /// A majority, of which this is one, has another state.
    Differs(MemberId),
    /// There are several states and none of them is a majority's.
    Undecided,
}

fn monotonic_ms(now: Instant) -> i64 {
    now.0.as_millis() as i64
}

/// The middle one, the earlier of two; 0 where there is none.
fn median(mut bases: Vec<i64>) -> i64 {
    bases.sort_unstable();
    bases.get(bases.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

fn hash_of(point: &HashPoint) -> u128 {
    u128::from_be_bytes(point.hash.as_ref().try_into().unwrap_or_default())
}

fn connected(state: &State) -> impl Iterator<Item = (InstanceId, SessionId, MemberId)> {
    let rows = state.instances.iter().filter(|(_, row)| row.connected);
    rows.map(|(id, row)| (*id, SessionId(row.session), MemberId(row.member_id)))
}
