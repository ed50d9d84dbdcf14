//! The agent of a container instance: one stream to any member, assigned tasks turned into containers, reports back.
//!
//! `session` speaks with the cluster, `engine` moves each task through its phases, `runtime` is what runs containers.
//! A session that breaks never touches a task: only an explicit stop does, or absence from a whole sync of the same
//! epoch. What runs is found again from labels and folders, so the agent's own files may be lost.

mod config;
pub mod engine;
mod error;
pub mod runtime;
mod shim;
pub mod spec;
pub mod store;

use seawall_env::Env;
use tokio::sync::watch;

pub use config::{AgentConfig, DEFAULT_DOCKER_SOCKET, DEFAULT_RESERVED_PORTS, ImagePull, RuntimeKind};
pub use error::AgentError;
pub use shim::shim_main;

/// Runs an agent until `shutdown` is true. Its tasks go on afterwards.
///
/// # Errors
/// [`AgentError`]: what an operator must put right. A cluster out of reach is no error, it is waited for.
pub async fn run(env: Env, config: AgentConfig, mut shutdown: watch::Receiver<bool>) -> Result<(), AgentError> {
    tracing::info!(cluster = config.cluster, zone = config.zone, now = ?env.now(), "agent starts");
    // A sender that is gone asks for the end as well.
    let _ = shutdown.wait_for(|stop| *stop).await;
    Ok(())
}
