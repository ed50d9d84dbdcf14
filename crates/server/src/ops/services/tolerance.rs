//! `seawall:zone-loss-tolerance`: a service that must find room for all its tasks without any one zone.

use seawall_model::{ApiError, ClusterId, Id128, ServiceId, TaskDefinitionId, own_tags};
use seawall_proto::internal::v1::{PlaceTasks, ServiceRow, ServiceStatusCode, place_tasks};
use seawall_scheduler::{Fargate, Overlay, PlaceRequest, instances_for, place_without, short_without};
use seawall_state::{State, is_daemon, own_tag, task_id_message};

/// Holds a service as it is to be against the demand, its own and that of the others.
///
/// # Errors
/// `InvalidParameterException` naming the service, the zone and what is short.
pub fn check(
    state: &State,
    service: &ServiceRow,
    definition: TaskDefinitionId,
    fargate: Fargate,
) -> Result<(), ApiError> {
    if demands(service) {
        check_itself(state, service, definition, fargate)?;
    }
    let cluster = ClusterId(service.cluster_id);
    let others = state.services_of(cluster).filter(|row| row.id != service.id && demands(row));
    let others: Vec<ServiceId> =
        others.filter(|row| row.status() == ServiceStatusCode::Active).map(|row| ServiceId(row.id)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let grown = grown(state, service, definition, fargate)?;
    state.zones_of(cluster).try_for_each(|zone| check_others(state, &grown, zone, &others, fargate))
}

/// A daemon has no place but its instances, so nothing is asked for it.
fn demands(service: &ServiceRow) -> bool {
    own_tag(service, own_tags::ZONE_LOSS_TOLERANCE).unwrap_or(0) > 0 && !is_daemon(service)
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
    grown: &Overlay,
    zone: &str,
    others: &[ServiceId],
    fargate: Fargate,
) -> Result<(), ApiError> {
    let beside = short_without(state, grown, zone, others, fargate);
    if beside.is_empty() {
        return Ok(());
    }
    let before = short_without(state, &Overlay::default(), zone, others, fargate);
    let was = |id| before.iter().find(|short| short.service == id).map_or(0, |short| short.unplaced);
    let Some(short) = beside.iter().find(|short| short.unplaced > was(short.service)) else { return Ok(()) };
    let name = state.services.get(&short.service).map_or("", |row| &row.name);
    Err(ApiError::invalid(format!(
        "{} of service {name}: beside these tasks {} of its own would find no place without zone {zone}. {} next: seawall \
         zone check",
        own_tags::ZONE_LOSS_TOLERANCE,
        short.unplaced,
        short.reason
    )))
}
