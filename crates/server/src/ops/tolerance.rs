//! `seawall:zone-loss-tolerance`: a service that must find room for all its tasks without any one zone.

use seawall_model::{ApiError, ClusterId, Id128, ServiceId, TaskDefinitionId, own_tags};
use seawall_proto::internal::v1::{PlaceTasks, ServiceRow, place_tasks};
use seawall_scheduler::{Fargate, Overlay, PlaceRequest, Shortfall, instances_for, place_without, short_without};
use seawall_state::{State, is_daemon, task_id_message, tolerates_zone_loss};

/// Holds a service as it is to be against the demand, its own and that of the others.
///
/// # Errors
/// `InvalidParameterException` naming the service, the zone and what is short.
pub(super) fn check(
    state: &State,
    service: &ServiceRow,
    definition: TaskDefinitionId,
    fargate: Fargate,
) -> Result<(), ApiError> {
    if tolerates_zone_loss(service) {
        check_itself(state, service, definition, fargate)?;
    }
    let cluster = ClusterId(service.cluster_id);
    let others: Vec<ServiceId> = state.tolerant_of(cluster).filter(|id| id.0 != service.id).collect();
    if others.is_empty() {
        return Ok(());
    }
    let beside = Beside { with: grown(state, service, definition, fargate)?, without: Overlay::default() };
    check_others(state, cluster, &beside, &others, fargate)
}

/// Holds tasks of a call, where they would go beside what is on its way, against the demand of services.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_placed(
    state: &State,
    on_its_way: &Overlay,
    place: &PlaceTasks,
    fargate: Fargate,
) -> Result<(), ApiError> {
    let cluster = ClusterId(place.cluster_id);
    let others: Vec<ServiceId> = state.tolerant_of(cluster).collect();
    if others.is_empty() {
        return Ok(());
    }
    let mut beside = Beside { with: on_its_way.clone(), without: on_its_way.clone() };
    beside.with.add(state, place);
    check_others(state, cluster, &beside, &others, fargate)
}

/// What services are held against: with what is asked for, and without it.
struct Beside {
    with: Overlay,
    without: Overlay,
}

/// Plans the service as it is to be without each zone, beside everything that runs.
fn check_itself(
    state: &State,
    service: &ServiceRow,
    definition: TaskDefinitionId,
    fargate: Fargate,
) -> Result<(), ApiError> {
    let id = ServiceId(service.id);
    for zone in state.zones_of(ClusterId(service.cluster_id)) {
        let stay = state.service_counts(id).wanted.saturating_sub(state.service_tasks_in_zone(id, zone));
        let count = service.desired_count.saturating_sub(stay);
        let request = PlaceRequest::of_service(state, &Overlay::default(), service, definition, count, fargate)
            .map_err(ApiError::invalid)?;
        let plan = place_without(state, zone, &request);
        let unplaced = count.saturating_sub(plan.placements.len() as u32);
        if unplaced > 0 {
            return Err(ApiError::invalid(format!(
                "{}: without zone {zone} {unplaced} of {} tasks would find no place. {} next: seawall zone check",
                own_tags::ZONE_LOSS_TOLERANCE,
                service.desired_count,
                plan.closest.unwrap_or_default()
            )));
        }
    }
    Ok(())
}

/// What the tasks that the service lacks would take.
fn grown(
    state: &State,
    service: &ServiceRow,
    definition: TaskDefinitionId,
    fargate: Fargate,
) -> Result<Overlay, ApiError> {
    let (cluster, id) = (ClusterId(service.cluster_id), ServiceId(service.id));
    let nothing = Overlay::default();
    let lacks = service.desired_count.saturating_sub(state.service_counts(id).wanted);
    let request = PlaceRequest::of_service(state, &nothing, service, definition, lacks, fargate);
    let request = request.map_err(ApiError::invalid)?;
    let on = |instance| place_tasks::Placement { instance_id: instance, ..Default::default() };
    let placements = match is_daemon(service) {
        true => {
            let belongs = instances_for(state, cluster, &request.requirement).into_iter();
            let missing = belongs.filter(|instance| state.service_tasks_on_instance(id, *instance) == 0);
            missing.map(|instance| on(instance.0)).collect()
        }
        false => {
            let plan = seawall_scheduler::place(state, &nothing, &request);
            plan.placements.into_iter().map(|placement| on(placement.instance.0)).collect()
        }
    };
    let mut grown = nothing;
    let base = Some(task_id_message(Id128(1)));
    let place = PlaceTasks { cluster_id: cluster.0, base, group: request.group, placements, ..PlaceTasks::default() };
    grown.add_sized(request.requirement.size, &place);
    Ok(grown)
}

/// Refuses what would leave one of the others short that is not.
fn check_others(
    state: &State,
    cluster: ClusterId,
    beside: &Beside,
    others: &[ServiceId],
    fargate: Fargate,
) -> Result<(), ApiError> {
    for zone in state.zones_of(cluster) {
        let with = short_without(state, &beside.with, zone, others, fargate);
        if with.is_empty() {
            continue;
        }
        let without = short_without(state, &beside.without, zone, others, fargate);
        let was = |id| without.iter().find(|short| short.service == id).map_or(0, |short| short.unplaced);
        if let Some(short) = with.iter().find(|short| short.unplaced > was(short.service)) {
            return Err(would_be_short(state, zone, short));
        }
    }
    Ok(())
}

fn would_be_short(state: &State, zone: &str, short: &Shortfall) -> ApiError {
    let name = state.services.get(&short.service).map_or("", |row| &row.name);
    ApiError::invalid(format!(
        "{} of service {name}: beside these tasks {} of its own would find no place without zone {zone}. {} next: seawall \
         zone check",
        own_tags::ZONE_LOSS_TOLERANCE,
        short.unplaced,
        short.reason
    ))
}
