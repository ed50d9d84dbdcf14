//! Asks each member whether it serves, as a client would: over its own connection, through the port that clients use.

use std::{io, sync::Arc, time::Duration};

use rustls::ClientConfig;
use seawall_env::{Env, net::tcp::Tcp};

use crate::{CHECK, Shared, pool::After};

/// Between two checks of a member while somebody is connected…
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// …and while nobody is: a thousand idle proxies are no load.
const CHECK_EVERY_IDLE: Duration = Duration::from_secs(10);
/// Between two checks that were asked for.
const CHECK_PAUSE: Duration = Duration::from_millis(100);
/// A member that takes longer does not serve. Electing a leader takes less.
const CHECK_MAX: Duration = Duration::from_millis(500);
/// Refused, unreachable or silent for this long: the next member.
const CONNECT_MAX: Duration = Duration::from_millis(300);
/// The same for TLS on top of it: a member that is stopped still accepts connections.
const HANDSHAKE_MAX: Duration = Duration::from_millis(500);
/// 200 while the member may serve linearizable reads.
const PAGE: &str = "/readyz";
const OK: u16 = 200;

/// Connects to a member.
///
/// # Errors
/// Why not, for people.
pub(crate) async fn dial(env: &Env, address: &str, tls: Option<Arc<ClientConfig>>) -> Result<Tcp, String> {
    let silent = |length: Duration| format!("no answer within {length:?}");
    let said = |error: io::Error| error.to_string();
    let dialed = env.timeout(CONNECT_MAX, Tcp::dial(address)).await;
    let plain = dialed.map_err(|_| silent(CONNECT_MAX))?.map_err(said)?;
    let Some(tls) = tls else { return Ok(plain) };
    let shaken = env.timeout(HANDSHAKE_MAX, plain.with_tls(tls)).await;
    shaken.map_err(|_| silent(HANDSHAKE_MAX))?.map_err(said)
}

/// Starts to check members.
pub(crate) fn start(shared: &Arc<Shared>, addresses: Vec<String>) {
    for address in addresses {
        shared.env.spawn(CHECK, keep_checking(shared.clone(), address));
    }
}

/// Checks one member until it is gone or the proxy stops.
async fn keep_checking(shared: Arc<Shared>, address: String) {
    let look = shared.pool.look(&address);
    loop {
        let checked = shared.env.timeout(CHECK_MAX, check(&shared, &address)).await;
        let checked = checked.unwrap_or_else(|_| Err(format!("no answer within {CHECK_MAX:?}")));
        let every = if shared.is_used() { CHECK_EVERY } else { CHECK_EVERY_IDLE };
        let goes_on = match shared.pool.note(&address, checked) {
            After::Gone => return,
            After::Doubted => true,
            After::Settled => {
                let pause = shared.pause(CHECK_PAUSE, std::future::pending()).await;
                pause && shared.pause(every - CHECK_PAUSE, look.notified()).await
            }
        };
        if !goes_on {
            return;
        }
    }
}

async fn check(shared: &Shared, address: &str) -> Result<(), String> {
    let member = dial(&shared.env, address, shared.tls.clone()).await?;
    match member.get(PAGE).await {
        Ok((OK, _)) => Ok(()),
        Ok((status, said)) => Err(format!("{PAGE} is {status}: {said}")),
        Err(error) => Err(error.to_string()),
    }
}
