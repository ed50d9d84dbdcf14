//! Jobs as clients see them.

use seawall_model::{ApiError, ErrorCode, JobId};
use seawall_proto::{
    internal::v1::{Command, JobStatus, JobStep, command},
    timestamp_of,
    v1::{
        ContainerOverride, CreateScheduleRequest, DescribeJobsRequest, Job, JobTemplate, RunJobRequest, ScheduleSpec,
        StopJobRequest, TaskOverride,
    },
};

use serde_json::json;

use super::schedules::{cluster, done};
use crate::{
    ops::{
        jobs::{self, Drawn},
        schedules,
    },
    testing::{START_MS, TestCluster},
};

fn template() -> JobTemplate {
    JobTemplate { task_definition: Some("report".into()), ..JobTemplate::default() }
}

fn ask(name: &str) -> RunJobRequest {
    RunJobRequest { name: Some(name.into()), template: Some(template()), ..RunJobRequest::default() }
}

fn drawn() -> Drawn {
    Drawn { name: 0xabc, deployment_id: 7_000, service_deployment_id: "D".repeat(21) }
}

fn run(cluster: &mut TestCluster, ask: &RunJobRequest) -> Result<Job, ApiError> {
    let (command, _) = cluster.answered(|ctx| jobs::run(ctx, ask, &[], &drawn()))?;
    let id = done(cluster, command)?;
    jobs::shown(&cluster.state, id, cluster.now_ms)
}

#[test]
fn a_job_is_made_with_defaults_and_a_name() {
    let mut cluster = cluster();
    let job = run(&mut cluster, &RunJobRequest { template: Some(template()), ..Default::default() }).unwrap();
    assert_eq!(
        (job.name.as_str(), job.status.as_str(), job.cluster.as_str()),
        ("report-00000abc", "RUNNING", "default")
    );
    assert_eq!(job.created_at, Some(timestamp_of(START_MS)));
    let kept = job.template.unwrap();
    assert_eq!((kept.task_definition(), kept.retries, kept.deadline_seconds), ("report", Some(3), Some(0)));
    assert!(job.task_definition_arn.unwrap().ends_with("task-definition/report:1"));
    let pinned = JobTemplate { task_definition: Some("report:1".into()), ..template() };
    let ask = RunJobRequest { template: Some(pinned), ..ask("pinned") };
    assert_eq!(run(&mut cluster, &ask).unwrap().template.unwrap().task_definition(), "report:1");
}

#[test]
fn what_is_wrong_is_refused() {
    let mut cluster = cluster();
    run(&mut cluster, &ask("taken")).unwrap();
    let with = |change: fn(&mut JobTemplate)| {
        let mut template = template();
        change(&mut template);
        RunJobRequest { template: Some(template), ..ask("new") }
    };
    let asks = [
        ask("taken"),
        ask("a b"),
        RunJobRequest::default(),
        RunJobRequest { schedule: Some("nightly".into()), ..ask("new") },
        RunJobRequest { schedule: Some("nightly".into()), ..Default::default() },
        RunJobRequest { client_token: Some("a b".into()), ..ask("new") },
        RunJobRequest { cluster: Some("prod".into()), ..ask("new") },
        with(|template| template.completions = Some(10_001)),
        with(|template| {
            let other = ContainerOverride { name: Some("other".into()), ..Default::default() };
            template.overrides = Some(TaskOverride { container_overrides: vec![other], ..Default::default() });
        }),
    ];
    let told: Vec<String> = asks.iter().map(|ask| run(&mut cluster, ask).unwrap_err().to_string()).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    ConflictException: The job taken is not over yet.
    InvalidParameterException: Invalid job name "a b": 1 to 100 letters, digits, hyphens and underscores.
    InvalidParameterException: template or schedule must be given.
    InvalidParameterException: template and schedule cannot both be given: a schedule has a template.
    ResourceNotFoundException: schedule "nightly" not found (there are none)
    InvalidParameterException: clientToken must have at most 64 printable ASCII characters and no space.
    ClusterNotFoundException: Cluster not found.
    InvalidParameterException: completions is 10001; it must be between 1 and 10000.
    InvalidParameterException: Override for container named other is not a container in the TaskDefinition.
    "#);
    assert_eq!(cluster.state.jobs.len(), 1);
}

#[test]
fn a_call_that_is_repeated_has_one_effect() {
    let mut cluster = cluster();
    let ask = RunJobRequest { client_token: Some("t".into()), ..ask("once") };
    let mut ids = Vec::new();
    for _ in 0..2 {
        let (kind, client_token) = cluster.answered(|ctx| jobs::run(ctx, &ask, &[], &drawn())).unwrap();
        let command = Command { kind: Some(kind), client_token, ..Command::default() };
        ids.push(cluster.send(command).0);
    }
    assert_eq!(ids[0], ids[1]);
    assert_eq!(cluster.state.jobs.len(), 1);
}

