//! Grants: for how long agents' tasks with a fencing token may live.
//!
//! A grant answers one beat, and counts from when the agent sent it. It is only given once a majority has confirmed that this
//! member leads later than it received the beat: whoever leads after it was elected later than that, counts from its own election,
//! and so waits out this grant too. Where no instance has such a task nothing is asked of anybody.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use seawall_env::Instant;
use seawall_model::{
    InstanceId,
    limits::{GUARD_LEASE_MS, GUARD_STOP_MS},
};
use seawall_proto::internal::v1::{RelayRequest, RelayResponse, disconnect_instances, relay_request::Beat};
use seawall_state::State;

use crate::api::Node;

/// Longest wait for a majority: a member's relay waits so long for its answer.
const CONFIRM: Duration = Duration::from_millis(400);
/// Instances in one command.
const ITEMS_A_COMMAND: usize = 1024;

/// What this leader granted, in its term.
#[derive(Default)]
pub(super) struct Grants {
    /// When it began to lead: no grant of a leader before it answers a beat that was sent later.
    since: Instant,
    /// When the last beat was received that a grant answered.
    granted: BTreeMap<InstanceId, Instant>,
}

impl Grants {
    /// A term begins.
    pub(super) fn lead(&mut self, now: Instant) {
        *self = Grants { since: now, granted: BTreeMap::new() };
    }

    fn grant(&mut self, instance: InstanceId, received: Instant) {
        let last = self.granted.entry(instance).or_insert(received);
        *last = received.max(*last);
    }

    /// Lost and deregistered instances whose guards have ended their tasks by now, whatever was granted.
    pub(super) fn over(&mut self, now: Instant, state: &State) -> Vec<disconnect_instances::Item> {
        self.granted.retain(|instance, _| state.is_guarded(*instance));
        let is_over = |instance: &InstanceId| {
            let last = self.granted.get(instance).copied().unwrap_or_default().max(self.since);
            now - last > longest()
        };
        let lost = state.guarded_instances().filter(is_over).filter_map(|instance| lost(state, instance));
        lost.take(ITEMS_A_COMMAND).collect()
    }
}

/// From the receipt of a beat on: the lease by a clock that is a tenth slower, and what a guard takes.
fn longest() -> Duration {
    let lease = Duration::from_millis(GUARD_LEASE_MS.into());
    lease + lease / 10 + Duration::from_millis(GUARD_STOP_MS.into())
}

fn lost(state: &State, instance: InstanceId) -> Option<disconnect_instances::Item> {
    let row = state.instances.get(&instance);
    let session = row.map_or(0, |row| row.session);
    row.is_none_or(|row| !row.connected).then_some(disconnect_instances::Item { instance_id: instance.0, session })
}

/// Takes a member's relay, and grants what may be granted.
pub(crate) async fn answer(node: &Arc<Node>, request: RelayRequest) -> RelayResponse {
    let received = node.env.now();
    let state = node.consensus.state();
    let is_asked = |beat: &&Beat| beat.boottime_ms != 0 && state.state.is_guarded(InstanceId(beat.instance_id));
    let asked: Vec<Beat> = request.beats.iter().filter(is_asked).copied().collect();
    let answer = node.liveness.relay(node, request);
    if asked.is_empty() || answer.not_leader {
        return answer;
    }
    let term = node.consensus.leadership().term;
    if node.read_barrier(node.env.now() + CONFIRM).await.is_err() {
        return answer;
    }
    let leadership = node.consensus.leadership();
    if !leadership.is_leader || leadership.term != term {
        return answer;
    }
    let grants = node.liveness.grant(term, received, asked, &node.consensus.state().state);
    RelayResponse { grants, guard_lease_ms: GUARD_LEASE_MS, ..answer }
}

/// Those of the beats whose sessions are their instances' still.
pub(super) fn current(beats: Vec<Beat>, received: Instant, grants: &mut Grants, state: &State) -> Vec<Beat> {
    let is_current = |beat: &Beat| {
        let row = state.instances.get(&InstanceId(beat.instance_id));
        row.is_some_and(|row| row.connected && row.session == beat.session)
    };
    let beats: Vec<Beat> = beats.into_iter().filter(is_current).collect();
    beats.iter().for_each(|beat| grants.grant(InstanceId(beat.instance_id), received));
    beats
}
