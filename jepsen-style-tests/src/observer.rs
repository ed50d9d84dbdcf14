//! Asks every member all the time what it knows of itself and the others.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::{
    checker::{Check, replicas::Observation},
    client::{Clients, POLL},
    history::Stop,
};

/// Between two rounds.
const PERIOD: Duration = Duration::from_millis(200);
/// For one member's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// What one member says now; nothing where it does not answer.
async fn observe(clients: &Clients, names: &[String], member: usize) -> Option<Observation> {
    let seen = timeout(ANSWER_TIMEOUT, clients.describe_members(member)).await.ok()?.ok()?;
    let hashes = seen.members.into_iter().map(|m| (m.name, m.state_hash_index, m.state_hash)).collect();
    Some(Observation { member: names[member].clone(), term: seen.term, leader: seen.leader, hashes })
}

/// Observes until it is stopped.
pub async fn run(clients: Clients, names: Vec<String>, stop: Stop) -> Vec<Observation> {
    let mut seen = Vec::new();
    while !stop.stopped() {
        for member in 0..clients.members() {
            seen.extend(observe(&clients, &names, member).await);
        }
        sleep(PERIOD).await;
    }
    seen
}

/// Waits until all members report one index with one hash: they agree at rest.
pub async fn wait_until_equal(clients: &Clients, names: &[String], deadline: Duration) -> (Check, Vec<Observation>) {
    const NAME: &str = "G3 members agree at rest";
    let until = Instant::now() + deadline;
    let mut seen = Vec::new();
    loop {
        let mut own = Vec::new();
        for member in 0..clients.members() {
            let Some(observed) = observe(clients, names, member).await else { continue };
            own.extend(observed.hashes.iter().find(|(name, ..)| *name == names[member]).cloned());
            seen.push(observed);
        }
        let equal = own.len() == clients.members()
            && own.iter().all(|(_, i, hash)| *i > 0 && (*i, hash) == (own[0].1, &own[0].2));
        if equal {
            let detail = format!("index {}, hash {}", own[0].1, own[0].2);
            return (Check::of(NAME, &[], detail), seen);
        }
        if Instant::now() > until {
            let problem = format!("not within {deadline:?}: {own:?}");
            return (Check::of(NAME, &[problem], String::new()), seen);
        }
        sleep(POLL).await;
    }
}
