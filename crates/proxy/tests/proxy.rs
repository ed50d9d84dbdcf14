//! The proxy between a client and three members that are made up: what it does when one hangs, refuses, or comes back.

use std::{future::Future, io, time::Duration};

use axum::{Router, http::HeaderMap, routing::get};
use seawall_env::{
    Env, Task, TaskKind,
    net::{
        grpc::{Listener, Plain, Serving},
        tcp::{Gate, Tcp},
        trust::{Ca, Fingerprint, Identity, Secret, passing_config},
    },
};
use seawall_proxy::{Proxy, ProxyConfig};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
};

const FAKE: TaskKind = TaskKind::request("fake member");
/// Longest wait for anything: several times of what it takes on a machine that does much else.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What no call may take, with the SDK's own retries.
const CALL_MAX: Duration = Duration::from_secs(5);
/// Shorter than a client is held, and longer than the first try for it.
const REFUSED: Duration = Duration::from_millis(400);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a made-up member does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Answers each request by its name.
    Serves,
    /// Accepts and says nothing, as one that was stopped.
    Hangs,
    /// Lives and has no leader.
    Waits,
}

/// A member on a port of its own.
struct Fake {
    address: String,
    mood: watch::Sender<Mood>,
    accepting: Task,
}

impl Fake {
    async fn start(env: &Env, name: &'static str) -> Fake {
        Fake::on(env, name, "127.0.0.1:0").await
    }

    async fn on(env: &Env, name: &'static str, address: &str) -> Fake {
        let gate = Gate::bind(address).await.unwrap();
        let address = gate.local_addr().unwrap().to_string();
        let (mood, moods) = watch::channel(Mood::Serves);
        let spawner = env.clone();
        let accepting = env.spawn(FAKE, async move {
            loop {
                let (client, _) = gate.accept().await;
                let moods = moods.clone();
                spawner.spawn(FAKE, async move {
                    // It breaks when the client leaves.
                    let _ = answer(client, name, moods).await;
                });
            }
        });
        Fake { address, mood, accepting }
    }

    fn becomes(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// Refuses what comes from now on, and hangs on what there is.
    async fn refuses(self) -> String {
        self.becomes(Mood::Hangs);
        self.accepting.abort();
        self.accepting.await;
        self.address
    }
}

async fn answer(mut client: Tcp, name: &str, mut moods: watch::Receiver<Mood>) -> io::Result<()> {
    while let Some(path) = request(&mut client).await? {
        let mood = *moods.wait_for(|mood| *mood != Mood::Hangs).await.map_err(io::Error::other)?;
        let (status, body) = match (mood, path.as_str()) {
            (Mood::Waits, _) => ("503 Service Unavailable", "no leader"),
            (_, "/readyz") => ("200 OK", "ready"),
            _ => ("200 OK", name),
        };
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write_all(text.as_bytes()).await?;
        if path == "/readyz" {
            return Ok(());
        }
    }
    Ok(())
}

/// The path of the next request; `None` at the end.
async fn request(client: &mut Tcp) -> io::Result<Option<String>> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => text.push(byte),
            Err(end) if end.kind() == io::ErrorKind::UnexpectedEof && text.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&text).split(' ').nth(1).map(str::to_owned))
}

/// The proxy, and whoever speaks to it.
struct Ground {
    env: Env,
    address: String,
    stop: watch::Sender<bool>,
    serving: Task,
}

impl Ground {
    async fn new(env: &Env, servers: Vec<String>) -> Ground {
        Ground::with(env, servers, None).await
    }

    async fn with(env: &Env, servers: Vec<String>, fingerprint: Option<Fingerprint>) -> Ground {
        let config = ProxyConfig { listen: "127.0.0.1:0".into(), servers, zone: None, fingerprint, insecure: false };
        let proxy = Proxy::open(env, config).await.unwrap();
        let address = proxy.local_addr().to_string();
        let (stop, stopping) = watch::channel(false);
        let serving = env.spawn(FAKE, proxy.serve(stopping, None));
        Ground { env: env.clone(), address, stop, serving }
    }

    async fn connect(&self) -> Tcp {
        Tcp::dial(&self.address).await.unwrap()
    }

    /// One call as an SDK makes it: again on a new connection when one breaks. Who answered.
    async fn call(&self) -> String {
        let began = self.env.now();
        loop {
            let mut connection = self.connect().await;
            match self.env.timeout(CALL_MAX, ask(&mut connection)).await {
                Ok(Ok(name)) => {
                    let took = self.env.now() - began;
                    assert!(took < CALL_MAX, "{took:?}");
                    return name;
                }
                Ok(Err(_)) => self.env.sleep(LOOK_EVERY).await,
                Err(_) => panic!("a call hangs"),
            }
            assert!(self.env.now() - began < CALL_MAX, "no try goes through");
        }
    }

