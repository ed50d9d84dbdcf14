//! What a client may expect of a service that it alone changes, when some of its calls had no answer: a set of states. An
//! unanswered call may take effect at any later time, so it stays a possibility until the service is seen at rest.

use std::collections::BTreeSet;

/// A service as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Never created, or deleted.
    Absent,
    /// ACTIVE.
    Present {
        /// Desired count.
        desired: i32,
        /// Revision of its task definition.
        revision: i32,
    },
}

/// A change of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// CreateService.
    Create {
        /// Desired count.
        desired: i32,
        /// Revision of the task definition.
        revision: i32,
    },
    /// UpdateService with another desired count.
    Scale(i32),
    /// UpdateService with another revision.
    Roll(i32),
    /// DeleteService.
    Delete,
}

impl Change {
    /// The state after the change; nothing where it is refused.
    fn apply(self, state: State) -> Option<State> {
        match (self, state) {
            (Change::Create { desired, revision }, State::Absent) => Some(State::Present { desired, revision }),
            (Change::Scale(desired), State::Present { revision, .. }) => Some(State::Present { desired, revision }),
            (Change::Roll(revision), State::Present { desired, .. }) => Some(State::Present { desired, revision }),
            (Change::Delete, State::Present { .. }) => Some(State::Absent),
            (Change::Create { .. }, State::Present { .. }) | (_, State::Absent) => None,
        }
    }
}

/// What is possible.
#[derive(Clone, Debug)]
pub struct Belief {
    states: BTreeSet<State>,
    /// Unanswered changes.
    late: BTreeSet<Change>,
}

impl Default for Belief {
    fn default() -> Self {
        Belief { states: BTreeSet::from([State::Absent]), late: BTreeSet::new() }
    }
}

impl Belief {
    /// Every state that the service may be in now.
    pub fn possible(&self) -> BTreeSet<State> {
        let mut possible = self.states.clone();
        loop {
            let late = possible.iter().flat_map(|state| self.late.iter().filter_map(|change| change.apply(*state)));
            let more: BTreeSet<State> = late.filter(|state| !possible.contains(state)).collect();
            if more.is_empty() {
                return possible;
            }
            possible.extend(more);
        }
    }

    /// The state that it was last seen in, if nothing was changed since.
    pub fn last_seen(&self) -> Option<State> {
        self.states.first().copied().filter(|_| self.states.len() == 1)
    }

    /// Whether the service is there whatever happened to the unanswered changes.
    pub fn surely_present(&self) -> bool {
        !self.possible().contains(&State::Absent)
    }

    /// `change` was acknowledged; false where no possible state allows that.
    #[must_use]
    pub fn acknowledged(&mut self, change: Change) -> bool {
        self.states = self.possible().into_iter().filter_map(|state| change.apply(state)).collect();
        !self.states.is_empty()
    }

    /// `change` was not answered.
    pub fn unanswered(&mut self, change: Change) {
        self.late.insert(change);
    }

    /// The service was seen in `state`; false where that is impossible.
    #[must_use]
    pub fn seen(&mut self, state: State) -> bool {
        let possible = self.possible().contains(&state);
        self.states = BTreeSet::from([state]);
        possible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: State = State::Present { desired: 3, revision: 1 };

    fn created() -> Belief {
        let mut belief = Belief::default();
        assert!(belief.acknowledged(Change::Create { desired: 3, revision: 1 }));
        belief
    }

    #[test]
    fn acknowledged_changes_leave_one_state() {
        let mut belief = created();
        assert!(belief.acknowledged(Change::Scale(5)) && belief.acknowledged(Change::Roll(2)));
        assert_eq!(belief.possible(), BTreeSet::from([State::Present { desired: 5, revision: 2 }]));
        assert!(!belief.seen(State::Absent), "a lost service is noticed");
    }

    #[test]
    fn an_unanswered_change_may_come_after_later_ones() {
        let mut belief = created();
        belief.unanswered(Change::Scale(5));
        assert!(belief.acknowledged(Change::Scale(2)));
        assert!(belief.seen(State::Present { desired: 2, revision: 1 }));
        assert!(belief.seen(State::Present { desired: 5, revision: 1 }));
        assert!(!belief.seen(CREATED), "what was overwritten does not come back");
    }

    #[test]
    fn only_an_unanswered_delete_makes_absence_possible() {
        let mut belief = created();
        assert!(belief.surely_present());
        belief.unanswered(Change::Delete);
        assert!(!belief.surely_present());
        assert!(belief.seen(State::Absent));
    }

    #[test]
    fn an_impossible_acknowledgement_is_noticed() {
        assert!(!created().acknowledged(Change::Create { desired: 1, revision: 1 }));
        assert!(!Belief::default().acknowledged(Change::Delete));
    }
}
