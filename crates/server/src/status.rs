//! The cluster at a glance, and its members.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use seawall_consensus::Leadership;
use seawall_model::{InstanceId, MemberId, ServiceId};
use seawall_proto::{
    internal::v1::{InstanceRow, RolloutState, ServiceRow, ServiceStatusCode, ZoneState},
    timestamp_of,
    v1::{DescribeMembersResponse, GetStatusResponse, Member, MemberRole, ServiceStatus, ZoneStatus},
};
use seawall_state::State;

use crate::{
    api::Node,
    leader::{CLOCK_OFF_MS, MemberView},
    member::form,
};

/// A member that takes longer to say how it is counts as silent: whoever asks for the status should not wait for it.
const PROBE_MAX: Duration = Duration::from_millis(500);

/// Everything that `seawall status` shows, from one state.
pub(crate) fn status(node: &Arc<Node>, state: &State, members: &[Member]) -> GetStatusResponse {
    let services: Vec<ServiceStatus> = state
        .services
        .iter()
        .filter(|(_, row)| row.status() != ServiceStatusCode::Inactive)
        .map(|(id, row)| service_status(state, *id, row))
        .collect();
    let running = state.instances.iter().map(|(id, _)| state.instance_counts(*id).running).sum();
    let pending = state.instances.iter().map(|(id, _)| state.instance_counts(*id).pending).sum();
    GetStatusResponse {
        cluster_id: node.identity.cluster_id.clone(),
        region: state.meta.region.clone(),
        account: state.meta.account.clone(),
        epoch: node.identity.epoch,
        applied_index: node.consensus.state().index,
        leader: leader_name(state, node.consensus.leadership()),
        answered_by: node.identity.name.clone(),
        version: node.config.version.clone(),
        zones: zones(state, members),
        services,
        running_tasks: running,
        pending_tasks: pending,
        mass_loss_hold: node.liveness.hold_reason().unwrap_or_default(),
        insecure: node.config.insecure,
        warnings: warnings(node, state, members),
        controllers: node.liveness.controllers(),
    }
}

fn service_status(state: &State, id: ServiceId, row: &ServiceRow) -> ServiceStatus {
    let counts = state.service_counts(id);
    let cluster = state.clusters.get(&seawall_model::ClusterId(row.cluster_id));
    let rollout = row.deployments.iter().find(|d| d.primary).map(|d| d.rollout_state());
    let short = counts.running < row.desired_count;
    let backoff = row.backoff.as_ref().map(|b| b.last_reason.clone()).unwrap_or_default();
    let reason = match (short, row.unplaced_reason.is_empty()) {
        (false, _) => String::new(),
        (true, false) => row.unplaced_reason.clone(),
        (true, true) => backoff,
    };
    ServiceStatus {
        cluster: cluster.map(|c| c.name.clone()).unwrap_or_default(),
        name: row.name.clone(),
        desired: row.desired_count,
        running: counts.running,
        pending: counts.pending,
        rollout: match rollout {
            Some(RolloutState::InProgress) => "IN_PROGRESS",
            Some(RolloutState::Failed) => "FAILED",
            _ => "COMPLETED",
        }
        .into(),
        reason,
    }
}

fn zones(state: &State, members: &[Member]) -> Vec<ZoneStatus> {
    let mut zones: BTreeMap<&str, ZoneStatus> = BTreeMap::new();
    for member in members {
        let zone = zones.entry(&member.zone).or_default();
        zone.members += 1;
        zone.members_alive += u32::from(member.alive);
    }
    for (id, instance) in state.instances.iter() {
        let zone = zones.entry(&instance.zone).or_default();
        zone.instances += 1;
        zone.instances_connected += u32::from(instance.connected);
        zone.running_tasks += running_on(state, *id, instance.connected);
    }
    for (name, row) in state.zones.iter() {
        let zone = zones.entry(name).or_default();
        zone.state = row.state().as_str_name().trim_start_matches("ZONE_STATE_").to_owned();
        zone.state_reason.clone_from(&row.reason);
        if row.state() == ZoneState::Evacuating {
            zone.tasks_to_move = state.services.iter().map(|(id, _)| state.service_tasks_in_zone(*id, name)).sum();
        }
    }
    zones.into_iter().map(|(name, zone)| ZoneStatus { name: name.into(), ..zone }).collect()
}

