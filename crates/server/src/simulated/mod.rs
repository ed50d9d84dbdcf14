//! A member inside [`seawall_env::sim`]: links in place of ports, a log in memory in place of sled. All else is what runs
//! in production.

mod clients;
mod wire;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use seawall_consensus::{Consensus, MemoryStore, StoreKind};
use seawall_env::{
    BoxFuture, Env,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError, trust::Fingerprint},
};
use seawall_model::MemberId;
use tokio::sync::{oneshot, watch};

pub use wire::{CallError, Options, call, task_logs, watch};

use crate::{
    ServerConfig, ServerError,
    api::Node,
    member::{self, Hints, Mount, Switch},
};
use clients::Clients;

/// Where one member is reached. The test serves both handlers at their addresses before the member runs.
pub struct Links {
    peer_address: String,
    client_address: String,
    peers: Arc<Switch>,
    clients: Arc<Switch>,
}

impl Links {
    /// Of a member that others dial at these addresses.
    pub fn new(peer_address: &str, client_address: &str) -> Links {
        Links {
            peer_address: peer_address.to_owned(),
            client_address: client_address.to_owned(),
            peers: Arc::new(Switch::new(Arc::new(Silent))),
            clients: Arc::new(Switch::new(Arc::new(Silent))),
        }
    }

    /// Answers peers.
    pub fn peers(&self) -> Arc<dyn Handler> {
        self.peers.clone()
    }

    /// Answers agents and clients.
    pub fn clients(&self) -> Arc<dyn Handler> {
        self.clients.clone()
    }
}

impl Mount for Links {
    fn peer_address(&self) -> String {
        self.peer_address.clone()
    }

    fn client_address(&self) -> String {
        self.client_address.clone()
    }

    fn serve_peers(&self, handler: Arc<dyn Handler>) {
        self.peers.set(handler);
    }

    /// Clients of the simulation see a port that does not answer.
    fn wait(&self, _: String) {}

    fn serve_clients(&self, node: &Arc<Node>) {
        self.clients.set(Arc::new(Clients(node.clone())));
    }

    fn agents_need_certificates(&self) -> bool {
        false
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        None
    }
}

/// As a port that is bound and not served yet: it takes connections and answers nothing.
struct Silent;

impl Handler for Silent {
    fn handles(&self, _: &str) -> bool {
        true
    }

    fn call(self: Arc<Self>, _: Caller, _: String, _: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(std::future::pending())
    }

    fn open(
        self: Arc<Self>,
        _: Caller,
        _: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        Box::pin(async move {
            // Held: a connection that nobody answers stays open.
            let _held = (incoming, outgoing);
            std::future::pending().await
        })
    }
}

/// A member that serves.
#[derive(Clone)]
pub struct Member(Arc<Node>);

impl Member {
    /// Its replication: state, leadership, applied entries.
    pub fn consensus(&self) -> &Consensus {
        &self.0.consensus
    }

    #[cfg(test)]
    pub(crate) fn node(&self) -> Arc<Node> {
        self.0.clone()
    }

    /// Its id; never used twice.
    pub fn id(&self) -> MemberId {
        self.0.identity.id()
    }
}

/// What a simulation may do to a member that production cannot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// No hint of what changed reaches its controllers and agents' sessions.
    pub drop_hints: bool,
}

/// Runs a member until `shutdown` turns true; `started` gets it once it serves.
///
/// # Errors
/// What keeps it from starting, or why it halted.
pub async fn run(
    env: Env,
    config: ServerConfig,
    links: Arc<Links>,
    store: MemoryStore,
    faults: Faults,
    started: oneshot::Sender<Member>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), ServerError> {
    config.check().map_err(ServerError::Config)?;
    member::make_folder(&env, &config)?;
    let hints = if faults.drop_hints { Hints::Dropped } else { Hints::Delivered };
    let started = Mutex::new(Some(started));
    member::live(env, config, &*links, StoreKind::Memory(store), hints, shutdown, |node| {
        if let Some(started) = crate::dispatch::lock(&started).take() {
            // The test may have no interest in it.
            let _ = started.send(Member(node.clone()));
        }
    })
    .await
}
