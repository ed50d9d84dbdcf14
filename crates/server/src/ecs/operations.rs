//! From the name of an operation to its one handler.

use std::{future::Future, pin::Pin, sync::Arc};

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{internal::v1::Principal, v1};
use serde::Serialize;

use super::{decode::decode, errors, unsupported};
use crate::{
    api::{Node, READ_DEADLINE, WRITE_DEADLINE},
    calls::{self, Call, Invocation},
    ops,
};

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, ApiError>> + Send + 'a>>;

macro_rules! handle {
    (read $name:ident, $node:ident, $call:ident, $request:ident) => {
        calls::read::<ops::$name>($node, &$call(READ_DEADLINE), &$request).await
    };
    (write $name:ident, $node:ident, $call:ident, $request:ident) => {
        calls::write::<ops::$name>($node, stringify!($name), &$call(WRITE_DEADLINE), &$request).await
    };
}

macro_rules! dispatch {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        /// The JSON answer of `operation` to the JSON `body`.
        pub(super) fn answer<'a>(
            node: &'a Arc<Node>,
            operation: &'a str,
            body: &'a [u8],
            request_id: &'a str,
            principal: Principal,
            invocation: Option<Invocation>,
        ) -> Answer<'a> {
            let call = move |limit| Call {
                principal: principal.clone(),
                request_id: request_id.to_owned(),
                stale: false,
                shows_pools: false,
                deadline: node.env.now() + limit,
                invocation: invocation.clone(),
            };
            match operation {
                $(stringify!($name) => Box::pin(async move {
                    let mut ignored = Vec::new();
                    let request: v1::$request = decode(stringify!($request), body, &mut ignored)?;
                    node.metrics.ignored(operation, ignored);
                    encode(&handle!($kind $name, node, call, request)?)
                }),)*
                _ => Box::pin(std::future::ready(Err(not_an_operation(operation)))),
            }
        }
    };
}

ops::for_each_operation!(dispatch);

fn not_an_operation(operation: &str) -> ApiError {
    unsupported::refusal(operation).unwrap_or_else(|| errors::unknown_operation(operation))
}

fn encode(response: &impl Serialize) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(response)
        .map_err(|e| ApiError::new(ErrorCode::Server, format!("The answer has no JSON form: {e}")))
}
