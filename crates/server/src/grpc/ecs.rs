//! `seawall.v1.Ecs`: one method an operation, all made from the one list.

use std::sync::Arc;

use prost::Message;
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::{self, ecs_server::Ecs};
use tonic::{Request, Response, Status};
use tracing::debug;

use super::{Call, Shared, status};
use crate::{
    api::{Node, READ_DEADLINE, WRITE_DEADLINE},
    ops::{self, ReadCtx, ReadOp, WriteOp},
};

/// Serves the operations of ECS.
#[derive(Clone)]
pub(crate) struct EcsService(pub(crate) Shared);

async fn read<Op: ReadOp>(node: &Arc<Node>, request: Request<Op::Request>) -> Result<Response<Op::Response>, Status> {
    let call = Call::of(node, &request, READ_DEADLINE);
    let answer = async {
        let state = node.read(call.stale, call.deadline).await?;
        let ctx = ReadCtx { state: &state, principal: &call.principal, now_ms: node.cluster_time_ms() };
        ops::answer::<Op>(&ctx, request.get_ref())
    };
    answer.await.map(Response::new).map_err(|error| refused(&call, &error))
}

async fn write<Op: WriteOp>(
    node: &Arc<Node>,
    operation: &'static str,
    request: Request<Op::Request>,
) -> Result<Response<Op::Response>, Status> {
    let call = Call::of(node, &request, WRITE_DEADLINE);
    let body = request.get_ref().encode_to_vec().into();
    let answer = async {
        let body = node.write(operation, body, call.principal.clone(), &call.request_id, call.deadline).await?;
        Op::Response::decode(body)
            .map_err(|e| ApiError::new(ErrorCode::Server, format!("the leader's answer does not decode: {e}")))
    };
    answer.await.map(Response::new).map_err(|error| refused(&call, &error))
}

fn refused(call: &Call, error: &ApiError) -> Status {
    debug!(request_id = %call.request_id, %error, "refused");
    status(error, &call.request_id)
}

macro_rules! method_body {
    (read $name:ident, $node:expr, $request:ident) => {
        read::<ops::$name>($node, $request).await
    };
    (write $name:ident, $node:expr, $request:ident) => {
        write::<ops::$name>($node, stringify!($name), $request).await
    };
}

macro_rules! service {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        #[tonic::async_trait]
        impl Ecs for EcsService {
            $(
                async fn $method(
                    &self,
                    request: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    method_body!($kind $name, &self.0.0, request)
                }
            )*
        }
    };
}

ops::for_each_operation!(service);
