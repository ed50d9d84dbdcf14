//! Reports on their way: each is kept by the engine until the cluster has applied it.

use std::collections::{BTreeMap, VecDeque};

use prost::Message;
use seawall_model::TaskId;
use seawall_proto::internal::v1::{Report, TaskReport};

use crate::engine::Engine;

/// Reports that wait for their acknowledgement. More would only make them older.
const UNACKNOWLEDGED_MAX: usize = 4;
/// Tasks in one report…
const TASKS_MAX: usize = 64;
/// …and its size: many reports travel in one command, whose size the log limits.
const BYTES_MAX: usize = 48 << 10;

/// What was sent in this session.
#[derive(Default)]
pub(super) struct Reports {
    sequence: u64,
    /// The newest version of each task that was sent and not acknowledged.
    sent: BTreeMap<TaskId, u64>,
    waiting: VecDeque<(u64, Vec<(TaskId, u64)>)>,
}

impl Reports {
    /// Whether another one may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < UNACKNOWLEDGED_MAX
    }

    /// The next report; `None` where there is nothing new to say.
    pub(super) fn next(&mut self, engine: &Engine) -> Option<Report> {
        let new = engine.unsent(&self.sent, TASKS_MAX);
        let count = fitting(new.iter().map(|(.., report)| report.encoded_len()));
        let new: Vec<(TaskId, u64, TaskReport)> = new.into_iter().take(count).collect();
        if new.is_empty() {
            return None;
        }
        self.sequence += 1;
        let versions: Vec<(TaskId, u64)> = new.iter().map(|(task, version, _)| (*task, *version)).collect();
        self.sent.extend(versions.iter().copied());
        self.waiting.push_back((self.sequence, versions));
        Some(Report { sequence: self.sequence, tasks: new.into_iter().map(|(.., report)| report).collect() })
    }

    /// The cluster has applied everything up to `sequence`.
    pub(super) fn acknowledged(&mut self, engine: &Engine, sequence: u64) {
        while let Some((_, versions)) = self.waiting.pop_front_if(|(sent, _)| *sent <= sequence) {
            for (task, version) in &versions {
                if self.sent.get(task) == Some(version) {
                    self.sent.remove(task);
                }
            }
            engine.acknowledged(&versions);
        }
    }
}

/// How many of these sizes go into one report: the first always does.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut left = BYTES_MAX;
    let fits = |(place, size): &(usize, usize)| {
        let fits = *place == 0 || *size <= left;
        left = left.saturating_sub(*size);
        fits
    };
    sizes.enumerate().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_bounded_and_never_empty() {
        assert_eq!(fitting([10, 10].into_iter()), 2);
        assert_eq!(fitting([BYTES_MAX + 1, 1].into_iter()), 1);
        assert_eq!(fitting([BYTES_MAX - 5, 5, 1].into_iter()), 2);
        assert_eq!(fitting([].into_iter()), 0);
    }
}
