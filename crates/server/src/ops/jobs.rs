//! Jobs: what a template may say, and the answers about them.

use seawall_model::{
    ApiError, ClusterId, ErrorCode,
    limits::{
        DESCRIBE_MAX, JOB_COMPLETIONS_MAX, JOB_DEADLINE_S_MAX, JOB_NAME_CHARS_MAX, JOB_PARALLELISM_MAX,
        JOB_RETRIES_MAX, JOB_RETRY_WAIT_S_MAX,
    },
    nearest,
};
use seawall_proto::{
    internal::v1::{ClientToken, ClusterRow, CreateJob, JobDeployment, JobRow, StopJob},
    v1::{DescribeJobsRequest, DescribeJobsResponse, Job, JobTemplate, RunJobRequest, RunTaskRequest, StopJobRequest},
};
use seawall_state::{State, effective_size, primary_deployment};

use super::{
    CommandKind, ReadCtx, at_most, page,
    page::Page,
    resolve,
    schedules::{found as found_schedule, since_this_version},
    services::check_tasks,
    tasks::overrides,
    token,
};
use crate::{
    render,
    validate::{self, launch::Launch, task_definition::fargate},
};

const COMPLETIONS: u32 = 1;
const PARALLELISM: u32 = 1;
const RETRIES: u32 = 3;
const RETRY_WAIT_S: u64 = 10;
/// Longest client token.
const TOKEN_MAX: usize = 64;
/// What a made-up name ends in.
const SUFFIX_CHARS: usize = 9;
const REASON_CHARS_MAX: usize = 1024;
const STOPPED_BY_USER: &str = "Stopped by user";
const NEAREST_SHOWN: usize = 3;

/// What is drawn for a job.
pub(crate) struct Drawn {
    /// Makes the name of one that has none.
    pub(crate) name: u32,
    /// Of what it deploys.
    pub(crate) deployment_id: u64,
    /// The same.
    pub(crate) service_deployment_id: String,
}

/// A RunJob, checked.
///
/// # Errors
/// What the client is told.
pub(crate) fn run(
    ctx: &ReadCtx<'_>,
    request: &RunJobRequest,
    inert: &[String],
    drawn: &Drawn,
) -> Result<(CommandKind, Option<ClientToken>), ApiError> {
    since_this_version(ctx.state)?;
    token::check(request.client_token(), TOKEN_MAX)?;
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let digest = RunJobRequest { client_token: None, ..request.clone() };
    let client_token = token::of("RunJob", cluster.id, request.client_token(), &digest);
    let mut job = CreateJob { cluster_id: cluster.id, ..CreateJob::default() };
    let family = match (&request.template, request.schedule()) {
        (Some(_), name) if !name.is_empty() => {
            return Err(ApiError::invalid("template and schedule cannot both be given: a schedule has a template."));
        }
        (_, name) if !name.is_empty() => {
            let schedule = found_schedule(ctx.state, cluster, name)?;
            job.schedule_id = schedule.id;
            schedule.name.clone()
        }
        (Some(asked), _) => {
            let template = template(ctx, asked, inert)?;
            let family = template.task_definition().split(':').next().unwrap_or_default().to_owned();
            job.template = Some(template);
            family
        }
        (None, _) => return Err(ApiError::invalid("template or schedule must be given.")),
    };
    job.name = match request.name() {
        "" => format!("{}-{:08x}", &family[..family.len().min(JOB_NAME_CHARS_MAX - SUFFIX_CHARS)], drawn.name),
        name => name.to_owned(),
    };
    if !request.deploy_to().is_empty() {
        job.deploy = Some(deployment(ctx, cluster, request, &job, drawn)?);
    }
    Ok((CommandKind::CreateJob(job), client_token))
}

/// The deployment that waits for the job.
fn deployment(
    ctx: &ReadCtx<'_>,
    cluster: &ClusterRow,
    request: &RunJobRequest,
    job: &CreateJob,
    drawn: &Drawn,
) -> Result<JobDeployment, ApiError> {
    let Some(template) = &job.template else {
        return Err(ApiError::invalid("deployTo needs a template: a schedule's job deploys nothing."));
    };
    let service = resolve::service(ctx.state, cluster, request.deploy_to())?;
    let definition = resolve::active_task_definition(ctx.state, ctx.principal.account, template.task_definition())?;
    check_tasks(definition, &service.spec.clone().unwrap_or_default())?;
    Ok(JobDeployment {
        service_id: service.id,
        from_deployment_id: primary_deployment(service).map_or(0, |(id, _)| id.0),
        deployment_id: drawn.deployment_id,
        service_deployment_id: drawn.service_deployment_id.clone(),
    })
}

/// A StopJob, checked.
///
/// # Errors
/// What the client is told.
pub(crate) fn stop(ctx: &ReadCtx<'_>, request: &StopJobRequest) -> Result<CommandKind, ApiError> {
    let reason = request.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or(STOPPED_BY_USER);
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(ApiError::invalid(format!("reason is longer than {REASON_CHARS_MAX} characters.")));
    }
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let row = found(ctx.state, cluster, &request.job)?;
    Ok(CommandKind::StopJob(StopJob { job_id: row.id, reason: reason.into() }))
}

