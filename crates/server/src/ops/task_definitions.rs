//! RegisterTaskDefinition, DescribeTaskDefinition, ListTaskDefinitions, ListTaskDefinitionFamilies, DeregisterTaskDefinition,
//! DeleteTaskDefinitions.

use std::sync::Arc;

use seawall_model::{ApiError, Resource, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{self as internal, TaskDefinitionRow, principal},
    v1::{
        DeleteTaskDefinitionsRequest, DeleteTaskDefinitionsResponse, DeregisterTaskDefinitionRequest,
        DeregisterTaskDefinitionResponse, DescribeTaskDefinitionRequest, DescribeTaskDefinitionResponse, Failure,
        ListTaskDefinitionFamiliesRequest, ListTaskDefinitionFamiliesResponse, ListTaskDefinitionsRequest,
        ListTaskDefinitionsResponse, RegisterTaskDefinitionRequest, RegisterTaskDefinitionResponse,
    },
};
use seawall_state::State;

use super::{
    CommandKind, Ctx, DeleteTaskDefinitions, DeregisterTaskDefinition, DescribeTaskDefinition,
    ListTaskDefinitionFamilies, ListTaskDefinitions, Outcome, ReadCtx, ReadOp, RegisterTaskDefinition, RenderCtx,
    Write, WriteOp, at_most, not_empty, page, page::Page, resolve,
};
use crate::{render, validate};

/// Revisions of one DeleteTaskDefinitions.
const DELETE_MAX: usize = 10;

impl WriteOp for RegisterTaskDefinition {
    type Request = RegisterTaskDefinitionRequest;
    type Response = RegisterTaskDefinitionResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let (definition, size) = validate::task_definition::check(request)?;
        validate::tags::check(&request.tags, validate::tags::On::Other)?;
        let command = internal::RegisterTaskDefinition {
            definition: Some(definition),
            size: Some(size),
            tags: request.tags.clone(),
            registered_by: registered_by(ctx),
        };
        Ok(Write::one(CommandKind::RegisterTaskDefinition(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        let row = changed(ctx.state, outcome)?;
        Ok(RegisterTaskDefinitionResponse {
            task_definition: Some(render::task_definition::render(ctx.state, row)),
            tags: row.tags.clone(),
        })
    }
}

/// An ARN as ECS gives it, where the caller has a name.
fn registered_by(ctx: &Ctx<'_>) -> String {
    let account = &ctx.state.meta.account;
    match principal::Kind::try_from(ctx.principal.kind).unwrap_or_default() {
        principal::Kind::AccessKey => format!("arn:aws:iam::{account}:user/{}", ctx.principal.name),
        _ => format!("arn:aws:iam::{account}:root"),
    }
}

impl WriteOp for DeregisterTaskDefinition {
    type Request = DeregisterTaskDefinitionRequest;
    type Response = DeregisterTaskDefinitionResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let text = request.task_definition();
        let is_arn = matches!(ctx.state.arns().parse(text)?, Some(Resource::TaskDefinition(..)));
        if !is_arn && !text.contains(':') {
            return Err(ApiError::client(format!("{text} names no revision: give family:revision or an ARN.")));
        }
        let row = resolve::task_definition(ctx.state, ctx.principal.account, text)?.ok_or_else(unknown)?;
        let command = internal::DeregisterTaskDefinition { task_definition_id: row.id };
        Ok(Write::one(CommandKind::DeregisterTaskDefinition(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        let rendered = render::task_definition::render(ctx.state, changed(ctx.state, outcome)?);
        Ok(DeregisterTaskDefinitionResponse { task_definition: Some(rendered) })
    }
}

impl WriteOp for DeleteTaskDefinitions {
    type Request = DeleteTaskDefinitionsRequest;
    type Response = DeleteTaskDefinitionsResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Task definitions", request.task_definitions.len())?;
        at_most("taskDefinitions", request.task_definitions.len(), DELETE_MAX)?;
        let mut task_definition_ids = Vec::new();
        for text in &request.task_definitions {
            if let Ok(row) = deletable(ctx.state, ctx.principal.account, text)? {
                task_definition_ids.push(row.id);
            }
        }
        if task_definition_ids.is_empty() {
            return Ok(Write::Nothing);
        }
        Ok(Write::one(CommandKind::DeleteTaskDefinitions(internal::DeleteTaskDefinitions { task_definition_ids })))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let mut response = DeleteTaskDefinitionsResponse::default();
        for text in &request.task_definitions {
            match deletable(ctx.before, ctx.account, text)? {
                Ok(before) => {
                    let row = ctx.state.task_definitions.get(&TaskDefinitionId(before.id)).unwrap_or(before);
                    let mut rendered = render::task_definition::render(ctx.state, row);
                    rendered.status = Some("DELETE_IN_PROGRESS".into());
                    response.task_definitions.push(rendered);
                }
                Err(failure) => response.failures.push(failure),
            }
        }
        Ok(response)
    }
}

/// The revision that a caller may delete, or why not.
fn deletable<'a>(
    state: &'a State,
    account: u32,
    text: &str,
) -> Result<Result<&'a Arc<TaskDefinitionRow>, Failure>, ApiError> {
    let parsed = state.arns().parse(text)?;
    if parsed.is_none() && !text.contains(':') {
        return Err(ApiError::invalid(format!("{text} names no revision: give family:revision or an ARN.")));
    }
    let arn = || match (&parsed, text.split_once(':').map(|(family, number)| (family, number.parse()))) {
        (None, Some((family, Ok(revision)))) => state.arns().task_definition(family, revision),
        _ => text.to_owned(),
    };
    Ok(match resolve::task_definition(state, account, text)? {
        None => Err(render::failure(arn(), "TASK_DEFINITION_NOT_FOUND")),
        Some(row) if resolve::is_active(row) => Err(Failure {
            detail: Some("Deregister it first: only INACTIVE task definitions are deleted.".into()),
            ..render::failure(arn(), "TASK_DEFINITION_ACTIVE")
        }),
        Some(row) => Ok(row),
    })
}

impl ReadOp for DescribeTaskDefinition {
    type Request = DescribeTaskDefinitionRequest;
    type Response = DescribeTaskDefinitionResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let row = resolve::task_definition(ctx.state, ctx.principal.account, request.task_definition())?;
        let row = row.ok_or_else(unknown)?;
        let tags = request.include.iter().any(|word| word == "TAGS");
        Ok(DescribeTaskDefinitionResponse {
            task_definition: Some(render::task_definition::render(ctx.state, row)),
            tags: if tags { row.tags.clone() } else { Vec::new() },
        })
    }
}

