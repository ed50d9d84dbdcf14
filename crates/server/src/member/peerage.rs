//! Which members answer, as this one sees it: for errors that say whom we wait for, and for joins.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use seawall_env::{Instant, net::NetError};
use seawall_model::MemberId;

use super::form;
use crate::{api::Node, dispatch::lock};

const ROUND: Duration = Duration::from_secs(1);
/// A member that has not answered for this long is said to be silent.
const SILENT: Duration = Duration::from_millis(2500);

/// When each member last answered a probe of this one.
#[derive(Default)]
pub(crate) struct Peerage {
    answered: Mutex<BTreeMap<MemberId, Instant>>,
    /// Why the last probe of a member found somebody else or nobody, where that is more than silence.
    faults: Mutex<BTreeMap<MemberId, String>>,
}

impl Peerage {
    /// Whether the member answered lately. Before the first round everybody counts as silent.
    pub(crate) fn answers(&self, node: &Node, id: MemberId) -> bool {
        id == node.identity.id() || lock(&self.answered).get(&id).is_some_and(|at| node.env.now() - *at < SILENT)
    }

    /// "s2 and s3 of s1, s2, s3 do not answer for 12 s; writes wait up to 10 s, reads with --stale still work. next: …"
    pub(crate) fn whom_we_wait_for(&self, node: &Node) -> String {
        let names = member_names(node);
        let silent: Vec<&str> =
            names.iter().filter(|(id, _)| !self.answers(node, **id)).map(|(_, name)| name.as_str()).collect();
        let all: Vec<&str> = names.values().map(String::as_str).collect();
        let who = if silent.is_empty() {
            format!("{} are electing one", all.join(", "))
        } else {
            let verb = if silent.len() == 1 { "does" } else { "do" };
            format!("{} of {} {verb} not answer{}", silent.join(" and "), all.join(", "), self.silence(node, &names))
        };
        let who = who + &self.faults(&names);
        format!("{who}; writes wait up to 10 s, reads with --stale still work. next: seawall status")
    }

    /// " (s2: its certificate is of the secret with fingerprint …, ours has …)"
    fn faults(&self, names: &BTreeMap<MemberId, String>) -> String {
        let faults = lock(&self.faults);
        let each: Vec<String> =
            faults.iter().filter_map(|(id, why)| Some(format!("{}: {why}", names.get(id)?))).collect();
        if each.is_empty() { String::new() } else { format!(" ({})", each.join("; ")) }
    }

    fn note(&self, id: MemberId, now: Instant, found: Result<(), Option<String>>) {
        let mut faults = lock(&self.faults);
        faults.remove(&id);
        match found {
            Ok(()) => drop(lock(&self.answered).insert(id, now)),
            Err(Some(why)) => drop(faults.insert(id, why)),
            Err(None) => {}
        }
    }

    /// " for 12 s": of the one that answered last among the silent ones.
    fn silence(&self, node: &Node, names: &BTreeMap<MemberId, String>) -> String {
        let answered = lock(&self.answered);
        let now = node.env.now();
        let last =
            names.keys().filter_map(|id| answered.get(id)).map(|at| now - *at).filter(|age| *age >= SILENT).min();
        last.map(|age| format!(" for {} s", age.as_secs())).unwrap_or_default()
    }
}

fn member_names(node: &Node) -> BTreeMap<MemberId, String> {
    let state = node.consensus.state();
    let members = node.consensus.membership();
    members
        .voters
        .iter()
        .map(|(id, address)| {
            let name = state.state.members.get(&id.0).map(|row| row.name.clone());
            (*id, name.unwrap_or_else(|| address.to_string()))
        })
        .collect()
}

/// Whether the member answers there. The error says why not, unless that is plain silence.
async fn probe(node: &Node, id: MemberId, address: &str) -> Result<(), Option<String>> {
    let answer = match form::probe_as(&node.env, address, Some(node.identity_message())).await {
        Ok(answer) => answer,
        Err(NetError::Refused(why)) => return Err(Some(why)),
        Err(_) => return Err(None),
    };
    if answer.removed {
        node.condition.set_removed();
    }
    let me = answer.me.unwrap_or_default();
    if !answer.empty && me.cluster_id != node.identity.cluster_bytes() {
        return Err(Some(format!("{address} belongs to another cluster")));
    }
    if me.member_id != id.0 {
        return Err(Some(format!("{address} is not this member any more; it has lost its data folder or its place")));
    }
    Ok(())
}

/// Probes every other member, a round a second.
pub(crate) async fn probe_loop(node: Arc<Node>) {
    loop {
        let members = node.consensus.membership();
        let others = members.voters.keys().chain(members.learners.keys()).filter(|id| **id != node.identity.id());
        let probes = others.filter_map(|id| Some((*id, node.peer_address(*id)?))).map(|(id, address)| {
            let node = node.clone();
            async move { (id, probe(&node, id, &address).await) }
        });
        let found = futures::future::join_all(probes).await;
        let now = node.env.now();
        found.into_iter().for_each(|(id, found)| node.peerage.note(id, now, found));
        node.env.sleep(node.env.jitter(ROUND / 2)).await;
    }
}