/// Answers DescribeJobs.
///
/// # Errors
/// What the client is told.
pub(crate) fn describe(ctx: &ReadCtx<'_>, request: &DescribeJobsRequest) -> Result<DescribeJobsResponse, ApiError> {
    at_most("jobs", request.jobs.len(), DESCRIBE_MAX)?;
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let schedule = match request.schedule() {
        "" => None,
        name => Some(found_schedule(ctx.state, cluster, name)?.id),
    };
    if !request.jobs.is_empty() {
        return Ok(named(ctx, cluster, &request.jobs));
    }
    let filters = ["DescribeJobs", &cluster.id.to_string(), request.schedule()];
    let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
    let of = ClusterId(cluster.id);
    let all = ctx.state.jobs_of(of, false).chain(ctx.state.jobs_of(of, true));
    let mut rows: Vec<&JobRow> =
        all.map(AsRef::as_ref).filter(|row| schedule.is_none_or(|id| row.schedule_id == id)).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.id));
    let keyed = rows.into_iter().map(|row| (row.id.to_be_bytes().to_vec(), row));
    let (rows, next_token) = page.take(keyed, true);
    let jobs = rows.into_iter().map(|row| render::job::render(ctx.state, row, ctx.now_ms)).collect();
    Ok(DescribeJobsResponse { jobs, failures: Vec::new(), next_token })
}

fn named(ctx: &ReadCtx<'_>, cluster: &ClusterRow, names: &[String]) -> DescribeJobsResponse {
    let mut response = DescribeJobsResponse::default();
    for name in names {
        match found(ctx.state, cluster, name) {
            Ok(row) => response.jobs.push(render::job::render(ctx.state, row, ctx.now_ms)),
            Err(_) => response.failures.push(render::failure(name.clone(), "MISSING")),
        }
    }
    response
}

/// The job as a caller who has just changed it is shown it.
///
/// # Errors
/// It is gone again already.
pub(crate) fn shown(state: &State, id: u64, now_ms: i64) -> Result<Job, ApiError> {
    let row = state.jobs.get(&seawall_model::JobId(id));
    let row = row.ok_or_else(|| ApiError::new(ErrorCode::Server, "The job is gone already."))?;
    Ok(render::job::render(state, row, now_ms))
}

fn found<'a>(state: &'a State, cluster: &ClusterRow, name: &str) -> Result<&'a JobRow, ApiError> {
    let of = ClusterId(cluster.id);
    state.job_by_name(of, name).map(AsRef::as_ref).ok_or_else(|| {
        let names = state.jobs_of(of, false).chain(state.jobs_of(of, true)).map(|row| row.name.as_str());
        not_found("job", name, names)
    })
}

/// "schedule "nigthly" not found (nearest: nightly)".
pub(super) fn not_found<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> ApiError {
    let near = nearest(name, known, NEAREST_SHOWN).join(", ");
    let near = if near.is_empty() { "there are none".to_owned() } else { format!("nearest: {near}") };
    ApiError::new(ErrorCode::ResourceNotFound, format!("{what} {name:?} not found ({near})"))
}

/// A template as it is kept: checked as a RunTask of it would be, names resolved, defaults filled in.
///
/// # Errors
/// What the client is told.
pub(super) fn template(ctx: &ReadCtx<'_>, asked: &JobTemplate, inert: &[String]) -> Result<JobTemplate, ApiError> {
    let launch_type = render::task::launch_type(asked.launch_type());
    let as_run = RunTaskRequest {
        task_definition: asked.task_definition.clone(),
        overrides: asked.overrides.clone(),
        launch_type: Some(launch_type.to_owned()),
        network_configuration: asked.network_configuration.clone(),
        tags: asked.tags.clone(),
        ..RunTaskRequest::default()
    };
    validate::request("RunTaskRequest", &as_run, inert)?;
    validate::tags::check(&asked.tags, validate::tags::On::Task)?;
    let (state, account) = (ctx.state, ctx.principal.account);
    let row = resolve::active_task_definition(state, account, asked.task_definition())?;
    let definition = row.definition.clone().unwrap_or_default();
    let overrides = asked.overrides.as_ref().map(|given| overrides::completed(given, &definition)).transpose()?;
    let network = asked.network_configuration.as_ref();
    validate::launch::check(&definition, &Launch { launch_type, platform_version: "", network })?;
    let size = effective_size(row, overrides.as_ref())?;
    if launch_type == fargate::FARGATE && !fargate::is_size(size.cpu, size.memory) {
        return Err(ApiError::invalid(fargate::NO_SIZE));
    }
    let names_revision = asked.task_definition().contains(':');
    let task_definition = if names_revision { format!("{}:{}", row.family, row.revision) } else { row.family.clone() };
    Ok(JobTemplate {
        task_definition: Some(task_definition),
        overrides,
        launch_type: Some(launch_type.to_owned()),
        network_configuration: validate::launch::filled(network),
        completions: Some(within("completions", asked.completions, COMPLETIONS, 1..=JOB_COMPLETIONS_MAX)?),
        parallelism: Some(within("parallelism", asked.parallelism, PARALLELISM, 1..=JOB_PARALLELISM_MAX)?),
        deadline_seconds: Some(within("deadlineSeconds", asked.deadline_seconds, 0, 0..=JOB_DEADLINE_S_MAX)?),
        retries: Some(within("retries", asked.retries, RETRIES, 0..=JOB_RETRIES_MAX)?),
        retry_wait_seconds: Some(within(
            "retryWaitSeconds",
            asked.retry_wait_seconds,
            RETRY_WAIT_S,
            1..=JOB_RETRY_WAIT_S_MAX,
        )?),
        tags: asked.tags.clone(),
    })
}

/// What is given, else the default, if it is in its range.
pub(super) fn within<N: PartialOrd + Copy + std::fmt::Display>(
    member: &str,
    given: Option<N>,
    default: N,
    range: std::ops::RangeInclusive<N>,
) -> Result<N, ApiError> {
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ApiError::invalid(format!("{member} is {value}; it must be between {} and {}.", range.start(), range.end())))
}
