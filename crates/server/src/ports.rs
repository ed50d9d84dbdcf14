//! The ports of a member: peers, clients with agents, and the local socket.

mod members_only;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use seawall_env::{
    Env, RealConfig, Task, TaskKind,
    net::{
        Handler,
        grpc::{self, GrpcNet, Listener, LocalSocket, Plain, Serving},
        trust::{Ca, Fingerprint, Identity, Secret},
    },
};
use seawall_model::{ApiError, ErrorCode, limits::REQUEST_BYTES_MAX};
use seawall_proto::v1::{control_server::ControlServer, ecs_server::EcsServer};
use tokio::sync::watch;
use tonic::service::Routes;
use tower::ServiceExt as _;

use self::members_only::{MEMBER, MembersOnly};
use crate::{
    ServerConfig, ServerError, TlsMode,
    api::Node,
    auth::{Gate, Unkeyed},
    dispatch::lock,
    ecs,
    grpc::{ControlService, EcsService, Shared, admit, count, status},
    member::{Mount, NoHandler, Switch, session_handler},
    metrics,
    trust::Enroll,
};

/// Connections of peers at the same time.
const PEER_CONNECTIONS_MAX: usize = 256;
/// Connections of clients and agents at the same time.
const CLIENT_CONNECTIONS_MAX: usize = 10_000;
/// Connections on the local socket: a queue of its own, so that rescue commands answer when the port is flooded.
const LOCAL_CONNECTIONS_MAX: usize = 64;
/// Threads that serve clients, and those that serve agents and the local socket. Raft and peers have the process's own:
/// a flood on the clients' port takes no time from heartbeats, nor a flood of agents from rescue commands.
const CLIENT_THREADS: usize = 2;
const AGENT_THREADS: usize = 2;
/// How long requests that run may take when the member stops. Its peers ask each other again; their streams have no end.
const PEER_GRACE: Duration = Duration::from_millis(500);
const CLIENT_GRACE: Duration = Duration::from_secs(10);
const READY: Duration = Duration::from_secs(1);
/// In the data folder.
const SOCKET: &str = "seawall.sock";
const SERVE: TaskKind = TaskKind::vital("port");

/// Bound ports, and what runs on them.
pub(crate) struct Ports {
    clients: Env,
    agents: Env,
    secret: Secret,
    unkeyed: Unkeyed,
    ca: Arc<Ca>,
    identity: Arc<Identity>,
    peers: Arc<Switch>,
    peer_address: String,
    client_address: String,
    /// What the clients' port shows. Agents need it even where clients have none.
    clients_tls: Arc<rustls::ServerConfig>,
    /// What clients are answered by: until this member serves, by what it waits for.
    front: Arc<ArcSwap<Router>>,
    running: Mutex<Vec<Task>>,
    /// The ports stay open until leadership is handed over: the next leader may need this member's vote.
    stop: watch::Sender<bool>,
}

