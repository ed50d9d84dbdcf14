//! Schedules and jobs: each write is checked on this member's state after a read barrier, and by `apply` again.

use std::sync::Arc;

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{
    internal::v1::{ClientToken, Command, Reply, command, reply},
    v1::{
        CreateScheduleRequest, CreateScheduleResponse, DeleteScheduleRequest, DeleteScheduleResponse,
        DescribeJobsRequest, DescribeJobsResponse, DescribeSchedulesRequest, DescribeSchedulesResponse,
        PreviewScheduleRequest, PreviewScheduleResponse, RunJobRequest, RunJobResponse, StopJobRequest,
        StopJobResponse, UpdateScheduleRequest, UpdateScheduleResponse,
    },
};
use seawall_state::State;

use super::{Call, answered};
use crate::{
    api::Node,
    leader::Ids,
    ops::{IdSource as _, ReadCtx, jobs, schedules},
};

pub(crate) async fn create_schedule(
    node: &Arc<Node>,
    call: &Call,
    ask: &CreateScheduleRequest,
) -> Result<CreateScheduleResponse, ApiError> {
    let command = answered(node, call, |ctx| schedules::create(ctx, ask, inert(node))).await?;
    let (state, id) = submit(node, call, command, None).await?;
    Ok(CreateScheduleResponse { schedule: Some(schedules::shown(&state, id, node.cluster_time_ms())?) })
}

pub(crate) async fn update_schedule(
    node: &Arc<Node>,
    call: &Call,
    ask: &UpdateScheduleRequest,
) -> Result<UpdateScheduleResponse, ApiError> {
    let command = answered(node, call, |ctx| schedules::update(ctx, ask, inert(node))).await?;
    let (state, id) = submit(node, call, command, None).await?;
    Ok(UpdateScheduleResponse { schedule: Some(schedules::shown(&state, id, node.cluster_time_ms())?) })
}

pub(crate) async fn delete_schedule(
    node: &Arc<Node>,
    call: &Call,
    ask: &DeleteScheduleRequest,
) -> Result<DeleteScheduleResponse, ApiError> {
    let delete = |ctx: &ReadCtx<'_>| schedules::delete(ctx, ask.cluster.as_deref(), &ask.name);
    let (command, schedule) = answered(node, call, delete).await?;
    submit(node, call, command, None).await?;
    Ok(DeleteScheduleResponse { schedule: Some(schedule) })
}

pub(crate) async fn describe_schedules(
    node: &Arc<Node>,
    call: &Call,
    ask: &DescribeSchedulesRequest,
) -> Result<DescribeSchedulesResponse, ApiError> {
    answered(node, call, |ctx| schedules::describe(ctx, ask)).await
}

pub(crate) async fn preview_schedule(
    node: &Arc<Node>,
    call: &Call,
    ask: &PreviewScheduleRequest,
) -> Result<PreviewScheduleResponse, ApiError> {
    answered(node, call, |ctx| schedules::preview(ctx, ask)).await
}

pub(crate) async fn run_job(node: &Arc<Node>, call: &Call, ask: &RunJobRequest) -> Result<RunJobResponse, ApiError> {
    let mut ids = Ids(node);
    let drawn = jobs::Drawn {
        name: node.env.random_u64() as u32,
        deployment_id: ids.deployment_id(),
        service_deployment_id: ids.service_deployment_id(),
    };
    let (command, token) = answered(node, call, |ctx| jobs::run(ctx, ask, inert(node), &drawn)).await?;
    let (state, id) = submit(node, call, command, token).await?;
    Ok(RunJobResponse { job: Some(jobs::shown(&state, id, node.cluster_time_ms())?) })
}

pub(crate) async fn stop_job(node: &Arc<Node>, call: &Call, ask: &StopJobRequest) -> Result<StopJobResponse, ApiError> {
    let command = answered(node, call, |ctx| jobs::stop(ctx, ask)).await?;
    let (state, id) = submit(node, call, command, None).await?;
    Ok(StopJobResponse { job: Some(jobs::shown(&state, id, node.cluster_time_ms())?) })
}

pub(crate) async fn describe_jobs(
    node: &Arc<Node>,
    call: &Call,
    ask: &DescribeJobsRequest,
) -> Result<DescribeJobsResponse, ApiError> {
    answered(node, call, |ctx| jobs::describe(ctx, ask)).await
}

fn inert(node: &Node) -> &[String] {
    &node.config.accept_inert
}

/// Has the leader do it; the state after it, and what it made or changed.
async fn submit(
    node: &Arc<Node>,
    call: &Call,
    kind: command::Kind,
    client_token: Option<ClientToken>,
) -> Result<(State, u64), ApiError> {
    let command = Command { client_token, ..call.command(kind) };
    let (index, reply) = node.submit(command, call.deadline).await?;
    let Reply { kind: Some(reply::Kind::Done(done)) } = reply else {
        return Err(ApiError::new(ErrorCode::Server, "The write has no result."));
    };
    if node.consensus.wait_applied(index, call.deadline).await.is_err() {
        let why = "the write is done; this member does not know the state after it yet. next: ask again";
        return Err(ApiError::new(ErrorCode::Unknown, why));
    }
    Ok((node.consensus.state().state.clone(), done.id))
}
