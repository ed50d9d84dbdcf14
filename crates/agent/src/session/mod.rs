//! The agent's way into the cluster: one outgoing stream to any member, and another one when that breaks.
//!
//! A stream that breaks touches no task. The engine goes on without it, and what happened meanwhile is reported on the
//! next one.

mod logs;
mod members;
mod reports;
mod stream;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use prost::Message;
use seawall_env::{
    Env,
    net::{Lane, NetError},
};
use seawall_proto::internal::v1::{AgentIdentity, Welcome};

use crate::{
    config::AgentConfig,
    engine::{Engine, EngineSettings},
    error::AgentError,
    news::News,
    runtime::Runtime,
    spec::Owner,
    store::{Identity, Position, Store},
};
use members::Members;
use stream::{End, Stream};

/// The stream's method.
const OPEN: &str = "/seawall.internal.v1.Session/Open";
/// The first pause after every member was tried in vain; doubled each time…
const PAUSE: Duration = Duration::from_millis(200);
/// …up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How long a member may take to welcome the agent, at first. Shorter than a lease: a member that is cut off from its
/// leader must not cost the agent its own…
const WELCOME: Duration = Duration::from_millis(1500);
/// …and in the end: a cluster that takes thousands of agents back at once is slow, and asking elsewhere makes it slower.
const WELCOME_MAX: Duration = Duration::from_secs(10);

/// An agent with everything it needs to run tasks but a cluster.
pub(crate) struct Agent {
    env: Env,
    store: Arc<Store>,
    runtime: Arc<dyn Runtime>,
    settings: EngineSettings,
    /// As the cluster is told; without an ARN and the attempt.
    machine: AgentIdentity,
    servers: Vec<String>,
    identity: Identity,
    /// The identity as its file has it.
    kept: Identity,
    position: Position,
    attempts: u64,
    /// Absent until it is known whose containers are to be taken up.
    engine: Option<Engine>,
    news: News,
}

impl Agent {
    /// What it knows from its folder.
    pub(crate) fn new(
        env: Env,
        config: &AgentConfig,
        store: Arc<Store>,
        runtime: Arc<dyn Runtime>,
        machine: AgentIdentity,
    ) -> Self {
        Agent {
            env,
            settings: EngineSettings::from(config),
            servers: config.servers.clone(),
            identity: store.identity(),
            kept: store.identity(),
            position: store.position(),
            attempts: 0,
            store,
            runtime,
            machine,
            engine: None,
            news: News::default(),
        }
    }

