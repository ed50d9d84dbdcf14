//! The agent's side of a stream, against members that follow a script, in the simulation.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use seawall_env::{
    BoxFuture, Env,
    net::{Caller, Handler, MessageReceiver, MessageSender},
    sim::Sim,
};
use seawall_proto::internal::v1::{MemberBeat, MemberMessage, Refused, member_message::Kind};

use super::*;
use crate::runtime::fake::{FakeConfig, FakeRuntime};

const AGENT: &str = "agent";
const MEMBER: &str = "member:1";
const MINUTE: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(250);

/// Answers each hello with the script and goes on with beats.
struct Member {
    env: Env,
    script: Vec<Kind>,
    hellos: AtomicU32,
}

impl Handler for Member {
    fn handles(&self, method: &str) -> bool {
        method == OPEN
    }

    fn is_stream(&self, _: &str) -> bool {
        true
    }

    fn call(self: Arc<Self>, _: Caller, method: String, _: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move { Err(NetError::Refused(method)) })
    }

    fn open(
        self: Arc<Self>,
        _: Caller,
        _: String,
        mut incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        Box::pin(async move {
            incoming.recv().await;
            self.hellos.fetch_add(1, Ordering::Relaxed);
            let listens = async { while incoming.recv().await.is_some() {} };
            tokio::select! {
                biased;
                () = listens => {}
                () = self.talk(outgoing) => {}
            }
            Ok(())
        })
    }
}

impl Member {
    async fn talk(&self, outgoing: MessageSender) {
        let beats = std::iter::repeat_with(|| Kind::Beat(MemberBeat::default()));
        for (index, kind) in self.script.iter().cloned().chain(beats).enumerate() {
            let message = MemberMessage { epoch: 1, applied_index: index as u64 + 1, kind: Some(kind) };
            if outgoing.send(encode(&message)).await.is_err() {
                return;
            }
            self.env.sleep(BEAT).await;
        }
    }
}

fn welcome() -> Kind {
    Kind::Welcome(Welcome { cluster_id: vec![7; 16].into(), lease_ms: 3000, beat_ms: 1000, ..Default::default() })
}

fn refused(retry: bool) -> Kind {
    Kind::Refused(Refused { reason: "not here".into(), retry })
}

/// A minute of an agent that has seen `seen`, with one member; `meanwhile` once it runs.
fn minute(seen: Position, script: Vec<Kind>, meanwhile: impl FnOnce(&Sim)) -> (Option<AgentError>, u32) {
    let sim = Sim::new(3);
    let env = sim.node(MEMBER);
    let member = Arc::new(Member { env: env.clone(), script, hellos: AtomicU32::default() });
    sim.serve(&env, MEMBER, member.clone());
    let env = sim.node(AGENT);
    let store = Arc::new(Store::open(&env, Path::new("/data")).unwrap());
    let kept = store.clone();
    sim.run(&env, MINUTE, async move { kept.save_position(seen).await }).unwrap().unwrap();
    meanwhile(&sim);
    let config = AgentConfig { servers: vec![MEMBER.into()], ..AgentConfig::new("default", "a", "/data") };
    let runtime = Arc::new(FakeRuntime::new(env.clone(), FakeConfig::default()));
    let agent = Agent::new(env.clone(), &config, store, runtime, AgentIdentity::default());
    let ended = sim.run(&env, MINUTE, agent.run());
    (ended, member.hellos.load(Ordering::Relaxed))
}

#[test]
fn a_refusal_is_heard_even_from_a_cluster_with_a_shorter_log() {
    let (ended, _) = minute(Position { epoch: 2, index: 900 }, vec![refused(false)], |_| {});
    assert_eq!(ended.unwrap().to_string(), "refused by the cluster: not here");
}

#[test]
fn a_member_that_is_behind_is_not_followed() {
    let (ended, hellos) = minute(Position { epoch: 2, index: 900 }, vec![welcome()], |_| {});
    assert!(ended.is_none());
    assert!(hellos > 5, "{hellos} hellos");
}

#[test]
fn a_full_disk_ends_neither_the_agent_nor_its_session() {
    let (ended, hellos) = minute(Position::default(), vec![welcome()], |sim| sim.set_disk_bytes(AGENT, 0));
    assert!(ended.is_none(), "{ended:?}");
    assert_eq!(hellos, 1);
}

#[test]
fn who_is_refused_for_now_asks_again_ever_more_rarely() {
    for script in [vec![refused(true)], vec![welcome(), refused(true)]] {
        let (ended, hellos) = minute(Position::default(), script, |_| {});
        assert!(ended.is_none(), "{ended:?}");
        assert!((8..30).contains(&hellos), "{hellos} hellos");
    }
}
