//! The tasks that count when tasks are spread.

use std::collections::BTreeMap;

use seawall_model::{ClusterId, InstanceId};
use seawall_state::State;

use crate::{Overlay, Spread};

/// Tasks of the service or group by instance: those that want to run and can be reached, proposed ones included.
pub fn counts(state: &State, overlay: &Overlay, cluster: ClusterId, spread: &Spread) -> BTreeMap<InstanceId, u32> {
    let mut counts = BTreeMap::new();
    let mut add = |(instance, tasks): (InstanceId, u32)| *counts.entry(instance).or_default() += tasks;
    match spread {
        Spread::Service(service) => state.service_instances(*service).for_each(&mut add),
        Spread::Group(group) => state.group_instances(cluster, group).for_each(&mut add),
    }
    overlay.counts(cluster, spread).for_each(&mut add);
    counts
}

/// The same for one instance.
pub fn count_on(state: &State, overlay: &Overlay, cluster: ClusterId, spread: &Spread, instance: InstanceId) -> u32 {
    let applied = match spread {
        Spread::Service(service) => state.service_tasks_on_instance(*service, instance),
        Spread::Group(group) => state.group_tasks_on_instance(cluster, group, instance),
    };
    applied + overlay.count_on(cluster, spread, instance)
}
