//! When services are looked at. Time is the simulator's.

use std::time::Duration;

use seawall_env::sim::Sim;
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{CreateJob, CreateSchedule, RaiseClusterVersion, command},
    v1::{JobTemplate, ScheduleSpec},
};
use seawall_state::Effects;
use serde_json::json;

use super::*;
use crate::testing::TestCluster;

struct Fixture {
    sim: Sim,
    cluster: TestCluster,
    wake: Wake,
}

impl Fixture {
    /// Two services with a task each, and nothing to look at.
    fn new() -> Fixture {
        let sim = Sim::new(1);
        let env = sim.node("s1");
        let mut cluster = TestCluster::new();
        cluster.instance("i-1", "a");
        cluster.register("web", 100, 100);
        for name in ["one", "two"] {
            cluster.must("CreateService", json!({"serviceName": name, "taskDefinition": "web", "desiredCount": 1}));
        }
        cluster.reconcile();
        let mut fixture = Fixture { sim, cluster, wake: Wake::new(&env, Hints::Delivered) };
        fixture.all();
        fixture
    }

    fn service_id(&self, name: &str) -> ServiceId {
        let found = self.cluster.state.services.iter().find(|(_, row)| row.name == name);
        *found.expect("the service").0
    }

    fn service(&self, name: &str) -> Subject {
        Subject::Service(self.service_id(name))
    }

    fn task_of(&self, name: &str) -> TaskId {
        let service = self.service_id(name);
        let found = self.cluster.state.tasks.iter().find(|(_, task)| task.service_id == service.0);
        *found.expect("its task").0
    }

    /// What to look at now.
    fn all(&mut self) -> Vec<Subject> {
        std::iter::from_fn(|| self.wake.next(&self.cluster.state, self.cluster.now_ms)).collect()
    }

    fn note(&mut self, effects: Effects) {
        let entry = AppliedEntry {
            index: 1,
            cluster_time_ms: self.cluster.now_ms,
            effects: vec![effects],
            state: self.cluster.state.clone(),
        };
        self.wake.note(Ok(Arc::new(entry)));
    }

    fn changed(&mut self, change: Change) {
        self.note(Effects { changes: vec![change] });
    }

    fn pause(&self) -> Duration {
        self.wake.pause(true, self.cluster.now_ms)
    }
}

#[test]
fn a_new_wake_looks_at_everything_and_then_at_nothing() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.all(), []);
    fixture.wake.everything();
    assert_eq!(fixture.all().len(), 2);
    assert_eq!(fixture.pause(), PAUSE_MAX);
    fixture.sim.run_for(EVERYTHING);
    assert_eq!(fixture.all().len(), 2, "now and then, whatever hints were lost");
}

#[test]
fn a_task_wakes_its_service_and_no_other() {
    let mut fixture = Fixture::new();
    let (one, id) = (fixture.service("one"), fixture.service_id("one"));
    let task = *fixture.cluster.state.tasks.iter().find(|(_, task)| task.service_id == id.0).unwrap().0;
    fixture.changed(Change::Task(task));
    assert_eq!(fixture.pause(), Duration::ZERO);
    assert_eq!(fixture.all(), [one]);
    let (_, effects) = fixture.cluster.apply(command::Kind::CreateCluster(Default::default()));
    fixture.note(effects);
    assert_eq!(fixture.all(), [], "what concerns no service wakes none");
}

#[test]
fn an_instance_wakes_the_services_of_its_tasks() {
    let mut fixture = Fixture::new();
    let instance = *fixture.cluster.state.instances.iter().next().unwrap().0;
    fixture.changed(Change::Instance(instance));
    assert_eq!(fixture.all().len(), 2);
    let other = fixture.cluster.instance("i-2", "b");
    fixture.changed(Change::Instance(other));
    assert_eq!(fixture.all(), [], "nobody waits for a place");
}

