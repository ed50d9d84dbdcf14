//! An agent on a simulated machine, with the machine's containers.

use std::sync::{Arc, Mutex};

use seawall_agent::{
    AgentConfig, RuntimeKind,
    runtime::fake::{FakeConfig, FakeHost},
};
use seawall_env::{Env, TaskKind, sim::Sim};
use tokio::sync::watch;

use super::lock;

const AGENT: TaskKind = TaskKind::vital("agent");

/// An instance's machine. It outlives its agent, as its containers do.
pub struct AgentNode {
    name: String,
    env: Env,
    /// The containers.
    pub host: FakeHost,
    /// What its agent is started with.
    pub config: AgentConfig,
    boots: u64,
    process: Option<watch::Sender<bool>>,
    /// The machine that its guard is: one host with it, that no fault of its agent touches.
    guard: Option<String>,
    ended: Arc<Mutex<Option<String>>>,
}

impl AgentNode {
    pub(super) fn new(sim: &Sim, name: &str, mut config: AgentConfig, host: FakeHost) -> AgentNode {
        let env = sim.node(name);
        let instance = config.instance_id.clone().unwrap_or_else(|| name.to_owned());
        sim.certify(name, &format!("agent:{instance}"));
        config.instance_id = Some(instance);
        config.runtime = RuntimeKind::Fake(FakeConfig { host: host.clone(), ..FakeConfig::default() });
        AgentNode {
            name: name.to_owned(),
            env,
            host,
            config,
            boots: 1,
            process: None,
            guard: None,
            ended: Arc::default(),
        }
    }

    /// Its instance's `ec2InstanceId`.
    pub fn instance(&self) -> &str {
        self.config.instance_id.as_deref().unwrap_or(&self.name)
    }

    /// The machine of its guard.
    pub fn guard(&self) -> Option<&str> {
        self.guard.as_deref()
    }

    pub(super) fn set_guard(&mut self, sim: &Sim) {
        let guard = format!("{}-guard", self.name);
        self.host.set_guard(sim.node(&guard));
        self.guard = Some(guard);
    }

    /// Whether its agent runs.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Why its last agent ended by itself.
    pub fn ended(&self) -> Option<String> {
        lock(&self.ended).clone()
    }

    pub(super) fn start(&mut self, sim: &Sim) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        if !sim.is_alive(&self.name) {
            self.env = sim.restart(&self.name);
        }
        *lock(&self.ended) = None;
        let (shutdown, stop) = watch::channel(false);
        let config = AgentConfig { boot_id: Some(format!("{}-{}", self.name, self.boots)), ..self.config.clone() };
        let (env, ended) = (self.env.clone(), self.ended.clone());
        self.env.spawn(AGENT, async move {
            let why = match seawall_agent::run_linked(env, config, stop).await {
                Ok(()) => "shut down".to_owned(),
                Err(error) => error.to_string(),
            };
            *lock(&ended) = Some(why);
        });
        self.process = Some(shutdown);
    }

    pub(super) fn forget_process(&mut self) {
        self.process = None;
    }

    /// The machine lost its power: no container runs any more, and the next start is another boot.
    pub(super) fn reboot(&mut self) {
        assert!(self.process.is_none(), "the agent of {} runs", self.name);
        self.host.reboot();
        self.boots += 1;
    }
}
