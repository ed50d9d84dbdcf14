//! How `seawall zone` reaches the dev that runs: HTTP on a UNIX socket in dev's folder, which its owner alone may open.
//! One request is one action, and its answer comes when it is done.

use std::path::{Path, PathBuf};

use axum::{Router, extract::Path as InUrl, http::StatusCode, routing};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use seawall_env::{
    Env, TaskKind,
    net::grpc::{LocalSocket, Plain, Serving},
};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::transport::Endpoint;
use tower::{Service as _, ServiceExt as _};

use super::cluster::{Action, Request};
use crate::failure::{Exit, Failure};

/// In dev's folder.
const SOCKET: &str = "dev.sock";
/// Commands that wait or are served at the same time.
const CONNECTIONS_MAX: usize = 16;
/// Longest answer: a sentence.
const ANSWER_BYTES_MAX: usize = 16 << 10;

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Kill => "kill",
            Action::Cut => "cut",
            Action::Return => "return",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Action::Kill, Action::Cut, Action::Return].into_iter().find(|action| action.word() == word)
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Serves until the sender that comes back is dropped or says true.
pub async fn serve(env: &Env, folder: &Path, requests: mpsc::Sender<Request>) -> Result<watch::Sender<bool>, Failure> {
    let path = socket(folder);
    let listening = LocalSocket::bind(&path).await;
    let listening = listening.map_err(|e| Failure::refused(format!("{}: {e}", path.display())))?;
    let (stop, shutdown) = watch::channel(false);
    let act = move |InUrl((action, zone)): InUrl<(String, String)>| answer(requests.clone(), action, zone);
    let router = Router::new().route("/{action}/{zone}", routing::post(act));
    let serving = Serving { router, tls: None, plain: Plain::Refuse, connections_max: CONNECTIONS_MAX, shutdown };
    env.spawn(TaskKind::vital("control socket"), listening.serve(env.clone(), serving));
    Ok(stop)
}

/// Removes the socket: nobody listens there any more.
pub fn remove(env: &Env, folder: &Path) {
    // A socket that stays is refused by the system and taken over by the next dev.
    let _ = env.fs().remove(&socket(folder));
}

async fn answer(requests: mpsc::Sender<Request>, action: String, zone: String) -> (StatusCode, String) {
    let Some(action) = Action::of(&action) else { return (StatusCode::NOT_FOUND, format!("{action}: unknown")) };
    let (answer, done) = oneshot::channel();
    if requests.send(Request { action, zone, answer }).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "dev is ending".into());
    }
    match done.await {
        Ok(Ok(done)) => (StatusCode::OK, done.sentence),
        Ok(Err(failure)) => (StatusCode::CONFLICT, failure.to_string()),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "dev is ending".into()),
    }
}

/// Has the dev of a folder do something to a zone; what it did, for people.
///
/// # Errors
/// No dev runs there, or it refused.
pub async fn ask(folder: &Path, action: Action, zone: &str) -> Result<String, Failure> {
    let absent = |why: String| {
        let what = format!("no dev answers on {}: {why}", folder.display());
        Failure::new(Exit::NoConnection, what).next("seawall dev, or --data-dir of the one that runs")
    };
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket(folder).display()));
    let mut channel = endpoint.map_err(|e| absent(e.to_string()))?.connect().await.map_err(|e| absent(words(&e)))?;
    let request = http::Request::post(format!("http://dev/{}/{zone}", action.word())).body(tonic::body::Body::empty());
    let request = request.map_err(|e| Failure::usage(format!("zone {zone:?}: {e}")))?;
    let channel = channel.ready().await.map_err(|e| absent(words(&e)))?;
    let answer = channel.call(request).await.map_err(|e| absent(words(&e)))?;
    let status = answer.status();
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body: Bytes = body.map_err(|e| absent(e.to_string()))?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() { Ok(text) } else { Err(Failure::refused(text)) }
}

/// The innermost cause: "No such file or directory", not "transport error".
fn words(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
