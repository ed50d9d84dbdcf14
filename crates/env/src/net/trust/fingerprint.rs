//! What may be shown of a secret: the hash of the CA's public key.

use std::{fmt, str::FromStr};

use ring::digest;

use super::{TrustError, from_hex, to_hex};

const BYTES: usize = 16;

/// Of a CA's public key, and so of the secret that it comes from. 128 bits: nobody finds a second key with the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// Of a public key as it stands in certificates.
    pub(super) fn of_public_key(spki_der: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, spki_der);
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&hash.as_ref()[..BYTES]);
        Fingerprint(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        from_hex(text).map(Fingerprint).ok_or_else(|| TrustError::Fingerprint(text.to_owned()))
    }
}
