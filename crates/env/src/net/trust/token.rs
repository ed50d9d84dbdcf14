//! Join tokens: what an agent is given instead of the secret.

use std::{fmt, str::FromStr};

use ring::digest;

use super::{Fingerprint, TrustError, from_hex, to_hex};
use crate::Env;

const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 24;

/// `<id>.<secret>.<fingerprint>`. The cluster keeps only a hash of the secret; the fingerprint tells the agent that it
/// talks to that cluster before it shows anything.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    id: [u8; ID_BYTES],
    secret: [u8; SECRET_BYTES],
    fingerprint: Fingerprint,
}

impl JoinToken {
    /// A new one for the cluster with that fingerprint.
    pub fn generate(env: &Env, fingerprint: Fingerprint) -> Self {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        env.fill_random(&mut id);
        env.fill_random(&mut secret);
        JoinToken { id, secret, fingerprint }
    }

    /// What it is called in lists.
    pub fn id(&self) -> String {
        to_hex(&self.id)
    }

    /// Whose cluster it joins.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// What the cluster keeps. Enough against guessing, since the secret is random, not a password.
    pub fn secret_sha256(&self) -> Vec<u8> {
        digest::digest(&digest::SHA256, &self.secret).as_ref().to_vec()
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.id(), to_hex(&self.secret), self.fingerprint)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({})", self.id())
    }
}

impl FromStr for JoinToken {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        let [id, secret, fingerprint] = parts[..] else {
            return Err(TrustError::Token("it must have three parts, id.secret.fingerprint"));
        };
        Ok(JoinToken {
            id: from_hex(id).ok_or(TrustError::Token("its id is not 12 hexadecimal digits"))?,
            secret: from_hex(secret).ok_or(TrustError::Token("its secret is not 48 hexadecimal digits"))?,
            fingerprint: fingerprint.parse().map_err(|_| TrustError::Token("its fingerprint is not one"))?,
        })
    }
}
