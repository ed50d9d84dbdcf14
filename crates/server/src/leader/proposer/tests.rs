//! Whose turn it is, on a whole member in the simulator.

use std::time::Duration;

use seawall_model::ServiceId;
use seawall_proto::{
    internal::v1::{
        AgentIdentity, ConnectInstance, CreateService, RegisterTaskDefinition, Resources, TaskRow, TaskSize,
        command::Kind,
    },
    v1::{ContainerDefinition, CreateServiceRequest, Tag, TaskDefinition},
};
use seawall_state::State;

use crate::testing::OneMember;

const SLICE: Duration = Duration::from_millis(5);
/// Before the lease of an instance that says nothing runs out.
const SOON: Duration = Duration::from_millis(1500);

struct Fixture {
    one: OneMember,
    definitions: u32,
}

impl Fixture {
    /// A member and an instance with so many CPU units.
    fn new(cpu: u32) -> Fixture {
        let fixture = Fixture { one: OneMember::new(3), definitions: 0 };
        let identity = AgentIdentity {
            cluster: "default".into(),
            ec2_instance_id: "i-1".into(),
            zone: "a".into(),
            total: Some(Resources { cpu, memory: 1 << 30, ..Resources::default() }),
            ..AgentIdentity::default()
        };
        let connect = ConnectInstance { identity: Some(identity), member_id: 1, new_arn_hi: 1, new_arn_lo: 1 };
        fixture.one.propose(vec![Kind::ConnectInstance(connect)]);
        fixture
    }

    fn state(&self) -> State {
        self.one.node.consensus.state().state.clone()
    }

    /// Its task definition, of so many CPU units.
    fn definition(&mut self, cpu: u32) -> u64 {
        self.definitions += 1;
        let family = format!("of-{}", self.definitions);
        let main = ContainerDefinition { name: Some("main".into()), essential: Some(true), ..Default::default() };
        let definition =
            TaskDefinition { family: Some(family.clone()), container_definitions: vec![main], ..Default::default() };
        let size = Some(TaskSize { cpu, memory: 1, ..TaskSize::default() });
        let register = RegisterTaskDefinition { definition: Some(definition), size, ..Default::default() };
        self.one.propose(vec![Kind::RegisterTaskDefinition(register)]);
        self.state().task_definition(0, &family, 1).expect("the definition").id
    }

    /// What makes a service of a class.
    fn create(&mut self, name: &str, (cpu, desired): (u32, i32), priority: u32) -> Kind {
        let task_definition_id = self.definition(cpu);
        let tag = Tag { key: Some("seawall:priority".into()), value: Some(priority.to_string()) };
        let spec = CreateServiceRequest {
            service_name: Some(name.into()),
            desired_count: Some(desired),
            tags: vec![tag],
            ..Default::default()
        };
        let cluster_id = self.state().cluster_by_name(0, "default").expect("the cluster").id;
        Kind::CreateService(CreateService {
            cluster_id,
            spec: Some(spec),
            task_definition_id,
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            deployment_id: u64::from(self.definitions),
            ..Default::default()
        })
    }

    /// A service's tasks, in the order of the entries that placed them.
    fn tasks(&self, name: &str) -> Vec<TaskRow> {
        let state = self.state();
        let found = state.services.iter().find(|(_, row)| row.name == name);
        let id = found.map_or(ServiceId(0), |(id, _)| *id);
        let mut tasks: Vec<TaskRow> = state.tasks_of_service(id).map(|task| TaskRow::clone(task)).collect();
        tasks.sort_by_key(|task| task.changed);
        tasks
    }

    fn wait(&self, what: &str, holds: impl Fn(&Fixture) -> bool) {
        let until = self.one.sim.now() + SOON;
        while !holds(self) {
            assert!(self.one.sim.now() < until, "not in time: {what}");
            self.one.sim.run_for(SLICE);
        }
    }
}

/// The largest backlog that a service can have, made before the others.
#[test]
fn a_backlog_holds_up_nobody_of_its_class() {
    let mut fixture = Fixture::new(6000);
    let all = vec![
        fixture.create("backlog", (1, 5000), 50),
        fixture.create("one", (1, 1), 50),
        fixture.create("other", (1, 300), 50),
    ];
    fixture.one.propose(all);
    fixture.wait("every task", |fixture| {
        ["backlog", "one", "other"].iter().map(|name| fixture.tasks(name).len()).sum::<usize>() == 5301
    });
    let placed = fixture.tasks("one")[0].changed;
    let before = |name| fixture.tasks(name).iter().filter(|task| task.changed < placed).count();
    assert!(before("backlog") <= 256, "{} tasks of the backlog came before it", before("backlog"));
    let last = fixture.tasks("other").last().expect("it has tasks").changed;
    let backlog = fixture.tasks("backlog").iter().filter(|task| task.changed < last).count();
    assert!(backlog <= 2 * 256, "they take turns: {backlog} came before the last of 300");
}

/// What cannot be placed comes first, again and again, and is no burden to the others.
#[test]
fn a_backlog_that_fits_nowhere_holds_up_nobody() {
    let mut fixture = Fixture::new(1000);
    let mut all = vec![fixture.create("backlog", (5000, 5000), 60)];
    all.extend((0..100).map(|n| fixture.create(&format!("stuck-{n}"), (5000, 1), 50)));
    fixture.one.propose(all);
    fixture
        .wait("it to wait", |fixture| fixture.state().services.iter().all(|(_, row)| !row.unplaced_reason.is_empty()));
    let small = fixture.create("small", (1, 1), 50);
    fixture.one.propose(vec![small]);
    fixture.wait("its task", |fixture| fixture.tasks("small").len() == 1);
}

#[test]
fn the_highest_class_takes_what_there_is() {
    let mut fixture = Fixture::new(1000);
    let mut all: Vec<Kind> = Vec::new();
    for (at, priority) in [20, 50, 80, 40].into_iter().enumerate() {
        all.push(fixture.create(&format!("service-{at}"), (400, 2), priority));
    }
    fixture.one.propose(all);
    fixture.wait("all of them to have been looked at", |fixture| {
        let waits = |row: &seawall_proto::internal::v1::ServiceRow| !row.unplaced_reason.is_empty();
        fixture.state().services.iter().filter(|(_, row)| waits(row)).count() == 3
    });
    let tasks: Vec<usize> = (0..4).map(|at| fixture.tasks(&format!("service-{at}")).len()).collect();
    assert_eq!(tasks, [0, 0, 2, 0]);
}
