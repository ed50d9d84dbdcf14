//! PutClusterCapacityProviders, CreateCapacityProvider, DescribeCapacityProviders, UpdateCapacityProvider,
//! DeleteCapacityProvider.

use seawall_model::{ApiError, ClusterId, Resource, is_ecs_name};
use seawall_proto::{
    internal::v1::{self as internal, CapacityProviderRow, ClusterRow},
    v1::{
        AutoScalingGroupProvider, CapacityProvider, CapacityProviderStrategyItem, CreateCapacityProviderRequest,
        CreateCapacityProviderResponse, DeleteCapacityProviderRequest, DeleteCapacityProviderResponse,
        DescribeCapacityProvidersRequest, DescribeCapacityProvidersResponse, ManagedScaling,
        PutClusterCapacityProvidersRequest, PutClusterCapacityProvidersResponse, UpdateCapacityProviderRequest,
        UpdateCapacityProviderResponse,
    },
};
use seawall_scheduler::{Fargate, is_fargate};
use seawall_state::{PREDEFINED_CAPACITY_PROVIDERS, State, check_strategy};

use super::{
    CommandKind, CreateCapacityProvider, Ctx, DeleteCapacityProvider, DescribeCapacityProviders, Outcome,
    PutClusterCapacityProviders, ReadCtx, ReadOp, RenderCtx, UpdateCapacityProvider, Write, WriteOp, at_most, page,
    page::Page, resolve,
};
use crate::{
    render::{self, capacity_provider::render, cluster::Include},
    validate::{self, task_definition::fargate::FARGATE},
};

/// Names that ECS keeps for itself.
const RESERVED: [&str; 3] = ["aws", "ecs", "fargate"];

