//! AWS Signature Version 4, both ways: what a client signs, and whether a request was signed by who has the secret.
//!
//! Pure: the time, the secret and the body's hash are arguments. A [`Signature`] is what a request carries (in the header
//! `authorization`, or in the query of a presigned URL); [`Signature::find`] reads it and never panics, whatever the bytes.
//! [`Signature::is_by`] says in constant time whether a [`SigningKey`] made it. Who asks, whether the clock fits and what the
//! body must be is for the caller to decide: nothing here is a policy but the form.

mod canonical;
mod key;
mod sign;
mod signature;
mod stamp;

pub use canonical::Request;
pub use key::{KEYS_KEPT_MAX, SigningKey, SigningKeys};
pub use sign::{SignError, Signer, sha256_hex};
pub use signature::{Credential, Malformed, SIGNED_HEADERS_MAX, Signature};
pub use stamp::Stamp;

/// The one algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Header: who signed what, and the signature.
pub const AUTHORIZATION: &str = "authorization";
/// Header: when it was signed.
pub const DATE: &str = "x-amz-date";
/// Header: the hash of the body in hexadecimal digits.
pub const CONTENT_SHA256: &str = "x-amz-content-sha256";
/// Header and query parameter: what belongs to keys that end by themselves.
pub const SECURITY_TOKEN: &str = "x-amz-security-token";
/// The end of every scope.
const TERMINATOR: &str = "aws4_request";
