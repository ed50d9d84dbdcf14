//! `seawall job …`.

use std::{path::Path, time::Duration};

use seawall_proto::v1::{
    ContainerOverride, DescribeJobsRequest, Job, JobTemplate, KeyValuePair, ListTasksRequest, RunJobRequest,
    StopJobRequest, TaskOverride,
};

use crate::{
    args::{JobCommand, JobFlags},
    client::{Again, Connection, find::Found},
    context::Context,
    failure::Failure,
    input,
    names::{self, Kind},
    output::{
        self, Listing,
        table::{Table, column, text, wide},
    },
};

use super::{logs, taskdef, wait};

/// Runs `seawall job …`.
pub async fn run(ctx: &Context, command: JobCommand) -> Result<(), Failure> {
    match command {
        JobCommand::Run { what, name, deploy_to, flags } => begin(ctx, &what, name, deploy_to, &flags).await,
        JobCommand::Ls { schedule } => list(ctx, schedule).await,
        JobCommand::Show { names } => show(ctx, &names).await,
        JobCommand::Stop { names, reason } => stop(ctx, &names, reason.as_deref()).await,
        JobCommand::Logs { name, follow } => output_of(ctx, &name, follow).await,
    }
}

async fn begin(
    ctx: &Context,
    what: &str,
    name: Option<String>,
    deploy_to: Option<String>,
    flags: &JobFlags,
) -> Result<(), Failure> {
    let template = template(ctx, what, flags).await?;
    let service = deploy_to.as_ref().map(|text| names::parse(Kind::Service, text)).transpose()?;
    let request = RunJobRequest {
        cluster: Some(ctx.cluster(service.as_ref().and_then(|service| service.cluster.as_deref()))),
        name,
        template: Some(template),
        deploy_to: service.map(|service| service.id),
        ..Default::default()
    };
    if let Err(failure) = run_and_wait(ctx, request).await {
        return Err(taskdef::named_if_missing(ctx, failure, what).await);
    }
    match deploy_to {
        // Its deployment began with the job's success.
        Some(service) if ctx.waits() => wait::services_stable(ctx, &[service]).await,
        _ => Ok(()),
    }
}

/// Begins a job and waits until it is over: its status decides.
pub async fn run_and_wait(ctx: &Context, request: RunJobRequest) -> Result<(), Failure> {
    // With a token a connection that breaks is no reason to give up: the job begins once.
    let request = RunJobRequest { client_token: Some(ctx.env.new_id().to_string()), ..request };
    let cluster = request.cluster.clone().unwrap_or_default();
    let ask = async |mut c: Connection, r| c.control.run_job(r).await;
    let Some(made) = ctx.change(Again::Safe, request, ask).await? else { return Ok(()) };
    let job = made.job.clone().unwrap_or_default();
    output::done(&ctx.global, &job.name, &format!("job {} begins", job.name), &made)?;
    if !ctx.waits() {
        return Ok(());
    }
    let name = job.name.clone();
    let mut ended = job;
    wait::until(ctx, async || {
        ended = described(ctx, &cluster, &name).await?;
        Ok(outlook(&ended))
    })
    .await?;
    verdict(&ended)
}

fn outlook(job: &Job) -> wait::Outlook {
    match job.status.as_str() {
        "SUCCEEDED" | "FAILED" | "STOPPED" => wait::Outlook::Done,
        _ => wait::Outlook::Waiting(stands(job)),
    }
}

/// "job migrate: 1 of 3 succeeded, 1 failed, 1 runs".
fn stands(job: &Job) -> String {
    let unplaced = job.unplaced_reason.as_ref().map(|why| format!("; no place: {why}")).unwrap_or_default();
    format!("job {}: {}, {} not stopped{unplaced}", job.name, progress(job), job.active)
}

/// "1 of 3 succeeded, 1 failed".
fn progress(job: &Job) -> String {
    let completions = job.template.as_ref().map_or(0, |template| template.completions());
    let failed = if job.failed > 0 { format!(", {} failed", job.failed) } else { String::new() };
    format!("{} of {completions} succeeded{failed}", job.succeeded)
}