impl WriteOp for PutClusterCapacityProviders {
    type Request = PutClusterCapacityProvidersRequest;
    type Response = PutClusterCapacityProvidersResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        let command = internal::PutClusterCapacityProviders {
            cluster_id: cluster.id,
            capacity_providers: names(ctx.state, &request.capacity_providers)?,
            default_strategy: strategy(ctx.state, &request.default_capacity_provider_strategy)?,
        };
        Ok(Write::one(CommandKind::PutClusterCapacityProviders(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        let row = ctx.state.clusters.get(&ClusterId(outcome.done()?.id)).ok_or_else(resolve::cluster_not_found)?;
        let cluster = render::cluster::render(ctx.state, row, Include::all());
        Ok(PutClusterCapacityProvidersResponse { cluster: Some(cluster) })
    }
}

impl WriteOp for CreateCapacityProvider {
    type Request = CreateCapacityProviderRequest;
    type Response = CreateCapacityProviderResponse;

    fn prepare(_: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let name = request.name();
        check_name(name)?;
        validate::tags::check(&request.tags, validate::tags::On::Other)?;
        let provider = request
            .auto_scaling_group_provider
            .clone()
            .ok_or_else(|| ApiError::client("autoScalingGroupProvider is required for a capacity provider."))?;
        let command = internal::CreateCapacityProvider {
            name: name.into(),
            auto_scaling_group_provider: Some(filled(provider)?),
            tags: request.tags.clone(),
        };
        Ok(Write::one(CommandKind::CreateCapacityProvider(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let row = find(ctx.state, ctx.account, request.name())?;
        Ok(CreateCapacityProviderResponse { capacity_provider: Some(render(ctx.state, row, "CREATE_COMPLETE", true)) })
    }
}

impl ReadOp for DescribeCapacityProviders {
    type Request = DescribeCapacityProvidersRequest;
    type Response = DescribeCapacityProvidersResponse;

    fn answer(ctx: &ReadCtx<'_>, request: &Self::Request) -> Result<Self::Response, ApiError> {
        at_most("capacityProviders", request.capacity_providers.len(), page::PAGE)?;
        page::check_small(request.max_results)?;
        if request.cluster.is_some() {
            resolve::cluster(ctx.state, ctx.principal.account, request.cluster.as_deref())?;
        }
        let tags = request.include.iter().any(|word| word == "TAGS");
        let mut failures = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for text in &request.capacity_providers {
            let name = name_of(ctx.state, text)?;
            if ctx.state.has_capacity_provider(ctx.principal.account, &name) {
                names.push(name);
            } else {
                failures.push(render::failure(ctx.state.arns().capacity_provider(&name), "MISSING"));
            }
        }
        if request.capacity_providers.is_empty() {
            let own = ctx.state.capacity_providers.iter().filter(|((of, _), _)| *of == ctx.principal.account);
            names.extend(own.map(|((_, name), _)| name.clone()));
            names.extend(PREDEFINED_CAPACITY_PROVIDERS.map(str::to_owned));
        }
        names.sort();
        names.dedup();
        let mut filters = vec!["DescribeCapacityProviders"];
        filters.extend(request.capacity_providers.iter().map(String::as_str));
        let page = Page::new(&filters, request.next_token.as_deref(), request.max_results, page::SERVICES_PAGE)?;
        let items = names.into_iter().map(|name| (name.as_bytes().to_vec(), name));
        let (names, next_token) = page.take(items, false);
        let rendered = names.iter().map(|name| rendered(ctx.state, ctx.principal.account, name, tags)).collect();
        Ok(DescribeCapacityProvidersResponse { capacity_providers: rendered, failures, next_token })
    }
}

impl WriteOp for UpdateCapacityProvider {
    type Request = UpdateCapacityProviderRequest;
    type Response = UpdateCapacityProviderResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let name = name_of(ctx.state, request.name())?;
        let row = find(ctx.state, ctx.principal.account, &name)?;
        let before = row.auto_scaling_group_provider.clone().unwrap_or_default();
        let asked = request.auto_scaling_group_provider.clone().unwrap_or_default();
        let provider = filled(AutoScalingGroupProvider {
            auto_scaling_group_arn: before.auto_scaling_group_arn,
            managed_scaling: asked.managed_scaling.or(before.managed_scaling),
            managed_termination_protection: asked
                .managed_termination_protection
                .or(before.managed_termination_protection),
            managed_draining: asked.managed_draining.or(before.managed_draining),
        })?;
        let command = internal::UpdateCapacityProvider { name, auto_scaling_group_provider: Some(provider) };
        Ok(Write::one(CommandKind::UpdateCapacityProvider(command)))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let row = find(ctx.state, ctx.account, &name_of(ctx.state, request.name())?)?;
        Ok(UpdateCapacityProviderResponse { capacity_provider: Some(render(ctx.state, row, "UPDATE_COMPLETE", true)) })
    }
}

impl WriteOp for DeleteCapacityProvider {
    type Request = DeleteCapacityProviderRequest;
    type Response = DeleteCapacityProviderResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let name = name_of(ctx.state, request.capacity_provider())?;
        if PREDEFINED_CAPACITY_PROVIDERS.contains(&name.as_str()) {
            return Err(ApiError::client(format!("The capacity provider {name} is reserved and cannot be deleted.")));
        }
        Ok(Write::one(CommandKind::DeleteCapacityProvider(internal::DeleteCapacityProvider { name })))
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, _: &Outcome) -> Result<Self::Response, ApiError> {
        let row = find(ctx.before, ctx.account, &name_of(ctx.state, request.capacity_provider())?)?;
        let mut gone = render(ctx.state, row, "DELETE_COMPLETE", true);
        gone.status = Some("INACTIVE".into());
        Ok(DeleteCapacityProviderResponse { capacity_provider: Some(gone) })
    }
}

fn rendered(state: &State, account: u32, name: &str, tags: bool) -> CapacityProvider {
    match state.capacity_providers.get(&(account, name.to_owned())) {
        Some(row) => render(state, row, "CREATE_COMPLETE", tags),
        None => render::capacity_provider::predefined(state, name),
    }
}

fn find<'a>(state: &'a State, account: u32, name: &str) -> Result<&'a CapacityProviderRow, ApiError> {
    state.capacity_providers.get(&(account, name.to_owned())).map(AsRef::as_ref).ok_or_else(|| {
        ApiError::client("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
    })
}

/// Names of capacity providers that are given by name or ARN.
///
/// # Errors
/// `InvalidParameterException` for an ARN of something else or of somewhere else.
pub fn names(state: &State, given: &[String]) -> Result<Vec<String>, ApiError> {
    given.iter().map(|text| name_of(state, text)).collect()
}

/// A strategy whose providers are given by name or ARN.
///
/// # Errors
/// As [`names`].
pub fn strategy(
    state: &State,
    given: &[CapacityProviderStrategyItem],
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    let named = |item: &CapacityProviderStrategyItem| {
        Ok(CapacityProviderStrategyItem {
            capacity_provider: Some(name_of(state, item.capacity_provider())?),
            weight: Some(item.weight()),
            base: Some(item.base()),
        })
    };
    given.iter().map(named).collect()
}

/// The strategy of a task or service of `cluster`, beside the launch type that it names: the cluster's own where it names
/// neither.
///
/// # Errors
/// `InvalidParameterException` where the two exclude each other, or the cluster has no such provider.
pub fn strategy_in(
    state: &State,
    cluster: &ClusterRow,
    given: &[CapacityProviderStrategyItem],
    launch_type: &str,
) -> Result<Vec<CapacityProviderStrategyItem>, ApiError> {
    if !given.is_empty() && !launch_type.is_empty() {
        return Err(ApiError::invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
        ));
    }
    if given.is_empty() && launch_type.is_empty() {
        return Ok(cluster.default_strategy.clone());
    }
    let strategy = strategy(state, given)?;
    check_strategy(&strategy, &cluster.capacity_providers)?;
    Ok(strategy)
}

/// The launch type of tasks that a strategy places: FARGATE's providers have FARGATE's.
pub fn launch_type(strategy: &[CapacityProviderStrategyItem]) -> &'static str {
    if strategy.iter().any(|item| is_fargate(item.capacity_provider())) { FARGATE } else { "" }
}

