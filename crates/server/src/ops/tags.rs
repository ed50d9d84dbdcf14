//! TagResource, UntagResource, ListTagsForResource.

use seawall_model::{ApiError, ErrorCode, Resource};
use seawall_proto::{
    internal::v1::{self as internal, ResourceRef, resource_ref},
    v1::{
        ListTagsForResourceRequest, ListTagsForResourceResponse, Tag, TagResourceRequest, TagResourceResponse,
        UntagResourceRequest, UntagResourceResponse,
    },
};
use seawall_state::State;

use super::{
    CommandKind, Ctx, ListTagsForResource, Outcome, ReadCtx, ReadOp, RenderCtx, TagResource, UntagResource, Write,
    WriteOp, not_empty, resolve,
};
use crate::validate::{self, tags::On};

impl WriteOp for TagResource {
    type Request = TagResourceRequest;
    type Response = TagResourceResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Tags", request.tags.len())?;
        let (resource, tags) = find(ctx.state, ctx.principal.account, request.resource_arn())?;
        let on = match resource.kind {
            Some(resource_ref::Kind::ServiceId(_)) => On::Service,
            Some(resource_ref::Kind::TaskId(_)) => On::Task,
            _ => On::Other,
        };
        validate::tags::check(&request.tags, on)?;
        validate::tags::check_count(tags, &request.tags)?;
        let command = internal::TagResource { resource: Some(resource), tags: request.tags.clone() };
        Ok(Write::one(CommandKind::TagResource(command)))
    }

    fn render(_: &RenderCtx<'_>, _: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(TagResourceResponse {})
    }
}

impl WriteOp for UntagResource {
    type Request = UntagResourceRequest;
    type Response = UntagResourceResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Tag keys", request.tag_keys.len())?;
        let (resource, _) = find(ctx.state, ctx.principal.account, request.resource_arn())?;
        let command = internal::UntagResource { resource: Some(resource), keys: request.tag_keys.clone() };
        Ok(Write::one(CommandKind::UntagResource(command)))
    }

    fn render(_: &RenderCtx<'_>, _: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(UntagResourceResponse {})
    }
}

impl ReadOp for ListTagsForResource {
    type Request = ListTagsForResourceRequest;
    type Response = ListTagsForResourceResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        // ECS declares no ResourceNotFoundException here.
        let as_invalid = |error: ApiError| match error.code {
            ErrorCode::ResourceNotFound => ApiError { code: ErrorCode::InvalidParameter, ..error },
            _ => error,
        };
        let (_, tags) = find(ctx.state, ctx.principal.account, request.resource_arn()).map_err(as_invalid)?;
        Ok(ListTagsForResourceResponse { tags: tags.to_vec() })
    }
}

/// The resource that an ARN names, and its tags.
fn find<'a>(state: &'a State, account: u32, arn: &str) -> Result<(ResourceRef, &'a [Tag]), ApiError> {
    let Some(resource) = state.arns().parse(arn)? else {
        return Err(ApiError::invalid(format!("Invalid arn syntax: {arn}")));
    };
    let found = match resource {
        Resource::Cluster(_) => {
            let row = resolve::cluster(state, account, Some(arn))?;
            Some((resource_ref::Kind::ClusterId(row.id), &row.tags[..]))
        }
        Resource::Instance(of, _) => {
            let row = resolve::instance(state, resolve::cluster(state, account, Some(&of))?, arn)?;
            row.map(|row| (resource_ref::Kind::InstanceId(row.id), &row.tags[..]))
        }
        Resource::Task(of, _) => {
            let row = resolve::task(state, resolve::cluster(state, account, Some(&of))?, arn)?;
            row.and_then(|row| Some((resource_ref::Kind::TaskId(row.id?), &row.tags[..])))
        }
        Resource::Service(of, _) => {
            let row = resolve::any_service(state, resolve::cluster(state, account, Some(&of))?, arn)?;
            row.map(|row| (resource_ref::Kind::ServiceId(row.id), &row.tags[..]))
        }
        Resource::CapacityProvider(name) => {
            let row = state.capacity_providers.get(&(account, name.clone()));
            row.map(|row| (resource_ref::Kind::CapacityProvider(name), &row.tags[..]))
        }
        // ECS tags neither.
        Resource::ServiceDeployment(..) | Resource::ServiceRevision(..) => None,
        Resource::TaskDefinition(..) => {
            let row = resolve::task_definition(state, account, arn)?;
            row.map(|row| (resource_ref::Kind::TaskDefinitionId(row.id), &row.tags[..]))
        }
    };
    let (kind, tags) = found.ok_or_else(|| {
        ApiError::new(ErrorCode::ResourceNotFound, format!("The specified resource {arn} was not found."))
    })?;
    Ok((ResourceRef { kind: Some(kind) }, tags))
}
