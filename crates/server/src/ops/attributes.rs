//! PutAttributes, DeleteAttributes, ListAttributes.

use seawall_model::{ApiError, ClusterId, ErrorCode, limits::ATTRIBUTES_MAX};
use seawall_proto::{
    internal::v1::{self as internal, ClusterRow, InstanceRow, put_attributes},
    v1::{
        Attribute, DeleteAttributesRequest, DeleteAttributesResponse, ListAttributesRequest, ListAttributesResponse,
        PutAttributesRequest, PutAttributesResponse,
    },
};
use seawall_state::State;

use super::{
    CommandKind, Ctx, DeleteAttributes, ListAttributes, Outcome, PutAttributes, ReadCtx, ReadOp, RenderCtx, Write,
    WriteOp, at_most, instances, not_empty, page, page::Page, resolve,
};
use crate::render;

/// Longest name or value of an attribute.
const CHARS_MAX: usize = 128;

impl WriteOp for PutAttributes {
    type Request = PutAttributesRequest;
    type Response = PutAttributesResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Attributes", request.attributes.len())?;
        at_most("attributes", request.attributes.len(), ATTRIBUTES_MAX)?;
        request.attributes.iter().try_for_each(check)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let items = items(ctx.state, cluster, &request.attributes)?;
        Ok(Write::one(CommandKind::PutAttributes(internal::PutAttributes { cluster_id: cluster.id, items })))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(PutAttributesResponse { attributes: echo(ctx, request.cluster.as_deref(), &request.attributes)? })
    }
}

impl WriteOp for DeleteAttributes {
    type Request = DeleteAttributesRequest;
    type Response = DeleteAttributesResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Attributes", request.attributes.len())?;
        at_most("attributes", request.attributes.len(), ATTRIBUTES_MAX)?;
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let items = items(ctx.state, cluster, &request.attributes)?;
        Ok(Write::one(CommandKind::DeleteAttributes(internal::DeleteAttributes { cluster_id: cluster.id, items })))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(DeleteAttributesResponse { attributes: echo(ctx, request.cluster.as_deref(), &request.attributes)? })
    }
}

impl ReadOp for ListAttributes {
    type Request = ListAttributesRequest;
    type Response = ListAttributesResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        let (name, value) = (request.attribute_name(), request.attribute_value());
        if name.is_empty() && !value.is_empty() {
            return Err(ApiError::invalid("attributeValue needs attributeName."));
        }
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let filters = ["ListAttributes", &cluster.name, request.target_type(), name, value];
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::PAGE)?;
        let rows = ctx.state.instances_of(ClusterId(cluster.id)).filter(|row| instances::is_shown(ctx, row));
        let items = rows.flat_map(|row| of_instance(ctx.state, row)).filter(|(_, attribute)| {
            (name.is_empty() || attribute.name() == name) && (value.is_empty() || attribute.value() == value)
        });
        let (attributes, next_token) = page.take(items, false);
        Ok(ListAttributesResponse { attributes, next_token })
    }
}

/// The attributes of an instance by name, with the keys of their places in the list.
fn of_instance(state: &State, row: &InstanceRow) -> Vec<(Vec<u8>, Attribute)> {
    let arn = render::instance::arn(state, row);
    let mut attributes = render::instance::attributes(row);
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    let keyed = attributes.into_iter().map(|attribute| {
        let key = [&row.id.to_be_bytes()[..], attribute.name().as_bytes()].concat();
        (key, Attribute { target_id: Some(arn.clone()), ..attribute })
    });
    keyed.collect()
}

fn check(attribute: &Attribute) -> Result<(), ApiError> {
    let (name, value) = (attribute.name(), attribute.value());
    let in_name = |c: char| c.is_ascii_alphanumeric() || "_-./\\".contains(c);
    if name.is_empty() || name.len() > CHARS_MAX || !name.chars().all(in_name) {
        return Err(ApiError::invalid(format!(
            "Invalid attribute name '{name}': it must have 1 to {CHARS_MAX} letters, digits and _ - . / \\"
        )));
    }
    let in_value = |c: char| in_name(c) || "@: ".contains(c);
    if value.len() > CHARS_MAX || !value.chars().all(in_value) || value.trim() != value {
        return Err(ApiError::invalid(format!(
            "Invalid value of attribute '{name}': it must have at most {CHARS_MAX} letters, digits and _ - . / \\ @ : or \
             spaces, and no space at either end."
        )));
    }
    Ok(())
}

fn items(state: &State, cluster: &ClusterRow, attributes: &[Attribute]) -> Result<Vec<put_attributes::Item>, ApiError> {
    let item = |attribute: &Attribute| {
        Ok(put_attributes::Item {
            instance_id: target(state, cluster, attribute)?.id,
            name: attribute.name().into(),
            value: attribute.value().into(),
        })
    };
    attributes.iter().map(item).collect()
}

fn target<'a>(state: &'a State, cluster: &ClusterRow, attribute: &Attribute) -> Result<&'a InstanceRow, ApiError> {
    let text = attribute.target_id();
    if text.is_empty() {
        return Err(ApiError::invalid(format!("The attribute '{}' has no targetId.", attribute.name())));
    }
    let row = resolve::instance(state, cluster, text)?;
    row.map(AsRef::as_ref).ok_or_else(|| {
        ApiError::new(ErrorCode::TargetNotFound, format!("The target {text} was not found in the cluster."))
    })
}

/// As asked for, with the ARNs of the targets.
fn echo(ctx: &RenderCtx<'_>, cluster: Option<&str>, attributes: &[Attribute]) -> Result<Vec<Attribute>, ApiError> {
    let cluster = resolve::cluster(ctx.state, ctx.account, cluster)?;
    let with_arn = |attribute: &Attribute| Attribute {
        name: attribute.name.clone(),
        value: attribute.value.clone(),
        target_type: None,
        target_id: Some(super::instances::arn(ctx.state, cluster, attribute.target_id())),
    };
    Ok(attributes.iter().map(with_arn).collect())
}
