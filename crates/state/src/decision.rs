//! How the planner decided: one row for all tasks of a placement, whose ids follow each other.

use std::sync::Arc;

use seawall_model::{Id128, TaskId};
use seawall_proto::internal::v1::DecisionRow;

use crate::{PLACEMENTS_MAX, State, task_id};

/// The longest record that is kept.
pub const DECISION_BYTES_MAX: usize = 200;

impl State {
    /// The decision that placed a task, where one was recorded.
    pub fn decision_of(&self, task: TaskId) -> Option<&Arc<DecisionRow>> {
        self.decisions_over(task).next()
    }

    /// Decisions whose ids hold this one: one, unless ids were drawn as no proposer draws them.
    fn decisions_over(&self, task: TaskId) -> impl Iterator<Item = &Arc<DecisionRow>> {
        let first = Id128(task.0.saturating_sub((PLACEMENTS_MAX - 1).into()));
        let before = self.decisions.range(first..=task).rev();
        before.filter(move |(base, row)| task.0 - base.0 < u128::from(row.tasks)).map(|(_, row)| row)
    }

    /// Whether the state still has a task that was placed by the decision.
    pub(crate) fn has_tasks_of(&self, row: &DecisionRow) -> bool {
        let base = row.base.as_ref().map(task_id).unwrap_or_default();
        self.tasks.range(base..base.offset(row.tasks)).next().is_some()
    }

    pub(crate) fn put_decision(&mut self, row: DecisionRow) {
        let base = row.base.as_ref().map(task_id).unwrap_or_default();
        self.decisions.put(base, Arc::new(row));
    }

    /// Takes the decision out that placed the task, if that was its last one.
    pub(crate) fn remove_decision_without_tasks(&mut self, task: TaskId) {
        let empty = self.decisions_over(task).filter(|row| !self.has_tasks_of(row)).cloned();
        for row in empty.collect::<Vec<_>>() {
            self.decisions.remove(&row.base.as_ref().map(task_id).unwrap_or_default());
        }
    }
}