impl Ports {
    /// Takes the ports and starts answering peers. The environment that comes back dials as this member.
    pub(crate) async fn open(env: Env, config: &ServerConfig) -> Result<(Env, Ports), ServerError> {
        let secret = Secret::read(&config.secret_file).map_err(|e| ServerError::Secret(e.to_string()))?;
        let ca = Arc::new(Ca::of(&secret).map_err(|e| ServerError::Secret(e.to_string()))?);
        let identity = Identity::issue(&ca, &format!("{MEMBER}{}", config.name), env.wall_ms())
            .map_err(|e| ServerError::Secret(e.to_string()))?;
        let identity = Arc::new(identity);
        let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(Some(identity.client_config()))) });
        identity.keep_renewed(&env, ca.clone(), Vec::new());
        let threads = |name, count| env.with_threads(name, count).map_err(|e| ServerError::Config(e.to_string()));
        let peer_listener = bind(&config.peer_listen).await?;
        let peer_address = reached_at("peer-", &config.peer_advertise, &peer_listener)?;
        let client_listener = bind(&config.listen).await?;
        let client_address = reached_at("", &config.advertise, &client_listener)?;
        let unkeyed = unkeyed(config, &client_listener)?;
        let path = config.data_dir.join(SOCKET);
        let socket = LocalSocket::bind(&path).await.map_err(|e| listen_error(&path.display().to_string(), &e))?;
        let ports = Ports {
            peers: Arc::new(Switch::new(Arc::new(NoHandler))),
            clients: threads("clients", CLIENT_THREADS)?,
            agents: threads("agents", AGENT_THREADS)?,
            clients_tls: clients_tls(&env, config, &identity)?,
            secret,
            unkeyed,
            ca,
            identity,
            peer_address,
            client_address,
            front: Arc::new(ArcSwap::from_pointee(waiting("this member starts".into()))),
            running: Mutex::default(),
            stop: watch::Sender::new(false),
        };
        let serving = Serving {
            router: grpc::service(env.clone(), Arc::new(MembersOnly(ports.peers.clone()))),
            tls: Some(ports.identity.server_config()),
            plain: Plain::Refuse,
            connections_max: PEER_CONNECTIONS_MAX,
            shutdown: ports.stop.subscribe(),
            grace: PEER_GRACE,
        };
        ports.run(&env, peer_listener.serve(env.clone(), serving));
        ports.answer_clients(config, client_listener, socket);
        Ok((env, ports))
    }

    fn answer_clients(&self, config: &ServerConfig, listener: Listener, socket: LocalSocket) {
        let serving = Serving {
            router: front(self.front.clone()),
            tls: Some(self.clients_tls.clone()),
            plain: if config.insecure { Plain::Allow } else { Plain::Loopback },
            connections_max: CLIENT_CONNECTIONS_MAX,
            shutdown: self.stop.subscribe(),
            grace: CLIENT_GRACE,
        };
        let local = Serving { connections_max: LOCAL_CONNECTIONS_MAX, tls: None, ..serving.clone() };
        self.run(&self.clients, listener.serve(self.clients.clone(), serving));
        self.run(&self.agents, socket.serve(self.agents.clone(), local));
    }

    fn run(&self, threads: &Env, work: impl Future<Output = ()> + Send + 'static) {
        lock(&self.running).push(threads.spawn(SERVE, work));
    }

    /// Takes no new requests, and waits until those that run have ended.
    pub(crate) async fn close(self) {
        self.stop.send_replace(true);
        let running = std::mem::take(&mut *lock(&self.running));
        for port in running {
            port.await;
        }
    }

    /// Everything on the clients' port: gRPC with health and reflection, agents, and small pages for probes and Prometheus.
    fn router(&self, node: &Arc<Node>) -> Router {
        let (_, health) = tonic_health::server::health_reporter();
        let mut routes = services(node).add_service(health);
        match reflection() {
            Ok(service) => routes = routes.add_service(service),
            Err(error) => tracing::error!(%error, "gRPC reflection is not served"),
        }
        let (ready, leader, scraped) = (node.clone(), node.clone(), node.clone());
        let pages = Router::new()
            .route("/healthz", routing::get(|| async { "ok\n" }))
            .route("/readyz", routing::get(move || is_ready(ready.clone())))
            .route("/leader", routing::get(move || leads(leader.clone())))
            .route("/metrics", routing::get(move || metrics::page(scraped.clone())));
        let wire = node.clone();
        let ecs_json = move |request: Request| ecs::serve(wire.clone(), request);
        let wire = node.clone();
        let elsewhere = move |request: Request| unrouted(wire.clone(), request);
        let pages = pages.route("/", routing::post(ecs_json).fallback(elsewhere.clone()));
        let router = routes.prepare().into_axum_router().merge(pages).fallback(elsewhere);
        let router = grpc::mount(router, self.agents.clone(), session_handler(node));
        let enroll = Enroll { node: node.clone(), ca: self.ca.clone() };
        grpc::mount(router, self.agents.clone(), Arc::new(enroll))
    }
}

impl Mount for Ports {
    fn peer_address(&self) -> String {
        self.peer_address.clone()
    }

    fn client_address(&self) -> String {
        self.client_address.clone()
    }

    fn serve_peers(&self, handler: Arc<dyn Handler>) {
        self.peers.set(handler);
    }

    fn wait(&self, why: String) {
        self.front.store(Arc::new(waiting(why)));
    }

    fn serve_clients(&self, node: &Arc<Node>) {
        self.front.store(Arc::new(self.router(node)));
    }

    fn agents_need_certificates(&self) -> bool {
        true
    }

    fn gate(&self) -> Gate {
        Gate::new(Some(self.secret.clone()), self.unkeyed.clone())
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        Some(self.ca.fingerprint())
    }
}

/// The services of which each call must be let in. Health and reflection, which tell nothing of the cluster, need not.
fn services(node: &Arc<Node>) -> Routes {
    let shared = Shared(node.clone());
    let ecs = EcsServer::new(EcsService(shared.clone())).max_decoding_message_size(REQUEST_BYTES_MAX);
    let control = ControlServer::new(ControlService(shared)).max_decoding_message_size(REQUEST_BYTES_MAX);
    let mut routes = Routes::new(ecs).add_service(control);
    let (admitted, counted) = (node.clone(), node.clone());
    let admitting = middleware::from_fn(move |request: Request, next: Next| admit(admitted.clone(), request, next));
    let counting = middleware::from_fn(move |request: Request, next: Next| count(counted.clone(), request, next));
    let router = std::mem::take(routes.axum_router_mut());
    // The last one is outermost: what is not let in is counted as well.
    *routes.axum_router_mut() = router.route_layer(admitting).route_layer(counting);
    routes
}

