//! A runtime without processes, for load and simulation.
//!
//! Its containers live in a [`FakeHost`], which outlives the agent as an engine does: an agent that is started again on
//! the same host finds them. How a container behaves is drawn from [`FakeConfig`], or said by its own environment
//! (`FAKE_RUN_MS`, `FAKE_EXIT_CODE`, …), so that a task definition can play every part.

mod behaviour;
mod guard;
mod host;

use std::{sync::Arc, time::Duration};

use seawall_env::{Env, TaskKind};
use seawall_proto::internal::v1::PortBinding;
use tokio::sync::mpsc;

use crate::{
    config::ImagePull,
    guard::MaybeGuard,
    runtime::{
        Call, Description, Event, EventKind, Fault, GUARD_ATTRIBUTE, Held, LogLines, LogQuery, Observed, Runtime,
        RuntimeError,
    },
    spec::{ContainerSpec, Owner, TaskSpec},
};
use behaviour::Behaviour;
use guard::FakeGuard;
pub use host::FakeHost;

/// How late is late.
const OOM_LATE: Duration = Duration::from_millis(50);

/// How fake containers behave.
#[derive(Clone, Debug)]
pub struct FakeConfig {
    /// Shortest and longest start.
    pub start: (Duration, Duration),
    /// Shortest and longest run; `None`: until stopped.
    pub run: Option<(Duration, Duration)>,
    /// The machine they run on.
    pub host: FakeHost,
}

impl Default for FakeConfig {
    fn default() -> Self {
        FakeConfig {
            start: (Duration::from_millis(50), Duration::from_millis(300)),
            run: None,
            host: FakeHost::default(),
        }
    }
}

/// The runtime.
pub struct FakeRuntime {
    env: Env,
    config: FakeConfig,
}

impl FakeRuntime {
    /// Runs containers on `config.host`.
    pub fn new(env: Env, config: FakeConfig) -> Self {
        FakeRuntime { env, config }
    }

    fn let_live(&self, container: &ContainerSpec, behaviour: Behaviour) {
        let life = live(self.env.clone(), self.config.host.clone(), container.clone(), behaviour);
        self.env.spawn(TaskKind::request("fake container"), life);
    }

    fn behaviour(&self, container: &ContainerSpec) -> Behaviour {
        Behaviour::of(container.definition(), &self.config, &self.env)
    }
}

impl Runtime for FakeRuntime {
    fn describe(&self) -> Call<'_, Description> {
        let capabilities = [
            "com.amazonaws.ecs.capability.logging-driver.awslogs",
            "ecs.capability.pid-ipc-namespace-sharing",
            "ecs.capability.task-eni",
            GUARD_ATTRIBUTE,
        ]
        .map(str::to_owned)
        .to_vec();
        Box::pin(async { Ok(Description { kind: "fake", version: String::new(), capabilities }) })
    }

    fn held<'a>(&'a self, instance: &'a str) -> Call<'a, Vec<Held>> {
        Box::pin(async move { Ok(self.config.host.held(instance)) })
    }

    fn unsupported(&self, _task: &TaskSpec) -> Option<String> {
        None
    }

    fn pull<'a>(&'a self, image: &'a str, _policy: ImagePull) -> Call<'a, Option<String>> {
        Box::pin(async move {
            self.config.host.note(format!("pull {image}"));
            match image.strip_prefix("missing") {
                Some(_) => Err(RuntimeError::new(
                    Fault::Pull,
                    format!("image {image} not found locally and pull failed: no such image"),
                )),
                None => Ok(None),
            }
        })
    }

    fn create<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, String> {
        Box::pin(async move {
            self.config.host.note(format!("create {}", container.name()));
            Ok(self.config.host.create(container))
        })
    }

    fn start<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(async move {
            let behaviour = self.behaviour(container);
            self.env.sleep(behaviour.start).await;
            self.config.host.note(format!("start {}", container.name()));
            if let Some(error) = behaviour.start_error {
                return Err(RuntimeError::new(Fault::Start, error));
            }
            let bindings = self.config.host.start(container, &self.env)?;
            self.let_live(container, behaviour);
            Ok(bindings)
        })
    }

    fn restart<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(async move {
            let behaviour = self.behaviour(container);
            self.env.sleep(behaviour.start).await;
            self.config.host.note(format!("restart {}", container.name()));
            if let Some(error) = behaviour.restart_error {
                return Err(RuntimeError::new(Fault::Start, error));
            }
            self.config.host.rewind(container);
            let bindings = self.config.host.start(container, &self.env)?;
            self.config.host.tell(container, EventKind::Started);
            self.let_live(container, behaviour);
            Ok(bindings)
        })
    }

    fn stop<'a>(&'a self, container: &'a ContainerSpec, grace_ms: u64) -> Call<'a, ()> {
        Box::pin(async move {
            self.config.host.note(format!("stop {}", container.name()));
            let behaviour = self.behaviour(container);
            let grace = Duration::from_millis(grace_ms);
            self.env.sleep(behaviour.stop.min(grace)).await;
            let code = if behaviour.stop > grace { 137 } else { 143 };
            self.config.host.exit(container, code);
            Ok(())
        })
    }

    fn inspect<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Option<Observed>> {
        Box::pin(async move { Ok(self.config.host.inspect(container)) })
    }

    fn remove<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, ()> {
        Box::pin(async move { self.config.host.remove(container) })
    }

    fn remove_task<'a>(&'a self, _task: &'a TaskSpec) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn events<'a>(&'a self, owner: &'a Owner) -> Call<'a, mpsc::Receiver<Event>> {
        Box::pin(async move { Ok(self.config.host.events(&self.env, owner)) })
    }

    fn guard(&self) -> MaybeGuard {
        Some(Arc::new(FakeGuard::new(self.env.clone(), self.config.host.clone())))
    }

    fn logs<'a>(&'a self, container: &'a ContainerSpec, _query: LogQuery) -> Call<'a, LogLines> {
        Box::pin(async move {
            let (lines, receiver) = mpsc::channel(1);
            let line = self.config.host.log_line(container, self.env.wall_ms());
            // The receiver is at hand and the queue is empty.
            let _ = lines.try_send(Ok(line));
            Ok(receiver)
        })
    }
}

/// The life of a container after its start.
async fn live(env: Env, host: FakeHost, container: ContainerSpec, behaviour: Behaviour) {
    let run = host.runs(&container);
    if let Some(after) = behaviour.healthy {
        env.sleep(after).await;
        host.tell(&container, EventKind::Health(behaviour.health));
    }
    let Some(length) = behaviour.run else { return };
    env.sleep(length).await;
    if host.runs(&container) != run {
        return;
    }
    if behaviour.oom && !behaviour.oom_is_late {
        host.tell(&container, EventKind::Oom);
    }
    host.exit(&container, behaviour.exit_code);
    if behaviour.oom_is_late {
        env.sleep(OOM_LATE).await;
        host.tell(&container, EventKind::Oom);
    }
}
