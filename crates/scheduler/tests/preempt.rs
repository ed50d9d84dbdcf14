//! Classes: who comes first where room is scarce, and whose tasks make room.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use seawall_model::{InstanceId, ServiceId, TaskId};
use seawall_proto::{
    internal::v1::{
        BackoffRow, DeploymentRow, RolloutState, ServiceRow, ServiceStatusCode, ServiceStep, StopTasks, TaskRow,
        TaskSize, TaskStatus,
    },
    v1::{CreateServiceRequest, Tag},
};
use seawall_scheduler::{Fargate, Fleet, Overlay, PlaceRequest, PreemptionPlan, Room, Spread, explain, place, preempt};
use seawall_state::{DAEMON, State, task_id};
use support::{CLUSTER, NOW_MS, World, request, size, with_port};

/// The service whose tasks look for room.
const WEB: u64 = 100;

fn tag(priority: u32) -> Vec<Tag> {
    vec![Tag { key: Some("seawall:priority".into()), value: Some(priority.to_string()) }]
}

/// An ACTIVE service of a class, down to a minimum of its tasks.
fn service(world: &mut World, id: u64, priority: u32, (desired, minimum): (u32, u32)) -> &mut ServiceRow {
    let row = ServiceRow {
        id,
        cluster_id: CLUSTER.0,
        name: format!("of-{priority}"),
        status: ServiceStatusCode::Active.into(),
        desired_count: desired,
        minimum_healthy_percent: minimum,
        tags: tag(priority),
        deployments: vec![DeploymentRow { id, primary: true, ..DeploymentRow::default() }],
        ..ServiceRow::default()
    };
    world.services.entry(id).or_insert(row)
}

/// A RUNNING task of a service.
fn task<'w>(world: &'w mut World, on: u64, service: u64, needs: &TaskSize) -> &'w mut TaskRow {
    let row = world.task(InstanceId(on), &format!("service:{service}"), needs);
    row.service_id = service;
    row
}

/// One task of the service `WEB` of class 90.
fn web(needs: TaskSize) -> PlaceRequest {
    PlaceRequest { spread: Spread::Service(ServiceId(WEB)), priority: 90, ..request(needs, 1) }
}

const ROOM: Room = Room { tasks: 1, victims: 60, now_ms: NOW_MS };

fn planned(world: &World, needs: TaskSize) -> PreemptionPlan {
    preempt(&world.state(), &Overlay::default(), &web(needs), ROOM)
}

fn says(world: &World, needs: TaskSize) -> String {
    planned(world, needs).says(&world.state())
}

/// Instances of 1000 CPU units.
fn instances(count: usize) -> World {
    let mut world = World::default();
    for at in 0..count {
        world.instance(["a", "b", "c"][at % 3], 1000, 1000);
    }
    world
}

#[test]
fn the_lowest_class_goes_then_the_fewest_then_the_youngest() {
    let mut world = instances(5);
    service(&mut world, 1, 10, (20, 0));
    service(&mut world, 2, 20, (20, 0));
    let (half, whole) = (size(500, 10), size(1000, 10));
    task(&mut world, 1, 2, &whole);
    for _ in 0..2 {
        task(&mut world, 2, 1, &half);
    }
    task(&mut world, 3, 1, &whole);
    task(&mut world, 4, 1, &whole).created_at_ms = NOW_MS - 1;
    task(&mut world, 5, 1, &half);
    task(&mut world, 5, 2, &half);
    let tasks = |tasks| Room { tasks, ..ROOM };
    let plan = |room| preempt(&world.state(), &Overlay::default(), &web(whole.clone()), room);
    insta::assert_snapshot!("one_task", plan(ROOM));
    insta::assert_snapshot!("all_of_them", plan(tasks(9)));
    let short = plan(Room { victims: 3, ..tasks(9) });
    assert_eq!((short.chosen.len(), short.is_short), (3, true), "two, of which one is not enough, are left out");
}

