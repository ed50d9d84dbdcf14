//! A member's life: an empty folder waits ([`form`]), one with an identity replicates and serves.

pub(crate) mod commands;
pub(crate) mod condition;
pub(crate) mod form;
mod hints;
mod identity;
pub(crate) mod membership;
mod peerage;
pub(crate) mod peers;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use seawall_consensus::{Consensus, PeerAddress, StartError, StoreKind};
use seawall_env::{
    BoxFuture, Env, TaskKind,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError, trust::Fingerprint},
};
use seawall_model::MemberId;
use seawall_proto::internal::v1::{Command, InitCluster, MemberRow, RaiseClusterVersion, command};
use seawall_state::CLUSTER_VERSION;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    ServerConfig,
    api::Node,
    auth::{self, Gate},
    dispatch::{self, SessionHandler, Sessions},
    history::{self, History},
    leader::{self, Liveness, Proposer},
    metrics::Metrics,
    watch::Changes,
    zones::ZoneProofs,
};
pub(crate) use condition::{Condition, Room};
pub(crate) use hints::Hints;
pub(crate) use identity::Identity;
pub(crate) use peerage::Peerage;

const FORM: Duration = Duration::from_secs(60);
const HAND_OVER: Duration = Duration::from_secs(2);
const ANNOUNCE_RETRY: Duration = Duration::from_millis(500);

/// Why a member does not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A flag is wrong.
    #[error("{0}")]
    Config(String),
    /// The data folder cannot be used.
    #[error("data folder {0}: {1}")]
    Folder(PathBuf, String),
    /// The data folder is another member's.
    #[error("the data folder belongs to member {found}, not to {asked}: use its own folder, or an empty one")]
    WrongMember {
        /// Whose it is.
        found: String,
        /// What `--name` said.
        asked: String,
    },
    /// The zone is fixed once the folder holds a member.
    #[error("member {name} is in zone {found}, not in {asked}: a zone is fixed; remove the member and add it anew")]
    WrongZone {
        /// Its name.
        name: String,
        /// Its zone.
        found: String,
        /// What `--zone` said.
        asked: String,
    },
    /// Members and agents trust each other by the secret: with another one this member would lock them all out.
    #[error(
        "the data folder belongs to the secret with fingerprint {kept}, --secret-file holds {given}: give the cluster's own secret file"
    )]
    OtherSecret {
        /// Of the folder.
        kept: String,
        /// What `--secret-file` holds.
        given: String,
    },
    /// Two servers of one name wait to form a cluster.
    #[error("two servers are called {0} (the other is {1}): give each its own --name")]
    NameTaken(String, String),
    /// The cluster did not take this member.
    #[error("cannot join: {0}")]
    Join(String),
    /// Replication did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A port cannot be used.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Which.
        address: String,
        /// For people, with the next step.
        why: String,
    },
    /// An operator removed it, or another took its name.
    #[error("this member was removed from the cluster; to let it join again under a new id, empty its data folder {0}")]
    Removed(PathBuf),
    /// Replication ended by itself: on damage, or on a command that this version does not know.
    #[error("this member halted: {0}")]
    Halted(String),
    /// The secret is missing or wrong.
    #[error("secret: {0}")]
    Secret(String),
}

/// Where this member is reached, and how its handlers get there: ports in production, the simulator in tests.
pub(crate) trait Mount: Send + Sync {
    /// Where peers reach this member.
    fn peer_address(&self) -> String;
    /// Where clients and agents reach it.
    fn client_address(&self) -> String;
    /// Serves peers by this handler from now on.
    fn serve_peers(&self, handler: Arc<dyn Handler>);
    /// What clients are told until this member serves.
    fn wait(&self, why: String);
    /// Serves clients and agents from now on.
    fn serve_clients(&self, node: &Arc<Node>);
    /// Whether agents must show a certificate.
    fn agents_need_certificates(&self) -> bool;
    /// What the clients' port lets in.
    fn gate(&self) -> Gate;
    /// Of the authority that signs them.
    fn fingerprint(&self) -> Option<Fingerprint>;
}

