//! The operations of ECS.

use std::sync::Arc;

use prost::Message;
use seawall_model::ApiError;
use seawall_proto::internal::v1::ForwardRequest;

use super::{Call, undecodable};
use crate::{
    api::Node,
    ops::{self, ReadCtx, ReadOp, WriteOp},
};

/// Answers from one state, after a read barrier unless the caller takes a stale one.
pub(crate) async fn read<Op: ReadOp>(
    node: &Arc<Node>,
    call: &Call,
    request: &Op::Request,
) -> Result<Op::Response, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let ctx = ReadCtx { state: &state, principal: &call.principal, now_ms: node.cluster_time_ms() };
    ops::answer::<Op>(&ctx, request)
}

/// Has the leader do it.
pub(crate) async fn write<Op: WriteOp>(
    node: &Arc<Node>,
    operation: &'static str,
    call: &Call,
    request: &Op::Request,
) -> Result<Op::Response, ApiError> {
    let request = ForwardRequest {
        operation: operation.to_owned(),
        body: request.encode_to_vec().into(),
        principal: Some(call.principal.clone()),
        request_id: call.request_id.clone(),
        invocation: call.invocation.clone(),
        ..Default::default()
    };
    let answer = node.write(request, call.deadline).await?;
    Op::Response::decode(answer).map_err(|error| undecodable(&error))
}
