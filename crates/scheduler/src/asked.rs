//! What a plan was asked for, from what its command holds: RunTask's call, or the service or job that asked.

use seawall_model::{ClusterId, InstanceId, JobId, ServiceId, TaskDefinitionId};
use seawall_proto::internal::v1::{FargateServedBy, JobRow, PlaceAsk, PlaceTasks, PlaceWaiting};
use seawall_state::{State, effective_size, is_daemon, job_group, priority_of, task_id};

use crate::{
    Constraints, Fargate, Fleet, Overlay, PlaceRequest, Plan, Pool, Requirement, Share, Strategy, place_on_each,
};

/// What a plan for so many tasks is asked for, where the rest is in the state.
pub fn ask(count: u32, fargate: Fargate) -> PlaceAsk {
    PlaceAsk { count, fargate: FargateServedBy::from(fargate).into(), ..PlaceAsk::default() }
}

/// Plans what the command was planned for, on the state and the proposals of then.
///
/// # Errors
/// Why what was asked for makes no request.
pub fn plan_again(state: &State, overlay: &Overlay, place: &PlaceTasks) -> Result<(PlaceRequest, Plan), String> {
    let ask = asked(place)?;
    let request = PlaceRequest::of_command(state, overlay, place)?;
    let on: Vec<InstanceId> = ask.on.iter().copied().map(InstanceId).collect();
    let of_daemon = state.services.get(&ServiceId(place.service_id)).is_some_and(|row| is_daemon(row));
    let plan = match ask.near.as_deref() {
        Some(zone) => {
            let zone = (!zone.is_empty()).then_some(zone);
            Fleet::new(state, overlay).place_near(&request, zone).unwrap_or_default()
        }
        None if of_daemon => place_on_each(state, overlay, &request, &on),
        None => Fleet::new(state, overlay).place(&request),
    };
    Ok((request, plan))
}

/// The same of a task that had waited, beside what was placed before it by the command.
///
/// # Errors
/// As [`plan_again`].
pub fn find_again(
    state: &State,
    overlay: &Overlay,
    place: &PlaceWaiting,
    at: usize,
) -> Result<(PlaceRequest, Plan), String> {
    let mut overlay = overlay.clone();
    place.items.iter().take(at).for_each(|item| overlay.add_waiting(state, item));
    let id = place.items.get(at).and_then(|item| item.task.as_ref()).map(task_id).unwrap_or_default();
    let task = state.tasks.get(&id).ok_or("the task is not there")?;
    let request = PlaceRequest::of_waiting(state, task, place.fargate().into())?;
    let plan = Fleet::new(state, &overlay).find(&request).unwrap_or_default();
    Ok((request, plan))
}

fn asked(place: &PlaceTasks) -> Result<&PlaceAsk, &'static str> {
    place.ask.as_ref().ok_or("its command does not say what was asked for: an earlier version proposed it")
}

impl PlaceRequest {
    /// Tasks of a job.
    ///
    /// # Errors
    /// Why no task of it can ever run.
    pub fn of_job(state: &State, job: &JobRow, count: u32, fargate: Fargate) -> Result<Self, String> {
        let template = job.template.clone().unwrap_or_default();
        let definition = state.task_definitions.get(&TaskDefinitionId(job.task_definition_id));
        let definition = definition.ok_or("Its task definition is gone.")?;
        let cluster = ClusterId(job.cluster_id);
        let requirement = Requirement {
            size: effective_size(definition, template.overrides.as_ref()).map_err(|error| error.message)?,
            constraints: Constraints::of(definition, &[])?,
            pool: Pool::of_launch_type(state, cluster, template.launch_type(), fargate),
        };
        let request = PlaceRequest::of_group(cluster, &job_group(&job.name), requirement, count);
        Ok(PlaceRequest { priority: priority_of(&template.tags), fargate, ..request })
    }

    fn of_command(state: &State, overlay: &Overlay, place: &PlaceTasks) -> Result<Self, String> {
        let ask = asked(place)?;
        let fargate = Fargate::from(ask.fargate());
        let definition = TaskDefinitionId(place.task_definition_id);
        if place.service_id != 0 {
            let service = state.services.get(&ServiceId(place.service_id)).ok_or("its service is not there")?;
            return PlaceRequest::of_service(state, overlay, service, definition, ask.count, fargate);
        }
        if place.job_id != 0 {
            let job = state.jobs.get(&JobId(place.job_id)).ok_or("its job is not there")?;
            return PlaceRequest::of_job(state, job, ask.count, fargate);
        }
        PlaceRequest::of_call(state, place)
    }

    /// What a RunTask or StartTask asks, whose command is this.
    ///
    /// # Errors
    /// What of it makes no request: all of it was checked when the call was taken.
    pub fn of_call(state: &State, place: &PlaceTasks) -> Result<Self, String> {
        let ask = asked(place)?;
        let fargate = Fargate::from(ask.fargate());
        let definition = state.task_definitions.get(&TaskDefinitionId(place.task_definition_id));
        let definition = definition.ok_or("its task definition is not there")?;
        let cluster = ClusterId(place.cluster_id);
        let size = effective_size(definition, place.overrides.as_ref()).map_err(|error| error.message)?;
        if place.chosen {
            let requirement = Requirement { size, ..Requirement::default() };
            let only = Some(ask.on.iter().copied().map(InstanceId).collect());
            return Ok(PlaceRequest { only, ..PlaceRequest::of_group(cluster, &place.group, requirement, 0) });
        }
        let providers = &ask.capacity_provider_strategy;
        let launch = if providers.is_empty() { place.launch_type.as_str() } else { "" };
        let requirement = Requirement {
            size,
            constraints: Constraints::of(definition, &ask.constraints)?,
            pool: Pool::of_launch_type(state, cluster, launch, fargate),
        };
        Ok(PlaceRequest {
            strategy: Strategy::parse(&ask.strategy, place.base.map_or(0, |base| base.lo))?,
            shares: Share::of(state, cluster, providers, fargate, |_| 0),
            priority: priority_of(&place.tags),
            fargate,
            ..PlaceRequest::of_group(cluster, &place.group, requirement, ask.count)
        })
    }
}

impl From<Fargate> for FargateServedBy {
    fn from(fargate: Fargate) -> Self {
        match fargate {
            Fargate::Instances => FargateServedBy::Instances,
            Fargate::Pool => FargateServedBy::Pool,
            Fargate::Refuse => FargateServedBy::Nothing,
        }
    }
}

impl From<FargateServedBy> for Fargate {
    fn from(served: FargateServedBy) -> Self {
        match served {
            FargateServedBy::Instances => Fargate::Instances,
            FargateServedBy::Pool => Fargate::Pool,
            FargateServedBy::Nothing => Fargate::Refuse,
        }
    }
}
