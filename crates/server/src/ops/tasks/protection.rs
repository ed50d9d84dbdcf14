//! GetTaskProtection, UpdateTaskProtection.

use seawall_model::{ApiError, ServiceId, TaskId, limits::DESCRIBE_MAX};
use seawall_proto::{
    internal::v1::{self as internal, ClusterRow, TaskRow, TaskStatus},
    timestamp_unless_zero,
    v1::{
        Failure, GetTaskProtectionRequest, GetTaskProtectionResponse, ProtectedTask, UpdateTaskProtectionRequest,
        UpdateTaskProtectionResponse,
    },
};
use seawall_state::State;

use crate::{
    ops::{
        CommandKind, Ctx, GetTaskProtection, Outcome, ReadCtx, ReadOp, RenderCtx, UpdateTaskProtection, Write, WriteOp,
        at_most, not_empty, resolve,
    },
    render,
};

/// Tasks of one UpdateTaskProtection.
const UPDATE_MAX: usize = 10;
/// Unless the request says otherwise.
const MINUTES: i32 = 120;
const MINUTES_MAX: i32 = 2880;
const MINUTE_MS: i64 = 60_000;

impl ReadOp for GetTaskProtection {
    type Request = GetTaskProtectionRequest;
    type Response = GetTaskProtectionResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        not_empty("Tasks", request.tasks.len())?;
        at_most("tasks", request.tasks.len(), DESCRIBE_MAX)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let (protected_tasks, failures) = shown(ctx.state, cluster, &request.tasks, ctx.now_ms)?;
        Ok(GetTaskProtectionResponse { protected_tasks, failures })
    }
}

impl WriteOp for UpdateTaskProtection {
    type Request = UpdateTaskProtectionRequest;
    type Response = UpdateTaskProtectionResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let asked = tasks(request);
        not_empty("Tasks", asked.len())?;
        at_most("tasks", asked.len(), UPDATE_MAX)?;
        let minutes = request.expires_in_minutes.unwrap_or(MINUTES);
        if !(1..=MINUTES_MAX).contains(&minutes) {
            return Err(ApiError::invalid(format!(
                "expiresInMinutes is {minutes}; it must be between 1 and {MINUTES_MAX}."
            )));
        }
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let mut found = Vec::new();
        for text in asked {
            let row = resolve::task(ctx.state, cluster, text)?.filter(|row| problem(ctx.state, row).is_none());
            found.extend(row.and_then(|row| row.id));
        }
        if found.is_empty() {
            return Ok(Write::Nothing);
        }
        let until = ctx.now_ms + i64::from(minutes) * MINUTE_MS;
        let command = internal::ProtectTasks {
            cluster_id: cluster.id,
            tasks: found,
            protected_until_ms: if request.protection_enabled() { until } else { 0 },
        };
        Ok(Write::one(CommandKind::ProtectTasks(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.account, request.cluster.as_deref())?;
        let now_ms = ctx.state.meta.cluster_time_ms;
        let (protected_tasks, failures) = shown(ctx.state, cluster, tasks(request), now_ms)?;
        Ok(UpdateTaskProtectionResponse { protected_tasks, failures })
    }
}

fn tasks(request: &UpdateTaskProtectionRequest) -> &[String] {
    request.tasks.as_ref().map_or(&[][..], |list| &list.items)
}

fn shown(
    state: &State,
    cluster: &ClusterRow,
    asked: &[String],
    now_ms: i64,
) -> Result<(Vec<ProtectedTask>, Vec<Failure>), ApiError> {
    let (mut protected, mut failures) = (Vec::new(), Vec::new());
    for text in asked {
        let Some(row) = resolve::task(state, cluster, text)? else {
            let arn = text.parse::<TaskId>().map_or_else(|_| text.clone(), |id| state.arns().task(&cluster.name, id));
            failures.push(render::failure(arn, "MISSING"));
            continue;
        };
        let arn = row.id.as_ref().map(|id| state.arns().task(&cluster.name, seawall_state::task_id(id)));
        match problem(state, row) {
            Some(reason) => failures.push(render::failure(arn.unwrap_or_default(), reason)),
            None => {
                let on = row.protected_until_ms > now_ms;
                protected.push(ProtectedTask {
                    task_arn: arn,
                    protection_enabled: Some(on),
                    expiration_date: timestamp_unless_zero(if on { row.protected_until_ms } else { 0 }),
                });
            }
        }
    }
    Ok((protected, failures))
}

/// Why a task cannot be protected: only those of services are ever stopped by scaling in.
fn problem(state: &State, row: &TaskRow) -> Option<&'static str> {
    let of_service = state.services.get(&ServiceId(row.service_id)).is_some();
    (!of_service || row.last_status() == TaskStatus::Stopped).then_some("TASK_NOT_VALID")
}
