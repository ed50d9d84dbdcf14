//! Links as gRPC over HTTP/2, with TLS where it is configured.
//!
//! Messages are bytes already, so the codec copies and never parses. What is here dials ([`GrpcNet`]), mounts a
//! [`Handler`](super::Handler) beside public services ([`mount`]) and accepts ([`Listener`], [`LocalSocket`]).

mod codec;
mod dial;
mod listen;
mod serve;

pub use dial::GrpcNet;
pub use listen::{Listener, LocalSocket, Plain, Serving};
pub use serve::{mount, service};

use super::{Caller, NetError, trust::OtherSecret};

/// The name in every server certificate: members are told apart by what they prove, not by where they are reached.
pub const SERVER_NAME: &str = "seawall";

/// What no answer to a call of ours means, in all likelihood.
const WRONG_PORT: &str =
    "this call is not served there: agents and clients dial a member's --listen address, members its --peer-listen";
/// Room for gRPC's own frame beside the largest message.
const FRAME_BYTES: usize = 64 << 10;
/// The largest message either side takes.
pub(crate) const MESSAGE_BYTES_MAX: usize = seawall_model::limits::MESSAGE_BYTES_MAX + FRAME_BYTES;

/// Who is at the other end of a connection: an extension of every request that [`Listener`] and [`LocalSocket`] serve.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// The name in its certificate; `None` without one.
    pub certificate_name: Option<String>,
    /// Its address, or that of the local socket.
    pub address: String,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// It came through the socket in the data folder, which only the owner may open.
    pub local_socket: bool,
}

impl From<&Peer> for Caller {
    fn from(peer: &Peer) -> Caller {
        Caller { certificate_name: peer.certificate_name.clone(), address: peer.address.clone() }
    }
}

/// What a refusal becomes on the wire.
fn status(error: NetError) -> tonic::Status {
    let text = error.to_string();
    match error {
        NetError::Refused(why) => tonic::Status::permission_denied(why),
        NetError::Timeout(_) => tonic::Status::deadline_exceeded(text),
        NetError::Broken(why) => tonic::Status::unavailable(why),
        NetError::Unreachable { .. } => tonic::Status::unavailable(text),
    }
}

/// What an answer from the wire means to the caller.
fn error_of(status: &tonic::Status) -> NetError {
    use tonic::Code;
    match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => NetError::Refused(status.message().to_owned()),
        Code::Unimplemented => NetError::Refused(WRONG_PORT.to_owned()),
        _ => broken(status),
    }
}

/// A broken connection, told apart from one that TLS refused: the first is tried again, the second never helps.
fn broken(error: &(dyn std::error::Error + 'static)) -> NetError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(tls) = rustls_error(inner) {
            return NetError::Refused(refusal_text(tls));
        }
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    NetError::Broken(text)
}

/// The TLS error within an error, which IO errors hold without naming it as their source.
fn rustls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    if let Some(io) = error.downcast_ref::<std::io::Error>() {
        return io.get_ref().and_then(|inner| inner.downcast_ref());
    }
    error.downcast_ref()
}

fn refusal_text(error: &rustls::Error) -> String {
    if let Some(other) = OtherSecret::within(error) {
        return other.to_string();
    }
    match error {
        rustls::Error::AlertReceived(alert) => {
            format!("the other side does not accept our certificate ({alert:?}): is its secret another one?")
        }
        other => other.to_string(),
    }
}