impl ReadOp for ListTaskDefinitions {
    type Request = ListTaskDefinitionsRequest;
    type Response = ListTaskDefinitionsResponse;

    /// `familyPrefix` is a whole family here, as in ECS.
    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let status = request.status.as_deref().unwrap_or("ACTIVE");
        let descending = request.sort() == "DESC";
        let filters = ["ListTaskDefinitions", request.family_prefix(), status, request.sort()];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let rows = ctx.state.revisions_of(ctx.principal.account, request.family_prefix());
        let item = |row: &Arc<TaskDefinitionRow>| {
            let listed = render::task_definition::status(row.status) == status;
            listed.then(|| (key(row), render::task_definition::arn(ctx.state, row)))
        };
        let (task_definition_arns, next_token) = match descending {
            true => page.take(rows.rev().filter_map(item), true),
            false => page.take(rows.filter_map(item), false),
        };
        Ok(ListTaskDefinitionsResponse { task_definition_arns, next_token })
    }
}

impl ReadOp for ListTaskDefinitionFamilies {
    type Request = ListTaskDefinitionFamiliesRequest;
    type Response = ListTaskDefinitionFamiliesResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let (prefix, status) = (request.family_prefix(), request.status.as_deref().unwrap_or("ALL"));
        let filters = ["ListTaskDefinitionFamilies", prefix, status];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let items = families(ctx.state, ctx.principal.account).filter(|(family, active)| {
            let listed = match status {
                "ACTIVE" => *active,
                "INACTIVE" => !active,
                _ => true,
            };
            listed && family.starts_with(prefix)
        });
        let (families, next_token) = page.take(items.map(|(f, _)| (f.as_bytes().to_vec(), f.to_owned())), false);
        Ok(ListTaskDefinitionFamiliesResponse { families, next_token })
    }
}

/// Families in order, with whether they have an ACTIVE revision.
fn families(state: &State, account: u32) -> impl Iterator<Item = (&str, bool)> {
    let rows = state.families.iter().filter(move |((of, _), _)| *of == account);
    rows.map(move |((_, family), _)| {
        (family.as_str(), state.revisions_of(account, family).any(|row| resolve::is_active(row)))
    })
}

/// Ordered as (family, revision): no family holds a zero byte.
fn key(row: &TaskDefinitionRow) -> Vec<u8> {
    [row.family.as_bytes(), &[0], &row.revision.to_be_bytes()].concat()
}

fn changed<'a>(state: &'a State, outcome: &Outcome) -> Result<&'a Arc<TaskDefinitionRow>, ApiError> {
    state.task_definitions.get(&TaskDefinitionId(outcome.done()?.id)).ok_or_else(unknown)
}

fn unknown() -> ApiError {
    ApiError::client("Unable to describe task definition.")
}
