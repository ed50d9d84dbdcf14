//! A cluster, its machines and its clients, in one simulation.

mod agent;
mod client;
mod ledger;
mod member;
mod observer;
mod setup;
mod workload;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_agent::{AgentConfig, runtime::fake::FakeHost};
use seawall_env::{Env, sim::Sim};
use seawall_model::MemberId;
use seawall_server::{ServerConfig, simulated::Faults};
use seawall_state::State;

pub use agent::AgentNode;
pub use client::{CLUSTER, definition, service};
pub use ledger::Ledger;
pub use member::MemberNode;
pub use observer::Seen;
pub use setup::{Setup, TASK_CPU, TASK_MEMORY_MIB, agent_config, member_config};
pub use workload::Workload;

use crate::invariants::{self, Invariant};
use observer::Observer;

/// Conditions are looked at this often while time passes.
const SLICE: Duration = Duration::from_millis(50);
/// Longest wait for what takes seconds at most.
pub const SOON: Duration = Duration::from_secs(60);
/// Of a disk that is well.
const DISK_BYTES: u64 = 1 << 40;
/// The machine of whoever calls.
const CLIENT: &str = "client";

/// See the module.
pub struct World {
    /// The simulation, for faults that the world has no word for.
    pub sim: Sim,
    members: BTreeMap<String, MemberNode>,
    agents: BTreeMap<String, AgentNode>,
    zones: BTreeMap<String, String>,
    client: Env,
    observer: Observer,
    invariants: RefCell<Vec<Box<dyn Invariant>>>,
    /// Members whose states a test has broken: what they apply is not looked at.
    broken: RefCell<BTreeSet<String>>,
    ledger: Ledger,
}

impl World {
    /// Machines whose members and agents have just been started.
    pub fn new(setup: &Setup) -> World {
        let sim = Sim::new(setup.seed);
        let client = sim.node(CLIENT);
        let observer = Observer::new(sim.node("observer"));
        let mut world = World {
            sim,
            members: BTreeMap::new(),
            agents: BTreeMap::new(),
            zones: BTreeMap::new(),
            client,
            observer,
            invariants: RefCell::new(invariants::all()),
            broken: RefCell::default(),
            ledger: Ledger::default(),
        };
        for config in setup.member_configs() {
            world.add_member(&config.name.clone(), config, setup.faults);
        }
        for (name, config) in setup.agent_configs() {
            world.add_agent(&name, config, FakeHost::default());
        }
        world
    }

    /// The same, once somebody leads and every agent is connected.
    pub fn formed(setup: &Setup) -> World {
        let world = World::new(setup);
        world.wait_leader();
        let agents = world.agents.len();
        world.wait("every agent to connect", SOON, |w| w.connected().len() == agents);
        world
    }

    /// A member's machine, started.
    pub fn add_member(&mut self, machine: &str, config: ServerConfig, faults: Faults) {
        let zone = config.zone.clone();
        let mut node = MemberNode::new(&self.sim, machine, config, faults);
        node.start(&self.sim, &self.observer);
        self.zones.insert(machine.to_owned(), zone);
        self.members.insert(machine.to_owned(), node);
    }

    /// A machine with its containers, its agent started.
    pub fn add_agent(&mut self, name: &str, config: AgentConfig, host: FakeHost) {
        let zone = config.zone.clone();
        let mut node = AgentNode::new(&self.sim, name, config, host);
        node.start(&self.sim);
        self.zones.insert(name.to_owned(), zone);
        self.agents.insert(name.to_owned(), node);
    }

    /// Gives every host of agents a guard that lives on when its agent does not.
    pub fn guard_agents(&mut self) {
        self.agents.values_mut().for_each(|agent| agent.set_guard(&self.sim));
    }

    /// How fast the clocks of a machine run, of a host those of its guard too.
    pub fn set_clock_rate(&self, name: &str, rate: f64) {
        self.sim.set_clock_rate(name, rate);
        if let Some(guard) = self.agents.get(name).and_then(AgentNode::guard) {
            self.sim.set_clock_rate(guard, rate);
        }
    }

    /// Every member's machine, by name.
    pub fn members(&self) -> &BTreeMap<String, MemberNode> {
        &self.members
    }

    /// A member's machine.
    pub fn member(&self, name: &str) -> &MemberNode {
        &self.members[name]
    }

    /// The same, to change.
    pub fn member_mut(&mut self, name: &str) -> &mut MemberNode {
        self.members.get_mut(name).expect("a member of the world")
    }

    /// Every agent's machine, by name.
    pub fn agents(&self) -> &BTreeMap<String, AgentNode> {
        &self.agents
    }

    /// An agent's machine.
    pub fn agent(&self, name: &str) -> &AgentNode {
        &self.agents[name]
    }

    /// The same, to change.
    pub fn agent_mut(&mut self, name: &str) -> &mut AgentNode {
        self.agents.get_mut(name).expect("an agent of the world")
    }

