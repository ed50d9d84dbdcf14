//! Three members in the simulator: elections, crashes, snapshots, changes of members, reads.

mod support;

use std::{collections::BTreeSet, time::Duration};

use seawall_consensus::{ChangeError, PastError, ProposeError, ReadError};
use seawall_env::Elapsed;
use seawall_model::MemberId;
use seawall_proto::internal::v1::{Command, reply};

use support::{Cluster, LIMIT, address, create, name};

#[test]
fn a_command_is_applied_on_every_member_with_one_reply_each() {
    let cluster = Cluster::formed(1, 3);
    let leader = cluster.leader();
    let done = cluster.propose(leader, vec![create("a"), create("b"), create("a")]).unwrap();
    let kinds: Vec<_> = done.replies.into_iter().map(|r| r.kind.unwrap()).collect();
    assert!(
        matches!(kinds[..], [reply::Kind::Done(_), reply::Kind::Done(_), reply::Kind::Done(ref again)] if again.existed)
    );
    assert_eq!(cluster.get(leader).state().index, done.index, "answered only once applied and published");
    cluster.wait_equal();
    for id in 1..=3 {
        assert!(cluster.names(id).is_superset(&BTreeSet::from(["a".into(), "b".into()])), "member {id}");
    }
}

#[test]
fn proposals_on_their_way_together_keep_their_order() {
    let cluster = Cluster::formed(2, 3);
    let leader = cluster.leader();
    let consensus = cluster.get(leader);
    let term = consensus.leadership().term;
    let indexes = cluster.run(leader, async move {
        let proposals = (0..200).map(|n| consensus.propose(vec![create(&format!("c{n}"))], Some(term)));
        let done = futures::future::join_all(proposals).await;
        done.into_iter().map(|d| d.unwrap().index).collect::<Vec<_>>()
    });
    assert!(indexes.is_sorted_by(|a, b| a + 1 == *b), "{indexes:?}");
}