/// Runs a member on ports until `shutdown` turns true.
///
/// # Errors
/// What keeps it from starting; once it serves it ends only by `shutdown` or with the process.
pub async fn run(env: Env, config: ServerConfig, shutdown: watch::Receiver<bool>) -> Result<(), ServerError> {
    config.check().map_err(ServerError::Config)?;
    make_folder(&env, &config)?;
    let (env, ports) = crate::ports::Ports::open(env, &config).await?;
    live(env, config, &ports, StoreKind::Sled, Hints::Delivered, shutdown, |_| ()).await?;
    ports.close().await;
    Ok(())
}

/// The data folder, made if need be.
pub(crate) fn make_folder(env: &Env, config: &ServerConfig) -> Result<(), ServerError> {
    let made = env.fs().create_dir_all(&config.data_dir);
    made.map_err(|e| ServerError::Folder(config.data_dir.clone(), e.to_string()))
}

/// A member's life on its links, until `shutdown` turns true or it halts.
pub(crate) async fn live(
    env: Env,
    config: ServerConfig,
    mount: &dyn Mount,
    store: StoreKind,
    hints: Hints,
    shutdown: watch::Receiver<bool>,
    started: impl FnOnce(&Arc<Node>),
) -> Result<(), ServerError> {
    let mut stop = shutdown.clone();
    let node = tokio::select! {
        biased;
        // A member that waits for the others has nothing to hand over.
        Ok(_) = stop.wait_for(|stop| *stop) => return Ok(()),
        node = start(env, config, mount, store, hints) => node?,
    };
    started(&node);
    tokio::select! {
        biased;
        () = asked_to_stop(shutdown) => {}
        why = node.consensus.stopped() => return Err(ServerError::Halted(why)),
        () = node.condition.removed() => {
            node.consensus.shutdown().await;
            return Err(ServerError::Removed(node.config.data_dir.clone()));
        }
    }
    hand_over(&node).await;
    node.condition.stop();
    node.sessions.close_all();
    node.consensus.shutdown().await;
    Ok(())
}

