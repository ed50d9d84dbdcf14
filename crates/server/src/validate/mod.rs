//! What a request may hold.
//!
//! [`request`] looks at every member of a request: is it there where ECS requires it, within ECS's limits, and something that
//! this version can honour? It reads the tables made from ECS's model and [`members`]; what only one operation knows is
//! checked by that operation, a task definition in [`task_definition`].

pub mod members;
mod shape;
pub mod tags;
pub mod task_definition;

use seawall_model::{ApiError, ErrorCode};
use serde::Serialize;

/// Checks the members of `request`, whose shape is called `shape`.
///
/// # Errors
/// `UnsupportedFeatureException` naming a member that this version cannot honour; `InvalidParameterException`
/// (`ClientException` for a task definition, as ECS answers) naming one that is missing or out of its limits.
pub fn request<R: Serialize>(shape: &'static str, request: &R) -> Result<(), ApiError> {
    let value = serde_json::to_value(request)
        .map_err(|e| ApiError::new(ErrorCode::Server, format!("The request has no JSON form: {e}")))?;
    let code = if shape == "RegisterTaskDefinitionRequest" { ErrorCode::Client } else { ErrorCode::InvalidParameter };
    shape::check(code, shape, &value)
}
