//! What ends an agent.

use std::path::PathBuf;

/// Why an agent cannot go on. Each names what an operator can do about it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A flag is wrong.
    #[error("{0}")]
    Config(String),
    /// Its folder cannot be read or written.
    #[error("cannot use the data folder {}: {why}", path.display())]
    DataFolder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The engine that runs containers does not answer.
    #[error("{0}")]
    Runtime(String),
    /// Every member refused this agent and trying again will not help.
    #[error("refused by the cluster: {0}")]
    Refused(String),
}
