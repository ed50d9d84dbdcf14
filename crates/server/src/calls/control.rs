//! What Seawall has beyond ECS.

use std::sync::Arc;

use prost::Message;
use seawall_model::{ApiError, ClusterId, ErrorCode, InstanceId, MemberId};
use seawall_proto::{
    internal::v1::{
        DecisionRow, DropAccessKey, DropToken, HistoryRow, LogChunk, LogRequest, PutAccessKey, PutToken,
        SetAccessKeyStatus, SetZone, TokenRow, ZoneState, command,
    },
    millis, timestamp_of, timestamp_unless_zero,
    v1::{
        AddMemberRequest, AddMemberResponse, CheckZonesRequest, CheckZonesResponse, CreateAccessKeyRequest,
        CreateAccessKeyResponse, CreateTokenRequest, CreateTokenResponse, DeleteAccessKeyRequest,
        DeleteAccessKeyResponse, DescribeMembersRequest, DescribeMembersResponse, EvacuateZoneRequest,
        EvacuateZoneResponse, ExplainRequest, ExplainResponse, FenceZoneRequest, FenceZoneResponse, GetStatusRequest,
        GetStatusResponse, ListAccessKeysRequest, ListAccessKeysResponse, ListEndpointsRequest, ListEndpointsResponse,
        ListHistoryRequest, ListHistoryResponse, ListTokensRequest, ListTokensResponse, LogLine, RemoveMemberRequest,
        RemoveMemberResponse, ReplaceLostRequest, ReplaceLostResponse, ReplaceMemberRequest, ReplaceMemberResponse,
        ReplayDecisionRequest, ReplayDecisionResponse, ReturnZoneRequest, ReturnZoneResponse, RevokeTokenRequest,
        RevokeTokenResponse, SetAccessKeyStatusRequest, SetAccessKeyStatusResponse, SimulatePlacementRequest,
        SimulatePlacementResponse, TaskLogsRequest, Token, TransferLeadershipRequest, TransferLeadershipResponse,
    },
};
use seawall_state::State;
use tokio::sync::mpsc;

use super::{Call, answered, undecodable};
use crate::{
    api::Node,
    auth,
    dispatch::logs,
    explain as explanation,
    history::{self, Lookup},
    ops, render, replay, resolve, simulate, status, trust,
};

