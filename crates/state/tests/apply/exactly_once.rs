//! Forwarding sessions and client tokens: one effect, the same answer.

use std::sync::Arc;

use seawall_proto::internal::v1::{ClientToken, Command, CreateCluster, ForwardId, PlaceTasks, reply};
use seawall_state::task_id;

use crate::fixture::*;

fn create(name: &str) -> Kind {
    Kind::CreateCluster(CreateCluster { account: 0, name: name.into(), ..Default::default() })
}

fn forward(world: &World, kind: Kind, boot: u64, serial: u64) -> Command {
    Command { forward: Some(ForwardId { member_id: 1, boot, serial }), ..world.command(kind) }
}

fn token(world: &World, kind: Kind, digest: u8) -> Command {
    let client_token = ClientToken {
        cluster_id: world.cluster().0,
        operation: "RunTask".into(),
        token: "mine".into(),
        request_sha256: vec![digest; 32].into(),
    };
    Command { client_token: Some(client_token), ..world.command(kind) }
}

fn refusal_code(reply: reply::Kind) -> String {
    match reply {
        reply::Kind::Refusal(refusal) => refusal.code,
        other => panic!("{other:?}"),
    }
}

fn limit(world: &mut World, change: impl FnOnce(&mut seawall_proto::internal::v1::Limits)) {
    change(Arc::make_mut(&mut world.state.meta).limits.as_mut().unwrap());
}

#[test]
fn a_forwarded_write_sent_again_has_one_effect() {
    let mut world = World::new();
    let command = forward(&world, create("prod"), 1, 1);
    let first = world.send(&command);
    let hash = world.state.hash();
    assert_eq!(world.send(&command), first, "not even 'existed' differs");
    assert_eq!(world.state.hash(), hash);
    let other = Command { forward: Some(ForwardId { member_id: 2, boot: 1, serial: 1 }), ..command };
    assert!(matches!(world.send(&other), reply::Kind::Done(done) if done.existed), "another member's serial 1");
}

#[test]
fn serials_may_come_out_of_order() {
    let mut world = World::new();
    let late = forward(&world, create("late"), 1, 1);
    let early = forward(&world, create("early"), 1, 2);
    world.send(&early);
    assert!(matches!(world.send(&late), reply::Kind::Done(done) if !done.existed));
}

#[test]
fn what_is_older_than_the_window_or_the_boot_has_an_unknown_outcome() {
    let mut world = World::new();
    limit(&mut world, |limits| limits.forwards_kept = 2);
    for serial in 1..=3 {
        let command = forward(&world, create(&format!("c{serial}")), 1, serial);
        world.send(&command);
    }
    assert_eq!(world.state.forwarded.len(), 2);
    let oldest = forward(&world, create("c1"), 1, 1);
    assert_eq!(refusal_code(world.send(&oldest)), "OutcomeUnknownException");
    let kept = forward(&world, create("c2"), 1, 2);
    assert!(matches!(world.send(&kept), reply::Kind::Done(done) if !done.existed));
    let next_boot = forward(&world, create("c4"), 2, 1);
    assert!(matches!(world.send(&next_boot), reply::Kind::Done(_)));
    assert_eq!(world.state.forwarded.len(), 1);
    assert_eq!(refusal_code(world.send(&kept)), "OutcomeUnknownException");
}

#[test]
fn a_refusal_is_not_recorded() {
    let mut world = World::new();
    let bad = forward(&world, create("not a name"), 1, 1);
    world.send(&bad);
    let good = forward(&world, create("prod"), 1, 1);
    assert!(matches!(world.send(&good), reply::Kind::Done(_)));
}

#[test]
fn a_placement_that_found_no_room_is_not_recorded() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(600, 1));
    let first = world.task(definition, instance);
    let place = world.placing(definition, &[instance]);
    let mut command = token(&world, Kind::PlaceTasks(place.clone()), 1);
    command.forward = Some(ForwardId { member_id: 1, boot: 1, serial: 1 });
    assert!(matches!(world.send(&command), reply::Kind::Placed(placed) if placed.tasks.is_empty()));
    world.report(first, seawall_proto::internal::v1::TaskStatus::Stopped);
    assert!(matches!(world.send(&command), reply::Kind::Placed(placed) if placed.tasks.len() == 1));
}

#[test]
fn a_token_gives_the_same_tasks_and_another_request_conflicts() {
    let mut world = World::new();
    let instance = world.instance("i-1", "a");
    let definition = world.definition("web", size(1, 1));
    let run = |world: &mut World, digest| {
        let place: PlaceTasks = world.placing(definition, &[instance]);
        let command = token(world, Kind::PlaceTasks(place), digest);
        world.send(&command)
    };
    let first = run(&mut world, 1);
    assert_eq!(run(&mut world, 1), first);
    assert_eq!(world.state.tasks.len(), 1);
    let reply::Kind::Refusal(conflict) = run(&mut world, 2) else { panic!("no conflict") };
    let reply::Kind::Placed(placed) = &first else { panic!("not placed") };
    let arn = world.state.arns().task("default", task_id(&placed.tasks[0]));
    assert_eq!((conflict.code.as_str(), conflict.resource_ids), ("ConflictException", vec![arn]));
    world.now_ms += 24 * 60 * 60 * 1000;
    assert_ne!(run(&mut world, 2), first, "the token's time is over");
    assert_eq!(world.state.tasks.len(), 2);
}

#[test]
fn a_live_token_is_never_evicted() {
    let mut world = World::new();
    limit(&mut world, |limits| limits.client_tokens = 1);
    let first = token(&world, create("prod"), 1);
    let made = world.send(&first);
    let mut second = token(&world, create("test"), 1);
    second.client_token.as_mut().unwrap().token = "other".into();
    assert_eq!(refusal_code(world.send(&second)), "OverloadedException");
    assert!(world.state.cluster_by_name(0, "test").is_none());
    assert_eq!(world.send(&first), made);
    second.cluster_time_ms += 24 * 60 * 60 * 1000;
    assert!(matches!(world.send(&second), reply::Kind::Done(_)), "expired ones make room");
    assert_eq!(world.state.client_tokens.len(), 1);
}