    /// Waits until `look` finds what it looks for.
    async fn until<F: Future<Output = bool>>(&self, what: &str, mut look: impl FnMut() -> F) {
        let deadline = self.env.now() + WAIT_MAX;
        while !look().await {
            assert!(self.env.now() < deadline, "{what}: not within {WAIT_MAX:?}");
            self.env.sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until new connections reach each of `names` in turn.
    async fn until_all(&self, names: &[&str]) {
        let round = || async {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..2 * names.len() {
                seen.insert(self.call().await);
            }
            seen.iter().map(String::as_str).eq(names.iter().copied())
        };
        self.until(&format!("{names:?} answer"), round).await;
    }
}

/// Sends one request and reads its answer.
async fn ask(connection: &mut Tcp) -> io::Result<String> {
    connection.write_all(b"GET /who HTTP/1.1\r\nhost: signed.example:1\r\n\r\n").await?;
    read_answer(connection).await
}

async fn read_answer(connection: &mut Tcp) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    connection.read_exact(&mut body).await?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn on_the_machine<F: Future<Output = ()>>(test: impl FnOnce(Env) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { test(Env::real_with_default_net()).await });
}

async fn three(env: &Env) -> (Fake, Fake, Fake) {
    (Fake::start(env, "a").await, Fake::start(env, "b").await, Fake::start(env, "c").await)
}

fn addresses(fakes: [&Fake; 3]) -> Vec<String> {
    fakes.map(|fake| fake.address.clone()).to_vec()
}

#[test]
fn a_member_that_hangs_loses_its_connections_and_gets_them_again_when_it_is_back() {
    on_the_machine(|env| async move {
        let (a, b, c) = three(&env).await;
        let ground = Ground::new(&env, addresses([&a, &b, &c])).await;
        ground.until_all(&["a", "b", "c"]).await;

        let mut kept = Vec::new();
        for _ in 0..6 {
            let mut connection = ground.connect().await;
            let name = ask(&mut connection).await.unwrap();
            kept.push((name, connection));
        }
        a.becomes(Mood::Hangs);
        let began = env.now();
        for (name, mut connection) in kept {
            // In flight on the one that hangs, idle on the others.
            let asked = env.timeout(CALL_MAX, ask(&mut connection)).await.expect("cut, or answered");
            match name.as_str() {
                "a" => assert!(asked.is_err(), "a request that hangs is cut: {asked:?}"),
                other => assert_eq!(asked.unwrap(), other, "an idle connection to a member that serves stays"),
            }
        }
        assert!(env.now() - began < CALL_MAX);
        ground.until_all(&["b", "c"]).await;
        a.becomes(Mood::Serves);
        ground.until_all(&["a", "b", "c"]).await;
    });
}

#[test]
fn a_proxy_that_nobody_used_looks_anew_at_the_first_call() {
    on_the_machine(|env| async move {
        let (a, b, c) = three(&env).await;
        let ground = Ground::new(&env, addresses([&a, &b, &c])).await;
        ground.until_all(&["a", "b", "c"]).await;
        a.becomes(Mood::Hangs);
        // Each asserts how long it takes; while nobody is connected members are looked at every ten seconds only.
        for _ in 0..6 {
            assert_ne!(ground.call().await, "a");
        }
    });
}

#[test]
fn a_member_that_refuses_is_passed_over_at_once() {
    on_the_machine(|env| async move {
        let (a, b, c) = three(&env).await;
        let ground = Ground::new(&env, addresses([&a, &b, &c])).await;
        ground.until_all(&["a", "b", "c"]).await;
        let address = a.refuses().await;
        // Each connects at once, known or not: no call waits for the next look.
        for _ in 0..9 {
            let mut connection = ground.connect().await;
            let asked = env.timeout(CALL_MAX, ask(&mut connection)).await.unwrap();
            assert_ne!(asked.unwrap(), "a");
        }
        let _back = Fake::on(&env, "a", &address).await;
        ground.until_all(&["a", "b", "c"]).await;
    });
}

#[test]
fn a_member_without_a_leader_serves_only_where_no_other_does() {
    on_the_machine(|env| async move {
        let (a, b, c) = three(&env).await;
        for fake in [&a, &b, &c] {
            fake.becomes(Mood::Waits);
        }
        let ground = Ground::new(&env, addresses([&a, &b, &c])).await;
        assert_eq!(ground.call().await, "no leader", "a member says why nobody serves");
        b.becomes(Mood::Serves);
        ground.until_all(&["b"]).await;
        c.becomes(Mood::Serves);
        ground.until_all(&["b", "c"]).await;
        b.becomes(Mood::Waits);
        ground.until_all(&["c"]).await;
    });
}

#[test]
fn a_client_is_held_until_a_member_is_there() {
    on_the_machine(|env| async move {
        let a = Fake::start(&env, "a").await;
        let ground = Ground::new(&env, vec![a.address.clone()]).await;
        assert_eq!(ground.call().await, "a");
        let address = a.refuses().await;
        let mut connection = ground.connect().await;
        connection.write_all(b"GET /who HTTP/1.1\r\n\r\n").await.unwrap();
        // For the proxy to be refused in: nothing tells when it was.
        env.sleep(REFUSED).await;
        let back = Fake::on(&env, "a again", &address).await;
        assert_eq!(env.timeout(CALL_MAX, read_answer(&mut connection)).await.unwrap().unwrap(), "a again");
        drop(connection);
        back.refuses().await;
        let mut connection = ground.connect().await;
        let asked = env.timeout(CALL_MAX, ask(&mut connection)).await.expect("held for a moment only");
        assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::ConnectionReset, "broken off, not ended in order");
    });
}

