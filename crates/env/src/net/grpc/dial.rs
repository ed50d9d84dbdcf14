//! Dialing: one connection an address and lane, made when first needed and again when it broke.
//!
//! A connection is made by a task of its own and shared as a future: a caller whose deadline is shorter than a handshake
//! gives up waiting, not the handshake, so that the next one finds it done. The map's lock is held only to look up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    FutureExt, TryFutureExt,
    future::{BoxFuture as Boxed, Shared},
};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, client::Grpc, codegen::http::uri::PathAndQuery};

use super::{MESSAGE_BYTES_MAX, SERVER_NAME, broken, codec::Raw, error_of, rustls_error};
use crate::{
    BoxFuture,
    net::{Lane, MessageReceiver, MessageSender, Net, NetError, STREAM_MESSAGES_WAITING},
};

/// From the first packet to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// From a stream's request to the other side's first answer.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 wants a scheme and a host with each request; nobody looks at them, since a connection has one handler.
const ORIGIN: &str = "http://seawall";
/// Connections kept. A process knows its cluster's members only: more means addresses that nobody uses any more.
const CONNECTIONS_MAX: usize = 256;

type Sender = SendRequest<tonic::body::Body>;
type Link = Shared<Boxed<'static, Result<Sender, NetError>>>;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The production [`Net`].
#[derive(Clone)]
pub struct GrpcNet {
    tls: Option<Arc<ClientConfig>>,
    links: Arc<Mutex<HashMap<(String, Lane), Link>>>,
}

impl GrpcNet {
    /// Over TLS under the cluster's CA, or plain (dev on loopback, tests).
    pub fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        GrpcNet { tls, links: Arc::default() }
    }

    /// The connection to use: the one there is, or one that is being made from now on.
    fn link(&self, address: String, lane: Lane) -> Result<Link, NetError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address, lane);
        if let Some(link) = links.get(&key).filter(|link| is_usable(link)) {
            return Ok(link.clone());
        }
        if links.len() >= CONNECTIONS_MAX {
            links.retain(|_, link| is_usable(link));
        }
        if links.len() >= CONNECTIONS_MAX && !links.contains_key(&key) {
            return Err(unreachable(key.0, format!("{CONNECTIONS_MAX} connections are open already")));
        }
        let dialing = tokio::spawn(dial(key.0.clone(), lane, self.tls.clone()));
        let address = key.0.clone();
        let link = async move { dialing.await.unwrap_or_else(|why| Err(unreachable(address, why.to_string()))) };
        let link = link.boxed().shared();
        links.insert(key, link.clone());
        Ok(link)
    }
}

/// Being made, or made and not broken.
fn is_usable(link: &Link) -> bool {
    match link.peek() {
        None => true,
        Some(Ok(sender)) => !sender.is_closed(),
        Some(Err(_)) => false,
    }
}

impl Net for GrpcNet {
    fn call(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        let (net, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + timeout;
            let link = net.link(address.clone(), lane)?;
            let Ok(sender) = tokio::time::timeout_at(deadline, link).await else {
                return Err(unreachable(address, format!("no connection within {timeout:?}")));
            };
            match tokio::time::timeout_at(deadline, unary(sender?, method, body)).await {
                Ok(result) => result.map_err(|error| by(&address, error)),
                Err(_) => Err(NetError::Timeout(timeout)),
            }
        })
    }

    fn open(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
    ) -> BoxFuture<'static, Result<(MessageSender, MessageReceiver), NetError>> {
        let (net, address) = (self.clone(), address.to_owned());
        Box::pin(async move {
            let sender = net.link(address.clone(), lane)?.await?;
            match tokio::time::timeout(OPEN_TIMEOUT, stream(sender, method)).await {
                Ok(result) => result.map_err(|error| by(&address, error)),
                Err(_) => Err(NetError::Timeout(OPEN_TIMEOUT)),
            }
        })
    }
}

/// A refusal with who refused.
fn by(address: &str, error: NetError) -> NetError {
    match error {
        NetError::Refused(why) => NetError::Refused(format!("{address}: {why}")),
        other => other,
    }
}

