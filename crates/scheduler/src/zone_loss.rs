//! What would not fit if a zone were lost.
//!
//! Every service's tasks of the zone are planned again without it, one service after the other, each on what those before it
//! left. It is the plan that the controllers would come to, so "nothing is short" is a promise for the state that was looked at.
//! A daemon's task has no other place: it is lost with its instance, and is short of nothing.

use std::sync::Arc;

use seawall_model::{ClusterId, Id128, ServiceId};
use seawall_proto::internal::v1::{PlaceTasks, ServiceRow, ServiceStatusCode, ZoneRow, ZoneState};
use seawall_state::{State, is_daemon, primary_deployment, task_id_message};

use crate::{Fargate, Fleet, Overlay, PlaceRequest, Plan};

/// Shortfalls that one answer lists.
pub const SHORTFALLS_MAX: usize = 100;

/// A service whose tasks would not all fit elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The service.
    pub service: ServiceId,
    /// Tasks that would be lost with the zone.
    pub lost: u32,
    /// Of those, tasks that would find no place.
    pub unplaced: u32,
    /// Why, by the instance that comes closest.
    pub reason: String,
}

/// What the loss of a zone would mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneLoss {
    /// Services' tasks that would be lost with it.
    pub tasks: u32,
    /// Services that have tasks there.
    pub services: u32,
    /// Services that would not fit, the worst first; at most [`SHORTFALLS_MAX`].
    pub shortfalls: Vec<Shortfall>,
    /// How many there are.
    pub services_short: u32,
    /// Tasks that would find no place, of all of them.
    pub unplaced: u32,
}

/// Plans the services' tasks of a zone again, without it.
pub fn lose_zone(state: &State, zone: &str, fargate: Fargate) -> ZoneLoss {
    let without = without(state, zone);
    let mut overlay = Overlay::default();
    let mut fleet = Fleet::new(&without, &overlay);
    let mut loss = ZoneLoss::default();
    let active = state.services.iter().filter(|(_, row)| row.status() == ServiceStatusCode::Active);
    for (id, service) in active {
        let lost = state.service_tasks_in_zone(*id, zone);
        if lost == 0 {
            continue;
        }
        loss.tasks += lost;
        loss.services += 1;
        if !is_daemon(service) {
            loss.shortfalls.extend(replace(&without, &mut overlay, &mut fleet, service, lost, fargate));
        }
    }
    loss.unplaced = loss.shortfalls.iter().map(|short| short.unplaced).sum();
    loss.services_short = loss.shortfalls.len() as u32;
    loss.shortfalls.sort_by_key(|short| (std::cmp::Reverse(short.unplaced), short.service));
    loss.shortfalls.truncate(SHORTFALLS_MAX);
    loss
}

/// Where the request's tasks would go if a zone were lost.
pub fn place_without(state: &State, zone: &str, request: &PlaceRequest) -> Plan {
    Fleet::new(&without(state, zone), &Overlay::default()).place(request)
}

/// The state as it would be: nothing can go to the zone.
fn without(state: &State, zone: &str) -> State {
    let mut without = state.clone();
    let row = ZoneRow { name: zone.to_owned(), state: ZoneState::Fenced.into(), ..ZoneRow::default() };
    without.zones.put(zone.to_owned(), Arc::new(row));
    without
}

/// Plans the lost tasks of one service; what of them finds no place.
fn replace(
    state: &State,
    overlay: &mut Overlay,
    fleet: &mut Fleet,
    service: &ServiceRow,
    lost: u32,
    fargate: Fargate,
) -> Option<Shortfall> {
    let short = |unplaced: u32, reason: String| {
        let (cluster, service) = (ClusterId(service.cluster_id), ServiceId(service.id));
        (unplaced > 0).then_some(Shortfall { cluster, service, lost, unplaced, reason })
    };
    let (_, definition) = primary_deployment(service)?;
    let request = match PlaceRequest::of_service(state, overlay, service, definition, lost, fargate) {
        Ok(request) => request,
        Err(why) => return short(lost, why),
    };
    let plan = fleet.place(&request);
    let unplaced = lost.saturating_sub(plan.placements.len() as u32);
    let reason = plan.closest.clone().unwrap_or_default();
    if !plan.placements.is_empty() {
        let place = PlaceTasks {
            cluster_id: service.cluster_id,
            service_id: service.id,
            base: Some(task_id_message(Id128(u128::from(service.id) << 32))),
            group: request.group.clone(),
            placements: plan.placements.into_iter().map(Into::into).collect(),
            ..PlaceTasks::default()
        };
        overlay.add_sized(request.requirement.size, &place);
        fleet.sync(state, overlay);
    }
    short(unplaced, reason)
}