#[test]
fn no_more_stop_on_an_instance_than_it_takes() {
    let mut world = instances(1);
    service(&mut world, 1, 10, (20, 0));
    service(&mut world, 2, 20, (20, 0));
    for (of, cpu, age_ms) in [(1, 100, 1), (1, 100, 2), (1, 300, 3), (2, 300, 1), (2, 200, 9)] {
        task(&mut world, 1, of, &size(cpu, 10)).created_at_ms = NOW_MS - age_ms;
    }
    let victims = |cpu| {
        let state = world.state();
        let plan = preempt(&state, &Overlay::default(), &web(size(cpu, 10)), ROOM);
        let sizes = plan.chosen[0].victims.iter().map(|id| state.tasks.get(id).unwrap().cpu);
        sizes.collect::<Vec<_>>()
    };
    assert_eq!(victims(100), [100]);
    assert_eq!(victims(200), [100, 100]);
    assert_eq!(victims(300), [300], "one in place of two");
    assert_eq!(victims(500), [100, 100, 300]);
    assert_eq!(victims(800), [100, 100, 300, 300], "the higher class only for what the lower does not hold");
}

#[test]
fn who_may_not_be_stopped_stays() {
    let needs = size(1000, 10);
    let spared = |change: fn(&mut World)| {
        let mut world = instances(1);
        service(&mut world, 1, 10, (1, 0));
        task(&mut world, 1, 1, &size(1000, 10));
        change(&mut world);
        assert!(planned(&world, size(1000, 10)).chosen.is_empty());
        says(&world, size(1000, 10))
    };
    let mut world = instances(1);
    service(&mut world, 1, 10, (1, 0));
    task(&mut world, 1, 1, &needs);
    assert_eq!(planned(&world, needs.clone()).chosen.len(), 1, "without a reason it goes");
    assert_eq!(
        says(&world, needs),
        "preemption: 1 tasks of lower priority on instance i-1 (service:1) may stop to make room"
    );
    assert_eq!(
        spared(|world| world.tasks.values_mut().for_each(|task| task.protected_until_ms = NOW_MS + 1)),
        "preemption: of 1 tasks of lower priority 1 are protected"
    );
    assert_eq!(
        spared(|world| world.services.get_mut(&1).unwrap().minimum_healthy_percent = 100),
        "preemption: of 1 tasks of lower priority 1 keep their service at its minimumHealthyPercent"
    );
    assert_eq!(
        spared(|world| world.tasks.values_mut().for_each(|task| task.service_id = 0)),
        "preemption: of 1 tasks of lower priority 1 are no service's and have no priority of their own"
    );
    let nobody = "preemption: no task of a lower priority stands where this one may go";
    assert_eq!(spared(|world| world.services.get_mut(&1).unwrap().tags = tag(90)), nobody);
    assert_eq!(
        spared(|world| {
            let daemon = CreateServiceRequest { scheduling_strategy: Some(DAEMON.into()), ..Default::default() };
            world.services.get_mut(&1).unwrap().spec = Some(daemon);
        }),
        nobody
    );
    assert_eq!(spared(|world| world.instance_mut(InstanceId(1)).connected = false), nobody);
    assert_eq!(
        spared(|world| world.instance_mut(InstanceId(1)).registered.as_mut().unwrap().memory = 5),
        "preemption: without the 1 tasks of lower priority there it would not fit either"
    );
}

#[test]
fn a_task_that_says_its_class_makes_room() {
    let mut world = instances(1);
    service(&mut world, 1, 10, (0, 0));
    world.task(InstanceId(1), "family:batch", &size(1000, 10)).tags = tag(1);
    assert_eq!(planned(&world, size(10, 10)).chosen.len(), 1);
    world.tasks.values_mut().for_each(|task| task.tags = tag(90));
    assert_eq!(planned(&world, size(10, 10)).chosen.len(), 0, "not where it has the same");
}

