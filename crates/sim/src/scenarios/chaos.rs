//! Faults that the seed draws, several at once.

use std::time::Duration;

use seawall_proto::v1::{
    CreateScheduleRequest, CreateScheduleResponse, JobTemplate, RunTaskRequest, RunTaskResponse, ScheduleSpec,
    TransferLeadershipRequest, TransferLeadershipResponse, UpdateServiceRequest, UpdateServiceResponse,
};
use seawall_server::simulated::{CallError, Options};

use crate::{World, world::Setup};

const SETTLE: Duration = Duration::from_secs(180);
/// Blows of one run.
const BLOWS: u32 = 25;
/// Longest pause between two.
const PAUSE_MS: u64 = 3_000;
/// A member that is paused takes no snapshot.
const PATIENCE: Duration = Duration::from_secs(1);
const FORWARD: &str = "/seawall.internal.v1.Peer/Forward";
const SUBMIT: &str = "/seawall.internal.v1.Peer/Submit";

/// Everything may be hurt, also all at once.
pub(super) fn random_faults(seed: u64) {
    let mut world = begun(seed);
    let workload = world.start_workload();
    for _ in 0..BLOWS {
        match world.client().random_u64() % 8 {
            0..=2 => hurt_member(&mut world),
            3..=4 => hurt_agent(&mut world),
            5 => hurt_zone(&mut world),
            _ => ask(&world),
        }
        pause(&world);
    }
    workload.stop_writing();
    world.heal();
    world.settle(SETTLE);
}

/// Only members and links; now and then one is lost for good and comes back empty.
pub(super) fn random_faults_of_members(seed: u64) {
    let mut world = begun(seed);
    let workload = world.start_workload();
    for _ in 0..BLOWS {
        match world.client().random_u64() % 8 {
            0 => lose_a_disk(&mut world),
            1 => snapshot(&world),
            _ => hurt_member(&mut world),
        }
        pause(&world);
    }
    workload.stop_writing();
    world.heal();
    world.settle(SETTLE);
}

fn begun(seed: u64) -> World {
    let world = World::formed(&Setup::with(seed, &["a", "b", "c"], 2));
    world.register("web", &[]);
    world.register("job", &[("FAKE_RUN_MS", "8000")]);
    world.create_service("web", "web", 8);
    let job = JobTemplate {
        task_definition: Some("job".into()),
        completions: Some(3),
        parallelism: Some(2),
        ..JobTemplate::default()
    };
    let (expression, concurrency) = (Some("rate(1 minute)".into()), Some("REPLACE".into()));
    let spec = ScheduleSpec { expression, job: Some(job), concurrency, ..ScheduleSpec::default() };
    let request = CreateScheduleRequest { name: "every-minute".into(), spec: Some(spec), ..Default::default() };
    let _: CreateScheduleResponse = world.must("CreateSchedule", &request);
    world
}

fn pause(world: &World) {
    world.run_for(Duration::from_millis(100 + world.client().random_u64() % PAUSE_MS));
}

fn draw<'n>(world: &World, names: &[&'n str]) -> &'n str {
    names[(world.client().random_u64() % names.len() as u64) as usize]
}

fn hurt_member(world: &mut World) {
    world.bury();
    let name = draw(world, &["s1", "s2", "s3"]);
    let runs = world.member(name).runs();
    let other = draw(world, &["s1", "s2", "s3", "a1", "a4"]);
    match world.client().random_u64() % 13 {
        10 => world.sim.cut(&[name], &[other]),
        11 => world.sim.set_clock_rate(name, 0.95 + (world.client().random_u64() % 100) as f64 / 1000.0),
        12 => world.sim.set_latency(&[name], &[other], Duration::from_millis(5), Duration::from_millis(200)),
        0 | 1 if runs => world.kill_member(name),
        0 | 1 => world.restart_member(name),
        2 => world.sim.pause(name),
        3 => world.isolate(&[name.to_owned()]),
        4 => world.isolate(&world.in_zone(&world.zone_of(name))),
        5 => world.sim.set_loss_permille((world.client().random_u64() % 30) as u32),
        6 => world.sim.set_wall_offset_ms(name, (world.client().random_u64() % 20_000) as i64 - 10_000),
        7 => world.sim.lose_replies(draw(world, &[FORWARD, SUBMIT]), 3),
        8 => world.sim.set_disk_fails(name, true),
        _ => recover(world),
    }
}

