//! One address for a whole cluster: passes bytes on to a member that serves.
//!
//! SDKs take one endpoint, and wait a minute on one that swallows packets. The proxy looks at every member each second; a
//! member that does not answer gets no new connection, and those that it has are cut, so that the SDK tries again on another.
//! Bytes pass untouched: the Host header that a signature covers, and TLS where the client speaks it. Where the members
//! take TLS and the client is on this machine and speaks plain, the proxy speaks TLS for it.

mod check;
mod learn;
mod pass;
mod pool;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::ClientConfig;
use seawall_env::{
    Env, TaskKind,
    net::{
        tcp::{Gate, Tcp},
        trust::{Fingerprint, passing_config},
    },
};
use tokio::sync::{Semaphore, watch};

pub use learn::AskMembers;
use pool::Pool;

/// Connections at the same time; those past it are closed at once, so that those within it keep working.
const CONNECTIONS_MAX: usize = 10_000;
/// At the end connections have this long; a process is to be gone within a second of SIGTERM.
const GRACE: Duration = Duration::from_millis(500);
/// Members that `--server` may name.
const SERVERS_MAX: usize = 32;
const CONNECTION: TaskKind = TaskKind::request("proxied connection");
const CHECK: TaskKind = TaskKind::vital("health check");
const LEARN: TaskKind = TaskKind::vital("member list");

/// Settings.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where clients are served ("127.0.0.1:7400"; port 0 is a free one).
    pub listen: String,
    /// Members to begin with (`host:port`); the cluster tells of the others.
    pub servers: Vec<String>,
    /// Members of this zone come first.
    pub zone: Option<String>,
    /// Of the secret of members that take TLS; without it members are spoken to as the client speaks.
    pub fingerprint: Option<Fingerprint>,
    /// Serve clients beyond this machine.
    pub insecure: bool,
}

/// What an operator must put right.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The settings are wrong.
    #[error("{0}")]
    Config(String),
    /// The port cannot be taken.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Which.
        address: String,
        /// What the system says.
        why: String,
    },
}

/// What all of its tasks share.
struct Shared {
    env: Env,
    pool: Pool,
    /// As the operator named them.
    servers: Vec<String>,
    /// How plain clients are taken to members; `None`: plain.
    tls: Option<Arc<ClientConfig>>,
    /// Where this proxy listens: it never takes itself for a member.
    own: SocketAddr,
    places: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

impl Shared {
    /// Whether anybody is connected: a proxy that nobody uses asks the members less often.
    fn is_used(&self) -> bool {
        self.places.available_permits() < CONNECTIONS_MAX
    }

    /// Waits for `length`, or until `early` resolves; false when the proxy stops.
    async fn pause(&self, length: Duration, early: impl Future<Output = ()>) -> bool {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            // A sender that is gone asks for the end as well.
            _ = stop.wait_for(|stopping| *stopping) => false,
            () = early => true,
            () = self.env.sleep(length) => true,
        }
    }
}

/// A port that is taken, and not served yet.
pub struct Proxy {
    gate: Gate,
    own: SocketAddr,
    env: Env,
    config: ProxyConfig,
}

impl Proxy {
    /// Checks the settings and takes the port.
    ///
    /// # Errors
    /// [`ProxyError`].
    pub async fn open(env: &Env, config: ProxyConfig) -> Result<Proxy, ProxyError> {
        if config.servers.is_empty() || config.servers.len() > SERVERS_MAX {
            return Err(ProxyError::Config(format!("--server: name 1 to {SERVERS_MAX} members")));
        }
        let listen_error = |why: String| ProxyError::Listen { address: config.listen.clone(), why };
        let gate = Gate::bind(&config.listen).await.map_err(|e| listen_error(e.to_string()))?;
        let own = gate.local_addr().map_err(|e| listen_error(e.to_string()))?;
        if !own.ip().is_loopback() && !config.insecure {
            return Err(ProxyError::Config(format!(
                "refusing to listen on {own}: whoever reaches it would command the cluster as from this machine. next: 127.0.0.1:{}, or `seawall proxy --insecure` on a network that you trust",
                own.port()
            )));
        }
        if let Some(itself) = config.servers.iter().find(|server| **server == own.to_string()) {
            return Err(ProxyError::Config(format!("--server {itself}: is where the proxy listens itself")));
        }
        Ok(Proxy { gate, own, env: env.clone(), config })
    }

    /// The address with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.own
    }

    /// Serves until `shutdown` is true. Without `ask` it knows the members of its settings only.
    pub async fn serve(self, mut shutdown: watch::Receiver<bool>, ask: Option<AskMembers>) {
        let Proxy { gate, own, env, config } = self;
        tracing::info!(listen = %own, members = config.servers.join(","), zone = config.zone, "proxy starts");
        let shared = Arc::new(Shared {
            pool: Pool::new(config.zone, &config.servers),
            servers: config.servers,
            // No certificate of ours: what a client may do must not depend on which proxy it comes through.
            tls: config.fingerprint.map(passing_config),
            own,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            stop: shutdown.clone(),
            env,
        });
        check::start(&shared, shared.pool.addresses());
        if let Some(ask) = ask {
            shared.env.spawn(LEARN, learn::keep_learning(shared.clone(), ask));
        }
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stopping| *stopping) => break,
                (client, from) = gate.accept() => take_in(&shared, client, from),
            }
        }
        drop(gate);
        let all = shared.places.acquire_many(CONNECTIONS_MAX as u32);
        if shared.env.timeout(GRACE, all).await.is_err() {
            tracing::info!("stopped with connections still open");
        }
    }
}

fn take_in(shared: &Arc<Shared>, client: Tcp, from: SocketAddr) {
    let was_used = shared.is_used();
    let Ok(place) = shared.places.clone().try_acquire_owned() else {
        tracing::warn!(%from, CONNECTIONS_MAX, "closed a connection: there are too many");
        return client.reset();
    };
    if !was_used {
        // What is known may be old.
        shared.pool.look_at_all();
    }
    let passing = pass::pass(shared.clone(), client, from);
    shared.env.spawn(CONNECTION, async move {
        passing.await;
        drop(place);
    });
}
