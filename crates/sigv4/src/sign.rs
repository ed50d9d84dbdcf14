//! The client's side.

use http::{HeaderMap, HeaderValue};
use ring::digest;

use crate::{
    ALGORITHM, AUTHORIZATION, CONTENT_SHA256, Credential, DATE, Request, SigningKey, Stamp, canonical::string_to_sign,
};

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    to_hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// Signs requests with one access key.
#[derive(Clone)]
pub struct Signer {
    /// The access key's id.
    pub key_id: String,
    /// Never leaves the process.
    pub secret: String,
    /// Of the scope.
    pub region: String,
    /// Of the scope.
    pub service: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl Signer {
    /// The headers that sign a request: the date, the body's hash, and the signature over both, over what `request` holds,
    /// and over those of its headers that `signed` names, in lower case.
    ///
    /// # Errors
    /// A header of `signed` is not there, or the key's id cannot stand in a header.
    pub fn sign(
        &self,
        at: Stamp,
        request: &Request<'_>,
        signed: &[&str],
        payload_hash: &str,
    ) -> Result<HeaderMap, SignError> {
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| SignError);
        let mut headers = request.headers.clone();
        let mut added = HeaderMap::new();
        for (name, text) in [(DATE, at.to_string().as_str()), (CONTENT_SHA256, payload_hash)] {
            headers.insert(name, value(text)?);
            added.insert(name, value(text)?);
        }
        let mut names: Vec<String> = signed.iter().copied().chain([CONTENT_SHA256, DATE]).map(str::to_owned).collect();
        names.sort();
        let [key_id, region, service] = [&self.key_id, &self.region, &self.service].map(String::clone);
        let credential = Credential { key_id, day: at.day(), region, service };
        let request = Request { headers: &headers, ..*request };
        let text = string_to_sign(&request, &credential, at, &names, payload_hash).ok_or(SignError)?;
        let signature = to_hex(SigningKey::derive(&self.secret, &credential).sign(text.as_bytes()).as_ref());
        let (key, scope, names) = (&credential.key_id, credential.scope(), names.join(";"));
        let header = format!("{ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}");
        added.insert(AUTHORIZATION, value(&header)?);
        Ok(added)
    }
}

/// A request cannot be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the request cannot be signed: a header to sign is missing, or the access key's id is no text for a header")]
pub struct SignError;
