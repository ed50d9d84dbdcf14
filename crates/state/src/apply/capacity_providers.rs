//! Capacity providers, and which of them a cluster has.

use std::{collections::BTreeSet, sync::Arc};

use seawall_model::{ApiError, ClusterId, ErrorCode};
use seawall_proto::{
    internal::v1::{
        CapacityProviderRow, ClusterRow, CreateCapacityProvider, DeleteCapacityProvider, PutClusterCapacityProviders,
        ServiceStatusCode, UpdateCapacityProvider,
    },
    v1::CapacityProviderStrategyItem,
};

use super::{Apply, Outcome, done, refusal::checked_tags};
use crate::{Change, State};

/// There from the start, and never deleted.
pub const PREDEFINED: [&str; 2] = ["FARGATE", FARGATE_SPOT];
/// Whose instances may go at short notice.
pub const FARGATE_SPOT: &str = "FARGATE_SPOT";
/// Of one cluster, as ECS's quota has it.
const OF_A_CLUSTER_MAX: usize = 20;
/// Of all clusters.
const PROVIDERS_MAX: usize = 1000;
/// Of one item of a strategy.
const WEIGHT_MAX: i32 = 1000;
const BASE_MAX: i32 = 100_000;

impl Apply<'_> {
    pub(super) fn create_capacity_provider(&mut self, it: &CreateCapacityProvider) -> Outcome {
        let account = self.principal.account;
        if self.state.has_capacity_provider(account, &it.name) {
            let message = "The specified capacity provider already exists. To change the configuration of an existing \
                           capacity provider, update the capacity provider.";
            return Err(ApiError::client(message).into());
        }
        if self.state.capacity_providers.len() >= PROVIDERS_MAX {
            let message = format!("{PROVIDERS_MAX} capacity providers exist, which is the limit.");
            return Err(ApiError::new(ErrorCode::LimitExceeded, message).into());
        }
        let tags = checked_tags(&it.tags)?;
        self.put_capacity_provider(CapacityProviderRow {
            account,
            name: it.name.clone(),
            auto_scaling_group_provider: it.auto_scaling_group_provider.clone(),
            tags,
            created_at_ms: self.now_ms,
            changed: 0,
        });
        Ok(done(0))
    }

    pub(super) fn update_capacity_provider(&mut self, it: &UpdateCapacityProvider) -> Outcome {
        let key = (self.principal.account, it.name.clone());
        let row = self.state.capacity_providers.get(&key).ok_or_else(not_found)?;
        let auto_scaling_group_provider = it.auto_scaling_group_provider.clone();
        self.put_capacity_provider(CapacityProviderRow {
            auto_scaling_group_provider,
            ..CapacityProviderRow::clone(row)
        });
        Ok(done(0))
    }

    pub(super) fn delete_capacity_provider(&mut self, it: &DeleteCapacityProvider) -> Outcome {
        let account = self.principal.account;
        let key = (account, it.name.clone());
        if self.state.capacity_providers.get(&key).is_none() {
            return Err(not_found().into());
        }
        let has = |row: &ClusterRow| row.active && row.account == account && row.capacity_providers.contains(&it.name);
        if let Some((_, cluster)) = self.state.clusters.iter().find(|(_, row)| has(row)) {
            let message = format!(
                "The specified capacity provider is in use and cannot be removed: cluster {} has it.",
                cluster.name
            );
            return Err(ApiError::client(message).into());
        }
        self.state.capacity_providers.remove(&key);
        self.changed(Change::Bookkeeping);
        Ok(done(0))
    }

    /// Replaces the whole set; one that a service's strategy names, or that a task waits for, cannot go.
    pub(super) fn put_cluster_capacity_providers(&mut self, it: &PutClusterCapacityProviders) -> Outcome {
        let row = ClusterRow::clone(self.active_cluster(it.cluster_id)?);
        self.check_cluster_providers(&it.capacity_providers, &it.default_strategy)?;
        let id = ClusterId(row.id);
        if let Some(name) = self.provider_in_use(id, &it.capacity_providers) {
            let message = format!("The specified capacity provider {name} is in use and cannot be removed.");
            return Err(ApiError::new(ErrorCode::ResourceInUse, message).into());
        }
        self.state.put_cluster(ClusterRow {
            capacity_providers: it.capacity_providers.clone(),
            default_strategy: it.default_strategy.clone(),
            changed: self.index,
            ..row
        });
        self.changed(Change::Cluster(id));
        Ok(done(id.0))
    }

    /// The providers exist, and the strategy names no other.
    pub(super) fn check_cluster_providers(
        &self,
        names: &[String],
        strategy: &[CapacityProviderStrategyItem],
    ) -> Result<(), ApiError> {
        if names.len() > OF_A_CLUSTER_MAX {
            return Err(ApiError::invalid(format!("A cluster has at most {OF_A_CLUSTER_MAX} capacity providers.")));
        }
        let account = self.principal.account;
        if let Some(name) = names.iter().find(|name| !self.state.has_capacity_provider(account, name)) {
            return Err(ApiError::invalid(format!("The specified capacity provider '{name}' was not found.")));
        }
        check_strategy(strategy, names)
    }

    /// A provider that is in the strategy of a service of the cluster, or that a task waits for, but not among `kept`.
    fn provider_in_use(&self, cluster: ClusterId, kept: &[String]) -> Option<String> {
        let services = self.state.services_of(cluster).filter(|row| row.status() != ServiceStatusCode::Inactive);
        let items = services.flat_map(|row| row.spec.iter().flat_map(|spec| &spec.capacity_provider_strategy));
        let waiting = self.state.waiting_tasks(cluster).map(|task| task.capacity_provider.as_str());
        let mut used = items.map(|item| item.capacity_provider()).chain(waiting);
        used.find(|name| !kept.iter().any(|kept| kept == name)).map(str::to_owned)
    }

    /// Puts a capacity provider that this command touched.
    pub(super) fn put_capacity_provider(&mut self, row: CapacityProviderRow) {
        let row = CapacityProviderRow { changed: self.index, ..row };
        self.state.capacity_providers.put((row.account, row.name.clone()), Arc::new(row));
        self.changed(Change::Bookkeeping);
    }
}