#[test]
fn a_service_spares_what_it_has_above_its_minimum() {
    let mut world = instances(4);
    service(&mut world, 1, 10, (4, 75));
    for on in 1..=4 {
        task(&mut world, on, 1, &size(1000, 10));
    }
    let all = Room { tasks: 4, ..ROOM };
    let plan = |world: &World, overlay: &Overlay| preempt(&world.state(), overlay, &web(size(1, 1)), all).chosen.len();
    assert_eq!(plan(&world, &Overlay::default()), 1, "three of four stay");
    world.services.get_mut(&1).unwrap().minimum_healthy_percent = 50;
    assert_eq!(plan(&world, &Overlay::default()), 2);
    let mut overlay = Overlay::default();
    let first = world.tasks.values().next().unwrap().id;
    overlay.add_stop(&StopTasks { tasks: first.into_iter().collect(), ..StopTasks::default() });
    let found = preempt(&world.state(), &overlay, &web(size(1, 1)), all);
    assert_eq!((found.awaited, found.chosen.len()), (4, 0), "the room of the one that stops is enough for all");
    let found = preempt(&world.state(), &overlay, &web(size(1000, 1)), all);
    assert_eq!((found.awaited, found.chosen.len()), (1, 1), "one of the two is on its way already");
    world.tasks.values_mut().take(3).for_each(|task| task.set_last_status(TaskStatus::Pending));
    assert_eq!(plan(&world, &Overlay::default()), 2, "those that do not run yet go, the one that runs stays");
}

#[test]
fn a_port_is_room_too() {
    let mut world = instances(1);
    service(&mut world, 1, 10, (2, 0));
    task(&mut world, 1, 1, &size(10, 10));
    let holder = task(&mut world, 1, 1, &with_port(size(10, 10), 8080)).id;
    let plan = planned(&world, with_port(size(10, 10), 8080));
    assert_eq!(plan.chosen[0].victims, [holder.as_ref().map(task_id).unwrap()]);
}

/// Nobody is stopped where it is enough to wait, nor beside what stops already.
#[test]
fn room_that_is_being_made_is_waited_for() {
    let mut world = instances(2);
    service(&mut world, 1, 10, (4, 0));
    task(&mut world, 1, 1, &size(1000, 10)).desired_running = false;
    task(&mut world, 2, 1, &size(1000, 10));
    let plan = planned(&world, size(500, 10));
    assert_eq!((plan.awaited, plan.chosen.len()), (1, 0));
    assert_eq!(plan.says(&world.state()), "preemption: none is needed, tasks that are stopping make room");
    let two = Room { tasks: 3, ..ROOM };
    let plan = preempt(&world.state(), &Overlay::default(), &web(size(500, 10)), two);
    assert_eq!((plan.awaited, plan.chosen.len()), (2, 1), "two will fit on the first");
}

/// A service of class 90 that lacks a task of 600 units, and what a request of another class finds beside it.
fn beside_a_waiter(change: impl FnOnce(&mut World)) -> (World, impl Fn(&State, u32, u32) -> usize) {
    let mut world = instances(2);
    task(&mut world, 1, 1, &size(500, 10));
    service(&mut world, 1, 10, (1, 0));
    let definition = world.definition(size(600, 10));
    let waiter = service(&mut world, WEB, 90, (1, 100));
    waiter.unplaced_reason = "The closest matching one is full.".into();
    waiter.deployments[0].task_definition_id = definition.0;
    change(&mut world);
    let placed = |state: &State, priority, cpu| {
        let asked = PlaceRequest { priority, ..request(size(cpu, 10), 4) };
        let (overlay, fleet) = (Overlay::default(), Fleet::new(state, &Overlay::default()));
        let plan = place(state, &overlay, &asked);
        assert_eq!(plan.placements.len(), fleet.place(&asked).placements.len());
        plan.placements.len()
    };
    (world, placed)
}

