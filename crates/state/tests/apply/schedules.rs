//! A time of a schedule begins one job, whatever is proposed and however often.

use proptest::{collection::vec, prelude::*};
use seawall_model::{JobId, ScheduleId};
use seawall_proto::{
    internal::v1::{
        CreateSchedule, DeleteCluster, DeleteSchedule, DeregisterTaskDefinition, FireSchedule, JobRow, JobStatus,
        JobStep, ScheduleRow, UpdateSchedule,
    },
    v1::{JobTemplate, ScheduleSpec},
};
use seawall_state::Change;

use crate::{fixture::*, snapshot::restored};

pub fn template() -> JobTemplate {
    JobTemplate {
        task_definition: Some("job".into()),
        completions: Some(1),
        parallelism: Some(1),
        retries: Some(1),
        retry_wait_seconds: Some(10),
        ..JobTemplate::default()
    }
}

pub fn spec() -> ScheduleSpec {
    ScheduleSpec {
        expression: Some("rate(1 minute)".into()),
        time_zone: Some("UTC".into()),
        job: Some(template()),
        concurrency: Some("FORBID".into()),
        catch_up: Some("ONE".into()),
        jobs_kept: Some(2),
        state: Some("ENABLED".into()),
        ..ScheduleSpec::default()
    }
}

struct Fixture {
    world: World,
    id: ScheduleId,
}

impl Fixture {
    fn new(spec: ScheduleSpec) -> Fixture {
        let mut world = World::new();
        world.definition("job", size(100, 100));
        let create = create(&world, "nightly", spec);
        let id = ScheduleId(world.done(create).id);
        Fixture { world, id }
    }

    fn row(&self) -> ScheduleRow {
        (**self.world.state.schedules.get(&self.id).unwrap()).clone()
    }

    fn fire(&self, tick_ms: i64) -> FireSchedule {
        FireSchedule {
            schedule_id: self.id.0,
            schedule_version: self.row().changed,
            tick_ms,
            missed: 2,
            job_name: format!("nightly-{tick_ms}"),
        }
    }

    fn fired(&mut self, tick_ms: i64) -> JobRow {
        let fire = self.fire(tick_ms);
        let id = self.world.done(Kind::FireSchedule(fire)).id;
        self.job(id)
    }

    fn stale(&mut self, tick_ms: i64) {
        let fire = self.fire(tick_ms);
        self.world.stale(Kind::FireSchedule(fire));
    }

    fn job(&self, id: u64) -> JobRow {
        (**self.world.state.jobs.get(&JobId(id)).unwrap()).clone()
    }

    fn end(&mut self, job: &JobRow) {
        let step = JobStep {
            job_id: job.id,
            job_version: job.changed,
            status: JobStatus::Succeeded.into(),
            ..JobStep::default()
        };
        self.world.done(Kind::JobStep(step));
    }

    fn update(&mut self, spec: ScheduleSpec) {
        self.world.done(Kind::UpdateSchedule(UpdateSchedule { schedule_id: self.id.0, spec: Some(spec) }));
    }
}

fn create(world: &World, name: &str, spec: ScheduleSpec) -> Kind {
    Kind::CreateSchedule(CreateSchedule { cluster_id: world.cluster().0, name: name.into(), spec: Some(spec) })
}

#[test]
fn a_time_begins_a_job_once() {
    let mut fixture = Fixture::new(spec());
    let (now_ms, created) = (fixture.world.now_ms, fixture.row());
    assert_eq!((created.anchor_ms, created.handled_ms, created.created_at_ms), (now_ms, now_ms, now_ms));
    fixture.stale(now_ms);
    fixture.stale(now_ms + 1);
    fixture.world.now_ms += 60_000;
    let fire = fixture.fire(now_ms + 60_000);
    let job = fixture.fired(now_ms + 60_000);
    assert!(fixture.world.has_changed(&Change::Schedule(fixture.id)));
    assert!(fixture.world.has_changed(&Change::Job(JobId(job.id))));
    assert_eq!((job.status(), job.tick_ms, job.schedule_id), (JobStatus::Running, now_ms + 60_000, fixture.id.0));
    assert_eq!(job.template, Some(template()));
    let row = fixture.row();
    assert_eq!((row.handled_ms, row.last_tick_ms, row.last_job_id), (now_ms + 60_000, now_ms + 60_000, job.id));
    assert_eq!((row.fired, row.missed), (1, 2));
    // The same again, and a plan that was made before.
    fixture.world.stale(Kind::FireSchedule(fire));
    fixture.end(&job);
    fixture.stale(now_ms + 60_000);
    fixture.stale(now_ms + 59_999);
}

#[test]
fn jobs_of_a_schedule_wait_for_each_other_unless_it_allows_several() {
    let mut fixture = Fixture::new(spec());
    let now_ms = fixture.world.now_ms;
    fixture.world.now_ms += 600_000;
    let first = fixture.fired(now_ms + 60_000);
    fixture.stale(now_ms + 120_000);
    fixture.update(ScheduleSpec { concurrency: Some("ALLOW".into()), ..ScheduleSpec::default() });
    let second = fixture.fired(now_ms + 120_000);
    assert_eq!(fixture.world.state.jobs_of_schedule(fixture.id, false).count(), 2);
    fixture.update(ScheduleSpec { concurrency: Some("REPLACE".into()), ..ScheduleSpec::default() });
    fixture.end(&first);
    fixture.stale(now_ms + 180_000);
    fixture.end(&second);
    fixture.fired(now_ms + 180_000);
}

