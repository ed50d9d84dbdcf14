//! What a guard knows. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_model::TaskId;

use super::{Held, Target};

/// See the module.
#[derive(Default)]
pub(crate) struct Table {
    owner: u64,
    held: Held,
    tasks: BTreeMap<TaskId, Watched>,
}

/// A task.
#[derive(Default)]
struct Watched {
    generation: u64,
    targets: BTreeSet<Target>,
}

impl Table {
    /// The end of a lease. One that comes after the end of the last begins a generation.
    pub(crate) fn feed(&mut self, owner: u64, until: Duration, now: Duration) -> Held {
        if until <= now {
            return self.held;
        }
        if owner == self.owner && now < self.held.until {
            self.held.until = self.held.until.max(until);
        } else {
            // Larger than that of a guard before this one, too.
            let generation = (self.held.generation + 1).max(now.as_millis() as u64);
            self.owner = owner;
            self.held = Held { generation, until };
        }
        self.held
    }

    /// The lease as it is.
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// Names a task; its generation.
    pub(crate) fn watch(&mut self, task: TaskId, target: Option<Target>) -> u64 {
        let generation = self.held.generation;
        let watched = self.tasks.entry(task).or_insert_with(|| Watched { generation, ..Watched::default() });
        watched.targets.extend(target);
        watched.generation
    }

    /// The task is not looked after any more.
    pub(crate) fn forget(&mut self, task: TaskId) {
        self.tasks.remove(&task);
    }

    /// Whether a task may be alive. One that was never named may not.
    pub(crate) fn lives(&self, task: TaskId, now: Duration) -> bool {
        self.tasks.get(&task).is_some_and(|watched| self.is_current(watched, now))
    }

    /// Tasks whose time is over, with what finds them.
    pub(crate) fn over(&self, now: Duration) -> Vec<(TaskId, BTreeSet<Target>)> {
        let over = self.tasks.iter().filter(|(_, watched)| !self.is_current(watched, now));
        over.map(|(task, watched)| (*task, watched.targets.clone())).collect()
    }

    /// Whether any task may be alive.
    pub(crate) fn has_living(&self, now: Duration) -> bool {
        self.tasks.values().any(|watched| self.is_current(watched, now))
    }

    fn is_current(&self, watched: &Watched, now: Duration) -> bool {
        watched.generation == self.held.generation && now < self.held.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: u64 = 7;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn task(lo: u64) -> TaskId {
        TaskId::from_halves(0, lo)
    }

    #[test]
    fn a_task_lives_while_the_lease_is_fed_in_time() {
        let mut table = Table::default();
        table.feed(OWNER, s(10), s(1));
        table.watch(task(1), None);
        table.feed(OWNER, s(19), s(9));
        assert!(table.lives(task(1), s(18)) && table.over(s(18)).is_empty());
        table.feed(OWNER, s(15), s(18));
        assert!(table.lives(task(1), s(18)), "an older feed takes nothing back");
        assert_eq!(table.over(s(19)).len(), 1);
        assert!(!table.lives(task(2), s(18)), "one that was never named");
    }

    #[test]
    fn what_is_over_stays_over_whatever_is_fed() {
        let mut table = Table::default();
        let first = table.feed(OWNER, s(10), s(1));
        table.watch(task(1), None);
        let second = table.feed(OWNER, s(20), s(10));
        assert!(second.generation > first.generation);
        assert!(!table.lives(task(1), s(11)));
        assert_eq!(table.watch(task(1), None), first.generation, "named again it keeps its generation");
        assert_eq!(table.watch(task(2), None), second.generation);
        assert!(table.lives(task(2), s(11)) && !table.lives(task(1), s(11)));
        table.forget(task(1));
        assert!(table.over(s(11)).is_empty());
    }

    #[test]
    fn the_lease_of_another_instance_is_another_lease() {
        let mut table = Table::default();
        table.feed(OWNER, s(10), s(1));
        table.watch(task(1), None);
        table.feed(OWNER + 1, s(12), s(2));
        assert!(!table.lives(task(1), s(3)));
    }

    #[test]
    fn a_feed_of_the_past_is_none() {
        let mut table = Table::default();
        assert_eq!(table.feed(OWNER, s(10), s(10)), Held::default());
        table.watch(task(1), None);
        assert!(!table.lives(task(1), s(10)));
    }
}
