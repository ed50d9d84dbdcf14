//! How much of a capacity provider's instances is needed: ECS's CapacityProviderReservation.
//!
//! Needed are the instances that have tasks, and those that the waiting tasks would fill, packed onto the size that most of the
//! provider's instances have. Daemons' tasks need nothing, since they are on every instance there is.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use seawall_model::{ClusterId, InstanceId, ServiceId};
use seawall_proto::internal::v1::{InstanceRow, InstanceStatus, ServiceRow, ServiceStatusCode, TaskRow, TaskSize};
use seawall_state::{State, fixed_ports, is_daemon, primary_deployment};

use crate::{Fargate, Overlay, PlaceRequest, pool};

/// Of a provider without instances that needs some.
const FROM_NOTHING: u32 = 200;

/// What a cluster needs of one capacity provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservation {
    /// The capacity provider's name.
    pub provider: String,
    /// Its instances that are ACTIVE and connected.
    pub instances: u32,
    /// Instances that its tasks need.
    pub needed: u32,
    /// Tasks that wait for room of it, those that a service would start included.
    pub waiting: u32,
    /// Of those, tasks that no instance of its size can hold: more instances would not help.
    pub too_large: u32,
}

impl Reservation {
    /// Per cent, as ECS computes it.
    pub fn percent(&self) -> u32 {
        match (self.instances, self.needed) {
            (0, 0) => 100,
            (0, _) => FROM_NOTHING,
            (instances, needed) => (u64::from(needed) * 100 / u64::from(instances)).min(u32::MAX.into()) as u32,
        }
    }
}

/// What one waiting task takes.
#[derive(Clone, Debug)]
struct Need {
    size: TaskSize,
    /// Its group, where no two tasks of that are on one instance.
    alone_in: Option<String>,
}

/// Tasks that a service would start if its capacity providers had the room. ECS counts them as pending.
pub fn waiting_of_service(state: &State, service: &ServiceRow) -> u32 {
    let spec = service.spec.as_ref();
    let mut strategy = spec.into_iter().flat_map(|spec| &spec.capacity_provider_strategy);
    let cluster = ClusterId(service.cluster_id);
    let waits = strategy.any(|item| state.has_managed_scaling(cluster, item.capacity_provider()));
    if !waits || service.unplaced_reason.is_empty() || service.status() != ServiceStatusCode::Active {
        return 0;
    }
    let Some((deployment, _)) = primary_deployment(service) else { return 0 };
    let id = ServiceId(service.id);
    let missing = service.desired_count.saturating_sub(state.deployment_counts(id, deployment).wanted);
    let maximum = u64::from(service.desired_count) * u64::from(service.maximum_percent) / 100;
    let maximum = maximum.max(service.desired_count.into());
    missing.min(maximum.saturating_sub(state.service_counts(id).live.into()) as u32)
}

/// What a cluster needs of each of its capacity providers that have managed scaling, by name.
pub fn reservations(state: &State, cluster: ClusterId) -> Vec<Reservation> {
    let row = state.clusters.get(&cluster).filter(|row| row.active);
    let mut names: Vec<&String> = row.into_iter().flat_map(|row| &row.capacity_providers).collect();
    names.retain(|name| state.has_managed_scaling(cluster, name));
    names.sort();
    if names.is_empty() {
        return Vec::new();
    }
    let mut needs = needs(state, cluster);
    names.into_iter().map(|name| reservation(state, cluster, name, needs.remove(name).unwrap_or_default())).collect()
}

fn reservation(state: &State, cluster: ClusterId, provider: &str, needs: Vec<Need>) -> Reservation {
    let takes_tasks = |row: &InstanceRow| row.status() == InstanceStatus::Active && row.connected;
    let instances: Vec<&InstanceRow> = state
        .instances_of(cluster)
        .map(AsRef::as_ref)
        .filter(|row| row.capacity_provider == provider && takes_tasks(row))
        .collect();
    let busy = instances.iter().filter(|row| is_busy(state, InstanceId(row.id))).count();
    let waiting = needs.len();
    let (packed, too_large) = match common_size(&instances) {
        // Its size is not known yet: one instance will tell.
        None => (needs.len().min(1), 0),
        Some(size) => pack(size, needs),
    };
    Reservation {
        provider: provider.to_owned(),
        instances: instances.len() as u32,
        needed: (busy + packed) as u32,
        waiting: waiting as u32,
        too_large: too_large as u32,
    }
}

/// Whether an instance has a task that is no daemon's.
fn is_busy(state: &State, instance: InstanceId) -> bool {
    let of_daemon = |task: &TaskRow| {
        task.service_id != 0 && state.services.get(&ServiceId(task.service_id)).is_some_and(|row| is_daemon(row))
    };
    state.tasks_of_instance(instance).any(|task| !of_daemon(task))
}

/// CPU units and MiB that most of the instances have; of equally many the largest.
fn common_size(instances: &[&InstanceRow]) -> Option<(u32, u32)> {
    let mut sizes: BTreeMap<(u32, u32), u32> = BTreeMap::new();
    for has in instances.iter().filter_map(|row| row.registered.as_ref()) {
        *sizes.entry((has.cpu, has.memory)).or_default() += 1;
    }
    sizes.into_iter().max_by_key(|(size, count)| (*count, *size)).map(|(size, _)| size)
}

