//! What leaves the state, and what becomes of it.

use std::sync::Arc;

use prost::Message;
use seawall_model::{ClusterId, InstanceId, TaskId};
use seawall_proto::internal::v1::{
    DeleteCluster, DeleteService, DeregisterInstance, DropHistory, HistoryKind, HistoryRow, HistorySegmentRow, Limits,
    RaiseClusterVersion, SealHistory, ServiceEventCode, ServiceEventRow, ServiceRow, ServiceStep, TaskRow, TaskStatus,
};
use seawall_state::{DEFAULT_LIMITS, HISTORY_OPEN_BYTES_MAX, HistoryKey, history_key, history_place, task_id};

use crate::{fixture::*, snapshot::restored};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A cluster that keeps little in its tables, and history.
fn world(change: fn(&mut Limits)) -> World {
    let mut world = World::new();
    let mut limits =
        Limits { stopped_tasks_kept: 1, service_events_kept: 2, history_seal_bytes: 400, ..DEFAULT_LIMITS };
    change(&mut limits);
    Arc::make_mut(&mut world.state.meta).limits = Some(limits);
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    world
}

/// A task that stopped.
fn stopped(world: &mut World, instance: InstanceId) -> TaskId {
    let definition = world.state.task_definition(0, "web", 1).unwrap().id;
    let task = world.task(seawall_model::TaskDefinitionId(definition), instance);
    world.report(task, TaskStatus::Stopped);
    task
}

fn open(world: &World) -> Vec<HistoryRow> {
    world.state.history_open.iter().map(|(_, row)| HistoryRow::clone(row)).collect()
}

fn segment(world: &World, (first, last): (HistoryKey, HistoryKey)) -> HistorySegmentRow {
    let records = world.state.open_history(first, last).unwrap().len() as u64;
    let (first, last) = (Some(history_place(first)), Some(history_place(last)));
    HistorySegmentRow { first, last, records, bytes: 500, sha256: vec![7; 32].into(), retired_at_ms: 0 }
}

fn seal(segment: HistorySegmentRow) -> Kind {
    Kind::SealHistory(SealHistory { segment: Some(segment) })
}

#[test]
fn a_task_that_retires_carries_what_it_is_shown_with() {
    let mut world = world(|_| ());
    let instance = world.instance("i-1", "a");
    world.definition("web", size(1, 1));
    let first = stopped(&mut world, instance);
    let before = world.row(first);
    assert!(open(&world).is_empty());
    let second = stopped(&mut world, instance);
    let third = stopped(&mut world, instance);
    let records = open(&world);
    let ids: Vec<TaskId> = records.iter().map(|row| task_id(row.id.as_ref().unwrap())).collect();
    assert_eq!(ids, [first, second]);
    assert!(world.state.tasks.get(&third).is_some());
    let record = &records[0];
    assert_eq!(record.kind(), HistoryKind::Task);
    assert_eq!((record.cluster_id, record.cluster_name.as_str()), (world.cluster().0, "default"));
    assert_eq!(TaskRow::decode(record.row.clone()).unwrap(), before);
    let seen = record.task.as_ref().unwrap();
    assert_eq!((seen.family.as_str(), seen.revision, seen.containers[0].name()), ("web", 1, "main"));
    let stood = seen.instance.as_ref().unwrap();
    let row = world.state.instances.get(&instance).unwrap();
    assert_eq!((stood.arn_hi, stood.arn_lo, stood.zone.as_str()), (row.arn_hi, row.arn_lo, "a"));
}

#[test]
fn records_of_one_entry_are_numbered_over_its_commands() {
    let mut world = world(|_| ());
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let tasks: Vec<TaskId> = (0..4).map(|_| world.task(definition, instance)).collect();
    // Several commands of one entry have its index.
    let index = world.index + 1;
    for task in tasks {
        world.index = index - 1;
        world.report(task, TaskStatus::Stopped);
    }
    let places: Vec<HistoryKey> = open(&world).iter().map(|row| history_key(row.place)).collect();
    assert_eq!(places, [(index, 0), (index, 1), (index, 2)]);
}

#[test]
fn the_first_version_keeps_no_history() {
    let mut world = World::new();
    let limits = Limits { stopped_tasks_kept: 0, ..DEFAULT_LIMITS };
    Arc::make_mut(&mut world.state.meta).limits = Some(limits);
    let instance = world.instance("i-1", "a");
    world.definition("web", size(1, 1));
    stopped(&mut world, instance);
    assert!(world.state.tasks.is_empty());
    assert!(open(&world).is_empty());
}

