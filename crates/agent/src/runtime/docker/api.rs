//! The engine's API over its UNIX socket: the deadline of each call, and what its refusals mean.
//!
//! This is where the runtime leaves the environment: `bollard` opens the socket on tokio by itself. Nothing that is
//! simulated runs Docker.

use std::{future::Future, path::Path, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker, errors::Error};
use seawall_env::Env;

use crate::runtime::{Fault, RuntimeError};

/// For what an engine answers from memory.
pub const ANSWER: Duration = Duration::from_secs(30);
/// bollard's own limit, out of the way: each call here has a deadline that fits it.
const NEVER_S: u64 = u64::MAX;
/// Statuses of answers.
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It refused, in its words.
    #[error("{message}")]
    Refused {
        /// HTTP's.
        status: u16,
        /// The engine's.
        message: String,
    },
    /// It did not answer in time: it may or may not have acted.
    #[error("the Docker engine did not {what} within {} s", limit.as_secs())]
    Late {
        /// What it was asked to do.
        what: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// It cannot be reached, or its answer cannot be read.
    #[error("{what}: the Docker engine at {socket} does not answer as it should: {why}")]
    Broken {
        /// What it was asked to do.
        what: &'static str,
        /// Where it should be.
        socket: String,
        /// What happened instead.
        why: String,
    },
}

impl ApiError {
    /// Whether what was asked about is not there.
    pub fn is_not_found(&self) -> bool {
        self.has_status(NOT_FOUND)
    }

    /// Whether something of the same name stands in the way, or the same is under way.
    pub fn is_conflict(&self) -> bool {
        self.has_status(CONFLICT)
    }

    /// Whether the engine's words begin so.
    pub fn says(&self, beginning: &str) -> bool {
        matches!(self, ApiError::Refused { message, .. } if message.starts_with(beginning))
    }

    fn has_status(&self, wanted: u16) -> bool {
        matches!(self, ApiError::Refused { status, .. } if *status == wanted)
    }

    /// As the failure of a step.
    pub fn of(self, fault: Fault) -> RuntimeError {
        let fault = if matches!(self, ApiError::Late { .. }) { Fault::Timeout } else { fault };
        RuntimeError::new(fault, self.to_string())
    }
}

impl From<ApiError> for RuntimeError {
    fn from(error: ApiError) -> Self {
        error.of(Fault::Engine)
    }
}

/// The engine. Clones speak with the same one.
#[derive(Clone)]
pub struct Api {
    /// The machine's clocks and tasks.
    pub env: Env,
    /// Its calls, without deadlines.
    pub docker: Docker,
    socket: String,
}

impl Api {
    /// Reaches the engine and agrees with it on a version of its API.
    pub async fn connect(env: Env, socket: &Path) -> Result<Self, RuntimeError> {
        let socket = socket.display().to_string();
        let advice = |why: String| {
            RuntimeError::new(
                Fault::Engine,
                format!(
                    "the Docker engine does not answer at {socket}: {why}. Start it, let this user use its socket, or name \
                     another one with --docker-socket."
                ),
            )
        };
        let docker = Docker::connect_with_unix(&socket, NEVER_S, API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| advice(words(&error)))?;
        let api = Api { env, docker, socket: socket.clone() };
        api.agree().await.map_err(|error| advice(error.to_string()))?;
        Ok(api)
    }

    /// Agrees on the version of the API again: another engine may listen since. Fails where none does.
    pub async fn agree(&self) -> Result<(), ApiError> {
        // Its clones share the version.
        self.ask("tell its version", ANSWER, self.docker.clone().negotiate_version()).await.map(|_| ())
    }

    /// Waits for the answer to one call.
    pub async fn ask<T>(
        &self,
        what: &'static str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, ApiError> {
        match self.env.timeout(limit, call).await {
            Ok(answer) => answer.map_err(|error| self.explain(what, error)),
            Err(_) => Err(ApiError::Late { what, limit }),
        }
    }

    /// What an error of bollard's means.
    pub fn explain(&self, what: &'static str, error: Error) -> ApiError {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                ApiError::Refused { status: status_code, message: message.trim().to_owned() }
            }
            // It comes after the answer's status, which was good.
            Error::DockerStreamError { error } => ApiError::Refused { status: 200, message: error.trim().to_owned() },
            other => ApiError::Broken { what, socket: self.socket.clone(), why: words(&other) },
        }
    }
}

/// An error with its causes: the outermost alone often says only "client error".
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_is_a_timeout_whatever_was_asked() {
        let late = ApiError::Late { what: "start a container", limit: Duration::from_secs(180) };
        let error = late.of(Fault::Start);
        assert_eq!(error.fault, Fault::Timeout);
        let text = "DockerTimeoutError: the Docker engine did not start a container within 180 s";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_refusal_keeps_the_words_of_the_engine() {
        let refused = ApiError::Refused { status: 404, message: "No such image: x:1".into() };
        assert!(refused.is_not_found() && refused.says("No such image"));
        assert_eq!(refused.of(Fault::Create).to_string(), "CannotCreateContainerError: No such image: x:1");
    }
}