#[test]
fn a_definition_that_does_not_run_any_more_makes_a_job_that_has_failed() {
    let mut fixture = Fixture::new(spec());
    let now_ms = fixture.world.now_ms;
    let definition = fixture.world.state.task_definition(0, "job", 1).unwrap().id;
    fixture.world.done(Kind::DeregisterTaskDefinition(DeregisterTaskDefinition { task_definition_id: definition }));
    fixture.world.now_ms += 60_000;
    let job = fixture.fired(now_ms + 60_000);
    assert_eq!((job.status(), job.reason.as_str()), (JobStatus::Failed, "TaskDefinition not found."));
    assert_eq!(job.finished_at_ms, fixture.world.now_ms);
    let newest = fixture.world.definition("job", size(1, 1));
    fixture.world.now_ms += 60_000;
    assert_eq!(fixture.fired(now_ms + 120_000).task_definition_id, newest.0, "a family is its newest revision then");
}

#[test]
fn a_new_expression_and_a_pause_begin_afresh() {
    let mut fixture = Fixture::new(spec());
    let created_ms = fixture.world.now_ms;
    fixture.world.now_ms += 60_000;
    fixture.update(ScheduleSpec { jobs_kept: Some(5), ..ScheduleSpec::default() });
    let row = fixture.row();
    assert_eq!((row.anchor_ms, row.handled_ms), (created_ms, created_ms));
    assert_eq!(row.spec.clone().unwrap(), ScheduleSpec { jobs_kept: Some(5), ..spec() }, "what is absent stays");
    fixture.update(ScheduleSpec { state: Some("DISABLED".into()), ..ScheduleSpec::default() });
    fixture.stale(created_ms + 60_000);
    fixture.world.now_ms += 3_600_000;
    fixture.update(ScheduleSpec { state: Some("ENABLED".into()), ..ScheduleSpec::default() });
    let row = fixture.row();
    assert_eq!(
        (row.anchor_ms, row.handled_ms),
        (created_ms, fixture.world.now_ms),
        "nothing of the pause is made up for"
    );
    fixture.update(ScheduleSpec { time_zone: Some("Europe/Berlin".into()), ..ScheduleSpec::default() });
    assert_eq!(fixture.row().anchor_ms, fixture.world.now_ms);
}

#[test]
fn what_is_wrong_is_refused() {
    let mut fixture = Fixture::new(spec());
    let world = &mut fixture.world;
    for (name, spec, message) in [
        ("nightly", spec(), "The schedule nightly exists already."),
        ("", spec(), "Invalid schedule name \"\": 1 to 64 letters, digits, hyphens and underscores."),
        ("a b", spec(), "Invalid schedule name \"a b\": 1 to 64 letters, digits, hyphens and underscores."),
        ("other", ScheduleSpec { job: None, ..spec() }, "TaskDefinition not found."),
    ] {
        let command = create(world, name, spec);
        assert_eq!(world.refused(command).message, message);
    }
    let unknown = UpdateSchedule { schedule_id: 999, spec: None };
    assert_eq!(world.refused(Kind::UpdateSchedule(unknown)).message, "The referenced schedule was not found.");
    let cluster_id = world.cluster().0;
    let refusal = world.refused(Kind::DeleteCluster(DeleteCluster { cluster_id }));
    assert_eq!(refusal.code, "ClusterContainsTasksException");
    world.done(Kind::DeleteSchedule(DeleteSchedule { schedule_id: fixture.id.0 }));
    assert!(world.state.schedules.is_empty());
    world.done(Kind::DeleteCluster(DeleteCluster { cluster_id }));
}

#[test]
fn only_the_last_jobs_that_are_over_are_kept() {
    let mut fixture = Fixture::new(spec());
    let now_ms = fixture.world.now_ms;
    fixture.world.now_ms += 3_600_000;
    let mut ids = Vec::new();
    for minute in 1..=5 {
        let job = fixture.fired(now_ms + minute * 60_000);
        ids.push(job.id);
        fixture.end(&job);
    }
    let kept: Vec<u64> = fixture.world.state.jobs_of_schedule(fixture.id, true).map(|job| job.id).collect();
    assert_eq!(kept, ids[3..]);
    assert_eq!(restored(&fixture.world.state).hash(), fixture.world.state.hash());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Leaders come and go: each proposes from what it saw at some moment, some proposals arrive twice, late or in another order.
    #[test]
    fn whatever_leaders_propose_a_time_begins_at_most_one_job_and_times_only_rise(
        steps in vec((0usize..6, 0usize..8, any::<bool>()), 1..60),
    ) {
        let mut fixture = Fixture::new(spec());
        let begin_ms = fixture.world.now_ms;
        let mut proposed: Vec<FireSchedule> = Vec::new();
        let mut begun = Vec::new();
        for (what, which, flag) in steps {
            match what {
                0 => fixture.world.now_ms += 30_000 * which as i64,
                1 | 2 => proposed.push(fixture.fire(begin_ms + 60_000 * (which as i64 + i64::from(flag) * 8))),
                3 | 4 if !proposed.is_empty() => {
                    let fire = proposed[which % proposed.len()].clone();
                    let tick_ms = fire.tick_ms;
                    if let seawall_proto::internal::v1::reply::Kind::Done(_) = fixture.world.apply(Kind::FireSchedule(fire)) {
                        prop_assert!(tick_ms <= fixture.world.now_ms, "a job began before its time");
                        begun.push(tick_ms);
                    }
                }
                _ => {
                    let job = fixture.world.state.jobs_of_schedule(fixture.id, false).next().map(|job| JobRow::clone(job));
                    if let Some(job) = job {
                        fixture.end(&job);
                    }
                }
            }
        }
        prop_assert!(begun.is_sorted_by(|a, b| a < b), "{begun:?}");
        prop_assert_eq!(fixture.row().fired, begun.len() as u64);
    }
}
