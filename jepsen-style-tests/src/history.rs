//! What clients asked and what they were told, on one monotonic clock. The checkers see nothing else, so an outcome that a
//! client cannot know must be recorded as unknown: a write that timed out may take effect at any later time, or never.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// What was done to one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The value that was returned; meaningless unless the operation is ok.
    Read(Option<u64>),
    /// The value that was set.
    Write(u64),
    /// Sets `to` if the register holds `from`.
    Cas {
        /// What the register must hold.
        from: Option<u64>,
        /// What it holds afterwards.
        to: u64,
    },
}

/// What the client knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged.
    Ok,
    /// Refused: it had no effect and never will.
    Fail,
    /// No answer, or one that leaves it open (Jepsen's "info").
    Unknown,
}

/// One operation from its call to its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Which client.
    pub client: u32,
    /// Which register.
    pub key: u32,
    /// What it did.
    pub action: Action,
    /// When it was called, since the history began.
    pub invoked_ns: u64,
    /// When its answer came, or when the client gave up.
    pub completed_ns: u64,
    /// What the answer was.
    pub outcome: Outcome,
    /// The member that was asked.
    pub member: String,
    /// Why it is not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A history that many clients append to.
pub struct Recorder {
    began: Instant,
    operations: Mutex<Vec<Operation>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { began: Instant::now(), operations: Mutex::new(Vec::new()) }
    }
}

impl Recorder {
    /// Time since the history began.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Adds a finished operation.
    pub fn record(&self, operation: Operation) {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    }

    /// A copy of what was recorded so far, in order of the calls.
    pub fn operations(&self) -> Vec<Operation> {
        let mut all = self.operations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by_key(|o| (o.invoked_ns, o.client));
        all
    }
}

/// Tells clients and observers that the run is over. They outlast the last fault, so that its end is in the history.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// The run is over.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is.
    pub fn stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
