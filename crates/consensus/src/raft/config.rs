//! openraft's settings. Each differs from its default for a reason; the test names them all, so that a new version of
//! openraft cannot change one unseen.

use openraft::{SnapshotPolicy, StepDownPolicy};

use crate::{Config, StartError};

/// Entries that stay in the log behind a snapshot, so that a member that lags a little needs no snapshot.
const ENTRIES_KEPT: u64 = 256;
/// Entries that one append message may hold; its bytes are limited by the log's reader.
const APPEND_ENTRIES_MAX: u64 = 1024;
/// Requests that wait for Raft; the proposer's own limits (bytes and requests) come before it.
const WAITING_MAX: u64 = 8192;

/// openraft's settings for a member.
pub(crate) fn raft_config(config: &Config) -> Result<openraft::Config, StartError> {
    let raft = openraft::Config {
        cluster_name: "seawall".into(),
        heartbeat_interval: config.heartbeat_ms,
        election_timeout_min: config.election_min_ms,
        election_timeout_max: config.election_max_ms,
        // Every tick beats: a follower's silence then means something.
        heartbeat_min_interval: Some(0),
        // A member that cannot win does not push a healthy leader out.
        enable_pre_vote: Some(true),
        // A killed leader that comes back quickly would lead again in its old term, with state that is older.
        enable_leader_restore: Some(false),
        // A log that went back is lost data: such a member leaves and joins under a new id.
        allow_log_reversion: Some(false),
        // Taken by `Compactor`, which looks at bytes: openraft can only count entries.
        snapshot_policy: SnapshotPolicy::Never,
        // A lagging member gets entries as long as there are any; a snapshot only for what was purged.
        replication_lag_threshold: u64::MAX,
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        purge_batch_size: 256,
        // The sender checks that bytes move; this only bounds the whole.
        install_snapshot_timeout: 60_000,
        backoff: "20ms, 40ms, 80ms, 160ms ... 160ms".into(),
        reset_backoff_on_transfer_leader: Some(true),
        // A leader without a majority stays quiet for this long between probes, so that others can elect. At least two
        // election timeouts, or openraft refuses it.
        quorum_loss_probe_interval: Some(config.election_max_ms.saturating_mul(2).max(400)),
        removed_leader_step_down: StepDownPolicy::After(config.election_max_ms),
        max_payload_entries: APPEND_ENTRIES_MAX,
        max_append_entries: Some(4096),
        api_channel_size: Some(WAITING_MAX),
        notification_channel_size: Some(WAITING_MAX),
        state_machine_channel_size: Some(1024),
        api_batch_capacity: 4096,
        api_batch_linger_ms: 0,
        enable_tick: true,
        enable_heartbeat: true,
        enable_elect: true,
        ..Default::default()
    };
    raft.validate().map_err(|e| StartError::Config(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_model::MemberId;
    use std::time::Duration;

    #[test]
    fn settings_are_those_of_the_design() {
        let raft = raft_config(&Config::new(MemberId(1), "/data".into())).unwrap();
        assert_eq!(raft.heartbeat_interval, 40);
        assert_eq!((raft.election_timeout_min, raft.election_timeout_max), (80, 160));
        assert_eq!(raft.heartbeat_min_interval, Some(0));
        assert_eq!(raft.enable_pre_vote, Some(true));
        assert_eq!(raft.enable_leader_restore, Some(false));
        assert_eq!(raft.allow_log_reversion, Some(false));
        assert_eq!(raft.snapshot_policy, SnapshotPolicy::Never);
        assert_eq!(raft.replication_lag_threshold, u64::MAX);
        assert_eq!(raft.purge_batch_size, 256);
        assert_eq!(raft.max_in_snapshot_log_to_keep, 256);
        assert_eq!(raft.install_snapshot_timeout, 60_000);
        assert_eq!(raft.quorum_loss_probe_interval, Some(400));
        assert_eq!(raft.removed_leader_step_down, StepDownPolicy::After(160));
        assert_eq!(raft.max_payload_entries, 1024);
        assert_eq!(raft.max_append_entries, Some(4096));
        assert!(raft.enable_tick && raft.enable_heartbeat && raft.enable_elect);
        let waits: Vec<Duration> = raft.build_backoff().take(6).collect();
        assert_eq!(waits, [20, 40, 80, 160, 160, 160].map(Duration::from_millis));
    }

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let mut config = Config::new(MemberId(1), "/data".into());
        config.election_min_ms = 30;
        assert!(matches!(raft_config(&config), Err(StartError::Config(_))));
    }

    #[test]
    fn one_member_at_most_leads_in_a_term() {
        use openraft::vote::{RaftLeaderId, leader_id_std::LeaderId};
        let one = LeaderId::<u64, u64>::new(5, 1);
        let other = LeaderId::<u64, u64>::new(5, 2);
        assert_eq!(one.partial_cmp(&other), None, "ordered leaders of one term could both lead in it");
        let vote: crate::raft::Vote = openraft::Vote::new(5, 1);
        assert_eq!(vote.leader_id, one, "the type config uses another kind of leader id");
    }
}
