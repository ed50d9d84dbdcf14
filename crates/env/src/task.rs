//! Tasks that say what their end means.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// What a task is for, and what to do when it panics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskKind {
    /// As it stands in logs ("proposer").
    pub name: &'static str,
    /// What a panic in it means.
    pub on_error: OnError,
}

/// What a panic in a task means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnError {
    /// Logged; the rest goes on (one connection, one request).
    Log,
    /// The process cannot go on without it: it logs and aborts.
    Abort,
}

impl TaskKind {
    /// A task whose panic ends the process.
    pub const fn vital(name: &'static str) -> Self {
        TaskKind { name, on_error: OnError::Abort }
    }

    /// A task whose panic is logged.
    pub const fn request(name: &'static str) -> Self {
        TaskKind { name, on_error: OnError::Log }
    }
}

/// A handle on a running task; waiting on it waits for its end. Dropping it leaves the task running.
pub struct Task {
    pub(crate) end: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    pub(crate) abort: Box<dyn Fn() + Send + Sync>,
}

impl Task {
    /// Stops the task at its next await.
    pub fn abort(&self) {
        (self.abort)();
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.end.as_mut().poll(cx)
    }
}
