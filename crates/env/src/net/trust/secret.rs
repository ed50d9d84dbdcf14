//! The secret and what is derived from it.

use std::{
    fmt,
    fs::{File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
    signature::{Ed25519KeyPair, KeyPair as _},
};

use super::{Fingerprint, TrustError};
use crate::Env;

/// Its length.
pub const SECRET_BYTES: usize = 32;

const MODE: u32 = 0o600;
/// A file that is mounted or managed by a tool is often not even its owner's to write.
const MODE_READ_ONLY: u32 = 0o400;
const SALT: &[u8] = b"seawall secret v1";
const CA_KEY: &[u8] = b"ca ed25519 seed v1";
const SEAL_KEY: &[u8] = b"seal chacha20-poly1305 v1";
/// The first byte of what is sealed.
const SEAL_VERSION: u8 = 1;
/// An Ed25519 public key in a certificate: this, then its 32 bytes (RFC 8410).
const ED25519_SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a cluster's members share. It is printed as its fingerprint only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A new one.
    pub fn generate(env: &Env) -> Secret {
        let mut bytes = [0; SECRET_BYTES];
        env.fill_random(&mut bytes);
        Secret(bytes)
    }

    /// Reads a secret file.
    ///
    /// # Errors
    /// It is not there, others may read it, or it is not 32 bytes long.
    pub fn read(path: &Path) -> Result<Secret, TrustError> {
        let failed = |source| TrustError::SecretFile { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode != MODE && mode != MODE_READ_ONLY {
            return Err(TrustError::SecretMode { path: path.to_owned(), mode });
        }
        let mut bytes = Vec::new();
        // One more than it may have is enough to see that it has too many.
        file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
        let length = bytes.len();
        let secret = bytes.try_into().map_err(|_| TrustError::SecretLength { path: path.to_owned(), length })?;
        Ok(Secret(secret))
    }

    /// Writes a secret file. One that is there is never overwritten: a cluster may depend on it.
    ///
    /// # Errors
    /// There is a file already, or the system's.
    pub fn write(&self, path: &Path) -> Result<(), TrustError> {
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
            file.set_permissions(Permissions::from_mode(MODE))?;
            file.write_all(&self.0)?;
            file.sync_all()
        };
        write().map_err(|source| TrustError::SecretFile { path: path.to_owned(), source })
    }

    /// What may be shown of it.
    pub fn fingerprint(&self) -> Fingerprint {
        let key = Ed25519KeyPair::from_seed_unchecked(&self.ca_seed()).expect("any 32 bytes are a seed");
        Fingerprint::of_public_key(&[&ED25519_SPKI_PREFIX, key.public_key().as_ref()].concat())
    }

    /// The private key of the CA.
    pub(super) fn ca_seed(&self) -> [u8; 32] {
        self.derive(CA_KEY)
    }

    /// Encrypts something small that is stored. It opens only with the same `context`, such as the name of its row: one
    /// sealed value cannot be put in the place of another.
    pub fn seal(&self, env: &Env, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        env.fill_random(&mut nonce);
        let mut sealed = plain.to_vec();
        self.seal_key()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed)
            .expect("far below the cipher's length limit");
        [&[SEAL_VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// What [`Secret::seal`] was given.
    ///
    /// # Errors
    /// Another secret, another context, damage, or a newer format.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, TrustError> {
        let (version, rest) = sealed.split_first().ok_or(TrustError::Sealed("it is empty"))?;
        if *version != SEAL_VERSION {
            return Err(TrustError::Sealed("it is of a newer version"));
        }
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(TrustError::Sealed("it is cut short"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("just cut to this length");
        let mut plain = rest.to_vec();
        let opened = self.seal_key().open_in_place(nonce, Aad::from(context), &mut plain);
        let length = opened.map_err(|_| TrustError::Sealed("another secret or context, or it is damaged"))?.len();
        plain.truncate(length);
        Ok(plain)
    }

    fn seal_key(&self) -> LessSafeKey {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.derive(SEAL_KEY));
        LessSafeKey::new(key.expect("derived with the cipher's key length"))
    }

    fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
            .extract(&self.0)
            .expand(&[purpose], hkdf::HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut key))
            .expect("one hash's length can be derived");
        key
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_nobody_else_may_read_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret([7; SECRET_BYTES]);
        secret.write(&path).unwrap();
        let read_with = |mode| {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Secret::read(&path)
        };
        assert_eq!(read_with(0o600).unwrap(), secret);
        assert_eq!(read_with(0o400).unwrap(), secret);
        assert!(matches!(read_with(0o640), Err(TrustError::SecretMode { mode: 0o640, .. })));
        assert!(matches!(read_with(0o404), Err(TrustError::SecretMode { .. })));
    }
}
