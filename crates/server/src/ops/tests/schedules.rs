//! Schedules as clients see them.

use seawall_model::ApiError;
use seawall_proto::{
    internal::v1::{FireSchedule, RaiseClusterVersion, command, reply},
    timestamp_of,
    v1::{
        CreateScheduleRequest, DescribeSchedulesRequest, JobTemplate, PreviewScheduleRequest, Schedule, ScheduleSpec,
        UpdateScheduleRequest,
    },
};
use seawall_state::error_of;

use crate::{
    ops::schedules,
    testing::{START_MS, TestCluster},
};

/// A cluster with a definition, of this version.
pub(super) fn cluster() -> TestCluster {
    let mut cluster = TestCluster::new();
    cluster.apply(command::Kind::RaiseClusterVersion(RaiseClusterVersion { version: 2 }));
    cluster.instance("i-1", "a");
    cluster.register("report", 10, 10);
    cluster
}

fn spec(expression: &str) -> ScheduleSpec {
    let job = JobTemplate { task_definition: Some("report".into()), ..JobTemplate::default() };
    ScheduleSpec { expression: Some(expression.into()), job: Some(job), ..ScheduleSpec::default() }
}

/// What the command made or changed, or why it did not.
pub(super) fn done(cluster: &mut TestCluster, kind: command::Kind) -> Result<u64, ApiError> {
    match cluster.apply(kind).0 {
        reply::Kind::Done(done) => Ok(done.id),
        reply::Kind::Refusal(refusal) => Err(error_of(refusal)),
        other => panic!("{other:?}"),
    }
}

fn create(cluster: &mut TestCluster, name: &str, spec: ScheduleSpec) -> Result<Schedule, ApiError> {
    let ask = CreateScheduleRequest { cluster: None, name: name.into(), spec: Some(spec) };
    let command = cluster.answered(|ctx| schedules::create(ctx, &ask, &[]))?;
    let id = done(cluster, command)?;
    schedules::shown(&cluster.state, id, cluster.now_ms)
}

fn update(cluster: &mut TestCluster, spec: ScheduleSpec) -> Result<Schedule, ApiError> {
    let ask = UpdateScheduleRequest { cluster: None, name: "nightly".into(), spec: Some(spec) };
    let command = cluster.answered(|ctx| schedules::update(ctx, &ask, &[]))?;
    let id = done(cluster, command)?;
    schedules::shown(&cluster.state, id, cluster.now_ms)
}

#[test]
fn defaults_are_filled_in_and_the_next_time_is_shown() {
    let mut cluster = cluster();
    // The cluster's time is 1 January 2026.
    let made = create(&mut cluster, "nightly", spec("cron(0 3 * * ? *)")).unwrap();
    let kept = made.spec.clone().unwrap();
    assert_eq!(
        (kept.time_zone(), kept.concurrency(), kept.catch_up(), kept.state()),
        ("UTC", "FORBID", "ONE", "ENABLED")
    );
    assert_eq!((kept.start_deadline_seconds, kept.jobs_kept), (Some(0), Some(10)));
    let job = kept.job.unwrap();
    assert_eq!((job.task_definition(), job.launch_type()), ("report", "EC2"));
    assert_eq!(
        (job.completions, job.parallelism, job.retries, job.retry_wait_seconds),
        (Some(1), Some(1), Some(3), Some(10))
    );
    assert_eq!(made.next_at, Some(timestamp_of(START_MS + 3 * 3_600_000)));
    let zone = ScheduleSpec { time_zone: Some("America/New_York".into()), ..ScheduleSpec::default() };
    assert_eq!(update(&mut cluster, zone).unwrap().next_at, Some(timestamp_of(START_MS + 8 * 3_600_000)));
    let off = ScheduleSpec { state: Some("DISABLED".into()), ..ScheduleSpec::default() };
    assert_eq!(update(&mut cluster, off).unwrap().next_at, None);
}

