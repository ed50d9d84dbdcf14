//! How a member with an empty folder gets into a cluster: it joins one that exists, or helps to form a new one.
//!
//! A new cluster forms only when **all** expected members answer "empty", and only the one with the lowest name
//! initialises it, once. Anything less would let a wiped majority overwrite what the survivor still knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use seawall_env::{
    BoxFuture, Env,
    net::{Caller, Handler, Lane, NetError},
};
use seawall_proto::internal::v1::{JoinRequest, JoinResponse, MemberRow, PeerIdentity, ProbeRequest, ProbeResponse};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    Mount, ServerError,
    identity::{FormingMember, Identity},
};
use crate::ServerConfig;

pub(crate) const PROBE: &str = "/seawall.internal.v1.Peer/Probe";
pub(crate) const JOIN: &str = "/seawall.internal.v1.Peer/Join";
/// The initialiser tells another empty member its identity in the cluster that forms.
pub(crate) const INVITE: &str = "/seawall.internal.v1.Peer/Invite";
const ROUND: Duration = Duration::from_millis(500);
const CALL: Duration = Duration::from_secs(2);
/// Say again whom we wait for, this often.
const ROUNDS_BETWEEN_LOGS: u32 = 20;

/// Answers peers while this member has no cluster.
pub(crate) struct Waiting {
    me: PeerIdentity,
    invited: mpsc::Sender<Identity>,
}

impl Waiting {
    pub(crate) fn new(env: &Env, config: &ServerConfig) -> (Arc<Waiting>, mpsc::Receiver<Identity>) {
        let (invited, invitation) = mpsc::channel(1);
        let me = PeerIdentity {
            name: config.name.clone(),
            zone: config.zone.clone(),
            process: env.random_u64(),
            ..Default::default()
        };
        (Arc::new(Waiting { me, invited }), invitation)
    }
}

impl Handler for Waiting {
    fn handles(&self, method: &str) -> bool {
        method == PROBE || method == INVITE
    }

    fn call(self: Arc<Self>, _: Caller, method: String, body: Bytes) -> BoxFuture<'static, Result<Bytes, NetError>> {
        Box::pin(async move {
            if method == PROBE {
                let answer = ProbeResponse { me: Some(self.me.clone()), empty: true, ..Default::default() };
                return Ok(answer.encode_to_vec().into());
            }
            let invitation = JoinResponse::decode(body).map_err(|e| NetError::Broken(e.to_string()))?;
            let identity = identity_of(&self.me.name, &self.me.zone, &invitation).map_err(NetError::Refused)?;
            self.invited
                .send(identity)
                .await
                .map_err(|_| NetError::Refused("this member has just got into a cluster".into()))?;
            Ok(JoinResponse::default().encode_to_vec().into())
        })
    }
}

fn identity_of(name: &str, zone: &str, answer: &JoinResponse) -> Result<Identity, String> {
    let bytes: Option<[u8; 16]> = answer.cluster_id.as_ref().try_into().ok();
    let bytes = bytes.filter(|_| answer.member_id != 0).ok_or("an invitation names a cluster and a member")?;
    Ok(Identity {
        cluster_id: format!("{:032x}", u128::from_be_bytes(bytes)),
        member_id: answer.member_id,
        name: name.into(),
        zone: zone.into(),
        epoch: answer.epoch,
        boot: 0,
        had_log: false,
        secret: String::new(),
        forming: Vec::new(),
    })
}

/// What one round of probes found.
#[derive(Default)]
struct Round {
    /// Empty members by name, with their zone and address; this one included.
    empty: BTreeMap<String, (String, String)>,
    /// A member of a cluster that exists.
    member_of: Option<String>,
    /// Who does not answer, and why.
    silent: Vec<String>,
}

impl Round {
    /// For people: what this member waits for.
    fn waits_for(&self, config: &ServerConfig) -> String {
        if !self.silent.is_empty() {
            return format!("this member waits for the others of --join: {}", self.silent.join("; "));
        }
        let names: Vec<&str> = self.empty.keys().map(String::as_str).collect();
        if self.empty.len() < config.expect {
            return format!(
                "this member waits for {} members to form a cluster (--expect) and knows of {}: {}",
                config.expect,
                names.len(),
                names.join(", ")
            );
        }
        format!("{} form a cluster; {} begins", names.join(", "), names.first().unwrap_or(&""))
    }
}

/// Waits until this member has an identity.
pub(crate) async fn identity(
    env: &Env,
    config: &ServerConfig,
    mount: &dyn Mount,
    me: &Waiting,
    invitation: &mut mpsc::Receiver<Identity>,
) -> Result<Identity, ServerError> {
    let own_address = &mount.peer_address();
    for round in 0u32.. {
        let found = probe_all(env, config, me, own_address).await?;
        mount.wait(found.waits_for(config));
        if let Some(address) = &found.member_of {
            match join(env, config, own_address, address).await? {
                Ok(identity) => return Ok(identity),
                Err(why) => {
                    warn!(%address, %why, "cannot join yet");
                    mount.wait(format!("this member cannot join yet through {address}: {why}"));
                }
            }
        } else if found.silent.is_empty()
            && found.empty.len() >= config.expect
            && found.empty.keys().next() == Some(&config.name)
        {
            return Ok(plan(env, config, &found.empty));
        } else if round % ROUNDS_BETWEEN_LOGS == 0 {
            info!(
                expect = config.expect,
                answered = ?found.empty.keys().collect::<Vec<_>>(),
                silent = ?found.silent,
                "waiting to form or join a cluster"
            );
        }
        if let Ok(Some(identity)) = env.timeout(env.jitter(ROUND), invitation.recv()).await {
            return Ok(identity);
        }
    }
    unreachable!("rounds are endless")
}

