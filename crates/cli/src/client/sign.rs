//! Signs each call with the access key of the environment: over the path, the date and the message's hash. The secret itself
//! is never sent.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http_body_util::{BodyExt as _, Full};
use seawall_env::Env;
use seawall_sigv4::{Request as Unsigned, Signer, Stamp, sha256_hex};
use tonic::{body::Body, transport::Channel};
use tower::{BoxError, Service};

use crate::failure::Failure;

/// Where a key comes from, the first that is set: Seawall's own, then those that every tool of AWS reads.
const VARIABLES: [[&str; 2]; 2] =
    [["SEAWALL_ACCESS_KEY_ID", "SEAWALL_SECRET_ACCESS_KEY"], ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]];
/// In the scope of signatures.
const SERVICE: &str = "ecs";
/// Before gRPC's message: whether it is compressed, and its length.
const FRAME_BYTES: usize = 5;
/// What a signature of ECS's JSON covers beside date and body, as SDKs sign it.
const JSON_HEADERS: [&str; 2] = ["host", "x-amz-target"];

/// The access key that the environment holds.
///
/// # Errors
/// Half of one.
pub fn signer(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Signer>, Failure> {
    for names in VARIABLES {
        let [key_id, secret] = names.map(|name| variable(name).filter(|value| !value.is_empty()));
        match (key_id, secret) {
            (Some(key_id), Some(secret)) => {
                let [region, service] = [seawall_model::DEFAULT_REGION, SERVICE].map(str::to_owned);
                return Ok(Some(Signer { key_id, secret, region, service }));
            }
            (None, None) => {}
            (set, _) => {
                let [there, missing] = if set.is_some() { names } else { [names[1], names[0]] };
                return Err(Failure::usage(format!("{there} is set, {missing} is not")).next("set both, or neither"));
            }
        }
    }
    Ok(None)
}

/// A key's id as it is shown: enough to tell it from others.
pub fn shown(key_id: &str) -> String {
    let letters: Vec<char> = key_id.chars().collect();
    match letters.len() {
        0..=8 => key_id.to_owned(),
        count => letters[..4].iter().chain(&['…']).chain(&letters[count - 2..]).collect(),
    }
}

/// A connection whose calls are signed, where there is a key.
#[derive(Clone)]
pub struct SigningChannel {
    channel: Channel,
    env: Env,
    signer: Option<Arc<Signer>>,
    /// Whom it reaches: the header `host` of ECS's JSON.
    authority: Arc<str>,
}

impl SigningChannel {
    /// Signs what goes over `channel` to `authority`.
    pub fn new(channel: Channel, env: &Env, signer: Option<Arc<Signer>>, authority: &str) -> Self {
        SigningChannel { channel, env: env.clone(), signer, authority: authority.into() }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, BoxError>> + Send>>;

impl Service<http::Request<Body>> for SigningChannel {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.channel.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, request: http::Request<Body>) -> Answer {
        // The one that was found ready sends; its copy is asked anew.
        let copy = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, copy);
        let (env, signer, authority) = (self.env.clone(), self.signer.clone(), self.authority.clone());
        Box::pin(async move {
            let request = match signer {
                Some(signer) => signed(&signer, Stamp::of_ms(env.wall_ms()), request, &authority).await?,
                None => request,
            };
            Ok(channel.call(request).await?)
        })
    }
}

/// Every call, streamed answers too, has one message, which is encoded already when it comes here.
async fn signed(
    signer: &Signer,
    at: Stamp,
    request: http::Request<Body>,
    authority: &str,
) -> Result<http::Request<Body>, BoxError> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let is_json = parts.headers.contains_key(JSON_HEADERS[1]);
    let (covered, payload) = match is_json {
        true => (&JSON_HEADERS[..], &body[..]),
        false => (&[][..], body.get(FRAME_BYTES..).unwrap_or_default()),
    };
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let unsigned = Unsigned { method, path, query: "", headers: &parts.headers, authority: Some(authority) };
    let headers = signer.sign(at, &unsigned, covered, &sha256_hex(payload))?;
    parts.headers.extend(headers);
    Ok(http::Request::from_parts(parts, Body::new(Full::new(body))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let get = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let found = signer(get).map_err(|failure| failure.to_string())?;
        Ok(found.map(|signer| format!("{} {}", signer.key_id, signer.secret)))
    }

    #[test]
    fn seawalls_own_variables_come_before_those_of_aws() {
        let aws = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&aws), Ok(Some("A B".into())));
        let both = [aws[0], aws[1], ("SEAWALL_ACCESS_KEY_ID", "C"), ("SEAWALL_SECRET_ACCESS_KEY", "D")];
        assert_eq!(of(&both), Ok(Some("C D".into())));
        assert_eq!(of(&[aws[0], aws[1], ("SEAWALL_ACCESS_KEY_ID", "")]), Ok(Some("A B".into())));
        let half = of(&[("SEAWALL_SECRET_ACCESS_KEY", "D")]);
        let told = "SEAWALL_SECRET_ACCESS_KEY is set, SEAWALL_ACCESS_KEY_ID is not. next: set both, or neither";
        assert_eq!(half, Err(told.into()));
        assert_eq!((shown("AKIAABCDEFGHIJKLMNF2"), shown("short")), ("AKIA…F2".into(), "short".into()));
    }
}
