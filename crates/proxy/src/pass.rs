//! One client's connection, from its first byte to its end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::ClientConfig;
use seawall_env::net::tcp::{TLS_HANDSHAKE, Tcp};
use tokio::sync::watch;

use crate::{Shared, check, pool::Candidate};

/// A connection that says nothing is closed after this, as members do.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// While no member takes a connection, a client is held so long: its SDK's own retries come on top.
const HOLD_MAX: Duration = Duration::from_secs(2);
/// Between two tries meanwhile.
const HOLD_PAUSE: Duration = Duration::from_millis(100);

/// Passes on what a client and a member say to each other.
pub(crate) async fn pass(shared: Arc<Shared>, client: Tcp, from: SocketAddr) {
    let first = match shared.env.timeout(FIRST_BYTE_MAX, client.first_byte()).await {
        Ok(Ok(Some(first))) => first,
        // It left, broke, or has nothing to say.
        Ok(Ok(None) | Err(_)) | Err(_) => return,
    };
    // Who speaks TLS already means it for the member.
    let tls = if first == TLS_HANDSHAKE { None } else { shared.tls.clone() };
    match find(&shared, tls).await {
        Some((member, address, cut)) => join(client, member, &address, cut).await,
        None => {
            tracing::warn!(%from, "closed a connection: no member takes it");
            client.reset();
        }
    }
}

/// A connection to the best member that takes one.
async fn find(shared: &Shared, tls: Option<Arc<ClientConfig>>) -> Option<(Tcp, String, watch::Receiver<bool>)> {
    let deadline = shared.env.now() + HOLD_MAX;
    loop {
        for Candidate { address, cut } in shared.pool.candidates() {
            match check::dial(&shared.env, &address, tls.clone()).await {
                Ok(member) => return Some((member, address, cut)),
                Err(why) => {
                    tracing::debug!(member = address, why, "takes no connection");
                    shared.pool.look_at(&address);
                }
            }
        }
        let goes_on = shared.pause(HOLD_PAUSE, std::future::pending()).await;
        if !goes_on || shared.env.now() >= deadline {
            return None;
        }
    }
}

/// Idle connections stay: the member ends those that it has no use for, and asks whether clients live.
async fn join(mut client: Tcp, mut member: Tcp, address: &str, mut cut: watch::Receiver<bool>) {
    let ended = tokio::select! {
        biased;
        // A sender that is gone means a member that is gone.
        _ = cut.wait_for(|cut| *cut) => None,
        ended = tokio::io::copy_bidirectional(&mut client, &mut member) => Some(ended),
    };
    match ended {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            tracing::debug!(member = address, %error, "a connection broke");
            client.reset();
            member.reset();
        }
        None => {
            tracing::debug!(member = address, "a connection is cut");
            client.reset();
            member.reset();
        }
    }
}