async fn asked_to_stop(mut shutdown: watch::Receiver<bool>) {
    // A sender that is gone means that nobody will ever ask.
    if shutdown.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Brings a member from whatever its folder holds to serving.
async fn start(
    env: Env,
    config: ServerConfig,
    mount: &dyn Mount,
    store: StoreKind,
    hints: Hints,
) -> Result<Arc<Node>, ServerError> {
    let mut identity = identify(&env, &config, mount).await?;
    let consensus = Consensus::start(env.clone(), consensus_config(&config, &identity), store).await?;
    if !identity.had_log {
        identity.had_log = true;
        identity.save(&env, &config.data_dir)?;
    }
    let metrics = Arc::new(Metrics::new());
    let (proposer, jobs) = Proposer::new(&env, metrics.clone());
    let (sessions, reports) = Sessions::new();
    let history = History::open(&env, &config.data_dir).await;
    let history = history.map_err(|e| ServerError::Folder(config.data_dir.clone(), e.to_string()))?;
    let fargate = config.fargate;
    let node = Arc::new(Node {
        peer_address: mount.peer_address(),
        client_address: mount.client_address(),
        agents_need_certificates: mount.agents_need_certificates(),
        hints,
        fingerprint: mount.fingerprint(),
        gate: mount.gate(),
        env: env.clone(),
        config,
        consensus: consensus.clone(),
        proposer,
        liveness: Liveness::default(),
        peerage: Peerage::default(),
        sessions,
        changes: Changes::default(),
        condition: Condition::default(),
        history,
        metrics,
        zone_proofs: ZoneProofs::new(fargate),
        serials: AtomicU64::new(1),
        replays: tokio::sync::Mutex::default(),
        identity,
    });
    mount.serve_peers(Arc::new(peers::Peers { node: node.clone(), raft: consensus.handler() }));
    let spawn = |name, work: BoxFuture<'static, ()>| drop(env.spawn(TaskKind::vital(name), work));
    // Planning is CPU work: on a thread of its own it holds up neither heartbeats nor requests.
    let planner = env.with_threads("planner", 1).map_err(|e| ServerError::Config(e.to_string()))?;
    planner.spawn(TaskKind::vital("proposer"), leader::run_proposer(node.clone(), jobs));
    spawn("reports", Box::pin(dispatch::batch_reports(node.clone(), reports)));
    spawn("dispatch", Box::pin(dispatch::pump(node.clone())));
    spawn("relay", Box::pin(leader::relay_loop(node.clone())));
    spawn("drive", Box::pin(leader::drive(node.clone())));
    spawn("probe", Box::pin(peerage::probe_loop(node.clone())));
    spawn("disk", Box::pin(condition::watch_disk(node.clone())));
    spawn("changes", Box::pin(crate::watch::keep(node.clone())));
    spawn("history", Box::pin(history::keep(node.clone())));
    initialise(&node).await?;
    mount.serve_clients(&node);
    spawn("announce", Box::pin(announce(node.clone())));
    spawn("access keys", Box::pin(auth::announce(node.clone())));
    info!(name = %node.identity.name, zone = %node.identity.zone, id = node.identity.member_id,
        clients = %node.client_address, peers = %node.peer_address, "serving");
    Ok(node)
}

/// Reads the folder's identity, or gets one from the others.
async fn identify(env: &Env, config: &ServerConfig, mount: &dyn Mount) -> Result<Identity, ServerError> {
    let mut identity = match Identity::load(env, &config.data_dir)? {
        Some(identity) => check(identity, config, mount)?,
        None => {
            let (waiting, mut invitation) = form::Waiting::new(env, config);
            mount.serve_peers(waiting.clone());
            form::identity(env, config, mount, &waiting, &mut invitation).await?
        }
    };
    identity.boot += 1;
    identity.secret = fingerprint(mount);
    identity.save(env, &config.data_dir)?;
    Ok(identity)
}

fn fingerprint(mount: &dyn Mount) -> String {
    mount.fingerprint().map(|found| found.to_string()).unwrap_or_default()
}

fn check(identity: Identity, config: &ServerConfig, mount: &dyn Mount) -> Result<Identity, ServerError> {
    let given = fingerprint(mount);
    if !identity.secret.is_empty() && identity.secret != given {
        return Err(ServerError::OtherSecret { kept: identity.secret, given });
    }
    if identity.name != config.name {
        return Err(ServerError::WrongMember { found: identity.name, asked: config.name.clone() });
    }
    if identity.zone != config.zone {
        return Err(ServerError::WrongZone { name: identity.name, found: identity.zone, asked: config.zone.clone() });
    }
    Ok(identity)
}

fn consensus_config(config: &ServerConfig, identity: &Identity) -> seawall_consensus::Config {
    seawall_consensus::Config {
        cluster_id: identity.cluster_bytes(),
        epoch: identity.epoch,
        had_log: identity.had_log,
        heartbeat_ms: config.heartbeat_ms,
        election_min_ms: config.election_min_ms,
        election_max_ms: config.election_max_ms,
        ..seawall_consensus::Config::new(identity.id(), config.data_dir.clone())
    }
}

/// Makes the cluster that this member planned, or goes on with it after a crash.
async fn initialise(node: &Arc<Node>) -> Result<(), ServerError> {
    if node.identity.forming.is_empty() {
        return Ok(());
    }
    if !node.consensus.is_initialized().await {
        form::invite_all(&node.env, &node.identity).await;
        let members: BTreeMap<MemberId, PeerAddress> =
            node.identity.forming.iter().map(|m| (MemberId(m.id), PeerAddress(m.peer_address.clone()))).collect();
        node.consensus.initialize(members).await.map_err(|e| ServerError::Join(e.to_string()))?;
    }
    introduce_all(node).await?;
    // Repeated after a crash: the state machine takes the first and answers the second as done.
    let init = command::Kind::InitCluster(InitCluster {
        cluster_id: node.identity.cluster_bytes().into(),
        region: node.config.region.clone(),
        account: node.config.account.clone(),
        limits: Some(node.config.limits),
        first_id: node.identity.forming.iter().map(|member| member.id + 1).max().unwrap_or_default(),
    });
    let command = Command { kind: Some(init), ..Default::default() };
    node.submit(command, node.env.now() + FORM).await.map_err(|e| ServerError::Join(e.message))?;
    // All members of a new cluster know all of this version.
    let version = command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: CLUSTER_VERSION });
    let command = Command { kind: Some(version), ..Default::default() };
    node.submit(command, node.env.now() + FORM).await.map_err(|e| ServerError::Join(e.message))?;
    let done = Identity { forming: Vec::new(), ..node.identity.clone() };
    done.save(&node.env, &node.config.data_dir)?;
    info!(cluster_id = %node.identity.cluster_id, "formed a cluster");
    Ok(())
}