#[test]
fn room_that_a_higher_class_waits_for_is_not_given_away() {
    let (world, placed) = beside_a_waiter(|_| ());
    let state = world.state();
    assert_eq!(placed(&state, 50, 500), 1, "where the other would not fit");
    assert_eq!(placed(&state, 90, 500), 3, "its own class does not wait");
    assert_eq!(placed(&state, 91, 500), 3);
    let asked = PlaceRequest { priority: 50, ..request(size(501, 10), 1) };
    insta::assert_snapshot!("kept_for_a_higher_class", explain(&state, &Overlay::default(), &asked));
}

#[test]
fn who_does_not_ask_for_a_place_keeps_nobody_waiting() {
    let free = |change: fn(&mut ServiceRow)| {
        let (world, placed) = beside_a_waiter(|world| change(world.services.get_mut(&WEB).unwrap()));
        assert_eq!(placed(&world.state(), 50, 500), 3);
    };
    free(|row| row.unplaced_reason.clear());
    free(|row| row.desired_count = 0);
    free(|row| row.set_status(ServiceStatusCode::Draining));
    free(|row| row.backoff = Some(BackoffRow { rounds: 1, ..BackoffRow::default() }));
    free(|row| row.deployments[0].set_rollout_state(RolloutState::Failed));
    let (mut world, placed) = beside_a_waiter(|_| ());
    task(&mut world, 1, WEB, &size(1, 1));
    assert_eq!(placed(&world.state(), 50, 500), 2, "what it wants is there");
}

#[test]
fn what_is_on_its_way_counts_as_waiting() {
    let (world, _) = beside_a_waiter(|world| world.services.get_mut(&WEB).unwrap().unplaced_reason.clear());
    let state = world.state();
    let mut overlay = Overlay::default();
    let step = ServiceStep { service_id: WEB, unplaced_reason: Some("full".into()), ..ServiceStep::default() };
    overlay.add_step(&step);
    let asked = PlaceRequest { priority: 50, ..request(size(500, 10), 4) };
    assert_eq!(place(&state, &overlay, &asked).placements.len(), 1);
    overlay.remove_step(&step);
    assert_eq!(place(&state, &overlay, &asked).placements.len(), 3);
}

/// A task of the service 1 makes room on the first instance, where 500 units are free.
#[test]
fn room_that_is_made_for_a_service_is_kept_from_its_class() {
    let (mut world, placed) = beside_a_waiter(|world| {
        task(world, 2, 1, &size(900, 10));
    });
    assert_eq!(placed(&world.state(), 50, 500), 1);
    let victim = world.tasks.values_mut().next().unwrap();
    (victim.desired_running, victim.preempted_by, victim.stopping_at_ms) = (false, WEB, NOW_MS);
    let state = world.state();
    assert_eq!(placed(&state, 50, 500), 0, "it needs what is free too");
    assert_eq!(placed(&state, 90, 500), 0, "and its class does not take it");
    assert_eq!(placed(&state, 91, 500), 1, "a higher one does");
    assert_eq!(place(&state, &Overlay::default(), &web(size(500, 10))).placements.len(), 1, "it does itself");
    assert_eq!(placed(&state, 50, 101), 0, "whatever is left over");
    assert_eq!(placed(&state, 50, 100), 1, "except where it does not fit");
    let stop = StopTasks {
        tasks: world.tasks.values().next().unwrap().id.into_iter().collect(),
        preempted_by: WEB,
        ..StopTasks::default()
    };
    let victim = world.tasks.values_mut().next().unwrap();
    (victim.desired_running, victim.preempted_by) = (true, 0);
    let mut overlay = Overlay::default();
    overlay.add_stop(&stop);
    let asked = PlaceRequest { priority: 90, ..request(size(500, 10), 1) };
    assert_eq!(place(&world.state(), &overlay, &asked).placements.len(), 0, "from the moment it is proposed");
}

