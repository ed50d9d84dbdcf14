//! CreateService, UpdateService, DeleteService, DescribeServices, ListServices, ListServicesByNamespace; [`deployments`] has what
//! became of each change.

mod create;
mod deployments;
mod spec;
mod update;

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, ErrorCode, ServiceId, limits::DESCRIBE_SERVICES_MAX};
use seawall_proto::{
    internal::v1::{self as internal, ClusterRow, ServiceRow, ServiceStatusCode},
    v1::{
        DeleteServiceRequest, DeleteServiceResponse, DescribeServicesRequest, DescribeServicesResponse,
        ListServicesByNamespaceRequest, ListServicesByNamespaceResponse, ListServicesRequest, ListServicesResponse,
        Service,
    },
};
use seawall_state::State;

pub(super) use spec::check_tasks;

use super::{
    CommandKind, Ctx, DeleteService, DescribeServices, ListServices, ListServicesByNamespace, Outcome, ReadCtx, ReadOp,
    RenderCtx, Write, WriteOp, at_most, not_empty, page, page::Page, resolve,
};
use crate::render;

impl WriteOp for DeleteService {
    type Request = DeleteServiceRequest;
    type Response = DeleteServiceResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let row = resolve::service(ctx.state, cluster, request.service())?;
        let command = internal::DeleteService { service_id: row.id, force: request.force() };
        Ok(Write::one(CommandKind::DeleteService(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(DeleteServiceResponse { service: Some(changed(ctx.state, outcome)?) })
    }
}

impl ReadOp for DescribeServices {
    type Request = DescribeServicesRequest;
    type Response = DescribeServicesResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        not_empty("Services", request.services.len())?;
        at_most("services", request.services.len(), DESCRIBE_SERVICES_MAX)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let tags = request.include.iter().any(|word| word == "TAGS");
        let mut response = DescribeServicesResponse::default();
        for text in &request.services {
            if let Some(row) = resolve::any_service(ctx.state, cluster, text)? {
                response.services.push(render::service::render(ctx.state, row, tags));
                continue;
            }
            let name = resolve::service_name(ctx.state, cluster, text)?;
            match ctx.history.service(ClusterId(cluster.id), &name) {
                Some(record) => response.services.push(render::history::service(ctx.state, &record, tags)?),
                None => response.failures.push(render::failure(arn(ctx.state, cluster, text), "MISSING")),
            }
        }
        Ok(response)
    }
}

impl ReadOp for ListServices {
    type Request = ListServicesRequest;
    type Response = ListServicesResponse;

    /// Services that drain or are deleted are left out, as in ECS.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let filters = ["ListServices", &cluster.name, request.launch_type(), request.scheduling_strategy()];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::SERVICES_PAGE)?;
        let rows = ctx.state.services_of(ClusterId(cluster.id)).filter(|row| is_listed(row, request));
        let items = rows.map(|row| (row.name.as_bytes().to_vec(), render::service::arn(ctx.state, row)));
        let (service_arns, next_token) = page.take(items, false);
        Ok(ListServicesResponse { service_arns, next_token })
    }
}

impl ReadOp for ListServicesByNamespace {
    type Request = ListServicesByNamespaceRequest;
    type Response = ListServicesByNamespaceResponse;

    /// Services of every cluster. A namespace is there where a service says so: it is stored and has no effect.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let (state, namespace) = (ctx.state, request.namespace());
        let filters = ["ListServicesByNamespace", namespace];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::SERVICES_PAGE)?;
        if state.services_of_namespace(namespace).next().is_none() {
            return Err(ApiError::new(ErrorCode::NamespaceNotFound, "Namespace not found."));
        }
        let rows = state.services_of_namespace(namespace);
        let items = rows.map(|row| (row.id.to_be_bytes().to_vec(), render::service::arn(state, row)));
        let (service_arns, next_token) = page.take(items, false);
        Ok(ListServicesByNamespaceResponse { service_arns, next_token })
    }
}

fn is_listed(row: &ServiceRow, request: &ListServicesRequest) -> bool {
    let spec = row.spec.as_ref();
    let launch_type = render::task::launch_type(spec.map_or("", |s| s.launch_type()));
    let strategy = spec.and_then(|s| s.scheduling_strategy.as_deref()).unwrap_or(spec::REPLICA);
    let asked = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    row.status == i32::from(ServiceStatusCode::Active)
        && asked(request.launch_type(), launch_type)
        && asked(request.scheduling_strategy(), strategy)
}

/// The service that a write made or changed.
fn changed(state: &State, outcome: &Outcome) -> Result<Service, ApiError> {
    let row: Option<&Arc<ServiceRow>> = state.services.get(&ServiceId(outcome.done()?.id));
    let row = row.ok_or_else(|| ApiError::new(ErrorCode::ServiceNotFound, "Service not found."))?;
    Ok(render::service::render(state, row, true))
}

/// The ARN that a request named, or that the name it gave would have.
fn arn(state: &State, cluster: &ClusterRow, named: &str) -> String {
    if named.starts_with("arn:") { named.into() } else { state.arns().service(&cluster.name, named) }
}
