//! Service deployments and service revisions.

use std::sync::Arc;

use seawall_model::{
    ApiError, ErrorCode, Resource, ServiceId,
    limits::{DESCRIBE_SERVICE_DEPLOYMENTS_MAX, DESCRIBE_SERVICE_REVISIONS_MAX},
};
use seawall_proto::{
    internal::v1::{self as internal, ServiceDeploymentRow, ServiceRevisionRow, ServiceRow},
    millis,
    v1::{
        ContinueServiceDeploymentRequest, ContinueServiceDeploymentResponse, CreatedAt,
        DescribeServiceDeploymentsRequest, DescribeServiceDeploymentsResponse, DescribeServiceRevisionsRequest,
        DescribeServiceRevisionsResponse, ListServiceDeploymentsRequest, ListServiceDeploymentsResponse,
        StopServiceDeploymentRequest, StopServiceDeploymentResponse,
    },
};
use seawall_state::State;

use crate::{
    ops::{
        CommandKind, ContinueServiceDeployment, Ctx, DescribeServiceDeployments, DescribeServiceRevisions,
        ListServiceDeployments, Outcome, ReadCtx, ReadOp, RenderCtx, StopServiceDeployment, Write, WriteOp, at_most,
        not_empty,
        page::{self, Page},
        resolve,
    },
    render::{self, service_deployment},
};

impl ReadOp for ListServiceDeployments {
    type Request = ListServiceDeploymentsRequest;
    type Response = ListServiceDeploymentsResponse;

    /// The newest first.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let service =
            resolve::any_service(ctx.state, cluster, request.service())?.ok_or_else(resolve::service_not_found)?;
        let created = Created::of(request.created_at.as_ref());
        let bounds = format!("{:?} {:?}", created.after_ms, created.before_ms);
        let mut filters = vec!["ListServiceDeployments", &cluster.name, &service.name, &bounds];
        filters.extend(request.status.iter().map(String::as_str));
        let default = page::SERVICE_DEPLOYMENTS_PAGE;
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, default)?;
        let asked = |row: &&Arc<ServiceDeploymentRow>| {
            let status = service_deployment::status(row.status());
            let of_status = request.status.is_empty() || request.status.iter().any(|asked| asked == status);
            of_status && created.holds(row.created_at_ms)
        };
        let mut rows: Vec<(Vec<u8>, &Arc<ServiceDeploymentRow>)> =
            ctx.state.service_deployments_of(ServiceId(service.id)).filter(asked).map(|row| (key(row), row)).collect();
        rows.sort_by(|(a, _), (b, _)| b.cmp(a));
        let (rows, next_token) = page.take(rows.into_iter(), true);
        let service_deployments =
            rows.into_iter().map(|row| service_deployment::brief(ctx.state, service, row)).collect();
        Ok(ListServiceDeploymentsResponse { service_deployments, next_token })
    }
}

/// Creation time, then id.
fn key(row: &ServiceDeploymentRow) -> Vec<u8> {
    let mut key = row.created_at_ms.max(0).to_be_bytes().to_vec();
    key.extend_from_slice(row.id.as_bytes());
    key
}

/// Bounds of a creation time; neither is part of what they hold.
struct Created {
    after_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl Created {
    fn of(asked: Option<&CreatedAt>) -> Self {
        Created {
            after_ms: asked.and_then(|asked| asked.after.as_ref()).map(millis),
            before_ms: asked.and_then(|asked| asked.before.as_ref()).map(millis),
        }
    }

    fn holds(&self, at_ms: i64) -> bool {
        self.after_ms.is_none_or(|after| at_ms > after) && self.before_ms.is_none_or(|before| at_ms < before)
    }
}

impl ReadOp for DescribeServiceDeployments {
    type Request = DescribeServiceDeploymentsRequest;
    type Response = DescribeServiceDeploymentsResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let arns = &request.service_deployment_arns;
        not_empty("serviceDeploymentArns", arns.len())?;
        at_most("serviceDeploymentArns", arns.len(), DESCRIBE_SERVICE_DEPLOYMENTS_MAX)?;
        let mut response = DescribeServiceDeploymentsResponse::default();
        for arn in arns {
            match find_deployment(ctx.state, ctx.principal.account, arn)? {
                Some((service, row)) => {
                    response.service_deployments.push(service_deployment::render(ctx.state, service, row));
                }
                None => response.failures.push(render::failure(arn.clone(), "MISSING")),
            }
        }
        Ok(response)
    }
}

