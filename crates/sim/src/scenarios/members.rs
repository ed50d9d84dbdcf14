//! Members that come, go and are lost for good.

use std::time::Duration;

use seawall_model::MemberId;
use seawall_proto::v1::{
    RemoveMemberRequest, RemoveMemberResponse, ReplaceMemberRequest, ReplaceMemberResponse, TransferLeadershipRequest,
    TransferLeadershipResponse,
};

use super::six_tasks;
use crate::{
    World,
    world::{Setup, member_config},
};

const SETTLE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn id_of(world: &World, name: &str) -> MemberId {
    world.member(name).member().map(|member| member.id()).unwrap_or_default()
}

fn peers() -> Vec<String> {
    ["s1:7401", "s2:7401", "s3:7401"].map(str::to_owned).to_vec()
}

/// It comes back with an empty folder under its old name: another id, a voter again, and the old one is gone.
pub(super) fn a_wiped_member(seed: u64) {
    let mut world = six_tasks(seed);
    let workload = world.start_workload();
    for victim in ["s1", "s2", "s3"] {
        let old = id_of(&world, victim);
        world.kill_member(victim);
        world.wipe_member(victim);
        world.run_for(SECOND * 4);
        world.restart_member(victim);
        world.wait("it to serve", SETTLE, |w| w.member(victim).member().is_some());
        let new = id_of(&world, victim);
        assert_ne!(new, old, "an id is never used twice");
        world.wait("it to vote", SETTLE, |w| w.voters().len() == 3 && w.voters().contains(&new));
        assert!(!world.voters().contains(&old));
        world.wait("the lost one to be forgotten", SETTLE, |w| w.state().members.iter().count() == 3);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

pub(super) fn a_voter_without_a_spare_stays(seed: u64) {
    let mut world = six_tasks(seed);
    let leader = world.leading();
    let victim = world.followers()[0].clone();
    let remove = RemoveMemberRequest { name: victim.clone(), force: false };
    let refused = world.call::<RemoveMemberResponse>(&leader, "RemoveMember", &remove).expect_err("no spare");
    assert!(refused.to_string().contains("add a member first"), "{refused}");
    assert_eq!(world.voters().len(), 3);
    // With a spare it goes, and the spare votes.
    let zone = world.zone_of(&victim);
    world.add_member("s4", member_config("s4", &zone, &peers()), Default::default());
    world.wait("the spare to serve", SETTLE, |w| w.member("s4").member().is_some());
    let gone = id_of(&world, &victim);
    world.wait("the removal", SETTLE, |w| {
        let leader = w.wait_leader();
        w.call::<RemoveMemberResponse>(&leader, "RemoveMember", &remove).is_ok() || !w.voters().contains(&gone)
    });
    world.wait("the spare to vote", SETTLE, |w| w.voters().contains(&id_of(w, "s4")) && w.voters().len() == 3);
    world.kill_member(&victim);
    world.run_for(SECOND * 5);
    world.settle(SETTLE);
}

/// The leader itself is removed, and its process lives on: it neither leads nor serves nor disturbs those that stay, also
/// after a restart.
pub(super) fn a_removed_leader_lives_on(seed: u64) {
    let mut world = six_tasks(seed);
    let victim = world.leading();
    let zone = world.zone_of(&victim);
    world.add_member("s4", member_config("s4", &zone, &peers()), Default::default());
    world.wait("the spare to serve", SETTLE, |w| w.member("s4").member().is_some());
    world.run_for(SECOND * 3);
    let gone = id_of(&world, &victim);
    let remove = RemoveMemberRequest { name: victim.clone(), force: false };
    let removed = world.call::<RemoveMemberResponse>(&victim, "RemoveMember", &remove);
    let rows =
        |world: &World| -> Vec<String> { world.state().members.iter().map(|(_, row)| row.name.clone()).collect() };
    world.wait("it to be gone", SETTLE, |w| !w.voters().contains(&gone) && rows(w).len() == 3);
    assert!(removed.is_ok() || removed.is_err_and(|error| error.code().is_some()));
    let stays = |world: &World| {
        for _ in 0..60 {
            world.run_for(SECOND / 2);
            let leader = world.wait_leader();
            assert_ne!(leader, victim);
            assert!(!rows(world).contains(&victim), "{:?}", rows(world));
        }
        let leader = world.wait_leader();
        world.member(&leader).leadership().term
    };
    stays(&world);
    let before = stays(&world);
    world.kill_member(&victim);
    world.restart_member(&victim);
    let after = stays(&world);
    assert_eq!(before, after, "a member that was removed forces no election");
    let read = seawall_proto::v1::DescribeClustersRequest::default();
    let options = seawall_server::simulated::Options { timeout: SECOND, ..Default::default() };
    if world.member(&victim).member().is_some() {
        let answer =
            world.call_with::<seawall_proto::v1::DescribeClustersResponse>(&victim, "DescribeClusters", &read, options);
        assert!(answer.is_err(), "it serves reads: {answer:?}");
    }
    world.wait("every agent to be connected", SETTLE, |w| w.connected().len() == 3);
    world.kill_member(&victim);
    world.settle(SETTLE);
}

/// Its machine burned; a new one waits for an invitation.
pub(super) fn a_lost_member_is_replaced(seed: u64) {
    let mut world = six_tasks(seed);
    let workload = world.start_workload();
    let victim = world.leading();
    let (old, zone) = (id_of(&world, &victim), world.zone_of(&victim));
    world.kill_member(&victim);
    world.add_member("s4", member_config("s4", &zone, &[]), Default::default());
    let leader = world.wait_other_leader(&victim);
    world.run_for(SECOND * 5);
    let replace = ReplaceMemberRequest { name: victim.clone(), peer_address: "s4:7401".into() };
    let answer = world.call::<ReplaceMemberResponse>(&leader, "ReplaceMember", &replace);
    let member = answer.expect("a majority lives").member.unwrap_or_default();
    assert_eq!(member.name, "s4");
    world.wait("it to vote", SETTLE, |w| w.voters().contains(&MemberId(member.id)) && w.voters().len() == 3);
    assert!(!world.voters().contains(&old));
    workload.stop_writing();
    world.settle(SETTLE);
    let status = world.status();
    assert_eq!(status.warnings, Vec::<String>::new());
}

pub(super) fn leadership_is_transferred(seed: u64) {
    let world = six_tasks(seed);
    let workload = world.start_workload();
    for _ in 0..6 {
        let (leader, to) = (world.wait_leader(), world.followers()[0].clone());
        let asked = world.followers().last().cloned().unwrap_or_else(|| leader.clone());
        let request = TransferLeadershipRequest { to: Some(to.clone()) };
        // Through a member that does not lead.
        let answer = world.call::<TransferLeadershipResponse>(&asked, "TransferLeadership", &request);
        match answer {
            Ok(answer) => assert_eq!(answer.leader, to),
            // Its answer may be lost with the leadership.
            Err(error) => assert!(error.code().is_some(), "{error}"),
        }
        world.wait("the other one to lead", SETTLE, |w| w.leader().as_deref() == Some(&to));
        world.run_for(SECOND * 2);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

/// It never takes over: the cluster must not wait for it.
pub(super) fn a_transfer_to_a_paused_member(seed: u64) {
    let world = six_tasks(seed);
    let workload = world.start_workload();
    for _ in 0..3 {
        let (leader, to) = (world.wait_leader(), world.followers()[0].clone());
        world.sim.pause(&to);
        let request = TransferLeadershipRequest { to: Some(to.clone()) };
        let answer = world.call::<TransferLeadershipResponse>(&leader, "TransferLeadership", &request);
        assert!(answer.is_err(), "{answer:?}");
        let update = seawall_proto::v1::UpdateServiceRequest { desired_count: Some(5), ..Default::default() };
        world.update_service("web", update);
        world.wait("five to run", SECOND * 10, |w| w.running("web") == 5);
        let before = world.ledger().counts().0;
        world.run_for(SECOND * 5);
        assert!(world.ledger().counts().0 > before, "writes wait for a member that is paused");
        world.sim.resume(&to);
        let update = seawall_proto::v1::UpdateServiceRequest { desired_count: Some(6), ..Default::default() };
        world.update_service("web", update);
        world.run_for(SECOND * 3);
    }
    workload.stop_writing();
    world.settle(SETTLE);
}

/// Two of five may be lost together.
pub(super) fn five_members(seed: u64) {
    let mut world = World::formed(&Setup::with(seed, &["a", "b", "c", "d", "e"], 1));
    world.register("web", &[]);
    world.create_service("web", "web", 5);
    let workload = world.start_workload();
    for pair in [["s1", "s2"], ["s3", "s4"], ["s5", "s1"]] {
        pair.iter().for_each(|name| world.kill_member(name));
        let before = world.ledger().counts().0;
        world.run_for(SECOND * 6);
        assert!(world.ledger().counts().0 > before, "three of five go on");
        pair.iter().for_each(|name| world.restart_member(name));
        world.run_for(SECOND * 4);
    }
    workload.stop_writing();
    world.wait("five voters", SETTLE, |w| w.voters().len() == 5);
    world.settle(SETTLE);
}
