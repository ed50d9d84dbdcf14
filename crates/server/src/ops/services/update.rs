//! UpdateService: what is absent stays, what is empty is cleared.

use seawall_model::{ApiError, ErrorCode, TaskDefinitionId};
use seawall_proto::{
    internal::v1::{self as internal, ServiceRow, ServiceStatusCode},
    v1::{CreateServiceRequest, DeploymentConfiguration, UpdateServiceRequest, UpdateServiceResponse},
};
use seawall_state::{is_daemon, primary_deployment};

use super::{changed, spec};
use crate::{
    ops::{
        CommandKind, Ctx, Outcome, RenderCtx, UpdateService, Write, WriteOp, capacity_providers, resolve, tolerance,
    },
    render, validate,
};

impl WriteOp for UpdateService {
    type Request = UpdateServiceRequest;
    type Response = UpdateServiceResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let (state, account) = (ctx.state, ctx.principal.account);
        let cluster = resolve::cluster(state, account, request.cluster.as_deref())?;
        let named = resolve::any_service(state, cluster, request.service())?;
        let row = named.ok_or_else(resolve::service_not_found)?;
        if row.status != i32::from(ServiceStatusCode::Active) {
            return Err(ApiError::new(ErrorCode::ServiceNotActive, "Service was not ACTIVE."));
        }
        spec::check_grace_period(request.health_check_grace_period_seconds)?;
        spec::check_breaker(request.deployment_configuration.as_ref())?;
        if is_daemon(row) {
            spec::check_daemon(&daemon(request))?;
        }
        let before = (row.minimum_healthy_percent, row.maximum_percent);
        let percents = spec::percents(request.deployment_configuration.as_ref(), before)?;
        let mut changed = changed_spec(row, request, percents);
        spec::check_early_success(changed.deployment_configuration.as_ref(), percents.0)?;
        let kept = changed.availability_zone_rebalancing.get_or_insert_with(|| spec::DISABLED.into()).clone();
        if asks_about_rebalancing(request) {
            spec::rebalancing(Some(&kept), &changed, percents.1)?;
        }
        if let Some(list) = &request.capacity_provider_strategy {
            // A service may go from a launch type to providers, and back by an empty list.
            changed.capacity_provider_strategy = capacity_providers::strategy_in(state, cluster, &list.items, "")?;
            let meant = capacity_providers::launch_type(&changed.capacity_provider_strategy);
            changed.launch_type = Some(render::task::launch_type(meant).into());
            capacity_providers::check_served(meant, ctx.fargate)?;
        }
        let task_definition_id = match task_definition_asked(request) {
            None => 0,
            Some(text) => {
                let definition = resolve::task_definition(state, account, text)?
                    .ok_or_else(|| ApiError::client("TaskDefinition not found."))?;
                let current = primary_deployment(row).map_or(0, |(_, id)| id.0);
                if definition.id != current && !resolve::is_active(definition) {
                    return Err(ApiError::client("TaskDefinition is inactive"));
                }
                changed.task_definition = Some(render::task_definition::arn(state, definition));
                spec::check_tasks(definition, &changed)?;
                definition.id
            }
        };
        if task_definition_id == 0
            && let Some(definition) = primary_deployment(row).and_then(|(_, id)| state.task_definitions.get(&id))
        {
            spec::check_tasks(definition, &changed)?;
        }
        // Other subnets, other tasks.
        let moves = row.spec.as_ref().is_some_and(|old| {
            old.network_configuration != changed.network_configuration
                || old.platform_version != changed.platform_version
        });
        let desired_count = request.desired_count.map(spec::desired_count).transpose()?;
        check_tolerance(ctx, row, &changed, desired_count, task_definition_id)?;
        let command = internal::UpdateService {
            service_id: row.id,
            desired_count,
            task_definition_id,
            minimum_healthy_percent: Some(percents.0),
            maximum_percent: Some(percents.1),
            force_new_deployment: request.force_new_deployment() || moves,
            deployment_id: ctx.ids.deployment_id(),
            spec: Some(changed),
            service_deployment_id: ctx.ids.service_deployment_id(),
            stored_members: validate::stored("UpdateServiceRequest", request)?,
        };
        Ok(Write::one(CommandKind::UpdateService(command)))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(UpdateServiceResponse { service: Some(changed(ctx.state, outcome)?) })
    }
}

