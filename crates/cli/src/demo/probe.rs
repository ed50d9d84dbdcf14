//! Who answers over HTTP. Each look opens connections of its own: one that is kept open would outlive its task's turn.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use seawall_env::Env;
use seawall_proto::v1::Endpoint;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// A connection that is refused is tried again for so long, as clients do: a task is RUNNING a moment before its program
/// listens.
const REFUSED_MAX: Duration = Duration::from_millis(250);
/// Between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// Longest answer: a line.
const ANSWER_BYTES_MAX: usize = 4096;

/// Asks services.
#[derive(Clone)]
pub struct Prober {
    env: Env,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Prober {
    /// Has asked nobody yet.
    pub fn new(env: &Env) -> Self {
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Prober { env: env.clone(), client }
    }

    /// The answers of those that answer, all asked at once.
    pub async fn answers(&self, endpoints: &[Endpoint]) -> Vec<String> {
        let asked = endpoints.iter().map(|endpoint| self.answer(endpoint));
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    async fn answer(&self, endpoint: &Endpoint) -> Option<String> {
        let uri: Uri = format!("http://{}:{}/", endpoint.host_ip, endpoint.host_port).parse().ok()?;
        let ask = async {
            let answer = self.reach(uri).await?;
            let is_good = answer.status().is_success();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.ok()?;
            is_good.then(|| String::from_utf8_lossy(&body.to_bytes()).trim().to_owned())
        };
        // Whoever is silent does not answer.
        self.env.timeout(ANSWER_MAX, ask).await.ok()?
    }

    async fn reach(&self, uri: Uri) -> Option<Response<Incoming>> {
        let deadline = self.env.now() + REFUSED_MAX;
        loop {
            match self.client.get(uri.clone()).await {
                Ok(answer) => return Some(answer),
                Err(error) if error.is_connect() && self.env.now() < deadline => self.env.sleep(TRY_AGAIN).await,
                Err(_) => return None,
            }
        }
    }
}
