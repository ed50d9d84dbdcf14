//! Instances on which task after task never runs.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use seawall_controllers::{Now, sick};
use seawall_model::InstanceId;
use seawall_proto::internal::v1::{InstanceRow, command::Kind};
use seawall_state::State;
use support::Sim;

fn change(state: &mut State, id: u64, change: impl Fn(&mut InstanceRow)) {
    let mut row = InstanceRow::clone(state.instances.get(&InstanceId(id)).unwrap());
    change(&mut row);
    state.instances.put(InstanceId(id), row.into());
}

fn ids(state: &State) -> Vec<u64> {
    state.instances.iter().map(|(id, _)| id.0).collect()
}

/// (instance, until) of each command.
fn cordons(state: &State, now_ms: i64) -> Vec<(u64, i64)> {
    let plan = sick::plan(state, Now { cluster_time_ms: now_ms, ..Now::default() });
    let of = |kind: &Kind| match kind {
        Kind::CordonInstance(it) => (it.instance_id, it.until_ms),
        other => panic!("{other:?}"),
    };
    plan.commands.iter().map(of).collect()
}

#[test]
fn three_failures_in_a_row_cordon_for_a_growing_time_and_it_ends() {
    let mut state = Sim::three_zones(2, 1000).state;
    let id = ids(&state)[0];
    change(&mut state, id, |row| row.failures_in_row = 2);
    assert_eq!(cordons(&state, 1000), []);
    for (cordons_before, minutes) in [(0, 1), (1, 2), (3, 8), (40, 60)] {
        change(&mut state, id, |row| (row.failures_in_row, row.cordons) = (3, cordons_before));
        assert_eq!(cordons(&state, 1000), [(id, 1000 + minutes * 60_000)]);
    }
    change(&mut state, id, |row| (row.failures_in_row, row.cordoned_until_ms) = (0, 5000));
    let waits = sick::plan(&state, Now { cluster_time_ms: 4999, ..Now::default() });
    assert_eq!((waits.commands.len(), waits.wake_at_ms), (0, Some(5000)));
    assert_eq!(cordons(&state, 5000), [(id, 0)]);
}

#[test]
fn a_fifth_of_the_instances_is_the_limit_and_two_are_too_few() {
    let mut state = Sim::three_zones(4, 1000).state;
    let all = ids(&state);
    for id in &all {
        change(&mut state, *id, |row| row.failures_in_row = 9);
    }
    assert_eq!(cordons(&state, 0).len(), 2, "of {}", all.len());
    change(&mut state, all[11], |row| row.cordoned_until_ms = 5000);
    assert_eq!(cordons(&state, 0).len(), 1, "one is cordoned already");
    for id in &all[2..] {
        change(&mut state, *id, |row| row.connected = false);
    }
    change(&mut state, all[11], |row| row.cordoned_until_ms = 0);
    assert_eq!(cordons(&state, 0), [], "the other could not do its work");
}
