//! The simulator keeps its promises: a seed decides everything, and each fault is what its name says.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use seawall_env::{
    BoxFuture, Env, TaskKind,
    net::{Caller, Handler, Lane, MessageReceiver, MessageSender, NetError},
    sim::Sim,
};

const TASK: TaskKind = TaskKind::vital("test");
const CALL: &str = "/test/Call";
const STREAM: &str = "/test/Stream";
const REFUSE: &str = "/test/Refuse";
const SECOND: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(60);

/// Sends back what it gets, with its caller's name before it.
#[derive(Default)]
struct Echo {
    calls: AtomicU64,
    streams_ended: AtomicU64,
}

impl Handler for Echo {
    fn handles(&self, method: &str) -> bool {
        [CALL, STREAM, REFUSE].contains(&method)
    }

    fn is_stream(&self, method: &str) -> bool {
        method != CALL
    }

    fn call(self: Arc<Self>, caller: Caller, _: String, body: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let name = caller.certificate_name.unwrap_or(caller.address);
            Ok([name.as_bytes(), b":", &body].concat().into())
        })
    }

    fn open(
        self: Arc<Self>,
        _: Caller,
        method: String,
        mut incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        Box::pin(async move {
            if method == REFUSE {
                return Err(NetError::Refused("by name".into()));
            }
            while let Some(message) = incoming.recv().await {
                if message.as_ref() == b"end" {
                    break;
                }
                if outgoing.send(message).await.is_err() {
                    break;
                }
            }
            self.streams_ended.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }
}

fn two_nodes(seed: u64) -> (Sim, Env, Arc<Echo>) {
    let sim = Sim::new(seed);
    let (a, b) = (sim.node("a"), sim.node("b"));
    let echo = Arc::new(Echo::default());
    sim.serve(&b, "b:1", echo.clone());
    (sim, a, echo)
}

fn call(env: &Env, timeout: Duration) -> BoxFuture<'static, Result<Bytes, NetError>> {
    env.net().call("b:1", Lane::Main, CALL, Bytes::from_static(b"hello"), timeout)
}

/// Three nodes that call each other at random times and share a watch with many waiters.
fn busy_world(seed: u64) -> (u128, u64) {
    let sim = Sim::new(seed);
    let names = ["a", "b", "c"];
    let (news, _) = tokio::sync::watch::channel(0u64);
    for name in names {
        let env = sim.node(name);
        sim.serve(&env, name, Arc::new(Echo::default()));
        for _ in 0..10 {
            let (mut news, env) = (news.subscribe(), env.clone());
            env.clone().spawn(TASK, async move {
                while news.changed().await.is_ok() {
                    env.sleep(env.jitter(Duration::from_micros(10))).await;
                }
            });
        }
        let news = news.clone();
        env.clone().spawn(TASK, async move {
            loop {
                env.sleep(env.jitter(Duration::from_millis(30))).await;
                let to = names[(env.random_u64() % 3) as usize];
                let body = env.random_u64().to_le_bytes().to_vec();
                let _ = env.net().call(to, Lane::Main, CALL, body.into(), SECOND).await;
                news.send_modify(|version| *version += 1);
            }
        });
    }
    sim.set_loss_permille(10);
    sim.run_for(SECOND * 5);
    sim.kill("b");
    sim.run_for(SECOND * 5);
    (sim.event_hash(), sim.steps())
}

#[test]
fn the_seed_decides_everything() {
    let first = busy_world(7);
    assert!(first.1 > 1000, "a world that does nothing proves nothing: {} steps", first.1);
    assert_eq!(first, busy_world(7));
    assert_ne!(first.0, busy_world(8).0);
}

#[test]
fn time_jumps_to_the_next_timer() {
    let sim = Sim::new(1);
    for host in 0..34 {
        let env = sim.node(&format!("h{host}"));
        env.clone().spawn(TASK, async move {
            loop {
                env.sleep(Duration::from_millis(30)).await;
            }
        });
    }
    sim.run_for(SECOND * 60);
    assert_eq!(sim.now(), SECOND * 60);
    assert_eq!(sim.steps(), 34 * 2001);
}

#[test]
fn calls_name_their_caller_and_nobody_answers_elsewhere() {
    let (sim, a, _) = two_nodes(1);
    assert_eq!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Ok("a:hello".into())));
    sim.certify("a", "member:a");
    assert_eq!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Ok("member:a:hello".into())));
    let elsewhere = a.net().call("c:1", Lane::Main, CALL, Bytes::new(), SECOND);
    assert!(matches!(sim.run(&a, LIMIT, elsewhere), Some(Err(NetError::Unreachable { .. }))));
    let unknown = a.net().call("b:1", Lane::Main, "/other/Method", Bytes::new(), SECOND);
    assert!(matches!(sim.run(&a, LIMIT, unknown), Some(Err(NetError::Refused(_)))));
}

