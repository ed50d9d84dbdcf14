//! ListHistory: what was, as far back as it is kept. What the state still holds comes first, then what has left it.

use seawall_model::{ApiError, ClusterId, ErrorCode, ServiceId};
use seawall_proto::{
    internal::v1::{ClusterRow, HistoryKind, TaskRow, TaskStatus},
    millis,
    v1::{ListHistoryRequest, ListHistoryResponse, ResourceKind, ServiceEventChange},
};
use seawall_state::HistoryKey;

use super::{
    ReadCtx,
    page::{self, Page},
    resolve,
};
use crate::{history::PageOf, render};

/// What a request asks for, resolved.
struct Wanted<'a> {
    cluster: &'a ClusterRow,
    kind: HistoryKind,
    service: Option<ServiceId>,
    since_ms: i64,
}

/// Answers ListHistory.
///
/// # Errors
/// What the client is told.
pub(crate) fn list_history(ctx: &ReadCtx<'_>, request: &ListHistoryRequest) -> Result<ListHistoryResponse, ApiError> {
    let wanted = Wanted::new(ctx, request)?;
    let since = wanted.since_ms.to_string();
    let service = wanted.service.map_or_else(String::new, |id| id.to_string());
    let filters = ["ListHistory", &wanted.cluster.id.to_string(), wanted.kind.as_str_name(), &service, &since];
    let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
    if let Some(before) = page.after().and_then(page::history_key) {
        return wanted.in_history(ctx, &page, before);
    }
    let mut response = wanted.in_state(ctx, &page);
    if response.next_token.is_none() {
        let end = ctx.state.history_end_since(wanted.since_ms);
        response.next_token = end.map(|end| page.token(&page::key_of_history(end)));
    }
    Ok(response)
}

impl<'a> Wanted<'a> {
    fn new(ctx: &ReadCtx<'a>, request: &ListHistoryRequest) -> Result<Self, ApiError> {
        let found = resolve::any_cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let cluster = found.ok_or_else(resolve::cluster_not_found)?;
        let kind = match request.kind() {
            ResourceKind::Task => HistoryKind::Task,
            ResourceKind::Service => HistoryKind::Service,
            ResourceKind::ServiceEvent => HistoryKind::ServiceEvent,
            _ => return Err(ApiError::invalid("kind must be a task, a service or a service event.")),
        };
        let service = match request.service.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => Some(any_service(ctx, cluster, name)?),
            None if kind == HistoryKind::ServiceEvent => {
                return Err(ApiError::invalid("service must be given: events are listed by service."));
            }
            None => None,
        };
        if kind == HistoryKind::Service && request.since.is_some() {
            return Err(ApiError::invalid(
                "since cannot be given for services: they do not say when they were deleted.",
            ));
        }
        let since_ms = request.since.as_ref().map_or(i64::MIN, millis);
        Ok(Wanted { cluster, kind, service, since_ms })
    }

    /// Every kind has keys of a length of its own, and none has that of a place in history.
    fn in_state(&self, ctx: &ReadCtx<'_>, page: &Page) -> ListHistoryResponse {
        let mut response = ListHistoryResponse::default();
        match self.kind {
            HistoryKind::Task => {
                let mut rows: Vec<_> = match self.service {
                    Some(service) => ctx.state.tasks_of_service(service).filter(|row| self.is_wanted(row)).collect(),
                    None => {
                        let all = ctx.state.tasks_of_cluster(ClusterId(self.cluster.id));
                        all.filter(|row| self.is_wanted(row)).collect()
                    }
                };
                rows.sort_by_key(|row| std::cmp::Reverse(render::task::id(row)));
                let items = rows.into_iter().map(|row| (render::task::id(row).0.to_be_bytes().to_vec(), row));
                let (rows, next_token) = page.take(items, true);
                response.tasks = rows.into_iter().map(|row| render::task::render(ctx.state, row, true)).collect();
                response.next_token = next_token;
            }
            HistoryKind::Service => {
                let all = ctx.state.deleted_services_of(ClusterId(self.cluster.id));
                let wanted = all.filter(|row| self.service.is_none_or(|id| row.id == id.0));
                let items = wanted.map(|row| (row.changed.to_be_bytes().to_vec(), row));
                let (rows, next_token) = page.take(items, true);
                response.services = rows.into_iter().map(|row| render::service::render(ctx.state, row, true)).collect();
                response.next_token = next_token;
            }
            HistoryKind::ServiceEvent | HistoryKind::Unspecified => {
                let row = self.service.and_then(|id| ctx.state.services.get(&id));
                let events = row.into_iter().flat_map(|row| row.events.iter().rev().map(move |event| (row, event)));
                let wanted = events.filter(|(_, event)| event.at_ms >= self.since_ms);
                // All of them: a page that ended among them could not be continued once some have left.
                response.events = wanted
                    .map(|(row, event)| ServiceEventChange {
                        cluster_arn: Some(ctx.state.arns().cluster(&self.cluster.name)),
                        service_name: Some(row.name.clone()),
                        event: Some(render::event::render(&row.name, event)),
                    })
                    .collect();
            }
        }
        response
    }

    fn is_wanted(&self, row: &TaskRow) -> bool {
        row.last_status() == TaskStatus::Stopped && row.stopped_at_ms >= self.since_ms
    }

    fn in_history(&self, ctx: &ReadCtx<'_>, page: &Page, before: HistoryKey) -> Result<ListHistoryResponse, ApiError> {
        let paged = ctx.history.page(PageOf {
            kind: self.kind,
            cluster: ClusterId(self.cluster.id),
            service: self.service,
            since_ms: self.since_ms,
            before,
            limit: page.limit(),
        });
        let mut response = ListHistoryResponse {
            next_token: paged.next.map(|end| page.token(&page::key_of_history(end))),
            ..ListHistoryResponse::default()
        };
        for record in &paged.rows {
            match self.kind {
                HistoryKind::Task if self.is_wanted(&render::history::task_row(record)?) => {
                    response.tasks.push(render::history::task(ctx.state, record, true)?);
                }
                HistoryKind::Task => {}
                HistoryKind::Service => response.services.push(render::history::service(ctx.state, record, true)?),
                HistoryKind::ServiceEvent | HistoryKind::Unspecified => {
                    let change = render::history::event(ctx.state, record)?;
                    let at_ms = change.event.as_ref().and_then(|event| event.created_at.as_ref()).map_or(0, millis);
                    if at_ms >= self.since_ms {
                        response.events.push(change);
                    }
                }
            }
        }
        Ok(response)
    }
}

/// The service of this name, whether it lives, is deleted, or has left the state.
fn any_service(ctx: &ReadCtx<'_>, cluster: &ClusterRow, text: &str) -> Result<ServiceId, ApiError> {
    if let Some(row) = resolve::any_service(ctx.state, cluster, text)? {
        return Ok(ServiceId(row.id));
    }
    let name = resolve::service_name(ctx.state, cluster, text)?;
    match ctx.history.service(ClusterId(cluster.id), &name) {
        Some(record) => Ok(ServiceId(record.service_id)),
        None => Err(ApiError::new(ErrorCode::ServiceNotFound, "Service not found.")),
    }
}
