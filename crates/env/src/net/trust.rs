//! Trust: everything that proves anything comes from one secret of 32 bytes.
//!
//! The CA's key is derived from it, so a cluster that is rebuilt with the same secret is trusted by the agents that
//! survived. Peers and agents prove who they are by certificates under that CA ([`Identity`]); an agent that has none yet
//! shows a [`JoinToken`], whose fingerprint also tells it that it talks to the right cluster. Who holds another secret is
//! refused, and both sides say which fingerprints met.

mod ca;
mod credentials;
mod fingerprint;
mod identity;
mod secret;
mod token;
mod verify;

use std::path::PathBuf;

pub use ca::{CERTIFICATE_LIFETIME, Ca};
pub use credentials::{Credentials, Enrolment, certificate_name};
pub use fingerprint::Fingerprint;
pub use identity::{Identity, enrolling_config, passing_config};
pub use secret::{SECRET_BYTES, Secret};
pub use token::JoinToken;
pub(crate) use verify::OtherSecret;

/// Why something about trust failed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The secret file is not there, or is not readable.
    #[error("cannot use the secret file {}: {source}", path.display())]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others could have read it.
    #[error("the secret file {} has mode {mode:04o}: others may have read it. next: chmod 0600 {}, and a new secret if they did", path.display(), path.display())]
    SecretMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is something else.
    #[error("the secret file {} has {length} bytes, a secret has {SECRET_BYTES}. next: the cluster's own secret file; for a new cluster remove this one, then seawall secret new", path.display())]
    SecretLength {
        /// The file.
        path: PathBuf,
        /// What it holds.
        length: usize,
    },
    /// Making or reading a certificate failed.
    #[error("certificate: {0}")]
    Certificate(String),
    /// A token is not of the form `id.secret.fingerprint`.
    #[error("not a join token: {0}")]
    Token(&'static str),
    /// Sealed under another secret or context, or damaged.
    #[error("cannot open what was sealed: {0}")]
    Sealed(&'static str),
    /// A fingerprint is 32 hexadecimal digits.
    #[error("not a fingerprint: {0:?}")]
    Fingerprint(String),
}

impl From<rcgen::Error> for TrustError {
    fn from(error: rcgen::Error) -> Self {
        TrustError::Certificate(error.to_string())
    }
}

impl From<rustls::Error> for TrustError {
    fn from(error: rustls::Error) -> Self {
        TrustError::Certificate(error.to_string())
    }
}

/// Lower-case hexadecimal digits.
fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string");
        text
    })
}

/// The bytes of lower-case hexadecimal digits; `None` for any other text or length.
fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
