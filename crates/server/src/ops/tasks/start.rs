//! RunTask and StartTask.

use seawall_model::{
    ApiError, ClusterId, InstanceId,
    limits::{RUN_TASK_COUNT_MAX, START_TASK_INSTANCES_MAX},
};
use seawall_proto::{
    internal::v1::{
        self as internal, ClientToken, ClusterRow, InstanceStatus, PlaceAsk, TaskDefinitionRow, WaitingRow, reply,
    },
    v1::{Failure, RunTaskRequest, RunTaskResponse, StartTaskRequest, StartTaskResponse, Tag, Task, TaskOverride},
};
use seawall_scheduler::{PlaceRequest, ask, effective_size};
use seawall_state::{State, task_id, task_id_message};

use super::overrides;
use crate::{
    ops::{
        Ctx, Outcome, RenderCtx, RunTask, StartTask, Write, WriteOp, at_most, capacity_providers, instances, not_empty,
        resolve, token,
    },
    render,
    validate::{self, launch::Launch, placement::Placement, task_definition::fargate},
};

/// Longest `startedBy` of a RunTask.
const RUN_STARTED_BY_MAX: usize = 128;
/// Longest `startedBy` of a StartTask.
const START_STARTED_BY_MAX: usize = 36;
/// Longest task group.
const GROUP_MAX: usize = 255;
/// Longest client token of a RunTask.
const TOKEN_MAX: usize = 64;

/// What RunTask and StartTask have in common.
struct Asked<'a> {
    cluster: &'a ClusterRow,
    definition: &'a TaskDefinitionRow,
    group: String,
    started_by: &'a str,
    overrides: Option<TaskOverride>,
    tags: Vec<Tag>,
    launch: Launch<'a>,
}

impl Asked<'_> {
    fn template(self, ctx: &mut Ctx<'_>, chosen: bool, ask: PlaceAsk) -> Box<internal::PlaceTasks> {
        Box::new(internal::PlaceTasks {
            cluster_id: self.cluster.id,
            task_definition_id: self.definition.id,
            base: Some(task_id_message(ctx.ids.task_base())),
            group: self.group,
            started_by: self.started_by.into(),
            overrides: self.overrides,
            tags: self.tags,
            launch_type: self.launch.launch_type.into(),
            network_configuration: validate::launch::filled(self.launch.network),
            chosen,
            partial: true,
            ask: Some(ask),
            ..Default::default()
        })
    }
}

impl WriteOp for RunTask {
    type Request = RunTaskRequest;
    type Response = RunTaskResponse;

    fn token(state: &State, account: u32, request: &Self::Request) -> Result<Option<ClientToken>, ApiError> {
        token::check(request.client_token(), TOKEN_MAX)?;
        let cluster = resolve::cluster(state, account, request.cluster.as_deref())?;
        let digest = RunTaskRequest { client_token: None, ..request.clone() };
        Ok(token::of("RunTask", cluster.id, request.client_token(), &digest))
    }

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        let count = match request.count.unwrap_or(1).try_into() {
            Ok(count @ 1..=RUN_TASK_COUNT_MAX) => count,
            _ => {
                let count = request.count();
                return Err(ApiError::invalid(format!(
                    "count is {count}; it must be between 1 and {RUN_TASK_COUNT_MAX}."
                )));
            }
        };
        let state = ctx.state;
        let token = Self::token(state, ctx.principal.account, request)?;
        let cluster = resolve::cluster(state, ctx.principal.account, request.cluster.as_deref())?;
        let mut tags = request.tags.clone();
        let given = &request.capacity_provider_strategy;
        let strategy = capacity_providers::strategy_in(state, cluster, given, request.launch_type())?;
        let launch_type = match strategy.is_empty() {
            true => request.launch_type(),
            false => capacity_providers::launch_type(&strategy),
        };
        capacity_providers::check_served(launch_type, ctx.fargate)?;
        let asked = Asked {
            cluster,
            definition: resolve::active_task_definition(state, ctx.principal.account, request.task_definition())?,
            group: request.group().into(),
            started_by: bounded("startedBy", request.started_by(), RUN_STARTED_BY_MAX)?,
            overrides: request.overrides.clone(),
            tags: std::mem::take(&mut tags),
            launch: Launch {
                launch_type: render::task::launch_type(launch_type),
                platform_version: request.platform_version(),
                network: request.network_configuration.as_ref(),
            },
        };
        let asked = completed(asked, request.propagate_tags())?;
        let placement =
            Placement { strategy: &request.placement_strategy, constraints: &request.placement_constraints };
        if let Some(definition) = &asked.definition.definition {
            validate::placement::check(definition, asked.launch.launch_type, &placement)?;
        }
        let ask = PlaceAsk {
            constraints: request.placement_constraints.clone(),
            strategy: request.placement_strategy.clone(),
            capacity_provider_strategy: strategy,
            ..ask(count, ctx.fargate)
        };
        let mut template = asked.template(ctx, false, ask);
        let place = PlaceRequest::of_call(state, &template).map_err(ApiError::invalid)?;
        let may_wait = place.shares.iter().any(|share| share.waits);
        let has_active = state.instances_of(ClusterId(cluster.id)).any(|row| is_active(row.status));
        if !has_active && !may_wait {
            return Err(ApiError::invalid("No Container Instances were found in your cluster."));
        }
        // What finds no room waits with this.
        template.wait = may_wait.then(|| WaitingRow {
            strategy: request.placement_strategy.clone(),
            constraints: request.placement_constraints.clone(),
        });
        Ok(Write::Place { request: place, template, token })
    }

    fn render(ctx: &RenderCtx<'_>, _: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        Ok(RunTaskResponse { tasks: tasks(ctx.state, outcome), failures: unplaced(outcome) })
    }
}

