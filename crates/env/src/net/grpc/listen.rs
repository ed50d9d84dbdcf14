//! Accepting: one TCP port for TLS and plain, HTTP/1 and HTTP/2; and the local socket.
//!
//! The first byte of a TLS connection is 0x16, which no HTTP request begins with, so a port need not be told which of
//! the two comes.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::{body::Incoming, rt::Executor};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use super::{Peer, rustls_error};
use crate::{
    Env, TaskKind,
    fs::temporary_name,
    net::trust::{OtherSecret, certificate_name},
};

const CONNECTION: TaskKind = TaskKind::request("connection");
const HTTP: TaskKind = TaskKind::request("http request");
/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// A connection that says nothing is closed after this.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(10);
const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// An HTTP/1 connection between two requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// A client that swallows packets is noticed after the sum of the two.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests at the same time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 1024;
/// After a failed accept (no file descriptors left): time for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const PLAIN_REFUSED: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
content-length: 50\r\n\r\nThis port takes TLS only: use https:// to reach it";

/// Whether connections without TLS are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    /// Never: peers.
    Refuse,
    /// From this machine only.
    Loopback,
    /// From everywhere (`--insecure`).
    Allow,
}

impl Plain {
    fn allows(self, from: SocketAddr) -> bool {
        match self {
            Plain::Refuse => false,
            Plain::Loopback => from.ip().is_loopback(),
            Plain::Allow => true,
        }
    }
}

/// What a port serves.
#[derive(Clone)]
pub struct Serving {
    /// Its requests carry a [`Peer`].
    pub router: Router,
    /// Without it TLS connections are closed.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether connections without TLS are served.
    pub plain: Plain,
    /// Connections at the same time; those past it are closed at once, so that those within it keep working.
    pub connections_max: usize,
    /// True: no new connections, requests that run may end.
    pub shutdown: watch::Receiver<bool>,
    /// They have this long.
    pub grace: Duration,
}

/// A TCP port.
pub struct Listener(TcpListener);

impl Listener {
    /// Takes the port; 0 takes a free one.
    ///
    /// # Errors
    /// The port is taken, or the address is not of this machine.
    pub async fn bind(address: &str) -> io::Result<Listener> {
        // On UNIX this sets SO_REUSEADDR: a restart need not wait for old connections to be forgotten.
        TcpListener::bind(address).await.map(Listener)
    }

    /// The address with the port that was taken.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until `serving.shutdown`, then waits for the requests that run.
    pub async fn serve(self, env: Env, serving: Serving) {
        let accepting = Accepting::new(env, serving);
        let mut stop = accepting.serving.shutdown.clone();
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                accepted = self.0.accept() => match accepted {
                    Ok((stream, from)) => accepting.tcp(stream, from),
                    Err(error) => accepting.failed(&error).await,
                },
            }
        }
        drop(self.0);
        accepting.finish().await;
    }
}

/// A UNIX socket that only its owner may open: whoever reaches it needs no key.
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Takes the path, also from a process that died.
    ///
    /// # Errors
    /// Another process answers there; the path is too long for a socket.
    pub async fn bind(path: &Path) -> io::Result<LocalSocket> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} is in use", path.display())));
        }
        // Under another name until its mode is set: nobody else gets in between.
        let temporary = temporary_name(path, "new")?;
        if let Err(error) = std::fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let listener = UnixListener::bind(&temporary)?;
        std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&temporary, path)?;
        Ok(LocalSocket { listener, path: path.to_owned() })
    }

    /// As [`Listener::serve`]; TLS plays no part.
    pub async fn serve(self, env: Env, serving: Serving) {
        let accepting = Accepting::new(env, serving);
        let mut stop = accepting.serving.shutdown.clone();
        let peer = Peer { address: self.path.display().to_string(), local_socket: true, ..Peer::default() };
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => accepting.local(stream, peer.clone()),
                    Err(error) => accepting.failed(&error).await,
                },
            }
        }
        drop(self.listener);
        accepting.finish().await;
    }
}

