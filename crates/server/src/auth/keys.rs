//! Making keys, and opening their secrets again.

use seawall_env::{
    Env,
    net::trust::{Secret, TrustError},
};
use seawall_model::{ApiError, ErrorCode};
use seawall_proto::{
    internal::v1::AccessKeyRow,
    timestamp_of, timestamp_unless_zero,
    v1::{AccessKey, CreateAccessKeyRequest},
};
use seawall_sigv4::{Credential, SigningKey};

use crate::api::Node;

/// Of an id, after its first four letters.
const ID_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_CHARS: usize = 16;
/// As AWS's own have.
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const SECRET_CHARS: usize = 40;

/// A new key: the row for the state, and the secret, which is shown once.
pub(crate) fn new_key(node: &Node, ask: &CreateAccessKeyRequest) -> Result<(AccessKeyRow, String), ApiError> {
    let sealing = node.gate.secret.as_ref().ok_or_else(|| {
        ApiError::new(ErrorCode::UnsupportedFeature, "this member has no secret to seal access keys with")
    })?;
    let id = format!("AKIA{}", random_text(&node.env, ID_ALPHABET, ID_CHARS));
    let secret = random_text(&node.env, SECRET_ALPHABET, SECRET_CHARS);
    let ttl_ms = i64::try_from(ask.ttl_s.unwrap_or_default()).unwrap_or(i64::MAX).saturating_mul(1000);
    let now_ms = node.cluster_time_ms();
    let row = AccessKeyRow {
        sealed_secret: sealing.seal(&node.env, context(&id).as_bytes(), secret.as_bytes()).into(),
        description: ask.description.clone().unwrap_or_default(),
        active: true,
        expires_at_ms: if ttl_ms == 0 { 0 } else { now_ms.saturating_add(ttl_ms) },
        // As apply fills it in, for the answer.
        created_at_ms: now_ms,
        id,
        ..AccessKeyRow::default()
    };
    Ok((row, secret))
}

/// What signs for `key` in the scope of a credential.
pub(super) fn signing_key(sealing: &Secret, key: &AccessKeyRow, scope: &Credential) -> Result<SigningKey, TrustError> {
    let secret = sealing.open(context(&key.id).as_bytes(), &key.sealed_secret)?;
    let secret = std::str::from_utf8(&secret).map_err(|_| TrustError::Sealed("it is no text"))?;
    Ok(SigningKey::derive(secret, scope))
}

/// A sealed secret opens in its own row only.
fn context(id: &str) -> String {
    format!("access key {id}")
}

/// Each letter of an alphabet of 32 or 64 is as likely as any other.
fn random_text(env: &Env, alphabet: &[u8], length: usize) -> String {
    let mut bytes = vec![0; length];
    env.fill_random(&mut bytes);
    bytes.into_iter().map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
}

/// A key as clients see it.
pub(crate) fn render(row: &AccessKeyRow) -> AccessKey {
    AccessKey {
        id: row.id.clone(),
        description: row.description.clone(),
        active: row.active,
        expires_at: timestamp_unless_zero(row.expires_at_ms),
        created_at: Some(timestamp_of(row.created_at_ms)),
        created_by: row.created_by.clone(),
        changed_at: timestamp_unless_zero(row.changed_at_ms),
        changed_by: row.changed_by.clone(),
    }
}
