//! How `seawall zone` reaches the dev that runs: HTTP on a UNIX socket in dev's folder, which its owner alone may open.
//! One request is one action, and its answer comes when it is done.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, extract::Path as InUrl, http::StatusCode, routing};
use http_body_util::{BodyExt as _, Limited};
use seawall_env::{
    Env, TaskKind,
    net::grpc::{LocalSocket, Plain, Serving},
};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::transport::{Channel, Endpoint};
use tower::{Service as _, ServiceExt as _};

use super::cluster::{Action, Request};
use crate::failure::{Exit, Failure};

/// In dev's folder.
const SOCKET: &str = "dev.sock";
/// Commands that wait or are served at the same time.
const CONNECTIONS_MAX: usize = 16;
/// For what runs when it is stopped.
const GRACE: Duration = Duration::from_secs(10);
/// Longest wait for a dev to take a request…
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// …and to do it: with Docker, containers are killed meanwhile.
const DONE_MAX: Duration = Duration::from_secs(150);
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
    let serving =
        Serving { router, tls: None, plain: Plain::Refuse, connections_max: CONNECTIONS_MAX, shutdown, grace: GRACE };
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
/// No dev runs there, it refused, or it does not answer in time.
pub async fn ask(env: &Env, folder: &Path, action: Action, zone: &str) -> Result<String, Failure> {
    let absent = |why: String| {
        let what = format!("no dev answers on {}: {why}", folder.display());
        Failure::new(Exit::NoConnection, what).next("seawall dev, or --data-dir of the one that runs")
    };
    let endpoint = Endpoint::from_shared(format!("unix:{}", socket(folder).display()));
    let endpoint = endpoint.map_err(|e| absent(e.to_string()))?;
    let request = http::Request::post(format!("http://dev/{}/{zone}", action.word())).body(tonic::body::Body::empty());
    let request = request.map_err(|e| Failure::usage(format!("zone {zone:?}: {e}")))?;
    let connected = env.timeout(CONNECT_MAX, endpoint.connect()).await;
    let channel = connected.map_err(|_| absent("it is silent".into()))?.map_err(|e| absent(words(&e)))?;
    match env.timeout(DONE_MAX, send(channel, request)).await {
        Ok(Ok((true, sentence))) => Ok(sentence),
        Ok(Ok((false, why))) => Err(Failure::refused(why)),
        Ok(Err(why)) => Err(absent(why)),
        Err(_) => Err(Failure::new(Exit::InProgress, format!("dev has not done it after {} s", DONE_MAX.as_secs()))),
    }
}

/// Whether it was done, and what was said.
async fn send(mut channel: Channel, request: http::Request<tonic::body::Body>) -> Result<(bool, String), String> {
    let channel = channel.ready().await.map_err(|e| words(&e))?;
    let answer = channel.call(request).await.map_err(|e| words(&e))?;
    let is_done = answer.status().is_success();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| e.to_string())?;
    Ok((is_done, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}

/// The innermost cause: "No such file or directory", not "transport error".
fn words(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
