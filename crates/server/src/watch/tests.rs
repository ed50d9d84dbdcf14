//! Positions: no gap that is not announced, no repeat, never backwards.

use seawall_model::ErrorCode;
use seawall_proto::v1::{Position, ResourceKind, WatchEvent, WatchRequest, watch_event};
use seawall_state::{Change, Effects, State};

use super::*;
use crate::testing::{LIMIT, OneMember, create_cluster};

const FIRST_EPOCH: u64 = 1;

fn entry(index: u64, changes: usize) -> Arc<AppliedEntry> {
    let changes = std::iter::repeat_n(Change::Meta, changes).collect();
    let effects = vec![Effects { changes }];
    Arc::new(AppliedEntry { index, cluster_time_ms: 0, effects, state: State::new() })
}

fn indexes(kept: Option<Vec<Arc<AppliedEntry>>>) -> Option<Vec<u64>> {
    kept.map(|entries| entries.iter().map(|entry| entry.index).collect())
}

#[test]
fn what_is_kept_is_told_and_what_is_dropped_is_announced() {
    let changes = Changes::default();
    changes.restart(10);
    (11..=13).for_each(|index| changes.push(entry(index, 1)));
    assert_eq!(indexes(changes.after(10)), Some(vec![11, 12, 13]));
    assert_eq!(indexes(changes.after(12)), Some(vec![13]));
    assert_eq!(indexes(changes.after(13)), Some(vec![]));
    assert_eq!(indexes(changes.after(99)), Some(vec![]), "a position ahead of this member is waited for");
    assert_eq!(indexes(changes.after(9)), None);
}

#[test]
fn the_oldest_changes_go_first() {
    let changes = Changes::default();
    changes.restart(0);
    let many = WATCH_BYTES / CHANGE_BYTES / 4;
    (1..=6).for_each(|index| changes.push(entry(index, many)));
    assert_eq!(indexes(changes.after(2)), None);
    assert_eq!(indexes(changes.after(3)), Some(vec![4, 5, 6]), "as many as fit");
}

#[test]
fn a_snapshot_in_between_is_a_gap() {
    let changes = Changes::default();
    changes.restart(10);
    changes.push(entry(11, 1));
    changes.push(entry(50, 0));
    changes.push(entry(51, 1));
    assert_eq!(indexes(changes.after(11)), None, "12 to 50 are not known here");
    assert_eq!(indexes(changes.after(50)), Some(vec![51]));
    // A state taken from a peer may be older; what follows comes again.
    changes.push(entry(48, 0));
    changes.push(entry(49, 1));
    assert_eq!(indexes(changes.after(48)), Some(vec![49]));
}

/// Cluster names and positions, until `count` events came or the stream ended.
fn take(member: &OneMember, request: WatchRequest, count: usize) -> (Vec<(String, Position)>, Option<WatchEnd>) {
    let mut events = start(&member.node, request).map_err(|error| error.to_string()).unwrap();
    member.run(async move {
        let mut taken = Vec::new();
        while taken.len() < count {
            match events.recv().await {
                Some(Ok(event)) => taken.push((name(&event), event.position.unwrap_or_default())),
                Some(Err(end)) => return (taken, Some(end)),
                None => return (taken, None),
            }
        }
        (taken, None)
    })
}

fn name(event: &WatchEvent) -> String {
    match &event.change {
        Some(watch_event::Change::Cluster(cluster)) => cluster.cluster_name().to_owned(),
        Some(watch_event::Change::Synced(_)) => "synced".into(),
        other => format!("{other:?}"),
    }
}

fn clusters(after: Option<Position>, list_first: bool) -> WatchRequest {
    WatchRequest { kinds: vec![ResourceKind::Cluster.into()], after, list_first, ..WatchRequest::default() }
}

