//! Jobs over time.

use insta::assert_snapshot;
use proptest::prelude::*;
use seawall_controllers::jobs::not_before_ms;
use seawall_model::InstanceId;
use seawall_proto::{
    internal::v1::{JobRow, JobStatus, StopJob, command::Kind},
    v1::{ContainerOverride, JobTemplate, TaskOverride},
};

use crate::world::{End, MINUTE_MS, SECOND_MS, World, ends, status, template};

#[test]
fn a_job_begins_runs_and_succeeds() {
    let mut world = World::new();
    world.ends = ends(&[0]);
    let job = world.job(template());
    assert_snapshot!(world.plan_job(job).text, @"start one on 2: zone a had 0, the instance 0; 3 of 3 looked at");
    world.reconcile();
    assert_eq!(world.plan_job(job), Default::default(), "nothing to do while it runs");
    let task = &world.live()[0];
    assert_eq!((task.group.as_str(), task.started_by.as_str(), task.job_id), ("job:migrate", "job/migrate", job.0));
    world.now_ms += 3 * SECOND_MS;
    world.agents();
    world.agents();
    assert_snapshot!(world.plan_job(job).text, @"SUCCEEDED");
    world.reconcile();
    let row = world.row(job);
    assert_eq!((status(&row), row.finished_at_ms), ((JobStatus::Succeeded, 1, 0), world.now_ms));
    assert_eq!(world.written, 2, "one placement, one end");
}

#[test]
fn as_many_run_at_once_as_may_until_enough_have_succeeded() {
    let mut world = World::new();
    world.ends = ends(&[0; 7]);
    let job = world.job(JobTemplate { completions: Some(7), parallelism: Some(3), ..template() });
    world.reconcile();
    assert_eq!(world.live().len(), 3);
    let mut most = 0;
    while world.row(job).status() == JobStatus::Running {
        world.pass(SECOND_MS);
        most = most.max(world.live().len());
    }
    assert_eq!((status(&world.row(job)), most, world.placed()), ((JobStatus::Succeeded, 7, 0), 3, 7));
}

#[test]
fn failures_are_retried_with_growing_waits_until_there_are_too_many() {
    let mut world = World::new();
    world.ends = ends(&[1, 2, 3, 4, 5]);
    let job = world.job(template());
    let began_ms = world.now_ms;
    let row = world.pass_until_over(job, 10 * MINUTE_MS);
    assert_eq!(status(&row), (JobStatus::Failed, 0, 4));
    assert_eq!(row.reason, "4 tasks failed; the last one: container main exited with 4");
    let waited_s = (row.finished_at_ms - began_ms) / SECOND_MS;
    assert!((82..=90).contains(&waited_s), "10, 20 and 40 s between four tasks of 3 s: {waited_s}");
}

#[test]
fn waits_grow_to_a_limit() {
    let wait_s = |failed| {
        let row = JobRow { template: Some(template()), failed, last_failure_ms: 1, ..JobRow::default() };
        (not_before_ms(&row) - 1) / SECOND_MS
    };
    assert_eq!([0, 1, 2, 3, 6, 7, 1000].map(wait_s), [10, 10, 20, 40, 320, 600, 600]);
    assert_eq!(not_before_ms(&JobRow { template: Some(template()), ..JobRow::default() }), 0);
}

