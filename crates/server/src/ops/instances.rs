//! DescribeContainerInstances, ListContainerInstances, UpdateContainerInstancesState, DeregisterContainerInstance,
//! UpdateContainerAgent.

use std::sync::Arc;

use seawall_model::{ApiError, ClusterId, ErrorCode, limits::DESCRIBE_MAX};
use seawall_proto::{
    internal::v1::{self as internal, ClusterRow, InstanceRow, InstanceStatus},
    v1::{
        ContainerInstance, DeregisterContainerInstanceRequest, DeregisterContainerInstanceResponse,
        DescribeContainerInstancesRequest, DescribeContainerInstancesResponse, ListContainerInstancesRequest,
        ListContainerInstancesResponse, UpdateContainerAgentRequest, UpdateContainerAgentResponse,
        UpdateContainerInstancesStateRequest, UpdateContainerInstancesStateResponse,
    },
};
use seawall_query::Expression;
use seawall_scheduler::{InstanceSubject, is_fargate};
use seawall_state::State;

use super::{
    CommandKind, Ctx, DeregisterContainerInstance, DescribeContainerInstances, ListContainerInstances, Outcome,
    ReadCtx, ReadOp, RenderCtx, UpdateContainerAgent, UpdateContainerInstancesState, Write, WriteOp, at_most,
    not_empty, page, page::Page, resolve,
};
use crate::render::{self, instance::Include};

/// Instances of one UpdateContainerInstancesState.
const UPDATE_MAX: usize = 10;

impl ReadOp for DescribeContainerInstances {
    type Request = DescribeContainerInstancesRequest;
    type Response = DescribeContainerInstancesResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        not_empty("Container instances", request.container_instances.len())?;
        at_most("containerInstances", request.container_instances.len(), DESCRIBE_MAX)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let include = Include::of(&request.include);
        let mut response = DescribeContainerInstancesResponse::default();
        for text in &request.container_instances {
            match resolve::instance(ctx.state, cluster, text)?.filter(|row| is_shown(ctx, row)) {
                Some(row) => response.container_instances.push(render::instance::render(ctx.state, row, include)),
                None => response.failures.push(render::failure(arn(ctx.state, cluster, text), "MISSING")),
            }
        }
        Ok(response)
    }
}

impl ReadOp for ListContainerInstances {
    type Request = ListContainerInstancesRequest;
    type Response = ListContainerInstancesResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let filters = ["ListContainerInstances", &cluster.name, request.status(), request.filter()];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let filter = filter(request.filter())?;
        let fits = |row: &InstanceRow| {
            filter.as_ref().is_none_or(|filter| filter.matches(&InstanceSubject::new(ctx.state, row)))
        };
        let rows = ctx.state.instances_of(ClusterId(cluster.id));
        let rows = rows.filter(|row| is_shown(ctx, row) && is_listed(row, request.status()) && fits(row));
        let items = rows.map(|row| (row.id.to_be_bytes().to_vec(), render::instance::arn(ctx.state, row)));
        let (container_instance_arns, next_token) = page.take(items, false);
        Ok(ListContainerInstancesResponse { container_instance_arns, next_token })
    }
}

/// ECS knows of no instances under FARGATE's tasks; operators see them.
pub(super) fn is_shown(ctx: &ReadCtx<'_>, row: &InstanceRow) -> bool {
    ctx.shows_pools || !is_fargate(&row.capacity_provider)
}

/// An expression of the cluster query language; none where the text is empty.
fn filter(text: &str) -> Result<Option<Expression>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    Expression::parse(text).map(Some).map_err(|error| ApiError::invalid(error.to_string()))
}

/// Without a status: all but those that are gone.
fn is_listed(row: &InstanceRow, status: &str) -> bool {
    let word = render::instance::status(row.status);
    if status.is_empty() { word != "INACTIVE" } else { word == status }
}

