//! Tasks that wait for room of a capacity provider with managed scaling.

use prost::Message;
use seawall_model::{TaskId, limits::PROVISIONING_TASKS_MAX};
use seawall_proto::internal::v1::{
    Decision, DeleteCluster, PlaceTasks, PlaceWaiting, PutClusterCapacityProviders, TaskStatus, WaitingRow,
    place_tasks::Placement, place_waiting,
};
use seawall_state::{task_id, task_id_message};

use crate::{fixture::*, snapshot::restored};

/// A cluster with the provider "big", which scales, and "plain", which does not.
fn world() -> World {
    let mut world = World::new();
    world.done(provider("big", "ENABLED"));
    world.done(provider("plain", "DISABLED"));
    let put = put_providers(&world, &["big", "plain"]);
    world.done(put);
    world
}

fn put_providers(world: &World, names: &[&str]) -> Kind {
    Kind::PutClusterCapacityProviders(PutClusterCapacityProviders {
        cluster_id: world.cluster().0,
        capacity_providers: names.iter().map(|name| (*name).to_owned()).collect(),
        default_strategy: Vec::new(),
    })
}

fn placement(instance_id: u64, provider: &str) -> Placement {
    Placement { instance_id, note: String::new(), capacity_provider: provider.into() }
}

fn running(world: &mut World, cpu: u32, placements: Vec<Placement>) -> PlaceTasks {
    let definition = world.definition("web", size(cpu, 1));
    PlaceTasks { placements, partial: true, wait: Some(WaitingRow::default()), ..world.placing(definition, &[]) }
}

/// So many tasks wait for "big".
fn waiting(world: &mut World, cpu: u32, count: usize) -> Vec<TaskId> {
    let place = running(world, cpu, vec![placement(0, "big"); count]);
    let placed = world.placed(Kind::PlaceTasks(place));
    assert_eq!(placed.rejected, []);
    placed.tasks.iter().map(task_id).collect()
}

fn place_waiting(world: &World, items: &[(TaskId, u64)]) -> Kind {
    let item = |(task, instance_id): &(TaskId, u64)| place_waiting::Item {
        task: Some(task_id_message(*task)),
        instance_id: *instance_id,
        note: "room came".into(),
        decision: Some(Decision { planner: *instance_id as u32, ..Decision::default() }),
    };
    let items = items.iter().map(item).collect();
    Kind::PlaceWaiting(PlaceWaiting { cluster_id: world.cluster().0, items, ..PlaceWaiting::default() })
}

fn pending(world: &World) -> u32 {
    world.state.cluster_counts(world.cluster()).tasks.pending
}

#[test]
fn what_does_not_fit_waits_where_its_provider_scales_and_is_rejected_elsewhere() {
    let mut world = world();
    let instance = world.instance("i-1", "a").0;
    let mut place = running(
        &mut world,
        600,
        vec![placement(instance, "big"), placement(instance, "big"), placement(0, "big"), placement(0, "plain")],
    );
    let placed = world.placed(Kind::PlaceTasks(place.clone()));
    assert_eq!((placed.tasks.len(), placed.rejected), (3, vec![3]));
    let row = world.row(task_id(&placed.tasks[1]));
    assert_eq!((row.last_status(), row.desired_running, row.instance_id), (TaskStatus::Provisioning, true, 0));
    assert_eq!((row.capacity_provider.as_str(), row.waiting.is_some()), ("big", true));
    assert_eq!(pending(&world), 3);
    assert_eq!(world.state.group_instances(world.cluster(), "family:web").collect::<Vec<_>>().len(), 1);
    place.base = world.placing(seawall_model::TaskDefinitionId(place.task_definition_id), &[]).base;
    place.wait = None;
    assert_eq!(world.placed(Kind::PlaceTasks(place)).rejected, [0, 1, 2, 3], "as before: nothing waits");
}

#[test]
fn a_waiting_task_keeps_its_id_and_holds_room_once_it_is_placed() {
    let mut world = world();
    let tasks = waiting(&mut world, 600, 3);
    let instance = world.instance("i-1", "a");
    let place = place_waiting(&world, &[(tasks[0], instance.0), (tasks[1], instance.0), (tasks[0], instance.0)]);
    let placed = world.placed(place);
    assert_eq!((placed.tasks.len(), placed.rejected), (1, vec![1, 2]));
    let row = world.row(tasks[0]);
    assert_eq!((row.last_status(), row.instance_id, row.waiting), (TaskStatus::Pending, instance.0, None));
    assert_eq!(row.placement_note, "room came");
    assert_eq!(world.state.usage(instance).unwrap().cpu, 600);
    assert_eq!(world.state.group_tasks_in_zone(world.cluster(), "family:web", "a"), 1);
    assert_eq!(world.state.waiting_tasks(world.cluster()).count(), 2);
    assert_eq!(world.state.clusters.get(&world.cluster()).unwrap().waiting_turn, "family:web");
    world.report(tasks[0], TaskStatus::Running);
    world.report(tasks[0], TaskStatus::Stopped);
    assert_eq!(world.state.usage(instance).unwrap().cpu, 0);
    let late = place_waiting(&world, &[(tasks[0], instance.0)]);
    assert_eq!(world.placed(late).rejected, [0]);
}

