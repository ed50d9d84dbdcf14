//! What a signature must be like, as ECS has it: everything but the lookup of its key.

use seawall_model::{ApiError, ErrorCode};
use seawall_proto::internal::v1::AccessKeyRow;
use seawall_sigv4::{CONTENT_SHA256, Request, Signature, Stamp, sha256_hex};

/// How far a signature's time may be from cluster time.
const SKEW_MAX_MS: i64 = 5 * 60 * 1000;
/// ECS's words for a signature that is not the key's.
pub(super) const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
                                   AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// The body, as far as it is known when the signature is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    /// All of it.
    Body(&'a [u8]),
    /// gRPC: `x-amz-content-sha256` says the hash of the message, which the caller holds against it afterwards.
    Declared,
}

/// Holds against the rules what can be told without the key; the hash of the body that the signature is over.
pub(super) fn check_form(
    request: &Request<'_>,
    signature: &Signature,
    payload: Payload<'_>,
    service: &str,
) -> Result<String, ApiError> {
    if request.has_security_token() {
        return Err(unrecognized());
    }
    if signature.credential.service != service {
        return Err(invalid(format!("Credential should be scoped to correct service: '{service}'.")));
    }
    // Whoever holds a signed request must not make another operation of it (X-Amz-Target).
    let uncovered = request.headers.keys().map(http::HeaderName::as_str);
    let mut uncovered = uncovered.filter(|name| name.starts_with("x-amz-") && !signature.covers(name));
    if let Some(name) = uncovered.next() {
        return Err(invalid(format!("There were headers present in the request which were not signed: {name}.")));
    }
    let declared = request.headers.get(CONTENT_SHA256).map(|hash| hash.to_str().unwrap_or_default());
    match (payload, declared) {
        (Payload::Declared, _) if signature.expires_s.is_some() => Err(incomplete("gRPC takes no presigned calls.")),
        (Payload::Declared, None) => Err(incomplete("A gRPC call needs the header x-amz-content-sha256.")),
        (Payload::Declared, Some(hash)) => Ok(hash.to_owned()),
        (Payload::Body(_), _) if !signature.covers("host") => Err(incomplete("SignedHeaders must name host.")),
        (Payload::Body(body), declared) => {
            let hash = sha256_hex(body);
            match declared.is_none_or(|declared| declared == hash) {
                true => Ok(hash),
                false => Err(invalid("x-amz-content-sha256 is not the hash of the body.")),
            }
        }
    }
}

/// Holds the signature's time against cluster time.
pub(super) fn check_time(signature: &Signature, now_ms: i64) -> Result<(), ApiError> {
    let (at, now) = (signature.at, Stamp::of_ms(now_ms));
    let clocks = || format!("your clock is {}, ours {} (limit 5 min)", at.clock(now), now.clock(at));
    if at.ms() > now_ms.saturating_add(SKEW_MAX_MS) {
        return Err(invalid(format!("Signature not yet current: {}", clocks())));
    }
    let Some(expires_s) = signature.expires_s else {
        let is_old = at.ms() < now_ms.saturating_sub(SKEW_MAX_MS);
        return if is_old { Err(invalid(format!("Signature expired: {}", clocks()))) } else { Ok(()) };
    };
    if now_ms > at.ms().saturating_add(i64::from(expires_s) * 1000) {
        let (at, now) = (at.clock(now), now.clock(at));
        return Err(invalid(format!(
            "Signature expired: the URL was good for {expires_s} s from {at} on; now is {now}"
        )));
    }
    Ok(())
}

/// Whether a key may sign now.
pub(super) fn is_usable(key: &AccessKeyRow, now_ms: i64) -> bool {
    key.active && (key.expires_at_ms == 0 || key.expires_at_ms > now_ms)
}

/// ECS's words for a key that it does not know, or no longer takes.
pub(super) fn unrecognized() -> ApiError {
    ApiError::new(ErrorCode::UnrecognizedClient, "The security token included in the request is invalid.")
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::InvalidSignature, message)
}

fn incomplete(message: &str) -> ApiError {
    ApiError::new(ErrorCode::IncompleteSignature, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_795_615_331_000;

    /// What is said of a signature made this long ago.
    fn told(age_s: i64, expires_s: Option<u32>) -> String {
        let at = Stamp::of_ms(NOW_MS - age_s * 1000);
        let mut headers = http::HeaderMap::new();
        let credential = format!("AKIA/{}/r/ecs/aws4_request", at.day());
        let signature = "0".repeat(64);
        let expires = expires_s.map_or_else(String::new, |s| format!("&X-Amz-Expires={s}"));
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={at}{expires}\
             &X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        );
        if expires_s.is_none() {
            let header = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature={signature}");
            headers.insert("authorization", header.parse().unwrap());
            headers.insert("x-amz-date", at.to_string().parse().unwrap());
        }
        let query = if expires_s.is_some() { query.as_str() } else { "" };
        let request = Request { method: "GET", path: "/", query, headers: &headers, authority: None };
        let signature = Signature::find(&request).unwrap().unwrap();
        check_time(&signature, NOW_MS).map_or_else(|error| error.message, |()| "good".into())
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_and_a_url_for_as_long_as_it_says() {
        for good in [0, 299, 300, -299, -300] {
            assert_eq!(told(good, None), "good", "{good}");
        }
        assert_eq!(told(301, None), "Signature expired: your clock is 13:57:10, ours 14:02:11 (limit 5 min)");
        assert_eq!(told(-301, None), "Signature not yet current: your clock is 14:07:12, ours 14:02:11 (limit 5 min)");
        assert_eq!(
            told(86_400, None),
            "Signature expired: your clock is 2026-11-24 14:02:11, ours 2026-11-25 14:02:11 (limit 5 min)"
        );
        assert_eq!((told(3600, Some(3600)).as_str(), told(0, Some(0)).as_str()), ("good", "good"));
        assert_eq!(
            told(61, Some(60)),
            "Signature expired: the URL was good for 60 s from 14:01:10 on; now is 14:02:11"
        );
        assert!(told(-301, Some(60)).starts_with("Signature not yet current"));
    }
}
