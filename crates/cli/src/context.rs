//! What every command gets: the flags that all share, the machine, and the cluster behind a client made at first use.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use seawall_env::{
    BoxFuture, Env, RealConfig,
    net::{Lane, MessageReceiver, MessageSender, Net, NetError},
};
use serde::Serialize;
use tokio::sync::OnceCell;
use tonic::{Request, Response, Status};

use crate::{
    args::Global,
    client::{Again, Client, Connection},
    failure::Failure,
    output, terminal,
};

/// Longest wait for what a command started, unless `--timeout`.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Longest wait for one answer, unless `--timeout`.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What every command gets.
pub struct Context {
    /// The machine.
    pub env: Env,
    /// The flags that all commands share.
    pub global: Global,
    client: OnceCell<Client>,
}

impl Context {
    /// A context that has asked nobody yet.
    pub fn new(env: Env, global: Global) -> Self {
        Context { env, global, client: OnceCell::new() }
    }

    /// The cluster.
    pub async fn client(&self) -> Result<&Client, Failure> {
        self.client.get_or_try_init(async || Client::new(&self.env, &self.global, self.answer_max())).await
    }

    /// Sends a request that changes something: every write of a command goes
    /// this way. With `--dry-run` it is printed and not sent, and
    /// there is no answer.
    pub async fn change<Q, A, F>(&self, again: Again, request: Q, ask: F) -> Result<Option<A>, Failure>
    where
        Q: Clone + Serialize,
        F: AsyncFn(Connection, Request<Q>) -> Result<Response<A>, Status>,
    {
        if self.global.dry_run {
            output::document(&request)?;
            return Ok(None);
        }
        self.client().await?.call(again, request, ask).await.map(Some)
    }

    /// Asks before something is destroyed; with `--dry-run` nothing will be.
    pub fn confirm(&self, what: &str) -> Result<(), Failure> {
        terminal::confirm(self.global.yes || self.global.dry_run, what)
    }

    /// Whether to wait for what a change started.
    pub fn waits(&self) -> bool {
        !self.global.detach && !self.global.dry_run
    }

    /// Longest wait for one answer.
    pub fn answer_max(&self) -> Duration {
        self.global.timeout.unwrap_or(ANSWER_MAX)
    }

    /// Longest wait for what a command started.
    pub fn wait_max(&self) -> Duration {
        self.global.timeout.unwrap_or(WAIT_MAX)
    }

    /// The cluster that `named` says, or the current one.
    pub fn cluster(&self, named: Option<&str>) -> String {
        named.unwrap_or(&self.global.cluster).to_owned()
    }
}

/// This machine for commands that speak the public API only: it reaches clients, no peers.
pub fn env_without_links() -> Env {
    Env::real(RealConfig { net: Arc::new(NoLinks) })
}

struct NoLinks;

impl NoLinks {
    fn refuse(address: &str) -> NetError {
        NetError::Unreachable {
            address: address.to_owned(),
            why: "this command has no certificate of the cluster".into(),
        }
    }
}

impl Net for NoLinks {
    fn call(
        &self,
        address: &str,
        _lane: Lane,
        _method: &'static str,
        _body: Bytes,
        _timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        let refusal = NoLinks::refuse(address);
        Box::pin(async move { Err(refusal) })
    }

    fn open(
        &self,
        address: &str,
        _lane: Lane,
        _method: &'static str,
    ) -> BoxFuture<'static, Result<(MessageSender, MessageReceiver), NetError>> {
        let refusal = NoLinks::refuse(address);
        Box::pin(async move { Err(refusal) })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use seawall_proto::v1::DeleteClusterRequest;

    use super::*;
    use crate::args::Cli;

    fn context(words: &[&str]) -> Context {
        let cli = Cli::try_parse_from(["seawall", "--addr", "127.0.0.1:1"].iter().chain(words)).unwrap();
        Context::new(env_without_links(), cli.global)
    }

    #[tokio::test]
    async fn a_dry_run_reaches_for_nobody() {
        let ask = async |mut c: Connection, r| c.ecs.delete_cluster(r).await;
        let dry = context(&["--dry-run", "version"]);
        assert_eq!(dry.change(Again::Safe, DeleteClusterRequest::default(), ask).await, Ok(None));
        assert!(dry.client.get().is_none());
        let wet = context(&["version"]);
        assert!(wet.change(Again::Safe, DeleteClusterRequest::default(), ask).await.is_err(), "nobody is there");
    }
}