#[test]
fn a_partition_is_silence_until_it_heals() {
    let (sim, a, echo) = two_nodes(1);
    sim.partition(&["a"], &["b"]);
    assert_eq!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Timeout(SECOND))));
    assert_eq!(echo.calls.load(Ordering::Relaxed), 0);
    sim.heal();
    assert!(sim.run(&a, LIMIT, call(&a, SECOND)).unwrap().is_ok());
    sim.cut(&["b"], &["a"]);
    let before = echo.calls.load(Ordering::Relaxed);
    assert_eq!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Timeout(SECOND))));
    assert_eq!(echo.calls.load(Ordering::Relaxed), before + 1, "one way still works: the call had its effect");
}

/// A stream from `a` whose received messages are collected; its end is `None`.
struct Collected {
    sender: MessageSender,
    received: Arc<Mutex<Vec<Option<Bytes>>>>,
}

fn collect(sim: &Sim, a: &Env) -> Collected {
    let opened = sim.run(a, LIMIT, a.net().open("b:1", Lane::Main, STREAM)).unwrap();
    let (sender, mut receiver) = opened.unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let into = received.clone();
    a.spawn(TASK, async move {
        while let Some(message) = receiver.recv().await {
            into.lock().unwrap().push(Some(message));
        }
        into.lock().unwrap().push(None);
    });
    Collected { sender, received }
}

impl Collected {
    fn send(&self, sim: &Sim, a: &Env, text: &'static str) -> bool {
        let sender = self.sender.clone();
        sim.run(a, LIMIT, async move { sender.send(text.into()).await.is_ok() }).unwrap()
    }

    fn received(&self) -> Vec<Option<Bytes>> {
        self.received.lock().unwrap().clone()
    }
}

#[test]
fn streams_keep_their_order_over_a_short_cut_and_break_in_a_long_one() {
    let (sim, a, echo) = two_nodes(3);
    let stream = collect(&sim, &a);
    for text in ["1", "2", "3"] {
        assert!(stream.send(&sim, &a, text));
    }
    sim.partition(&["a"], &["b"]);
    assert!(stream.send(&sim, &a, "4"));
    sim.run_for(SECOND);
    sim.heal();
    sim.run_for(SECOND);
    let want: Vec<Option<Bytes>> = ["1", "2", "3", "4"].into_iter().map(|text| Some(text.into())).collect();
    assert_eq!(stream.received(), want);
    sim.partition(&["a"], &["b"]);
    sim.run_for(SECOND * 4);
    assert_eq!(stream.received().last(), Some(&None));
    assert!(!stream.send(&sim, &a, "5"));
    assert_eq!(echo.streams_ended.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stream_ends_with_its_handler_and_with_its_sender() {
    let (sim, a, echo) = two_nodes(3);
    let stream = collect(&sim, &a);
    stream.send(&sim, &a, "1");
    stream.send(&sim, &a, "end");
    sim.run_for(SECOND);
    assert_eq!(stream.received(), [Some("1".into()), None]);
    let stream = collect(&sim, &a);
    drop(stream.sender);
    sim.run_for(SECOND);
    assert_eq!(*stream.received.lock().unwrap(), [None]);
    assert_eq!(echo.streams_ended.load(Ordering::Relaxed), 2);
    let refused = sim.run(&a, LIMIT, a.net().open("b:1", Lane::Main, REFUSE)).unwrap();
    assert_eq!(refused.unwrap_err(), NetError::Refused("by name".into()));
}

#[test]
fn a_killed_node_closes_its_connections_and_keeps_its_disk() {
    let (sim, a, _) = two_nodes(3);
    let b_before = sim.restart_of("b");
    let path = Path::new("/data/file");
    b_before.fs().write_atomic(path, b"kept", 0o600).unwrap();
    let mut half = b_before.fs().create(Path::new("/data/half")).unwrap();
    half.write(b"synced").unwrap();
    half.sync().unwrap();
    half.write(b"not").unwrap();
    sim.serve(&b_before, "b:1", Arc::new(Echo::default()));
    let stream = collect(&sim, &a);
    sim.power_off("b");
    sim.run_for(SECOND);
    assert_eq!(stream.received(), [None]);
    assert!(matches!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Unreachable { .. }))));
    let b = sim.restart("b");
    assert_eq!(b.fs().read(path).unwrap().unwrap(), b"kept");
    assert!(half.commit().is_err(), "a writer of before the kill writes no more");
    assert_eq!(b.fs().list(Path::new("/data")).unwrap(), ["file"]);
    let ran = Arc::new(AtomicU64::new(0));
    let count = ran.clone();
    b_before.spawn(TASK, async move {
        count.fetch_add(1, Ordering::Relaxed);
    });
    sim.run_for(SECOND);
    assert_eq!(ran.load(Ordering::Relaxed), 0, "an environment of before the kill starts nothing");
}

trait Restarted {
    fn restart_of(&self, node: &str) -> Env;
}

impl Restarted for Sim {
    fn restart_of(&self, node: &str) -> Env {
        self.kill(node);
        self.restart(node)
    }
}

