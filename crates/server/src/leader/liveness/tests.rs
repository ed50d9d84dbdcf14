//! Leases, members that differ, and cluster time.

use seawall_model::MemberId;

use super::*;
use crate::testing::{OneMember, TestCluster};

fn heard(hashes: &[(u64, u128)]) -> Heard {
    let point = |(index, hash): &(u64, u128)| HashPoint { index: *index, hash: hash.to_be_bytes().to_vec().into() };
    Heard { hashes: hashes.iter().map(point).collect(), ..Heard::default() }
}

fn inner(members: &[&[(u64, u128)]]) -> Inner {
    Inner {
        members: members.iter().zip(1..).map(|(hashes, id)| (MemberId(id), heard(hashes))).collect(),
        ..Inner::default()
    }
}

fn diverged(members: &[&[(u64, u128)]]) -> Vec<u64> {
    let inner = inner(members);
    (1..=members.len() as u64).filter(|id| matches!(inner.verdict(MemberId(*id)), Verdict::Differs(_))).collect()
}

#[test]
fn only_a_majority_at_the_same_index_says_who_is_wrong() {
    assert_eq!(diverged(&[&[(8, 1)], &[(8, 1)], &[(8, 2)]]), [3]);
    assert_eq!(diverged(&[&[(8, 1)], &[(8, 2)], &[(8, 3)]]), Vec::<u64>::new(), "nobody has a majority");
    assert_eq!(diverged(&[&[(8, 1)], &[(9, 1)], &[(8, 2)]]), Vec::<u64>::new(), "not at the same index");
    assert_eq!(diverged(&[&[(8, 1), (9, 5)], &[(9, 5)], &[(8, 1), (9, 6)]]), [3], "an earlier point agrees");
    assert_eq!(diverged(&[&[(8, 1)], &[(8, 1)], &[(8, 1)]]), Vec::<u64>::new());
    assert_eq!(diverged(&[&[(8, 1)], &[(8, 1)], &[(8, 2)], &[(8, 2)], &[(8, 1)]]), [3, 4]);
    assert_eq!(diverged(&[&[(8, 1)], &[(8, 2)]]), Vec::<u64>::new(), "of two nobody is a majority");
}

#[test]
fn cluster_time_is_the_median_of_those_that_are_heard() {
    let median = |offsets: &[i64]| median(offsets.to_vec());
    assert_eq!(median(&[0]), 0);
    assert_eq!(median(&[3_600_000, 0, -50]), 0, "one clock an hour ahead moves nothing");
    assert_eq!(median(&[3_600_000, 3_599_000, 0]), 3_599_000, "the leader's own may be the wrong one");
    assert_eq!(median(&[0, 100]), 0, "of two the earlier");
    assert_eq!(median(&[-5, 7, 9, 11, 40]), 9);
}

/// A leader that heard its agents so long ago, and what it takes them for.
fn views(seconds_silent: &[(&str, &str, u64)], lost: &[&str]) -> Vec<(String, bool)> {
    let member = OneMember::new(1);
    let mut cluster = TestCluster::new();
    let now = Instant(Duration::from_secs(100));
    let mut inner = Inner::default();
    let mut names = Vec::new();
    for (name, zone, silent_ms) in seconds_silent {
        let id = cluster.instance(name, zone);
        let session = SessionId(cluster.state.instances.get(&id).unwrap().session);
        inner.leases.insert(id, Lease { session, renewed: Instant(now.0 - Duration::from_millis(*silent_ms)) });
        if lost.contains(name) {
            inner.lost.insert(id, Lost { at: now, member: MemberId(1) });
        }
        names.push((*name).to_owned());
    }
    let views = inner.agents(&cluster.state, now, &member.node.config);
    names.into_iter().zip(views).map(|(name, view)| (name, view.lost_at_ms.is_some())).collect()
}

#[test]
fn those_as_silent_as_the_first_that_is_lost_count_with_it() {
    let counted = |lost: &[&str]| {
        let views = views(&[("i-1", "a", 3001), ("i-2", "b", 2100), ("i-3", "c", 1200)], lost);
        views.into_iter().filter(|(_, counts)| *counts).map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(counted(&["i-1"]), ["i-1", "i-2"], "the third has beaten within the last beat");
    assert_eq!(counted(&[]), Vec::<String>::new(), "nobody's lease ran out: silence alone is no loss");
}

#[test]
fn who_beats_again_is_lost_no_more() {
    assert_eq!(views(&[("i-1", "a", 10)], &["i-1"]), [("i-1".into(), false)]);
}

#[test]
fn a_lease_runs_out_by_the_leaders_clock_and_only_for_its_session() {
    let member = OneMember::new(2);
    let liveness = Liveness::default();
    let mut cluster = TestCluster::new();
    let id = cluster.instance("i-1", "a");
    let session = |cluster: &TestCluster| cluster.state.instances.get(&id).unwrap().session;
    let lease = Duration::from_millis(member.node.config.lease_ms);
    assert!(liveness.expired(&member.node, &cluster.state).is_empty(), "one that was never heard begins afresh");
    member.sim.run_for(lease);
    assert!(liveness.expired(&member.node, &cluster.state).is_empty());
    member.sim.run_for(Duration::from_millis(1));
    let lost = liveness.expired(&member.node, &cluster.state);
    assert_eq!(
        lost.iter().map(|item| (item.instance_id, item.session)).collect::<Vec<_>>(),
        [(id.0, session(&cluster))]
    );
    // It connects again: the old session's silence says nothing about the new one.
    cluster.instance("i-1", "a");
    assert!(liveness.expired(&member.node, &cluster.state).is_empty());
}

#[test]
fn without_a_majority_nobody_is_right() {
    let verdicts = |members: &[&[(u64, u128)]]| -> Vec<Verdict> {
        let inner = inner(members);
        (1..=members.len() as u64).map(|id| inner.verdict(MemberId(id))).collect()
    };
    assert_eq!(verdicts(&[&[(5, 1)], &[(5, 2)], &[(5, 3)]]), [Verdict::Undecided; 3]);
    assert_eq!(verdicts(&[&[(5, 1)], &[(5, 2)], &[]]), [Verdict::Undecided, Verdict::Undecided, Verdict::Same]);
    assert_eq!(verdicts(&[&[(5, 1)], &[(5, 2)], &[(5, 2)]])[0], Verdict::Differs(MemberId(2)));
}