/// Calls `$callback!` with every operation that has one answer: `Name, method_name, Request, Response, deadline;` …
macro_rules! for_each_control {
    ($callback:ident) => {
        $callback! {
            Explain, explain, ExplainRequest, ExplainResponse, READ_DEADLINE;
            ListEndpoints, list_endpoints, ListEndpointsRequest, ListEndpointsResponse, READ_DEADLINE;
            GetStatus, get_status, GetStatusRequest, GetStatusResponse, READ_DEADLINE;
            DescribeMembers, describe_members, DescribeMembersRequest, DescribeMembersResponse, READ_DEADLINE;
            AddMember, add_member, AddMemberRequest, AddMemberResponse, MEMBERS_DEADLINE;
            RemoveMember, remove_member, RemoveMemberRequest, RemoveMemberResponse, MEMBERS_DEADLINE;
            ReplaceMember, replace_member, ReplaceMemberRequest, ReplaceMemberResponse, MEMBERS_DEADLINE;
            TransferLeadership, transfer_leadership, TransferLeadershipRequest, TransferLeadershipResponse, MEMBERS_DEADLINE;
            ReplaceLost, replace_lost, ReplaceLostRequest, ReplaceLostResponse, WRITE_DEADLINE;
            CreateToken, create_token, CreateTokenRequest, CreateTokenResponse, WRITE_DEADLINE;
            ListTokens, list_tokens, ListTokensRequest, ListTokensResponse, READ_DEADLINE;
            RevokeToken, revoke_token, RevokeTokenRequest, RevokeTokenResponse, WRITE_DEADLINE;
            CreateAccessKey, create_access_key, CreateAccessKeyRequest, CreateAccessKeyResponse, WRITE_DEADLINE;
            ListAccessKeys, list_access_keys, ListAccessKeysRequest, ListAccessKeysResponse, READ_DEADLINE;
            SetAccessKeyStatus, set_access_key_status, SetAccessKeyStatusRequest, SetAccessKeyStatusResponse, WRITE_DEADLINE;
            DeleteAccessKey, delete_access_key, DeleteAccessKeyRequest, DeleteAccessKeyResponse, WRITE_DEADLINE;
            ListHistory, list_history, ListHistoryRequest, ListHistoryResponse, READ_DEADLINE;
            FenceZone, fence_zone, FenceZoneRequest, FenceZoneResponse, WRITE_DEADLINE;
            EvacuateZone, evacuate_zone, EvacuateZoneRequest, EvacuateZoneResponse, WRITE_DEADLINE;
            ReturnZone, return_zone, ReturnZoneRequest, ReturnZoneResponse, WRITE_DEADLINE;
            CheckZones, check_zones, CheckZonesRequest, CheckZonesResponse, READ_DEADLINE;
            SimulatePlacement, simulate_placement, SimulatePlacementRequest, SimulatePlacementResponse, READ_DEADLINE;
            ReplayDecision, replay_decision, ReplayDecisionRequest, ReplayDecisionResponse, REPLAY_DEADLINE;
            CreateSchedule, create_schedule, CreateScheduleRequest, CreateScheduleResponse, WRITE_DEADLINE;
            UpdateSchedule, update_schedule, UpdateScheduleRequest, UpdateScheduleResponse, WRITE_DEADLINE;
            DeleteSchedule, delete_schedule, DeleteScheduleRequest, DeleteScheduleResponse, WRITE_DEADLINE;
            DescribeSchedules, describe_schedules, DescribeSchedulesRequest, DescribeSchedulesResponse, READ_DEADLINE;
            PreviewSchedule, preview_schedule, PreviewScheduleRequest, PreviewScheduleResponse, READ_DEADLINE;
            RunJob, run_job, RunJobRequest, RunJobResponse, WRITE_DEADLINE;
            StopJob, stop_job, StopJobRequest, StopJobResponse, WRITE_DEADLINE;
            DescribeJobs, describe_jobs, DescribeJobsRequest, DescribeJobsResponse, READ_DEADLINE;
            DescribeCapacity, describe_capacity, DescribeCapacityRequest, DescribeCapacityResponse, READ_DEADLINE;
            ListUsage, list_usage, ListUsageRequest, ListUsageResponse, READ_DEADLINE;
            ReclaimInstance, reclaim_instance, ReclaimInstanceRequest, ReclaimInstanceResponse, WRITE_DEADLINE;
        }
    };
}

pub(crate) use for_each_control;

macro_rules! names {
    ($($name:ident, $method:ident, $request:ident, $response:ident, $deadline:ident;)*) => {
        /// The name of every operation, those that answer with a stream included.
        pub(crate) const NAMES: &[&str] = &["Watch", "TaskLogs", $(stringify!($name),)*];
    };
}

for_each_control!(names);
pub(crate) use super::capacity::{describe_capacity, list_usage, reclaim_instance};
pub(crate) use super::schedules::{
    create_schedule, delete_schedule, describe_jobs, describe_schedules, preview_schedule, run_job, stop_job,
    update_schedule,
};

pub(crate) async fn explain(node: &Arc<Node>, call: &Call, ask: &ExplainRequest) -> Result<ExplainResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let explained = explanation::explain(&state, ask, node.config.fargate);
    if !matches!(&explained, Err(error) if error.code == ErrorCode::ResourceNotFound) {
        return explained;
    }
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    match retired_task(node, call, &state, cluster, &ask.resource).await? {
        Some(record) => explanation::explain_retired(&state, &record),
        None => explained,
    }
}