    /// Goes from member to member until trying again will not help.
    pub(crate) async fn run(mut self) -> AgentError {
        match self.serve().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, AgentError> {
        if !self.identity.cluster_id.is_empty() {
            self.start_engine().await?;
        }
        let mut members = Members::new(self.servers.clone(), self.identity.members.clone());
        let mut rounds = 0;
        loop {
            let mut refusals = Vec::new();
            for address in members.round() {
                match self.attend(&address, welcome_limit(rounds)).await? {
                    Attempt::Served(end) => {
                        tracing::warn!(member = address, %end, "lost the member; going to the next one");
                        self.news.over(&address);
                        rounds = 0;
                        members.after(&address, &self.identity.members);
                        break;
                    }
                    Attempt::NotServed(why) => self.not_served(&address, &why),
                    Attempt::Refused(why) => {
                        self.not_served(&address, &why);
                        refusals.push(why);
                    }
                }
                if refusals.len() == members.len() {
                    return Err(AgentError::Refused(refusals.remove(0)));
                }
            }
            if members.is_exhausted() {
                let pause = self.env.jitter(PAUSE.saturating_mul(1 << rounds.min(8)).min(PAUSE_MAX));
                if rounds == 0 {
                    tracing::warn!(members = members.len(), "no member serves this agent yet; its tasks go on");
                }
                rounds += 1;
                self.env.sleep(pause).await;
            }
        }
    }

    fn not_served(&mut self, address: &str, why: &str) {
        if self.news.is_new(address, why) {
            tracing::warn!(member = address, why, "a member does not serve this agent; trying on");
        }
    }

    /// One member, from the connection to the end of the stream.
    async fn attend(&mut self, address: &str, limit: Duration) -> Result<Attempt, AgentError> {
        let opened = self.env.net().open(address, Lane::Main, OPEN);
        let (outgoing, incoming) = match self.env.timeout(limit, opened).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(NetError::Refused(why))) => return Ok(Attempt::Refused(why)),
            Ok(Err(error)) => return Ok(Attempt::NotServed(error.to_string())),
            Err(elapsed) => return Ok(Attempt::NotServed(elapsed.to_string())),
        };
        let mut stream = Stream::new(self, outgoing, incoming);
        let welcome = match stream.hello(limit).await {
            Ok(welcome) => welcome,
            Err(End::Refused { reason, retry: false }) => return Err(AgentError::Refused(reason)),
            Err(end) => return Ok(Attempt::NotServed(end.to_string())),
        };
        tracing::info!(member = welcome.member, address, session = welcome.session, "connected");
        match stream.run(welcome).await? {
            End::Refused { reason, retry: false } => Err(AgentError::Refused(reason)),
            // A session that the cluster keeps ending must not be opened again without a pause.
            end @ End::Refused { .. } => Ok(Attempt::NotServed(end.to_string())),
            end => Ok(Attempt::Served(end)),
        }
    }

    /// Keeps what a welcome tells of this agent's place in the cluster.
    async fn welcomed(&mut self, welcome: &Welcome) {
        let identity = Identity {
            cluster_id: welcome.cluster_id.clone(),
            arn_hi: welcome.arn_hi,
            arn_lo: welcome.arn_lo,
            ..self.identity.clone()
        };
        self.keep(identity).await;
    }

    async fn keep(&mut self, identity: Identity) {
        self.identity = identity;
        if self.identity != self.kept {
            let written = self.store.save_identity(&self.identity).await;
            if self.is_kept("identity", written) {
                self.kept = self.identity.clone();
            }
        }
    }

    async fn keep_position(&mut self) -> bool {
        let written = self.store.save_position(self.position).await;
        self.is_kept("position", written)
    }

    /// Whether a file was written. A full disk must not end the agent: its lease would run out and its tasks be replaced,
    /// while all that the files tell is found out again from the cluster.
    fn is_kept(&mut self, file: &str, written: Result<(), AgentError>) -> bool {
        let Err(error) = written else {
            self.news.over(file);
            return true;
        };
        if self.news.is_new(file, &error.to_string()) {
            tracing::warn!(%error, "cannot write the agent's {file}: going on without it; is the disk full?");
        }
        false
    }

    async fn start_engine(&mut self) -> Result<(), AgentError> {
        if self.engine.is_some() {
            return Ok(());
        }
        let owner = Owner {
            cluster_id: self.identity.cluster_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            instance: self.machine.ec2_instance_id.clone(),
        };
        let (env, runtime) = (self.env.clone(), self.runtime.clone());
        let started = Engine::start(env, runtime, self.store.clone(), self.settings.clone(), owner).await;
        self.engine = Some(started.map_err(|error| AgentError::Runtime(error.to_string()))?);
        Ok(())
    }

    fn hello(&mut self) -> seawall_proto::internal::v1::Hello {
        self.attempts += 1;
        seawall_proto::internal::v1::Hello {
            identity: Some(AgentIdentity {
                attempt: self.attempts,
                arn_hi: self.identity.arn_hi,
                arn_lo: self.identity.arn_lo,
                ..self.machine.clone()
            }),
            cluster_id: self.identity.cluster_id.clone(),
            seen_epoch: self.position.epoch,
            seen_index: self.position.index,
            tasks: self.engine.as_ref().map(Engine::reports).unwrap_or_default(),
        }
    }
}

/// What came of one member.
enum Attempt {
    /// There was a session, and it ended so.
    Served(End),
    /// There was none: another member may serve.
    NotServed(String),
    /// Its transport does not know this agent.
    Refused(String),
}

fn welcome_limit(rounds: u32) -> Duration {
    WELCOME.saturating_mul(1 << rounds.min(8)).min(WELCOME_MAX)
}

fn encode(message: &impl Message) -> bytes::Bytes {
    message.encode_to_vec().into()
}