#[test]
fn a_deadline_stops_what_runs() {
    let mut world = World::new();
    let job = world.job(JobTemplate { deadline_seconds: Some(30), ..template() });
    world.reconcile();
    world.agents();
    assert_eq!(world.plan_job(job).wake_at_ms, Some(world.now_ms + 30 * SECOND_MS));
    world.now_ms += 30 * SECOND_MS;
    assert_snapshot!(world.plan_job(job).text, @"
    stop 1 tasks: Its job migrate ends
    ENDING The deadline of 30 s has passed.
    ");
    world.reconcile();
    assert_eq!(world.plan_job(job), Default::default(), "its task is waited for");
    let row = world.pass_until_over(job, MINUTE_MS);
    assert_eq!((status(&row), row.reason.as_str()), ((JobStatus::Failed, 0, 0), "The deadline of 30 s has passed."));
}

#[test]
fn a_job_that_is_stopped_stops_its_tasks() {
    let mut world = World::new();
    let job = world.job(JobTemplate { completions: Some(5), parallelism: Some(5), ..template() });
    world.reconcile();
    world.agents();
    world.done(Kind::StopJob(StopJob { job_id: job.0, reason: "enough".into() }));
    let row = world.pass_until_over(job, MINUTE_MS);
    assert_eq!((status(&row), row.reason.as_str()), ((JobStatus::Stopped, 0, 0), "enough"));
    assert_eq!((world.live().len(), world.placed()), (0, 5));
}

#[test]
fn what_fits_nowhere_waits_and_says_so_once() {
    let mut world = World::new();
    world.definition(5000);
    let job = world.job(template());
    let plan = world.plan_job(job);
    assert_snapshot!(plan.text, @r#"unplaced: "The closest matching (container-instance 9e3779b97f4a7c15f39cc0605cedc835) has insufficient CPU units available.""#);
    assert_eq!(plan.wake_at_ms, Some(world.now_ms + 15 * SECOND_MS));
    world.execute(plan);
    assert_eq!(world.plan_job(job).commands, []);
    let written = world.written;
    world.pass(MINUTE_MS);
    assert_eq!(world.written, written, "nothing is written while it waits");
    world.done(Kind::StopJob(StopJob { job_id: job.0, reason: String::new() }));
    assert_eq!(world.pass_until_over(job, MINUTE_MS).unplaced_reason, "");
}

#[test]
fn a_task_on_a_silent_instance_is_replaced_unless_too_many_are_silent() {
    let mut world = World::new();
    let job = world.job(template());
    world.reconcile();
    world.agents();
    let first = world.live()[0].clone();
    world.hold = true;
    world.silence(InstanceId(first.instance_id));
    assert_eq!(world.plan_job(job).commands, [], "it may run on");
    world.hold = false;
    assert_snapshot!(world.plan_job(job).text, @"
    stop 1 tasks: Its container instance fell silent (job migrate)
    start one on 4: zone b had 0, the instance 0; 2 of 2 looked at
    ");
    world.ends = vec![End { after_ms: i64::MAX / 2, exit_code: 0 }, End { after_ms: 2 * SECOND_MS, exit_code: 0 }];
    let row = world.pass_until_over(job, MINUTE_MS);
    assert_eq!(status(&row), (JobStatus::Succeeded, 1, 0), "the silent one is not waited for");
    assert_eq!(world.live().len(), 1);
    // Back again, it is told to stop, and counts for nothing.
    world.connect(1, "a");
    world.pass(5 * SECOND_MS);
    assert_eq!((status(&world.row(job)), world.live().len()), ((JobStatus::Succeeded, 1, 0), 0));
}

#[test]
fn overrides_that_do_not_fit_the_definition_any_more_fail_the_job() {
    let mut world = World::new();
    let item = ContainerOverride { name: Some("main".into()), ..Default::default() };
    let overrides = TaskOverride { container_overrides: vec![item], ..Default::default() };
    let job = world.job(JobTemplate { overrides: Some(overrides), ..template() });
    let mut row = world.row(job);
    row.template.as_mut().unwrap().overrides.as_mut().unwrap().container_overrides[0].name = Some("gone".into());
    world.state.jobs.put(job, row.into());
    let plan = world.plan_job(job);
    assert!(plan.text.starts_with("FAILED "), "{}", plan.text);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// However tasks end and instances fall silent: the job ends, at no time are there too many tasks, and all is counted.
    #[test]
    fn every_job_ends(
        completions in 1u32..6, parallelism in 1u32..4, retries in 0u32..4, exits in prop::collection::vec(0i32..3, 40),
        silent_at in prop::option::of(0i64..60),
    ) {
        let mut world = World::new();
        world.ends = ends(&exits.iter().map(|code| i32::from(*code == 0)).collect::<Vec<_>>());
        let job = world.job(JobTemplate {
            completions: Some(completions), parallelism: Some(parallelism), retries: Some(retries), ..template()
        });
        for second in 0..3600 {
            if silent_at == Some(second) {
                let instance = *world.state.instances.iter().next().unwrap().0;
                world.silence(instance);
            }
            world.pass(SECOND_MS);
            let row = world.row(job);
            let reachable = world.live().iter().filter(|task| task.unreachable_since_ms == 0).count();
            prop_assert!(reachable <= parallelism as usize);
            if seawall_state::is_over(&row) {
                let is_enough = row.succeeded >= completions;
                prop_assert_eq!(row.status() == JobStatus::Succeeded, is_enough);
                prop_assert!(is_enough || row.failed > retries, "{row:?}");
                prop_assert_eq!(reachable, 0);
                return Ok(());
            }
        }
        prop_assert!(false, "not over: {:?}", world.row(job));
    }
}
