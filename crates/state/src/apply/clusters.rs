//! Creating and deleting clusters.

use seawall_model::{ApiError, ClusterId, ErrorCode, is_ecs_name};
use seawall_proto::internal::v1::{ClusterRow, CreateCluster, DeleteCluster, Done, UpdateCluster, reply};

use super::{Apply, Outcome, done, refusal::checked_tags};
use crate::Change;

/// Clusters that are ACTIVE at once, as ECS's quota has it.
const CLUSTERS_MAX: usize = 10_000;
/// Deleted clusters that stay describable.
const INACTIVE_CLUSTERS_KEPT: usize = 1000;
/// Stopped tasks of a deleted cluster that one command hands to history before the cluster is forgotten.
const CLEARED_A_COMMAND: usize = 1024;

impl Apply<'_> {
    /// An ACTIVE cluster of that name is the answer; a deleted one leaves its name to the new one.
    pub(super) fn create_cluster(&mut self, it: &CreateCluster) -> Outcome {
        if !is_ecs_name(&it.name) {
            let message =
                format!("Invalid cluster name {:?}: up to 255 letters, digits, hyphens and underscores.", it.name);
            return Err(ApiError::invalid(message).into());
        }
        if let Some(row) = self.state.cluster_by_name(it.account, &it.name).filter(|row| row.active) {
            return Ok(reply::Kind::Done(Done { id: row.id, existed: true, ..Done::default() }));
        }
        let tags = checked_tags(&it.tags)?;
        if self.state.clusters.len() - self.state.index.clusters_inactive.len() >= CLUSTERS_MAX {
            let message = format!("{CLUSTERS_MAX} clusters exist, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        self.check_cluster_providers(&it.capacity_providers, &it.default_strategy)?;
        let id = self.add_cluster(ClusterRow {
            account: it.account,
            name: it.name.clone(),
            tags,
            configuration: it.configuration.clone(),
            settings: it.settings.clone(),
            service_connect_defaults: it.service_connect_defaults.clone(),
            capacity_providers: it.capacity_providers.clone(),
            default_strategy: it.default_strategy.clone(),
            ..ClusterRow::default()
        });
        Ok(done(id))
    }

    /// What is absent stays; settings are merged by name.
    pub(super) fn update_cluster(&mut self, it: &UpdateCluster) -> Outcome {
        let mut row = ClusterRow::clone(self.active_cluster(it.cluster_id)?);
        if it.configuration.is_some() {
            row.configuration = it.configuration.clone();
        }
        if it.service_connect_defaults.is_some() {
            row.service_connect_defaults = it.service_connect_defaults.clone();
        }
        row.settings.retain(|kept| !it.settings.iter().any(|new| new.name == kept.name));
        row.settings.extend(it.settings.iter().cloned());
        row.changed = self.index;
        let id = ClusterId(row.id);
        self.state.put_cluster(row);
        self.changed(Change::Cluster(id));
        Ok(done(id.0))
    }

    pub(super) fn delete_cluster(&mut self, it: &DeleteCluster) -> Outcome {
        let id = ClusterId(it.cluster_id);
        let row = self
            .state
            .clusters
            .get(&id)
            .ok_or_else(|| ApiError::new(ErrorCode::ClusterNotFound, "Cluster not found."))?;
        if !row.active {
            return Ok(reply::Kind::Done(Done { id: id.0, existed: true, ..Done::default() }));
        }
        let counts = self.state.cluster_counts(id);
        if counts.services_active + counts.services_draining > 0 {
            let message = "The Cluster cannot be deleted while Services are active.";
            return Err(ApiError::new(ErrorCode::ClusterContainsServices, message).into());
        }
        if counts.instances > 0 {
            let message = "The Cluster cannot be deleted while Container Instances are active or draining.";
            return Err(ApiError::new(ErrorCode::ClusterContainsContainerInstances, message).into());
        }
        if counts.tasks.live > 0 {
            let message = "The Cluster cannot be deleted while Tasks are active.";
            return Err(ApiError::new(ErrorCode::ClusterContainsTasks, message).into());
        }
        if counts.schedules + counts.jobs_active > 0 {
            let message = "The Cluster cannot be deleted while it has schedules, or jobs that are not over.";
            return Err(ApiError::new(ErrorCode::ClusterContainsTasks, message).into());
        }
        let row = ClusterRow { active: false, changed: self.index, ..ClusterRow::clone(row) };
        self.state.put_cluster(row);
        self.changed(Change::Cluster(id));
        self.forget_oldest_cluster();
        Ok(done(id.0))
    }

    /// Deleted clusters beyond the limit leave, once their stopped tasks are in history.
    fn forget_oldest_cluster(&mut self) {
        if self.state.index.clusters_inactive.len() <= INACTIVE_CLUSTERS_KEPT {
            return;
        }
        let Some((_, id)) = self.state.index.clusters_inactive.get_min().copied() else { return };
        self.retire(id, CLEARED_A_COMMAND);
        if self.state.cluster_counts(id).stopped() > 0 {
            return;
        }
        self.forget_inactive_services(id, 0);
        self.forget_jobs(id, 0);
        self.state.remove_cluster(id);
        self.changed(Change::Cluster(id));
    }
}