#[test]
fn who_waits_for_a_place_is_woken_by_whatever_makes_one() {
    let mut fixture = Fixture::new();
    fixture.cluster.register("big", 5000, 100);
    fixture.cluster.must("CreateService", json!({"serviceName": "big", "taskDefinition": "big", "desiredCount": 1}));
    fixture.cluster.reconcile();
    let (big, big_id) = (fixture.service("big"), fixture.service_id("big"));
    assert_ne!(fixture.cluster.state.services.get(&big_id).unwrap().unplaced_reason, "");
    fixture.changed(Change::Service(big_id));
    assert_eq!(fixture.all(), [big]);
    let instance = fixture.cluster.instance_with("i-2", "b", 8000, 8000);
    fixture.changed(Change::Instance(instance));
    assert_eq!(fixture.all(), [big], "a new instance");
    let task = fixture.cluster.live()[0];
    let of = Subject::Service(ServiceId(fixture.cluster.state.tasks.get(&task).unwrap().service_id));
    fixture.cluster.ends(task, 0);
    fixture.changed(Change::Task(task));
    let mut woken = fixture.all();
    woken.sort();
    assert_eq!(woken, [of, big], "a task that gave its room back");
    fixture.cluster.reconcile();
    fixture.changed(Change::Service(big_id));
    fixture.all();
    fixture.changed(Change::Instance(instance));
    assert!(!fixture.all().contains(&of), "it is placed and waits no more");
}

#[test]
fn one_whose_decision_is_on_its_way_is_left_alone_until_it_is_applied() {
    let mut fixture = Fixture::new();
    let one = fixture.service("one");
    fixture.wake.busy(one);
    fixture.changed(Change::Service(fixture.service_id("one")));
    assert_eq!(fixture.all(), []);
    assert_eq!(fixture.pause(), PAUSE_MAX, "it is not waited for in a circle");
    fixture.wake.idle(one);
    assert_eq!(fixture.all(), [one], "what it sees now may ask for more");
}

#[test]
fn a_task_wakes_its_job_and_the_job_its_schedule() {
    let mut fixture = Fixture::new();
    let cluster = &mut fixture.cluster;
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    let job = JobTemplate { task_definition: Some("web".into()), ..JobTemplate::default() };
    let spec = ScheduleSpec { job: Some(job), concurrency: Some("ALLOW".into()), ..ScheduleSpec::default() };
    let cluster_id = cluster.state.cluster_by_name(0, "default").unwrap().id;
    let create = CreateSchedule { cluster_id, name: "nightly".into(), spec: Some(spec) };
    let (_, effects) = cluster.apply(command::Kind::CreateSchedule(create));
    let schedule_id = cluster.state.schedules.iter().next().unwrap().0.0;
    let schedule = Subject::Schedule(ScheduleId(schedule_id));
    fixture.note(effects);
    assert_eq!(fixture.all(), [schedule]);
    let create = CreateJob { cluster_id, name: "now".into(), schedule_id, ..Default::default() };
    let (_, effects) = fixture.cluster.apply(command::Kind::CreateJob(create));
    fixture.note(effects);
    let job = Subject::Job(*fixture.cluster.state.jobs.iter().next().unwrap().0);
    assert_eq!(fixture.all(), [schedule, job]);
    fixture.wake.everything();
    assert_eq!(fixture.all().len(), 4, "two services, the schedule and its job");
}

#[test]
fn timers_run_in_cluster_time() {
    let mut fixture = Fixture::new();
    let one = fixture.service("one");
    fixture.wake.at(one, fixture.cluster.now_ms + 300);
    assert_eq!(fixture.pause(), Duration::from_millis(300));
    assert_eq!(fixture.all(), []);
    fixture.cluster.now_ms += 300;
    assert_eq!(fixture.pause(), Duration::ZERO);
    assert_eq!(fixture.all(), [one]);
    assert_eq!(fixture.all(), [], "once");
    fixture.wake.at(one, fixture.cluster.now_ms + 300);
    fixture.wake.everything();
    fixture.all();
    fixture.cluster.now_ms += 300;
    assert_eq!(fixture.all(), [], "a new term starts afresh");
}

