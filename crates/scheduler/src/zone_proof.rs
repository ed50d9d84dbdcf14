//! What the loss of a zone would mean, kept up as the state changes.
//!
//! Where the lost tasks of each service would go is kept: it is the proof that they all find a place. A change touches the services
//! whose tasks it concerns, and those whose lost tasks would go to an instance that it concerns. Only these are planned again, beside
//! what the others keep, so a look costs what changed since the last one. Where something is short, everything is planned anew as
//! [`lose_zone`](crate::lose_zone) does, so that no service is called short for the order in which changes came.

use std::collections::{BTreeMap, BTreeSet};

use seawall_model::{ClusterId, InstanceId, ServiceId};
use seawall_proto::internal::v1::{InstanceRow, PlaceTasks, ServiceRow};
use seawall_state::{State, is_daemon};

use crate::{
    Fargate, Fleet, Overlay, ZoneLoss,
    zone_loss::{self, Replaced, Shortfall},
};

/// The proof for one zone.
pub struct ZoneProof {
    zone: String,
    fargate: Fargate,
    /// What was looked at last; `None` before the first look.
    seen: Option<State>,
    /// The instances without the zone, and what the lost tasks would take of them.
    fleet: Fleet,
    overlay: Overlay,
    /// Where they would go.
    replaced: BTreeMap<ServiceId, PlaceTasks>,
    on: BTreeSet<(InstanceId, ServiceId)>,
    /// Tasks that would be lost.
    lost: BTreeMap<ServiceId, u32>,
    loss: ZoneLoss,
}

impl ZoneProof {
    /// Nothing is known of the zone yet: the first look plans everything.
    pub fn new(zone: &str, fargate: Fargate) -> Self {
        ZoneProof {
            zone: zone.to_owned(),
            fargate,
            seen: None,
            fleet: Fleet::default(),
            overlay: Overlay::default(),
            replaced: BTreeMap::new(),
            on: BTreeSet::new(),
            lost: BTreeMap::new(),
            loss: ZoneLoss::default(),
        }
    }

    /// Of these services, those that would be short beside what is proposed.
    pub(crate) fn short_beside(self, state: &State, proposed: Overlay, services: &[ServiceId]) -> Vec<Shortfall> {
        ZoneProof { overlay: proposed, ..self }.plan(state, services.iter().copied())
    }

    /// What the loss would mean now.
    pub fn look(&mut self, state: &State) -> &ZoneLoss {
        match self.seen.replace(state.clone()) {
            None => self.plan_anew(state),
            Some(before) => self.follow(&before, state),
        }
        self.loss.tasks = self.lost.values().sum();
        self.loss.services = self.lost.len() as u32;
        &self.loss
    }

    fn follow(&mut self, before: &State, state: &State) {
        let instances: BTreeSet<InstanceId> = state.instances_changed_since(before).collect();
        let mut touched: BTreeSet<ServiceId> = state.services_changed_since(before).collect();
        touched.extend(instances.iter().flat_map(|id| self.services_on(*id)));
        let has_moved = |id: &&InstanceId| zone_of(before, **id) != zone_of(state, **id);
        let moved = instances.iter().filter(has_moved).flat_map(|id| state.tasks_of_instance(*id));
        touched.extend(moved.map(|task| ServiceId(task.service_id)));
        let was_whole = self.loss.services_short == 0;
        let is_as_before = touched.is_empty()
            && !state.waits_otherwise(before)
            && zones_are_equal(before, state)
            && (was_whole || instances.is_empty());
        if is_as_before {
            return;
        }
        if !was_whole || is_another_fleet(before, state, &instances, &touched) || !self.replan(state, touched) {
            self.plan_anew(state);
        }
    }

