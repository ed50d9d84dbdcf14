//! CreateService.

use seawall_model::{ApiError, ErrorCode, TaskDefinitionId, is_ecs_name};
use seawall_proto::{
    internal::v1::{self as internal, ClientToken, ClusterRow, ServiceRow, TaskDefinitionRow},
    v1::{CreateServiceRequest, CreateServiceResponse, DeploymentConfiguration, DeploymentController},
};
use seawall_state::{DAEMON, State};

use super::{changed, spec};
use crate::{
    ops::{
        CommandKind, CreateService, Ctx, Outcome, RenderCtx, Write, WriteOp, capacity_providers, resolve, token,
        tolerance,
    },
    render, validate,
};

/// Longest client token of a CreateService.
const TOKEN_MAX: usize = 36;
/// The first cluster version that has them.
const DAEMONS_SINCE_VERSION: u32 = 2;
/// The operation, as tokens are kept under it.
const OPERATION: &str = "CreateService";

impl WriteOp for CreateService {
    type Request = CreateServiceRequest;
    type Response = CreateServiceResponse;

    fn token(state: &State, account: u32, request: &Self::Request) -> Result<Option<ClientToken>, ApiError> {
        token::check(request.client_token(), TOKEN_MAX)?;
        let cluster = resolve::cluster(state, account, request.cluster.as_deref())?;
        let digest = CreateServiceRequest { client_token: None, ..request.clone() };
        Ok(token::of(OPERATION, cluster.id, request.client_token(), &digest))
    }

    /// ECS declares no ConflictException here.
    fn conflict(_: ApiError) -> ApiError {
        ApiError::invalid("Creation of service was not idempotent.")
    }

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let (state, account) = (ctx.state, ctx.principal.account);
        let cluster = resolve::cluster(state, account, request.cluster.as_deref())?;
        check(request)?;
        check_version(state, request)?;
        let request = &with_strategy(state, cluster, request)?;
        let defaults = spec::default_percents(request.scheduling_strategy());
        let (minimum, maximum) = spec::percents(request.deployment_configuration.as_ref(), defaults)?;
        spec::check_early_success(request.deployment_configuration.as_ref(), minimum)?;
        let token = Self::token(state, account, request)?;
        let definition = definition(state, account, cluster, request)?;
        spec::check_tasks(definition, request)?;
        capacity_providers::check_served(request.launch_type(), ctx.fargate)?;
        let asked = request.availability_zone_rebalancing.as_deref();
        let rebalancing = spec::rebalancing(asked, request, maximum)?;
        let request = &CreateServiceRequest { availability_zone_rebalancing: Some(rebalancing), ..request.clone() };
        let spec = filled(state, cluster, definition, request, (minimum, maximum));
        // Asked again, it is there and holds its room.
        if resolve::service(state, cluster, request.service_name()).is_err() {
            tolerance::check(state, &new_row(cluster, &spec), TaskDefinitionId(definition.id), ctx.fargate)?;
        }
        let command = internal::CreateService {
            cluster_id: cluster.id,
            spec: Some(spec),
            task_definition_id: definition.id,
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            deployment_id: ctx.ids.deployment_id(),
            service_deployment_id: ctx.ids.service_deployment_id(),
            stored_members: validate::stored("CreateServiceRequest", request)?,
        };
        Ok(Write::Commands(vec![(CommandKind::CreateService(command), token)]))
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(CreateServiceResponse { service: Some(changed(ctx.state, outcome)?) })
    }
}

/// The service as it will be, without an id and tasks.
fn new_row(cluster: &ClusterRow, spec: &CreateServiceRequest) -> ServiceRow {
    ServiceRow {
        cluster_id: cluster.id,
        desired_count: spec.desired_count().unsigned_abs(),
        tags: spec.tags.clone(),
        spec: Some(spec.clone()),
        ..ServiceRow::default()
    }
}

/// The request with its strategy's names resolved, and the launch type that it means.
fn with_strategy(
    state: &State,
    cluster: &ClusterRow,
    request: &CreateServiceRequest,
) -> Result<CreateServiceRequest, ApiError> {
    let given = &request.capacity_provider_strategy;
    let strategy = capacity_providers::strategy_in(state, cluster, given, request.launch_type())?;
    let launch_type = match strategy.is_empty() {
        true => request.launch_type.clone(),
        false => Some(capacity_providers::launch_type(&strategy).to_owned()),
    };
    Ok(CreateServiceRequest { capacity_provider_strategy: strategy, launch_type, ..request.clone() })
}