/// Nobody stops where the task would make the zones differ too much, and nobody waits for one that may not go there.
#[test]
fn a_zone_that_may_not_grow_is_no_room() {
    let mut world = instances(3);
    service(&mut world, 1, 10, (4, 0));
    let web_row = service(&mut world, WEB, 90, (4, 100));
    web_row.tags.push(Tag { key: Some("seawall:max-zone-skew".into()), value: Some("1".into()) });
    web_row.unplaced_reason = "full".into();
    let definition = world.definition(size(500, 10));
    world.services.get_mut(&WEB).unwrap().deployments[0].task_definition_id = definition.0;
    task(&mut world, 1, 1, &size(500, 10));
    task(&mut world, 1, WEB, &size(500, 10)).deployment_id = WEB;
    for on in [2, 3] {
        task(&mut world, on, 1, &size(1000, 10)).protected_until_ms = NOW_MS + 1;
    }
    let plan = |world: &World| {
        let (state, overlay) = (world.state(), Overlay::default());
        let row = state.services.get(&ServiceId(WEB)).unwrap();
        let asked = PlaceRequest::of_service(&state, &overlay, row, definition, 1, Fargate::default()).unwrap();
        preempt(&state, &overlay, &asked, ROOM)
    };
    assert_eq!(plan(&world).chosen.len(), 0, "zone a has one more than the others already");
    let lower = PlaceRequest { priority: 50, ..request(size(500, 10), 1) };
    world.tasks.retain(|_, task| task.service_id == WEB || task.instance_id != 1);
    assert_eq!(place(&world.state(), &Overlay::default(), &lower).placements.len(), 1, "what it may not take is free");
    world.tasks.values_mut().for_each(|task| task.protected_until_ms = 0);
    assert_eq!(plan(&world).chosen.len(), 1);
    assert_ne!(plan(&world).chosen[0].instance, InstanceId(1));
}

#[derive(Clone, Debug)]
struct Machine {
    cpu: u32,
    /// Class, CPU, memory, service (0: none), protected.
    tasks: Vec<(u32, u32, u32, bool, bool)>,
}

fn machine() -> impl Strategy<Value = Machine> {
    let task = (0u32..4, 1u32..400, 1u32..400, any::<bool>(), prop::bool::weighted(0.1));
    (300u32..1200, prop::collection::vec(task, 0..8)).prop_map(|(cpu, tasks)| Machine { cpu, tasks })
}

/// Services 1 to 4 have the classes 0, 30, 60 and 90.
fn world_of(machines: &[Machine], minimum: u32) -> World {
    let mut world = World::default();
    for class in 0..4 {
        service(&mut world, u64::from(class) + 1, class * 30, (0, minimum));
    }
    for machine in machines {
        let id = world.instance("a", machine.cpu, machine.cpu);
        let (mut cpu, mut memory) = (0, 0);
        for (class, task_cpu, task_memory, of_service, protected) in &machine.tasks {
            (cpu, memory) = (cpu + task_cpu, memory + task_memory);
            if cpu > machine.cpu || memory > machine.cpu {
                break;
            }
            let service = if *of_service { u64::from(*class) + 1 } else { 0 };
            if let Some(row) = world.services.get_mut(&service) {
                row.desired_count += 1;
            }
            let row = task(&mut world, id.0, service, &size(*task_cpu, *task_memory));
            row.protected_until_ms = if *protected { NOW_MS + 1 } else { 0 };
            if service == 0 {
                row.tags = tag(class * 30);
            }
        }
    }
    world
}

fn fits(world: &World, instance: InstanceId, needs: &TaskSize) -> bool {
    let explained = explain(&world.state(), &Overlay::default(), &web(needs.clone()));
    explained.instances.iter().any(|i| i.instance == instance && i.left_out.is_none())
}

