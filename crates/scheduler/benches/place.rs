//! Placement alone on one core: `cargo bench -p seawall-scheduler`. Prints one JSON object.
//!
//! 10,000 instances and the "borg-like" workload, seeded: sizes of machines and tasks as in published traces, 6 % of the jobs
//! with an attribute constraint, 15 % spread over zones by name (all are by default), 5 % on distinct instances. What is placed is
//! proposed and taken from the fleet before the next request is planned, as the proposer does it; `planned_per_s` counts the
//! planning alone.

#![allow(clippy::disallowed_methods, reason = "it measures the time that passes")]

#[path = "../tests/support/mod.rs"]
#[allow(dead_code, reason = "each user takes its part")]
mod support;

use std::time::Instant;

use rand::{SeedableRng, rngs::StdRng};
use seawall_model::{Id128, InstanceId, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{
        Command, DeploymentRow, PlaceTasks, ServiceRow, ServiceStatusCode, TaskDefinitionStatus, command, place_tasks,
    },
    v1::PlacementStrategy,
};
use seawall_scheduler::{Fargate, Fleet, Overlay, PlaceRequest, Strategy, ZoneProof};
use seawall_state::{State, task_id_message};
use support::{
    CLUSTER, World,
    borg::{self, CPU, MEMORY_MIB, ZONES, task},
    size,
};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const INSTANCES: u64 = 10_000;
/// As many as fill about two thirds of the fleet.
const DECISIONS: usize = 100_000;
const SERVICE_TASKS: u32 = 5_000;
const SEED: u64 = 1;
fn main() {
    let mut random = StdRng::seed_from_u64(SEED);
    let world = borg::machines(&mut random, INSTANCES);
    let mixed = mixed_jobs(&world, &mut random);
    let (one_service, imbalance) = one_service(&world);
    let (packed, bound) = packing(&mut random);
    let (zone_loss, zone_loss_again) = zone_loss();
    println!(
        "{{\"instances\":{INSTANCES},\"decisions\":{},\"unplaced\":{},\"planned_per_s\":{:.0},\
         \"planned_and_proposed_per_s\":{:.0},\"service_of_{SERVICE_TASKS}_ms\":{:.1},\"zone_imbalance\":{imbalance},\"packing_machines\":{packed},\
         \"packing_lower_bound\":{bound},\"packing_over_bound\":{:.4},\"zone_loss_of_1000_services_ms\":{:.1},\"zone_loss_again_ms\":{:.3}}}",
        mixed.placed,
        mixed.unplaced,
        mixed.placed as f64 / mixed.planning_s,
        mixed.placed as f64 / mixed.all_s,
        one_service * 1000.0,
        f64::from(packed) / f64::from(bound) - 1.0,
        zone_loss * 1000.0,
        zone_loss_again * 1000.0,
    );
}

/// What became of the mixed jobs.
#[derive(Default)]
struct Mixed {
    placed: usize,
    /// Tasks that found no place.
    unplaced: usize,
    planning_s: f64,
    all_s: f64,
}

fn mixed_jobs(world: &World, random: &mut StdRng) -> Mixed {
    let mut world = world.clone();
    let definition = world.definition(size(1, 1));
    let state = world.state();
    let mut overlay = Overlay::default();
    let mut fleet = Fleet::new(&state, &overlay);
    let requests: Vec<PlaceRequest> = (0..).map(|job| borg::request(random, job)).take(DECISIONS / 3).collect();
    let mut mixed = Mixed::default();
    let began = Instant::now();
    for (job, request) in requests.iter().enumerate() {
        let planning = Instant::now();
        let plan = fleet.place(request);
        mixed.planning_s += planning.elapsed().as_secs_f64();
        mixed.placed += plan.placements.len();
        mixed.unplaced += request.count as usize - plan.placements.len();
        take(&state, &mut overlay, &mut fleet, request, plan, (definition, job));
        if mixed.placed >= DECISIONS {
            break;
        }
    }
    mixed.all_s = began.elapsed().as_secs_f64();
    mixed
}

/// Proposes a plan, as the proposer does before it plans on.
fn take(
    state: &State,
    overlay: &mut Overlay,
    fleet: &mut Fleet,
    request: &PlaceRequest,
    plan: seawall_scheduler::Plan,
    (definition, job): (TaskDefinitionId, usize),
) {
    let place = PlaceTasks {
        cluster_id: CLUSTER.0,
        task_definition_id: definition.0,
        base: Some(task_id_message(Id128((job as u128 + 1) << 32))),
        group: request.group.clone(),
        placements: plan.placements.into_iter().map(Into::into).collect(),
        ..PlaceTasks::default()
    };
    overlay.add_sized(request.requirement.size.clone(), &place);
    fleet.sync(state, overlay);
}

