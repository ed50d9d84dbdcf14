//! What every command gets: the flags that all share, the machine, and the cluster behind a client made at first use.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use seawall_env::{
    BoxFuture, Env, RealConfig,
    net::{Lane, MessageReceiver, MessageSender, Net, NetError},
};
use tokio::sync::OnceCell;

use crate::{args::Global, client::Client, failure::Failure};

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
