//! The "borg-like" workload: sizes of machines and tasks as in published traces, 6 % of the jobs with an attribute constraint, 5 %
//! on distinct instances.

use rand::{Rng, rngs::StdRng};
use seawall_proto::{
    internal::v1::{InstanceAttribute, TaskSize},
    v1::PlacementConstraint,
};
use seawall_scheduler::{Constraints, PlaceRequest, Requirement};

use super::{CLUSTER, World, size};

/// Of the machines, in turn.
pub const ZONES: [&str; 3] = ["a", "b", "c"];
/// One machine: 64 vCPU and 256 GiB.
pub const CPU: f64 = 65_536.0;
/// MiB of one.
pub const MEMORY_MIB: f64 = 262_144.0;
/// Share of CPU, share of memory, weight.
const MACHINES: [(f64, f64, u32); 6] =
    [(0.5, 0.5, 6732), (0.5, 0.25, 3863), (0.5, 0.75, 1001), (1.0, 1.0, 795), (0.25, 0.25, 126), (0.5, 0.12, 52)];

/// So many of them in three zones.
pub fn machines(random: &mut StdRng, count: u64) -> World {
    let mut world = World::default();
    for at in 0..count {
        let (cpu, memory) = machine(random);
        let id = world.instance(ZONES[at as usize % ZONES.len()], cpu, memory);
        // One in five has what the constraints of some jobs ask for.
        let disk = if at % 5 == 0 { "ssd" } else { "hdd" };
        let disk = InstanceAttribute { name: "disk".into(), value: disk.into(), custom: false };
        world.instance_mut(id).attributes.push(disk);
    }
    world
}

fn machine(random: &mut StdRng) -> (u32, u32) {
    let all: u32 = MACHINES.iter().map(|(_, _, weight)| weight).sum();
    let mut drawn = random.random_range(0..all);
    for (cpu, memory, weight) in MACHINES {
        if drawn < weight {
            return ((cpu * CPU) as u32, (memory * MEMORY_MIB) as u32);
        }
        drawn -= weight;
    }
    unreachable!("the weights add up to what was drawn from")
}

/// A normal deviate (Box and Muller).
fn normal(random: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (random.random_range(f64::EPSILON..1.0), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// CPU lognormal around .02 of a machine, memory around 4 GiB a vCPU.
pub fn task(random: &mut StdRng) -> TaskSize {
    let cpu = (0.02 * CPU * normal(random).exp()).clamp(128.0, CPU / 4.0);
    let memory = (cpu / 1024.0 * 4096.0 * (0.7 * normal(random)).exp()).clamp(128.0, MEMORY_MIB / 8.0);
    size(cpu as u32, (memory / 512.0).ceil() as u32 * 512)
}

/// One task with a probability of .75, else Pareto (alpha 1).
fn tasks_of_job(random: &mut StdRng) -> u32 {
    if random.random_bool(0.75) { 1 } else { (1.0 / random.random_range(1e-4..1.0f64)) as u32 }
}

/// The tasks of a job.
pub fn request(random: &mut StdRng, job: usize) -> PlaceRequest {
    let share: f64 = random.random();
    let constraint = |kind: &str, expression: Option<&str>| PlacementConstraint {
        r#type: Some(kind.into()),
        expression: expression.map(Into::into),
    };
    let constraints = match share {
        s if s < 0.06 => vec![constraint("memberOf", Some("attribute:disk == ssd"))],
        s if s < 0.11 => vec![constraint("distinctInstance", None)],
        _ => Vec::new(),
    };
    let requirement = Requirement {
        size: task(random),
        constraints: Constraints::parse(&[], &constraints).expect("constraints of ours"),
        ..Requirement::default()
    };
    let count = tasks_of_job(random).min(1000);
    PlaceRequest::of_group(CLUSTER, &format!("family:job-{job}"), requirement, count)
}
