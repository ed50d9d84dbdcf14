//! Answers agents and clients: what a port does in production.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    BoxFuture,
    net::{Caller, Handler, MessageReceiver, MessageSender, NetError},
};
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{
    internal::v1::{Principal, principal},
    v1::{self, TaskLogsRequest, WatchRequest},
};

use super::wire::{Answered, Asked, CALL, LOGS, WATCH};
use crate::{
    api::{Node, READ_DEADLINE},
    calls::{
        self, Call,
        control::{self, for_each_control},
    },
    member::session_handler,
    ops,
    watch::{self, WatchEnd},
};

/// See the module.
pub(super) struct Clients(pub(super) Arc<Node>);

impl Clients {
    fn call_of(&self, asked: &Asked) -> Call {
        let env = &self.0.env;
        let request_id = if asked.request_id.is_empty() { env.new_id().to_string() } else { asked.request_id.clone() };
        let kind = principal::Kind::Anonymous.into();
        Call {
            principal: Principal { kind, name: String::new(), account: seawall_model::ACCOUNT },
            request_id,
            stale: asked.stale,
            shows_pools: true,
            deadline: env.now() + Duration::from_millis(asked.timeout_ms),
            invocation: None,
        }
    }

    async fn watch(&self, request: Bytes, outgoing: MessageSender) -> Result<(), NetError> {
        let mut events = match watch::start(&self.0, decoded::<WatchRequest>(request)?) {
            Ok(events) => events,
            Err(error) => return send(&outgoing, &Answered::refused(&error)).await,
        };
        loop {
            let item = tokio::select! {
                biased;
                () = outgoing.closed() => return Ok(()),
                item = events.recv() => item,
            };
            let answer = match item {
                None => return Ok(()),
                Some(Ok(event)) => Answered::ok(&event),
                Some(Err(WatchEnd::Refused(error))) => Answered::refused(&error),
                Some(Err(WatchEnd::OutOfRange(at))) => {
                    let error = ApiError::new(ErrorCode::OutOfRange, "list again");
                    Answered { list_at: Some(at), ..Answered::refused(&error) }
                }
            };
            send(&outgoing, &answer).await?;
        }
    }

    async fn logs(&self, request: Bytes, outgoing: MessageSender) -> Result<(), NetError> {
        let request: TaskLogsRequest = decoded(request)?;
        let asked = Asked { timeout_ms: READ_DEADLINE.as_millis() as u64, ..Asked::default() };
        let (mut chunks, task) = match control::task_logs(&self.0, &self.call_of(&asked), &request).await {
            Ok(read) => read,
            Err(error) => return send(&outgoing, &Answered::refused(&error)).await,
        };
        loop {
            let chunk = tokio::select! {
                biased;
                () = outgoing.closed() => return Ok(()),
                chunk = chunks.recv() => chunk,
            };
            let Some(chunk) = chunk else { return Ok(()) };
            for line in control::log_lines(chunk, &task) {
                let answer = match line {
                    Ok(line) => Answered::ok(&line),
                    Err(why) => Answered::refused(&ApiError::new(ErrorCode::Server, why)),
                };
                send(&outgoing, &answer).await?;
            }
        }
    }
}

async fn send(outgoing: &MessageSender, answer: &Answered) -> Result<(), NetError> {
    let sent = outgoing.send(answer.encode_to_vec().into()).await;
    sent.map_err(|_| NetError::Broken("the reader has gone".into()))
}

fn decoded<M: Message + Default>(body: Bytes) -> Result<M, NetError> {
    M::decode(body).map_err(|error| NetError::Broken(error.to_string()))
}

fn request<M: Message + Default>(body: Bytes) -> Result<M, ApiError> {
    M::decode(body).map_err(|error| ApiError::client(format!("The request does not decode: {error}")))
}

fn answered(result: Result<impl Message, ApiError>) -> Answered {
    match result {
        Ok(response) => Answered::ok(&response),
        Err(error) => Answered::refused(&error),
    }
}

macro_rules! ecs_call {
    (read $name:ident, $node:expr, $call:expr, $request:expr) => {
        calls::read::<ops::$name>($node, $call, $request).await
    };
    (write $name:ident, $node:expr, $call:expr, $request:expr) => {
        calls::write::<ops::$name>($node, stringify!($name), $call, $request).await
    };
}

macro_rules! ecs_by_name {
    ($($kind:ident $name:ident, $method:ident, $request:ident, $response:ident;)*) => {
        /// `None`: it is not one of ECS's.
        async fn ecs(node: &Arc<Node>, call: &Call, operation: &str, body: &Bytes) -> Option<Answered> {
            Some(match operation {
                $(stringify!($name) => match request::<v1::$request>(body.clone()) {
                    Ok(request) => answered(ecs_call!($kind $name, node, call, &request)),
                    Err(error) => Answered::refused(&error),
                },)*
                _ => return None,
            })
        }
    };
}

macro_rules! control_by_name {
    ($($name:ident, $method:ident, $request:ident, $response:ident, $deadline:ident;)*) => {
        async fn control(node: &Arc<Node>, call: &Call, operation: &str, body: Bytes) -> Answered {
            match operation {
                $(stringify!($name) => match request::<v1::$request>(body) {
                    Ok(request) => answered(control::$method(node, call, &request).await),
                    Err(error) => Answered::refused(&error),
                },)*
                _ => Answered::refused(&ApiError::new(
                    ErrorCode::UnsupportedFeature,
                    format!("{operation} is not an operation of this version."),
                )),
            }
        }
    };
}

ops::for_each_operation!(ecs_by_name);
for_each_control!(control_by_name);

impl Handler for Clients {
    fn handles(&self, method: &str) -> bool {
        [CALL, WATCH, LOGS].contains(&method) || session_handler(&self.0).handles(method)
    }

    fn is_stream(&self, method: &str) -> bool {
        method != CALL
    }

    fn call(self: Arc<Self>, _: Caller, _: String, body: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move {
            let asked: Asked = decoded(body)?;
            let call = self.call_of(&asked);
            let answer = match ecs(&self.0, &call, &asked.operation, &asked.body).await {
                Some(answer) => answer,
                None => control(&self.0, &call, &asked.operation, asked.body).await,
            };
            Ok(answer.encode_to_vec().into())
        })
    }

    fn open(
        self: Arc<Self>,
        caller: Caller,
        method: String,
        mut incoming: MessageReceiver,
        outgoing: MessageSender,
    ) -> BoxFuture<'static, Result<(), NetError>> {
        if method != WATCH && method != LOGS {
            return session_handler(&self.0).open(caller, method, incoming, outgoing);
        }
        Box::pin(async move {
            let Some(first) = incoming.recv().await else { return Ok(()) };
            match method.as_str() {
                WATCH => self.watch(first, outgoing).await,
                _ => self.logs(first, outgoing).await,
            }
        })
    }
}
