//! Counts calls by how they end, those that are not let in included.

use std::sync::Arc;

use axum::{extract::Request, http::HeaderMap, middleware::Next, response::Response};
use seawall_model::ErrorCode;
use tonic::{Code, Status};

use super::ERROR;
use crate::{
    api::Node,
    metrics::{Asked, OK, OTHER, Protocol},
};

/// Counts one call.
pub(crate) async fn count(node: Arc<Node>, request: Request, next: Next) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default();
    let asked = Asked::new(&node, Protocol::Grpc, method);
    let response = next.run(request).await;
    asked.ends(code_of(response.headers()));
    response
}

/// A refusal has its status in the headers; tonic's own (a message that does not decode) say no exception.
fn code_of(headers: &HeaderMap) -> &'static str {
    if let Some(name) = headers.get(ERROR).and_then(|name| name.to_str().ok()) {
        return ErrorCode::from_name(name).as_str();
    }
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => OTHER,
        _ => OK,
    }
}
