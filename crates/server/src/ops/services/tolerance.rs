//! `seawall:zone-loss-tolerance`: a service that must find room for all its tasks without any one zone.

use seawall_model::{ApiError, ClusterId, ServiceId, TaskDefinitionId, own_tags};
use seawall_proto::internal::v1::ServiceRow;
use seawall_scheduler::{Fargate, Overlay, PlaceRequest, place_without};
use seawall_state::{State, is_daemon, own_tag};

/// Plans the service as it is to be without each zone, beside everything that runs. A daemon has no place but its instances.
///
/// # Errors
/// `InvalidParameterException` naming the zone and what is short.
pub fn check(
    state: &State,
    service: &ServiceRow,
    definition: TaskDefinitionId,
    fargate: Fargate,
) -> Result<(), ApiError> {
    if own_tag(service, own_tags::ZONE_LOSS_TOLERANCE).unwrap_or(0) == 0 || is_daemon(service) {
        return Ok(());
    }
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
