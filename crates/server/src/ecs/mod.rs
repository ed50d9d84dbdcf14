//! The ECS wire protocol, AWS JSON 1.1, on the port that speaks gRPC: `POST /` with the operation in `X-Amz-Target`.
//!
//! [`decode`] holds a body against the tables of shapes that gRPC's messages are made from, so there is one definition of each
//! shape; [`operations`] calls the one handler of each operation; [`errors`] says in AWS's form what went wrong. Beside it,
//! [`sts`] answers who the caller is, since clients ask that first, and [`elsewhere`] says so where a client takes this port for
//! another service.

mod decode;
mod elsewhere;
mod errors;
mod operations;
mod sts;
#[cfg(test)]
mod tests;
pub(crate) mod unsupported;

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use seawall_model::{ApiError, ErrorCode, limits::REQUEST_BYTES_MAX};
use seawall_proto::internal::v1::Principal;
use tracing::{debug, warn};

use crate::{
    api::{Node, READ_DEADLINE},
    auth::{self, Payload},
    calls::Invocation,
    metrics::{Asked, OK},
};

#[cfg(test)]
pub(crate) use decode::decode;
pub(crate) use errors::{form_of, unavailable};

/// Names the operation: `AmazonEC2ContainerServiceV20141113.ListClusters`.
const TARGET: &str = "x-amz-target";
/// Before the operation in [`TARGET`].
const TARGET_PREFIX: &str = "AmazonEC2ContainerServiceV20141113.";
/// In every answer and log line; SDKs show it as RequestId.
const REQUEST_ID: &str = "x-amzn-requestid";
/// The same over the retries of one call of boto3 and the Go SDK.
const INVOCATION_ID: &str = "amz-sdk-invocation-id";
/// Longest of those.
const INVOCATION_ID_MAX: usize = 64;
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// Answers one request of an ECS client.
pub(crate) async fn serve(node: Arc<Node>, request: Request) -> Response {
    let request_id = node.env.new_id().to_string();
    let (parts, body) = request.into_parts();
    let form = form_of(&parts.headers);
    let operation = operation_of(&parts.headers).unwrap_or_default().to_owned();
    let asked = Asked::new(&node, form.protocol(), &operation);
    let answer = match to_bytes(body, REQUEST_BYTES_MAX).await {
        Ok(body) => answer(&node, &parts, body, &request_id, &operation).await,
        Err(_) => Err(errors::too_large()),
    };
    asked.ends(answer.as_ref().map_or_else(|error| error.code.as_str(), |_| OK));
    match answer {
        Ok((kind, body)) => {
            debug!(request_id, operation, "answered");
            respond(StatusCode::OK, kind, body, &request_id)
        }
        Err(error) => {
            if errors::is_fault(&error) {
                warn!(request_id, operation, %error, "failed");
            } else {
                debug!(request_id, operation, %error, "refused");
            }
            errors::respond(form, &error, &request_id)
        }
    }
}

async fn answer(
    node: &Arc<Node>,
    parts: &Parts,
    body: Bytes,
    request_id: &str,
    operation: &str,
) -> Result<(HeaderValue, Vec<u8>), ApiError> {
    if let Some(action) = sts::action(&parts.headers, &body) {
        let principal = authenticate(node, parts, &body, "sts").await?;
        return sts::answer(node, &action, &principal, request_id).map(|xml| (errors::XML, xml.into_bytes()));
    }
    if let Some(error) = elsewhere::refusal(&parts.headers, &body) {
        return Err(error);
    }
    if operation.is_empty() {
        return Err(errors::no_target());
    }
    let principal = authenticate(node, parts, &body, "ecs").await?;
    let invocation = invocation(&parts.headers, operation, &body);
    let answer = operations::answer(node, operation, &body, request_id, principal, invocation).await?;
    Ok((JSON, answer))
}

/// Whether a client of AWS asks.
pub(crate) fn is_signed(headers: &HeaderMap) -> bool {
    headers.get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

async fn authenticate(node: &Arc<Node>, parts: &Parts, body: &[u8], service: &str) -> Result<Principal, ApiError> {
    auth::authenticate(node, parts, Payload::Body(body), service, node.env.now() + READ_DEADLINE).await
}

/// The operation that the headers name; `None` where they name none of ECS.
fn operation_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(TARGET)?.to_str().ok()?.strip_prefix(TARGET_PREFIX).filter(|name| !name.is_empty())
}

/// What makes a retry of this call recognisable.
fn invocation(headers: &HeaderMap, operation: &str, body: &[u8]) -> Option<Invocation> {
    let id = headers.get(INVOCATION_ID)?.to_str().ok().filter(|id| !id.is_empty() && id.len() <= INVOCATION_ID_MAX)?;
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    Some(Invocation {
        operation: operation.into(),
        id: id.into(),
        ordinal: 0,
        request_sha256: digest.as_ref().to_vec().into(),
    })
}

fn respond(status: StatusCode, kind: HeaderValue, body: Vec<u8>, request_id: &str) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    // An id is ASCII; without one the answer is still right.
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

fn unsupported(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::UnsupportedFeature, message)
}