#[test]
fn only_the_leader_of_that_term_proposes() {
    let cluster = Cluster::formed(3, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let known = Some(MemberId(leader));
    assert_eq!(cluster.propose(follower, vec![create("a")]), Err(ProposeError::NotLeader { leader: known }));
    let consensus = cluster.get(leader);
    let term = consensus.leadership().term;
    let early = cluster.run(leader, async move { consensus.propose(vec![create("a")], Some(term - 1)).await });
    assert!(matches!(early, Err(ProposeError::NotLeader { .. })), "{early:?}");
    let huge = vec![create(&"x".repeat(2 << 20))];
    assert!(matches!(cluster.propose(leader, huge), Err(ProposeError::TooLarge { .. })));
    assert!(!cluster.names(leader).contains("a"));
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back_with_its_log() {
    for seed in 10..16 {
        let mut cluster = Cluster::formed(seed, 3);
        let first = cluster.leader();
        cluster.propose(first, vec![create("before")]).unwrap();
        let killed_at = cluster.sim.now();
        cluster.kill(first);
        cluster.wait_leader();
        let second = cluster.leader();
        cluster.propose(second, vec![create("during")]).unwrap();
        let gap = cluster.sim.now() - killed_at;
        assert!(gap < Duration::from_secs(2), "seed {seed}: no write for {gap:?}");
        assert!(cluster.names(second).contains("before"), "seed {seed}");
        cluster.restart(first).unwrap();
        cluster.wait_equal();
        assert!(cluster.names(first).contains("during"), "seed {seed}");
        assert!(cluster.get(first).leadership().term > 1, "seed {seed}");
    }
}

#[test]
fn a_restart_of_all_members_loses_nothing() {
    let mut cluster = Cluster::formed(20, 3);
    for n in 0..20 {
        cluster.propose(cluster.leader(), vec![create(&format!("c{n}"))]).unwrap();
    }
    let before = cluster.names(cluster.leader());
    (1..=3).for_each(|id| cluster.kill(id));
    for id in 1..=3 {
        cluster.restart(id).unwrap();
    }
    cluster.wait_leader();
    cluster.wait_equal();
    assert_eq!(cluster.names(1), before);
    let consensus = cluster.get(1);
    assert!(cluster.run(1, async move { consensus.is_initialized().await }));
}

#[test]
fn without_a_majority_nothing_is_acknowledged_and_reads_say_whom_they_wait_for() {
    let mut cluster = Cluster::formed(21, 3);
    let leader = cluster.leader();
    let others: Vec<u64> = cluster.alive().into_iter().filter(|id| *id != leader).collect();
    others.iter().for_each(|id| cluster.kill(*id));
    let consensus = cluster.get(leader);
    let env = cluster.members[&leader].env.clone();
    let on = env.clone();
    let (written, read) = cluster.run(leader, async move {
        let written = on.timeout(Duration::from_secs(3), consensus.propose(vec![create("lost")], None)).await;
        let read = consensus.read_barrier(on.now() + Duration::from_secs(1)).await;
        (written, read)
    });
    assert!(!matches!(written, Ok(Ok(_))), "{written:?}");
    assert!(matches!(read, Err(ReadError::Deadline { .. })), "{read:?}");
    others.iter().for_each(|id| cluster.restart(*id).unwrap());
    cluster.wait_leader();
    cluster.wait_equal();
}

#[test]
fn a_barrier_on_a_follower_sees_every_acknowledged_write() {
    for seed in 30..34 {
        let cluster = Cluster::formed(seed, 3);
        let (leader, follower) = (cluster.leader(), cluster.follower());
        let (writer, reader) = (cluster.get(leader), cluster.get(follower));
        let on = cluster.members[&follower].env.clone();
        for n in 0..20 {
            let name = format!("c{n}");
            let (w, r, on, command) = (writer.clone(), reader.clone(), on.clone(), create(&name));
            // On one node's clock: the two share nothing but the network.
            let index = cluster.run(leader, async move { w.propose(vec![command], None).await }).unwrap().index;
            let deadline = on.now() + LIMIT;
            let read = cluster.run(follower, async move { r.read_barrier(deadline).await }).unwrap();
            assert!(read >= index && reader.state().index >= index, "seed {seed}");
            assert!(cluster.names(follower).contains(&name), "seed {seed}");
        }
    }
}

#[test]
fn barriers_that_wait_together_are_answered_together() {
    let cluster = Cluster::formed(35, 3);
    let follower = cluster.follower();
    let (reader, on) = (cluster.get(follower), cluster.members[&follower].env.clone());
    let took = cluster.run(follower, async move {
        let start = on.now();
        let reads = (0..1000).map(|_| reader.read_barrier(start + LIMIT));
        futures::future::join_all(reads).await.into_iter().for_each(|r| assert!(r.is_ok()));
        on.now() - start
    });
    assert!(took < Duration::from_millis(200), "a thousand reads took {took:?}: they were asked one by one");
}

#[test]
fn a_deposed_leader_serves_no_barrier() {
    let cluster = Cluster::formed(36, 3);
    let old = cluster.leader();
    let others: Vec<String> = cluster.alive().into_iter().filter(|id| *id != old).map(name).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    cluster.sim.partition(&[&name(old)], &others);
    cluster.wait("another leader", |c| c.leader() != old);
    cluster.propose(cluster.leader(), vec![create("new")]).unwrap();
    let (reader, on) = (cluster.get(old), cluster.members[&old].env.clone());
    let deadline = on.now() + Duration::from_secs(1);
    let read = cluster.run(old, async move { reader.read_barrier(deadline).await });
    assert!(matches!(read, Err(ReadError::Deadline { .. })), "{read:?}");
    cluster.sim.heal();
    let reader = cluster.get(old);
    let deadline = on.now() + LIMIT;
    cluster.run(old, async move { reader.read_barrier(deadline).await }).unwrap();
    assert!(cluster.names(old).contains("new"));
}

#[test]
fn applied_entries_come_in_order_with_their_effects_and_state() {
    let cluster = Cluster::formed(40, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.wait_equal();
    let mut entries = cluster.get(follower).applied();
    let first = cluster.propose(leader, vec![create("a"), create("b")]).unwrap().index;
    cluster.propose(leader, vec![create("c")]).unwrap();
    cluster.wait_equal();
    let got: Vec<_> = std::iter::from_fn(|| entries.try_recv().ok()).collect();
    assert_eq!(got.iter().map(|e| e.index).collect::<Vec<_>>(), [first, first + 1]);
    assert_eq!(got[0].effects.len(), 2);
    assert!(got[0].state.cluster_by_name(0, "b").is_some() && got[0].state.cluster_by_name(0, "c").is_none());
    assert_eq!(got[1].cluster_time_ms, 2);
}

#[test]
fn waiting_for_an_index_ends_at_the_deadline() {
    let cluster = Cluster::formed(41, 1);
    let (consensus, on) = (cluster.get(1), cluster.members[&1].env.clone());
    let now = consensus.state().index;
    let (have, lack) = cluster.run(1, async move {
        let deadline = on.now() + Duration::from_millis(50);
        (consensus.wait_applied(now, deadline).await, consensus.wait_applied(now + 1, deadline).await)
    });
    assert_eq!((have, lack), (Ok(()), Err(Elapsed)));
}

/// The leader stops first, and its followers as soon as one of them leads and commits the entry. The last one may never
/// learn that it is committed, for want of a majority: it does not skip it either.
#[test]
fn an_unknown_command_stops_a_majority_and_is_skipped_by_nobody() {
    for seed in 42..50 {
        let cluster = Cluster::formed(seed, 3);
        let leader = cluster.leader();
        let before = cluster.names(leader);
        let last = cluster.get(leader).state().index;
        let answer = cluster.propose(leader, vec![create("beside"), Command::default()]);
        assert!(answer.is_err(), "{answer:?}");
        let has_stopped = |c: &Cluster, id: u64| {
            let consensus = c.get(id);
            let env = &c.members[&id].env;
            c.sim.run(env, Duration::from_millis(1), async move { consensus.stopped().await })
        };
        cluster.sim.run_for(LIMIT);
        let reasons: Vec<_> = (1..=3).map(|id| has_stopped(&cluster, id)).collect();
        let stopped = reasons.iter().flatten().count();
        assert!(stopped >= 2, "seed {seed}: {reasons:?}");
        assert!(reasons[leader as usize - 1].as_ref().is_some_and(|r| !r.is_empty()), "seed {seed}: {reasons:?}");
        for id in 1..=3 {
            assert_eq!(cluster.names(id), before, "an entry takes effect as a whole or not at all");
            assert!(cluster.get(id).state().index <= last + 1, "seed {seed}: member {id} went on behind it");
            let (consensus, on) = (cluster.get(id), cluster.members[&id].env.clone());
            let after = async move { on.timeout(LIMIT / 2, consensus.propose(vec![create("after")], None)).await };
            let after = cluster.run(id, after);
            assert!(!matches!(after, Ok(Ok(_))), "seed {seed}: member {id} acknowledged {after:?}");
        }
    }
}

#[test]
fn a_damaged_entry_stops_the_start() {
    let mut cluster = Cluster::formed(43, 3);
    let index = cluster.propose(cluster.leader(), vec![create("a")]).unwrap().index;
    cluster.wait_equal();
    let victim = cluster.follower();
    cluster.kill(victim);
    assert!(cluster.members[&victim].store.damage_entry(index));
    let error = cluster.restart(victim).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_cluster_is_formed_once_and_by_its_members() {
    let mut cluster = Cluster::formed(44, 3);
    let again = cluster.get(2);
    let members = [(MemberId(2), address(2))].into();
    let refused = cluster.run(2, async move { again.initialize(members).await });
    assert!(matches!(refused, Err(ChangeError::Refused(_))), "{refused:?}");
    cluster.add(9);
    let (stranger, fresh) = (cluster.get(9), cluster.get(9));
    assert!(!cluster.run(9, async move { fresh.is_initialized().await }));
    let members = [(MemberId(1), address(1))].into();
    let refused = cluster.run(9, async move { stranger.initialize(members).await });
    assert!(matches!(refused, Err(ChangeError::Refused(_))), "{refused:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut cluster = Cluster::formed(45, 3);
        let leader = cluster.leader();
        cluster.propose(leader, vec![create("a")]).unwrap();
        cluster.kill(leader);
        cluster.sim.run_for(Duration::from_secs(5));
        (cluster.sim.event_hash(), cluster.leader(), cluster.get(cluster.leader()).state().state.hash())
    };
    assert_eq!(run(), run());
}

/// The process ends rather than acknowledge what may be lost; the others go on.
#[test]
fn a_disk_that_fails_or_is_full_ends_its_member_and_loses_nothing() {
    for full in [false, true] {
        let mut cluster = Cluster::formed(46, 3);
        let victim = cluster.leader();
        cluster.propose(victim, vec![create("before")]).unwrap();
        match full {
            true => cluster.sim.set_disk_bytes(&name(victim), 10),
            false => cluster.sim.set_disk_fails(&name(victim), true),
        }
        let written = cluster.get(victim);
        let env = cluster.members[&victim].env.clone();
        let answer = cluster.sim.run(&env, LIMIT, async move { written.propose(vec![create("lost")], None).await });
        assert_eq!(answer, None, "a write that is not on disk was answered");
        assert!(!cluster.sim.is_alive(&name(victim)));
        cluster.members.get_mut(&victim).unwrap().consensus = None;
        cluster.wait_leader();
        cluster.propose(cluster.leader(), vec![create("during")]).unwrap();
        cluster.sim.set_disk_bytes(&name(victim), 1 << 30);
        cluster.sim.set_disk_fails(&name(victim), false);
        cluster.restart(victim).unwrap();
        cluster.wait_equal();
        assert!(cluster.names(victim).is_superset(&["before".into(), "during".into()].into()));
    }
}

#[test]
fn a_state_that_differs_is_replaced_by_a_peers_and_what_was_applied_since_comes_again() {
    let cluster = Cluster::formed(47, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    cluster.propose(leader, vec![create("before")]).unwrap();
    cluster.wait_equal();
    let broken = cluster.get(follower);
    cluster.run(follower, async move { broken.break_state().await });
    cluster.propose(leader, vec![create("after")]).unwrap();
    cluster.wait("both to apply", |c| c.get(follower).state().index == c.get(leader).state().index);
    let hash = |id| cluster.get(id).state().state.hash();
    assert_ne!(hash(follower), hash(leader));
    let reloading = cluster.get(follower);
    cluster.run(follower, async move { reloading.install_state_from(MemberId(leader)).await }).unwrap();
    assert_eq!(hash(follower), hash(leader));
    cluster.propose(leader, vec![create("later")]).unwrap();
    cluster.wait_equal();
    // Its snapshot on disk is the right state too.
    let own = cluster.get(leader);
    let refused = cluster.run(leader, async move { own.install_state_from(MemberId(follower)).await });
    assert!(matches!(refused, Err(ChangeError::Refused(_))), "a leader hands over first: {refused:?}");
}

/// A dead member is dialled at a growing distance, not in a loop that takes a core from the living ones.
#[test]
fn a_dead_member_costs_its_leader_little() {
    let mut cluster = Cluster::formed(21, 3);
    let follower = cluster.follower();
    cluster.kill(follower);
    let leader = cluster.leader();
    cluster.propose(leader, vec![create("a")]).unwrap();
    let before = cluster.sim.steps();
    cluster.sim.run_for(Duration::from_secs(5));
    let a_second = (cluster.sim.steps() - before) / 5;
    assert!(a_second < 5000, "{a_second} steps a second with one member dead");
}

#[test]
fn the_past_is_built_anew_as_far_back_as_snapshot_and_log_go() {
    let cluster = Cluster::formed(31, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let consensus = cluster.get(leader);
    let mut hashes = Vec::new();
    for n in 0..20 {
        let done = cluster.propose(leader, vec![create(&format!("c{n}")), create("again")]).unwrap();
        hashes.push((done.index, consensus.state().state.hash()));
        if n == 9 {
            let on = consensus.clone();
            cluster.run(leader, async move { on.trigger_snapshot().await });
            cluster.wait("a snapshot", |cluster| cluster.get(leader).snapshot_index() == Some(done.index));
        }
    }
    cluster.wait_equal();
    let snapshot_index = consensus.snapshot_index().unwrap();
    for (index, hash) in &hashes {
        let index = *index;
        let (here, there) = (cluster.get(leader), cluster.get(follower));
        let past = cluster.run(follower, async move { there.state_at(index).await }).unwrap();
        assert_eq!((past.state.hash(), past.checkpoint_index), (*hash, 0), "from the log alone");
        let past = cluster.run(leader, async move { here.state_at(index).await });
        match index >= snapshot_index {
            true => assert_eq!(past.map(|p| (p.state.hash(), p.checkpoint_index)).unwrap(), (*hash, snapshot_index)),
            false => assert!(matches!(past, Err(PastError::Gone { first, .. }) if first == snapshot_index)),
        }
    }
    let (last, _) = *hashes.last().unwrap();
    let on = consensus.clone();
    let early = cluster.run(leader, async move { on.state_at(last + 100).await });
    assert!(matches!(early, Err(PastError::NotYet { applied, .. }) if applied >= last));
    let on = consensus.clone();
    let logged = cluster.run(leader, async move { on.commands(last - 1..last + 1).await }).unwrap();
    let found: Vec<(u64, usize)> = logged.iter().map(|(index, commands)| (*index, commands.len())).collect();
    assert_eq!(found, [(last - 1, 2), (last, 2)]);
    assert_eq!(logged[1].1[0], create("c19"));
    let beyond = cluster.run(leader, async move { consensus.commands(last + 100..last + 101).await });
    assert!(matches!(beyond, Err(PastError::Gone { .. })));
}