impl State {
    /// Whether there is a capacity provider of that name.
    pub fn has_capacity_provider(&self, account: u32, name: &str) -> bool {
        PREDEFINED.contains(&name) || self.capacity_providers.get(&(account, name.to_owned())).is_some()
    }
}

/// A strategy that can place something, with providers out of `allowed`.
///
/// # Errors
/// `InvalidParameterException`
pub fn check_strategy(strategy: &[CapacityProviderStrategyItem], allowed: &[String]) -> Result<(), ApiError> {
    if strategy.is_empty() {
        return Ok(());
    }
    let mut seen = BTreeSet::new();
    for item in strategy {
        let name = item.capacity_provider();
        if !allowed.iter().any(|known| known == name) {
            return Err(ApiError::invalid(format!(
                "The capacity provider '{name}' of the strategy is not associated with the cluster. Associate it with \
                 PutClusterCapacityProviders first."
            )));
        }
        if !seen.insert(name) {
            return Err(ApiError::invalid(format!("The strategy names the capacity provider '{name}' twice.")));
        }
        if !(0..=WEIGHT_MAX).contains(&item.weight()) || !(0..=BASE_MAX).contains(&item.base()) {
            return Err(ApiError::invalid(format!(
                "The strategy's weight must be 0 to {WEIGHT_MAX} and its base 0 to {BASE_MAX}."
            )));
        }
    }
    if strategy.iter().filter(|item| item.base() > 0).count() > 1 {
        return Err(ApiError::invalid("Only one capacity provider of a strategy can have a base."));
    }
    if strategy.iter().all(|item| item.weight() == 0) {
        return Err(ApiError::invalid("At least one capacity provider of a strategy needs a weight above 0."));
    }
    Ok(())
}

fn not_found() -> ApiError {
    ApiError::client("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
}
