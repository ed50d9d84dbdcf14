//! What would not fit if a zone were lost.
//!
//! Every service's tasks of the zone are planned again without it, one service after the other, the highest class first, each on
//! what those before it left. It is the plan that the controllers would come to, so "nothing is short" is a promise for the state
//! that was looked at. Nobody is made to make room: what only preemption would place is short. A daemon's task has no other place:
//! it is lost with its instance, and is short of nothing.

use std::{cmp::Reverse, sync::Arc};

use seawall_model::{ClusterId, Id128, ServiceId};
use seawall_proto::internal::v1::{PlaceTasks, ServiceRow, ServiceStatusCode, TaskSize, ZoneRow, ZoneState};
use seawall_state::{State, primary_deployment, priority_of, task_id_message};

use crate::{Fargate, Fleet, Overlay, PlaceRequest, Plan, ZoneProof};

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

impl ZoneLoss {
    /// Takes these, the worst first.
    pub(crate) fn set_shortfalls(&mut self, mut shortfalls: Vec<Shortfall>) {
        self.unplaced = shortfalls.iter().map(|short| short.unplaced).sum();
        self.services_short = shortfalls.len() as u32;
        shortfalls.sort_by_key(|short| (Reverse(short.unplaced), short.service));
        shortfalls.truncate(SHORTFALLS_MAX);
        self.shortfalls = shortfalls;
    }
}

/// Plans the services' tasks of a zone again, without it.
pub fn lose_zone(state: &State, zone: &str, fargate: Fargate) -> ZoneLoss {
    ZoneProof::new(zone, fargate).look(state).clone()
}

/// Of these services, those that would be short without a zone, beside what is proposed.
pub fn short_without(
    state: &State,
    proposed: &Overlay,
    zone: &str,
    services: &[ServiceId],
    fargate: Fargate,
) -> Vec<Shortfall> {
    ZoneProof::new(zone, fargate).short_beside(state, proposed.clone(), services)
}

/// Where the request's tasks would go if a zone were lost.
pub fn place_without(state: &State, zone: &str, request: &PlaceRequest) -> Plan {
    crate::place(&without(state, zone), &Overlay::default(), request)
}

/// The state as it would be: nothing can go to the zone.
pub(crate) fn without(state: &State, zone: &str) -> State {
    let mut without = state.clone();
    let row = ZoneRow { name: zone.to_owned(), state: ZoneState::Fenced.into(), ..ZoneRow::default() };
    without.zones.put(zone.to_owned(), Arc::new(row));
    without
}

/// The ACTIVE ones of these services, in the order in which they are planned.
pub(crate) fn in_order(state: &State, services: impl IntoIterator<Item = ServiceId>) -> Vec<Arc<ServiceRow>> {
    let rows = services.into_iter().filter_map(|id| state.services.get(&id).cloned());
    let mut rows: Vec<_> = rows.filter(|row| row.status() == ServiceStatusCode::Active).collect();
    rows.sort_by_key(|row| (Reverse(priority_of(&row.tags)), row.id));
    rows
}

/// Where the lost tasks of a service would go.
pub(crate) struct Replaced {
    /// What each takes.
    pub size: TaskSize,
    /// `None` where none finds a place.
    pub place: Option<PlaceTasks>,
    /// Those that find none.
    pub short: Option<Shortfall>,
}

/// Plans the lost tasks of one service.
pub(crate) fn replace(
    state: &State,
    overlay: &Overlay,
    fleet: &Fleet,
    service: &ServiceRow,
    lost: u32,
    fargate: Fargate,
) -> Replaced {
    let short = |unplaced: u32, reason: String| {
        let (cluster, service) = (ClusterId(service.cluster_id), ServiceId(service.id));
        (unplaced > 0).then_some(Shortfall { cluster, service, lost, unplaced, reason })
    };
    let Some((_, definition)) = primary_deployment(service) else {
        return Replaced { size: TaskSize::default(), place: None, short: None };
    };
    let request = match PlaceRequest::of_service(state, overlay, service, definition, lost, fargate) {
        Ok(request) => request,
        Err(why) => return Replaced { size: TaskSize::default(), place: None, short: short(lost, why) },
    };
    let plan = fleet.place(&request);
    let unplaced = lost.saturating_sub(plan.placements.len() as u32);
    let short = short(unplaced, plan.closest.clone().unwrap_or_default());
    let place = PlaceTasks {
        cluster_id: service.cluster_id,
        service_id: service.id,
        base: Some(task_id_message(Id128(u128::from(service.id) << 32))),
        group: request.group,
        placements: plan.placements.into_iter().map(Into::into).collect(),
        ..PlaceTasks::default()
    };
    let place = (!place.placements.is_empty()).then_some(place);
    Replaced { size: request.requirement.size, place, short }
}
