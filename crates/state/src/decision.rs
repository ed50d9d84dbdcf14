//! How the planner decided: one row for all tasks of a placement, whose ids follow each other, and one for each task that waited
//! first.

use std::sync::Arc;

use seawall_model::{Id128, TaskId};
use seawall_proto::internal::v1::DecisionRow;

use crate::{PLACEMENTS_MAX, State, task_id};

/// The longest record that is kept.
pub const DECISION_BYTES_MAX: usize = 200;

/// The first task whose decision the row is: rows are kept by it.
pub(crate) fn first_of(row: &DecisionRow) -> TaskId {
    row.base.as_ref().map(task_id).unwrap_or_default().offset(row.skipped)
}

impl State {
    /// The decision that placed a task, where one was recorded.
    pub fn decision_of(&self, task: TaskId) -> Option<&Arc<DecisionRow>> {
        self.decisions_over(task).next()
    }

    /// Decisions whose ids hold this one, the task's own first: one, unless it waited while others of its call were placed.
    fn decisions_over(&self, task: TaskId) -> impl Iterator<Item = &Arc<DecisionRow>> {
        let first = Id128(task.0.saturating_sub((PLACEMENTS_MAX - 1).into()));
        let before = self.decisions.range(first..=task).rev();
        let holds = move |first: &TaskId, row: &DecisionRow| task.0 - first.0 < u128::from(row.tasks - row.skipped);
        before.filter(move |(first, row)| holds(first, row)).map(|(_, row)| row)
    }

    /// Whether the state still has a task that was placed by the decision.
    pub(crate) fn has_tasks_of(&self, row: &DecisionRow) -> bool {
        let first = first_of(row);
        self.tasks.range(first..first.offset(row.tasks - row.skipped)).next().is_some()
    }

    /// Keeps a row. One that begins with the same task gives way, and begins after it.
    pub(crate) fn put_decision(&mut self, row: DecisionRow) {
        let first = first_of(&row);
        let displaced = self.decisions.get(&first).cloned();
        self.decisions.put(first, Arc::new(row));
        if let Some(old) = displaced
            && old.skipped + 1 < old.tasks
        {
            self.put_decision_after(DecisionRow { skipped: old.skipped + 1, ..DecisionRow::clone(&old) });
        }
    }

    /// Keeps a row from the first of its tasks on that has no decision of its own, if there are some still.
    fn put_decision_after(&mut self, mut row: DecisionRow) {
        while row.skipped < row.tasks && self.decisions.get(&first_of(&row)).is_some() {
            row.skipped += 1;
        }
        if self.has_tasks_of(&row) {
            self.decisions.put(first_of(&row), Arc::new(row));
        }
    }

    /// Takes the decision out that placed the task, if that was its last one.
    pub(crate) fn remove_decision_without_tasks(&mut self, task: TaskId) {
        let empty = self.decisions_over(task).filter(|row| !self.has_tasks_of(row)).cloned();
        for row in empty.collect::<Vec<_>>() {
            self.decisions.remove(&first_of(&row));
        }
    }
}