fn verdict(job: &Job) -> Result<(), Failure> {
    if job.status == "SUCCEEDED" {
        return Ok(());
    }
    let why = job.status_reason().trim_end_matches('.');
    let why = if why.is_empty() { progress(job) } else { why.to_owned() };
    let what = format!("job {} has {}: {why}", job.name, job.status);
    Err(Failure::refused(what).next(format!("seawall job logs {}", job.name)))
}

/// A family or a template's file, with what the flags say put over it.
pub async fn template(ctx: &Context, what: &str, flags: &JobFlags) -> Result<JobTemplate, Failure> {
    let base: JobTemplate = if what.ends_with(".json") {
        input::request(&ctx.env, "job", "JobTemplate", Path::new(what))?
    } else {
        JobTemplate { task_definition: Some(what.to_owned()), ..Default::default() }
    };
    let overrides = overridden(ctx, &base, flags).await?;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs().max(1));
    Ok(JobTemplate {
        overrides,
        completions: flags.completions.or(base.completions),
        parallelism: flags.parallelism.or(base.parallelism),
        deadline_seconds: seconds(flags.deadline).or(base.deadline_seconds),
        retries: flags.retries.or(base.retries),
        retry_wait_seconds: seconds(flags.retry_wait).or(base.retry_wait_seconds),
        ..base
    })
}

/// `--env` and CMD change the definition's first container.
async fn overridden(ctx: &Context, base: &JobTemplate, flags: &JobFlags) -> Result<Option<TaskOverride>, Failure> {
    if flags.env.is_empty() && flags.command.is_empty() {
        return Ok(base.overrides.clone());
    }
    let what = base.task_definition();
    let Some(found) = taskdef::describe(ctx, what).await? else { return Err(taskdef::unknown(ctx, what).await?) };
    let first = found.task_definition.and_then(|d| d.container_definitions.into_iter().next()).unwrap_or_default();
    let mut overrides = base.overrides.clone().unwrap_or_default();
    let at = overrides.container_overrides.iter().position(|item| item.name == first.name);
    let at = at.unwrap_or_else(|| {
        overrides.container_overrides.push(ContainerOverride { name: first.name.clone(), ..Default::default() });
        overrides.container_overrides.len() - 1
    });
    let one = &mut overrides.container_overrides[at];
    if !flags.command.is_empty() {
        one.command.clone_from(&flags.command);
    }
    let pair = |(name, value): &(String, String)| KeyValuePair { name: Some(name.clone()), value: Some(value.clone()) };
    one.environment.retain(|old| !flags.env.iter().any(|(name, _)| *name == old.name()));
    one.environment.extend(flags.env.iter().map(pair));
    Ok(Some(overrides))
}

async fn list(ctx: &Context, schedule: Option<String>) -> Result<(), Failure> {
    let named = schedule.map(|name| names::parse(Kind::Schedule, &name)).transpose()?;
    let cluster = ctx.cluster(named.as_ref().and_then(|named| named.cluster.as_deref()));
    let jobs = ctx.client().await?.jobs(&cluster, named.map(|named| named.id)).await?;
    listing(&jobs, ctx.env.wall_ms()).print(&ctx.global)
}

async fn show(ctx: &Context, names: &[String]) -> Result<(), Failure> {
    let mut jobs = Vec::new();
    for name in names {
        jobs.push(find(ctx, name).await?.it);
    }
    listing(&jobs, ctx.env.wall_ms()).print(&ctx.global)
}

/// The job called `text`.
async fn find(ctx: &Context, text: &str) -> Result<Found<Job>, Failure> {
    let named = names::parse(Kind::Job, text)?;
    let cluster = ctx.cluster(named.cluster.as_deref());
    let it = described(ctx, &cluster, &named.id).await?;
    Ok(Found { cluster, it })
}

async fn described(ctx: &Context, cluster: &str, name: &str) -> Result<Job, Failure> {
    let request =
        DescribeJobsRequest { cluster: Some(cluster.to_owned()), jobs: vec![name.to_owned()], ..Default::default() };
    let ask = async |mut c: Connection, r| c.control.describe_jobs(r).await;
    let client = ctx.client().await?;
    match client.call(Again::Safe, request, ask).await?.jobs.pop() {
        Some(job) => Ok(job),
        None => {
            let jobs = client.jobs(cluster, None).await?;
            Err(names::unknown(Kind::Job, name, jobs.iter().map(|job| job.name.as_str())))
        }
    }
}