#[test]
fn jobs_are_listed_the_newest_first_and_stopped() {
    let mut cluster = cluster();
    for name in ["a", "b", "c"] {
        run(&mut cluster, &ask(name)).unwrap();
    }
    let page = |cluster: &TestCluster, token: Option<String>| {
        let ask = DescribeJobsRequest { max_results: Some(2), next_token: token, ..Default::default() };
        cluster.answered(|ctx| jobs::describe(ctx, &ask)).unwrap()
    };
    let names = |jobs: &[Job]| jobs.iter().map(|job| job.name.clone()).collect::<Vec<_>>();
    let first = page(&cluster, None);
    assert_eq!(names(&first.jobs), ["c", "b"]);
    assert_eq!(names(&page(&cluster, first.next_token).jobs), ["a"]);
    let stop = StopJobRequest { job: "b".into(), ..Default::default() };
    let command = cluster.answered(|ctx| jobs::stop(ctx, &stop)).unwrap();
    let id = done(&mut cluster, command).unwrap();
    let stopped = jobs::shown(&cluster.state, id, cluster.now_ms).unwrap();
    assert_eq!((stopped.status.as_str(), stopped.status_reason()), ("STOPPING", "Stopped by user"));
    let unknown = StopJobRequest { job: "x".into(), ..Default::default() };
    let error = cluster.answered(|ctx| jobs::stop(ctx, &unknown)).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::ResourceNotFound, "job \"x\" not found (nearest: a, b, c)")
    );
}

#[test]
fn a_job_of_a_schedule_begins_when_a_caller_wants_it() {
    let mut cluster = cluster();
    let spec = ScheduleSpec { expression: Some("rate(1 day)".into()), job: Some(template()), ..Default::default() };
    let create = CreateScheduleRequest { name: "nightly".into(), spec: Some(spec), ..Default::default() };
    let command = cluster.answered(|ctx| schedules::create(ctx, &create, &[])).unwrap();
    done(&mut cluster, command).unwrap();
    let now = RunJobRequest { schedule: Some("nightly".into()), ..Default::default() };
    let job = run(&mut cluster, &now).unwrap();
    assert_eq!((job.name.as_str(), job.schedule(), job.scheduled_for), ("nightly-00000abc", "nightly", None));
    let error = run(&mut cluster, &RunJobRequest { name: Some("again".into()), ..now }).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    let of_schedule = DescribeJobsRequest { schedule: Some("nightly".into()), ..Default::default() };
    assert_eq!(cluster.answered(|ctx| jobs::describe(ctx, &of_schedule)).unwrap().jobs.len(), 1);
    let is_job = |kind: &command::Kind| matches!(kind, command::Kind::CreateJob(_));
    assert!(is_job(&cluster.answered(|ctx| jobs::run(ctx, &ask("x"), &[], &drawn())).unwrap().0));
}

#[test]
fn a_service_is_deployed_once_the_job_has_succeeded() {
    let mut cluster = cluster();
    cluster.must("CreateService", json!({"serviceName": "web", "taskDefinition": "report", "desiredCount": 1}));
    cluster.reconcile();
    cluster.register("report", 20, 20);
    let deploying = |name: &str| RunJobRequest { deploy_to: Some("web".into()), ..ask(name) };
    let deployed = |cluster: &mut TestCluster| {
        let described = cluster.must("DescribeServices", json!({"services": ["web"]}));
        let service = &described["services"][0];
        let revision = service["taskDefinition"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        (revision, service["deployments"][0]["id"].as_str().unwrap().to_owned())
    };
    let before = deployed(&mut cluster);
    let job = run(&mut cluster, &deploying("migrate")).unwrap();
    assert_eq!(job.deploys_to(), "web");
    assert_eq!(deployed(&mut cluster), before, "nothing is deployed before");
    let end = |cluster: &mut TestCluster, job: &Job, status: JobStatus| {
        let job_version = cluster.state.jobs.get(&JobId(job.id)).unwrap().changed;
        let step = JobStep { job_id: job.id, job_version, status: status.into(), ..JobStep::default() };
        done(cluster, command::Kind::JobStep(step)).unwrap();
        jobs::shown(&cluster.state, job.id, cluster.now_ms).unwrap()
    };
    let failed = run(&mut cluster, &deploying("fails")).unwrap();
    end(&mut cluster, &failed, JobStatus::Failed);
    assert_eq!(deployed(&mut cluster), before);
    // Made beside the same deployment; the first one that succeeds goes ahead.
    let late = run(&mut cluster, &RunJobRequest { deploy_to: Some("web".into()), ..ask("late") }).unwrap();
    assert_eq!(end(&mut cluster, &job, JobStatus::Succeeded).status, "SUCCEEDED");
    let (revision, deployment) = deployed(&mut cluster);
    assert_eq!((revision.as_str(), deployment.as_str()), ("2", "ecs-svc/7000"));
    let late = end(&mut cluster, &late, JobStatus::Succeeded);
    assert_eq!(
        (late.status.as_str(), late.status_reason()),
        (
            "FAILED",
            "Its tasks succeeded, the deployment was refused: Another deployment of the service web has begun meanwhile."
        )
    );
    cluster.reconcile();
    assert_eq!(deployed(&mut cluster).1, "ecs-svc/7000");
    let unknown = RunJobRequest { deploy_to: Some("wbe".into()), ..ask("x") };
    assert_eq!(run(&mut cluster, &unknown).unwrap_err().code, ErrorCode::ServiceNotFound);
    let of_schedule = RunJobRequest { deploy_to: Some("web".into()), schedule: Some("x".into()), ..Default::default() };
    assert_eq!(run(&mut cluster, &of_schedule).unwrap_err().code, ErrorCode::ResourceNotFound);
}