/// Whether the operator has tasks of the launch type run at all.
///
/// # Errors
/// `InvalidParameterException` for FARGATE where the members run with `--fargate=refuse`.
pub fn check_served(launch_type: &str, fargate: Fargate) -> Result<(), ApiError> {
    if launch_type == FARGATE && fargate == Fargate::Refuse {
        return Err(ApiError::invalid(
            "FARGATE is not served by this cluster: its members run with --fargate=refuse. Use the launch type EC2.",
        ));
    }
    Ok(())
}

fn name_of(state: &State, text: &str) -> Result<String, ApiError> {
    match state.arns().parse(text)? {
        None => Ok(text.to_owned()),
        Some(Resource::CapacityProvider(name)) => Ok(name),
        Some(_) => Err(ApiError::invalid(format!("Invalid identifier: {text} is not a capacity provider."))),
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if !is_ecs_name(name) {
        return Err(ApiError::client(format!(
            "Invalid capacity provider name '{name}': it must have 1 to 255 letters, digits, hyphens and underscores."
        )));
    }
    let lower = name.to_ascii_lowercase();
    match RESERVED.iter().find(|prefix| lower.starts_with(**prefix)) {
        None => Ok(()),
        Some(prefix) => Err(ApiError::client(format!("The name of a capacity provider cannot begin with '{prefix}'."))),
    }
}

/// ECS's defaults, as it echoes them.
fn filled(provider: AutoScalingGroupProvider) -> Result<AutoScalingGroupProvider, ApiError> {
    let scaling = provider.managed_scaling.unwrap_or_default();
    let or = |given: Option<String>, default: &str| Some(given.filter(|t| !t.is_empty()).unwrap_or(default.into()));
    let scaling = ManagedScaling {
        status: or(scaling.status, "DISABLED"),
        target_capacity: scaling.target_capacity.or(Some(100)),
        minimum_scaling_step_size: scaling.minimum_scaling_step_size.or(Some(1)),
        maximum_scaling_step_size: scaling.maximum_scaling_step_size.or(Some(10_000)),
        instance_warmup_period: scaling.instance_warmup_period.or(Some(300)),
    };
    if scaling.minimum_scaling_step_size > scaling.maximum_scaling_step_size {
        return Err(ApiError::client("minimumScalingStepSize must not be greater than maximumScalingStepSize."));
    }
    Ok(AutoScalingGroupProvider {
        managed_scaling: Some(scaling),
        managed_termination_protection: or(provider.managed_termination_protection, "DISABLED"),
        managed_draining: or(provider.managed_draining, "ENABLED"),
        ..provider
    })
}
