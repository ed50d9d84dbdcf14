//! Schedules: what one may say, and the answers about them. Whatever could never fire is refused here, while somebody looks.

use seawall_controllers::schedules::{Ticks, UTC, policy};
use seawall_model::{
    ApiError, ClusterId, ErrorCode, ScheduleId,
    limits::{DESCRIBE_MAX, JOB_DEADLINE_S_MAX, SCHEDULE_JOBS_KEPT_MAX},
};
use seawall_proto::{
    internal::v1::{ClusterRow, CreateSchedule, DeleteSchedule, ScheduleRow, UpdateSchedule},
    millis, timestamp_of,
    v1::{
        CreateScheduleRequest, DescribeSchedulesRequest, DescribeSchedulesResponse, PreviewScheduleRequest,
        PreviewScheduleResponse, Schedule, ScheduleSpec, ScheduledTime, UpdateScheduleRequest,
    },
};
use seawall_state::State;

use super::{
    CommandKind, ReadCtx, at_most,
    jobs::{not_found, template, within},
    page::{self, Page},
    resolve,
};
use crate::render;

const JOBS_KEPT: u32 = 10;
/// Times of a preview, unless it asks for more.
const PREVIEW: u32 = 5;
const PREVIEW_MAX: u32 = 100;
/// The cluster's version that brought schedules and jobs.
const SINCE_VERSION: u32 = 2;

/// Refuses what members of an earlier version would not know.
pub(super) fn since_this_version(state: &State) -> Result<(), ApiError> {
    let version = state.meta.cluster_version;
    if version >= SINCE_VERSION {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedFeature,
        format!("schedules and jobs need the cluster's version {SINCE_VERSION}; it is {version}."),
    ))
}

/// A CreateSchedule, checked, with defaults filled in.
///
/// # Errors
/// What the client is told.
pub(crate) fn create(
    ctx: &ReadCtx<'_>,
    request: &CreateScheduleRequest,
    inert: &[String],
) -> Result<CommandKind, ApiError> {
    since_this_version(ctx.state)?;
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let asked = request.spec.clone().unwrap_or_default();
    if asked.job.is_none() {
        return Err(ApiError::invalid("spec.job must be given: it says what to run."));
    }
    if asked.expression().is_empty() {
        return Err(ApiError::invalid("spec.expression must be given: it says when."));
    }
    let spec = with_defaults(checked(ctx, asked, inert)?);
    check_times(ctx, &spec)?;
    Ok(CommandKind::CreateSchedule(CreateSchedule {
        cluster_id: cluster.id,
        name: request.name.clone(),
        spec: Some(spec),
    }))
}

/// An UpdateSchedule, checked.
///
/// # Errors
/// What the client is told.
pub(crate) fn update(
    ctx: &ReadCtx<'_>,
    request: &UpdateScheduleRequest,
    inert: &[String],
) -> Result<CommandKind, ApiError> {
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let row = found(ctx.state, cluster, &request.name)?;
    let spec = checked(ctx, request.spec.clone().unwrap_or_default(), inert)?;
    let was = row.spec.clone().unwrap_or_default();
    let touches_times = spec.expression.is_some() || spec.time_zone.is_some() || spec.state.is_some();
    if touches_times {
        let expression = spec.expression.clone().or(was.expression);
        let time_zone = spec.time_zone.clone().or(was.time_zone);
        let state = spec.state.clone().or(was.state);
        check_times(ctx, &ScheduleSpec { expression, time_zone, state, ..ScheduleSpec::default() })?;
    }
    Ok(CommandKind::UpdateSchedule(UpdateSchedule { schedule_id: row.id, spec: Some(spec) }))
}

/// The schedule to delete, and as it is before.
///
/// # Errors
/// There is none.
pub(crate) fn delete(
    ctx: &ReadCtx<'_>,
    cluster: Option<&str>,
    name: &str,
) -> Result<(CommandKind, Schedule), ApiError> {
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, cluster)?;
    let row = found(ctx.state, cluster, name)?;
    let shown = render::schedule::render(ctx.state, row, ctx.now_ms);
    Ok((CommandKind::DeleteSchedule(DeleteSchedule { schedule_id: row.id }), shown))
}

/// Answers DescribeSchedules.
///
/// # Errors
/// What the client is told.
pub(crate) fn describe(
    ctx: &ReadCtx<'_>,
    request: &DescribeSchedulesRequest,
) -> Result<DescribeSchedulesResponse, ApiError> {
    at_most("names", request.names.len(), DESCRIBE_MAX)?;
    let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
    let mut response = DescribeSchedulesResponse::default();
    let render = |row: &ScheduleRow| render::schedule::render(ctx.state, row, ctx.now_ms);
    for name in &request.names {
        match found(ctx.state, cluster, name) {
            Ok(row) => response.schedules.push(render(row)),
            Err(_) => response.failures.push(render::failure(name.clone(), "MISSING")),
        }
    }
    if request.names.is_empty() {
        let filters = ["DescribeSchedules", &cluster.id.to_string()];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let rows = ctx.state.schedules_of(ClusterId(cluster.id));
        let (rows, next_token) = page.take(rows.map(|row| (row.name.clone().into_bytes(), row)), false);
        response.schedules = rows.into_iter().map(|row| render(row)).collect();
        response.next_token = next_token;
    }
    Ok(response)
}

