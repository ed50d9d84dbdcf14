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
    auth::{Gate, Unkeyed},
    member::{self, Hints, Mount},
};
use clients::Clients;

/// Where one member is reached. The test serves both handlers at their addresses before the member runs.
pub struct Links {
    peer_address: String,
    client_address: String,
    peers: Arc<Port>,
    clients: Arc<Port>,
}

impl Links {
    /// Of a member that others dial at these addresses.
    pub fn new(peer_address: &str, client_address: &str) -> Links {
        Links {
            peer_address: peer_address.to_owned(),
            client_address: client_address.to_owned(),
            peers: Arc::default(),
            clients: Arc::default(),
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
        self.peers.serve(handler);
    }

    /// Clients of the simulation see a port that does not answer.
    fn wait(&self, _: String) {}

    fn serve_clients(&self, node: &Arc<Node>) {
        self.clients.serve(Arc::new(Clients(node.clone())));
    }

    fn agents_need_certificates(&self) -> bool {
        false
    }

    fn gate(&self) -> Gate {
        Gate::new(None, Unkeyed::Served)
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        None
    }
}

/// A port that is bound before it is served: who connects early is answered late, not refused.
struct Port(watch::Sender<Option<Arc<dyn Handler>>>);

impl Default for Port {
    fn default() -> Self {
        Port(watch::Sender::new(None))
    }
}

impl Port {
    fn serve(&self, handler: Arc<dyn Handler>) {
        self.0.send_replace(Some(handler));
    }

    fn now(&self) -> Option<Arc<dyn Handler>> {
        self.0.borrow().clone()
    }

    async fn served(&self) -> Arc<dyn Handler> {
        let mut handler = self.0.subscribe();
        loop {
            if let Some(handler) = handler.borrow_and_update().clone() {
                return handler;
            }
            if handler.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Handler for Port {
    fn handles(&self, method: &str) -> bool {
        self.now().is_none_or(|handler| handler.handles(method))
    }

    fn is_stream(&self, method: &str) -> bool {
        self.now().is_some_and(|handler| handler.is_stream(method))
    }

    fn call(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move { self.served().await.call(caller, method, body).await })
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        Box::pin(async move { self.served().await.open(caller, method, incoming, outgoing).await })
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
    /// None of what the entry of this index changed does.
    pub lose_hints_of: Option<u64>,
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
    let hints = match faults {
        Faults { drop_hints: true, .. } => Hints::Dropped,
        Faults { lose_hints_of: Some(index), .. } => Hints::LostOf(index),
        Faults { drop_hints: false, lose_hints_of: None } => Hints::Delivered,
    };
    let started = Mutex::new(Some(started));
    member::live(env, config, &*links, StoreKind::Memory(store), hints, shutdown, |node| {
        if let Some(started) = crate::dispatch::lock(&started).take() {
            // The test may have no interest in it.
            let _ = started.send(Member(node.clone()));
        }
    })
    .await
}
