//! Clients' calls as messages. The public API's own encoding of errors and deadlines is gRPC's, which the simulation's
//! links do not speak.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    Env,
    net::{Lane, MessageReceiver, MessageSender, NetError},
};
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::v1::{LogLine, Position, TaskLogsRequest, WatchEvent, WatchRequest};
use tokio::sync::mpsc;

/// Any operation that has one answer.
pub(super) const CALL: &str = "/seawall.v1.Simulated/Call";
pub(super) const WATCH: &str = "/seawall.v1.Simulated/Watch";
pub(super) const LOGS: &str = "/seawall.v1.Simulated/TaskLogs";
/// A link breaks by itself when nobody is there; this is longer than any call's own deadline.
const TRANSPORT_MARGIN: Duration = Duration::from_secs(1);
/// Items of a stream that its reader has not taken.
const ITEMS_WAITING: usize = 16;

/// A call.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Asked {
    #[prost(string, tag = "1")]
    pub(super) operation: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) body: Bytes,
    #[prost(bool, tag = "3")]
    pub(super) stale: bool,
    #[prost(uint64, tag = "4")]
    pub(super) timeout_ms: u64,
    #[prost(string, tag = "5")]
    pub(super) request_id: String,
}

/// An answer, or an item of a stream.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answered {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) body: Bytes,
    /// ECS's name of the error; empty: none.
    #[prost(string, tag = "2")]
    pub(super) code: String,
    #[prost(string, tag = "3")]
    pub(super) message: String,
    /// Of a watch that cannot go on: where to list.
    #[prost(message, optional, tag = "4")]
    pub(super) list_at: Option<Position>,
}

impl Answered {
    pub(super) fn ok(message: &impl Message) -> Answered {
        Answered { body: message.encode_to_vec().into(), ..Answered::default() }
    }

    pub(super) fn refused(error: &ApiError) -> Answered {
        Answered { code: error.code.as_str().into(), message: error.message.clone(), ..Answered::default() }
    }

    fn decoded<A: Message + Default>(self) -> Result<A, CallError> {
        if !self.code.is_empty() {
            return Err(CallError::Refused {
                error: ApiError::new(ErrorCode::from_name(&self.code), self.message),
                list_at: self.list_at,
            });
        }
        A::decode(self.body).map_err(|error| CallError::Link(NetError::Broken(error.to_string())))
    }
}

/// Why a call has no answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CallError {
    /// The member said so.
    #[error("{error}")]
    Refused {
        /// As every client gets it.
        error: ApiError,
        /// Of a watch that cannot go on: where to list.
        list_at: Option<Position>,
    },
    /// The member was not reached, or its answer did not arrive.
    #[error("{0}")]
    Link(NetError),
}

impl CallError {
    /// What the member said, if it said anything.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            CallError::Refused { error, .. } => Some(error.code),
            CallError::Link(_) => None,
        }
    }
}

/// How to call.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take what the member has, without asking the leader.
    pub stale: bool,
    /// The call's deadline.
    pub timeout: Duration,
    /// In logs.
    pub request_id: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { stale: false, timeout: Duration::from_secs(10), request_id: String::new() }
    }
}

/// Calls an operation ("CreateService") of the member at `address`.
///
/// # Errors
/// [`CallError`]: refused, or it may or may not have happened.
pub async fn call<A: Message + Default>(
    env: &Env,
    address: &str,
    operation: &str,
    request: &impl Message,
    options: Options,
) -> Result<A, CallError> {
    let asked = Asked {
        operation: operation.to_owned(),
        body: request.encode_to_vec().into(),
        stale: options.stale,
        timeout_ms: u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX),
        request_id: options.request_id,
    };
    let body = asked.encode_to_vec().into();
    let answer = env.net().call(address, Lane::Main, CALL, body, options.timeout + TRANSPORT_MARGIN).await;
    let answer = Answered::decode(answer.map_err(CallError::Link)?);
    answer.map_err(|error| CallError::Link(NetError::Broken(error.to_string())))?.decoded()
}

/// Changes of resources, until the member or the link ends it.
///
/// # Errors
/// The member is not reached.
pub async fn watch(
    env: &Env,
    address: &str,
    request: &WatchRequest,
) -> Result<mpsc::Receiver<Result<WatchEvent, CallError>>, CallError> {
    open(env, address, WATCH, request).await
}

/// Lines of a task's logs.
///
/// # Errors
/// The member is not reached.
pub async fn task_logs(
    env: &Env,
    address: &str,
    request: &TaskLogsRequest,
) -> Result<mpsc::Receiver<Result<LogLine, CallError>>, CallError> {
    open(env, address, LOGS, request).await
}

async fn open<A: Message + Default + 'static>(
    env: &Env,
    address: &str,
    method: &'static str,
    request: &impl Message,
) -> Result<mpsc::Receiver<Result<A, CallError>>, CallError> {
    let (out, incoming) = env.net().open(address, Lane::Main, method).await.map_err(CallError::Link)?;
    let sent = out.send(request.encode_to_vec().into()).await;
    sent.map_err(|_| CallError::Link(NetError::Broken("the stream closed".into())))?;
    let (items, reader) = mpsc::channel(ITEMS_WAITING);
    env.spawn(seawall_env::TaskKind::request("stream reader"), read_items(out, incoming, items));
    Ok(reader)
}

async fn read_items<A: Message + Default>(
    // Held: dropping it ends the stream.
    _out: MessageSender,
    mut incoming: MessageReceiver,
    items: mpsc::Sender<Result<A, CallError>>,
) {
    loop {
        let bytes = tokio::select! {
            biased;
            () = items.closed() => return,
            bytes = incoming.recv() => bytes,
        };
        let Some(bytes) = bytes else { return };
        let item = Answered::decode(bytes).map_err(|error| CallError::Link(NetError::Broken(error.to_string())));
        if items.send(item.and_then(Answered::decoded)).await.is_err() {
            return;
        }
    }
}
