//! A member on real ports, and what it lets in.

use std::sync::Arc;

use http::{HeaderMap, request::Parts};
use prost::Message;
use seawall_consensus::{MemoryStore, StoreKind};
use seawall_env::{
    Env, RealConfig, Task, TaskKind,
    net::{
        grpc::{GrpcNet, Peer},
        trust::Secret,
    },
};
use seawall_model::ErrorCode;
use seawall_proto::{
    internal::v1::{Principal, principal},
    v1::{
        CreateAccessKeyRequest, DeleteAccessKeyRequest, ListAccessKeysRequest, ListClustersRequest,
        SetAccessKeyStatusRequest, WatchRequest, control_client::ControlClient, ecs_client::EcsClient,
    },
};
use seawall_sigv4::{Request as Signed, Signer, Stamp, sha256_hex};
use tokio::sync::{oneshot, watch};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::Payload;
use crate::{
    ServerConfig,
    api::{Node, READ_DEADLINE},
    member::{self, Hints},
    ports::Ports,
};

const MEMBER: TaskKind = TaskKind::vital("member");
const LIST: &str = "/seawall.v1.Ecs/ListClusters";
const WATCH: &str = "/seawall.v1.Control/Watch";

struct Running {
    folder: tempfile::TempDir,
    env: Env,
    node: Arc<Node>,
    stop: watch::Sender<bool>,
    task: Task,
}

impl Running {
    /// A cluster of one member that listens there.
    async fn on(listen: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let env = Env::real(RealConfig { net: Arc::new(GrpcNet::new(None)) });
        let secret_file = folder.path().join("secret");
        Secret::generate(&env).write(&secret_file).unwrap();
        let mut config = ServerConfig::new("s1", "a", folder.path().join("data"), secret_file);
        (config.listen, config.peer_listen) = (listen.into(), "127.0.0.1:0".into());
        config.advertise = Some("s1:7400".into());
        member::make_folder(&env, &config).unwrap();
        let (env, ports) = Ports::open(env, &config).await.unwrap();
        let (stop, shutdown) = watch::channel(false);
        let (started, is_started) = oneshot::channel();
        let inner = env.clone();
        let task = env.spawn(MEMBER, async move {
            let store = StoreKind::Memory(MemoryStore::default());
            let started = |node: &Arc<Node>| drop(started.send(node.clone()));
            member::live(inner, config, &ports, store, Hints::Delivered, shutdown, started).await.unwrap();
            ports.close().await;
        });
        let node = is_started.await.unwrap();
        Running { folder, env, node, stop, task }
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.task.await;
    }

    async fn socket(&self) -> Channel {
        let path = self.folder.path().join("data/seawall.sock");
        Endpoint::from_shared(format!("unix:{}", path.display())).unwrap().connect().await.unwrap()
    }

    /// A key, made over the socket.
    async fn key(&self) -> Signer {
        let made = ControlClient::new(self.socket().await).create_access_key(CreateAccessKeyRequest::default()).await;
        let made = made.unwrap().into_inner();
        let [region, service] = ["eu-central-1", "ecs"].map(str::to_owned);
        Signer { key_id: made.key.unwrap().id, secret: made.secret, region, service }
    }

    fn now(&self) -> Stamp {
        Stamp::of_ms(self.node.cluster_time_ms())
    }

    /// Calls over the port.
    async fn list(&self, port: &Channel, request: Request<ListClustersRequest>) -> Result<usize, Status> {
        let answer = EcsClient::new(port.clone()).list_clusters(request).await;
        answer.map(|answer| answer.into_inner().cluster_arns.len())
    }

    async fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<Principal, ErrorCode> {
        let deadline = self.env.now() + READ_DEADLINE;
        let asked = super::authenticate(&self.node, parts, Payload::Body(body), "ecs", deadline).await;
        asked.map_err(|error| error.code)
    }
}

/// A free port, and a channel to it once it is served.
async fn port(ip: &str) -> (String, impl AsyncFn() -> Channel) {
    let free = seawall_env::net::grpc::Listener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    let dial =
        async move || Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect().await.unwrap();
    (format!("{ip}:{port}"), dial)
}

/// A call that `signer` signed for `path` at a time, over this message.
fn signed<Q: Message>(signer: &Signer, path: &str, at: Stamp, message: Q) -> Request<Q> {
    let headers = HeaderMap::new();
    let unsigned = Signed { method: "POST", path, query: "", headers: &headers, authority: None };
    let headers = signer.sign(at, &unsigned, &[], &sha256_hex(&message.encode_to_vec())).unwrap();
    let mut request = Request::new(message);
    *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
    request
}

