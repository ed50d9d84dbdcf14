//! What this member is and holds at this moment.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

use crate::{api::Node, member::Room};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRole {
    role: &'static str,
}

/// Adds what every member shows.
pub(super) fn register(registry: &mut Registry, node: &Node) {
    identity(registry, node);
    replication(registry, node);
    load(registry, node);
    disk(registry, node);
}

fn identity(registry: &mut Registry, node: &Node) {
    let state = &node.consensus.state().state;
    let version = vec![("version", node.config.version.clone())];
    registry.register("build", "The version that runs", Info::new(version));
    registry.register(
        "cluster_version",
        "The version of the commands that the cluster takes",
        ConstGauge::new(state.meta.cluster_version),
    );
    registry.register(
        "is_diverged",
        "1 while this member's state differs from the others' and it serves nobody until it has theirs",
        flag(!node.condition.serves()),
    );
    registry.register_with_unit(
        "clock_offset",
        "This machine's wall clock less the cluster's time",
        Unit::Seconds,
        ConstGauge::new(node.liveness.own_offset_ms(node) as f64 / 1000.0),
    );
}

fn replication(registry: &mut Registry, node: &Node) {
    let leadership = node.consensus.leadership();
    let log = node.consensus.log_indexes();
    registry.register("is_leader", "1 on the member that leads", flag(leadership.is_leader));
    registry.register("raft_term", "The term that this member is in", ConstGauge::new(leadership.term));
    registry.register("raft_last_log_index", "The last entry in this member's log", ConstGauge::new(log.last));
    registry.register(
        "raft_committed_index",
        "The last entry that this member knows to be on a majority's disks",
        ConstGauge::new(log.committed),
    );
    registry.register(
        "raft_applied_index",
        "The last entry that this member's state holds",
        ConstGauge::new(node.consensus.state().index),
    );
    let members = node.consensus.membership();
    let roles: Family<OfRole, Gauge> = Family::default();
    for (role, count) in [("voter", members.voters.len()), ("learner", members.learners.len())] {
        roles.get_or_create(&OfRole { role }).set(count as i64);
    }
    registry.register("members", "Members of the cluster, as this one knows them", roles);
}

fn load(registry: &mut Registry, node: &Node) {
    let (writes, bytes) = node.proposer.waiting();
    let help = "Writes that this member took as the leader and has not answered";
    registry.register("writes_waiting", help, ConstGauge::new(writes as u64));
    registry.register_with_unit(
        "writes_waiting",
        "Bytes of the writes that wait",
        Unit::Bytes,
        ConstGauge::new(bytes as u64),
    );
    let agents = node.sessions.count() as u64;
    registry.register("agents_connected", "Agents whose streams this member holds", ConstGauge::new(agents));
}

fn disk(registry: &mut Registry, node: &Node) {
    let state = &node.consensus.state().state;
    let snapshots = node.consensus.snapshots();
    let mut bytes = |name: &str, help: &str, bytes: u64| {
        registry.register_with_unit(name, help, Unit::Bytes, ConstGauge::new(bytes));
    };
    bytes("raft_log", "Size of the log since the last snapshot", node.consensus.log_bytes());
    bytes("snapshot", "Size of the newest snapshot", snapshots.newest_bytes);
    bytes("history", "Size of the files of history", state.history_bytes());
    bytes("history_open", "Size of the records of history that are in no file yet", state.history_open_bytes());
    let segments = state.history_segments.len() as u64;
    registry.register("history_segments", "Files of history", ConstGauge::new(segments));
    registry.register("snapshots", "Snapshots that this member took", ConstCounter::new(snapshots.taken));
    registry.register_with_unit(
        "snapshot_last_duration",
        "How long the last snapshot took; 0 before the first",
        Unit::Seconds,
        ConstGauge::new(snapshots.last_took.as_secs_f64()),
    );
    registry.register(
        "disk_nearly_full",
        "1 while the disk has less room than --disk-reserve: writes that grow state are refused",
        flag(node.condition.room() != Room::Enough),
    );
}

/// 1 where it holds.
pub(super) fn flag(holds: bool) -> ConstGauge<u32> {
    ConstGauge::new(holds.into())
}
