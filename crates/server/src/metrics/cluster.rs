//! What the cluster holds at this moment, as the leader alone shows it: sums over the members are then right. Tasks are
//! counted by the state as they come and go; here nothing walks over them.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};
use seawall_proto::internal::v1::{InstanceStatus, ServiceStatusCode};
use seawall_scheduler::reservations;
use seawall_state::{ClusterCounts, State};

use super::member::flag;
use crate::{api::Node, render};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInstance {
    status: &'static str,
    connected: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStatus {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPeer {
    member: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfZone {
    zone: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProvider {
    cluster: String,
    capacity_provider: String,
}

/// Adds what the leader shows.
pub(super) fn register(registry: &mut Registry, node: &Node) {
    let state = &node.consensus.state().state;
    let counts: Vec<ClusterCounts> = state.clusters.iter().map(|(id, _)| state.cluster_counts(*id)).collect();
    let sum = |of: fn(&ClusterCounts) -> u32| counts.iter().map(|counts| u64::from(of(counts))).sum::<u64>();
    registry.register("follower_lag_entries", "Entries that are not known to be on a member's disk", lag(node, state));
    registry.register(
        "instances",
        "Container instances, by status and whether their agents are connected",
        instances(state),
    );
    registry.register("tasks", "Tasks by last status; STOPPED are those that are kept", tasks(&counts));
    registry.register(
        "tasks_unreachable",
        "Tasks that have not stopped, of instances whose agents are lost",
        ConstGauge::new(sum(|counts| counts.unreachable)),
    );
    registry.register("services_active", "ACTIVE services", ConstGauge::new(sum(|counts| counts.services_active)));
    let help = "ACTIVE services with fewer RUNNING tasks than desired";
    registry.register("services_short", help, ConstGauge::new(short_services(state)));
    let help = "Per cent of a capacity provider's instances that its tasks need, those that wait included";
    registry.register("capacity_provider_reservation", help, reserved(state));
    let (tasks, services) = zone_losses(node, state);
    registry.register("zone_loss_unplaced_tasks", "Tasks that would find no place if the zone were lost now", tasks);
    registry.register("zone_loss_short_services", "Services that would be short if the zone were lost now", services);
    registry.register(
        "mass_loss_hold",
        "1 while too many instances fell silent at once and their tasks are not replaced",
        flag(node.liveness.holds_replacement()),
    );
}

/// ECS's metric of the same name: what an autoscaler of the provider's group follows.
fn reserved(state: &State) -> Family<OfProvider, Gauge> {
    let all: Family<OfProvider, Gauge> = Family::default();
    for (id, row) in state.clusters.iter() {
        for reservation in reservations(state, *id) {
            let percent = reservation.percent();
            let of = OfProvider { cluster: row.name.clone(), capacity_provider: reservation.provider };
            all.get_or_create(&of).set(percent.into());
        }
    }
    all
}

/// Members by name: ids say nothing to people.
fn lag(node: &Node, state: &State) -> Family<OfPeer, Gauge> {
    let last = node.consensus.log_indexes().last;
    let lags: Family<OfPeer, Gauge> = Family::default();
    for (id, on_disk) in node.consensus.peers_progress() {
        let member = state.members.get(&id.0).map_or_else(|| id.to_string(), |row| row.name.clone());
        lags.get_or_create(&OfPeer { member }).set(last.saturating_sub(on_disk) as i64);
    }
    lags
}

fn instances(state: &State) -> Family<OfInstance, Gauge> {
    let instances: Family<OfInstance, Gauge> = Family::default();
    let of = |status: i32, connected| OfInstance { status: render::instance::status(status), connected };
    // Those that are none are shown as 0.
    for status in [InstanceStatus::Active, InstanceStatus::Draining] {
        for connected in [true, false] {
            instances.get_or_create(&of(status.into(), connected)).set(0);
        }
    }
    for (_, row) in state.instances.iter() {
        instances.get_or_create(&of(row.status, row.connected)).inc();
    }
    instances
}

fn tasks(counts: &[ClusterCounts]) -> Family<OfStatus, Gauge> {
    let tasks: Family<OfStatus, Gauge> = Family::default();
    for (status, count) in counts.iter().flat_map(|counts| counts.statuses.iter()) {
        let of = OfStatus { status: render::task::status(status.into()) };
        tasks.get_or_create(&of).inc_by(count.into());
    }
    tasks
}

fn zone_losses(node: &Node, state: &State) -> (Family<OfZone, Gauge>, Family<OfZone, Gauge>) {
    let (tasks, services): (Family<OfZone, Gauge>, Family<OfZone, Gauge>) = Default::default();
    for zone in state.instance_zones() {
        let loss = node.zone_proofs.look(state, zone, node.env.now());
        let of = OfZone { zone: zone.to_owned() };
        tasks.get_or_create(&of).set(loss.unplaced.into());
        services.get_or_create(&of).set(loss.services_short.into());
    }
    (tasks, services)
}

fn short_services(state: &State) -> u64 {
    let active = state.services.iter().filter(|(_, row)| row.status() == ServiceStatusCode::Active);
    active.filter(|(id, row)| state.service_counts(**id).running < row.desired_count).count() as u64
}