/// A message that is not the empty one, so that it can be told from it.
fn one() -> ListClustersRequest {
    ListClustersRequest { max_results: Some(1), ..Default::default() }
}

#[track_caller]
fn refusal<T>(answer: Result<T, Status>) -> (Code, String, String) {
    let Err(status) = answer else { panic!("it was let in") };
    let name = status.metadata().get("x-seawall-error").unwrap().to_str().unwrap().to_owned();
    assert!(!status.metadata().get("x-request-id").unwrap().is_empty(), "every refusal has an id");
    (status.code(), name, status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_key_exists_calls_of_the_port_must_be_signed_by_one() {
    let (listen, dial) = port("127.0.0.1").await;
    let member = Running::on(&listen).await;
    let port = dial().await;
    assert!(member.list(&port, Request::new(one())).await.is_ok(), "no key: anything goes on loopback");

    let key = member.key().await;
    let call = |at| signed(&key, LIST, at, one());
    let unsigned = refusal(member.list(&port, Request::new(one())).await);
    assert_eq!((unsigned.0, unsigned.1.as_str()), (Code::Unauthenticated, "MissingAuthenticationTokenException"));
    assert_eq!(member.list(&port, call(member.now())).await.unwrap(), 1);
    assert_eq!(member.list(&port, call(member.now())).await.unwrap(), 1, "by the key that was kept");

    let mut changed = call(member.now());
    changed.get_mut().max_results = Some(2);
    assert_eq!(refusal(member.list(&port, changed).await).1, "InvalidSignatureException");
    let elsewhere = signed(&key, "/seawall.v1.Ecs/DeleteCluster", member.now(), one());
    assert_eq!(refusal(member.list(&port, elsewhere).await).1, "InvalidSignatureException");
    let mut hashless = call(member.now());
    hashless.metadata_mut().remove("x-amz-content-sha256");
    assert_eq!(refusal(member.list(&port, hashless).await).1, "IncompleteSignatureException");
    let guessed = Signer { secret: "guessed".into(), ..key.clone() };
    let guessed = signed(&guessed, LIST, member.now(), one());
    assert_eq!(refusal(member.list(&port, guessed).await).1, "InvalidSignatureException");
    let stranger = Signer { key_id: "AKIA0000000000000000".into(), ..key.clone() };
    let stranger = signed(&stranger, LIST, member.now(), one());
    assert_eq!(refusal(member.list(&port, stranger).await).1, "UnrecognizedClientException");
    let early = refusal(member.list(&port, call(Stamp::of_ms(member.now().ms() - 301_000))).await);
    assert_eq!(early.1, "InvalidSignatureException");
    assert!(
        early.2.starts_with("Signature expired: your clock is ") && early.2.ends_with(" (limit 5 min)"),
        "{early:?}"
    );
    let late = refusal(member.list(&port, call(Stamp::of_ms(member.now().ms() + 302_000))).await);
    assert!(late.2.starts_with("Signature not yet current: your clock is "), "{late:?}");

    let watch = || WatchRequest::default();
    let mut control = ControlClient::new(port.clone());
    assert_eq!(refusal(control.watch(watch()).await).1, "MissingAuthenticationTokenException");
    control.watch(signed(&key, WATCH, member.now(), watch())).await.unwrap();
    let probe = HealthClient::new(port.clone()).check(HealthCheckRequest::default()).await;
    assert!(probe.is_ok(), "probes have no key");
    member.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_turned_off_and_on_and_the_socket_never_needs_one() {
    let (listen, dial) = port("127.0.0.1").await;
    let member = Running::on(&listen).await;
    let (port, key) = (dial().await, member.key().await);
    let mut local = ControlClient::new(member.socket().await);
    let set = |active| SetAccessKeyStatusRequest { id: key.key_id.clone(), active };
    let call = || signed(&key, LIST, member.now(), one());

    let row = member.node.consensus.state().state.access_keys.get(&key.key_id).unwrap().clone();
    assert_eq!(row.created_by, "local-socket");
    assert!(!String::from_utf8_lossy(&row.encode_to_vec()).contains(&key.secret), "the secret is sealed");

    assert!(member.list(&port, call()).await.is_ok());
    local.set_access_key_status(set(false)).await.unwrap();
    assert_eq!(refusal(member.list(&port, call()).await).1, "UnrecognizedClientException");
    let unsigned = refusal(member.list(&port, Request::new(one())).await);
    assert_eq!(unsigned.1, "MissingAuthenticationTokenException", "with the last key off the port stays shut");
    local.set_access_key_status(set(true)).await.unwrap();
    assert!(member.list(&port, call()).await.is_ok());

    let expired = CreateAccessKeyRequest { ttl_s: Some(1), ..Default::default() };
    let made = local.create_access_key(expired).await.unwrap().into_inner();
    let short = Signer { key_id: made.key.unwrap().id, secret: made.secret, ..key.clone() };
    member.env.sleep(std::time::Duration::from_millis(1100)).await;
    let late = member.list(&port, signed(&short, LIST, member.now(), one())).await;
    assert_eq!(refusal(late).1, "UnrecognizedClientException");

    let listed = local.list_access_keys(ListAccessKeysRequest {}).await.unwrap().into_inner();
    for key in listed.keys {
        local.delete_access_key(DeleteAccessKeyRequest { id: key.id }).await.unwrap();
    }
    assert!(member.list(&port, Request::new(one())).await.is_ok(), "no key: anything goes again");
    member.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_others_reach_serves_no_client_without_keys() {
    let (listen, dial) = port("0.0.0.0").await;
    let member = Running::on(&listen).await;
    let port = dial().await;
    let refused = refusal(member.list(&port, Request::new(one())).await);
    assert_eq!((refused.0, refused.1.as_str()), (Code::PermissionDenied, "AccessDeniedException"));
    let want = format!("refusing clients on {listen} without access keys. next: seawall access-key create");
    assert!(refused.2.starts_with(&want), "{refused:?}");
    let key = member.key().await;
    assert!(member.list(&port, signed(&key, LIST, member.now(), one())).await.is_ok());
    member.end().await;
}

/// A request in ECS's protocol; `change` comes after it was signed.
fn json(signer: &Signer, at: Stamp, signs: &[&str], body: &[u8]) -> Parts {
    let request = http::Request::post("/").header("host", "s1:7400").header("x-amz-target", "T.ListClusters");
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let headers = signer.sign(at, &Signed::of(&parts), signs, &sha256_hex(body)).unwrap();
    parts.headers.extend(headers);
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn ecs_requests_are_signed_with_all_that_says_what_they_are() {
    const ALL: &[&str] = &["host", "x-amz-target"];
    let member = Running::on("127.0.0.1:0").await;
    let key = member.key().await;
    let now = member.now();

    let asked = member.authenticate(&json(&key, now, ALL, b"{}"), b"{}").await.unwrap();
    assert_eq!((asked.kind(), asked.name.as_str()), (principal::Kind::AccessKey, key.key_id.as_str()));
    let another_body = member.authenticate(&json(&key, now, ALL, b"{}"), b"{ }").await;
    assert_eq!(another_body, Err(ErrorCode::InvalidSignature));
    let hostless = member.authenticate(&json(&key, now, &["x-amz-target"], b"{}"), b"{}").await;
    assert_eq!(hostless, Err(ErrorCode::IncompleteSignature));
    let open_operation = member.authenticate(&json(&key, now, &["host"], b"{}"), b"{}").await;
    assert_eq!(open_operation, Err(ErrorCode::InvalidSignature));
    let s3 = Signer { service: "s3".into(), ..key.clone() };
    assert_eq!(member.authenticate(&json(&s3, now, ALL, b"{}"), b"{}").await, Err(ErrorCode::InvalidSignature));
    let mut unsigned_payload = json(&key, now, ALL, b"{}");
    unsigned_payload.headers.insert("x-amz-content-sha256", "UNSIGNED-PAYLOAD".parse().unwrap());
    assert_eq!(member.authenticate(&unsigned_payload, b"{}").await, Err(ErrorCode::InvalidSignature));
    let mut token = json(&key, now, ALL, b"{}");
    token.headers.insert("x-amz-security-token", "t".parse().unwrap());
    assert_eq!(member.authenticate(&token, b"{}").await, Err(ErrorCode::UnrecognizedClient));
    let mut nonsense = json(&key, now, ALL, b"{}");
    nonsense.headers.insert("authorization", "Bearer x".parse().unwrap());
    assert_eq!(member.authenticate(&nonsense, b"{}").await, Err(ErrorCode::IncompleteSignature));
    nonsense.extensions.insert(Peer { local_socket: true, ..Peer::default() });
    let local = member.authenticate(&nonsense, b"{}").await.unwrap();
    assert_eq!(local.kind(), principal::Kind::LocalSocket);
    member.end().await;
}
