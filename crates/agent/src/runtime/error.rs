//! Why a runtime's call failed, in ECS's words where it has some.

use std::fmt;

/// Kinds of failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The image cannot be had.
    Pull,
    /// The image was there and is gone: pull again.
    NoImage,
    /// The engine does not make the container.
    Create,
    /// The engine does not start it.
    Start,
    /// The engine does not stop it.
    Stop,
    /// The engine did not answer in time: it may or may not have acted.
    Timeout,
    /// There is no such container.
    Gone,
    /// The definition asks for what this runtime does not have.
    Unsupported,
    /// Anything else.
    Engine,
}

impl Fault {
    /// ECS's prefix of reasons.
    fn prefix(self) -> &'static str {
        match self {
            Fault::Pull | Fault::NoImage => "CannotPullContainerError",
            Fault::Create => "CannotCreateContainerError",
            Fault::Start => "CannotStartContainerError",
            Fault::Stop => "CannotStopContainerError",
            Fault::Timeout => "DockerTimeoutError",
            Fault::Gone => "ContainerRemovedError",
            Fault::Unsupported => "UnsupportedFeatureError",
            Fault::Engine => "ContainerRuntimeError",
        }
    }
}

/// A failed call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuntimeError {
    /// What kind.
    pub fault: Fault,
    /// For people, without the prefix.
    pub message: String,
}

impl RuntimeError {
    /// An error.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        RuntimeError { fault, message: message.into() }
    }

    /// The same failure as part of a larger step; what already says more stays as it is.
    pub fn or(self, fault: Fault) -> Self {
        RuntimeError { fault: if self.fault == Fault::Engine { fault } else { self.fault }, ..self }
    }
}

impl fmt::Display for RuntimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fault.prefix(), self.message)
    }
}

impl std::error::Error for RuntimeError {}