impl WriteOp for UpdateContainerInstancesState {
    type Request = UpdateContainerInstancesStateRequest;
    type Response = UpdateContainerInstancesStateResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let named = named(request);
        not_empty("Container instances", named.len())?;
        at_most("containerInstances", named.len(), UPDATE_MAX)?;
        let status = match request.status() {
            "ACTIVE" => InstanceStatus::Active,
            "DRAINING" => InstanceStatus::Draining,
            other => {
                return Err(ApiError::invalid(format!(
                    "The container instance status must be one of [ACTIVE, DRAINING]; it is {other}."
                )));
            }
        };
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let found = find(ctx.state, cluster, named)?;
        let instance_ids: Vec<u64> =
            found.iter().filter_map(|(_, row)| row.filter(|r| can_change(r)).map(|r| r.id)).collect();
        if instance_ids.is_empty() {
            return Ok(Write::Nothing);
        }
        let command = internal::SetInstancesStatus {
            cluster_id: cluster.id,
            instance_ids,
            status: status.into(),
            reason: String::new(),
        };
        Ok(Write::one(CommandKind::SetInstancesStatus(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let state = ctx.state;
        let cluster = resolve::cluster(state, ctx.account, request.cluster.as_deref())?;
        let mut response = UpdateContainerInstancesStateResponse::default();
        for (text, row) in find(state, cluster, named(request))? {
            match row {
                Some(row) if can_change(row) => {
                    response.container_instances.push(render::instance::render(state, row, Include::default()));
                }
                Some(row) => response.failures.push(render::failure(render::instance::arn(state, row), "INACTIVE")),
                None => response.failures.push(render::failure(arn(state, cluster, text), "MISSING")),
            }
        }
        Ok(response)
    }
}

fn named(request: &UpdateContainerInstancesStateRequest) -> &[String] {
    request.container_instances.as_ref().map_or(&[], |list| &list.items)
}

/// One that registers or leaves has a status of its own.
fn can_change(row: &InstanceRow) -> bool {
    matches!(
        InstanceStatus::try_from(row.status).unwrap_or_default(),
        InstanceStatus::Active | InstanceStatus::Draining
    )
}

type Found<'a> = Vec<(&'a str, Option<&'a Arc<InstanceRow>>)>;

fn find<'a>(state: &'a State, cluster: &ClusterRow, named: &'a [String]) -> Result<Found<'a>, ApiError> {
    named.iter().map(|text| Ok((text.as_str(), resolve::instance(state, cluster, text)?))).collect()
}

impl WriteOp for DeregisterContainerInstance {
    type Request = DeregisterContainerInstanceRequest;
    type Response = DeregisterContainerInstanceResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let text = request.container_instance();
        let row = resolve::instance(ctx.state, cluster, text)?
            .ok_or_else(|| ApiError::invalid(format!("Referenced container instance {text} not found.")))?;
        let command = internal::DeregisterInstance { instance_id: row.id, force: request.force(), forgotten: false };
        Ok(Write::one(CommandKind::DeregisterInstance(command)))
    }

    /// The row leaves the state with the command, so the answer shows it as it was, and that it is gone.
    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let before = ctx.before;
        let cluster = resolve::cluster(before, ctx.account, request.cluster.as_deref())?;
        let row = resolve::instance(before, cluster, request.container_instance())?;
        let rendered = row.map(|row| ContainerInstance {
            status: Some("INACTIVE".into()),
            agent_connected: Some(false),
            ..render::instance::render(before, row, Include::default())
        });
        Ok(DeregisterContainerInstanceResponse { container_instance: rendered })
    }
}

/// The ARN that a request named, or that the id it named would have.
pub fn arn(state: &State, cluster: &ClusterRow, named: &str) -> String {
    match named.parse() {
        Ok(id) => state.arns().instance(&cluster.name, id),
        Err(()) => named.into(),
    }
}

impl WriteOp for UpdateContainerAgent {
    type Request = UpdateContainerAgentRequest;
    type Response = UpdateContainerAgentResponse;

    /// Agents are updated as they are installed: with the machine's own tools. There is never one to fetch from here.
    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        resolve::instance(ctx.state, cluster, request.container_instance())?
            .ok_or_else(|| ApiError::invalid("The referenced container instance was not found."))?;
        let message = "There is no update available for your container agent. Replace the binary on the instance and \
                       restart it: its tasks go on.";
        Err(ApiError::new(ErrorCode::NoUpdateAvailable, message))
    }

    fn render(_: &RenderCtx<'_>, _: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(UpdateContainerAgentResponse::default())
    }
}