/// Seconds for one service, and by how many tasks its zones differ.
fn one_service(world: &World) -> (f64, u32) {
    let state = world.state();
    let fleet = Fleet::new(&state, &Overlay::default());
    let request = support::request(size(256, 512), SERVICE_TASKS);
    let began = Instant::now();
    let plan = fleet.place(&request);
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(plan.placements.len() as u32, SERVICE_TASKS);
    let mut zones = [0u32; ZONES.len()];
    for placement in &plan.placements {
        zones[(placement.instance.0 - 1) as usize % ZONES.len()] += 1;
    }
    (seconds, zones.iter().max().unwrap_or(&0) - zones.iter().min().unwrap_or(&0))
}

/// Seconds to say what the loss of a zone would mean, and to say it again after one task has come: 1,000 services of six tasks on
/// 1,000 instances in three zones.
fn zone_loss() -> (f64, f64) {
    let mut world = World::default();
    for at in 0..1_000 {
        world.instance(ZONES[at % ZONES.len()], 8192, 16_384);
    }
    let needs = size(512, 1024);
    let definition = world.definition(needs.clone());
    let row = world.definitions.get_mut(&definition.0).expect("it was made");
    row.set_status(TaskDefinitionStatus::Active);
    for service in 0..1_000u64 {
        let id = 10_000 + service;
        let deployment = DeploymentRow { id, task_definition_id: definition.0, primary: true, ..Default::default() };
        let row = ServiceRow {
            id,
            cluster_id: CLUSTER.0,
            name: format!("s-{id}"),
            status: ServiceStatusCode::Active.into(),
            desired_count: 6,
            deployments: vec![deployment],
            ..Default::default()
        };
        world.services.insert(id, row);
        for task in 0..6 {
            let instance = InstanceId(1 + (service * 6 + task) % 1_000);
            let task = world.task(instance, &format!("service:s-{id}"), &needs);
            (task.service_id, task.deployment_id, task.task_definition_id) = (id, id, definition.0);
        }
    }
    let mut state = world.state();
    let mut proof = ZoneProof::new(ZONES[0], Fargate::default());
    let began = Instant::now();
    let loss = proof.look(&state);
    let anew = began.elapsed().as_secs_f64();
    assert!(loss.services_short == 0 && loss.services == 1_000, "{loss:?}");
    let one = PlaceTasks {
        cluster_id: CLUSTER.0,
        task_definition_id: definition.0,
        base: Some(task_id_message(Id128(1 << 64))),
        placements: vec![place_tasks::Placement { instance_id: 2, ..Default::default() }],
        ..Default::default()
    };
    let before = state.clone();
    state.apply(2, &Command { kind: Some(command::Kind::PlaceTasks(one)), ..Default::default() });
    assert!(state.instances_changed_since(&before).next().is_some(), "the task was placed");
    let began = Instant::now();
    let loss = proof.look(&state);
    let again = began.elapsed().as_secs_f64();
    assert!(loss.services_short == 0 && loss.services == 1_000, "{loss:?}");
    (anew, again)
}

/// Machines that binpack opens for the tasks of a tenth of the fleet, and the least that could hold them.
fn packing(random: &mut StdRng) -> (u32, u32) {
    let mut world = World::default();
    for _ in 0..2_000 {
        world.instance("a", (0.5 * CPU) as u32, (0.5 * MEMORY_MIB) as u32);
    }
    let definition = world.definition(size(1, 1));
    let state = world.state();
    let mut overlay = Overlay::default();
    let mut fleet = Fleet::new(&state, &overlay);
    let by_memory = PlacementStrategy { r#type: Some("binpack".into()), field: Some("memory".into()) };
    let strategy = Strategy::parse(&[by_memory], 0).expect("a strategy of ours");
    let (mut used, mut cpu, mut memory) = (std::collections::BTreeSet::<InstanceId>::new(), 0u64, 0u64);
    for job in 0..30_000 {
        let needs = task(random);
        let request = PlaceRequest { strategy: strategy.clone(), ..support::request(needs.clone(), 1) };
        let plan = fleet.place(&request);
        let Some(placement) = plan.placements.first() else { break };
        used.insert(placement.instance);
        cpu += u64::from(needs.cpu);
        memory += u64::from(needs.memory);
        take(&state, &mut overlay, &mut fleet, &request, plan, (definition, job));
    }
    let bound = cpu.div_ceil((0.5 * CPU) as u64).max(memory.div_ceil((0.5 * MEMORY_MIB) as u64));
    (used.len() as u32, bound as u32)
}
