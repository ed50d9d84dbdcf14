//! Every call of a client, whatever carries it: gRPC, the JSON protocol, the simulation.
//!
//! An adapter decodes a request, says who asks and by when ([`Call`]), and encodes the answer. What the call does stands
//! here once.

mod capacity;
pub(crate) mod control;
mod ecs;
mod schedules;

use seawall_env::Instant;
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::{Command, Principal, command};

pub(crate) use ecs::{answered, read, write};
pub(crate) use seawall_proto::internal::v1::Invocation;

/// What every call carries.
pub(crate) struct Call {
    /// Who asks.
    pub(crate) principal: Principal,
    /// In every answer and log line.
    pub(crate) request_id: String,
    /// Answer from this member's state without asking the leader.
    pub(crate) stale: bool,
    /// Show the instances of FARGATE's pools too: ECS's clients know of none.
    pub(crate) shows_pools: bool,
    /// Past it the caller is told whom the cluster waits for.
    pub(crate) deadline: Instant,
    /// What an SDK tells its retries of one call by.
    pub(crate) invocation: Option<Invocation>,
}

impl Call {
    /// What it asks of the leader.
    fn command(&self, kind: command::Kind) -> Command {
        Command {
            request_id: self.request_id.clone(),
            principal: Some(self.principal.clone()),
            kind: Some(kind),
            ..Command::default()
        }
    }
}

fn undecodable(error: &prost::DecodeError) -> ApiError {
    ApiError::new(ErrorCode::Server, format!("the leader's answer does not decode: {error}"))
}
