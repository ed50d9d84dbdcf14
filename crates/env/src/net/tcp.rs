//! TCP connections as they are: accepted, dialed, and passed on by who does not read what they carry.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::grpc::SERVER_NAME;

/// The first byte of a TLS handshake record, which no HTTP request begins with.
pub const TLS_HANDSHAKE: u8 = 0x16;
/// After a failed accept (no file descriptors left): time for some to be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A status line and headers: what is read of an answer.
const ANSWER_BYTES_MAX: u64 = 4096;

/// A port that is listened on.
pub struct Gate(TcpListener);

impl Gate {
    /// Takes the port; 0 takes a free one.
    ///
    /// # Errors
    /// The port is taken, or the address is not of this machine.
    pub async fn bind(address: &str) -> io::Result<Gate> {
        TcpListener::bind(address).await.map(Gate)
    }

    /// The address with the port that was taken.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next connection. Where the system has no room for one, it is waited for some.
    pub async fn accept(&self) -> (Tcp, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, from)) => return (Tcp::plain(stream), from),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// One connection, plain or with TLS on this side.
pub struct Tcp(Stream);

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Tcp {
    fn plain(stream: TcpStream) -> Tcp {
        if let Err(error) = stream.set_nodelay(true) {
            // It works without, only later.
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        Tcp(Stream::Plain(stream))
    }

    /// Connects to `host:port`.
    ///
    /// # Errors
    /// The system's.
    pub async fn dial(address: &str) -> io::Result<Tcp> {
        TcpStream::connect(address).await.map(Tcp::plain)
    }

    /// The same connection with TLS, to a member.
    ///
    /// # Errors
    /// The handshake failed, or the other side is not trusted.
    pub async fn with_tls(self, config: Arc<ClientConfig>) -> io::Result<Tcp> {
        let Stream::Plain(stream) = self.0 else { return Err(io::Error::other("TLS within TLS")) };
        let name = ServerName::try_from(SERVER_NAME).expect("a constant DNS name");
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Tcp(Stream::Tls(Box::new(stream))))
    }

    /// The first byte that the other side sends, which stays to be read; `None` where it closed without a word.
    ///
    /// # Errors
    /// The system's.
    pub async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        let read = self.socket().peek(&mut first).await?;
        Ok((read > 0).then_some(first[0]))
    }

    /// Asks for a page over HTTP/1.1 and gives the status and what else of the answer came with it. The connection ends with it.
    ///
    /// # Errors
    /// The connection broke, or the answer is no HTTP.
    pub async fn get(mut self, path: &str) -> io::Result<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {SERVER_NAME}\r\nconnection: close\r\n\r\n");
        self.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        self.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        let text = String::from_utf8_lossy(&answer);
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("no answer in HTTP"))?;
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.trim().to_owned()))
    }

    /// Ends the connection so that the other side sees a break and not an end: half an answer is never taken for a whole one.
    pub fn reset(self) {
        if let Err(error) = self.socket().set_zero_linger() {
            tracing::debug!(%error, "a connection is closed in order in place of being reset");
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.0 {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
