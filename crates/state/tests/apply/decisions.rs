//! What is kept of the planner's decisions.

use std::sync::Arc;

use prost::Message;
use seawall_model::{Id128, InstanceId, TaskDefinitionId, TaskId};
use seawall_proto::internal::v1::{
    Decision, HistoryRow, Limits, PlaceTasks, RaiseClusterVersion, ServiceStep, TaskStatus, decision::Scored,
};
use seawall_state::{DECISION_BYTES_MAX, DEFAULT_LIMITS, task_id};

use crate::{fixture::*, snapshot::restored};

fn decision() -> Decision {
    Decision { planner: 1, base_index: 7, class: 9, left_out: vec![11, 3], ..Decision::default() }
}

/// A cluster that keeps so many stopped tasks, with an instance and a definition.
fn world(stopped_tasks_kept: u32) -> (World, InstanceId, TaskDefinitionId) {
    let mut world = World::new();
    let limits = Limits { stopped_tasks_kept, ..DEFAULT_LIMITS };
    Arc::make_mut(&mut world.state.meta).limits = Some(limits);
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    (world, instance, definition)
}

fn place(
    world: &mut World,
    definition: TaskDefinitionId,
    on: &[InstanceId],
    decision: Option<Decision>,
) -> Vec<TaskId> {
    let place = PlaceTasks { decision, partial: true, ..world.placing(definition, on) };
    world.placed(Kind::PlaceTasks(place)).tasks.iter().map(task_id).collect()
}

#[test]
fn tasks_that_were_placed_together_share_one_record() {
    let (mut world, instance, definition) = world(10);
    let nowhere = InstanceId(999);
    let tasks = place(&mut world, definition, &[instance, nowhere, instance], Some(decision()));
    let others = place(&mut world, definition, &[instance], Some(Decision { class: 10, ..decision() }));
    let before = place(&mut world, definition, &[instance], None);
    assert_eq!((tasks.len(), world.state.decisions.len()), (2, 2));
    for task in &tasks {
        let row = world.state.decision_of(*task).unwrap();
        assert_eq!((row.tasks, row.placed_index), (3, world.index - 2));
        assert_eq!(Decision::decode(row.decision.clone()), Ok(decision()));
    }
    assert_ne!(world.state.decision_of(tasks[0]), world.state.decision_of(others[0]));
    assert_eq!(world.state.decision_of(before[0]), None, "nothing was recorded");
    assert_eq!(world.state.decision_of(Id128(tasks[0].0 - 1)), None);

    let again = restored(&world.state);
    assert_eq!((again.hash(), again.decisions.len()), (world.state.hash(), 2));
    assert_eq!(again.decision_of(tasks[1]), world.state.decision_of(tasks[0]));
}

#[test]
fn it_leaves_with_the_last_of_its_tasks_and_goes_into_the_history_of_each() {
    let (mut world, instance, definition) = world(0);
    let tasks = place(&mut world, definition, &[instance, instance], Some(decision()));
    world.report(tasks[0], TaskStatus::Stopped);
    assert!(world.state.tasks.get(&tasks[0]).is_none() && world.state.decision_of(tasks[1]).is_some());
    let row = world.state.decision_of(tasks[1]).unwrap().clone();
    world.report(tasks[1], TaskStatus::Stopped);
    assert!(world.state.decisions.is_empty());
    let kept: Vec<HistoryRow> = world.state.history_open.iter().map(|(_, row)| HistoryRow::clone(row)).collect();
    assert_eq!(kept.len(), 2);
    for record in kept {
        assert_eq!(record.task.unwrap().decision.as_ref(), Some(&*row));
    }
}

#[test]
fn one_that_is_too_long_or_placed_nothing_is_not_kept() {
    let (mut world, instance, definition) = world(10);
    let best = Scored { instance_id: 1, scores: vec![u64::MAX; 20] };
    let long = Decision { best: vec![best], ..decision() };
    assert!(long.encoded_len() > DECISION_BYTES_MAX);
    assert_eq!(place(&mut world, definition, &[instance], Some(long)).len(), 1);
    assert_eq!(place(&mut world, definition, &[InstanceId(999)], Some(decision())), []);
    assert!(world.state.decisions.is_empty());
}

#[test]
fn what_a_service_lacks_is_counted_with_its_reason() {
    let (mut world, _, definition) = world(10);
    let service = world.service("web", definition, 1);
    let step = |world: &World, reason: Option<&str>, left_out: &[u32]| {
        Kind::ServiceStep(ServiceStep {
            service_id: service.0,
            service_version: world.service_row(service).changed,
            unplaced_reason: reason.map(Into::into),
            unplaced_left_out: left_out.to_vec(),
            ..ServiceStep::default()
        })
    };
    let lacks = step(&world, Some("no memory"), &[11, 3, 12]);
    world.done(lacks);
    assert_eq!(world.service_row(service).unplaced_left_out, [11, 3], "by turns");
    let other = step(&world, None, &[12, 5]);
    world.done(other);
    assert_eq!(world.service_row(service).unplaced_left_out, [11, 3], "it goes with the reason");
    let cleared = step(&world, Some(""), &[]);
    world.done(cleared);
    assert_eq!(world.service_row(service).unplaced_left_out, []);
}