impl ReadOp for DescribeServiceRevisions {
    type Request = DescribeServiceRevisionsRequest;
    type Response = DescribeServiceRevisionsResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let arns = &request.service_revision_arns;
        not_empty("serviceRevisionArns", arns.len())?;
        at_most("serviceRevisionArns", arns.len(), DESCRIBE_SERVICE_REVISIONS_MAX)?;
        let mut response = DescribeServiceRevisionsResponse::default();
        for arn in arns {
            match find_revision(ctx.state, ctx.principal.account, arn)? {
                Some((service, row)) => {
                    response.service_revisions.push(service_deployment::revision(ctx.state, service, row));
                }
                None => response.failures.push(render::failure(arn.clone(), "MISSING")),
            }
        }
        Ok(response)
    }
}

impl WriteOp for StopServiceDeployment {
    type Request = StopServiceDeploymentRequest;
    type Response = StopServiceDeploymentResponse;

    /// ROLLBACK is the default and the only way that there is.
    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let found = find_deployment(ctx.state, ctx.principal.account, request.service_deployment_arn())?;
        let (service, row) = found.ok_or_else(deployment_not_found)?;
        let command = internal::StopServiceDeployment { service_id: service.id, service_deployment_id: row.id.clone() };
        Ok(Write::one(CommandKind::StopServiceDeployment(command)))
    }

    fn render(_: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(StopServiceDeploymentResponse { service_deployment_arn: request.service_deployment_arn.clone() })
    }
}

impl WriteOp for ContinueServiceDeployment {
    type Request = ContinueServiceDeploymentRequest;
    type Response = ContinueServiceDeploymentResponse;

    /// Nothing waits for a hook: the strategy ROLLING has none.
    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let found = find_deployment(ctx.state, ctx.principal.account, request.service_deployment_arn())?;
        found.ok_or_else(deployment_not_found)?;
        Err(ApiError::invalid(format!(
            "The service deployment has no lifecycle hook {}: deployments by the strategy ROLLING wait for none. next: \
             StopServiceDeployment rolls one back.",
            request.hook_id()
        )))
    }

    fn render(_: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(ContinueServiceDeploymentResponse { service_deployment_arn: request.service_deployment_arn.clone() })
    }
}

type Found<'a, R> = Option<(&'a Arc<ServiceRow>, &'a Arc<R>)>;

/// The service deployment that an ARN names, with its service.
fn find_deployment<'a>(state: &'a State, account: u32, arn: &str) -> Result<Found<'a, ServiceDeploymentRow>, ApiError> {
    let Some(Resource::ServiceDeployment(cluster, name, id)) = state.arns().parse(arn)? else {
        return Err(ApiError::invalid(format!("Invalid identifier: {arn} is not the ARN of a service deployment.")));
    };
    let Some(service) = service_of(state, account, &cluster, &name)? else { return Ok(None) };
    Ok(state.service_deployments.get(&(ServiceId(service.id), id)).map(|row| (service, row)))
}

/// The service revision that an ARN names, with its service.
fn find_revision<'a>(state: &'a State, account: u32, arn: &str) -> Result<Found<'a, ServiceRevisionRow>, ApiError> {
    let Some(Resource::ServiceRevision(cluster, name, id)) = state.arns().parse(arn)? else {
        return Err(ApiError::invalid(format!("Invalid identifier: {arn} is not the ARN of a service revision.")));
    };
    let Some(service) = service_of(state, account, &cluster, &name)? else { return Ok(None) };
    Ok(state.service_revisions.get(&(ServiceId(service.id), id)).map(|row| (service, row)))
}

fn service_of<'a>(
    state: &'a State,
    account: u32,
    cluster: &str,
    name: &str,
) -> Result<Option<&'a Arc<ServiceRow>>, ApiError> {
    match resolve::any_cluster(state, account, Some(cluster))? {
        Some(cluster) => resolve::any_service(state, cluster, name),
        None => Ok(None),
    }
}

fn deployment_not_found() -> ApiError {
    ApiError::new(ErrorCode::ServiceDeploymentNotFound, "The service deployment was not found.")
}