fn without(world: &World, gone: &[TaskId]) -> World {
    let mut world = world.clone();
    gone.iter().for_each(|id| drop(world.tasks.remove(&id.0)));
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_stops_is_lower_and_enough_and_no_more(machines in prop::collection::vec(machine(), 1..6), cpu in 1u32..900,
                                                  memory in 1u32..900, minimum in 0u32..100, tasks in 1u32..4) {
        let world = world_of(&machines, minimum);
        let (state, needs) = (world.state(), size(cpu, memory));
        prop_assume!(place(&state, &Overlay::default(), &web(needs.clone())).placements.is_empty());
        let plan = preempt(&state, &Overlay::default(), &web(needs.clone()), Room { tasks, ..ROOM });
        prop_assert!(plan.chosen.len() <= tasks as usize);
        let mut stopped: BTreeMap<u64, u32> = BTreeMap::new();
        for preemption in &plan.chosen {
            let victims = &preemption.victims;
            prop_assert!(!victims.is_empty());
            for id in victims {
                let row = state.tasks.get(id).unwrap();
                prop_assert!(state.priority_of_task(row) < 90 && state.priority_of_task(row) <= preemption.priority);
                prop_assert!(row.protected_until_ms <= NOW_MS && row.instance_id == preemption.instance.0);
                *stopped.entry(row.service_id).or_default() += 1;
            }
            prop_assert!(fits(&without(&world, victims), preemption.instance, &needs), "it would not help");
            for kept in victims {
                let fewer: Vec<TaskId> = victims.iter().copied().filter(|id| id != kept).collect();
                prop_assert!(!fits(&without(&world, &fewer), preemption.instance, &needs), "{kept} need not stop");
            }
        }
        for (id, stopped) in stopped.into_iter().filter(|(id, _)| *id != 0) {
            let row = &world.services[&id];
            let left = row.desired_count - stopped;
            prop_assert!(left * 100 >= row.desired_count * minimum, "{left} of {} are left", row.desired_count);
        }
    }

    /// What is remembered to fit nowhere does fit nowhere, whatever happened meanwhile.
    #[test]
    fn what_found_no_place_is_looked_at_again_once_anything_is_gained(
        machines in prop::collection::vec(machine(), 1..5),
        changes in prop::collection::vec((0u8..9, 0usize..8, 0u32..400), 1..12),
    ) {
        let mut world = world_of(&machines, 0);
        let definition = world.definition(size(250, 250));
        let mut fleet = Fleet::new(&world.state(), &Overlay::default());
        for (what, at, amount) in changes {
            change(&mut world, (what, at, amount), definition.0);
            let state = world.state();
            fleet.sync(&state, &Overlay::default());
            for (priority, cpu, distinct) in [(0, 200, false), (60, 200, false), (60, 200, true), (60, 700, false)] {
                let mut asked = PlaceRequest { priority, fargate: Fargate::default(), ..request(size(cpu, cpu), 1) };
                asked.requirement.constraints.distinct_instance = distinct;
                let (again, afresh) = (fleet.place_again(&asked), fleet.place(&asked));
                prop_assert_eq!(again.placements.len(), afresh.placements.len(), "after {} of {:?}", what, asked);
            }
        }
    }
}

/// Something that makes room, or takes it.
fn change(world: &mut World, (what, at, amount): (u8, usize, u32), definition: u64) {
    let instance = InstanceId((at % world.instances.len()) as u64 + 1);
    let some_task = world.tasks.keys().nth(at).copied();
    match (what, some_task) {
        (0, Some(id)) => drop(world.tasks.remove(&id)),
        (1, Some(id)) => world.tasks.get_mut(&id).unwrap().desired_running = false,
        (2, _) => world.instance_mut(instance).cordoned_until_ms = i64::from(amount % 2),
        (3, _) => world.instance_mut(instance).connected ^= true,
        (4, _) => world.instance_mut(instance).registered.as_mut().unwrap().cpu += amount,
        (5, _) => {
            let waiter = service(world, WEB, 90, (1, 0));
            waiter.deployments[0].task_definition_id = definition;
            waiter.unplaced_reason = "full".into();
        }
        (6, _) => drop(world.services.remove(&WEB)),
        (7, _) => drop(world.instance("b", 300 + amount, 300 + amount)),
        (8, _) => drop(world.task(instance, "family:web", &size(1, 1)).id),
        _ => {}
    }
}
