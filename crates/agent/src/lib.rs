//! The agent of a container instance: one stream to any member, assigned tasks turned into containers, reports back.
//!
//! `session` speaks with the cluster, `engine` moves each task through its phases, `runtime` is what runs containers.
//! A session that breaks never touches a task: only an explicit stop does, or absence from a whole sync of the same
//! epoch. What runs is found again from labels and folders, so the agent's own files may be lost.

mod config;
pub mod engine;
mod error;
pub mod guard;
mod machine;
mod news;
pub mod pause;
pub mod runtime;
mod session;
mod shim;
pub mod spec;
pub mod store;
mod trust;

use std::sync::Arc;

use seawall_env::Env;
use tokio::sync::watch;

pub use config::{AgentConfig, DEFAULT_DOCKER_SOCKET, DEFAULT_RESERVED_PORTS, ImagePull, RuntimeKind};
pub use error::AgentError;
pub use guard::guard_main;
pub use shim::shim_main;
pub use trust::Trust;

use runtime::{Runtime, docker::DockerRuntime, fake::FakeRuntime, process::ProcessRuntime};
use session::Agent;
use store::Store;

/// Runs an agent until `shutdown` is true. Its tasks go on afterwards.
///
/// # Errors
/// [`AgentError`]: what an operator must put right. A cluster out of reach is no error, it is waited for.
pub async fn run(
    env: Env,
    config: AgentConfig,
    trust: Trust,
    shutdown: watch::Receiver<bool>,
) -> Result<(), AgentError> {
    config.check()?;
    until(shutdown, async {
        let store = Store::open(&env, &config.data_dir)?;
        let id = machine::instance_id(&env, &config, &store).await?;
        let env = trust::links(env, &trust, &config.servers, &id, &config.data_dir).await?;
        Err(serve(env, config, Arc::new(store), id).await)
    })
    .await
}

/// Runs an agent whose links are proven already, as those of the simulation are.
///
/// # Errors
/// As of [`run`].
pub async fn run_linked(env: Env, config: AgentConfig, shutdown: watch::Receiver<bool>) -> Result<(), AgentError> {
    config.check()?;
    until(shutdown, async {
        let store = Store::open(&env, &config.data_dir)?;
        let id = machine::instance_id(&env, &config, &store).await?;
        Err(serve(env, config, Arc::new(store), id).await)
    })
    .await
}

async fn until(
    mut shutdown: watch::Receiver<bool>,
    work: impl Future<Output = Result<(), AgentError>>,
) -> Result<(), AgentError> {
    tokio::select! {
        biased;
        // A sender that is gone asks for the end as well.
        _ = shutdown.wait_for(|stop| *stop) => Ok(()),
        ended = work => ended,
    }
}

async fn serve(env: Env, config: AgentConfig, store: Arc<Store>, instance_id: String) -> AgentError {
    let prepared = async {
        let runtime = runtime(&env, &config).await?;
        let description = runtime.describe().await.map_err(|error| AgentError::Runtime(error.to_string()))?;
        let machine = machine::describe(&env, &config, &instance_id, &description)?;
        tracing::info!(
            instance = instance_id,
            cluster = config.cluster,
            zone = config.zone,
            runtime = description.kind,
            version = description.version,
            "agent starts"
        );
        Ok(Agent::new(env.clone(), &config, store, runtime, machine))
    };
    match prepared.await {
        Ok(agent) => agent.run().await,
        Err(error) => error,
    }
}

async fn runtime(env: &Env, config: &AgentConfig) -> Result<Arc<dyn Runtime>, AgentError> {
    match &config.runtime {
        RuntimeKind::Docker => match DockerRuntime::connect(env.clone(), config).await {
            Ok(runtime) => Ok(Arc::new(runtime)),
            Err(error) => Err(AgentError::Runtime(error.to_string())),
        },
        RuntimeKind::Fake(fake) => Ok(Arc::new(FakeRuntime::new(env.clone(), fake.clone()))),
        RuntimeKind::Process => ProcessRuntime::new(env.clone(), config)
            .map(|runtime| Arc::new(runtime) as Arc<dyn Runtime>)
            .map_err(|error| AgentError::DataFolder { path: config.data_dir.clone(), why: error.to_string() }),
    }
}
