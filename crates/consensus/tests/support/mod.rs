//! Members in the simulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_consensus::{Config, Consensus, MemoryStore, PeerAddress, ProposeError, Proposed, StartError, StoreKind};
use seawall_env::{Env, sim::Sim};
use seawall_model::MemberId;
use seawall_proto::internal::v1::{Command, CreateCluster, InitCluster, command::Kind};

/// Longest wait for anything in these tests.
pub const LIMIT: Duration = Duration::from_secs(20);

pub struct Cluster {
    pub sim: Sim,
    pub members: BTreeMap<u64, Member>,
    /// Of every member's configuration.
    pub snapshot_log_bytes: u64,
}

pub struct Member {
    pub env: Env,
    pub store: MemoryStore,
    pub consensus: Option<Consensus>,
}

pub fn name(id: u64) -> String {
    format!("s{id}")
}

pub fn address(id: u64) -> PeerAddress {
    PeerAddress(format!("s{id}:7401"))
}

pub fn init() -> Command {
    let cluster = InitCluster {
        cluster_id: vec![7; 16].into(),
        region: "us-local-1".into(),
        account: "000000000000".into(),
        limits: None,
        first_id: 0,
    };
    Command { kind: Some(Kind::InitCluster(cluster)), cluster_time_ms: 1, ..Default::default() }
}

pub fn create(name: &str) -> Command {
    let cluster = CreateCluster { account: 0, name: name.into(), ..Default::default() };
    Command { kind: Some(Kind::CreateCluster(cluster)), cluster_time_ms: 2, ..Default::default() }
}

impl Cluster {
    /// Members 1 to `count`, started and formed, with a leader.
    pub fn formed(seed: u64, count: u64) -> Cluster {
        let mut cluster = Cluster { sim: Sim::new(seed), members: BTreeMap::new(), snapshot_log_bytes: 64 << 20 };
        for id in 1..=count {
            cluster.add(id);
        }
        let first = cluster.get(1);
        let members = (1..=count).map(|id| (MemberId(id), address(id))).collect();
        cluster.run(1, async move { first.initialize(members).await }).unwrap();
        cluster.wait_leader();
        let leader = cluster.leader();
        cluster.propose(leader, vec![init()]).unwrap();
        cluster
    }

    /// A new member, started and in no cluster.
    pub fn add(&mut self, id: u64) {
        let env = self.sim.node(&name(id));
        self.members.insert(id, Member { env, store: MemoryStore::default(), consensus: None });
        self.start(id).unwrap();
    }

    pub fn start(&mut self, id: u64) -> Result<(), StartError> {
        let member = &self.members[&id];
        let mut config = Config::new(MemberId(id), "/data".into());
        config.snapshot_log_bytes = self.snapshot_log_bytes;
        let (env, store) = (member.env.clone(), StoreKind::Memory(member.store.clone()));
        let start = Consensus::start(env.clone(), config, store);
        let consensus = self.sim.run(&env, LIMIT, start).expect("it starts or fails in time")?;
        self.sim.serve(&env, &address(id).0, consensus.handler());
        self.members.get_mut(&id).unwrap().consensus = Some(consensus);
        Ok(())
    }

    pub fn kill(&mut self, id: u64) {
        self.sim.power_off(&name(id));
        self.members.get_mut(&id).unwrap().consensus = None;
    }

    pub fn restart(&mut self, id: u64) -> Result<(), StartError> {
        self.members.get_mut(&id).unwrap().env = self.sim.restart(&name(id));
        self.start(id)
    }

    pub fn get(&self, id: u64) -> Consensus {
        self.members[&id].consensus.clone().expect("it runs")
    }

    pub fn alive(&self) -> BTreeSet<u64> {
        self.members.iter().filter(|(_, m)| m.consensus.is_some()).map(|(id, _)| *id).collect()
    }

    pub fn run<T: Send + 'static>(&self, id: u64, work: impl Future<Output = T> + Send + 'static) -> T {
        self.sim.run(&self.members[&id].env, LIMIT, work).expect("it ends in time")
    }

    /// The one that leads, by its own word.
    pub fn leader(&self) -> u64 {
        let leads = |id: &u64| self.get(*id).leadership().is_leader;
        let mut leaders: Vec<u64> = self.alive().into_iter().filter(leads).collect();
        leaders.sort_by_key(|id| self.get(*id).leadership().term);
        leaders.pop().expect("somebody leads")
    }

    pub fn follower(&self) -> u64 {
        let leader = self.leader();
        self.alive().into_iter().find(|id| *id != leader).expect("there is another")
    }

    pub fn wait_leader(&self) {
        self.wait("a leader", |cluster| cluster.alive().iter().any(|id| cluster.get(*id).leadership().is_leader));
    }

    pub fn wait(&self, what: &str, condition: impl Fn(&Cluster) -> bool) {
        assert!(self.sim.run_until(|| condition(self), LIMIT), "waiting for {what}, seed {}", self.sim.seed());
    }

    pub fn propose(&self, id: u64, commands: Vec<Command>) -> Result<Proposed, ProposeError> {
        let consensus = self.get(id);
        self.run(id, async move { consensus.propose(commands, None).await })
    }

    /// All that run have applied what the leader has, and have the same state.
    pub fn wait_equal(&self) {
        let target = self.get(self.leader()).state().index;
        self.wait("equal states", |cluster| {
            let states: Vec<_> = cluster.alive().iter().map(|id| cluster.get(*id).state()).collect();
            states.iter().all(|s| s.index >= target && s.state.hash() == states[0].state.hash())
        });
    }

    /// Clusters by name, as a member has them.
    pub fn names(&self, id: u64) -> BTreeSet<String> {
        self.get(id).state().state.clusters.iter().map(|(_, row)| row.name.clone()).collect()
    }
}
