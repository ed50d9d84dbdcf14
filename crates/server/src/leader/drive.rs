//! The controllers that run on a tick while this member leads: leases, forgotten, sick and reclaimed instances, voters.

use std::{sync::Arc, time::Duration};

use seawall_controllers::{ControllerPlan, Now, instances, reclaim, sick};
use seawall_env::Instant;
use seawall_proto::internal::v1::{Command, DisconnectInstances, EndGuardedTasks, Principal, command, principal};
use tracing::{debug, warn};

use crate::{api::Node, member::membership};

const TICK: Duration = Duration::from_millis(200);
const FORGET_TICK: Duration = Duration::from_secs(5);
const VOTERS_TICK: Duration = Duration::from_secs(1);
const SUBMIT: Duration = Duration::from_secs(5);

/// Runs for as long as the member lives; does nothing while another leads.
pub(crate) async fn drive(node: Arc<Node>) {
    let mut forget_at = Instant::default();
    let mut voters_at = Instant::default();
    loop {
        let now = node.env.now();
        node.zone_proofs.forget(now);
        if node.consensus.leadership().is_leader {
            leases(&node).await;
            guards(&node).await;
            if now >= forget_at {
                forget_at = now + FORGET_TICK;
                forget(&node).await;
                cordon(&node).await;
            }
            if now >= voters_at {
                voters_at = now + VOTERS_TICK;
                voters(&node).await;
                reclaimed(&node).await;
            }
        }
        node.env.sleep_until(now + TICK).await;
    }
}

async fn leases(node: &Arc<Node>) {
    let began = node.env.now();
    let state = node.consensus.state();
    let items = node.liveness.expired(node, &state.state);
    // Before the loss is known to the services' controllers: they must find the hold in place.
    node.liveness.judge_mass_loss(node, &state.state);
    let mut failed = None;
    if !items.is_empty() {
        let count = items.len();
        failed = submit(node, command::Kind::DisconnectInstances(DisconnectInstances { items, lost: true })).await;
        // A leader that is cut off finds them all lost, and cannot say so to anybody.
        if failed.is_none() {
            warn!(count, "agents' leases ran out");
        }
    }
    node.liveness.status("leases", node.env.wall_ms(), node.env.now() - began, failed);
}

/// Says of tasks that may have lived on where nobody heard of them that they have ended.
async fn guards(node: &Arc<Node>) {
    let items = node.liveness.guards_over(node, &node.consensus.state().state);
    if items.is_empty() {
        return;
    }
    let count = items.len();
    match submit(node, command::Kind::EndGuardedTasks(EndGuardedTasks { items })).await {
        None => warn!(count, "guards of silent instances have ended their tasks"),
        Some(why) => debug!(why, "the end of guarded tasks could not be said; the next tick tries again"),
    }
}

async fn forget(node: &Arc<Node>) {
    let began = node.env.now();
    let state = node.consensus.state();
    let forget_after_ms = node.config.forget_after.as_millis() as i64;
    let plan = instances::plan(&state.state, now_of(node), forget_after_ms);
    carry_out(node, "instances", began, plan).await;
}

async fn cordon(node: &Arc<Node>) {
    let began = node.env.now();
    let plan = sick::plan(&node.consensus.state().state, now_of(node));
    if !plan.text.is_empty() {
        warn!(plan = %plan.text, "sick instances");
    }
    carry_out(node, "sick", began, plan).await;
}

async fn reclaimed(node: &Arc<Node>) {
    let began = node.env.now();
    let plan = reclaim::plan(&node.consensus.state().state, now_of(node));
    carry_out(node, "reclaim", began, plan).await;
}

/// Proposes what a controller decided, and notes how that went.
async fn carry_out(node: &Arc<Node>, controller: &'static str, began: Instant, plan: ControllerPlan) {
    let mut failed = None;
    for kind in plan.commands {
        failed = submit(node, kind).await.or(failed);
    }
    node.liveness.status(controller, node.env.wall_ms(), node.env.now() - began, failed);
}

/// What every controller knows of this moment.
pub(super) fn now_of(node: &Node) -> Now {
    Now {
        cluster_time_ms: node.cluster_time_ms(),
        hold_replacement: node.liveness.holds_replacement(),
        hold_moves: false,
        fargate: node.config.fargate,
    }
}

async fn voters(node: &Arc<Node>) {
    let began = node.env.now();
    let failed = membership::tend(node).await.err();
    if let Some(why) = &failed {
        warn!(%why, "voters could not be changed");
    }
    node.liveness.status("voters", node.env.wall_ms(), node.env.now() - began, failed);
}

/// The failure, if there is one: the next tick looks again.
async fn submit(node: &Arc<Node>, kind: command::Kind) -> Option<String> {
    let command = Command {
        principal: Some(Principal { kind: principal::Kind::Controller.into(), ..Default::default() }),
        kind: Some(kind),
        ..Default::default()
    };
    let deadline = node.env.now() + SUBMIT;
    node.proposer.command(command, deadline).await.err().map(|error| error.to_string())
}