#[test]
fn stopping_a_waiting_task_ends_it_at_once() {
    let mut world = world();
    let tasks = waiting(&mut world, 600, 1);
    world.done(Kind::StopTasks(stop(&tasks, "enough")));
    let row = world.row(tasks[0]);
    assert_eq!((row.last_status(), row.stopped_reason.as_str(), row.waiting), (TaskStatus::Stopped, "enough", None));
    assert_eq!(pending(&world), 0);
    let instance = world.instance("i-1", "a");
    let place = place_waiting(&world, &[(tasks[0], instance.0)]);
    assert_eq!(world.placed(place).rejected, [0]);
}

#[test]
fn a_cluster_has_so_many_waiting_tasks_and_no_more() {
    let mut world = world();
    waiting(&mut world, 600, PROVISIONING_TASKS_MAX - 1);
    let instance = world.instance("i-1", "a").0;
    let two = running(&mut world, 600, vec![placement(instance, "big"), placement(0, "big"), placement(0, "big")]);
    let refusal = world.refused(Kind::PlaceTasks(two));
    assert_eq!(refusal.code, "ClientException");
    assert!(refusal.message.contains("499 wait"), "{}", refusal.message);
    waiting(&mut world, 600, 1);
    let fitting = running(&mut world, 600, vec![placement(instance, "big")]);
    assert_eq!(world.placed(Kind::PlaceTasks(fitting)).tasks.len(), 1, "what fits needs no turn");
}

#[test]
fn what_a_task_waits_for_stays() {
    let mut world = world();
    let tasks = waiting(&mut world, 600, 1);
    let put = put_providers(&world, &["plain"]);
    assert_eq!(world.refused(put).code, "ResourceInUseException");
    let delete = Kind::DeleteCluster(DeleteCluster { cluster_id: world.cluster().0 });
    assert_eq!(world.refused(delete.clone()).code, "ClusterContainsTasksException");
    world.done(Kind::StopTasks(stop(&tasks, "")));
    let put = put_providers(&world, &["plain"]);
    world.done(put);
    world.done(delete);
}

#[test]
fn a_snapshot_brings_waiting_tasks_back() {
    let mut world = world();
    waiting(&mut world, 600, 2);
    let copy = restored(&world.state);
    assert_eq!((copy.hash(), copy.waiting_tasks(world.cluster()).count()), (world.state.hash(), 2));
    copy.check().unwrap();
}

/// The tasks of one call: decisions tell them apart by the planner's number, which the instance's id stands for here.
#[test]
fn a_task_that_waited_has_the_decision_that_placed_it_and_leaves_the_others_theirs() {
    let mut world = world();
    let mut place = running(&mut world, 1, vec![placement(0, "big"); 4]);
    place.decision = Some(Decision { planner: 99, ..Decision::default() });
    let placed = world.placed(Kind::PlaceTasks(place));
    let tasks: Vec<TaskId> = placed.tasks.iter().map(task_id).collect();
    let planners = |world: &World| {
        let of = |task: &TaskId| {
            world.state.decision_of(*task).map(|row| (Decision::decode(row.decision.clone()), row.waited))
        };
        tasks.iter().map(|task| of(task).map(|(it, waited)| (it.unwrap().planner, waited))).collect::<Vec<_>>()
    };
    let (call, instance) = (Some((99, false)), world.instance("i-1", "a").0);
    let late = Some((instance as u32, true));
    assert_eq!(planners(&world), [call; 4]);
    for (nth, expected) in
        [(1, [call, late, call, call]), (0, [late, late, call, call]), (3, [late, late, call, late]), (2, [late; 4])]
    {
        let place = place_waiting(&world, &[(tasks[nth], instance)]);
        world.placed(place);
        assert_eq!(planners(&world), expected);
        world.state.check().unwrap();
        let copy = restored(&world.state);
        assert_eq!((copy.hash(), copy.decisions.len()), (world.state.hash(), world.state.decisions.len()));
    }
    assert_eq!(world.state.decisions.len(), 4);
}
