//! A service ends.

use seawall_model::{ApiError, ClusterId, ServiceId};
use seawall_proto::internal::v1::{DeleteService, Done, ServiceRow, ServiceStatusCode, reply};

use super::{Apply, Outcome, done, refusal::service_not_found};
use crate::{Change, is_daemon};

/// Deleted services of a cluster that stay in the state unless the cluster's limits say otherwise.
const DELETED_SERVICES_KEPT: usize = 1000;

impl Apply<'_> {
    /// DRAINING until its last task has stopped; the controller then finishes it.
    pub(super) fn delete_service(&mut self, it: &DeleteService) -> Outcome {
        let old = self.state.services.get(&ServiceId(it.service_id)).ok_or_else(service_not_found)?;
        match old.status() {
            ServiceStatusCode::Inactive => return Err(service_not_found().into()),
            ServiceStatusCode::Draining => {
                return Ok(reply::Kind::Done(Done { id: old.id, existed: true, ..Done::default() }));
            }
            _ => {}
        }
        // Nobody scales a daemon to 0 first.
        if old.desired_count > 0 && !it.force && !is_daemon(old) {
            return Err(ApiError::invalid("The service cannot be stopped while it is scaled above 0.").into());
        }
        let mut row = ServiceRow::clone(old);
        row.status = ServiceStatusCode::Draining.into();
        row.desired_count = 0;
        row.backoff = None;
        row.unplaced_reason.clear();
        row.unplaced_left_out.clear();
        row.steady = false;
        let id = row.id;
        self.end_deployments(&row);
        self.put_service(row);
        Ok(done(id))
    }

    /// How many deleted services of a cluster stay in the state.
    pub(super) fn deleted_services_kept(&self) -> usize {
        match self.limits().deleted_services_kept {
            0 => DELETED_SERVICES_KEPT,
            kept => kept as usize,
        }
    }

    /// Hands the deleted services of a cluster beyond the last `kept` to history.
    pub(super) fn forget_inactive_services(&mut self, cluster: ClusterId, kept: usize) {
        let surplus = (self.state.cluster_counts(cluster).services_inactive as usize).saturating_sub(kept);
        let range = (cluster, 0, ServiceId(0))..=(cluster, u64::MAX, ServiceId(u64::MAX));
        let oldest = self.state.index.services_inactive.range(range).take(surplus);
        let ids: Vec<ServiceId> = oldest.map(|(_, _, id)| *id).collect();
        for id in ids {
            if let Some(row) = self.state.remove_service(id) {
                self.keep_service(&row);
            }
            self.changed(Change::Service(id));
        }
    }
}
