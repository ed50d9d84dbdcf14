//! The simulator: many nodes on one thread, whose time jumps to the next timer and whose every choice a seed decides.
//!
//! The same seed and the same test give the same [`Sim::event_hash`]: it folds every step and every message. A test
//! drives the nodes by [`Sim::run_for`] and [`Sim::run_until`] and hurts them by [`Sim::pause`], [`Sim::kill`],
//! [`Sim::partition`] and the rest. What a node's tasks do between two awaits takes no virtual time.

mod core;
mod disk;
mod link;
mod node;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use self::{
    core::{Core, NodeId},
    link::NETWORK,
    node::Node,
};
use crate::{Env, TaskKind, net::Handler};

const RUN: TaskKind = TaskKind::vital("run");

/// See the module. Dropping it ends all tasks.
pub struct Sim {
    core: Arc<Core>,
    seed: u64,
}

impl Sim {
    /// A world without nodes.
    pub fn new(seed: u64) -> Sim {
        let core = Core::new(seed);
        let network = core.lock().add_node("network", seed);
        assert_eq!(network, NETWORK);
        Sim { core, seed }
    }

    /// What decides everything: print it when a test fails.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A new machine with an empty disk.
    ///
    /// # Panics
    /// There is one of that name.
    pub fn node(&self, name: &str) -> Env {
        let id = self.core.lock().add_node(name, self.seed);
        Node { core: self.core.clone(), id, life: 0 }.env()
    }

    /// The certificate with which a node calls others, such as "member:s1".
    pub fn certify(&self, node: &str, certificate_name: &str) {
        let id = self.id(node);
        self.core.lock().nodes[id].certificate_name = Some(certificate_name.to_owned());
    }

    /// Answers at `address` (any text) until `env`'s node is killed; the last one who serves an address has it.
    ///
    /// # Panics
    /// `env` is not of a simulation.
    pub fn serve(&self, env: &Env, address: &str, handler: Arc<dyn Handler>) {
        env.platform.serve_simulated(address, handler);
    }

    /// Lets virtual time pass.
    pub fn run_for(&self, length: Duration) {
        let until = self.now() + length;
        self.run_until_time(until, || false);
    }

    /// Runs until `condition` holds, looking at it at each instant at which nothing more can run. False: it did not
    /// within `limit`.
    pub fn run_until(&self, condition: impl FnMut() -> bool, limit: Duration) -> bool {
        let until = self.now() + limit;
        self.run_until_time(until, condition)
    }

