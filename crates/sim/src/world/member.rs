//! A scheduler on a simulated machine.

use std::sync::{Arc, Mutex};

use seawall_consensus::{Leadership, MemoryStore};
use seawall_env::{Env, TaskKind, fs::Fs, sim::Sim};
use seawall_server::{
    ServerConfig,
    simulated::{self, Faults, Links, Member},
};
use tokio::sync::{oneshot, watch};

use super::{lock, observer::Observer};

const MEMBER: TaskKind = TaskKind::vital("member");
const STARTED: TaskKind = TaskKind::vital("member started");

/// A scheduler's machine. It outlives its process.
pub struct MemberNode {
    name: String,
    env: Env,
    store: MemoryStore,
    /// What its process is started with.
    pub config: ServerConfig,
    /// What the simulation does to it.
    pub faults: Faults,
    process: Option<Process>,
    /// Why its last process ended by itself.
    ended: Arc<Mutex<Option<String>>>,
}

struct Process {
    member: Arc<Mutex<Option<Member>>>,
    shutdown: watch::Sender<bool>,
}

impl MemberNode {
    /// A machine with an empty disk; nothing runs on it.
    pub(super) fn new(sim: &Sim, name: &str, config: ServerConfig, faults: Faults) -> MemberNode {
        let name = name.to_owned();
        let env = sim.node(&name);
        sim.certify(&name, &format!("member:{}", config.name));
        let ended = Arc::default();
        MemberNode { name, env, store: MemoryStore::default(), config, faults, process: None, ended }
    }

    /// Where clients and agents reach it.
    pub fn client_address(&self) -> String {
        self.config.listen.clone()
    }

    /// Its disk, whether a process runs or not.
    pub fn disk(&self) -> Arc<dyn Fs> {
        self.env.fs()
    }

    /// What serves, once it does.
    pub fn member(&self) -> Option<Member> {
        self.process.as_ref().and_then(|process| lock(&process.member).clone())
    }

    /// Whether a process runs here.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Who leads, as this one sees it.
    pub fn leadership(&self) -> Leadership {
        self.member().map(|member| member.consensus().leadership()).unwrap_or_default()
    }

    /// Why its last process ended by itself.
    pub fn ended(&self) -> Option<String> {
        lock(&self.ended).clone()
    }

    pub(super) fn start(&mut self, sim: &Sim, observer: &Observer) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        if !sim.is_alive(&self.name) {
            self.env = sim.restart(&self.name);
        }
        *lock(&self.ended) = None;
        let links = Arc::new(Links::new(&self.config.peer_listen, &self.config.listen));
        sim.serve(&self.env, &self.config.peer_listen, links.peers());
        sim.serve(&self.env, &self.config.listen, links.clients());
        let (started, is_started) = oneshot::channel();
        let (shutdown, stop) = watch::channel(false);
        let member = Arc::new(Mutex::new(None));
        let (slot, watching) = (member.clone(), observer.clone());
        let name = self.name.clone();
        self.env.spawn(STARTED, async move {
            let Ok(member) = is_started.await else { return };
            watching.follow(&name, &member);
            *lock(&slot) = Some(member);
        });
        let ended = self.ended.clone();
        let process = simulated::run(
            self.env.clone(),
            self.config.clone(),
            links,
            self.store.clone(),
            self.faults,
            started,
            stop,
        );
        self.env.spawn(MEMBER, async move {
            let why = match process.await {
                Ok(()) => "shut down".to_owned(),
                Err(error) => error.to_string(),
            };
            *lock(&ended) = Some(why);
        });
        self.process = Some(Process { member, shutdown });
    }

    /// Asks the process to end, as SIGTERM does.
    pub(super) fn ask_to_stop(&self) {
        if let Some(process) = &self.process {
            process.shutdown.send_replace(true);
        }
    }

    /// The process is gone, by whatever means.
    pub(super) fn forget_process(&mut self) {
        self.process = None;
    }

    pub(super) fn wipe(&mut self, sim: &Sim) {
        assert!(self.process.is_none(), "{} runs", self.name);
        sim.wipe(&self.name);
        self.store = MemoryStore::default();
    }
}