fn names(taken: &[(String, Position)]) -> Vec<&str> {
    taken.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_list_is_followed_by_the_changes_after_it() {
    let member = OneMember::new(1);
    member.propose(vec![create_cluster("before")]);
    let mut events = start(&member.node, clusters(None, true)).map_err(|error| error.to_string()).unwrap();
    let listed = member.run(async move {
        let mut listed = Vec::new();
        while listed.last().is_none_or(|(name, _)| name != "synced") {
            let event = events.recv().await.expect("an event").map_err(|_| "ended").unwrap();
            listed.push((name(&event), event.position.unwrap_or_default()));
        }
        (listed, events)
    });
    let (listed, mut events) = listed;
    assert_eq!(names(&listed), ["default", "before", "synced"]);
    let at = listed[0].1;
    assert!(listed.iter().all(|(_, position)| *position == at), "a list is of one moment");
    let index = member.propose(vec![create_cluster("x"), create_cluster("y")]);
    let after = member.run(async move {
        let mut after = Vec::new();
        for _ in 0..2 {
            let event = events.recv().await.expect("an event").map_err(|_| "ended").unwrap();
            after.push((name(&event), event.position.unwrap_or_default()));
        }
        after
    });
    assert_eq!(names(&after), ["x", "y"]);
    assert!(after[0].1.index == index && after[0].1.ordinal < after[1].1.ordinal);
}

#[test]
fn a_watch_goes_on_in_the_middle_of_an_entry() {
    let member = OneMember::new(2);
    let index = member.propose(vec![create_cluster("x"), create_cluster("y"), create_cluster("z")]);
    let before = Position { epoch: FIRST_EPOCH, index: index - 1, ordinal: u32::MAX };
    let (all, _) = take(&member, clusters(Some(before), false), 3);
    assert_eq!(names(&all), ["x", "y", "z"]);
    for (seen, rest) in [(0, vec!["y", "z"]), (1, vec!["z"])] {
        let (taken, _) = take(&member, clusters(Some(all[seen].1), false), rest.len());
        assert_eq!(names(&taken), rest, "nothing again, nothing left out");
    }
    member.propose(vec![create_cluster("later")]);
    let (next, _) = take(&member, clusters(Some(all[2].1), false), 1);
    assert_eq!(names(&next), ["later"]);
}

#[test]
fn a_position_that_cannot_be_continued_ends_with_one_to_list_at() {
    let member = OneMember::new(3);
    let index = member.propose(vec![create_cluster("x")]);
    let other_epoch = Position { epoch: FIRST_EPOCH + 1, index, ordinal: 0 };
    let (_, end) = take(&member, clusters(Some(other_epoch), false), 1);
    let Some(WatchEnd::OutOfRange(at)) = end else { panic!("no position") };
    assert_eq!((at.epoch, at.index), (FIRST_EPOCH, index));
    member.node.changes.restart(index);
    let gone = Position { epoch: FIRST_EPOCH, index: index - 1, ordinal: u32::MAX };
    let (_, end) = take(&member, clusters(Some(gone), false), 1);
    assert!(matches!(end, Some(WatchEnd::OutOfRange(at)) if at.index == index));
    let (listed, _) = take(&member, clusters(None, true), 3);
    assert_eq!(names(&listed), ["default", "x", "synced"], "listing again goes on");
}

#[test]
fn what_is_watched_must_exist() {
    let member = OneMember::new(4);
    for (request, code) in [
        (WatchRequest { cluster: Some("nope".into()), ..WatchRequest::default() }, ErrorCode::ClusterNotFound),
        (WatchRequest { service: Some("nope".into()), ..WatchRequest::default() }, ErrorCode::ServiceNotFound),
    ] {
        let (_, end) = take(&member, request, 1);
        let Some(WatchEnd::Refused(error)) = end else { panic!("not refused") };
        assert_eq!(error.code, code);
    }
}

#[test]
fn watchers_are_counted_and_leave() {
    let member = OneMember::new(5);
    let watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| start(&member.node, clusters(None, false)).ok()).collect();
    let Err(refused) = start(&member.node, clusters(None, false)) else { panic!("one too many") };
    assert_eq!(refused.code, ErrorCode::Overloaded);
    drop(watchers);
    assert!(member.sim.run_until(|| member.node.changes.watchers.load(Ordering::Relaxed) == 0, LIMIT));
    assert!(start(&member.node, clusters(None, false)).is_ok());
}
