//! `seawall web`: the demo's web service. It answers with a line that tells which task and version it is.

use axum::Router;
use seawall_env::net::grpc::{Listener, Plain, Serving};
use tokio::sync::watch;

use crate::{args::WebArgs, context::Context, dev::signals::Signals, failure::Failure, output};

/// Where the process runtime has it listen: an address for each port of the definition.
const BIND: &str = "SEAWALL_BIND_";
/// Where it listens otherwise, unless PORT says so: all addresses, which in a container are the container's.
const PORT: &str = "8080";
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 256;
/// For what it answers when it is stopped.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// Runs `seawall web` until a signal ends it.
pub async fn run(ctx: &Context, args: WebArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen(&ctx.env)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let given = std::env::vars().find(|(name, value)| name.starts_with(BIND) && !value.is_empty());
    let port = || format!("0.0.0.0:{}", variable("PORT").unwrap_or_else(|| PORT.to_owned()));
    let address = given.map_or_else(port, |(_, address)| address);
    let listener = Listener::bind(&address).await;
    let listener = listener.map_err(|e| Failure::refused(format!("cannot listen on {address}: {e}")))?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let task = variable("SEAWALL_CONTAINER").and_then(|folder| task_of(&folder)).unwrap_or(host);
    let line = format!("version {}, task {task}\n", args.answer_version);
    output::say(&format!("listening on {address}: {}", line.trim_end()))?;
    let (_never, shutdown) = watch::channel(false);
    let router = Router::new().fallback(move || std::future::ready(line.clone()));
    let serving =
        Serving { router, tls: None, plain: Plain::Allow, connections_max: CONNECTIONS_MAX, shutdown, grace: GRACE };
    tokio::select! {
        biased;
        // At once: whoever stops a task has sent its clients elsewhere before.
        () = signals.next() => Ok(()),
        () = listener.serve(ctx.env.clone(), serving) => Ok(()),
    }
}

/// A process task's folder is `…/<task>/<container>`; a container is called by its host name.
fn task_of(folder: &str) -> Option<String> {
    folder.rsplit('/').nth(1).filter(|task| !task.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_task_knows_its_id() {
        assert_eq!(task_of("/d/agents/i-a1/process/0a1b/0").as_deref(), Some("0a1b"));
        assert_eq!(task_of("0"), None);
    }
}
