//! A task that fits is placed within a bounded time and without any other event, whichever single notification is lost.
//!
//! Each story is told once undisturbed, from a cluster in which a task waits for room to the moment at which it runs. Then
//! again for each entry of the log in between, with all that this entry would have told lost on every member. The seeds share the
//! entries among them.

use std::time::Duration;

use seawall_agent::runtime::fake::FakeHost;
use seawall_proto::{
    internal::v1::{Command, CordonInstance, SetZone, TaskRow, ZoneState, command::Kind},
    v1::{
        CreateServiceRequest, CreateServiceResponse, DeploymentConfiguration, RegisterTaskDefinitionResponse,
        StringListValue, Tag, UpdateContainerInstancesStateRequest, UpdateContainerInstancesStateResponse,
        UpdateServiceRequest, UpdateTaskProtectionRequest, UpdateTaskProtectionResponse,
    },
};
use seawall_server::simulated::Faults;

use crate::{
    World,
    world::{SOON, Setup, agent_config, definition},
};

/// Most of an instance: there is room for one.
const CPU: i32 = 1500;
/// Everything is looked at twice a minute by the leader, and four times by those who tell agents.
const WITHIN: Duration = Duration::from_secs(50);
/// Among so many seeds the entries are shared out.
const SHARES: u64 = 2;
const MINUTE: i32 = 1;
const LOW: u32 = 10;
const HIGH: u32 = 90;

/// What makes the room that `high` waits for.
struct Story {
    /// Brings the cluster to where one task of `high` waits, or would.
    before: fn(&mut World),
    /// Makes the room.
    makes_room: fn(&mut World),
}

pub(super) fn an_instance_joins(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                create(world, "low", 3, HIGH);
                waits(world);
            },
            makes_room: |world| {
                let servers: Vec<String> = world.members().values().map(|member| member.client_address()).collect();
                world.add_agent("a4", agent_config("a", &servers), FakeHost::default());
            },
        },
    );
}

pub(super) fn a_stopped_task_frees_its_room(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                create(world, "low", 3, HIGH);
                waits(world);
            },
            makes_room: |world| {
                let fewer = UpdateServiceRequest { desired_count: Some(2), ..Default::default() };
                world.update_service("low", fewer);
            },
        },
    );
}

pub(super) fn an_instance_is_active_again(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                set_status(world, "DRAINING");
                create(world, "low", 2, HIGH);
                waits(world);
            },
            makes_room: |world| set_status(world, "ACTIVE"),
        },
    );
}

pub(super) fn a_cordon_ends(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                cordon(world, i64::MAX);
                create(world, "low", 2, HIGH);
                waits(world);
            },
            makes_room: |world| cordon(world, 0),
        },
    );
}

pub(super) fn a_zone_is_returned(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                propose(world, set_zone(ZoneState::Fenced));
                create(world, "low", 2, HIGH);
                waits(world);
            },
            makes_room: |world| propose(world, set_zone(ZoneState::Open)),
        },
    );
}

pub(super) fn a_protection_ends(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                create(world, "low", 3, LOW);
                world.wait_running("low", 3);
                protect(world, true);
                waits(world);
            },
            makes_room: |world| protect(world, false),
        },
    );
}

pub(super) fn a_victim_of_preemption_stops(seed: u64) {
    tell(
        seed,
        &Story {
            before: |world| {
                create(world, "low", 3, LOW);
                world.wait_running("low", 3);
            },
            makes_room: |world| create(world, "high", 1, HIGH),
        },
    );
}

fn tell(seed: u64, story: &Story) {
    let (from, to) = told(seed, story, None);
    assert!(to > from, "nothing was written");
    for lost in (from + 1..=to).filter(|entry| entry % SHARES == seed % SHARES) {
        let (from_again, _) = told(seed, story, Some(lost));
        assert_eq!(from_again, from, "up to there a seed gives the same run");
    }
}

