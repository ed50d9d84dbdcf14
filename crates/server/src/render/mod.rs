//! Rows as ECS shapes. Pure: what is rendered comes from one state.

pub mod capacity_provider;
pub mod cluster;
pub mod decision;
pub mod endpoint;
pub mod event;
pub mod history;
pub mod instance;
pub mod job;
pub mod schedule;
pub mod service;
pub mod service_deployment;
pub mod task;
pub mod task_definition;
pub mod watch;

#[cfg(test)]
mod tests;

use seawall_model::ClusterId;
use seawall_proto::{internal::v1::Health, v1::Failure};
use seawall_scheduler::Plan;
use seawall_state::State;

/// The log index of a row's last change, as the API's `version`.
fn version(changed: u64) -> Option<i64> {
    Some(i64::try_from(changed).unwrap_or(i64::MAX))
}

/// The name of a cluster, deleted or not.
pub fn cluster_name(state: &State, cluster: u64) -> &str {
    state.clusters.get(&ClusterId(cluster)).map_or("", |row| row.name.as_str())
}

/// A text, absent when it is empty.
fn unless_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A count in the API's type.
fn count(number: impl TryInto<i32>) -> Option<i32> {
    Some(number.try_into().unwrap_or(i32::MAX))
}

fn health(health: i32) -> String {
    match Health::try_from(health).unwrap_or_default() {
        Health::Unknown => "UNKNOWN",
        Health::Healthy => "HEALTHY",
        Health::Unhealthy => "UNHEALTHY",
    }
    .into()
}

/// One entry of `failures`.
pub fn failure(arn: String, reason: &str) -> Failure {
    Failure { arn: Some(arn), reason: Some(reason.into()), detail: None }
}

/// Why tasks found no place, one for each instance. Where there are several the first also says how many each filter left out.
pub fn placement_failures(state: &State, plan: &Plan) -> Vec<Failure> {
    let mut failures: Vec<Failure> = plan.failures.iter().map(|failure| placement_failure(state, failure)).collect();
    if failures.len() > 1
        && let Some(detail) = failures.first_mut().and_then(|first| first.detail.as_mut())
    {
        let counts: Vec<String> = plan.obstacles.iter().map(ToString::to_string).collect();
        *detail = format!("{detail}; left out: {}", counts.join(", "));
    }
    failures
}

fn placement_failure(state: &State, failure: &seawall_scheduler::Failure) -> Failure {
    let arn = state.instances.get(&failure.instance).map(|row| instance::arn(state, row));
    Failure { arn, reason: Some(failure.reason.into()), detail: Some(failure.detail.clone()) }
}