/// Answers PreviewSchedule.
///
/// # Errors
/// What the client is told.
pub(crate) fn preview(
    ctx: &ReadCtx<'_>,
    request: &PreviewScheduleRequest,
) -> Result<PreviewScheduleResponse, ApiError> {
    let count = within("count", request.count, PREVIEW, 1..=PREVIEW_MAX)?;
    let after_ms = request.after.as_ref().map_or(ctx.now_ms, millis);
    let (expression, time_zone, anchor_ms) = match request.name() {
        "" => (request.expression().to_owned(), request.time_zone().to_owned(), after_ms),
        name => {
            let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
            let row = found(ctx.state, cluster, name)?;
            let spec = row.spec.clone().unwrap_or_default();
            (spec.expression().to_owned(), spec.time_zone().to_owned(), row.anchor_ms)
        }
    };
    let ticks = Ticks::parse(&expression, or_utc(&time_zone))?;
    let times = std::iter::successors(ticks.next(anchor_ms, after_ms), |last| ticks.next(anchor_ms, *last));
    let shown = |at_ms| ScheduledTime { at: Some(timestamp_of(at_ms)), local: ticks.local(at_ms) };
    Ok(PreviewScheduleResponse { times: times.take(count as usize).map(shown).collect() })
}

/// The schedule as a caller who has just changed it is shown it.
///
/// # Errors
/// It is gone again already.
pub(crate) fn shown(state: &State, id: u64, now_ms: i64) -> Result<Schedule, ApiError> {
    let row = state.schedules.get(&ScheduleId(id));
    let row = row.ok_or_else(|| ApiError::new(ErrorCode::Server, "The schedule is gone already."))?;
    Ok(render::schedule::render(state, row, now_ms))
}

pub(super) fn found<'a>(state: &'a State, cluster: &ClusterRow, name: &str) -> Result<&'a ScheduleRow, ApiError> {
    let of = ClusterId(cluster.id);
    state
        .schedule_by_name(of, name)
        .map(AsRef::as_ref)
        .ok_or_else(|| not_found("schedule", name, state.schedules_of(of).map(|row| row.name.as_str())))
}

/// What is given of a spec, each member by itself.
fn checked(ctx: &ReadCtx<'_>, asked: ScheduleSpec, inert: &[String]) -> Result<ScheduleSpec, ApiError> {
    word("concurrency", &asked.concurrency, &[policy::FORBID, policy::REPLACE, policy::ALLOW])?;
    word("catchUp", &asked.catch_up, &[policy::ONE, policy::SKIP, policy::ALL])?;
    word("state", &asked.state, &[policy::ENABLED, policy::DISABLED])?;
    within("startDeadlineSeconds", asked.start_deadline_seconds, 0, 0..=JOB_DEADLINE_S_MAX)?;
    within("jobsKept", asked.jobs_kept, JOBS_KEPT, 0..=SCHEDULE_JOBS_KEPT_MAX)?;
    let job = asked.job.as_ref().map(|job| template(ctx, job, inert)).transpose()?;
    Ok(ScheduleSpec { job, ..asked })
}

fn word(member: &str, given: &Option<String>, words: &[&str]) -> Result<(), ApiError> {
    match given {
        Some(word) if !words.contains(&word.as_str()) => {
            Err(ApiError::invalid(format!("{member} is '{word}'; it must be one of {}.", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn with_defaults(spec: ScheduleSpec) -> ScheduleSpec {
    let or = |given: Option<String>, default: &str| Some(given.unwrap_or_else(|| default.to_owned()));
    ScheduleSpec {
        time_zone: or(spec.time_zone, UTC),
        concurrency: or(spec.concurrency, policy::FORBID),
        catch_up: or(spec.catch_up, policy::ONE),
        start_deadline_seconds: Some(spec.start_deadline_seconds.unwrap_or(0)),
        jobs_kept: Some(spec.jobs_kept.unwrap_or(JOBS_KEPT)),
        state: or(spec.state, policy::ENABLED),
        ..spec
    }
}

/// The expression and its zone are right, and there is a time to come.
fn check_times(ctx: &ReadCtx<'_>, spec: &ScheduleSpec) -> Result<(), ApiError> {
    let ticks = Ticks::parse(spec.expression(), or_utc(spec.time_zone()))?;
    if spec.state() == policy::DISABLED || ticks.next(ctx.now_ms, ctx.now_ms).is_some() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "The schedule expression {:?} has no time after now in {}: it would never run. next: seawall schedule next shows times",
        spec.expression(),
        or_utc(spec.time_zone())
    )))
}

fn or_utc(time_zone: &str) -> &str {
    if time_zone.is_empty() { UTC } else { time_zone }
}
