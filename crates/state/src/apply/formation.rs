//! Forming a cluster and raising its version.

use seawall_model::{ACCOUNT, ApiError, DEFAULT_CLUSTER, is_region};
use seawall_proto::internal::v1::{ClusterRow, Done, InitCluster, Limits, RaiseClusterVersion, reply};

use super::{Apply, DEFAULT_LIMITS, Outcome, done};
use crate::Change;

/// The version of a cluster that has just formed.
const FIRST_CLUSTER_VERSION: u32 = 1;
const CLUSTER_ID_BYTES: usize = 16;

impl Apply<'_> {
    pub(super) fn init_cluster(&mut self, it: &InitCluster) -> Outcome {
        if !self.state.meta.cluster_id.is_empty() {
            if self.state.meta.cluster_id == it.cluster_id {
                return Ok(reply::Kind::Done(Done { existed: true, ..Done::default() }));
            }
            return Err(ApiError::client("This cluster is formed already, under another id.").into());
        }
        if it.cluster_id.len() != CLUSTER_ID_BYTES {
            return Err(ApiError::invalid(format!("A cluster id has {CLUSTER_ID_BYTES} bytes.")).into());
        }
        if !is_region(&it.region) {
            return Err(
                ApiError::invalid(format!("{:?} is no region: it must look like us-local-1.", it.region)).into()
            );
        }
        if it.account.len() != 12 || !it.account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ApiError::invalid(format!("{:?} is no account: it must have 12 digits.", it.account)).into());
        }
        let now_ms = self.now_ms;
        let meta = self.meta();
        meta.cluster_id = it.cluster_id.clone();
        meta.epoch = meta.epoch.max(1);
        meta.cluster_version = meta.cluster_version.max(FIRST_CLUSTER_VERSION);
        meta.region = it.region.clone();
        meta.account = it.account.clone();
        meta.created_at_ms = now_ms;
        meta.next_id = meta.next_id.max(it.first_id);
        // What a later version added stays 0, which means its default: an older log gives the state that it gave.
        meta.limits = Some(it.limits.unwrap_or(Limits { invocations: 0, ..DEFAULT_LIMITS }));
        self.changed(Change::Meta);
        if self.state.cluster_by_name(ACCOUNT, DEFAULT_CLUSTER).is_none() {
            self.add_cluster(ClusterRow { account: ACCOUNT, name: DEFAULT_CLUSTER.into(), ..ClusterRow::default() });
        }
        Ok(done(0))
    }

    pub(super) fn raise_cluster_version(&mut self, it: &RaiseClusterVersion) -> Outcome {
        let now = self.state.meta.cluster_version;
        if it.version < now {
            let message = format!("The cluster's version is {now}: it never goes back to {}.", it.version);
            return Err(ApiError::invalid(message).into());
        }
        self.meta().cluster_version = it.version;
        self.changed(Change::Meta);
        Ok(done(0))
    }

    /// Puts a new ACTIVE cluster: what was asked for, under the next id.
    pub(super) fn add_cluster(&mut self, asked: ClusterRow) -> u64 {
        let id = self.next_id();
        let (created_at_ms, changed) = (self.now_ms, self.index);
        self.state.put_cluster(ClusterRow { id, active: true, created_at_ms, changed, ..asked });
        self.changed(Change::Cluster(seawall_model::ClusterId(id)));
        id
    }
}