/// Tasks of an instance that is lost are not known to run.
fn running_on(state: &State, id: InstanceId, connected: bool) -> u32 {
    if connected { state.instance_counts(id).running } else { 0 }
}

fn warnings(node: &Node, state: &State, members: &[Member]) -> Vec<String> {
    let cordoned = state.instances.iter().filter(|(_, row)| row.cordoned_until_ms != 0);
    let of_instance =
        |row: &InstanceRow| format!("instance {} is cordoned: {}", row.ec2_instance_id, row.cordon_reason);
    let mut warnings: Vec<String> = cordoned.map(|(_, row)| of_instance(row)).collect();
    let voters = members.iter().filter(|m| m.role() != MemberRole::Learner).count();
    let silent: Vec<&str> = members.iter().filter(|m| !m.alive).map(|m| m.name.as_str()).collect();
    if !silent.is_empty() {
        warnings.push(format!("{} of {} members do not answer: {}", silent.len(), members.len(), silent.join(", ")));
    }
    if voters == 2 {
        warnings.push("two voters survive no loss: add a third member".into());
    }
    if members.iter().any(|m| m.clock_offset_ms.abs() > CLOCK_OFF_MS) {
        warnings.push("a member's clock is more than 5 s off: run a time service on every host".into());
    }
    let low: Vec<&str> = members.iter().filter(|m| m.disk_nearly_full).map(|m| m.name.as_str()).collect();
    if !low.is_empty() {
        warnings.push(format!("nearly full disks: {}; free space in their data folders", low.join(", ")));
    }
    if node.config.insecure {
        warnings.push("clients need neither TLS nor keys (--insecure)".into());
    }
    warnings
}

fn leader_name(state: &State, leadership: Leadership) -> String {
    leadership.leader.and_then(|id| state.members.get(&id.0).map(|row| row.name.clone())).unwrap_or_default()
}

/// Every member, as the leader hears it or, where this is not the leader, as each answers a probe.
pub(crate) async fn members(node: &Arc<Node>) -> DescribeMembersResponse {
    let applied = node.consensus.state();
    let membership = node.consensus.membership();
    let leadership = node.consensus.leadership();
    let ids = membership.voters.keys().map(|id| (*id, true)).chain(membership.learners.keys().map(|id| (*id, false)));
    let described = ids.map(|(id, voter)| describe(node, &applied.state, id, voter));
    let mut members: Vec<Member> = futures::future::join_all(described).await;
    for member in members.iter_mut().filter(|m| Some(MemberId(m.id)) == leadership.leader) {
        member.set_role(MemberRole::Leader);
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    // Term and leader of one moment: probing took a while, and there may be another leader by now.
    DescribeMembersResponse { members, leader: leader_name(&applied.state, leadership), term: leadership.term }
}

async fn describe(node: &Arc<Node>, state: &State, id: MemberId, voter: bool) -> Member {
    let role = if voter { MemberRole::Voter } else { MemberRole::Learner };
    let mut member = if id == node.identity.id() {
        node.own_member()
    } else {
        probe(node, id).await.unwrap_or_else(|| silent(node, state, id))
    };
    member.set_role(role);
    if let Some(view) = node.liveness.views(node).get(&id) {
        heard(&mut member, view);
    }
    member
}

async fn probe(node: &Arc<Node>, id: MemberId) -> Option<Member> {
    let address = node.peer_address(id)?;
    let answer = node.env.timeout(PROBE_MAX, form::probe(&node.env, &address)).await.ok()?.ok()?;
    answer.member.filter(|member| member.id == id.0)
}

fn silent(node: &Node, state: &State, id: MemberId) -> Member {
    let row = state.members.get(&id.0).map(|row| (**row).clone()).unwrap_or_default();
    Member {
        id: id.0,
        name: row.name,
        zone: row.zone,
        alive: false,
        peer_address: node.peer_address(id).unwrap_or_default(),
        client_address: row.client_address,
        version: row.version,
        ..Default::default()
    }
}

fn heard(member: &mut Member, view: &MemberView) {
    if !member.alive && view.last_seen_ms != 0 {
        member.last_seen = Some(timestamp_of(view.last_seen_ms));
        member.applied_index = view.applied_index;
        member.log_bytes = view.log_bytes;
        if let Some((index, hash)) = view.hash {
            member.state_hash = format!("{hash:032x}");
            member.state_hash_index = index;
        }
    }
}