#[test]
fn what_could_never_run_is_refused_at_once() {
    let mut cluster = cluster();
    let job = |job| ScheduleSpec { job, ..spec("rate(1 day)") };
    let of = |change: fn(&mut JobTemplate)| {
        let mut template = JobTemplate { task_definition: Some("report".into()), ..JobTemplate::default() };
        change(&mut template);
        job(Some(template))
    };
    let specs = [
        spec("cron(0 0 30 2 ? *)"),
        spec("at(2025-12-31T23:59:59)"),
        spec("cron(0 0 1 1 ? 2020)"),
        spec("often"),
        ScheduleSpec { time_zone: Some("Europe/Berlni".into()), ..spec("rate(1 day)") },
        ScheduleSpec { time_zone: Some("CEST".into()), ..spec("rate(1 day)") },
        ScheduleSpec { concurrency: Some("forbid".into()), ..spec("rate(1 day)") },
        ScheduleSpec { catch_up: Some("SOME".into()), ..spec("rate(1 day)") },
        ScheduleSpec { jobs_kept: Some(101), ..spec("rate(1 day)") },
        ScheduleSpec { expression: None, ..spec("") },
        job(None),
        of(|job| job.task_definition = None),
        of(|job| job.task_definition = Some("reprot".into())),
        of(|job| job.completions = Some(0)),
        of(|job| job.parallelism = Some(1001)),
        of(|job| job.retry_wait_seconds = Some(0)),
        of(|job| job.launch_type = Some("MOON".into())),
    ];
    let told: Vec<String> =
        specs.into_iter().map(|spec| create(&mut cluster, "nightly", spec).unwrap_err().message).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    The schedule expression "cron(0 0 30 2 ? *)" has no time after now in UTC: it would never run. next: seawall schedule next shows times
    The schedule expression "at(2025-12-31T23:59:59)" has no time after now in UTC: it would never run. next: seawall schedule next shows times
    The schedule expression "cron(0 0 1 1 ? 2020)" has no time after now in UTC: it would never run. next: seawall schedule next shows times
    Invalid schedule expression "often": it must look like cron(0 3 * * ? *), rate(5 minutes) or at(2030-12-01T10:00:00).
    Unknown time zone "Europe/Berlni": zones are named as IANA does (nearest: Europe/Berlin, Europe/Dublin, Europe/Jersey).
    Unknown time zone "CEST": zones are named as IANA does (nearest: CET, EST, Australia/West).
    concurrency is 'forbid'; it must be one of FORBID, REPLACE, ALLOW.
    catchUp is 'SOME'; it must be one of ONE, SKIP, ALL.
    jobsKept is 101; it must be between 0 and 100.
    spec.expression must be given: it says when.
    spec.job must be given: it says what to run.
    taskDefinition is required.
    TaskDefinition not found.
    completions is 0; it must be between 1 and 10000.
    parallelism is 1001; it must be between 1 and 1000.
    retryWaitSeconds is 0; it must be between 1 and 600.
    launchType is 'MOON'; it must be EC2, FARGATE, EXTERNAL or MANAGED_INSTANCES.
    "#);
    assert!(cluster.state.schedules.is_empty());
}

#[test]
fn an_update_is_refused_as_a_creation_is() {
    let mut cluster = cluster();
    let at = "at(2026-01-01T00:30:00)";
    create(&mut cluster, "nightly", spec(at)).unwrap();
    cluster.now_ms += 3_600_000;
    let on = ScheduleSpec { state: Some("ENABLED".into()), ..ScheduleSpec::default() };
    let error = update(&mut cluster, on.clone()).unwrap_err();
    assert!(
        error.message.starts_with(&format!("The schedule expression {at:?} has no time after now in UTC")),
        "{error}"
    );
    let later = ScheduleSpec { expression: Some("at(2026-01-02T00:00:00)".into()), ..on };
    update(&mut cluster, later).unwrap();
    let unknown = UpdateScheduleRequest { name: "nigthly".into(), ..Default::default() };
    let error = cluster.answered(|ctx| schedules::update(ctx, &unknown, &[])).unwrap_err();
    assert_eq!(error.message, "schedule \"nigthly\" not found (nearest: nightly)");
}

