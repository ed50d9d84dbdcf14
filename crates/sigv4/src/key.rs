//! Keys that sign: derived from a secret for a day, a region and a service.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use ring::hmac;

use crate::{Credential, TERMINATOR};

/// Derived keys that are kept.
pub const KEYS_KEPT_MAX: usize = 1024;

/// What signs and verifies within one scope.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Of a secret, for a scope.
    pub fn derive(secret: &str, credential: &Credential) -> SigningKey {
        let parts = [&credential.day, &credential.region, &credential.service, TERMINATOR];
        let first = format!("AWS4{secret}").into_bytes();
        let derived = parts.iter().fold(first, |key, part| mac(&key, part.as_bytes()).as_ref().to_vec());
        SigningKey(hmac::Key::new(hmac::HMAC_SHA256, &derived))
    }

    pub(crate) fn sign(&self, text: &[u8]) -> hmac::Tag {
        hmac::sign(&self.0, text)
    }

    /// ring compares in constant time.
    pub(crate) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0, text, signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// (key id, day, region, service)
type Scoped = (String, String, String, String);

/// Derived keys by key and scope, so that most requests need neither the secret nor its derivation.
///
/// Put in only what has verified a signature: who does not have the secret cannot fill it. Past [`KEYS_KEPT_MAX`] it begins
/// anew, which costs each scope one derivation.
#[derive(Default)]
pub struct SigningKeys(Mutex<BTreeMap<Scoped, Kept>>);

struct Kept {
    /// What the secret was sealed as: a key that is made anew under the same id is another.
    sealed: Vec<u8>,
    key: Arc<SigningKey>,
}

impl SigningKeys {
    /// The key that verified a signature of this credential before, while the sealed secret is the same.
    pub fn get(&self, credential: &Credential, sealed: &[u8]) -> Option<Arc<SigningKey>> {
        // Nothing panics under it; a map that is whole is of use.
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&scoped(credential)).filter(|kept| kept.sealed == sealed).map(|kept| kept.key.clone())
    }

    /// Keeps a key that has verified a signature.
    pub fn put(&self, credential: &Credential, sealed: &[u8], key: Arc<SigningKey>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEYS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(scoped(credential), Kept { sealed: sealed.to_vec(), key });
    }
}

fn scoped(credential: &Credential) -> Scoped {
    let Credential { key_id, day, region, service } = credential.clone();
    (key_id, day, region, service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(region: &str) -> Credential {
        let [key_id, day, service] = ["AKIA", "20261125", "ecs"].map(str::to_owned);
        Credential { key_id, day, region: region.to_owned(), service }
    }

    #[test]
    fn a_kept_key_is_of_its_scope_and_its_secret() {
        let keys = SigningKeys::default();
        let key = Arc::new(SigningKey::derive("secret", &credential("a")));
        keys.put(&credential("a"), b"sealed", key);
        assert!(keys.get(&credential("a"), b"sealed").is_some());
        assert!(keys.get(&credential("a"), b"sealed anew").is_none());
        assert!(keys.get(&credential("b"), b"sealed").is_none());
        for number in 0..KEYS_KEPT_MAX {
            let credential = credential(&format!("r{number}"));
            keys.put(&credential, b"", Arc::new(SigningKey::derive("", &credential)));
        }
        assert!(keys.0.lock().unwrap().len() <= KEYS_KEPT_MAX);
    }
}