#[test]
fn it_ends_within_a_second_with_connections_open() {
    on_the_machine(|env| async move {
        let a = Fake::start(&env, "a").await;
        let ground = Ground::new(&env, vec![a.address.clone()]).await;
        let mut idle = ground.connect().await;
        ask(&mut idle).await.unwrap();
        let began = env.now();
        ground.stop.send_replace(true);
        env.timeout(WAIT_MAX, ground.serving).await.expect("it ends");
        assert!(env.now() - began < Duration::from_secs(1));
        assert!(Tcp::dial(&ground.address).await.is_err(), "the port is free");
    });
}

#[test]
fn it_is_refused_what_would_expose_the_cluster_or_loop() {
    on_the_machine(|env| async move {
        let refused = async |listen: &str, servers: Vec<String>| {
            let config = ProxyConfig { listen: listen.into(), servers, zone: None, fingerprint: None, insecure: false };
            Proxy::open(&env, config).await.err().map(|error| error.to_string()).unwrap_or_default()
        };
        let exposed = refused("0.0.0.0:0", vec!["a:1".into()]).await;
        assert!(exposed.starts_with("refusing to listen on 0.0.0.0:") && exposed.contains("--insecure"), "{exposed}");
        assert_eq!(refused("127.0.0.1:0", Vec::new()).await, "--server: name 1 to 32 members");
        let a = Fake::start(&env, "a").await;
        let taken = refused(&a.address, vec!["b:1".into()]).await;
        assert!(taken.starts_with(&format!("cannot listen on {}: ", a.address)), "{taken}");
    });
}

/// A member that takes TLS alone.
async fn with_tls(env: &Env, ca: &Ca) -> (String, watch::Sender<bool>) {
    let identity = Identity::issue(ca, "member:a", env.wall_ms()).unwrap();
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, shutdown) = watch::channel(false);
    let router = Router::new()
        .route("/readyz", get(|| async { "ready" }))
        .route("/who", get(|headers: HeaderMap| async move { headers["host"].to_str().unwrap().to_owned() }));
    let tls = Some(identity.server_config());
    let serving = Serving { router, tls, plain: Plain::Refuse, connections_max: 64, shutdown, grace: Duration::ZERO };
    env.spawn(FAKE, listener.serve(env.clone(), serving));
    (address, stop)
}

#[test]
fn plain_clients_of_this_machine_reach_members_that_take_tls_and_tls_passes_untouched() {
    on_the_machine(|env| async move {
        let ca = Ca::of(&Secret::generate(&env)).unwrap();
        let (member, _stop) = with_tls(&env, &ca).await;
        let ground = Ground::with(&env, vec![member.clone()], Some(ca.fingerprint())).await;
        assert_eq!(ground.call().await, "signed.example:1", "with the Host header as it was signed");
        let own_tls = ground.connect().await.with_tls(passing_config(ca.fingerprint())).await.unwrap();
        assert_eq!(own_tls.get("/who").await.unwrap(), (200, "seawall".to_owned()));

        let other = Ca::of(&Secret::generate(&env)).unwrap();
        let ground = Ground::with(&env, vec![member], Some(other.fingerprint())).await;
        let mut connection = ground.connect().await;
        let asked = env.timeout(CALL_MAX, ask(&mut connection)).await.expect("refused");
        assert!(asked.is_err(), "another cluster's member gets nothing: {asked:?}");
    });
}