pub(crate) async fn replay_decision(
    node: &Arc<Node>,
    call: &Call,
    ask: &ReplayDecisionRequest,
) -> Result<ReplayDecisionResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    let missing = || ApiError::invalid(format!("The referenced task was not found: {}", ask.task));
    let (task, row) = match resolve::task(&state, cluster, &ask.task)? {
        Some(task) => (task.clone(), state.decision_of(render::task::id(&task)).map(|row| DecisionRow::clone(row))),
        None => {
            let record = retired_task(node, call, &state, cluster, &ask.task).await?.ok_or_else(missing)?;
            let row = record.task.as_ref().and_then(|seen| seen.decision.clone());
            (Arc::new(render::history::task_row(&record)?), row)
        }
    };
    let work = replay::answer(node, &state, &task, row.as_ref());
    let left = call.deadline - node.env.now();
    let late = || {
        ApiError::new(ErrorCode::Server, "the past was not rebuilt in time. next: try again with a longer --timeout")
    };
    node.env.timeout(left, work).await.map_err(|_| late())?
}

pub(crate) async fn list_endpoints(
    node: &Arc<Node>,
    call: &Call,
    ask: &ListEndpointsRequest,
) -> Result<ListEndpointsResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    let service = resolve::service(&state, cluster, &ask.service)
        .ok_or_else(|| ApiError::new(ErrorCode::ServiceNotFound, "Service not found."))?;
    Ok(ListEndpointsResponse { endpoints: render::endpoint::of_service(&state, &service) })
}

pub(crate) async fn get_status(
    node: &Arc<Node>,
    call: &Call,
    ask: &GetStatusRequest,
) -> Result<GetStatusResponse, ApiError> {
    let state = node.read(call.stale || ask.stale, call.deadline).await?;
    let members = status::members(node).await.members;
    Ok(status::status(node, &state, &members))
}

pub(crate) async fn describe_members(
    node: &Arc<Node>,
    call: &Call,
    ask: &DescribeMembersRequest,
) -> Result<DescribeMembersResponse, ApiError> {
    node.read(call.stale || ask.stale, call.deadline).await?;
    Ok(status::members(node).await)
}

pub(crate) async fn add_member(
    node: &Arc<Node>,
    call: &Call,
    ask: &AddMemberRequest,
) -> Result<AddMemberResponse, ApiError> {
    lead(node, call, "AddMember", ask).await
}

pub(crate) async fn remove_member(
    node: &Arc<Node>,
    call: &Call,
    ask: &RemoveMemberRequest,
) -> Result<RemoveMemberResponse, ApiError> {
    lead(node, call, "RemoveMember", ask).await
}

pub(crate) async fn replace_member(
    node: &Arc<Node>,
    call: &Call,
    ask: &ReplaceMemberRequest,
) -> Result<ReplaceMemberResponse, ApiError> {
    lead(node, call, "ReplaceMember", ask).await
}

pub(crate) async fn transfer_leadership(
    node: &Arc<Node>,
    call: &Call,
    ask: &TransferLeadershipRequest,
) -> Result<TransferLeadershipResponse, ApiError> {
    lead(node, call, "TransferLeadership", ask).await
}

pub(crate) async fn replace_lost(
    node: &Arc<Node>,
    call: &Call,
    ask: &ReplaceLostRequest,
) -> Result<ReplaceLostResponse, ApiError> {
    lead(node, call, "ReplaceLost", ask).await
}

/// Passes an operation that only the leader can do to it.
async fn lead<A: Message + Default>(
    node: &Arc<Node>,
    call: &Call,
    operation: &'static str,
    ask: &impl Message,
) -> Result<A, ApiError> {
    let answer = node.lead(operation, ask.encode_to_vec().into(), &call.request_id, call.deadline).await?;
    A::decode(answer).map_err(|error| undecodable(&error))
}

