//! Clients' idempotency tokens.

use prost::Message;
use ring::digest::{SHA256, digest};
use seawall_model::ApiError;
use seawall_proto::internal::v1::ClientToken;

/// A token is printable ASCII of a limited length.
///
/// # Errors
/// `InvalidParameterException`
pub fn check(token: &str, limit: usize) -> Result<(), ApiError> {
    if token.len() <= limit && token.bytes().all(|b| (33..=126).contains(&b)) {
        return Ok(());
    }
    Err(ApiError::invalid(format!("clientToken must have at most {limit} printable ASCII characters and no space.")))
}

/// The token of one call; `request` is the call without it, so that another request under the same token is told apart.
pub fn of(operation: &str, cluster_id: u64, token: &str, request: &impl Message) -> Option<ClientToken> {
    (!token.is_empty()).then(|| ClientToken {
        cluster_id,
        operation: operation.into(),
        token: token.into(),
        request_sha256: digest(&SHA256, &request.encode_to_vec()).as_ref().to_vec().into(),
    })
}
