//! `PlacementDecision`: what was recorded when the planner decided.

use prost::Message;
use seawall_model::{ApiError, ClusterId, ErrorCode, Id128, InstanceId};
use seawall_proto::{
    internal::v1::{Decision, DecisionRow, Score, decision::Scored},
    v1::{FilterCount, PlacementDecision, ScoredInstance},
};
use seawall_scheduler::filters;
use seawall_state::State;

/// A whole share of an instance, as scores have it.
const SHARE_ONE: u64 = 1 << 16;

/// What a row holds.
///
/// # Errors
/// It does not decode.
pub fn decoded(row: &DecisionRow) -> Result<Decision, ApiError> {
    Decision::decode(row.decision.clone())
        .map_err(|error| ApiError::new(ErrorCode::Server, format!("the record of a decision does not decode: {error}")))
}

/// The decision, for a task on this instance.
pub fn render(state: &State, row: &DecisionRow, decision: &Decision, on: InstanceId) -> PlacementDecision {
    PlacementDecision {
        planner_version: decision.planner,
        base_index: decision.base_index,
        placed_index: row.placed_index,
        requirement_class: format!("{:08x}", decision.class),
        tasks: row.tasks,
        instances: decision.instances,
        looked_at: decision.looked_at,
        fitted: decision.fitted,
        left_out: left_out(&decision.left_out),
        best: decision.best.iter().map(|best| scored(state, decision, best, on)).collect(),
    }
}

/// Filters' numbers and instances by turns, as messages.
pub fn left_out(pairs: &[u32]) -> Vec<FilterCount> {
    let count = |pair: &[u32]| FilterCount {
        filter: filters::name_of(pair[0]).into(),
        instances: pair[1],
        detail: String::new(),
    };
    pairs.chunks_exact(2).map(count).collect()
}

/// "8 by memory, 4 by cpu"
pub fn left_out_in_words(pairs: &[u32]) -> String {
    let each = pairs.chunks_exact(2).map(|pair| format!("{} by {}", pair[1], filters::name_of(pair[0])));
    each.collect::<Vec<_>>().join(", ")
}

/// What the record says, as sentences.
pub fn in_words(row: &DecisionRow, decision: &Decision) -> Vec<String> {
    let Decision { planner, base_index, class, instances, looked_at, fitted, .. } = decision;
    let decided = format!(
        "decided by planner {planner} on the state of log entry {base_index}, placed by entry {}; requirement class {class:08x}",
        row.placed_index
    );
    let without = match decision.left_out.is_empty() {
        true => String::new(),
        false => format!("; left out: {}", left_out_in_words(&decision.left_out)),
    };
    vec![decided, format!("{looked_at} of {instances} instances were looked at then, {fitted} fitted{without}")]
}

fn scored(state: &State, decision: &Decision, best: &Scored, on: InstanceId) -> ScoredInstance {
    let row = state.instances.get(&InstanceId(best.instance_id));
    let cluster = row.and_then(|row| state.clusters.get(&ClusterId(row.cluster_id)));
    let arn = row
        .zip(cluster)
        .map(|(row, cluster)| state.arns().instance(&cluster.name, Id128::from_halves(row.arn_hi, row.arn_lo)));
    ScoredInstance {
        container_instance_arn: arn.unwrap_or_default(),
        ec2_instance_id: row.map(|row| row.ec2_instance_id.clone()).unwrap_or_default(),
        zone: row.map(|row| row.zone.clone()).unwrap_or_default(),
        scores: scores_in_words(decision, best),
        taken: best.instance_id == on.0,
    }
}

/// "zone had 2, instance had 0, 87 % free"
pub fn scores_in_words(decision: &Decision, best: &Scored) -> String {
    let says = |(score, number): (Score, &u64)| match score {
        Score::ZoneTasks => format!("zone had {number}"),
        Score::AttributeTasks => format!("its value of the attribute had {number}"),
        Score::InstanceTasks => format!("instance had {number}"),
        Score::CpuLeft => format!("{number} CPU units left"),
        Score::MemoryLeft => format!("{number} MiB left"),
        Score::Drawn => format!("drew {number}"),
        Score::FreeShare => format!("{} % free", number * 100 / SHARE_ONE),
        Score::Unspecified => number.to_string(),
    };
    decision.scores().zip(&best.scores).map(says).collect::<Vec<_>>().join(", ")
}
