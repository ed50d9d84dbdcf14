//! RunTask, StartTask, StopTask, DescribeTasks, ListTasks.

mod list;
pub(super) mod overrides;
mod protection;
mod start;

use seawall_model::{ApiError, ClusterId, TaskId, limits::DESCRIBE_MAX};
use seawall_proto::{
    internal::v1::{self as internal, ClusterRow, StopCode},
    v1::{DescribeTasksRequest, DescribeTasksResponse, StopTaskRequest, StopTaskResponse},
};
use seawall_state::{State, task_id_message};

use super::{
    CommandKind, Ctx, DescribeTasks, Outcome, ReadCtx, ReadOp, RenderCtx, StopTask, Write, WriteOp, at_most, not_empty,
    resolve,
};
use crate::render;

/// `stoppedReason` where StopTask gives no reason.
const STOPPED_BY_USER: &str = "Task stopped by user";
/// Longest reason of a StopTask: it is stored with the task.
const REASON_CHARS_MAX: usize = 1024;

impl WriteOp for StopTask {
    type Request = StopTaskRequest;
    type Response = StopTaskResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let reason = request.reason.as_deref().filter(|r| !r.is_empty()).unwrap_or(STOPPED_BY_USER);
        if reason.chars().count() > REASON_CHARS_MAX {
            return Err(ApiError::invalid(format!("reason is longer than {REASON_CHARS_MAX} characters.")));
        }
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let row = resolve::task(ctx.state, cluster, request.task())?.ok_or_else(task_not_found)?;
        let command = internal::StopTasks {
            tasks: vec![task_id_message(render::task::id(row))],
            code: StopCode::UserInitiated.into(),
            reason: reason.into(),
            ..Default::default()
        };
        Ok(Write::one(CommandKind::StopTasks(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.account, request.cluster.as_deref())?;
        let row = resolve::task(ctx.state, cluster, request.task())?.ok_or_else(task_not_found)?;
        Ok(StopTaskResponse { task: Some(render::task::render(ctx.state, row, false)) })
    }
}

impl ReadOp for DescribeTasks {
    type Request = DescribeTasksRequest;
    type Response = DescribeTasksResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        not_empty("Tasks", request.tasks.len())?;
        at_most("tasks", request.tasks.len(), DESCRIBE_MAX)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let tags = request.include.iter().any(|word| word == "TAGS");
        let mut response = DescribeTasksResponse::default();
        for text in &request.tasks {
            if let Some(row) = resolve::task(ctx.state, cluster, text)? {
                response.tasks.push(render::task::render(ctx.state, row, tags));
                continue;
            }
            let id = resolve::task_id(ctx.state, cluster, text)?;
            match id.and_then(|id| ctx.history.task(ClusterId(cluster.id), id)) {
                Some(record) => response.tasks.push(render::history::task(ctx.state, &record, tags)?),
                None => response.failures.push(render::failure(arn(ctx.state, cluster, text), "MISSING")),
            }
        }
        Ok(response)
    }
}

fn task_not_found() -> ApiError {
    ApiError::invalid("The referenced task was not found.")
}

/// The ARN that a request named, or that the id it named would have.
fn arn(state: &State, cluster: &ClusterRow, named: &str) -> String {
    match named.parse::<TaskId>() {
        Ok(id) => state.arns().task(&cluster.name, id),
        Err(()) => named.into(),
    }
}
