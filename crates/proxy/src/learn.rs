//! Asks the cluster for its members, so that a proxy lives through the replacement of every member that it was told of.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use seawall_env::BoxFuture;

use crate::{Shared, check};

/// Asks the cluster for its members: where clients reach each, and its zone. The question goes through the proxy itself, so
/// that it reaches a member that serves, with TLS where that is needed.
///
/// # Errors
/// Why there is no answer, for people.
pub type AskMembers = Box<dyn Fn() -> BoxFuture<'static, Result<Vec<(String, String)>, String>> + Send + Sync>;

/// Between two questions while somebody is connected…
const LEARN_EVERY: Duration = Duration::from_secs(5);
/// …and while nobody is.
const LEARN_EVERY_IDLE: Duration = Duration::from_secs(30);
/// Until a member serves, it is looked so often whether one does.
const NOBODY_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for the answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Keeps the pool as the cluster is, until the proxy stops.
pub(crate) async fn keep_learning(shared: Arc<Shared>, ask: AskMembers) {
    let mut told = String::new();
    loop {
        let pause = match shared.pool.serves() {
            false => NOBODY_PAUSE,
            true => {
                // Before the question, which is a connection itself.
                let pause = if shared.is_used() { LEARN_EVERY } else { LEARN_EVERY_IDLE };
                match learn(&shared, &ask).await {
                    Ok(()) => told.clear(),
                    Err(why) if why != told => {
                        tracing::warn!(
                            why,
                            "the cluster does not tell of its members: going on with those that are known"
                        );
                        told = why;
                    }
                    Err(_) => {}
                }
                pause
            }
        };
        if !shared.pause(pause, std::future::pending()).await {
            return;
        }
    }
}

async fn learn(shared: &Arc<Shared>, ask: &AskMembers) -> Result<(), String> {
    let listed =
        shared.env.timeout(ANSWER_MAX, ask()).await.map_err(|_| format!("no answer within {ANSWER_MAX:?}"))??;
    let is_local = shared.servers.iter().any(|server| is_loopback(server));
    let listed: Vec<_> = listed.into_iter().filter(|(told, _)| is_useful(told, is_local, shared.own)).collect();
    if !listed.is_empty() {
        check::start(shared, shared.pool.learn(listed));
    }
    Ok(())
}

/// A loopback address means the machine of its member, which is this one only if the operator named one on loopback; and what
/// listens there may be this proxy, which would then pass on to itself.
fn is_useful(told: &str, is_local: bool, own: SocketAddr) -> bool {
    let is_own = told.rsplit_once(':').is_some_and(|(_, port)| port == own.port().to_string()) && is_loopback(told);
    !told.is_empty() && !is_own && (!is_loopback(told) || is_local)
}

fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => address.starts_with("localhost:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_counts_on_its_own_machine_and_the_proxy_never() {
        let own = "127.0.0.1:7400".parse().unwrap();
        for (told, is_local, useful) in [
            ("host-b:7400", false, true),
            ("127.0.0.1:7410", true, true),
            ("127.0.0.1:7410", false, false),
            ("127.0.0.1:7400", true, false),
            ("localhost:7400", true, false),
            ("", false, false),
        ] {
            assert_eq!(is_useful(told, is_local, own), useful, "{told:?}, local {is_local}");
        }
    }
}
