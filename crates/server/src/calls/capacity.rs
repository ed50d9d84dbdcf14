//! What capacity providers have and need, what was used of them, and spot capacity that goes.

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, InstanceId};
use seawall_proto::{
    internal::v1::{ReclaimInstance, command},
    timestamp_unless_zero,
    v1::{
        DescribeCapacityRequest, DescribeCapacityResponse, ListUsageRequest, ListUsageResponse, ProviderCapacity,
        ReclaimInstanceRequest, ReclaimInstanceResponse,
    },
};
use seawall_scheduler::{Reservation, reservations};
use seawall_state::State;

use super::{Call, answered};
use crate::{api::Node, ops, resolve};

/// ECS's notice for Fargate Spot.
const NOTICE_S: u32 = 120;

pub(crate) async fn describe_capacity(
    node: &Arc<Node>,
    call: &Call,
    ask: &DescribeCapacityRequest,
) -> Result<DescribeCapacityResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    let providers = reservations(&state, cluster).into_iter().map(|it| shown(&state, cluster, it)).collect();
    Ok(DescribeCapacityResponse { providers })
}

fn shown(state: &State, cluster: ClusterId, reservation: Reservation) -> ProviderCapacity {
    let percent = reservation.percent();
    ProviderCapacity {
        target_capacity: state.target_capacity(cluster, &reservation.provider),
        capacity_provider: reservation.provider,
        instances: reservation.instances,
        needed_instances: reservation.needed,
        waiting_tasks: reservation.waiting,
        too_large_tasks: reservation.too_large,
        reservation: percent,
    }
}

pub(crate) async fn list_usage(
    node: &Arc<Node>,
    call: &Call,
    ask: &ListUsageRequest,
) -> Result<ListUsageResponse, ApiError> {
    answered(node, call, |ctx| ops::list_usage(ctx, ask)).await
}

pub(crate) async fn reclaim_instance(
    node: &Arc<Node>,
    call: &Call,
    ask: &ReclaimInstanceRequest,
) -> Result<ReclaimInstanceResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    let name = &ask.container_instance;
    let row = resolve::instance(&state, cluster, name)?
        .ok_or_else(|| ApiError::invalid(format!("The referenced container instance was not found: {name}")))?;
    let notice_ms = u64::from(ask.notice_seconds.unwrap_or(NOTICE_S)) * 1000;
    let command = command::Kind::ReclaimInstance(ReclaimInstance { instance_id: row.id, notice_ms });
    node.submit(call.command(command), call.deadline).await?;
    let state = node.read(false, call.deadline).await?;
    let reclaim_at_ms = state.instances.get(&InstanceId(row.id)).map_or(0, |row| row.reclaim_at_ms);
    Ok(ReclaimInstanceResponse { reclaim_at: timestamp_unless_zero(reclaim_at_ms) })
}