/// The cluster's own certificate, or the operator's for clients that ask under another name.
fn clients_tls(
    env: &Env,
    config: &ServerConfig,
    identity: &Identity,
) -> Result<Arc<rustls::ServerConfig>, ServerError> {
    let TlsMode::Files(certificate, key) = &config.tls else { return Ok(identity.server_config()) };
    let read = |path: &std::path::Path| match env.fs().read(path) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ServerError::Config(format!("--tls: there is no file {}", path.display()))),
        Err(error) => Err(ServerError::Config(format!("--tls: {}: {error}", path.display()))),
    };
    identity
        .server_config_with(&read(certificate)?, &read(key)?)
        .map_err(|error| ServerError::Config(format!("--tls: {error}")))
}

async fn bind(address: &str) -> Result<Listener, ServerError> {
    Listener::bind(address).await.map_err(|e| listen_error(address, &e))
}

fn listen_error(address: &str, error: &io::Error) -> ServerError {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there; is this member running already? next: seawall status".into()
        }
        _ => error.to_string(),
    };
    ServerError::Listen { address: address.into(), why }
}

/// What others dial: as configured, else the address that is listened on.
fn reached_at(flag: &str, configured: &Option<String>, listener: &Listener) -> Result<String, ServerError> {
    if let Some(address) = configured {
        return Ok(address.clone());
    }
    let local = listener.local_addr().map_err(|e| ServerError::Config(e.to_string()))?;
    if local.ip().is_unspecified() {
        return Err(ServerError::Config(format!(
            "listening on {local} says not where others reach this member: give --{flag}advertise HOST:PORT"
        )));
    }
    Ok(local.to_string())
}

/// What becomes of clients while no access key exists: whether one does is state, which is not known before it is there.
fn unkeyed(config: &ServerConfig, listener: &Listener) -> Result<Unkeyed, ServerError> {
    let local: SocketAddr = listener.local_addr().map_err(|e| ServerError::Config(e.to_string()))?;
    if local.ip().is_loopback() || config.insecure {
        return Ok(Unkeyed::Served);
    }
    Ok(Unkeyed::Refused { listen: local.to_string() })
}

/// Whatever `current` is when a request comes.
fn front(current: Arc<ArcSwap<Router>>) -> Router {
    Router::new().fallback(move |request: Request| {
        let router = Router::clone(&current.load());
        async move { router.oneshot(request).await }
    })
}

/// Answers everything by why this member does not serve yet.
fn waiting(why: String) -> Router {
    Router::new().route("/healthz", routing::get(|| async { "ok\n" })).fallback(move |request: Request| {
        let answer = not_serving(&request, &why);
        async move { answer }
    })
}

fn not_serving(request: &Request, why: &str) -> Response {
    if is_grpc(request) {
        let error = ApiError::new(ErrorCode::NoLeader, format!("no leader: {why}"));
        return status(&error, "").into_http();
    }
    if request.method() == Method::POST {
        return ecs::unavailable(ecs::form_of(request.headers()), why);
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

/// A method that gRPC does not have, a request to another service of AWS, or a page that is not there.
async fn unrouted(node: Arc<Node>, request: Request) -> Response {
    if is_grpc(&request) {
        return tonic::Status::unimplemented(format!("{} is not served here", request.uri().path())).into_http();
    }
    if ecs::is_signed(request.headers()) {
        return ecs::serve(node, request).await;
    }
    (StatusCode::NOT_FOUND, "there is no such page\n").into_response()
}

fn is_grpc(request: &Request) -> bool {
    let kind = request.headers().get("content-type");
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn reflection() -> Result<
    tonic_reflection::server::v1::ServerReflectionServer<impl tonic_reflection::server::v1::ServerReflection>,
    tonic_reflection::server::Error,
> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(seawall_proto::DESCRIPTORS)
        .build_v1()
}

/// Whether this member may serve linearizable reads now.
async fn is_ready(node: Arc<Node>) -> (StatusCode, String) {
    match node.read(false, node.env.now() + READY).await {
        Ok(_) => (StatusCode::OK, "ready\n".into()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", error.message)),
    }
}

/// 200 on the leader, 503 elsewhere, with its name.
async fn leads(node: Arc<Node>) -> (StatusCode, String) {
    let leadership = node.consensus.leadership();
    let state = node.consensus.state();
    let name = leadership.leader.and_then(|id| state.state.members.get(&id.0).map(|row| row.name.clone()));
    let code = if leadership.is_leader { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{}\n", name.unwrap_or_else(|| "no leader".into())))
}

#[cfg(test)]
mod tests;