pub(crate) async fn create_token(
    node: &Arc<Node>,
    call: &Call,
    ask: &CreateTokenRequest,
) -> Result<CreateTokenResponse, ApiError> {
    if ask.role != "agent" {
        return Err(ApiError::invalid(format!("role {:?}: tokens are for agents (role agent)", ask.role)));
    }
    let (row, secret) = trust::new_token(node, ask)?;
    submit(node, call, command::Kind::PutToken(PutToken { token: Some(row.clone()) })).await?;
    Ok(CreateTokenResponse { token: Some(token(&row)), secret })
}

pub(crate) async fn list_tokens(
    node: &Arc<Node>,
    call: &Call,
    _: &ListTokensRequest,
) -> Result<ListTokensResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    Ok(ListTokensResponse { tokens: state.tokens.iter().map(|(_, row)| token(row)).collect() })
}

pub(crate) async fn revoke_token(
    node: &Arc<Node>,
    call: &Call,
    ask: &RevokeTokenRequest,
) -> Result<RevokeTokenResponse, ApiError> {
    submit(node, call, command::Kind::DropToken(DropToken { id: ask.id.clone() })).await?;
    Ok(RevokeTokenResponse {})
}

pub(crate) async fn create_access_key(
    node: &Arc<Node>,
    call: &Call,
    ask: &CreateAccessKeyRequest,
) -> Result<CreateAccessKeyResponse, ApiError> {
    let (row, secret) = auth::new_key(node, ask)?;
    let key = auth::render(&row);
    submit(node, call, command::Kind::PutAccessKey(PutAccessKey { key: Some(row) })).await?;
    Ok(CreateAccessKeyResponse { key: Some(key), secret })
}

pub(crate) async fn list_access_keys(
    node: &Arc<Node>,
    call: &Call,
    _: &ListAccessKeysRequest,
) -> Result<ListAccessKeysResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    Ok(ListAccessKeysResponse { keys: state.access_keys.iter().map(|(_, row)| auth::render(row)).collect() })
}

pub(crate) async fn set_access_key_status(
    node: &Arc<Node>,
    call: &Call,
    ask: &SetAccessKeyStatusRequest,
) -> Result<SetAccessKeyStatusResponse, ApiError> {
    let command = SetAccessKeyStatus { id: ask.id.clone(), active: ask.active };
    submit(node, call, command::Kind::SetAccessKeyStatus(command)).await?;
    Ok(SetAccessKeyStatusResponse {})
}

pub(crate) async fn delete_access_key(
    node: &Arc<Node>,
    call: &Call,
    ask: &DeleteAccessKeyRequest,
) -> Result<DeleteAccessKeyResponse, ApiError> {
    submit(node, call, command::Kind::DropAccessKey(DropAccessKey { id: ask.id.clone() })).await?;
    Ok(DeleteAccessKeyResponse {})
}

pub(crate) async fn list_history(
    node: &Arc<Node>,
    call: &Call,
    ask: &ListHistoryRequest,
) -> Result<ListHistoryResponse, ApiError> {
    answered(node, call, |ctx| ops::list_history(ctx, ask)).await
}

pub(crate) async fn fence_zone(
    node: &Arc<Node>,
    call: &Call,
    ask: &FenceZoneRequest,
) -> Result<FenceZoneResponse, ApiError> {
    set_zone(node, call, &ask.zone, ZoneState::Fenced, &ask.reason).await?;
    Ok(FenceZoneResponse {})
}

pub(crate) async fn evacuate_zone(
    node: &Arc<Node>,
    call: &Call,
    ask: &EvacuateZoneRequest,
) -> Result<EvacuateZoneResponse, ApiError> {
    set_zone(node, call, &ask.zone, ZoneState::Evacuating, &ask.reason).await?;
    Ok(EvacuateZoneResponse {})
}

pub(crate) async fn return_zone(
    node: &Arc<Node>,
    call: &Call,
    ask: &ReturnZoneRequest,
) -> Result<ReturnZoneResponse, ApiError> {
    set_zone(node, call, &ask.zone, ZoneState::Open, "").await?;
    Ok(ReturnZoneResponse {})
}