    /// Where the lost tasks that find a place would go.
    pub fn places(&self) -> impl Iterator<Item = (ServiceId, InstanceId)> {
        let instances =
            |place: &PlaceTasks| place.placements.iter().map(|p| InstanceId(p.instance_id)).collect::<Vec<_>>();
        self.replaced.iter().flat_map(move |(id, place)| instances(place).into_iter().map(|on| (*id, on)))
    }

    fn services_on(&self, instance: InstanceId) -> impl Iterator<Item = ServiceId> {
        self.on.range((instance, ServiceId(0))..=(instance, ServiceId(u64::MAX))).map(|(_, service)| *service)
    }

    fn plan_anew(&mut self, state: &State) {
        let all: BTreeSet<ServiceId> = self.replaced.keys().chain(self.lost.keys()).copied().collect();
        all.into_iter().for_each(|id| self.take_back(id));
        let short = self.plan(state, state.services.iter().map(|(id, _)| *id));
        self.loss.set_shortfalls(short);
    }

    /// False where one of them finds no place.
    fn replan(&mut self, state: &State, touched: BTreeSet<ServiceId>) -> bool {
        touched.iter().for_each(|id| self.take_back(*id));
        self.plan(state, touched).is_empty()
    }

    /// Plans the lost tasks of these services beside those of the others; who is short.
    fn plan(&mut self, state: &State, services: impl IntoIterator<Item = ServiceId>) -> Vec<Shortfall> {
        let without = zone_loss::without(state, &self.zone);
        self.fleet.sync(&without, &self.overlay);
        let mut short = Vec::new();
        for service in zone_loss::in_order(&without, services) {
            let id = ServiceId(service.id);
            let lost = without.service_tasks_in_zone(id, &self.zone);
            if lost == 0 {
                continue;
            }
            self.lost.insert(id, lost);
            if !is_daemon(&service) {
                short.extend(self.replace(&without, &service, lost));
            }
        }
        short
    }

    fn replace(&mut self, without: &State, service: &ServiceRow, lost: u32) -> Option<Shortfall> {
        let Replaced { size, place, short } =
            zone_loss::replace(without, &self.overlay, &self.fleet, service, lost, self.fargate);
        if let Some(place) = place {
            let id = ServiceId(service.id);
            self.overlay.add_sized(size, &place);
            self.fleet.sync(without, &self.overlay);
            self.on.extend(place.placements.iter().map(|p| (InstanceId(p.instance_id), id)));
            self.replaced.insert(id, place);
        }
        short
    }

    fn take_back(&mut self, service: ServiceId) {
        self.lost.remove(&service);
        let Some(place) = self.replaced.remove(&service) else { return };
        self.overlay.remove(&place);
        for placement in &place.placements {
            self.on.remove(&(InstanceId(placement.instance_id), service));
        }
    }
}

fn zone_of(state: &State, instance: InstanceId) -> Option<&str> {
    state.instances.get(&instance).map(|row| row.zone.as_str())
}

fn zones_are_equal(before: &State, now: &State) -> bool {
    now.zones.changed_since(&before.zones).next().is_none()
}

/// Whether more changed than room and tasks: where tasks may go at all, or what is kept for daemons and higher classes.
fn is_another_fleet(
    before: &State,
    now: &State,
    instances: &BTreeSet<InstanceId>,
    touched: &BTreeSet<ServiceId>,
) -> bool {
    let is_daemons =
        |id: &ServiceId| [before, now].iter().any(|s| s.services.get(id).is_some_and(|row| is_daemon(row)));
    let rows = instances.iter().flat_map(|id| [before.instances.get(id), now.instances.get(id)]).flatten();
    let has_provider = |row: &InstanceRow| {
        let (cluster, name) = (ClusterId(row.cluster_id), &row.capacity_provider);
        !name.is_empty()
            && before.has_instances_of_provider(cluster, name) != now.has_instances_of_provider(cluster, name)
    };
    !zones_are_equal(before, now)
        || now.waits_otherwise(before)
        || touched.iter().any(is_daemons)
        || rows.into_iter().any(|row| has_provider(row))
}
