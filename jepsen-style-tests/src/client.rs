//! Clients of the public gRPC API that know each member by itself: none fails over, so that what one member answers is seen.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use seawall_proto::v1::{
    DescribeMembersRequest, DescribeMembersResponse, GetStatusRequest, GetStatusResponse,
    control_client::ControlClient, ecs_client::EcsClient,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use crate::history::Outcome;

/// A call that took longer has an unknown outcome.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// Dialling one member.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two looks at something that is waited for.
pub const POLL: Duration = Duration::from_millis(100);

/// Refusals after which it is certain that nothing happened. `NoLeaderException` is not among them: who says so may have
/// passed the write on before it lost the leader.
const REFUSALS: &[&str] = &[
    "ClientException",
    "InvalidParameterException",
    "AccessDeniedException",
    "ClusterNotFoundException",
    "ServiceNotFoundException",
    "ServiceNotActiveException",
    "UnsupportedFeatureException",
    "LimitExceededException",
    "ResourceNotFoundException",
    "ConflictException",
    "UpdateInProgressException",
    "VersionMismatchException",
    "OverloadedException",
    "DiskFullException",
];

/// Why a call is not ok.
#[derive(Clone, Debug)]
pub struct CallError {
    /// `Fail` or `Unknown`.
    pub outcome: Outcome,
    /// ECS's exception name; empty where the transport failed.
    pub exception: String,
    /// For people.
    pub message: String,
}

impl CallError {
    /// The call was not answered in time.
    pub fn timed_out() -> Self {
        let message = format!("no answer for {CALL_TIMEOUT:?}");
        CallError { outcome: Outcome::Unknown, exception: String::new(), message }
    }
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        let exception = status.metadata().get("x-seawall-error").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let refused = REFUSALS.contains(&exception);
        CallError {
            outcome: if refused { Outcome::Fail } else { Outcome::Unknown },
            exception: exception.to_owned(),
            message: format!("{:?}: {} {exception}", status.code(), status.message()),
        }
    }
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallError {}

/// Waits for an answer, at most for `CALL_TIMEOUT`.
///
/// # Errors
/// The call was refused, failed or timed out.
pub async fn call<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, CallError> {
    match timeout(CALL_TIMEOUT, answer).await {
        Err(_) => Err(CallError::timed_out()),
        Ok(answer) => Ok(answer?.into_inner()),
    }
}

/// A connection to each member.
#[derive(Clone)]
pub struct Clients {
    channels: Vec<Channel>,
}

impl Clients {
    /// Connections of its own to `endpoints`, made when they are first used.
    ///
    /// # Errors
    /// An endpoint is not a URL.
    pub fn new(endpoints: &[String]) -> Result<Self> {
        let channel = |endpoint: &String| -> Result<Channel> {
            let endpoint = Endpoint::from_shared(endpoint.clone()).with_context(|| endpoint.clone())?;
            Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect_lazy())
        };
        Ok(Clients { channels: endpoints.iter().map(channel).collect::<Result<_>>()? })
    }

    /// How many members there are.
    pub fn members(&self) -> usize {
        self.channels.len()
    }

    /// ECS's operations through `member`.
    pub fn ecs(&self, member: usize) -> EcsClient<Channel> {
        EcsClient::new(self.channels[member].clone())
    }

    /// What `member` itself knows of the members, without asking the leader.
    ///
    /// # Errors
    /// It did not answer.
    pub async fn describe_members(&self, member: usize) -> Result<DescribeMembersResponse, CallError> {
        let mut control = ControlClient::new(self.channels[member].clone());
        call(control.describe_members(DescribeMembersRequest { stale: true })).await
    }

    /// The cluster's status; linearizable unless `stale`.
    ///
    /// # Errors
    /// It did not answer.
    pub async fn status(&self, member: usize, stale: bool) -> Result<GetStatusResponse, CallError> {
        let mut control = ControlClient::new(self.channels[member].clone());
        call(control.get_status(GetStatusRequest { stale })).await
    }

    /// The leader's index, as the member in the highest term among those that answer sees it.
    pub async fn leader(&self, names: &[String]) -> Option<usize> {
        let mut newest = (0, None);
        for member in 0..self.members() {
            let Ok(Ok(seen)) = timeout(CONNECT_TIMEOUT, self.describe_members(member)).await else { continue };
            if seen.term >= newest.0 && !seen.leader.is_empty() {
                newest = (seen.term, names.iter().position(|name| *name == seen.leader));
            }
        }
        newest.1
    }

    /// Waits until every member serves linearizable reads and every zone has its agents.
    ///
    /// # Errors
    /// Not within `deadline`; says what is missing.
    pub async fn wait_until_ready(&self, agents_per_zone: usize, deadline: Duration) -> Result<()> {
        let until = Instant::now() + deadline;
        let mut missing = String::new();
        while Instant::now() < until {
            match self.missing(agents_per_zone).await {
                None => return Ok(()),
                Some(what) => missing = what,
            }
            sleep(POLL).await;
        }
        bail!("the cluster is not ready after {deadline:?}: {missing}")
    }

    async fn missing(&self, agents_per_zone: usize) -> Option<String> {
        for member in 0..self.members() {
            let status = match self.status(member, false).await {
                Err(error) => return Some(format!("member {}: {error}", member + 1)),
                Ok(status) => status,
            };
            let connected: usize = status.zones.iter().map(|zone| zone.instances_connected as usize).sum();
            if connected < agents_per_zone * self.members() {
                return Some(format!("{connected} agents are connected, as member {} sees it", member + 1));
            }
        }
        None
    }
}