async fn set_zone(node: &Arc<Node>, call: &Call, zone: &str, state: ZoneState, reason: &str) -> Result<(), ApiError> {
    let command = SetZone { zone: zone.to_owned(), state: state.into(), reason: reason.to_owned() };
    submit(node, call, command::Kind::SetZone(command)).await
}

pub(crate) async fn check_zones(
    node: &Arc<Node>,
    call: &Call,
    ask: &CheckZonesRequest,
) -> Result<CheckZonesResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let (zones, of) = (ask.zones.clone(), node.clone());
    node.env.thread("check zones", move || of.zone_proofs.check(&state, &zones, of.env.now())).await
}

pub(crate) async fn simulate_placement(
    node: &Arc<Node>,
    call: &Call,
    ask: &SimulatePlacementRequest,
) -> Result<SimulatePlacementResponse, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let (ask, fargate) = (ask.clone(), node.config.fargate);
    node.env.thread("simulate placement", move || simulate::simulate(&state, &ask, fargate)).await
}

async fn submit(node: &Arc<Node>, call: &Call, kind: command::Kind) -> Result<(), ApiError> {
    node.submit(call.command(kind), call.deadline).await?;
    Ok(())
}

fn token(row: &TokenRow) -> Token {
    Token {
        id: row.id.clone(),
        role: row.role.clone(),
        expires_at: timestamp_unless_zero(row.expires_at_ms),
        uses_left: row.limited.then_some(row.uses_left),
    }
}

/// The chunks of a task's logs, with the task's id.
pub(crate) async fn task_logs(
    node: &Arc<Node>,
    call: &Call,
    ask: &TaskLogsRequest,
) -> Result<(mpsc::Receiver<LogChunk>, String), ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let cluster = resolve::cluster(&state, ask.cluster.as_deref())?;
    let task = match resolve::task(&state, cluster, &ask.task)? {
        Some(task) => Some(task),
        None => {
            let record = retired_task(node, call, &state, cluster, &ask.task).await?;
            record.map(|record| render::history::task_row(&record).map(Arc::new)).transpose()?
        }
    };
    let task = task.ok_or_else(|| ApiError::invalid(format!("The referenced task was not found: {}", ask.task)))?;
    let instance = InstanceId(task.instance_id);
    let member = state.instances.get(&instance).map(|row| MemberId(row.member_id)).unwrap_or_default();
    let order = LogRequest {
        request_id: 0,
        task: task.id,
        container: ask.container.clone().unwrap_or_default(),
        follow: ask.follow,
        tail: ask.tail.unwrap_or_default(),
        since_ms: ask.since.as_ref().map(millis).unwrap_or_default(),
    };
    let chunks = logs::read(node, instance, member, order).await?;
    Ok((chunks, render::task::id(&task).to_string()))
}

/// The record of a task that left the state, by its whole id: its agent may still have its logs.
async fn retired_task(
    node: &Arc<Node>,
    call: &Call,
    state: &State,
    cluster: ClusterId,
    name: &str,
) -> Result<Option<Arc<HistoryRow>>, ApiError> {
    let Some(id) = resolve::id_of_task(state, name) else { return Ok(None) };
    let found = history::find(node, state, [Lookup::Task(cluster, id)].into(), call.deadline).await?;
    Ok(found.into_values().next())
}

/// A chunk's lines; its error ends the stream.
pub(crate) fn log_lines(chunk: LogChunk, task_id: &str) -> Vec<Result<LogLine, String>> {
    let lines = chunk.records.into_iter().map(|record| {
        Ok(LogLine {
            time: Some(timestamp_of(record.at_ms)),
            container: record.container,
            stream: if record.stderr { "stderr" } else { "stdout" }.into(),
            line: record.line.to_vec(),
            task_id: task_id.to_owned(),
        })
    });
    let error = (!chunk.error.is_empty()).then_some(Err(chunk.error));
    lines.chain(error).collect()
}
