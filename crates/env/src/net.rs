//! Links as traits over encoded messages: gRPC over TLS in production, queues with faults in the simulation.
//!
//! A method is a gRPC path ("/seawall.internal.v1.Peer/Append"), a message its encoded bytes, an address `host:port`.

pub mod grpc;
pub mod tcp;
pub mod trust;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::BoxFuture;

/// Why a link failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetError {
    /// Nothing reached the other side.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// Where to.
        address: String,
        /// For people.
        why: String,
    },
    /// Sent, but no answer in time: the other side may or may not have acted.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The link broke: the other side may or may not have acted.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The other side does not know this caller (other secret, other cluster, no certificate).
    #[error("refused: {0}")]
    Refused(String),
}

/// Connections kept apart, so that a snapshot or a long append never delays a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Everything else.
    Main,
    /// Raft's heartbeats and votes.
    Heartbeat,
    /// Snapshots.
    Snapshot,
}

/// Sends messages of a stream; waits while the other side is slow.
pub type MessageSender = tokio::sync::mpsc::Sender<Bytes>;
/// Receives messages of a stream; `None` when it has ended, whoever ended it.
pub type MessageReceiver = tokio::sync::mpsc::Receiver<Bytes>;
/// Messages that wait on either side of a stream.
pub const STREAM_MESSAGES_WAITING: usize = 16;

/// Who called, as the transport proved it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// The name in the caller's certificate ("member:s1", "agent:mi-…"); `None` without one.
    pub certificate_name: Option<String>,
    /// Its address, for logs.
    pub address: String,
}

/// Dials.
pub trait Net: Send + Sync + 'static {
    /// One message there, one back.
    fn call(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetError>>;

    /// Messages both ways until either side drops its sender.
    fn open(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
    ) -> BoxFuture<'static, Result<(MessageSender, MessageReceiver), NetError>>;
}

/// Answers. In production it is mounted on a port by [`grpc::service`], in the simulation by [`crate::sim::Sim`].
pub trait Handler: Send + Sync + 'static {
    /// Whether this handler answers `method`.
    fn handles(&self, method: &str) -> bool;
    /// Whether `method` is a stream: [`Handler::open`] answers it, not [`Handler::call`].
    fn is_stream(&self, method: &str) -> bool {
        let _ = method;
        false
    }
    /// One message in, one out.
    fn call(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        body: Bytes,
    ) -> BoxFuture<'static, Result<Bytes, NetError>>;
    /// A stream; it ends when the future does, or when the caller drops its sender (then `incoming` gives `None`).
    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        let _ = (caller, incoming, outgoing);
        Box::pin(async move { Err(NetError::Refused(format!("{method} is no stream"))) })
    }
}