impl WriteOp for StartTask {
    type Request = StartTaskRequest;
    type Response = StartTaskResponse;

    fn prepare(ctx: &mut Ctx<'_>, request: &Self::Request) -> Result<Write, ApiError> {
        not_empty("Container instances", request.container_instances.len())?;
        at_most("containerInstances", request.container_instances.len(), START_TASK_INSTANCES_MAX)?;
        let state = ctx.state;
        let cluster = resolve::cluster(state, ctx.principal.account, request.cluster.as_deref())?;
        let asked = Asked {
            cluster,
            definition: resolve::active_task_definition(state, ctx.principal.account, request.task_definition())?,
            group: request.group().into(),
            started_by: bounded("startedBy", request.started_by(), START_STARTED_BY_MAX)?,
            overrides: request.overrides.clone(),
            tags: request.tags.clone(),
            launch: Launch {
                launch_type: render::task::launch_type(""),
                platform_version: "",
                network: request.network_configuration.as_ref(),
            },
        };
        let asked = completed(asked, request.propagate_tags())?;
        let mut chosen = Vec::new();
        for text in &request.container_instances {
            chosen.extend(resolve::instance(state, cluster, text)?.map(|row| InstanceId(row.id)));
        }
        if chosen.is_empty() {
            return Ok(Write::Nothing);
        }
        let ask = PlaceAsk { on: chosen.iter().map(|id| id.0).collect(), ..ask(0, ctx.fargate) };
        let template = asked.template(ctx, true, ask);
        let place = PlaceRequest::of_call(state, &template).map_err(ApiError::invalid)?;
        Ok(Write::Place { request: place, template, token: None })
    }

    fn render(ctx: &RenderCtx<'_>, request: &Self::Request, outcome: &Outcome) -> Result<Self::Response, ApiError> {
        let cluster = resolve::cluster(ctx.state, ctx.account, request.cluster.as_deref())?;
        let mut failures = unplaced(outcome);
        for text in &request.container_instances {
            if resolve::instance(ctx.before, cluster, text)?.is_none() {
                failures.push(render::failure(instances::arn(ctx.state, cluster, text), "MISSING"));
            }
        }
        Ok(StartTaskResponse { tasks: tasks(ctx.state, outcome), failures })
    }
}

/// Checks what the definition asks for, and completes what follows from it: overrides, group and tags.
fn completed<'a>(mut asked: Asked<'a>, propagate_tags: &str) -> Result<Asked<'a>, ApiError> {
    if let (Some(overrides), Some(definition)) = (&asked.overrides, &asked.definition.definition) {
        asked.overrides = Some(overrides::completed(overrides, definition)?);
    }
    if let Some(definition) = &asked.definition.definition {
        validate::launch::check(definition, &asked.launch)?;
    }
    let size = effective_size(asked.definition, asked.overrides.as_ref())?;
    if asked.launch.launch_type == fargate::FARGATE && !fargate::is_size(size.cpu, size.memory) {
        return Err(ApiError::invalid(fargate::NO_SIZE));
    }
    // ECS keeps this namespace for the tasks of services.
    if asked.group.starts_with("service:") {
        return Err(ApiError::invalid("Invalid namespace for group."));
    }
    bounded("group", &asked.group, GROUP_MAX)?;
    if asked.group.is_empty() {
        asked.group = format!("family:{}", asked.definition.family);
    }
    if propagate_tags == "TASK_DEFINITION" {
        let own = std::mem::take(&mut asked.tags);
        let kept = asked.definition.tags.iter().filter(|tag| !own.iter().any(|o| o.key == tag.key)).cloned();
        asked.tags = kept.chain(own.iter().cloned()).collect();
    }
    validate::tags::check(&asked.tags, validate::tags::On::Task)?;
    validate::tags::check_count(&[], &asked.tags)?;
    Ok(asked)
}

fn bounded<'a>(member: &str, text: &'a str, limit: usize) -> Result<&'a str, ApiError> {
    if text.chars().count() <= limit {
        return Ok(text);
    }
    Err(ApiError::invalid(format!("{member} is longer than {limit} characters.")))
}

fn is_active(status: i32) -> bool {
    status == i32::from(InstanceStatus::Active)
}

/// The tasks that were placed, as they are now: a replayed call answers with the same ones.
fn tasks(state: &State, outcome: &Outcome) -> Vec<Task> {
    let placed = outcome.replies.iter().filter_map(|reply| match &reply.kind {
        Some(reply::Kind::Placed(placed)) => Some(&placed.tasks),
        _ => None,
    });
    let rows = placed.flatten().filter_map(|id| state.tasks.get(&task_id(id)));
    rows.map(|row| render::task::render(state, row, true)).collect()
}

/// What the planner found no place for, and what lost its place to another request between planning and applying.
fn unplaced(outcome: &Outcome) -> Vec<Failure> {
    let placed = outcome.replies.iter().filter_map(|reply| match &reply.kind {
        Some(reply::Kind::Placed(placed)) => Some(placed),
        _ => None,
    });
    let recorded = placed.clone().flat_map(|placed| &placed.failures);
    let failures = outcome.failures.iter().chain(recorded).cloned();
    failures.chain(crowded_out(placed.map(|placed| placed.rejected.len()).sum())).collect()
}

fn crowded_out(count: usize) -> Option<Failure> {
    (count > 0).then(|| Failure {
        arn: None,
        reason: Some("CAPACITY".into()),
        detail: Some(format!("{count} of the tasks lost their place to another request. Run them again.")),
    })
}