struct Accepting {
    env: Env,
    serving: Serving,
    places: Arc<Semaphore>,
    places_max: u32,
}

impl Accepting {
    fn new(env: Env, serving: Serving) -> Self {
        let places_max = u32::try_from(serving.connections_max).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Accepting { env, serving, places: Arc::new(Semaphore::new(places_max as usize)), places_max }
    }

    fn place(&self, from: &str) -> Option<OwnedSemaphorePermit> {
        let place = self.places.clone().try_acquire_owned().ok();
        if place.is_none() {
            tracing::warn!(from, connections_max = self.places_max, "closed a connection: too many are open");
        }
        place
    }

    fn tcp(&self, stream: TcpStream, from: SocketAddr) {
        let Some(place) = self.place(&from.to_string()) else { return };
        let (env, serving) = (self.env.clone(), self.serving.clone());
        self.env.spawn(CONNECTION, async move {
            if let Err(error) = serve_tcp(env, serving, stream, from).await {
                report(from, &error);
            }
            drop(place);
        });
    }

    fn local(&self, stream: UnixStream, peer: Peer) {
        let Some(place) = self.place(&peer.address) else { return };
        let (env, serving) = (self.env.clone(), self.serving.clone());
        self.env.spawn(CONNECTION, async move {
            serve_http(env, serving, stream, peer).await;
            drop(place);
        });
    }

    async fn failed(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    async fn finish(self) {
        let all = self.places.acquire_many(self.places_max);
        let grace = self.serving.grace;
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::debug!(?grace, "stopped with requests still running");
        }
    }
}

/// Another secret is a mistake of the operator's, who should find it in the log; the rest happens all the time.
fn report(from: SocketAddr, error: &io::Error) {
    match rustls_error(error).and_then(OtherSecret::within) {
        Some(other) => tracing::warn!(%from, "refused a connection: {other}"),
        None => tracing::debug!(%from, %error, "a connection ended by an error"),
    }
}

/// Resolves once the process stops; a sender that has gone counts as stopping.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender has gone.
    let _ = stop.wait_for(|stopping| *stopping).await;
}

async fn serve_tcp(env: Env, serving: Serving, stream: TcpStream, from: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    let read = tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut first)).await??;
    if read == 0 {
        return Ok(());
    }
    let mut peer = Peer { address: from.to_string(), ..Peer::default() };
    if first[0] != TLS_HANDSHAKE {
        return serve_plain(env, serving, stream, from, peer).await;
    }
    let Some(tls) = serving.tls.clone() else {
        return Err(io::Error::other("TLS is not configured on this port"));
    };
    let stream = tokio::time::timeout(TLS_TIMEOUT, TlsAcceptor::from(tls).accept(stream)).await??;
    peer.tls = true;
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    peer.certificate_name = certificate.and_then(|der| certificate_name(der));
    serve_http(env, serving, stream, peer).await;
    Ok(())
}

async fn serve_plain(
    env: Env,
    serving: Serving,
    mut stream: TcpStream,
    from: SocketAddr,
    peer: Peer,
) -> io::Result<()> {
    if !serving.plain.allows(from) {
        return tokio::time::timeout(TLS_TIMEOUT, stream.write_all(PLAIN_REFUSED)).await?;
    }
    serve_http(env, serving, stream, peer).await;
    Ok(())
}

async fn serve_http(env: Env, serving: Serving, io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, peer: Peer) {
    let Serving { router, mut shutdown, grace, .. } = serving;
    let service = hyper::service::service_fn({
        let peer = peer.clone();
        move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().call(request)
        }
    });
    let mut builder = Builder::new(Spawner(env));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = stopped(&mut shutdown) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(grace, connection).await {
                Ok(result) => result,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(from = peer.address, %error, "a connection ended by an error");
    }
}

/// hyper's tasks as tasks of the environment, so that what a handler starts finds it.
#[derive(Clone)]
struct Spawner(Env);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, work: F) {
        self.0.spawn(HTTP, async move {
            work.await;
        });
    }
}
