//! What is counted of an instance on which tasks never run, and its cordon.

use seawall_model::InstanceId;
use seawall_proto::internal::v1::{
    CordonInstance, InstanceRow, InstanceStatus, RaiseClusterVersion, SetInstancesStatus, TaskStatus,
};

use crate::{fixture::*, snapshot::restored};

/// A cluster of the version that counts.
fn raised() -> World {
    let mut world = World::new();
    world.done(Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    world
}

fn row(world: &World, id: InstanceId) -> InstanceRow {
    InstanceRow::clone(world.state.instances.get(&id).unwrap())
}

fn cordon(id: InstanceId, until_ms: i64) -> Kind {
    Kind::CordonInstance(CordonInstance { instance_id: id.0, until_ms, reason: "sick".into() })
}

#[test]
fn only_tasks_that_run_elsewhere_count_and_one_that_runs_ends_the_row() {
    let mut world = raised();
    let (sick, well) = (world.instance("i-1", "a"), world.instance("i-2", "b"));
    let definition = world.definition("web", size(1, 1));
    let fails = |world: &mut World| {
        let task = world.task(definition, sick);
        world.report(task, TaskStatus::Stopped);
    };
    fails(&mut world);
    assert_eq!(row(&world, sick).failures_in_row, 0, "it runs nowhere: the image is bad");
    let runs = world.task(definition, well);
    world.report(runs, TaskStatus::Running);
    fails(&mut world);
    fails(&mut world);
    assert_eq!((row(&world, sick).failures_in_row, row(&world, well).failures_in_row), (2, 0));
    let task = world.task(definition, sick);
    world.report(task, TaskStatus::Running);
    assert_eq!(row(&world, sick).failures_in_row, 0);
    world.report(task, TaskStatus::Stopped);
    assert_eq!(row(&world, sick).failures_in_row, 0, "it ran: its end says nothing of the instance");
}

#[test]
fn a_cordon_is_counted_ended_and_forgotten_once_a_task_runs() {
    let mut world = raised();
    let id = world.instance("i-1", "a");
    let before = world.state.hash();
    world.done(cordon(id, world.now_ms + 1000));
    assert_eq!((row(&world, id).cordoned_until_ms, row(&world, id).cordons), (world.now_ms + 1000, 1));
    assert_ne!(world.state.hash(), before);
    assert_eq!(restored(&world.state).hash(), world.state.hash());
    world.done(cordon(id, 0));
    assert_eq!((row(&world, id).cordoned_until_ms, row(&world, id).cordons), (0, 1), "the next is longer");
    let definition = world.definition("web", size(1, 1));
    let task = world.task(definition, id);
    world.report(task, TaskStatus::Running);
    assert_eq!(row(&world, id).cordons, 0);
}

#[test]
fn whoever_activates_an_instance_ends_its_cordon() {
    let mut world = raised();
    let id = world.instance("i-1", "a");
    world.done(cordon(id, world.now_ms + 1000));
    world.done(Kind::SetInstancesStatus(SetInstancesStatus {
        cluster_id: world.cluster().0,
        instance_ids: vec![id.0],
        status: InstanceStatus::Active.into(),
        ..SetInstancesStatus::default()
    }));
    assert_eq!(row(&world, id).cordoned_until_ms, 0);
    world.refused(cordon(InstanceId(999), 1));
}