fn hurt_agent(world: &mut World) {
    world.bury();
    let name = draw(world, &["a1", "a2", "a3", "a4", "a5", "a6"]);
    let runs = world.agent(name).runs();
    match world.client().random_u64() % 6 {
        0 | 1 if runs => world.kill_agent(name),
        0 | 1 => world.restart_agent(name),
        2 => world.sim.pause(name),
        3 => world.isolate(&[name.to_owned()]),
        4 if runs => world.power_off_agent(name),
        _ => recover(world),
    }
}

fn hurt_zone(world: &mut World) {
    recover(world);
    let zone = draw(world, &["a", "b", "c"]);
    match world.client().random_u64() % 2 {
        0 => world.power_off_zone(zone),
        _ => world.isolate(&world.in_zone(zone)),
    }
}

/// One of three whose others are well: more would be a loss that nobody promised to survive.
fn lose_a_disk(world: &mut World) {
    recover(world);
    world.wait("all to be well", SETTLE, |w| {
        w.members().values().all(|node| node.member().is_some()) && w.leader().is_some() && w.voters().len() == 3
    });
    world.run_for(Duration::from_secs(2));
    let name = draw(world, &["s1", "s2", "s3"]);
    world.kill_member(name);
    world.wipe_member(name);
    world.restart_member(name);
    world.wait("it to serve and vote again", SETTLE, |w| {
        w.member(name).member().is_some_and(|member| w.voters().contains(&member.id()))
    });
}

fn snapshot(world: &World) {
    let members: Vec<_> = world.members().values().filter_map(|node| node.member()).collect();
    for member in members {
        let env = world.client().clone();
        let taken = async move { env.timeout(PATIENCE, member.consensus().trigger_snapshot()).await.is_ok() };
        world.run(PATIENCE * 2, taken);
    }
}

/// Most faults of a real cluster end before the next comes.
fn recover(world: &mut World) {
    world.heal();
}

/// Something that changes what is wanted. Whatever the answer is, what comes of it is checked in the end.
fn ask(world: &World) {
    let serving: Vec<&str> =
        world.members().iter().filter(|(_, node)| node.member().is_some()).map(|(name, _)| name.as_str()).collect();
    if serving.is_empty() {
        return;
    }
    let member = draw(world, &serving);
    let options = Options { timeout: PATIENCE * 2, ..Options::default() };
    let count = (world.client().random_u64() % 12) as i32;
    let failed = match world.client().random_u64() % 4 {
        0 => {
            let definition = world.call_with(
                member,
                "RegisterTaskDefinition",
                &crate::world::definition("web", &[("VERSION", &count.to_string())]),
                options.clone(),
            );
            let definition: Result<seawall_proto::v1::RegisterTaskDefinitionResponse, CallError> = definition;
            let update = UpdateServiceRequest {
                service: Some("web".into()),
                task_definition: Some("web".into()),
                ..Default::default()
            };
            definition
                .err()
                .or(world.call_with::<UpdateServiceResponse>(member, "UpdateService", &update, options).err())
        }
        1 => {
            let update =
                UpdateServiceRequest { service: Some("web".into()), desired_count: Some(count), ..Default::default() };
            world.call_with::<UpdateServiceResponse>(member, "UpdateService", &update, options).err()
        }
        2 => {
            let run = RunTaskRequest {
                task_definition: Some("job".into()),
                count: Some(1 + count % 4),
                ..Default::default()
            };
            world.call_with::<RunTaskResponse>(member, "RunTask", &run, options).err()
        }
        _ => {
            let transfer = TransferLeadershipRequest::default();
            world.call_with::<TransferLeadershipResponse>(member, "TransferLeadership", &transfer, options).err()
        }
    };
    if let Some(error) = failed {
        tracing::debug!(%error, "a call under faults failed");
    }
}
