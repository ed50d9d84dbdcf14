//! How a cluster begins.

use std::{collections::BTreeSet, time::Duration};

use prost::bytes::Bytes;

use crate::{
    World,
    world::{Setup, member_config},
};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A world whose members are these, by machine, name and the order in which they know each other.
fn members(seed: u64, members: &[(&str, &str, &[&str])]) -> World {
    let mut world = World::new(&Setup { members: Vec::new(), agents: Vec::new(), ..Setup::three_zones(seed) });
    for (machine, name, order) in members {
        add(&mut world, machine, name, order);
    }
    world
}

fn add(world: &mut World, machine: &str, name: &str, order: &[&str]) {
    let join: Vec<String> = order.iter().map(|machine| format!("{machine}:7401")).collect();
    let mut config = member_config(machine, "a", &join);
    config.name = name.to_owned();
    world.add_member(machine, config, Default::default());
}

fn all_vote(world: &World, count: usize) {
    world.wait("all to serve, vote and know their cluster", SETTLE, |w| {
        w.members().values().all(|node| node.member().is_some())
            && w.voters().len() == count
            && clusters(w).iter().all(|id| !id.is_empty())
    });
    assert_eq!(clusters(world).len(), 1, "one cluster, not several");
    world.settle(SETTLE);
}

/// The clusters that members believe to be in; empty where one has not applied that yet.
fn clusters(world: &World) -> BTreeSet<Bytes> {
    let members = world.members().values().filter_map(|node| node.member());
    members.map(|member| member.consensus().state().state.meta.cluster_id.clone()).collect()
}

const ORDER: &[&str] = &["m1", "m2", "m3"];

/// Nothing forms before all that are expected answer.
pub(super) fn one_member_is_late(seed: u64) {
    let mut world = members(seed, &[("m1", "s1", ORDER), ("m3", "s3", ORDER)]);
    world.run_for(SECOND * 30);
    assert_eq!(world.leader(), None, "two of three formed a cluster");
    add(&mut world, "m2", "s2", ORDER);
    all_vote(&world, 3);
}

/// Who initialises is decided by the name, not by the order of flags or addresses.
pub(super) fn names_in_another_order(seed: u64) {
    let world = members(
        seed,
        &[
            ("m1", "zulu", &["m3", "m1", "m2"]),
            ("m2", "alpha", &["m1", "m2", "m3"]),
            ("m3", "mike", &["m2", "m3", "m1"]),
        ],
    );
    all_vote(&world, 3);
    let first = world.member("m2").member().expect("it serves").id();
    assert_eq!(first, seawall_model::MemberId(1), "the lowest name is the first");
}

/// Both say so, and neither forms a cluster.
pub(super) fn two_members_of_one_name(seed: u64) {
    let mut world = members(seed, &[("m1", "s1", ORDER), ("m2", "s2", ORDER), ("m3", "s2", ORDER)]);
    world.run_for(SECOND * 20);
    assert_eq!(world.leader(), None);
    let ended = world.ended();
    assert!(ended.values().all(|why| why.contains("two servers are called s2")), "{ended:?}");
    assert!(ended.len() >= 2, "{ended:?}");
    world.bury();
    for machine in ["m1", "m2", "m3"].into_iter().filter(|m| ended.contains_key(*m)) {
        world.member_mut(machine).config.name = machine.replace('m', "s");
        world.restart_member(machine);
    }
    all_vote(&world, 3);
}

/// Whoever is killed at whatever moment: the same cluster forms in the end, once.
pub(super) fn a_crash_while_forming(seed: u64) {
    let mut world = members(seed, &[("m1", "s1", ORDER), ("m2", "s2", ORDER), ("m3", "s3", ORDER)]);
    for _ in 0..6 {
        let victim = ORDER[(world.client().random_u64() % 3) as usize];
        world.run_for(Duration::from_millis(world.client().random_u64() % 700));
        world.kill_member(victim);
        world.run_for(Duration::from_millis(world.client().random_u64() % 700));
        world.restart_member(victim);
    }
    all_vote(&world, 3);
}
