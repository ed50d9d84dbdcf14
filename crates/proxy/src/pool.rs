//! The members that are known: how each stands, whom a new connection goes to, and whose connections are cut.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, watch};

/// So many checks in a row fail before a member is given up: one may be lost while a leader is elected.
const FAILURES_MAX: u32 = 2;
/// Members kept; a cluster has fewer.
const MEMBERS_MAX: usize = 64;

/// The members.
pub(crate) struct Pool {
    zone: Option<String>,
    /// By address; nothing awaits under it.
    members: Mutex<BTreeMap<String, Member>>,
    /// Whose turn it is among members that are as good as each other.
    turn: AtomicUsize,
}

struct Member {
    zone: Option<String>,
    /// Named by the operator: it stays, whatever the cluster tells.
    is_seed: bool,
    serves: bool,
    failures: u32,
    /// True: its connections end. Gone with the member, which ends them as well.
    cut: watch::Sender<bool>,
    look: Arc<Notify>,
}

/// A member to try for a connection.
pub(crate) struct Candidate {
    pub(crate) address: String,
    /// Turns true, or its sender goes, when the connection is to end.
    pub(crate) cut: watch::Receiver<bool>,
}

/// What follows a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// It stands as it did: the next check is in its time.
    Settled,
    /// One check failed: it is asked again at once.
    Doubted,
    /// It is no member any more.
    Gone,
}

impl Member {
    fn new(zone: Option<String>, is_seed: bool) -> Self {
        Member { zone, is_seed, serves: false, failures: 0, cut: watch::Sender::new(false), look: Arc::default() }
    }

    fn is_given_up(&self) -> bool {
        !self.serves && self.failures >= FAILURES_MAX
    }
}

impl Pool {
    pub(crate) fn new(zone: Option<String>, seeds: &[String]) -> Self {
        let members = seeds.iter().map(|address| (address.clone(), Member::new(None, true))).collect();
        Pool { zone, members: Mutex::new(members), turn: AtomicUsize::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All addresses.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Whether a member serves.
    pub(crate) fn serves(&self) -> bool {
        self.lock().values().any(|member| member.serves)
    }

    /// Whom to try, best first: members of the zone, then the others, each in turn. Only where none serves those follow that
    /// live and wait for a leader: they hold a request until there is one, or say why not.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let members = self.lock();
        let nobody_serves = !members.values().any(|member| member.serves);
        let tried = members.iter().filter(|(_, member)| member.serves || nobody_serves);
        let mut ranked: Vec<_> = tried.map(|(address, member)| (self.rank(member), address, member)).collect();
        if !ranked.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % ranked.len();
            ranked.rotate_left(turn);
        }
        ranked.sort_by_key(|(rank, ..)| *rank);
        let candidate = |(_, address, member): (_, &String, &Member)| Candidate {
            address: address.clone(),
            cut: member.cut.subscribe(),
        };
        ranked.into_iter().map(candidate).collect()
    }

    fn rank(&self, member: &Member) -> u8 {
        let elsewhere = u8::from(self.zone.is_some() && member.zone != self.zone);
        elsewhere + 2 * u8::from(member.is_given_up())
    }

    /// Notes how a check ended.
    pub(crate) fn note(&self, address: &str, checked: Result<(), String>) -> After {
        let mut members = self.lock();
        let Some(member) = members.get_mut(address) else { return After::Gone };
        let after = match checked {
            Ok(()) => {
                if !member.serves {
                    tracing::info!(member = address, zone = member.zone, "serves");
                }
                (member.serves, member.failures) = (true, 0);
                After::Settled
            }
            Err(why) => {
                member.failures = member.failures.saturating_add(1);
                if member.failures == FAILURES_MAX {
                    tracing::warn!(member = address, zone = member.zone, why, "does not serve: its connections move");
                    member.serves = false;
                }
                if member.failures < FAILURES_MAX { After::Doubted } else { After::Settled }
            }
        };
        cut_where_it_helps(&members);
        after
    }