#[test]
fn events_and_deleted_services_retire_too() {
    let mut world = world(|limits| limits.deleted_services_kept = 1);
    let definition = world.definition("web", size(1, 1));
    for name in ["first", "second"] {
        let service = world.service(name, definition, 0);
        let event = |id: u64| ServiceEventRow {
            id_lo: id,
            code: ServiceEventCode::SteadyState.into(),
            ..ServiceEventRow::default()
        };
        let events = (1..=3).map(event).collect();
        world.done(Kind::ServiceStep(ServiceStep { service_id: service.0, events, ..ServiceStep::default() }));
        world.done(Kind::DeleteService(DeleteService { service_id: service.0, force: false }));
        world.done(Kind::ServiceStep(ServiceStep {
            service_id: service.0,
            finish_delete: true,
            ..ServiceStep::default()
        }));
    }
    let records = open(&world);
    let kinds: Vec<(HistoryKind, &str)> = records.iter().map(|row| (row.kind(), row.service_name.as_str())).collect();
    let event = HistoryKind::ServiceEvent;
    assert_eq!(kinds, [(event, "first"), (event, "second"), (HistoryKind::Service, "first")]);
    assert_eq!(ServiceEventRow::decode(records[0].row.clone()).unwrap().id_lo, 1);
    let service = ServiceRow::decode(records[2].row.clone()).unwrap();
    assert_eq!((service.name.as_str(), service.events.len()), ("first", 2));
}

#[test]
fn what_a_forgotten_cluster_held_keeps_its_name() {
    let mut world = world(|_| ());
    let instance = world.instance("i-1", "a");
    world.definition("web", size(1, 1));
    stopped(&mut world, instance);
    world.done(Kind::DeregisterInstance(DeregisterInstance { instance_id: instance.0, force: true, forgotten: false }));
    let old = world.cluster();
    world.done(Kind::DeleteCluster(DeleteCluster { cluster_id: old.0 }));
    for n in 0..1001 {
        let name = format!("c{n}");
        let create = seawall_proto::internal::v1::CreateCluster { account: 0, name, ..Default::default() };
        let id = world.done(Kind::CreateCluster(create)).id;
        world.done(Kind::DeleteCluster(DeleteCluster { cluster_id: id }));
    }
    assert!(world.state.clusters.get(&ClusterId(old.0)).is_none());
    let records = open(&world);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].cluster_name, "default");
}

#[test]
fn a_seal_takes_the_oldest_records_or_nothing() {
    let mut world = world(|_| ());
    let instance = world.instance("i-1", "a");
    world.definition("web", size(1, 1));
    for _ in 0..9 {
        stopped(&mut world, instance);
    }
    let ends = world.state.history_to_seal().unwrap();
    let good = segment(&world, ends);
    let open_before = open(&world).len();
    assert!(good.records > 1 && (good.records as usize) < open_before);
    let next = world.state.history_open.iter().nth(1).map(|(key, _)| *key).unwrap();
    world.stale(seal(HistorySegmentRow { first: Some(history_place(next)), ..good.clone() }));
    world.stale(seal(HistorySegmentRow { records: good.records + 1, ..good.clone() }));
    world.stale(seal(HistorySegmentRow { last: Some(history_place((ends.1.0, 9))), ..good.clone() }));
    world.done(seal(good.clone()));
    assert_eq!(open(&world).len(), open_before - good.records as usize);
    let row = world.state.history_segments.get(&ends.0).unwrap();
    assert_eq!(row.sha256, good.sha256);
    assert_eq!(row.retired_at_ms, world.now_ms);
    // The same again finds other records.
    world.stale(seal(good));
    assert_eq!(restored(&world.state).hash(), world.state.hash());
}

#[test]
fn segments_leave_by_age_and_by_bytes() {
    let mut world = world(|limits| limits.history_bytes = 1100);
    let instance = world.instance("i-1", "a");
    world.definition("web", size(1, 1));
    let mut ends = Vec::new();
    for _ in 0..3 {
        while world.state.history_to_seal().is_none() {
            stopped(&mut world, instance);
        }
        let next = world.state.history_to_seal().unwrap();
        world.done(seal(segment(&world, next)));
        ends.push(next);
        world.now_ms += DAY_MS;
    }
    // Three of 500 bytes are over 1100; two are not.
    assert_eq!(world.state.history_to_drop(world.now_ms), Some(ends[0].1));
    world.done(Kind::DropHistory(DropHistory { last: Some(history_place(ends[0].1)) }));
    assert_eq!(world.state.history_segments.len(), 2);
    assert_eq!(world.state.history_to_drop(world.now_ms), None);
    assert_eq!(world.state.history_to_drop(world.now_ms + 28 * DAY_MS + 1), Some(ends[1].1));
    assert_eq!(world.state.history_to_drop(world.now_ms + 40 * DAY_MS), Some(ends[2].1));
}

#[test]
fn records_that_no_segment_takes_are_bounded() {
    let mut world = world(|limits| limits.stopped_tasks_kept = 0);
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let mut last = TaskId::default();
    for _ in 0..100 {
        let mut place = world.placing(definition, &[instance]);
        place.started_by = "x".repeat(200_000);
        last = task_id(&world.placed(Kind::PlaceTasks(place)).tasks[0]);
        world.report(last, TaskStatus::Stopped);
    }
    assert!(world.state.history_open_bytes() <= HISTORY_OPEN_BYTES_MAX);
    let records = open(&world);
    assert_eq!(records.len(), 83);
    assert_eq!(task_id(records[82].id.as_ref().unwrap()), last);
}