/// Names and zones of those that form the cluster are known from its first moment; each adds later where clients reach it.
async fn introduce_all(node: &Arc<Node>) -> Result<(), ServerError> {
    for member in &node.identity.forming {
        if node.consensus.state().state.members.get(&member.id).is_some() {
            continue;
        }
        let row = MemberRow {
            id: member.id,
            name: member.name.clone(),
            zone: member.zone.clone(),
            peer_address: member.peer_address.clone(),
            ..MemberRow::default()
        };
        membership::put_member(node, row).await.map_err(ServerError::Join)?;
    }
    Ok(())
}

/// Tells the cluster where this member is reached, once at each start.
async fn announce(node: Arc<Node>) {
    loop {
        let state = node.consensus.state();
        let row = node.own_row();
        let known = state.state.members.get(&row.id).map(|known| (**known).clone());
        if known.is_some_and(|known| (MemberRow { changed: 0, ..known }) == row) {
            return;
        }
        // Before the cluster is initialised there is nothing to announce to.
        if !state.state.meta.cluster_id.is_empty() {
            match membership::put_member(&node, row).await {
                Ok(_) => return,
                Err(why) => warn!(%why, "cannot announce this member's addresses yet"),
            }
        }
        node.env.sleep(node.env.jitter(ANNOUNCE_RETRY)).await;
    }
}

/// A leader names its successor before it goes, so that nobody waits for an election.
async fn hand_over(node: &Arc<Node>) {
    if node.consensus.leadership().is_leader
        && let Some(to) = membership::best_successor(node)
    {
        info!(%to, "handing leadership over");
        match node.env.timeout(HAND_OVER, node.consensus.transfer_leader(to)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "leadership was not handed over"),
            Err(_) => warn!("leadership was not handed over in time"),
        }
    }
}

/// Answers nothing: before the first handler is set.
pub(crate) struct NoHandler;

impl Handler for NoHandler {
    fn handles(&self, _method: &str) -> bool {
        false
    }

    fn call(self: Arc<Self>, _: Caller, method: String, _: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move { Err(NetError::Refused(format!("{method} is not served yet"))) })
    }
}

/// A handler that can be exchanged: the peers' port answers from the first moment, first as a waiting member.
pub(crate) struct Switch(ArcSwap<Arc<dyn Handler>>);

impl Switch {
    pub(crate) fn new(first: Arc<dyn Handler>) -> Switch {
        Switch(ArcSwap::from_pointee(first))
    }

    pub(crate) fn set(&self, handler: Arc<dyn Handler>) {
        self.0.store(Arc::new(handler));
    }

    fn now(&self) -> Arc<dyn Handler> {
        Arc::clone(&self.0.load())
    }
}

impl Handler for Switch {
    fn handles(&self, method: &str) -> bool {
        self.now().handles(method)
    }

    fn is_stream(&self, method: &str) -> bool {
        self.now().is_stream(method)
    }

    fn call(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        self.now().call(caller, method, body)
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        self.now().open(caller, method, incoming, outgoing)
    }
}

/// The agents' handler, for a mount.
pub(crate) fn session_handler(node: &Arc<Node>) -> Arc<dyn Handler> {
    Arc::new(SessionHandler(node.clone()))
}
