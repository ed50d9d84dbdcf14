//! ListTasks.

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, InstanceId, ServiceId};
use seawall_proto::{
    internal::v1::{ClusterRow, HistoryKind, TaskRow, TaskStatus},
    v1::{ListTasksRequest, ListTasksResponse},
};
use seawall_state::{HistoryKey, State};

use crate::{
    history::PageOf,
    ops::{ListTasks, ReadCtx, ReadOp, page, page::Page, resolve},
    render,
};

/// How long after its stop a task is listed: `aws` pages through everything by itself. DescribeTasks knows older ones.
const STOPPED_LISTED_MS: i64 = 60 * 60 * 1000;

impl ReadOp for ListTasks {
    type Request = ListTasksRequest;
    type Response = ListTasksResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let wanted = Wanted::new(ctx, cluster, request)?;
        let page =
            Page::new(&filters(cluster, request), request.next_token.as_deref(), request.max_results, page::PAGE)?;
        if let Some(before) = page.after().and_then(page::history_key) {
            return wanted.page_of_history(ctx, cluster, &page, before);
        }
        let rows = wanted.rows(ctx.state, cluster).filter(|row| wanted.is(row, family(ctx.state, row)));
        let items = rows.map(|row| (render::task::id(row).0.to_be_bytes().to_vec(), render::task::arn(ctx.state, row)));
        let (task_arns, mut next_token) = page.take(items, false);
        if next_token.is_none() && wanted.desired_status == "STOPPED" {
            // The state keeps stopped tasks by number: those of a busy hour go on in history.
            let newest = ctx.state.history_end_since(wanted.stopped_after_ms);
            next_token = newest.map(|end| page.token(&page::key_of_history(end)));
        }
        Ok(ListTasksResponse { task_arns, next_token })
    }
}

fn filters<'a>(cluster: &'a ClusterRow, request: &'a ListTasksRequest) -> [&'a str; 8] {
    [
        "ListTasks",
        &cluster.name,
        request.container_instance(),
        request.family(),
        request.started_by(),
        request.service_name(),
        request.desired_status(),
        request.launch_type(),
    ]
}

/// The filters, resolved.
struct Wanted<'a> {
    service: Option<ServiceId>,
    instance: Option<InstanceId>,
    family: &'a str,
    started_by: &'a str,
    desired_status: &'a str,
    launch_type: &'a str,
    /// STOPPED tasks are listed that stopped after this time.
    stopped_after_ms: i64,
}

impl<'a> Wanted<'a> {
    fn new(ctx: &ReadCtx<'_>, cluster: &ClusterRow, request: &'a ListTasksRequest) -> Result<Self, ApiError> {
        let service = match request.service_name() {
            "" => None,
            text => Some(ServiceId(resolve::service(ctx.state, cluster, text)?.id)),
        };
        let instance = match request.container_instance() {
            "" => None,
            text => Some(InstanceId(
                resolve::instance(ctx.state, cluster, text)?
                    .ok_or_else(|| ApiError::invalid(format!("Referenced container instance {text} not found.")))?
                    .id,
            )),
        };
        Ok(Wanted {
            service,
            instance,
            family: request.family(),
            started_by: request.started_by(),
            desired_status: request.desired_status.as_deref().filter(|s| !s.is_empty()).unwrap_or("RUNNING"),
            launch_type: request.launch_type(),
            stopped_after_ms: ctx.now_ms - STOPPED_LISTED_MS,
        })
    }

    /// The smallest set that holds all that is wanted, oldest first.
    fn rows<'s>(&self, state: &'s State, cluster: &ClusterRow) -> Box<dyn Iterator<Item = &'s Arc<TaskRow>> + 's> {
        match (self.service, self.instance) {
            (Some(service), _) => Box::new(state.tasks_of_service(service)),
            // The index by instance has no stopped tasks.
            (None, Some(instance)) if self.desired_status == "RUNNING" => Box::new(state.tasks_of_instance(instance)),
            (None, _) => Box::new(state.tasks_of_cluster(ClusterId(cluster.id))),
        }
    }

    /// Stopped tasks that left the state, the last first.
    fn page_of_history(
        &self,
        ctx: &ReadCtx<'_>,
        cluster: &ClusterRow,
        page: &Page,
        before: HistoryKey,
    ) -> Result<ListTasksResponse, ApiError> {
        let paged = ctx.history.page(PageOf {
            kind: HistoryKind::Task,
            cluster: ClusterId(cluster.id),
            service: self.service,
            since_ms: self.stopped_after_ms,
            before,
            limit: page.limit(),
        });
        let mut task_arns = Vec::new();
        for record in &paged.rows {
            let row = render::history::task_row(record)?;
            if self.is(&row, record.task.as_ref().map(|task| task.family.as_str())) {
                task_arns.push(ctx.state.arns().task(&record.cluster_name, render::task::id(&row)));
            }
        }
        let next_token = paged.next.map(|end| page.token(&page::key_of_history(end)));
        Ok(ListTasksResponse { task_arns, next_token })
    }

    fn is(&self, row: &TaskRow, family: Option<&str>) -> bool {
        let asked = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        render::task::desired_status(row) == self.desired_status
            && self.instance.is_none_or(|id| row.instance_id == id.0)
            && asked(self.started_by, &row.started_by)
            && asked(self.launch_type, render::task::launch_type(&row.launch_type))
            && (self.family.is_empty() || family == Some(self.family))
            && !self.is_old(row)
    }

    fn is_old(&self, row: &TaskRow) -> bool {
        row.last_status == i32::from(TaskStatus::Stopped) && row.stopped_at_ms < self.stopped_after_ms
    }
}

fn family<'s>(state: &'s State, row: &TaskRow) -> Option<&'s str> {
    let definition = state.task_definitions.get(&seawall_model::TaskDefinitionId(row.task_definition_id));
    definition.map(|definition| definition.family.as_str())
}