/// What asks for no more room than there was is never refused: it may be what mends it.
fn check_tolerance(
    ctx: &Ctx<'_>,
    row: &ServiceRow,
    changed: &CreateServiceRequest,
    desired_count: Option<u32>,
    task_definition_id: u64,
) -> Result<(), ApiError> {
    let desired_count = desired_count.unwrap_or(row.desired_count);
    let places = |spec: &CreateServiceRequest| {
        (spec.placement_constraints.clone(), spec.placement_strategy.clone(), spec.capacity_provider_strategy.clone())
    };
    let elsewhere = row.spec.as_ref().is_some_and(|old| places(old) != places(changed));
    let Some((_, current)) = primary_deployment(row) else { return Ok(()) };
    if desired_count <= row.desired_count && task_definition_id == 0 && !elsewhere {
        return Ok(());
    }
    let definition = if task_definition_id == 0 { current } else { TaskDefinitionId(task_definition_id) };
    let asked = ServiceRow { desired_count, spec: Some(changed.clone()), ..row.clone() };
    tolerance::check(ctx.state, &asked, definition, ctx.fargate)
}

fn daemon(request: &UpdateServiceRequest) -> spec::Daemon<'_> {
    spec::Daemon {
        desired_count: request.desired_count,
        has_strategy: request.placement_strategy.as_ref().is_some_and(|list| !list.items.is_empty()),
        has_providers: request.capacity_provider_strategy.as_ref().is_some_and(|list| !list.items.is_empty()),
        launch_type: "",
        maximum_percent: request.deployment_configuration.as_ref().and_then(|asked| asked.maximum_percent),
    }
}

/// Whether it changes something that rebalancing rests on: what an earlier version let pass stays.
fn asks_about_rebalancing(request: &UpdateServiceRequest) -> bool {
    let maximum = request.deployment_configuration.as_ref().and_then(|asked| asked.maximum_percent);
    request.availability_zone_rebalancing.is_some() || request.placement_strategy.is_some() || maximum.is_some()
}

fn task_definition_asked(request: &UpdateServiceRequest) -> Option<&str> {
    request.task_definition.as_deref().filter(|text| !text.is_empty())
}

/// The whole spec after the change.
fn changed_spec(row: &ServiceRow, request: &UpdateServiceRequest, percents: (u32, u32)) -> CreateServiceRequest {
    let old = row.spec.clone().unwrap_or_default();
    CreateServiceRequest {
        desired_count: request.desired_count.or(old.desired_count),
        availability_zone_rebalancing: or_old(
            &request.availability_zone_rebalancing,
            old.availability_zone_rebalancing,
        ),
        health_check_grace_period_seconds: request
            .health_check_grace_period_seconds
            .or(old.health_check_grace_period_seconds),
        enable_ecs_managed_tags: request.enable_ecs_managed_tags.or(old.enable_ecs_managed_tags),
        propagate_tags: or_old(&request.propagate_tags, old.propagate_tags),
        platform_version: or_old(&request.platform_version, old.platform_version),
        network_configuration: validate::launch::filled(request.network_configuration.as_ref())
            .or(old.network_configuration),
        load_balancers: request.load_balancers.clone().map_or(old.load_balancers, |list| list.items),
        service_registries: request.service_registries.clone().map_or(old.service_registries, |list| list.items),
        placement_strategy: request.placement_strategy.clone().map_or(old.placement_strategy, |list| list.items),
        placement_constraints: request
            .placement_constraints
            .clone()
            .map_or(old.placement_constraints, |list| list.items),
        volume_configurations: request
            .volume_configurations
            .clone()
            .map_or(old.volume_configurations, |list| list.items),
        service_connect_configuration: request
            .service_connect_configuration
            .clone()
            .or(old.service_connect_configuration),
        deployment_configuration: Some(DeploymentConfiguration {
            minimum_healthy_percent: i32::try_from(percents.0).ok(),
            maximum_percent: i32::try_from(percents.1).ok(),
            ..spec::merged(request.deployment_configuration.as_ref(), old.deployment_configuration)
        }),
        ..old
    }
}

fn or_old(asked: &Option<String>, old: Option<String>) -> Option<String> {
    asked.clone().filter(|text| !text.is_empty()).or(old)
}