    /// What clients were promised.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Names of the machines in a zone, of members and agents.
    pub fn in_zone(&self, zone: &str) -> Vec<String> {
        self.zones.iter().filter(|(_, of)| *of == zone).map(|(name, _)| name.clone()).collect()
    }

    /// The zone of a machine.
    pub fn zone_of(&self, name: &str) -> String {
        self.zones[name].clone()
    }

    /// Ends a member's process, as kill -9 does.
    pub fn kill_member(&mut self, name: &str) {
        self.sim.kill(name);
        self.member_mut(name).forget_process();
    }

    /// Starts a member's process again on its disk.
    pub fn restart_member(&mut self, name: &str) {
        self.members.get_mut(name).expect("a member of the world").start(&self.sim, &self.observer);
    }

    /// Empties the disk of a member that does not run.
    pub fn wipe_member(&mut self, name: &str) {
        self.members.get_mut(name).expect("a member of the world").wipe(&self.sim);
    }

    /// Ends a member's process as SIGTERM does, and waits until it has.
    pub fn stop_member(&mut self, name: &str) {
        self.member(name).ask_to_stop();
        self.wait("the member to stop", SOON, |w| w.member(name).ended().is_some());
        self.kill_member(name);
    }

    /// Ends an agent's process, as kill -9 does. Its containers go on.
    pub fn kill_agent(&mut self, name: &str) {
        self.sim.kill(name);
        self.agent_mut(name).forget_process();
    }

    /// Starts an agent again on its disk.
    pub fn restart_agent(&mut self, name: &str) {
        self.agents.get_mut(name).expect("an agent of the world").start(&self.sim);
    }

    /// A machine of agents loses its power: nothing runs on it any more.
    pub fn power_off_agent(&mut self, name: &str) {
        self.sim.power_off(name);
        let agent = self.agent_mut(name);
        agent.forget_process();
        agent.reboot();
    }

    /// A zone loses its power.
    pub fn power_off_zone(&mut self, zone: &str) {
        for name in self.in_zone(zone) {
            if self.agents.contains_key(&name) {
                self.power_off_agent(&name);
            } else {
                self.sim.power_off(&name);
                self.member_mut(&name).forget_process();
            }
        }
    }

    /// A zone has power again; what runs by itself after a boot is started.
    pub fn power_on_zone(&mut self, zone: &str) {
        for name in self.in_zone(zone) {
            match self.agents.contains_key(&name) {
                true => self.restart_agent(&name),
                false => self.restart_member(&name),
            }
        }
    }

    /// Forgets processes that have ended by themselves, so that they can be started again.
    pub fn bury(&mut self) {
        for (name, node) in &mut self.members {
            if node.runs() && (node.ended().is_some() || !self.sim.is_alive(name)) {
                self.sim.kill(name);
                node.forget_process();
            }
        }
        for (name, node) in &mut self.agents {
            if node.runs() && (node.ended().is_some() || !self.sim.is_alive(name)) {
                self.sim.kill(name);
                node.forget_process();
            }
        }
    }

    /// Ends every fault, and starts what does not run.
    pub fn heal(&mut self) {
        self.bury();
        self.sim.heal();
        self.sim.reset_latency();
        self.sim.set_loss_permille(0);
        let names: Vec<String> = self.zones.keys().cloned().collect();
        for name in names {
            self.sim.set_disk_fails(&name, false);
            self.sim.set_disk_bytes(&name, DISK_BYTES);
            self.sim.resume(&name);
            self.set_clock_rate(&name, 1.0);
            match (self.members.get(&name).map(MemberNode::runs), self.agents.get(&name).map(AgentNode::runs)) {
                (Some(false), _) => self.restart_member(&name),
                (_, Some(false)) => self.restart_agent(&name),
                _ => {}
            }
        }
    }

    /// Cuts machines off from all others but the clients.
    pub fn isolate(&self, names: &[String]) {
        let others: Vec<&str> = self.zones.keys().filter(|name| !names.contains(name)).map(String::as_str).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.sim.partition(&names, &others);
    }

    /// Changes a member's state behind the log's back, until [`World::trust`].
    pub fn break_state(&self, name: &str) {
        self.broken.borrow_mut().insert(name.to_owned());
        let member = self.member(name).member().unwrap_or_else(|| self.fail("a member that does not serve"));
        self.run(SOON, async move { member.consensus().break_state().await });
    }

    /// From now on what the member applies counts again.
    pub fn trust(&self, name: &str) {
        self.broken.borrow_mut().remove(name);
    }

    /// Lets time pass.
    pub fn run_for(&self, length: Duration) {
        self.sim.run_for(length);
        self.look();
    }

    /// Lets time pass until `condition` holds.
    ///
    /// # Panics
    /// It does not within `limit`.
    pub fn wait(&self, what: &str, limit: Duration, condition: impl Fn(&World) -> bool) {
        self.wait_for(what, limit, |world| condition(world).then_some(()).ok_or_else(String::new));
    }

