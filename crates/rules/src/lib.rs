//! What a request may hold, for the server and for who asks without one (`seawall check`).
//!
//! [`request`] looks at every member of a request: is it there where ECS requires it, within ECS's limits, and something that
//! this version can honour? It reads the tables made from ECS's model and [`members`]; what only one operation knows is
//! checked by that operation, a task definition in [`task_definition`].

pub mod launch;
pub mod members;
pub mod placement;
mod shape;
pub mod tags;
pub mod task_definition;

use seawall_model::{ApiError, ErrorCode};
use serde::Serialize;

/// The members that `request` uses and that are only stored, by their paths.
///
/// # Errors
/// `ServerException` where the request has no JSON form.
pub fn stored<R: Serialize>(shape: &'static str, request: &R) -> Result<Vec<String>, ApiError> {
    let mut names = Vec::new();
    members::stored(shape, &value_of(request)?, "", &mut names);
    Ok(names)
}

/// The members that a service uses and that are only stored, for people who look at it.
pub fn stored_members(service: &seawall_proto::v1::Service) -> Vec<&'static str> {
    members::stored_of_service(&value_of(service).unwrap_or_default())
}

/// Checks the members of `request`, whose shape is called `shape`. The members that `inert` names are stored where they would
/// be refused: the operator said so. The answer is what the request uses and is only stored, by path: `portMappings.name`, without
/// what holds a container's own and without places in lists.
///
/// # Errors
/// `UnsupportedFeatureException` naming a member that this version cannot honour; `InvalidParameterException`
/// (`ClientException` for a task definition, as ECS answers) naming one that is missing or out of its limits.
pub fn request<R: Serialize>(shape: &'static str, request: &R, inert: &[String]) -> Result<Vec<String>, ApiError> {
    let value = value_of(request)?;
    let code = if shape == "RegisterTaskDefinitionRequest" { ErrorCode::Client } else { ErrorCode::InvalidParameter };
    shape::check(code, shape, &value, inert)
}

fn value_of<R: Serialize>(request: &R) -> Result<serde_json::Value, ApiError> {
    serde_json::to_value(request)
        .map_err(|e| ApiError::new(ErrorCode::Server, format!("The request has no JSON form: {e}")))
}
