//! What holds for a service and a daemon beside it, whatever happens to the cluster.

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};
use seawall_controllers::service::SHUN_MS;
use seawall_model::ServiceId;
use seawall_proto::{
    internal::v1::{InstanceStatus, TaskRow, TaskStatus, command::Kind},
    v1::CreateServiceRequest,
};
use support::{Behaviour, Sim, TICK_MS};

/// What happens.
#[derive(Clone, Debug)]
enum Event {
    Cut(u8),
    Heal,
    Drain(u8),
    Activate(u8),
    Kill(u8),
    Protect(u8),
    Scale(u8),
    Deploy,
    Wait(u8),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        any::<u8>().prop_map(Event::Cut),
        Just(Event::Heal),
        any::<u8>().prop_map(Event::Drain),
        any::<u8>().prop_map(Event::Activate),
        any::<u8>().prop_map(Event::Kill),
        any::<u8>().prop_map(Event::Protect),
        any::<u8>().prop_map(Event::Scale),
        Just(Event::Deploy),
        any::<u8>().prop_map(Event::Wait),
    ];
    vec(event, 1..40)
}

/// minimumHealthyPercent and maximumPercent, such that any number of tasks can be replaced.
fn percents() -> impl Strategy<Value = (u32, u32)> {
    prop_oneof![Just((100, 200)), Just((50, 200)), Just((0, 100)), Just((0, 150))]
}

struct World {
    sim: Sim,
    web: ServiceId,
    agent: ServiceId,
}

impl World {
    fn new((minimum, maximum): (u32, u32)) -> Self {
        let mut sim = Sim::three_zones(2, 4096);
        let (web, agent) = (sim.definition(256, Behaviour::Run), sim.definition(128, Behaviour::Run));
        sim.create_daemon("agent", agent, 50);
        let agent = sim.service;
        let spec = CreateServiceRequest {
            desired_count: Some(5),
            availability_zone_rebalancing: Some("ENABLED".into()),
            ..Default::default()
        };
        let web = sim.create_as("web", web, (minimum, maximum), spec);
        World { sim, web, agent }
    }

    fn pick<T: Clone>(from: &[T], n: u8) -> Option<T> {
        from.get(usize::from(n) % from.len().max(1)).cloned()
    }

    fn instances(&self) -> Vec<u64> {
        self.sim.state.instances.iter().map(|(id, _)| id.0).collect()
    }

    fn happens(&mut self, event: &Event) {
        let (instances, tasks) = (self.instances(), self.sim.look_at(self.web).wanted());
        match event {
            Event::Cut(n) => self.sim.cut(["a", "b", "c"][usize::from(*n) % 3]),
            Event::Heal => self.sim.heal(),
            Event::Drain(n) => self.status(&instances, *n, InstanceStatus::Draining),
            Event::Activate(n) => self.status(&instances, *n, InstanceStatus::Active),
            Event::Kill(n) => {
                let mut tasks = tasks;
                tasks.extend(self.sim.look_at(self.agent).wanted());
                Self::pick(&tasks, *n).iter().for_each(|task| self.sim.kill(task));
            }
            Event::Protect(n) => {
                let until_ms = self.sim.now_ms + 20_000;
                Self::pick(&tasks, *n).iter().for_each(|task| self.sim.protect(task, until_ms));
            }
            Event::Scale(n) => self.sim.look_at(self.web).scale(u32::from(n % 9)),
            Event::Deploy => {
                let definition = self.sim.definition(256, Behaviour::Run);
                self.sim.look_at(self.web).deploy(definition);
            }
            Event::Wait(n) => self.sim.now_ms += i64::from(*n) * 100,
        }
    }

    fn status(&mut self, instances: &[u64], n: u8, status: InstanceStatus) {
        Self::pick(instances, n).iter().for_each(|id| self.sim.drain(*id, status));
    }

    /// Both controllers look until neither does anything; each command is held against the rules.
    fn reconcile(&mut self) {
        for _ in 0..200 {
            let mut quiet = true;
            for service in [self.agent, self.web] {
                let plan = self.sim.look_at(service).plan();
                plan.commands.iter().for_each(|kind| self.allowed(kind));
                quiet &= plan.commands.is_empty();
                self.sim.execute(plan);
                self.holds();
            }
            if quiet {
                return;
            }
        }
        panic!("the controllers never come to rest: {}", self.sim.plan().text);
    }

    /// A command that is about to be proposed for the service that is looked at.
    fn allowed(&self, kind: &Kind) {
        let row = self.sim.row();
        match kind {
            Kind::PlaceTasks(place) if self.sim.service == self.web => {
                let most = (row.desired_count * row.maximum_percent / 100).max(row.desired_count) as usize;
                let all = self.sim.existing() + place.placements.len();
                assert!(all <= most, "{all} tasks, of which {most} may exist");
            }
            Kind::StopTasks(stop) => {
                for id in &stop.tasks {
                    let task = self.sim.state.tasks.get(&seawall_state::task_id(id)).expect("it is there");
                    assert!(task.protected_until_ms <= self.sim.now_ms, "a protected task is stopped");
                }
            }
            _ => {}
        }
    }

    fn holds(&self) {
        let live = |t: &&std::sync::Arc<TaskRow>| t.last_status() != TaskStatus::Stopped;
        let mut on: BTreeMap<u64, usize> = BTreeMap::new();
        for task in self.sim.state.tasks_of_service(self.agent).filter(live) {
            *on.entry(task.instance_id).or_default() += 1;
        }
        assert!(on.values().all(|tasks| *tasks == 1), "two of a daemon on one instance: {on:?}");
    }

    /// Everything works again: lets time pass until both are at rest.
    fn settle(&mut self) {
        self.sim.heal();
        for id in self.instances() {
            self.sim.drain(id, InstanceStatus::Active);
        }
        let began_ms = self.sim.now_ms;
        while self.sim.now_ms < began_ms + 1_200_000 {
            self.reconcile();
            let steady = [self.agent, self.web].map(|service| self.sim.look_at(service).row().steady);
            // A zone where a task failed gets no other for a while.
            if steady == [true, true] && self.sim.now_ms > began_ms + SHUN_MS + 60_000 {
                return;
            }
            self.sim.agents();
            self.sim.now_ms += 5 * TICK_MS;
        }
        panic!("no rest: {}", self.sim.plan().text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_comes_to_rest_as_it_should(percents in percents(), events in events()) {
        let mut world = World::new(percents);
        world.reconcile();
        for event in &events {
            world.happens(event);
            world.reconcile();
            world.sim.agents();
            world.sim.now_ms += TICK_MS;
        }
        world.settle();
        let all = world.instances();
        prop_assert_eq!(world.sim.look_at(world.agent).places(), all);
        let desired = world.sim.look_at(world.web).row().desired_count as usize;
        prop_assert_eq!((world.sim.running(), world.sim.existing()), (desired, desired));
        prop_assert_eq!(world.sim.row().deployments.len(), 1);
        if percents.1 > 100 {
            let may_move = desired * percents.1 as usize / 100 > desired;
            prop_assert!(world.sim.zone_difference() <= 1 || !may_move, "{:?}", world.sim.zones());
        }
        // What failed is forgiven.
        world.sim.now_ms += 3_600_000;
        world.reconcile();
        world.sim.now_ms += 3_600_000;
        for service in [world.agent, world.web] {
            prop_assert_eq!(&world.sim.look_at(service).plan().commands, &vec![], "at rest it writes nothing");
        }
    }
}
