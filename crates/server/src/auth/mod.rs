//! Who asks: every request of a client is held against the access keys before anything is done for it.
//!
//! The socket in the data folder needs no key. On the port, once a key exists (one that is off or expired too: turning the
//! last one off must not open the port), every request must be signed by a key that is on, by Signature Version 4. While
//! none exists, a port on loopback or with `--insecure` takes any signature, and one that others can reach takes no client.
//!
//! Keys are looked up in what this member has applied. A request that this would refuse is looked at again after a read
//! barrier, since this member may be behind. A key that was turned off elsewhere is good here until that is applied.

mod keys;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::request::Parts;
use seawall_env::{
    Instant,
    net::{grpc::Peer, trust::Secret},
};
use seawall_model::{ACCOUNT, ApiError, ErrorCode};
use seawall_proto::internal::v1::{AccessKeyRow, Principal, principal};
use seawall_sigv4::{Request, Signature, SigningKeys};
use tracing::{error, warn};

use crate::api::{Node, READ_DEADLINE};

pub(crate) use keys::{new_key, render};
pub(crate) use verify::Payload;

/// What the port lets in, and what it needs to know for it.
pub(crate) struct Gate {
    /// Opens the secrets of keys; `None` in the simulation, which makes no keys.
    secret: Option<Secret>,
    unkeyed: Unkeyed,
    signing_keys: SigningKeys,
    /// Since this member started it has been at a state that was the cluster's latest: that it knows no key means something.
    caught_up: AtomicBool,
}

/// What becomes of clients while no key exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unkeyed {
    /// Loopback, or `--insecure`.
    Served,
    /// Others reach this address.
    Refused {
        /// Where it is listened on.
        listen: String,
    },
}

impl Gate {
    pub(crate) fn new(secret: Option<Secret>, unkeyed: Unkeyed) -> Gate {
        Gate { secret, unkeyed, signing_keys: SigningKeys::default(), caught_up: AtomicBool::new(false) }
    }
}

/// Who asks, where they may ask. `service` is what the scope of a signature must name.
///
/// A socket counts as local by the [`Peer`] that ports put into each request's extensions.
pub(crate) async fn authenticate(
    node: &Arc<Node>,
    request: &Parts,
    payload: Payload<'_>,
    service: &str,
    deadline: Instant,
) -> Result<Principal, ApiError> {
    if request.extensions.get::<Peer>().is_some_and(|peer| peer.local_socket) {
        return Ok(principal(principal::Kind::LocalSocket, ""));
    }
    if !keys_exist(node, deadline).await? {
        return unkeyed(&node.gate.unkeyed);
    }
    let request = Request::of(request);
    let signature = Signature::find(&request)
        .map_err(|why| ApiError::new(ErrorCode::IncompleteSignature, why.to_string()))?
        .ok_or_else(|| ApiError::new(ErrorCode::MissingAuthenticationToken, "Missing Authentication Token"))?;
    let payload_hash = verify::check_form(&request, &signature, payload, service)?;
    let key = usable_key(node, &signature.credential.key_id, deadline).await?;
    verify::check_time(&signature, node.cluster_time_ms())?;
    if !is_by(node, &key, &signature, &request, &payload_hash)? {
        return Err(ApiError::new(ErrorCode::InvalidSignature, verify::MISMATCH));
    }
    Ok(Principal { account: key.account, ..principal(principal::Kind::AccessKey, &key.id) })
}

fn principal(kind: principal::Kind, name: &str) -> Principal {
    Principal { kind: kind.into(), name: name.to_owned(), account: ACCOUNT }
}

fn unkeyed(policy: &Unkeyed) -> Result<Principal, ApiError> {
    match policy {
        Unkeyed::Served => Ok(principal(principal::Kind::Anonymous, "")),
        Unkeyed::Refused { listen } => Err(ApiError::new(ErrorCode::AccessDenied, refusing(listen))),
    }
}

fn refusing(listen: &str) -> String {
    format!(
        "refusing clients on {listen} without access keys. next: seawall access-key create (on this machine, over the socket), \
         or --insecure"
    )
}

/// Whether requests must be signed. A member that has just started or joined may not know the keys yet, and asks first.
async fn keys_exist(node: &Arc<Node>, deadline: Instant) -> Result<bool, ApiError> {
    if !node.consensus.state().state.access_keys.is_empty() {
        return Ok(true);
    }
    if node.gate.caught_up.load(Ordering::Relaxed) {
        return Ok(false);
    }
    let state = node.read(false, deadline).await?;
    node.gate.caught_up.store(true, Ordering::Relaxed);
    Ok(!state.access_keys.is_empty())
}

/// A key that may ask now.
async fn usable_key(node: &Arc<Node>, id: &str, deadline: Instant) -> Result<Arc<AccessKeyRow>, ApiError> {
    let usable = |row: &&Arc<AccessKeyRow>| verify::is_usable(row, node.cluster_time_ms());
    if let Some(row) = node.consensus.state().state.access_keys.get(id).filter(usable) {
        return Ok(row.clone());
    }
    let state = node.read(false, deadline).await?;
    state.access_keys.get(id).filter(usable).cloned().ok_or_else(verify::unrecognized)
}

/// Whether the key signed it. The derived key is kept once it has proved right.
fn is_by(
    node: &Node,
    key: &AccessKeyRow,
    signature: &Signature,
    request: &Request<'_>,
    payload_hash: &str,
) -> Result<bool, ApiError> {
    let kept = &node.gate.signing_keys;
    if let Some(signing) = kept.get(&signature.credential, &key.sealed_secret) {
        return Ok(signature.is_by(&signing, request, payload_hash));
    }
    let Some(secret) = &node.gate.secret else { return Err(verify::unrecognized()) };
    let signing = keys::signing_key(secret, key, &signature.credential).map_err(|why| {
        error!(key = key.id, %why, "cannot open an access key's secret");
        ApiError::new(ErrorCode::Server, format!("the secret of access key {} cannot be opened here", key.id))
    })?;
    let is_by = signature.is_by(&signing, request, payload_hash);
    if is_by {
        kept.put(&signature.credential, &key.sealed_secret, Arc::new(signing));
    }
    Ok(is_by)
}

/// Finds out whether keys exist as soon as somebody leads, so that later nobody has to lead for it; and says what that means.
pub(crate) async fn announce(node: Arc<Node>) {
    let exist = loop {
        match keys_exist(&node, node.env.now() + READ_DEADLINE).await {
            Ok(exist) => break exist,
            // It waits for the others, which is said elsewhere.
            Err(_) => node.env.sleep(node.env.jitter(READ_DEADLINE / 10)).await,
        }
    };
    match &node.gate.unkeyed {
        _ if exist => {}
        Unkeyed::Served => warn!("no access keys: any signature is accepted"),
        Unkeyed::Refused { listen } => warn!("{}", refusing(listen)),
    }
}
