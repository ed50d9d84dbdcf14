//! The one text that both sides make of a request, and the text that is signed.

use std::fmt::Write as _;

use http::HeaderMap;

use crate::{ALGORITHM, Credential, SECURITY_TOKEN, Stamp, sha256_hex};

/// In a presigned URL: the signature itself, which cannot sign itself.
const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// What is signed of a request, beside its body's hash.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Upper case, as it is sent.
    pub method: &'a str,
    /// As it is sent, so percent-encoded.
    pub path: &'a str,
    /// As it is sent, without the question mark; empty where there is none.
    pub query: &'a str,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// HTTP/2's authority, which stands for the header `host`.
    pub authority: Option<&'a str>,
}

impl<'a> Request<'a> {
    /// Of an HTTP request as it came.
    pub fn of(parts: &'a http::request::Parts) -> Request<'a> {
        Request {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            authority: parts.uri.authority().map(http::uri::Authority::as_str),
        }
    }

    /// Whether it carries a token of keys that end by themselves.
    pub fn has_security_token(&self) -> bool {
        self.headers.contains_key(SECURITY_TOKEN)
            || parameters(self.query).any(|(name, _)| name == b"X-Amz-Security-Token")
    }

    /// The values of a header in one text; `None` if it is not there, or holds bytes that no signer would take.
    fn header(&self, name: &str) -> Option<String> {
        let values: Option<Vec<&str>> = self.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        let values = values?;
        if values.is_empty() {
            return self.authority.filter(|_| name == "host").map(str::to_owned);
        }
        Some(values.into_iter().map(trimmed).collect::<Vec<_>>().join(","))
    }
}

/// Without white space around it, and one blank for more of it inside.
fn trimmed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text that is signed; `None` if a header that should be signed is not there.
pub(crate) fn string_to_sign(
    request: &Request<'_>,
    credential: &Credential,
    at: Stamp,
    signed_headers: &[String],
    payload_hash: &str,
) -> Option<String> {
    let canonical = canonical_request(request, signed_headers, payload_hash)?;
    Some(format!("{ALGORITHM}\n{at}\n{}\n{}", credential.scope(), sha256_hex(canonical.as_bytes())))
}

fn canonical_request(request: &Request<'_>, signed_headers: &[String], payload_hash: &str) -> Option<String> {
    let mut text = format!("{}\n{}\n{}\n", request.method, path(request.path), query(request.query));
    for name in signed_headers {
        let value = request.header(name)?;
        text.extend([name.as_str(), ":", &value, "\n"]);
    }
    text.extend(["\n", &signed_headers.join(";"), "\n", payload_hash]);
    Some(text)
}

/// As every service but S3 does: without `.` and `..` and empty segments, and encoded once more.
fn path(sent: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let mut out = String::from("/");
    out.push_str(&encoded(segments.join("/").as_bytes(), true));
    if sent.ends_with('/') && !segments.is_empty() {
        out.push('/');
    }
    out
}

/// Sorted, encoded in the one way, without the signature.
fn query(sent: &str) -> String {
    let pairs = parameters(sent).filter(|(name, _)| name != SIGNATURE_PARAMETER.as_bytes());
    let mut pairs: Vec<(String, String)> =
        pairs.map(|(name, value)| (encoded(&name, false), encoded(&value, false))).collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Names and values of a query, decoded.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn encoded(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(*byte)),
            b'/' if keep_slash => out.push('/'),
            byte => write!(out, "%{byte:02X}").expect("writing to a string"),
        }
    }
    out
}

/// A `%` that no two digits follow stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = (*byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        match digits.and_then(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)) {
            Some(escaped) => {
                out.push(escaped);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// The value of a hexadecimal digit.
pub(crate) fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normal_and_encoded_twice() {
        assert_eq!(path(""), "/");
        assert_eq!(path("//a/./b/../c/"), "/a/c/");
        assert_eq!(path("/a%20b"), "/a%2520b");
        assert_eq!(path("/../.."), "/");
    }

    #[test]
    fn queries_are_sorted_and_lose_their_signature() {
        assert_eq!(query("b=2&a=1&X-Amz-Signature=ab&a=0&flag"), "a=0&a=1&b=2&flag=");
        assert_eq!(query("a=%2f%2F/+&%zz=%"), "%25zz=%25&a=%2F%2F%2F%2B");
    }
}