    /// Takes in what the cluster tells of its members. The addresses that are new are given back.
    pub(crate) fn learn(&self, listed: Vec<(String, String)>) -> Vec<String> {
        let mut members = self.lock();
        members.retain(|address, member| member.is_seed || listed.iter().any(|(kept, _)| kept == address));
        let mut new = Vec::new();
        for (address, zone) in listed {
            if let Some(member) = members.get_mut(&address) {
                member.zone = Some(zone);
            } else if members.len() < MEMBERS_MAX {
                tracing::info!(member = address, zone, "is a member as well");
                members.insert(address.clone(), Member::new(Some(zone), false));
                new.push(address);
            }
        }
        cut_where_it_helps(&members);
        new
    }

    /// Has a member checked soon: it did not take a connection.
    pub(crate) fn look_at(&self, address: &str) {
        if let Some(member) = self.lock().get(address) {
            member.look.notify_one();
        }
    }

    /// Has every member checked soon.
    pub(crate) fn look_at_all(&self) {
        self.lock().values().for_each(|member| member.look.notify_one());
    }

    /// Resolves when a member is to be checked soon.
    pub(crate) fn look(&self, address: &str) -> Arc<Notify> {
        self.lock().get(address).map(|member| member.look.clone()).unwrap_or_default()
    }
}

/// Connections of a member that was given up are cut once another one serves. While none does they stay: it may be the one
/// that serves first.
fn cut_where_it_helps(members: &BTreeMap<String, Member>) {
    let somebody_serves = members.values().any(|member| member.serves);
    for member in members.values() {
        let is_cut = somebody_serves && member.is_given_up();
        member.cut.send_if_modified(|cut| std::mem::replace(cut, is_cut) != is_cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(zone: Option<&str>) -> Pool {
        let pool = Pool::new(zone.map(str::to_owned), &["a:1".to_owned()]);
        let told = [("a:1", "a"), ("b:1", "b"), ("c:1", "c")];
        let new = pool.learn(told.map(|(address, zone)| (address.to_owned(), zone.to_owned())).to_vec());
        assert_eq!(new, ["b:1", "c:1"]);
        pool
    }

    fn order(pool: &Pool) -> Vec<String> {
        pool.candidates().into_iter().map(|candidate| candidate.address).collect()
    }

    fn fail(pool: &Pool, address: &str) -> After {
        pool.note(address, Err("silent".into()))
    }

    #[test]
    fn the_own_zone_comes_first_and_the_others_take_turns() {
        let pool = pool(Some("b"));
        for address in pool.addresses() {
            assert_eq!(pool.note(&address, Ok(())), After::Settled);
        }
        let mut seconds = std::collections::BTreeSet::new();
        for _ in 0..6 {
            let order = order(&pool);
            assert_eq!((order[0].as_str(), order.len()), ("b:1", 3));
            seconds.insert(order[1].clone());
        }
        assert_eq!(seconds.len(), 2, "both of the other zones take turns");
    }

    #[test]
    fn a_member_is_given_up_at_the_second_failure_and_cut_once_another_serves() {
        let pool = pool(None);
        pool.note("a:1", Ok(()));
        let cut = pool.candidates().remove(0).cut;
        assert_eq!(fail(&pool, "a:1"), After::Doubted);
        assert_eq!(order(&pool), ["a:1"], "one lost check changes nothing");
        assert_eq!(fail(&pool, "a:1"), After::Settled);
        assert!(!*cut.borrow(), "nobody else serves");
        assert_eq!(order(&pool).len(), 3, "then all are tried");
        pool.note("b:1", Ok(()));
        assert!(*cut.borrow());
        assert_eq!(order(&pool), ["b:1"]);
        pool.note("a:1", Ok(()));
        assert!(!*cut.borrow(), "what connects from now on is not cut");
        assert_eq!(order(&pool).len(), 2);
    }

    #[test]
    fn a_removed_member_is_forgotten_unless_the_operator_named_it() {
        let pool = pool(None);
        let cut = pool.candidates().into_iter().find(|c| c.address == "b:1").unwrap().cut;
        assert!(pool.learn(vec![("c:1".into(), "c".into())]).is_empty());
        assert!(cut.has_changed().is_err(), "its connections end");
        assert_eq!(pool.addresses(), ["a:1", "c:1"]);
        assert_eq!(pool.note("b:1", Ok(())), After::Gone);
    }

    #[test]
    fn members_are_limited() {
        let pool = pool(None);
        pool.learn((0..1000).map(|i| (format!("m{i}:1"), "z".into())).collect());
        assert_eq!(pool.addresses().len(), MEMBERS_MAX);
    }
}