/// What waits for room, by capacity provider.
fn needs(state: &State, cluster: ClusterId) -> BTreeMap<String, Vec<Need>> {
    let mut needs: BTreeMap<String, Vec<Need>> = BTreeMap::new();
    for task in state.waiting_tasks(cluster) {
        if let Ok(request) = PlaceRequest::of_waiting(state, task, Fargate::default()) {
            needs.entry(task.capacity_provider.clone()).or_default().push(Need::of(&request));
        }
    }
    for service in state.services_of(cluster) {
        let missing = waiting_of_service(state, service);
        let request = (missing > 0).then(|| request_of(state, service, missing)).flatten();
        let Some(request) = request else { continue };
        for (share, count) in request.shares.iter().zip(pool::split(&request.shares, missing)) {
            let list = needs.entry(share.provider.clone()).or_default();
            list.extend(std::iter::repeat_n(Need::of(&request), count as usize));
        }
    }
    needs
}

fn request_of(state: &State, service: &ServiceRow, count: u32) -> Option<PlaceRequest> {
    let (_, definition) = primary_deployment(service)?;
    PlaceRequest::of_service(state, &Overlay::default(), service, definition, count, Fargate::default()).ok()
}

impl Need {
    fn of(request: &PlaceRequest) -> Self {
        let requirement = &request.requirement;
        Need {
            size: requirement.size.clone(),
            alone_in: requirement.constraints.distinct_instance.then(|| request.group.clone()),
        }
    }
}

/// An instance that is to come.
struct Bin {
    cpu: u32,
    memory: u32,
    ports: BTreeSet<(u16, bool)>,
    groups: BTreeSet<String>,
}

impl Bin {
    fn takes(&mut self, need: &Need) -> bool {
        let fits = need.size.cpu <= self.cpu
            && need.size.memory <= self.memory
            && fixed_ports(&need.size).all(|port| !self.ports.contains(&port))
            && need.alone_in.as_ref().is_none_or(|group| !self.groups.contains(group));
        if fits {
            self.cpu -= need.size.cpu;
            self.memory -= need.size.memory;
            self.ports.extend(fixed_ports(&need.size));
            self.groups.extend(need.alone_in.clone());
        }
        fits
    }
}

/// Instances of this size that the needs fill, the largest first; and how many needs fit none.
fn pack((cpu, memory): (u32, u32), mut needs: Vec<Need>) -> (usize, usize) {
    let waiting = needs.len();
    needs.retain(|need| need.size.cpu <= cpu && need.size.memory <= memory);
    let too_large = waiting - needs.len();
    needs.sort_by_key(|need| Reverse((need.size.cpu, need.size.memory)));
    let mut bins: Vec<Bin> = Vec::new();
    for need in &needs {
        if bins.iter_mut().any(|bin| bin.takes(need)) {
            continue;
        }
        let mut bin = Bin { cpu, memory, ports: BTreeSet::new(), groups: BTreeSet::new() };
        bin.takes(need);
        bins.push(bin);
    }
    (bins.len(), too_large)
}

#[cfg(test)]
mod tests {
    use seawall_proto::internal::v1::PortNeed;

    use super::*;

    fn need(cpu: u32, memory: u32) -> Need {
        Need { size: TaskSize { cpu, memory, ..TaskSize::default() }, alone_in: None }
    }

    fn percent(instances: u32, needed: u32) -> u32 {
        Reservation { instances, needed, ..Reservation::default() }.percent()
    }

    #[test]
    fn the_share_is_that_of_ecs() {
        assert_eq!(percent(0, 0), 100);
        assert_eq!(percent(0, 3), 200);
        assert_eq!(percent(4, 0), 0);
        assert_eq!(percent(4, 3), 75);
        assert_eq!(percent(3, 4), 133);
    }

    #[test]
    fn needs_are_packed_the_largest_first() {
        assert_eq!(pack((1000, 1000), vec![need(400, 10), need(600, 10), need(400, 10), need(600, 10)]), (2, 0));
        assert_eq!(pack((1000, 1000), vec![need(100, 600), need(100, 600)]), (2, 0), "memory counts too");
        assert_eq!(pack((1000, 1000), vec![need(1001, 1), need(1, 1001), need(1, 1)]), (1, 2));
        assert_eq!(pack((1000, 1000), Vec::new()), (0, 0));
    }

    #[test]
    fn one_port_and_one_group_are_on_an_instance_once() {
        let mut with_port = need(1, 1);
        with_port.size.ports.push(PortNeed { host_port: 80, container_port: 80, ..PortNeed::default() });
        assert_eq!(pack((1000, 1000), vec![with_port.clone(), with_port, need(1, 1)]), (2, 0));
        let alone = Need { alone_in: Some("family:web".into()), ..need(1, 1) };
        assert_eq!(pack((1000, 1000), vec![alone.clone(), alone.clone(), alone]), (3, 0));
    }
}