#[test]
fn a_node_that_aborts_is_killed_and_nobody_else() {
    let (sim, a, echo) = two_nodes(3);
    let stream = collect(&sim, &a);
    let b = sim.restart_of("b");
    sim.serve(&b, "b:1", echo);
    let on = b.clone();
    b.spawn(TASK, async move { on.abort("the disk failed") });
    sim.run_for(SECOND);
    assert!(sim.is_alive("a") && !sim.is_alive("b"));
    assert_eq!(stream.received(), [None]);
    assert!(matches!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Unreachable { .. }))));
    assert!(sim.panics().is_empty());
}

#[test]
fn a_lost_reply_leaves_the_call_its_effect() {
    let (sim, a, echo) = two_nodes(3);
    sim.lose_replies(CALL, 1);
    assert!(matches!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Broken(_)))));
    assert_eq!((echo.calls.load(Ordering::Relaxed), sim.replies_to_lose(CALL)), (1, 0));
    assert!(sim.run(&a, LIMIT, call(&a, SECOND)).unwrap().is_ok());
}

#[test]
fn a_killed_caller_hears_no_answer() {
    let (sim, a, _) = two_nodes(3);
    sim.set_latency(&["b"], &["a"], SECOND, SECOND);
    sim.set_latency(&["a"], &["b"], SECOND, SECOND);
    let result = Arc::new(Mutex::new(None));
    let (into, pending) = (result.clone(), call(&a, SECOND * 30));
    a.spawn(TASK, async move {
        let answer = pending.await;
        *into.lock().unwrap() = Some(answer);
    });
    sim.run_for(SECOND / 2);
    sim.kill("a");
    sim.run_for(SECOND * 10);
    assert!(result.lock().unwrap().is_none(), "a killed node's tasks do not go on");
}

#[test]
fn a_paused_node_answers_after_the_pause() {
    let (sim, a, echo) = two_nodes(3);
    let stream = collect(&sim, &a);
    sim.pause("b");
    assert_eq!(sim.run(&a, LIMIT, call(&a, SECOND)), Some(Err(NetError::Timeout(SECOND))));
    assert_eq!(echo.calls.load(Ordering::Relaxed), 0);
    sim.run_for(SECOND * 5);
    assert_eq!(stream.received(), [None], "keepalive notices a process that is stopped");
    sim.resume("b");
    sim.run_for(SECOND);
    assert_eq!(echo.calls.load(Ordering::Relaxed), 1, "what waited at the stopped process runs late");
}

#[test]
fn clocks_run_at_their_own_rate() {
    let sim = Sim::new(5);
    let (a, b) = (sim.node("a"), sim.node("b"));
    let wall = b.wall_ms();
    sim.set_clock_rate("b", 2.0);
    let woke = Arc::new(AtomicU64::new(0));
    for (env, weight) in [(&a, 1), (&b, 100)] {
        let (sleep, woke) = (env.sleep(SECOND * 10), woke.clone());
        env.spawn(TASK, async move {
            sleep.await;
            woke.fetch_add(weight, Ordering::Relaxed);
        });
    }
    sim.run_for(SECOND * 5);
    assert_eq!(woke.load(Ordering::Relaxed), 100);
    assert_eq!(b.wall_ms() - wall, 10_000);
    sim.set_clock_rate("a", 5.0);
    sim.run_for(SECOND);
    assert_eq!(woke.load(Ordering::Relaxed), 101, "a sleep under way follows a change of rate");
    sim.set_wall_offset_ms("a", -3_600_000);
    assert!(a.wall_ms() < wall);
}

#[test]
fn code_without_a_handle_finds_its_environment() {
    let sim = Sim::new(5);
    let (a, b) = (sim.node("a"), sim.node("b"));
    sim.set_wall_offset_ms("b", 5_000);
    assert!(Env::current().is_none());
    let of = |env: &Env| sim.run(env, LIMIT, async { Env::current().unwrap().wall_ms() }).unwrap();
    assert_eq!(of(&b) - of(&a), 5_000);
    assert!(Env::current().is_none());
}

#[test]
fn a_request_may_panic_and_a_vital_task_may_not() {
    let sim = Sim::new(5);
    let a = sim.node("a");
    a.spawn(TaskKind::request("clumsy"), async { panic!("oh") });
    sim.run_for(SECOND);
    assert_eq!(sim.panics(), ["clumsy: oh"]);
    a.spawn(TaskKind::vital("needed"), async { panic!("no") });
    let run = std::panic::AssertUnwindSafe(|| sim.run_for(SECOND));
    assert!(std::panic::catch_unwind(run).is_err());
}

#[test]
fn a_full_disk_and_a_failing_one_say_so() {
    let sim = Sim::new(5);
    let a = sim.node("a");
    sim.set_disk_bytes("a", 10);
    a.fs().write_atomic(Path::new("/x"), &[0; 8], 0o600).unwrap();
    let full = a.fs().write_atomic(Path::new("/y"), &[0; 8], 0o600).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(a.fs().space(Path::new("/")).unwrap().free_bytes, 2);
    sim.set_disk_fails("a", true);
    assert!(a.fs().read(Path::new("/x")).is_err());
    sim.set_disk_fails("a", false);
    sim.wipe("a");
    assert_eq!(a.fs().read(Path::new("/x")).unwrap(), None);
}