#[test]
fn after_a_refused_entry_nothing_is_looked_at_for_a_moment() {
    let mut fixture = Fixture::new();
    let one = fixture.service("one");
    fixture.changed(Change::Service(fixture.service_id("one")));
    fixture.wake.back_off();
    assert_eq!(fixture.all(), []);
    let pause = fixture.pause();
    assert!(pause >= BACK_OFF && pause <= BACK_OFF * 2, "{pause:?}");
    fixture.sim.run_for(pause);
    assert_eq!(fixture.all(), [one]);
}

#[test]
fn lost_and_dropped_hints_cost_only_time() {
    let mut fixture = Fixture::new();
    fixture.wake.note(Err(RecvError::Lagged(3)));
    assert_eq!(fixture.all().len(), 2, "hints were lost: everything");
    fixture.wake.hints = Hints::Dropped;
    fixture.changed(Change::Service(fixture.service_id("one")));
    assert_eq!(fixture.all(), []);
    fixture.sim.run_for(EVERYTHING);
    assert_eq!(fixture.all().len(), 2);
}

#[test]
fn daemons_are_woken_by_instances_and_looked_at_first() {
    let mut fixture = Fixture::new();
    fixture.cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    fixture.cluster.must(
        "CreateService",
        json!({"serviceName": "agent", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}),
    );
    fixture.cluster.reconcile();
    let (one, agent) = (fixture.service("one"), fixture.service("agent"));
    let joined = fixture.cluster.instance("i-2", "b");
    fixture.changed(Change::Service(fixture.service_id("one")));
    fixture.changed(Change::Instance(joined));
    assert_eq!(fixture.all(), [agent, one], "it has no task there, and comes first all the same");
    let task = fixture.task_of("one");
    fixture.changed(Change::Task(task));
    assert_eq!(fixture.all(), [one], "its task is no concern of the daemon");
    let arn = fixture.cluster.instance_arn(InstanceId(fixture.cluster.state.tasks.get(&task).unwrap().instance_id));
    let drain = json!({"containerInstances": [arn], "status": "DRAINING"});
    fixture.cluster.must("UpdateContainerInstancesState", drain);
    fixture.changed(Change::Task(task));
    assert_eq!(fixture.all(), [agent, one], "until its instance drains");
}

#[test]
fn who_waits_for_a_place_is_woken_by_the_task_of_a_daemon() {
    let mut fixture = Fixture::new();
    fixture.cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    fixture.cluster.register("big", 5000, 100);
    fixture.cluster.must("CreateService", json!({"serviceName": "big", "taskDefinition": "big", "desiredCount": 1}));
    fixture.cluster.must(
        "CreateService",
        json!({"serviceName": "agent", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}),
    );
    fixture.cluster.reconcile();
    let (big, agent) = (fixture.service("big"), fixture.service("agent"));
    fixture.changed(Change::Service(fixture.service_id("big")));
    fixture.all();
    let task = fixture.task_of("agent");
    fixture.changed(Change::Task(task));
    assert_eq!(fixture.all(), [agent, big]);
}

#[test]
fn tasks_that_wait_are_woken_by_whatever_makes_room() {
    let mut fixture = Fixture::new();
    let group = json!({"autoScalingGroupArn": "g", "managedScaling": {"status": "ENABLED"}});
    fixture.cluster.must("CreateCapacityProvider", json!({"name": "big", "autoScalingGroupProvider": group}));
    fixture.cluster.must(
        "PutClusterCapacityProviders",
        json!({"cluster": "default", "capacityProviders": ["big"], "defaultCapacityProviderStrategy": []}),
    );
    fixture.cluster.register("huge", 9000, 100);
    let strategy = json!([{"capacityProvider": "big", "weight": 1}]);
    let run = json!({"taskDefinition": "huge", "capacityProviderStrategy": strategy});
    let task = crate::testing::ids_of(&fixture.cluster.must("RunTask", run))[0];
    let waiting = Subject::Waiting(fixture.cluster.state.clusters_with_waiting_tasks().next().unwrap());
    fixture.changed(Change::Task(task));
    assert_eq!(fixture.all(), [waiting]);
    let instance = fixture.cluster.instance("i-2", "b");
    fixture.changed(Change::Instance(instance));
    assert_eq!(fixture.all(), [waiting]);
    let ended = fixture.task_of("one");
    fixture.cluster.ends(ended, 0);
    fixture.changed(Change::Task(ended));
    assert!(fixture.all().contains(&waiting));
    fixture.wake.everything();
    assert!(fixture.all().contains(&waiting), "now and then, whatever hints were lost");
    fixture.cluster.must("StopTask", json!({"task": task.to_string()}));
    fixture.wake.everything();
    assert!(!fixture.all().contains(&waiting));
}

