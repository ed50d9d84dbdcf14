//! The public gRPC API: adapters only, every decision stands behind them.

mod admit;
mod control;
mod count;
mod ecs;

use std::{sync::Arc, time::Duration};

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::Principal;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};
use tracing::debug;

pub(crate) use admit::admit;
pub(crate) use control::ControlService;
pub(crate) use count::count;
pub(crate) use ecs::EcsService;

use crate::{api::Node, calls::Call};

/// ECS's exception name.
pub(crate) const ERROR: &str = "x-seawall-error";
/// "true": answer from this member's state without asking the leader.
const STALE: &str = "x-seawall-stale";
/// In every answer and log line.
const REQUEST_ID: &str = "x-request-id";
/// Longest deadline that a client can set.
const DEADLINE_MAX: Duration = Duration::from_secs(300);

/// What the metadata of a request says of it.
fn call_of<T>(node: &Node, request: &Request<T>, otherwise: Duration) -> Call {
    let metadata = request.metadata();
    let limit = timeout(metadata).unwrap_or(otherwise).min(DEADLINE_MAX);
    let request_id = request_id(node, metadata);
    Call {
        // Put there by `admit`, through which every call comes.
        principal: request.extensions().get::<Principal>().cloned().unwrap_or_default(),
        request_id,
        stale: text(metadata, STALE) == Some("true"),
        shows_pools: true,
        deadline: node.env.now() + limit,
        invocation: None,
    }
}

/// As the caller set it, else a new one.
fn request_id(node: &Node, metadata: &MetadataMap) -> String {
    text(metadata, REQUEST_ID).map_or_else(|| node.env.new_id().to_string(), str::to_owned)
}

fn answered<A>(call: &Call, answer: Result<A, ApiError>) -> Result<Response<A>, Status> {
    answer.map(Response::new).map_err(|error| {
        debug!(request_id = %call.request_id, %error, "refused");
        status(&error, &call.request_id)
    })
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key)?.to_str().ok().filter(|value| !value.is_empty() && value.len() <= 128)
}

/// gRPC's own `grpc-timeout`, a number and a unit, less a margin for the answer to travel.
fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let value = text(metadata, "grpc-timeout")?;
    let (digits, unit) = value.split_at_checked(value.len() - 1)?;
    let number: u64 = digits.parse().ok()?;
    let length = match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Some(length.mul_f64(0.9))
}

/// The google.rpc code of each exception; its name travels in the metadata.
pub(crate) fn status(error: &ApiError, request_id: &str) -> Status {
    let code = match error.code {
        ErrorCode::AccessDenied => Code::PermissionDenied,
        ErrorCode::MissingAuthenticationToken
        | ErrorCode::UnrecognizedClient
        | ErrorCode::InvalidSignature
        | ErrorCode::IncompleteSignature => Code::Unauthenticated,
        ErrorCode::ClusterNotFound
        | ErrorCode::ServiceNotFound
        | ErrorCode::ServiceDeploymentNotFound
        | ErrorCode::NamespaceNotFound
        | ErrorCode::ResourceNotFound
        | ErrorCode::TargetNotFound => Code::NotFound,
        ErrorCode::UnsupportedFeature => Code::Unimplemented,
        ErrorCode::LimitExceeded | ErrorCode::AttributeLimitExceeded | ErrorCode::Overloaded | ErrorCode::DiskFull => {
            Code::ResourceExhausted
        }
        ErrorCode::NoLeader | ErrorCode::Server => Code::Unavailable,
        ErrorCode::Unknown => Code::DeadlineExceeded,
        ErrorCode::VersionMismatch => Code::Aborted,
        ErrorCode::Conflict => Code::AlreadyExists,
        ErrorCode::OutOfRange => Code::OutOfRange,
        ErrorCode::ServiceNotActive
        | ErrorCode::ClusterContainsContainerInstances
        | ErrorCode::ClusterContainsServices
        | ErrorCode::ClusterContainsTasks
        | ErrorCode::ClusterContainsCapacityProvider
        | ErrorCode::ResourceInUse
        | ErrorCode::NoUpdateAvailable
        | ErrorCode::UpdateInProgress => Code::FailedPrecondition,
        ErrorCode::UnknownOperation | ErrorCode::OtherService => Code::Unimplemented,
        ErrorCode::Client | ErrorCode::InvalidParameter | ErrorCode::Serialization | ErrorCode::RequestTooLarge => {
            Code::InvalidArgument
        }
    };
    let mut status = Status::new(code, error.message.clone());
    let mut put = |key: &'static str, value: &str| {
        // Names and ids are ASCII; anything else would only be left out of the metadata.
        if let Ok(value) = value.parse() {
            status.metadata_mut().insert(key, value);
        }
    };
    put(ERROR, error.code.as_str());
    put(REQUEST_ID, request_id);
    status
}

/// Shared by the services.
#[derive(Clone)]
pub(crate) struct Shared(pub(crate) Arc<Node>);