fn listing(jobs: &[Job], now_ms: i64) -> Listing {
    let mut table = Table::new(&[
        column("JOB"),
        column("STATUS"),
        column("SUCCEEDED"),
        column("FAILED"),
        column("ACTIVE"),
        column("DEFINITION"),
        column("SCHEDULE"),
        column("AGE"),
        wide("FINISHED"),
        text("WHY"),
    ]);
    for job in jobs {
        let completions = job.template.as_ref().map_or(0, |template| template.completions());
        let why = [&job.status_reason, &job.unplaced_reason, &job.last_failure].into_iter().find_map(Option::as_deref);
        table.row([
            job.name.clone(),
            job.status.clone(),
            format!("{} of {completions}", job.succeeded),
            job.failed.to_string(),
            job.active.to_string(),
            output::or_dash(job.task_definition_arn.as_deref().map(names::short)),
            output::or_dash(job.schedule.as_deref()),
            output::age(job.created_at.as_ref(), now_ms),
            job.finished_at.as_ref().map_or_else(|| "-".to_owned(), output::clock),
            output::or_dash(why),
        ]);
    }
    Listing {
        table,
        names: jobs.iter().map(|job| job.name.clone()).collect(),
        json: serde_json::json!({ "jobs": jobs }),
        items: jobs.iter().map(output::json).collect(),
        none: "no jobs. next: seawall job run FAMILY",
    }
}

async fn stop(ctx: &Context, names: &[String], reason: Option<&str>) -> Result<(), Failure> {
    ctx.confirm(&format!("stop {}", names.join(", ")))?;
    for name in names {
        let named = names::parse(Kind::Job, name)?;
        let cluster = ctx.cluster(named.cluster.as_deref());
        let request =
            StopJobRequest { cluster: Some(cluster.clone()), job: named.id.clone(), reason: reason.map(str::to_owned) };
        let ask = async |mut c: Connection, r| c.control.stop_job(r).await;
        let Some(made) = ctx.change(Again::Safe, request, ask).await? else { continue };
        output::done(&ctx.global, &named.id, &format!("job {} stops", named.id), &made)?;
        if ctx.waits() {
            wait::until(ctx, async || Ok(outlook(&described(ctx, &cluster, &named.id).await?))).await?;
        }
    }
    Ok(())
}

/// Of the tasks of a job: a job of the same name that was before it has others.
async fn output_of(ctx: &Context, name: &str, follow: bool) -> Result<(), Failure> {
    let Found { cluster, it: job } = find(ctx, name).await?;
    let client = ctx.client().await?;
    let request = ListTasksRequest {
        cluster: Some(cluster.clone()),
        started_by: Some(format!("job/{}", job.name)),
        ..Default::default()
    };
    let arns = client.all_task_arns(request).await?;
    let (mut tasks, _) = client.tasks(&cluster, &arns).await?;
    let since = job.created_at.as_ref().map_or(0, seawall_proto::millis);
    tasks.retain(|task| task.created_at.as_ref().is_some_and(|at| seawall_proto::millis(at) >= since));
    tasks.sort_by_key(|task| task.created_at.as_ref().map(seawall_proto::millis));
    logs::of_tasks(ctx, &cluster, &tasks, follow).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: &str, succeeded: u32, failed: u32) -> Job {
        let template = JobTemplate { completions: Some(3), ..Default::default() };
        let (name, status) = ("migrate".to_owned(), status.to_owned());
        Job { name, status, succeeded, failed, template: Some(template), ..Default::default() }
    }

    #[test]
    fn how_a_job_stands_and_ended_is_said() {
        assert_eq!(stands(&job("RUNNING", 1, 0)), "job migrate: 1 of 3 succeeded, 0 not stopped");
        assert_eq!(verdict(&job("SUCCEEDED", 3, 1)), Ok(()));
        let failed = Job { status_reason: Some("2 tasks failed; the last one: no.".into()), ..job("FAILED", 0, 2) };
        assert_eq!(
            verdict(&failed).unwrap_err().to_string(),
            "job migrate has FAILED: 2 tasks failed; the last one: no. next: seawall job logs migrate"
        );
        assert_eq!(
            verdict(&job("STOPPED", 1, 2)).unwrap_err().what,
            "job migrate has STOPPED: 1 of 3 succeeded, 2 failed"
        );
    }
}