async fn probe_all(env: &Env, config: &ServerConfig, me: &Waiting, own_address: &str) -> Result<Round, ServerError> {
    let mut round = Round::default();
    // One server may be listed twice, or this one under another spelling of its address.
    let mut processes = BTreeSet::from([me.me.process]);
    round.empty.insert(config.name.clone(), (config.zone.clone(), own_address.to_owned()));
    for address in config.join.iter().filter(|a| a.as_str() != own_address) {
        match probe(env, address).await {
            Err(error) => round.silent.push(format!("{address}: {error}")),
            Ok(answer) if !answer.empty => round.member_of = Some(address.clone()),
            Ok(answer) => {
                let peer = answer.me.unwrap_or_default();
                if !processes.insert(peer.process) {
                    continue;
                }
                if round.empty.insert(peer.name.clone(), (peer.zone, address.clone())).is_some() {
                    return Err(ServerError::NameTaken(peer.name, address.clone()));
                }
            }
        }
    }
    Ok(round)
}

/// Asks one peer who it is.
pub(crate) async fn probe(env: &Env, address: &str) -> Result<ProbeResponse, NetError> {
    probe_as(env, address, None).await
}

/// The same, saying who asks.
pub(crate) async fn probe_as(env: &Env, address: &str, from: Option<PeerIdentity>) -> Result<ProbeResponse, NetError> {
    let body = ProbeRequest { from }.encode_to_vec().into();
    let answer = env.net().call(address, Lane::Main, PROBE, body, CALL).await?;
    ProbeResponse::decode(answer).map_err(|e| NetError::Broken(e.to_string()))
}

/// The inner error is worth trying again.
async fn join(
    env: &Env,
    config: &ServerConfig,
    own_address: &str,
    first: &str,
) -> Result<Result<Identity, String>, ServerError> {
    let request = JoinRequest {
        member: Some(MemberRow {
            name: config.name.clone(),
            zone: config.zone.clone(),
            peer_address: own_address.to_owned(),
            version: config.version.clone(),
            ..Default::default()
        }),
        from: None,
    };
    let mut address = first.to_owned();
    for _redirect in 0..3 {
        let body = request.encode_to_vec().into();
        let answer = match env.net().call(&address, Lane::Main, JOIN, body, Duration::from_secs(20)).await {
            Ok(answer) => JoinResponse::decode(answer).map_err(|e| ServerError::Join(e.to_string()))?,
            Err(error) => return Ok(Err(error.to_string())),
        };
        if answer.member_id != 0 {
            info!(member_id = answer.member_id, "joined the cluster");
            return identity_of(&config.name, &config.zone, &answer).map(Ok).map_err(ServerError::Join);
        }
        if !answer.leader_address.is_empty() {
            address = answer.leader_address;
            continue;
        }
        if answer.error.is_empty() {
            return Ok(Err("no leader".into()));
        }
        if answer.try_again {
            return Ok(Err(answer.error));
        }
        return Err(ServerError::Join(answer.error));
    }
    Ok(Err("the leader keeps moving".into()))
}

/// The identity of the initialiser: saved before anybody is invited, so that a crash in between is resumed.
fn plan(env: &Env, config: &ServerConfig, members: &BTreeMap<String, (String, String)>) -> Identity {
    let forming: Vec<FormingMember> = members
        .iter()
        .zip(1..)
        .map(|((name, (zone, address)), id)| FormingMember {
            id,
            name: name.clone(),
            zone: zone.clone(),
            peer_address: address.clone(),
        })
        .collect();
    let mut bytes = [0; 16];
    env.fill_random(&mut bytes);
    Identity {
        cluster_id: format!("{:032x}", u128::from_be_bytes(bytes)),
        member_id: forming.iter().find(|m| m.name == config.name).map_or(0, |m| m.id),
        name: config.name.clone(),
        zone: config.zone.clone(),
        epoch: 1,
        boot: 0,
        had_log: false,
        secret: String::new(),
        forming,
    }
}

/// Tells every other member of a forming cluster who it is; returns once all have said yes.
pub(crate) async fn invite_all(env: &Env, identity: &Identity) {
    for member in identity.forming.iter().filter(|m| m.id != identity.member_id) {
        let answer = JoinResponse {
            cluster_id: identity.cluster_bytes().into(),
            member_id: member.id,
            epoch: identity.epoch,
            ..Default::default()
        };
        loop {
            let body = answer.encode_to_vec().into();
            match env.net().call(&member.peer_address, Lane::Main, INVITE, body, CALL).await {
                Ok(_) => break,
                Err(error) if has_identity(env, identity, member).await => {
                    info!(name = %member.name, %error, "already invited");
                    break;
                }
                Err(error) => warn!(name = %member.name, %error, "cannot invite yet"),
            }
            env.sleep(env.jitter(ROUND)).await;
        }
    }
}

async fn has_identity(env: &Env, identity: &Identity, member: &FormingMember) -> bool {
    let Ok(answer) = probe(env, &member.peer_address).await else { return false };
    let peer = answer.me.unwrap_or_default();
    peer.member_id == member.id && peer.cluster_id.as_ref() == identity.cluster_bytes().as_slice()
}
