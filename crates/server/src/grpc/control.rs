//! `seawall.v1.Control`: what Seawall has beyond ECS.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use prost::Message;
use seawall_model::{ApiError, ErrorCode, InstanceId, MemberId};
use seawall_proto::{
    internal::v1::{Command, DropToken, LogChunk, LogRequest, PutToken, TokenRow, command, reply},
    millis, timestamp_of, timestamp_unless_zero,
    v1::{
        AddMemberRequest, AddMemberResponse, CreateTokenRequest, CreateTokenResponse, DescribeMembersRequest,
        DescribeMembersResponse, ExplainRequest, ExplainResponse, GetStatusRequest, GetStatusResponse,
        ListEndpointsRequest, ListEndpointsResponse, ListTokensRequest, ListTokensResponse, LogLine,
        RemoveMemberRequest, RemoveMemberResponse, ReplaceMemberRequest, ReplaceMemberResponse, RevokeTokenRequest,
        RevokeTokenResponse, TaskLogsRequest, Token, TransferLeadershipRequest, TransferLeadershipResponse, WatchEvent,
        WatchRequest, control_server::Control,
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Call, Shared, status};
use crate::{
    api::{Node, READ_DEADLINE, WRITE_DEADLINE},
    dispatch::logs,
    render, trust,
    watch::{self, WatchEnd},
};

/// Changes of members take as long as the new one needs to catch up.
const MEMBERS_DEADLINE: Duration = Duration::from_secs(30);
/// Metadata of the end of a watch: where to list.
const POSITION: &str = "x-seawall-position";

/// Serves what Seawall has beyond ECS.
#[derive(Clone)]
pub(crate) struct ControlService(pub(crate) Shared);

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Result<Response<T>, Status>;

impl ControlService {
    fn node(&self) -> &Arc<Node> {
        &self.0.0
    }

    fn call<T>(&self, request: &Request<T>, otherwise: Duration) -> Call {
        Call::of(self.node(), request, otherwise)
    }

    /// Passes an operation on members to the leader.
    async fn lead<Q: Message, A: Message + Default>(&self, operation: &'static str, request: Request<Q>) -> Answer<A> {
        let call = self.call(&request, MEMBERS_DEADLINE);
        let body = request.get_ref().encode_to_vec().into();
        let answer = self.node().lead(operation, body, &call.request_id, call.deadline).await;
        let decoded = answer.and_then(|body| {
            A::decode(body).map_err(|e| ApiError::new(ErrorCode::Server, format!("the answer does not decode: {e}")))
        });
        decoded.map(Response::new).map_err(|error| status(&error, &call.request_id))
    }

    async fn submit(&self, call: &Call, kind: command::Kind) -> Result<(), Status> {
        let command = Command {
            request_id: call.request_id.clone(),
            principal: Some(call.principal.clone()),
            kind: Some(kind),
            ..Default::default()
        };
        let refused = |error: ApiError| status(&error, &call.request_id);
        let (_, reply) = self.node().submit(command, call.deadline).await.map_err(refused)?;
        match reply.kind {
            Some(reply::Kind::Refusal(refusal)) => {
                Err(refused(ApiError::new(ErrorCode::from_name(&refusal.code), refusal.message)))
            }
            _ => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Control for ControlService {
    type WatchStream = Streamed<WatchEvent>;
    type TaskLogsStream = Streamed<LogLine>;

    async fn watch(&self, request: Request<WatchRequest>) -> Answer<Self::WatchStream> {
        let call = self.call(&request, READ_DEADLINE);
        let events = watch::start(self.node(), request.into_inner()).map_err(|e| status(&e, &call.request_id))?;
        let stream = ReceiverStream::new(events).map(move |item| item.map_err(|end| watch_end(end, &call.request_id)));
        Ok(Response::new(Box::pin(stream)))
    }

    async fn task_logs(&self, request: Request<TaskLogsRequest>) -> Answer<Self::TaskLogsStream> {
        let call = self.call(&request, READ_DEADLINE);
        let refused = |error: ApiError| status(&error, &call.request_id);
        let ask = request.get_ref();
        let state = self.node().read(call.stale, call.deadline).await.map_err(refused)?;
        let cluster = crate::resolve::cluster(&state, ask.cluster.as_deref()).map_err(refused)?;
        let task = crate::resolve::task(&state, cluster, &ask.task)
            .map_err(refused)?
            .ok_or_else(|| refused(ApiError::invalid(format!("The referenced task was not found: {}", ask.task))))?;
        let instance = InstanceId(task.instance_id);
        let member = state.instances.get(&instance).map(|row| MemberId(row.member_id)).unwrap_or_default();
        let task_id = render::task::id(&task).to_string();
        let order = LogRequest {
            request_id: 0,
            task: task.id,
            container: ask.container.clone().unwrap_or_default(),
            follow: ask.follow,
            tail: ask.tail.unwrap_or_default(),
            since_ms: ask.since.as_ref().map(millis).unwrap_or_default(),
        };
        let chunks = logs::read(self.node(), instance, member, order).await.map_err(refused)?;
        let lines = ReceiverStream::new(chunks).flat_map(move |chunk| stream::iter(log_lines(chunk, &task_id)));
        Ok(Response::new(Box::pin(lines)))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Answer<ExplainResponse> {
        let call = self.call(&request, READ_DEADLINE);
        let refused = |error: ApiError| status(&error, &call.request_id);
        let state = self.node().read(call.stale, call.deadline).await.map_err(refused)?;
        let ask = request.get_ref();
        let answer = crate::explain::explain(&state, ask.cluster.as_deref(), &ask.resource).map_err(refused)?;
        Ok(Response::new(answer))
    }

    async fn list_endpoints(&self, request: Request<ListEndpointsRequest>) -> Answer<ListEndpointsResponse> {
        let call = self.call(&request, READ_DEADLINE);
        let refused = |error: ApiError| status(&error, &call.request_id);
        let state = self.node().read(call.stale, call.deadline).await.map_err(refused)?;
        let ask = request.get_ref();
        let cluster = crate::resolve::cluster(&state, ask.cluster.as_deref()).map_err(refused)?;
        let service = crate::resolve::service(&state, cluster, &ask.service)
            .ok_or_else(|| refused(ApiError::new(ErrorCode::ServiceNotFound, "Service not found.")))?;
        Ok(Response::new(ListEndpointsResponse { endpoints: render::endpoint::of_service(&state, &service) }))
    }

    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<GetStatusResponse> {
        let call = self.call(&request, READ_DEADLINE);
        let stale = call.stale || request.get_ref().stale;
        let state = self.node().read(stale, call.deadline).await.map_err(|e| status(&e, &call.request_id))?;
        let members = crate::status::members(self.node()).await.members;
        Ok(Response::new(crate::status::status(self.node(), &state, &members)))
    }

    async fn describe_members(&self, request: Request<DescribeMembersRequest>) -> Answer<DescribeMembersResponse> {
        let call = self.call(&request, READ_DEADLINE);
        let stale = call.stale || request.get_ref().stale;
        self.node().read(stale, call.deadline).await.map_err(|e| status(&e, &call.request_id))?;
        Ok(Response::new(crate::status::members(self.node()).await))
    }

    async fn add_member(&self, request: Request<AddMemberRequest>) -> Answer<AddMemberResponse> {
        self.lead("AddMember", request).await
    }

    async fn remove_member(&self, request: Request<RemoveMemberRequest>) -> Answer<RemoveMemberResponse> {
        self.lead("RemoveMember", request).await
    }

    async fn replace_member(&self, request: Request<ReplaceMemberRequest>) -> Answer<ReplaceMemberResponse> {
        self.lead("ReplaceMember", request).await
    }

    async fn transfer_leadership(
        &self,
        request: Request<TransferLeadershipRequest>,
    ) -> Answer<TransferLeadershipResponse> {
        self.lead("TransferLeadership", request).await
    }

    async fn create_token(&self, request: Request<CreateTokenRequest>) -> Answer<CreateTokenResponse> {
        let call = self.call(&request, WRITE_DEADLINE);
        let ask = request.get_ref();
        if ask.role != "agent" {
            let error = ApiError::invalid(format!("role {:?}: tokens are for agents (role agent)", ask.role));
            return Err(status(&error, &call.request_id));
        }
        let (row, secret) = trust::new_token(self.node(), ask).map_err(|e| status(&e, &call.request_id))?;
        self.submit(&call, command::Kind::PutToken(PutToken { token: Some(row.clone()) })).await?;
        Ok(Response::new(CreateTokenResponse { token: Some(token(&row)), secret }))
    }

    async fn list_tokens(&self, request: Request<ListTokensRequest>) -> Answer<ListTokensResponse> {
        let call = self.call(&request, READ_DEADLINE);
        let state = self.node().read(call.stale, call.deadline).await.map_err(|e| status(&e, &call.request_id))?;
        Ok(Response::new(ListTokensResponse { tokens: state.tokens.iter().map(|(_, row)| token(row)).collect() }))
    }

    async fn revoke_token(&self, request: Request<RevokeTokenRequest>) -> Answer<RevokeTokenResponse> {
        let call = self.call(&request, WRITE_DEADLINE);
        let id = request.get_ref().id.clone();
        self.submit(&call, command::Kind::DropToken(DropToken { id })).await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }
}

fn token(row: &TokenRow) -> Token {
    Token {
        id: row.id.clone(),
        role: row.role.clone(),
        expires_at: timestamp_unless_zero(row.expires_at_ms),
        uses_left: row.limited.then_some(row.uses_left),
    }
}

fn watch_end(end: WatchEnd, request_id: &str) -> Status {
    match end {
        WatchEnd::Refused(error) => status(&error, request_id),
        WatchEnd::OutOfRange(at) => {
            let text = "changes after this position are no longer kept: list again, then watch from the new position";
            let mut status = status(&ApiError::new(ErrorCode::OutOfRange, text), request_id);
            if let Ok(value) = format!("{}:{}:{}", at.epoch, at.index, at.ordinal).parse() {
                status.metadata_mut().insert(POSITION, value);
            }
            status
        }
    }
}

/// A chunk's lines; its error ends the stream.
fn log_lines(chunk: LogChunk, task_id: &str) -> Vec<Result<LogLine, Status>> {
    let lines = chunk.records.into_iter().map(|record| {
        Ok(LogLine {
            time: Some(timestamp_of(record.at_ms)),
            container: record.container,
            stream: if record.stderr { "stderr" } else { "stdout" }.into(),
            line: record.line.to_vec(),
            task_id: task_id.to_owned(),
        })
    });
    let error = (!chunk.error.is_empty()).then(|| Err(Status::unavailable(chunk.error)));
    lines.chain(error).collect()
}
