//! Whatever bytes come, reading them ends.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use seawall_sigv4::{AUTHORIZATION, DATE, Request, Signature, SigningKey};

fn look(authorization: &[u8], date: &[u8], path: &str, query: &str) {
    let mut headers = HeaderMap::new();
    for (name, value) in [(AUTHORIZATION, authorization), (DATE, date)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let request = Request { method: "POST", path, query, headers: &headers, authority: Some("a") };
    if let Ok(Some(signature)) = Signature::find(&request) {
        let key = SigningKey::derive("secret", &signature.credential);
        assert!(!signature.is_by(&key, &request, "hash"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(
        authorization in proptest::collection::vec(any::<u8>(), 0..200),
        date in proptest::collection::vec(any::<u8>(), 0..20),
        path in "\\PC{0,40}",
        query in "\\PC{0,100}",
    ) {
        look(&authorization, &date, &path, &query);
    }

    /// Near to right: most parts are there, some are anything.
    #[test]
    fn almost_right_ones_are_read(
        credential in "[A-Z]{0,5}/?(20261125|[0-9é]{0,9})/r?/(ecs|%2F)?/(aws4_request|.?)",
        signed in "(host|x-amz-date|;|é|A){0,5}",
        signature in "([0-9a-f]{64}|[0-9a-zé]{0,70})",
        date in "(20261125T140211Z|[0-9TZé]{16})",
        separator in "(, |,|;| )",
        expires in "([0-9]{0,12}|-1)",
    ) {
        let parts = [format!("Credential={credential}"), format!("SignedHeaders={signed}"), format!("Signature={signature}")];
        look(format!("AWS4-HMAC-SHA256 {}", parts.join(&separator)).as_bytes(), date.as_bytes(), "/", "");
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={expires}\
             &X-Amz-SignedHeaders={signed}&X-Amz-Signature={signature}"
        );
        look(b"", b"", "/%é%zz/%4", &query);
    }
}
