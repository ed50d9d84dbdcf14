//! What each member tells the leader about itself and its agents, and what it does when the leader says that its state is
//! wrong.

use std::{sync::Arc, time::Duration};

use prost::Message;
use seawall_env::{Instant, net::Lane};
use seawall_model::MemberId;
use seawall_proto::internal::v1::{HashPoint, RelayRequest, RelayResponse};
use tracing::{error, info, warn};

use super::{
    grants,
    liveness::{CLOCK_OFF_MS, TICK},
};
use crate::{
    api::Node,
    member::{Room, peers},
};

const RELAY_CALL: Duration = Duration::from_millis(750);

/// Tells the leader, once a tick and as soon as there is another one, which agents and that this member live.
pub(crate) async fn relay_loop(node: Arc<Node>) {
    let mut since = Instant::default();
    let mut leadership = node.consensus.watch_leadership();
    let mut was_off = false;
    loop {
        let now = node.env.now();
        leadership.borrow_and_update();
        let request = relay(&node, since);
        since = now;
        let answer = tell(&node, request).await;
        if let Some(answer) = &answer {
            node.liveness.tell_time(node.env.now(), answer.cluster_time_ms);
            was_off = look_at_clock(&node, was_off);
            node.sessions.grant(&answer.grants, answer.guard_lease_ms);
        }
        match answer {
            Some(answer) if answer.diverged && answer.agrees == 0 => doubt(&node),
            Some(answer) if answer.diverged => heal(&node, MemberId(answer.agrees)).await,
            Some(_) => drop(node.condition.set_diverged(false)),
            None => {}
        }
        tokio::select! {
            biased;
            () = node.env.sleep_until(now + TICK) => {}
            Ok(()) = leadership.changed() => {}
        }
    }
}

/// Says so when this machine's clock goes wrong. It is found here, since what is heard of others may come late.
fn look_at_clock(node: &Node, was_off: bool) -> bool {
    let offset_ms = node.liveness.own_offset_ms(node);
    let is_off = offset_ms.abs() > CLOCK_OFF_MS;
    if is_off && !was_off {
        warn!(offset_ms, "this machine's clock is not the cluster's time; run a time service on every host");
    }
    is_off
}

fn relay(node: &Node, since: Instant) -> RelayRequest {
    let beats = node.sessions.beats_since(since).into_iter();
    let hashes = node.consensus.hash_points().into_iter();
    RelayRequest {
        member_id: node.identity.member_id,
        term: node.consensus.leadership().term,
        beats: beats.collect(),
        applied_index: node.consensus.state().index,
        wall_ms: node.env.wall_ms(),
        log_bytes: node.consensus.log_bytes(),
        disk_low: node.condition.room() != Room::Enough,
        version: node.config.version.clone(),
        hashes: hashes.map(|p| HashPoint { index: p.index, hash: p.hash.to_be_bytes().to_vec().into() }).collect(),
        ..Default::default()
    }
}

async fn tell(node: &Arc<Node>, request: RelayRequest) -> Option<RelayResponse> {
    let leadership = node.consensus.leadership();
    if leadership.is_leader {
        return Some(grants::answer(node, request).await);
    }
    let address = node.peer_address(leadership.leader?)?;
    let body = request.encode_to_vec().into();
    let answer = node.env.net().call(&address, Lane::Main, peers::RELAY, body, RELAY_CALL).await.ok()?;
    RelayResponse::decode(answer).ok()
}

/// Members' states differ and none is a majority's: nobody serves until one is. Guessing could lose what was acknowledged.
fn doubt(node: &Node) {
    if stop_serving(node) {
        error!("members' states differ at the same index and no majority agrees; none of them serves");
    }
}

/// Nothing is answered from this state any more, and no agent is told anything by it. True: it was until now.
fn stop_serving(node: &Node) -> bool {
    node.sessions.close_all();
    !node.condition.set_diverged(true)
}

/// This member's state differs from the others': it serves nobody until it has loaded theirs.
async fn heal(node: &Node, agrees: MemberId) {
    if stop_serving(node) {
        error!(%agrees, "this member's state differs from a majority's at the same index; it serves nobody until it has theirs");
    }
    if node.consensus.leadership().is_leader {
        // A leader's state is what others are compared with: it must not lead while it is wrong.
        match node.consensus.transfer_leader(agrees).await {
            Ok(()) => info!(%agrees, "handed leadership over"),
            Err(error) => return error!(%error, "leadership could not be handed over; trying again"),
        }
    }
    match node.consensus.install_state_from(agrees).await {
        Ok(()) => {
            node.condition.set_diverged(false);
            info!("the state is reloaded; this member serves again");
        }
        Err(error) => error!(%error, "the state could not be reloaded; trying again"),
    }
}