/// Runs a story to its end. The last entries before the room is made, and before the task runs.
fn told(seed: u64, story: &Story, lose_hints_of: Option<u64>) -> (u64, u64) {
    let mut setup = Setup::three_zones(seed);
    setup.faults = Faults { lose_hints_of, ..Faults::default() };
    let mut world = World::formed(&setup);
    let mut big = definition("big", &[]);
    big.container_definitions[0].cpu = Some(CPU);
    let _: RegisterTaskDefinitionResponse = world.must("RegisterTaskDefinition", &big);
    (story.before)(&mut world);
    let from = written(&world);
    (story.makes_room)(&mut world);
    let limit = if lose_hints_of.is_some() { WITHIN } else { SOON };
    world.wait_for("the task that waits to run", limit, |world| match world.running("high") {
        1 => Ok(()),
        _ => Err(format!("with the hints of entry {lose_hints_of:?} lost")),
    });
    (from, written(&world))
}

/// The last entry that any member has applied.
fn written(world: &World) -> u64 {
    let members = world.members().values().filter_map(|node| node.member());
    members.map(|member| member.consensus().state().index).max().unwrap_or(0)
}

fn create(world: &World, name: &str, count: i32, priority: u32) {
    let request = CreateServiceRequest {
        service_name: Some(name.into()),
        task_definition: Some("big".into()),
        desired_count: Some(count),
        deployment_configuration: Some(DeploymentConfiguration {
            minimum_healthy_percent: Some(0),
            maximum_percent: Some(100),
            ..Default::default()
        }),
        tags: vec![Tag { key: Some("seawall:priority".into()), value: Some(priority.to_string()) }],
        ..Default::default()
    };
    let _: CreateServiceResponse = world.must("CreateService", &request);
}

/// One task of `high` waits beside the others, and all is quiet.
fn waits(world: &World) {
    let others = world.service_row("low").map_or(0, |row| row.desired_count);
    world.wait_running("low", others as i32);
    create(world, "high", 1, HIGH);
    world
        .wait("it to wait", SOON, |world| world.service_row("high").is_some_and(|row| !row.unplaced_reason.is_empty()));
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.tasks("high"), Vec::<TaskRow>::new());
}

fn set_status(world: &World, status: &str) {
    let instance = world.connected().into_iter().next().expect("an instance");
    let state = world.state();
    let row = state.instance_by_ec2_id(&instance).expect("it is known");
    let id = seawall_model::Id128::from_halves(row.arn_hi, row.arn_lo).to_string();
    let request = UpdateContainerInstancesStateRequest {
        container_instances: Some(StringListValue { items: vec![id] }),
        status: Some(status.into()),
        ..Default::default()
    };
    let _: UpdateContainerInstancesStateResponse = world.must("UpdateContainerInstancesState", &request);
}

fn cordon(world: &World, until_ms: i64) {
    let instance = world.connected().into_iter().next().expect("an instance");
    let instance_id = world.state().instance_by_ec2_id(&instance).expect("it is known").id;
    propose(world, Kind::CordonInstance(CordonInstance { instance_id, until_ms, reason: "sick".into() }));
}

fn set_zone(state: ZoneState) -> Kind {
    Kind::SetZone(SetZone { zone: "b".into(), state: state.into(), ..SetZone::default() })
}

fn protect(world: &World, is_protected: bool) {
    let ids = world.tasks("low").into_iter().filter_map(|task| task.id);
    let request = UpdateTaskProtectionRequest {
        cluster: Some("default".into()),
        tasks: Some(StringListValue { items: ids.map(|id| seawall_state::task_id(&id).to_string()).collect() }),
        protection_enabled: Some(is_protected),
        expires_in_minutes: is_protected.then_some(MINUTE),
        ..Default::default()
    };
    let _: UpdateTaskProtectionResponse = world.must("UpdateTaskProtection", &request);
}

/// Proposes what the simulation's clients have no operation for.
fn propose(world: &World, kind: Kind) {
    let leader = world.member(&world.leading()).member().expect("it serves");
    let cluster_time_ms = world.state().meta.cluster_time_ms;
    let command = Command { kind: Some(kind), cluster_time_ms, ..Command::default() };
    let done = world.run(SOON, async move { leader.consensus().propose(vec![command], None).await });
    if let Err(error) = done {
        world.fail(&format!("not applied: {error}"));
    }
}