fn check(request: &CreateServiceRequest) -> Result<(), ApiError> {
    let name = request.service_name();
    if !is_ecs_name(name) {
        return Err(ApiError::invalid(format!(
            "Invalid service name '{name}': it must have 1 to 255 letters, digits, hyphens and underscores."
        )));
    }
    if request.task_definition().is_empty() {
        return Err(ApiError::invalid("taskDefinition can not be blank."));
    }
    match (request.scheduling_strategy(), request.desired_count) {
        (DAEMON, _) => spec::check_daemon(&daemon(request))?,
        (_, Some(count)) => {
            spec::desired_count(count)?;
        }
        (_, None) => {
            return Err(ApiError::invalid("desiredCount is required with the scheduling strategy REPLICA."));
        }
    }
    spec::check_grace_period(request.health_check_grace_period_seconds)?;
    spec::check_breaker(request.deployment_configuration.as_ref())?;
    validate::tags::check(&request.tags, validate::tags::On::Service)
}

fn daemon(request: &CreateServiceRequest) -> spec::Daemon<'_> {
    spec::Daemon {
        desired_count: request.desired_count,
        has_strategy: !request.placement_strategy.is_empty(),
        has_providers: !request.capacity_provider_strategy.is_empty(),
        launch_type: request.launch_type(),
        maximum_percent: request.deployment_configuration.as_ref().and_then(|asked| asked.maximum_percent),
    }
}

/// Members of the first version would delete, count and place daemons otherwise.
fn check_version(state: &State, request: &CreateServiceRequest) -> Result<(), ApiError> {
    if request.scheduling_strategy() != DAEMON || state.meta.cluster_version >= DAEMONS_SINCE_VERSION {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedFeature,
        format!(
            "schedulingStrategy DAEMON needs cluster version {DAEMONS_SINCE_VERSION}; this cluster is at {}. next: upgrade \
             every member, then raise the version.",
            state.meta.cluster_version
        ),
    ))
}

/// The revision to run. Where the same service exists already it may be INACTIVE by now: asking again still answers.
fn definition<'a>(
    state: &'a State,
    account: u32,
    cluster: &ClusterRow,
    request: &CreateServiceRequest,
) -> Result<&'a TaskDefinitionRow, ApiError> {
    let exists = resolve::service(state, cluster, request.service_name()).is_ok();
    if exists && let Some(row) = resolve::task_definition(state, account, request.task_definition())? {
        return Ok(row);
    }
    resolve::active_task_definition(state, account, request.task_definition()).map(AsRef::as_ref)
}

/// Names resolved and defaults filled in, so that equal requests make equal specs.
fn filled(
    state: &State,
    cluster: &ClusterRow,
    definition: &TaskDefinitionRow,
    request: &CreateServiceRequest,
    (minimum, maximum): (u32, u32),
) -> CreateServiceRequest {
    let or = |given: &Option<String>, default: &str| {
        Some(given.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| default.into()))
    };
    CreateServiceRequest {
        cluster: Some(cluster.name.clone()),
        task_definition: Some(render::task_definition::arn(state, definition)),
        launch_type: or(&request.launch_type, render::task::launch_type("")),
        scheduling_strategy: or(&request.scheduling_strategy, spec::REPLICA),
        deployment_controller: Some(DeploymentController { r#type: Some("ECS".into()) }),
        network_configuration: validate::launch::filled(request.network_configuration.as_ref()),
        platform_version: render::service::platform_version(request),
        propagate_tags: or(&request.propagate_tags, "NONE"),
        deployment_configuration: Some(DeploymentConfiguration {
            minimum_healthy_percent: i32::try_from(minimum).ok(),
            maximum_percent: i32::try_from(maximum).ok(),
            ..request.deployment_configuration.clone().unwrap_or_default()
        }),
        client_token: None,
        expected_version: None,
        ..request.clone()
    }
}