#[test]
fn schedules_are_listed_by_name_page_by_page() {
    let mut cluster = cluster();
    for name in ["c", "a", "b"] {
        create(&mut cluster, name, spec("rate(1 day)")).unwrap();
    }
    let page = |cluster: &TestCluster, token: Option<String>| {
        let ask = DescribeSchedulesRequest { max_results: Some(2), next_token: token, ..Default::default() };
        cluster.answered(|ctx| schedules::describe(ctx, &ask)).unwrap()
    };
    let first = page(&cluster, None);
    let names = |page: &[Schedule]| page.iter().map(|schedule| schedule.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first.schedules), ["a", "b"]);
    let second = page(&cluster, first.next_token);
    assert_eq!((names(&second.schedules), second.next_token), (vec!["c".to_owned()], None));
    let ask = DescribeSchedulesRequest { names: vec!["b".into(), "x".into()], ..Default::default() };
    let named = cluster.answered(|ctx| schedules::describe(ctx, &ask)).unwrap();
    assert_eq!((names(&named.schedules), named.failures[0].arn()), (vec!["b".to_owned()], "x"));
}

#[test]
fn times_are_previewed_in_their_zone() {
    let mut cluster = cluster();
    create(&mut cluster, "nightly", spec("rate(2 hours)")).unwrap();
    cluster.now_ms += 3_600_000;
    let local = |ask: PreviewScheduleRequest| {
        let answer = cluster.answered(|ctx| schedules::preview(ctx, &ask));
        answer.map(|answer| answer.times.into_iter().map(|time| time.local).collect::<Vec<_>>())
    };
    let of_name = PreviewScheduleRequest { name: Some("nightly".into()), count: Some(2), ..Default::default() };
    assert_eq!(local(of_name).unwrap(), ["2026-01-01T02:00:00+00:00[UTC]", "2026-01-01T04:00:00+00:00[UTC]"]);
    let expression = PreviewScheduleRequest {
        expression: Some("cron(30 2 ? * SUN *)".into()),
        time_zone: Some("Europe/Berlin".into()),
        after: Some(timestamp_of(1_774_699_200_000)),
        count: Some(2),
        ..Default::default()
    };
    assert_eq!(
        local(expression).unwrap(),
        ["2026-03-29T03:00:00+02:00[Europe/Berlin]", "2026-04-05T02:30:00+02:00[Europe/Berlin]"]
    );
    let many =
        PreviewScheduleRequest { expression: Some("rate(1 day)".into()), count: Some(101), ..Default::default() };
    assert_eq!(local(many).unwrap_err().message, "count is 101; it must be between 1 and 100.");
}

#[test]
fn what_it_began_is_shown() {
    let mut cluster = cluster();
    let made = create(&mut cluster, "nightly", spec("rate(1 day)")).unwrap();
    assert_eq!((made.fired, made.last_at, made.active), (0, None, 0));
    let (id, row) = cluster.state.schedules.iter().next().map(|(id, row)| (*id, row.clone())).unwrap();
    cluster.now_ms += 24 * 3_600_000;
    let fire = FireSchedule {
        schedule_id: id.0,
        schedule_version: row.changed,
        tick_ms: cluster.now_ms,
        missed: 1,
        job_name: "nightly-1".into(),
    };
    done(&mut cluster, command::Kind::FireSchedule(fire)).unwrap();
    let shown = schedules::shown(&cluster.state, id.0, cluster.now_ms).unwrap();
    assert_eq!((shown.fired, shown.missed, shown.active, shown.last_job()), (1, 1, 1, "nightly-1"));
    assert_eq!(shown.last_at, Some(timestamp_of(cluster.now_ms)));
    let (command, before) = cluster.answered(|ctx| schedules::delete(ctx, None, "nightly")).unwrap();
    assert_eq!(before, shown);
    done(&mut cluster, command).unwrap();
    assert!(cluster.state.schedules.is_empty());
}

#[test]
fn a_cluster_of_an_older_version_has_none() {
    let mut cluster = TestCluster::new();
    cluster.register("report", 10, 10);
    let error = create(&mut cluster, "nightly", spec("rate(1 day)")).unwrap_err();
    assert_eq!(error.message, "schedules and jobs need the cluster's version 2; it is 1.");
}
