//! `Cluster`.

use seawall_model::ClusterId;
use seawall_proto::{
    internal::v1::ClusterRow,
    v1::{Cluster, ClusterSetting, KeyValuePair},
};
use seawall_state::{ClusterCounts, State};

use super::{count, version};

/// What `include` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// `TAGS`
    pub tags: bool,
    /// `SETTINGS`
    pub settings: bool,
    /// `STATISTICS`
    pub statistics: bool,
    /// CONFIGURATIONS: of commands run in containers, and of storage.
    pub configurations: bool,
}

impl Include {
    /// From the request's words.
    pub fn of(words: &[String]) -> Self {
        let has = |word: &str| words.iter().any(|w| w == word);
        Include {
            tags: has("TAGS"),
            settings: has("SETTINGS"),
            statistics: has("STATISTICS"),
            configurations: has("CONFIGURATIONS"),
        }
    }

    /// What the answer to a change holds.
    pub fn all() -> Self {
        Include { tags: true, settings: true, statistics: false, configurations: true }
    }
}

/// The cluster with its counts.
pub fn render(state: &State, row: &ClusterRow, include: Include) -> Cluster {
    let id = ClusterId(row.id);
    let counts = state.cluster_counts(id);
    Cluster {
        cluster_arn: Some(state.arns().cluster(&row.name)),
        cluster_name: Some(row.name.clone()),
        status: Some(if row.active { "ACTIVE" } else { "INACTIVE" }.into()),
        registered_container_instances_count: count(counts.instances - state.fargate_instances(id)),
        running_tasks_count: count(counts.tasks.running),
        pending_tasks_count: count(counts.tasks.pending),
        active_services_count: count(counts.services_active),
        statistics: if include.statistics { statistics(counts) } else { Vec::new() },
        tags: if include.tags { row.tags.clone() } else { Vec::new() },
        settings: if include.settings { settings(row) } else { Vec::new() },
        configuration: row.configuration.clone().filter(|_| include.configurations),
        capacity_providers: row.capacity_providers.clone(),
        default_capacity_provider_strategy: row.default_strategy.clone(),
        service_connect_defaults: row.service_connect_defaults.clone(),
        version: version(row.changed),
        ..Default::default()
    }
}

/// Those that were set, and ECS's default of the one that every cluster has.
fn settings(row: &ClusterRow) -> Vec<ClusterSetting> {
    let insights = "containerInsights";
    let by_default = ClusterSetting { name: Some(insights.into()), value: Some("disabled".into()) };
    let is_set = row.settings.iter().any(|setting| setting.name() == insights);
    (!is_set).then_some(by_default).into_iter().chain(row.settings.iter().cloned()).collect()
}

/// ECS counts by launch type; every task here runs on instances of the cluster.
fn statistics(counts: ClusterCounts) -> Vec<KeyValuePair> {
    let pair = |name: &str, number: u32| KeyValuePair { name: Some(name.into()), value: Some(number.to_string()) };
    vec![
        pair("runningEC2TasksCount", counts.tasks.running),
        pair("runningFargateTasksCount", 0),
        pair("pendingEC2TasksCount", counts.tasks.pending),
        pair("pendingFargateTasksCount", 0),
        pair("activeEC2ServiceCount", counts.services_active),
        pair("activeFargateServiceCount", 0),
        pair("drainingEC2ServiceCount", counts.services_draining),
        pair("drainingFargateServiceCount", 0),
    ]
}
