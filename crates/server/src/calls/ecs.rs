//! The operations of ECS.

use std::sync::Arc;

use prost::Message;
use seawall_env::Instant;
use seawall_model::ApiError;
use seawall_proto::internal::v1::ForwardRequest;
use seawall_state::State;

use super::{Call, undecodable};
use crate::{
    api::Node,
    history,
    ops::{self, Lacked, ReadCtx, ReadOp, Recall, WriteOp},
};

/// Answers from one state, after a read barrier unless the caller takes a stale one.
pub(crate) async fn read<Op: ReadOp>(
    node: &Arc<Node>,
    call: &Call,
    request: &Op::Request,
) -> Result<Op::Response, ApiError> {
    answered(node, call, |ctx| ops::answer::<Op>(ctx, request)).await
}

/// The same for any answer that is made from one state and its history.
pub(crate) async fn answered<A>(
    node: &Arc<Node>,
    call: &Call,
    answer: impl Fn(&ReadCtx<'_>) -> Result<A, ApiError>,
) -> Result<A, ApiError> {
    let state = node.read(call.stale, call.deadline).await?;
    let now_ms = node.cluster_time_ms();
    let mut recall = Recall::default();
    loop {
        let lacked = {
            let ctx = ReadCtx {
                state: &state,
                principal: &call.principal,
                now_ms,
                history: &recall,
                shows_pools: call.shows_pools,
            };
            let answer = answer(&ctx);
            match recall.take_lacked() {
                None => return answer,
                Some(lacked) => lacked,
            }
        };
        load(node, &state, &mut recall, lacked, call.deadline).await?;
    }
}

/// Loads what a read lacked of history.
async fn load(
    node: &Arc<Node>,
    state: &State,
    recall: &mut Recall,
    lacked: Lacked,
    deadline: Instant,
) -> Result<(), ApiError> {
    if !lacked.lookups.is_empty() {
        let found = history::find(node, state, lacked.lookups.clone(), deadline).await?;
        recall.learn(lacked.lookups, found);
    }
    for of in lacked.pages {
        let page = history::page(node, state, &of, deadline).await?;
        recall.learn_page(of, page);
    }
    Ok(())
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