/// Makes a service of a class, which has not been looked at.
fn classed(fixture: &mut Fixture, name: &str, priority: u32) -> Subject {
    let tags = json!([{"key": "seawall:priority", "value": priority.to_string()}]);
    fixture
        .cluster
        .must("CreateService", json!({"serviceName": name, "taskDefinition": "web", "desiredCount": 1, "tags": tags}));
    fixture.changed(Change::Service(fixture.service_id(name)));
    fixture.service(name)
}

#[test]
fn the_higher_class_comes_first() {
    let mut fixture = Fixture::new();
    let (one, two) = (fixture.service("one"), fixture.service("two"));
    let low = classed(&mut fixture, "low", 49);
    let high = classed(&mut fixture, "high", 51);
    fixture.changed(Change::Service(fixture.service_id("two")));
    fixture.changed(Change::Service(fixture.service_id("one")));
    assert_eq!(fixture.all(), [high, one, two, low]);
    let tag = json!({"resourceArn": "arn:aws:ecs:us-local-1:000000000000:service/default/low",
        "tags": [{"key": "seawall:priority", "value": "99"}]});
    fixture.changed(Change::Service(fixture.service_id("low")));
    fixture.changed(Change::Service(fixture.service_id("high")));
    assert_eq!(fixture.wake.next(&fixture.cluster.state, fixture.cluster.now_ms), Some(high));
    fixture.changed(Change::Service(fixture.service_id("high")));
    fixture.cluster.must("TagResource", tag);
    fixture.changed(Change::Service(fixture.service_id("low")));
    assert_eq!(fixture.all(), [low, high], "its class is another, and it is looked at once");
}

#[test]
fn who_was_given_places_comes_after_the_others_of_its_class() {
    let mut fixture = Fixture::new();
    let (one, two) = (fixture.service("one"), fixture.service("two"));
    let low = classed(&mut fixture, "low", 10);
    fixture.all();
    let all = |fixture: &mut Fixture| {
        for name in ["low", "one", "two"] {
            fixture.changed(Change::Service(fixture.service_id(name)));
        }
        fixture.all()
    };
    assert_eq!(all(&mut fixture), [one, two, low], "who never was given any: in the order in which they were made");
    fixture.wake.served(one);
    assert_eq!(all(&mut fixture), [two, one, low]);
    fixture.wake.served(two);
    assert_eq!(all(&mut fixture), [one, two, low]);
    fixture.wake.everything();
    assert_eq!(fixture.all(), [one, two, low]);
}

#[test]
fn who_waits_is_woken_when_another_waits_no_more() {
    let mut fixture = Fixture::new();
    fixture.cluster.register("big", 5000, 100);
    for name in ["big", "bigger"] {
        fixture.cluster.must("CreateService", json!({"serviceName": name, "taskDefinition": "big", "desiredCount": 1}));
    }
    fixture.cluster.reconcile();
    let (big, bigger) = (fixture.service("big"), fixture.service("bigger"));
    for name in ["big", "bigger"] {
        fixture.changed(Change::Service(fixture.service_id(name)));
    }
    fixture.all();
    fixture.cluster.must("UpdateService", json!({"service": "big", "desiredCount": 0}));
    fixture.cluster.reconcile();
    fixture.changed(Change::Service(fixture.service_id("big")));
    assert_eq!(fixture.all(), [big, bigger]);
}