    /// Runs `work` on a node and gives its result; `None` when `limit` passes or the node is killed before.
    pub fn run<T: Send + 'static>(
        &self,
        env: &Env,
        limit: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, mut result) = tokio::sync::oneshot::channel();
        let task = env.spawn(RUN, async move {
            // The receiver lives as long as this runs.
            let _ = done.send(work.await);
        });
        let mut out = None;
        self.run_until(
            || {
                out = out.take().or_else(|| result.try_recv().ok());
                out.is_some()
            },
            limit,
        );
        task.abort();
        out
    }

    fn run_until_time(&self, until: Duration, mut condition: impl FnMut() -> bool) -> bool {
        loop {
            self.core.run_instant();
            if condition() {
                return true;
            }
            if !self.core.advance(until) {
                return condition();
            }
        }
    }

    /// Virtual time since the start.
    pub fn now(&self) -> Duration {
        self.core.lock().now
    }

    /// Everything that happened so far, folded: times, tasks and the bytes of messages.
    pub fn event_hash(&self) -> u128 {
        self.core.lock().event_hash()
    }

    /// Polls so far.
    pub fn steps(&self) -> u64 {
        self.core.lock().steps()
    }

    /// Panics of tasks that only log them.
    pub fn panics(&self) -> Vec<String> {
        self.core.lock().panics.clone()
    }

    /// Stops polling a node's tasks, as SIGSTOP does. Its connections break after a while.
    pub fn pause(&self, node: &str) {
        let id = self.id(node);
        self.core.lock().nodes[id].paused = true;
        self.core.announce_change();
    }

    /// Ends a pause.
    pub fn resume(&self, node: &str) {
        let id = self.id(node);
        self.core.lock().unpark(id);
        self.core.announce_change();
    }

    /// Ends a node's tasks, as kill -9 does; its disk stays as the system has it. Its peers see connections close.
    pub fn kill(&self, node: &str) {
        self.end(node, false);
    }

    /// As [`Sim::kill`], and what was written but not synced is lost.
    pub fn power_off(&self, node: &str) {
        self.end(node, true);
    }

    fn end(&self, node: &str, power: bool) {
        self.core.end(self.id(node), power);
    }

    /// Whether a node runs: it was neither killed nor has it ended itself by [`Env::abort`].
    pub fn is_alive(&self, node: &str) -> bool {
        let id = self.id(node);
        self.core.lock().nodes[id].alive
    }

    /// A killed node's next life, on its disk. What ran in it is started by the test, as by an init system.
    ///
    /// # Panics
    /// The node lives.
    pub fn restart(&self, node: &str) -> Env {
        let id = self.id(node);
        let mut state = self.core.lock();
        assert!(!state.nodes[id].alive, "{node} lives");
        state.nodes[id].alive = true;
        state.unpark(id);
        let life = state.nodes[id].life;
        drop(state);
        Node { core: self.core.clone(), id, life }.env()
    }

    /// Empties a node's disk.
    pub fn wipe(&self, node: &str) {
        self.disk(node).wipe();
    }

    /// How much fits on a node's disk.
    pub fn set_disk_bytes(&self, node: &str, bytes: u64) {
        self.disk(node).set_total_bytes(bytes);
    }

    /// Whether every access to a node's disk fails.
    pub fn set_disk_fails(&self, node: &str, fails: bool) {
        self.disk(node).set_fails(fails);
    }

    fn disk(&self, node: &str) -> Arc<disk::Disk> {
        let id = self.id(node);
        self.core.lock().nodes[id].disk.clone()
    }

    /// How fast a node's clocks run (1.1: ten per cent fast).
    pub fn set_clock_rate(&self, node: &str, rate: f64) {
        let id = self.id(node);
        let mut state = self.core.lock();
        let now = state.now;
        let clock = &mut state.nodes[id].clock;
        (clock.local_at_since, clock.since, clock.rate) = (clock.local(now), now, rate);
        drop(state);
        self.core.wake_sleepers(id);
    }

    /// How far a node's wall clock is off; its monotonic clock is not.
    pub fn set_wall_offset_ms(&self, node: &str, offset_ms: i64) {
        let id = self.id(node);
        self.core.lock().nodes[id].clock.wall_offset_ms = offset_ms;
    }

    /// Nothing passes between the nodes of `a` and those of `b`.
    pub fn partition(&self, a: &[&str], b: &[&str]) {
        self.cut(a, b);
        self.cut(b, a);
    }

    /// Nothing passes from the nodes of `from` to those of `to`; the other way is untouched.
    pub fn cut(&self, from: &[&str], to: &[&str]) {
        let pairs = self.pairs(from, to);
        self.core.lock().links.cut.extend(pairs);
        self.core.announce_change();
    }

    /// Ends all cuts.
    pub fn heal(&self) {
        self.core.lock().links.cut.clear();
        self.core.announce_change();
    }

    /// How long packets from the nodes of `from` to those of `to` travel.
    pub fn set_latency(&self, from: &[&str], to: &[&str], least: Duration, most: Duration) {
        let pairs = self.pairs(from, to);
        self.core.lock().links.latency.extend(pairs.into_iter().map(|pair| (pair, (least, most))));
    }

    /// Packets travel as at first between all nodes.
    pub fn reset_latency(&self) {
        self.core.lock().links.latency.clear();
    }

    /// How many of 1,000 packets are lost; TCP sends them again, so they come late.
    pub fn set_loss_permille(&self, permille: u32) {
        self.core.lock().links.loss_permille = permille;
    }

    /// The answers to the next `count` calls of `method` are lost with their connections; the calls have their effect.
    pub fn lose_replies(&self, method: &'static str, count: u32) {
        self.core.lock().links.lost_replies.insert(method, count);
    }

    /// How many of [`Sim::lose_replies`] are not lost yet.
    pub fn replies_to_lose(&self, method: &'static str) -> u32 {
        self.core.lock().links.lost_replies.get(method).copied().unwrap_or(0)
    }

    fn pairs(&self, from: &[&str], to: &[&str]) -> BTreeSet<(NodeId, NodeId)> {
        let to: Vec<NodeId> = to.iter().map(|name| self.id(name)).collect();
        let from = from.iter().map(|name| self.id(name));
        from.flat_map(|from| to.iter().map(move |to| (from, *to))).collect()
    }

    fn id(&self, name: &str) -> NodeId {
        let state = self.core.lock();
        state.nodes.iter().position(|node| node.name == name).unwrap_or_else(|| panic!("there is no node {name}"))
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Tasks hold the core that holds them.
        for node in &mut self.core.lock().nodes {
            node.alive = false;
        }
        self.core.drop_tasks(None);
    }
}
