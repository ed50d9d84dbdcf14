//! Holds a call's signature against the keys before its service sees it.
//!
//! gRPC is signed as ECS's requests are, over the method, the path, `x-amz-date` and `x-amz-content-sha256`, which is the hash
//! of the call's one message, without the five bytes of frame before it: what a client's interceptor sees. The signature is
//! verified first, and only what was let in has its message read.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, request::Parts},
    middleware::Next,
    response::Response,
};
use seawall_model::{ApiError, ErrorCode, limits::REQUEST_BYTES_MAX};
use seawall_proto::internal::v1::{Principal, principal};
use seawall_sigv4::{CONTENT_SHA256, sha256_hex};
use tonic::metadata::MetadataMap;
use tracing::debug;

use super::{request_id, status};
use crate::{
    api::{Node, READ_DEADLINE},
    auth::{self, Payload},
};

/// In the scope of signatures: gRPC has the operations of ECS, and more.
const SERVICE: &str = "ecs";
/// Before a message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;

/// Lets a call through with its [`Principal`] among its extensions, or refuses it.
pub(crate) async fn admit(node: Arc<Node>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admitted(&node, &parts, body).await {
        Ok((principal, body)) => {
            parts.extensions.insert(principal);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => {
            let request_id = request_id(&node, &MetadataMap::from_headers(parts.headers));
            debug!(request_id, path = parts.uri.path(), %error, "refused");
            status(&error, &request_id).into_http()
        }
    }
}

async fn admitted(node: &Arc<Node>, parts: &Parts, body: Body) -> Result<(Principal, Body), ApiError> {
    let deadline = node.env.now() + READ_DEADLINE;
    let principal = auth::authenticate(node, parts, Payload::Declared, SERVICE, deadline).await?;
    if principal.kind() != principal::Kind::AccessKey {
        return Ok((principal, body));
    }
    let body = node.env.timeout(READ_DEADLINE, to_bytes(body, FRAME_BYTES + REQUEST_BYTES_MAX)).await;
    let body = body.ok().and_then(Result::ok).ok_or_else(|| {
        let message = format!("The message did not come in time, or is longer than {REQUEST_BYTES_MAX} bytes.");
        ApiError::client(message)
    })?;
    check_hash(&parts.headers, &body)?;
    Ok((principal, Body::from(body)))
}

fn check_hash(headers: &HeaderMap, body: &Bytes) -> Result<(), ApiError> {
    let message = message_of(body).ok_or_else(|| ApiError::client("A signed call has one message, uncompressed."))?;
    let signed = headers.get(CONTENT_SHA256).map(|hash| hash.as_bytes());
    if signed != Some(sha256_hex(message).as_bytes()) {
        let why = "x-amz-content-sha256 is not the hash of the message.";
        return Err(ApiError::new(ErrorCode::InvalidSignature, why));
    }
    Ok(())
}

/// The one message of a call; `None` where there are more, or it is compressed.
fn message_of(body: &Bytes) -> Option<&[u8]> {
    let (frame, message) = body.split_at_checked(FRAME_BYTES)?;
    let length = u32::from_be_bytes(frame[1..].try_into().ok()?);
    (frame[0] == 0 && usize::try_from(length) == Ok(message.len())).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_plain_message() {
        let message = |bytes: &'static [u8]| message_of(&Bytes::from_static(bytes)).map(<[u8]>::to_vec);
        assert_eq!(message(b"\0\0\0\0\x02ab"), Some(b"ab".to_vec()));
        assert_eq!(message(b"\0\0\0\0\0"), Some(Vec::new()));
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x01ab", b"\0\0\0\0\x01a\0\0\0\0\x01b"] {
            assert_eq!(message(wrong), None, "{wrong:?}");
        }
    }
}