    /// The same for a condition that says why it does not hold.
    ///
    /// # Panics
    /// It does not within `limit`.
    pub fn wait_for<T>(&self, what: &str, limit: Duration, condition: impl Fn(&World) -> Result<T, String>) -> T {
        let until = self.sim.now() + limit;
        loop {
            match condition(self) {
                Ok(value) => return value,
                Err(why) if self.sim.now() >= until => self.fail(&format!("waited {limit:?} for {what}: {why}")),
                Err(_) => self.run_for(SLICE),
            }
        }
    }

    /// Runs a client's work to its end.
    ///
    /// # Panics
    /// It does not end within `limit`.
    pub fn run<T: Send + 'static>(&self, limit: Duration, work: impl Future<Output = T> + Send + 'static) -> T {
        let result = self.sim.run(&self.client, limit, work);
        self.look();
        result.unwrap_or_else(|| self.fail(&format!("a client's work did not end within {limit:?}")))
    }

    /// The clients' machine.
    pub fn client(&self) -> &Env {
        &self.client
    }

    /// Ends the run, saying what is wrong and when.
    pub fn fail(&self, why: &str) -> ! {
        panic!("seed {}, {:.3} s: {why}", self.sim.seed(), self.sim.now().as_secs_f64())
    }

    /// Checks the invariants on what was seen since.
    pub fn look(&self) {
        let mut invariants = self.invariants.borrow_mut();
        let check = |result: Result<(), String>, name: &str| {
            if let Err(why) = result {
                self.fail(&format!("{name}: {why}"));
            }
        };
        let broken = self.broken.borrow();
        let counts = |(member, seen): &(String, Seen)| !broken.contains(member) || matches!(seen, Seen::Leadership(_));
        for (member, seen) in self.observer.take().into_iter().filter(counts) {
            invariants.iter_mut().for_each(|i| check(i.seen(&member, &seen), i.name()));
        }
        invariants.iter_mut().for_each(|i| check(i.look(self), i.name()));
        if let Some(panic) = self.sim.panics().first() {
            self.fail(&format!("a task panicked: {panic}"));
        }
    }

    /// Checks what must hold once every fault is healed: waits until what is wanted is there, then looks at all of it.
    pub fn settle(&self, limit: Duration) {
        self.wait_leader();
        self.wait_for("what is wanted to be there", limit, |world| {
            let mut invariants = world.invariants.borrow_mut();
            invariants.iter_mut().try_for_each(|i| i.healed(world).map_err(|why| format!("{}: {why}", i.name())))
        });
    }

    /// Waits until somebody leads.
    pub fn wait_leader(&self) -> String {
        self.wait_for("a leader", SOON, |world| world.leader().ok_or_else(|| "nobody leads".into()))
    }

    /// Waits until somebody else leads.
    pub fn wait_other_leader(&self, than: &str) -> String {
        self.wait_for("another leader", SOON, |world| {
            world.leader().filter(|name| name != than).ok_or_else(|| format!("{than} leads, or nobody"))
        })
    }

    /// Who leads by its own word, in the highest term.
    pub fn leader(&self) -> Option<String> {
        let leads = self.members.iter().filter(|(_, node)| node.leadership().is_leader);
        leads.max_by_key(|(_, node)| node.leadership().term).map(|(name, _)| name.clone())
    }

    /// The leader.
    ///
    /// # Panics
    /// Nobody leads.
    pub fn leading(&self) -> String {
        self.leader().unwrap_or_else(|| self.fail("nobody leads"))
    }

    /// Members that do not lead, in order.
    pub fn followers(&self) -> Vec<String> {
        let leader = self.leading();
        self.members
            .iter()
            .filter(|(name, node)| **name != leader && node.runs())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The state of the member that has applied most.
    pub fn state(&self) -> State {
        let states = self.members.values().filter_map(|node| node.member()).map(|m| m.consensus().state());
        let newest = states.max_by_key(|state| state.index);
        newest.map(|applied| applied.state.clone()).unwrap_or_default()
    }

    /// Agents whose instances are connected, by `ec2InstanceId`.
    pub fn connected(&self) -> BTreeSet<String> {
        let state = self.state();
        let rows = state.instances.iter().map(|(_, row)| row).filter(|row| row.connected);
        rows.map(|row| row.ec2_instance_id.clone()).collect()
    }

    /// Voters, as the leader has them.
    pub fn voters(&self) -> BTreeSet<MemberId> {
        let leader = self.leader().and_then(|name| self.member(&name).member());
        leader.map(|member| member.consensus().membership().voters.into_keys().collect()).unwrap_or_default()
    }

    /// Processes that have ended by themselves, with the reasons; those of members and agents.
    pub fn ended(&self) -> BTreeMap<String, String> {
        let members = self.members.iter().filter_map(|(name, node)| Some((name.clone(), node.ended()?)));
        let agents = self.agents.iter().filter_map(|(name, node)| Some((name.clone(), node.ended()?)));
        members.chain(agents).collect()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values: a panic while it was held ends the run anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A mutex that tasks of the simulation and the test share.
type Shared<T> = Arc<Mutex<T>>;
