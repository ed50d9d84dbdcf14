//! A [`Handler`] as an HTTP service.

use std::{convert::Infallible, sync::Arc, task::Poll};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::Response,
};
use bytes::Bytes;
use futures::Stream;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming, server::Grpc};

use super::{MESSAGE_BYTES_MAX, Peer, codec::Raw, dial::pump, status};
use crate::{
    Env, TaskKind,
    net::{Caller, Handler, MessageReceiver, NetError, STREAM_MESSAGES_WAITING},
};

const INCOMING: TaskKind = TaskKind::request("stream incoming");
const HANDLING: TaskKind = TaskKind::request("stream handler");

/// `handler` alone; any other path is not found.
pub fn service(env: Env, handler: Arc<dyn Handler>) -> Router {
    mount(Router::new(), env, handler)
}

/// `handler` before `router`: it takes the paths that it handles, the rest goes on.
pub fn mount(router: Router, env: Env, handler: Arc<dyn Handler>) -> Router {
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (env, handler) = (env.clone(), handler.clone());
        async move {
            let response = if handler.handles(request.uri().path()) {
                answer(env, handler, request).await
            } else {
                next.run(request).await
            };
            Ok::<_, Infallible>(response)
        }
    }))
}

async fn answer(env: Env, handler: Arc<dyn Handler>, request: Request) -> Response {
    let method = request.uri().path().to_owned();
    let caller = request.extensions().get::<Peer>().map(Caller::from).unwrap_or_default();
    let mut grpc = Grpc::new(Raw).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let response = if handler.is_stream(&method) {
        let serve = |messages: tonic::Request<Streaming<Bytes>>| {
            let opened = open(&env, &handler, &caller, &method, messages.into_inner());
            std::future::ready(opened.map(tonic::Response::new))
        };
        grpc.streaming(tower::service_fn(serve), request).await
    } else {
        let serve = |message: tonic::Request<Bytes>| {
            let work = handler.clone().call(caller.clone(), method.clone(), message.into_inner());
            async move { work.await.map(tonic::Response::new).map_err(status) }
        };
        grpc.unary(tower::service_fn(serve), request).await
    };
    response.map(axum::body::Body::new)
}

/// Starts a stream's handler. One that refuses at once refuses the stream itself, so that the caller learns why.
fn open(
    env: &Env,
    handler: &Arc<dyn Handler>,
    caller: &Caller,
    method: &str,
    messages: Streaming<Bytes>,
) -> Result<impl Stream<Item = Result<Bytes, Status>> + use<>, Status> {
    let (received, incoming) = mpsc::channel(STREAM_MESSAGES_WAITING);
    let (outgoing, to_send) = mpsc::channel(STREAM_MESSAGES_WAITING);
    let mut work = handler.clone().open(caller.clone(), method.to_owned(), incoming, outgoing);
    let (end, ended) = oneshot::channel();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        Poll::Ready(Err(error)) => return Err(status(error)),
        Poll::Ready(Ok(())) => {
            // The receiver is a few lines below.
            let _ = end.send(Ok(()));
        }
        Poll::Pending => {
            env.spawn(INCOMING, pump(method.to_owned(), messages, received));
            env.spawn(HANDLING, async move {
                // The caller may have gone: nobody is left to tell.
                let _ = end.send(work.await);
            });
        }
    }
    Ok(replies(to_send, ended))
}

/// What the handler sends, until it has ended and all that it had sent is on its way.
fn replies(
    to_send: MessageReceiver,
    ended: oneshot::Receiver<Result<(), NetError>>,
) -> impl Stream<Item = Result<Bytes, Status>> {
    futures::stream::unfold((to_send, Some(ended)), |(mut to_send, mut ended)| async move {
        loop {
            let Some(end) = ended.as_mut() else {
                return to_send.recv().await.map(|message| (Ok(message), (to_send, ended)));
            };
            tokio::select! {
                biased;
                Some(message) = to_send.recv() => return Some((Ok(message), (to_send, ended))),
                result = end => {
                    ended = None;
                    to_send.close();
                    let result = result.unwrap_or_else(|_| Err(NetError::Broken("the handler panicked".into())));
                    if let Err(error) = result {
                        return Some((Err(status(error)), (to_send, ended)));
                    }
                }
            }
        }
    })
}
