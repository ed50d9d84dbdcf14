//! Requests as botocore signs them (vectors.json, made by vectors.py): each is known as signed, and as not when anything of
//! it is another.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use seawall_sigv4::{Credential, Request, Signature, Signer, SigningKey, SigningKeys, sha256_hex};
use serde_json::Value;

struct Vector {
    name: String,
    presigned: bool,
    method: String,
    uri: Uri,
    headers: HeaderMap,
    body: String,
}

impl Vector {
    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: self.uri.path(),
            query: self.uri.query().unwrap_or_default(),
            headers: &self.headers,
            authority: None,
        }
    }

    fn holds_with(&self, secret: &str) -> bool {
        let Ok(Some(signature)) = Signature::find(&self.request()) else { return false };
        let key = SigningKey::derive(secret, &signature.credential);
        signature.is_by(&key, &self.request(), &sha256_hex(self.body.as_bytes()))
    }
}

fn vectors() -> (String, String, Vec<Vector>) {
    let file: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let header = |(name, value): (&String, &Value)| {
        let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
    };
    let vector = |it: &Value| Vector {
        name: text(&it["name"]),
        presigned: it["presigned"].as_bool().unwrap(),
        method: text(&it["method"]),
        uri: text(&it["url"]).parse().unwrap(),
        headers: it["headers"].as_object().unwrap().iter().map(header).collect(),
        body: text(&it["body"]),
    };
    (text(&file["key"]), text(&file["secret"]), file["vectors"].as_array().unwrap().iter().map(vector).collect())
}

#[test]
fn what_botocore_signs_is_signed() {
    let (key, secret, vectors) = vectors();
    assert!(vectors.len() >= 10);
    for vector in vectors {
        let signature = Signature::find(&vector.request()).unwrap().unwrap();
        assert_eq!(signature.credential.key_id, key, "{}", vector.name);
        assert_eq!(signature.expires_s.is_some(), vector.presigned, "{}", vector.name);
        assert!(vector.holds_with(&secret), "{}", vector.name);
    }
}

/// One change of a request.
type Change = fn(&mut Vector);

#[test]
fn what_was_changed_on_the_way_is_not() {
    let changes: [(&str, Change); 4] = [
        ("method", |it| it.method = "PUT".into()),
        ("body", |it| it.body.push(' ')),
        ("path", |it| {
            let query = it.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            it.uri = format!("http://x{}other{query}", it.uri.path()).parse().unwrap();
        }),
        ("query", |it| {
            let query = it.uri.query().map(|query| format!("{query}&")).unwrap_or_default();
            it.uri = format!("http://x{}?{query}more=1", it.uri.path()).parse().unwrap();
        }),
    ];
    let (_, secret, all) = vectors();
    for (at, vector) in all.iter().enumerate() {
        assert!(!vector.holds_with("another secret"), "{}", vector.name);
        for (what, change) in changes {
            let mut changed = vectors().2.remove(at);
            change(&mut changed);
            assert!(!changed.holds_with(&secret), "{}: {what}", vector.name);
        }
        let signed = Signature::find(&vector.request()).unwrap().unwrap().signed_headers;
        for name in signed {
            let mut changed = vectors().2.remove(at);
            let name: HeaderName = name.parse().unwrap();
            changed.headers.append(&name, HeaderValue::from_static("20261125T140212Z"));
            assert!(!changed.holds_with(&secret), "{}: {name}", vector.name);
            changed.headers.remove(&name);
            assert!(!changed.holds_with(&secret), "{} without {name}", vector.name);
        }
    }
}

#[test]
fn our_own_signatures_are_known_as_signed() {
    let signer = Signer {
        key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "secret".into(),
        region: "us-local-1".into(),
        service: "ecs".into(),
    };
    let at = seawall_sigv4::Stamp::parse("20261125T140211Z").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("127.0.0.1:7400"));
    let hash = sha256_hex(b"body");
    let unsigned = Request { method: "POST", path: "/a/B", query: "x=1", headers: &headers, authority: None };
    let added = signer.sign(at, &unsigned, &["host"], &hash).unwrap();
    assert!(signer.sign(at, &unsigned, &["absent"], &hash).is_err());
    headers.extend(added);
    let request = Request { method: "POST", path: "/a/B", query: "x=1", headers: &headers, authority: None };
    let signature = Signature::find(&request).unwrap().unwrap();
    assert!(signature.covers("host") && signature.covers("x-amz-content-sha256"));
    let key = SigningKey::derive("secret", &signature.credential);
    assert!(signature.is_by(&key, &request, &hash));
    assert!(!signature.is_by(&key, &request, &sha256_hex(b"another body")));
    assert!(!format!("{signer:?}{key:?}").contains("secret"));
}

/// `cargo test --release -p seawall-sigv4 -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
#[expect(clippy::disallowed_methods, reason = "how long it takes, by the real clock")]
fn verifying_a_request_of_4_kib_takes_under_30_microseconds() {
    const ROUNDS: u32 = 20_000;
    let (_, secret, mut all) = vectors();
    let vector = all.remove(0);
    let body = vec![b'x'; 4096];
    let keys = SigningKeys::default();
    let credential: Credential = Signature::find(&vector.request()).unwrap().unwrap().credential;
    keys.put(&credential, b"sealed", Arc::new(SigningKey::derive(&secret, &credential)));
    let began = std::time::Instant::now();
    for _ in 0..ROUNDS {
        let signature = Signature::find(&vector.request()).unwrap().unwrap();
        let key = keys.get(&signature.credential, b"sealed").unwrap();
        std::hint::black_box(signature.is_by(&key, &vector.request(), &sha256_hex(&body)));
    }
    let each = began.elapsed() / ROUNDS;
    println!("{each:?} a request of 4 KiB");
    assert!(each.as_micros() < 30, "{each:?}");
}