async fn unary(sender: Sender, method: &'static str, body: Bytes) -> Result<Bytes, NetError> {
    let mut grpc = client(sender).await?;
    let answer = grpc.unary(Request::new(body), PathAndQuery::from_static(method), Raw).await;
    answer.map(tonic::Response::into_inner).map_err(|status| error_of(&status))
}

async fn stream(sender: Sender, method: &'static str) -> Result<(MessageSender, MessageReceiver), NetError> {
    let mut grpc = client(sender).await?;
    let (outgoing, to_send) = mpsc::channel(STREAM_MESSAGES_WAITING);
    let (received, incoming) = mpsc::channel(STREAM_MESSAGES_WAITING);
    let request = Request::new(ReceiverStream::new(to_send));
    let answer = grpc.streaming(request, PathAndQuery::from_static(method), Raw).await;
    let messages = answer.map_err(|status| error_of(&status))?.into_inner();
    tokio::spawn(pump(method.to_owned(), messages, received));
    Ok((outgoing, incoming))
}

/// Hands a stream's messages on until it ends or nobody wants them any more.
pub(super) async fn pump(method: String, mut messages: Streaming<Bytes>, to: MessageSender) {
    loop {
        let message = tokio::select! {
            biased;
            () = to.closed() => return,
            message = messages.message() => message,
        };
        match message {
            Ok(Some(message)) => {
                // A failure means that the reader has gone: the next round ends the stream.
                let _ = to.send(message).await;
            }
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(method, %status, "a stream ended by an error");
                return;
            }
        }
    }
}

async fn client(sender: Sender) -> Result<Grpc<Ready>, NetError> {
    let mut grpc =
        Grpc::with_origin(Ready(sender), http::Uri::from_static(ORIGIN)).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.map_err(|error| broken(&error))?;
    Ok(grpc)
}

/// hyper's sender in the shape that tonic's client wants.
struct Ready(Sender);

impl tower::Service<http::Request<tonic::body::Body>> for Ready {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Boxed<'static, Result<Self::Response, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let answer = self.0.send_request(request);
        answer.map_ok(with_status).boxed()
    }
}

/// Nobody serves the path: tonic would tell so only at a stream's first message, when it was open already.
fn with_status(mut answer: http::Response<hyper::body::Incoming>) -> http::Response<hyper::body::Incoming> {
    if answer.status() == http::StatusCode::NOT_FOUND {
        answer.headers_mut().insert(tonic::Status::GRPC_STATUS, (tonic::Code::Unimplemented as i32).into());
    }
    answer
}

async fn dial(address: String, lane: Lane, tls: Option<Arc<ClientConfig>>) -> Result<Sender, NetError> {
    let Ok(connected) = tokio::time::timeout(CONNECT_TIMEOUT, connect(&address, tls)).await else {
        return Err(unreachable(address, format!("no connection within {CONNECT_TIMEOUT:?}")));
    };
    let io = connected.map_err(|error| connect_error(address.clone(), &error))?;
    let (interval, timeout) = keepalive(lane);
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(io));
    let (sender, connection) = handshake.await.map_err(|error| broken(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, ?lane, %error, "a connection broke");
        }
    });
    Ok(sender)
}

/// How a peer that swallows packets is noticed: after the interval and the timeout together. Heartbeats must move to a
/// new connection well within a second of a healed cut, since TCP itself waits longer each time it sends again.
fn keepalive(lane: Lane) -> (Duration, Duration) {
    match lane {
        Lane::Heartbeat => (Duration::from_millis(300), Duration::from_millis(500)),
        Lane::Main | Lane::Snapshot => (Duration::from_secs(1), Duration::from_secs(2)),
    }
}

async fn connect(address: &str, tls: Option<Arc<ClientConfig>>) -> std::io::Result<Box<dyn Io>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from(SERVER_NAME).expect("a constant DNS name");
    Ok(Box::new(TlsConnector::from(tls).connect(name, tcp).await?))
}

fn connect_error(address: String, error: &std::io::Error) -> NetError {
    match rustls_error(error) {
        Some(tls) => by(&address, NetError::Refused(super::refusal_text(tls))),
        None => unreachable(address, error.to_string()),
    }
}

fn unreachable(address: String, why: String) -> NetError {
    NetError::Unreachable { address, why }
}
