//! Which member to try next.

/// Members to dial: those of the flags, then those that the cluster told of.
pub(super) struct Members {
    configured: Vec<String>,
    all: Vec<String>,
    /// Where the next round begins.
    first: usize,
    exhausted: bool,
}

impl Members {
    pub(super) fn new(configured: Vec<String>, told: Vec<String>) -> Self {
        let mut members = Members { configured, all: Vec::new(), first: 0, exhausted: false };
        members.learn(&told);
        members
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Every member once. Unless [`Members::after`] says otherwise meanwhile, the round was in vain.
    pub(super) fn round(&mut self) -> Vec<String> {
        self.exhausted = true;
        let mut round = self.all.clone();
        round.rotate_left(self.first);
        round
    }

    /// The member served and does no longer: the next round begins with the one after it.
    pub(super) fn after(&mut self, address: &str, told: &[String]) {
        self.exhausted = false;
        self.learn(told);
        let at = self.all.iter().position(|known| known == address);
        self.first = at.map_or(0, |at| (at + 1) % self.all.len());
    }

    /// Whether the last round found nobody.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Those of the flags stay: the cluster may have told of addresses that this machine cannot reach.
    fn learn(&mut self, told: &[String]) {
        self.all = self.configured.clone();
        let new = told.iter().filter(|address| !self.configured.contains(address));
        self.all.extend(new.cloned());
        self.first = self.first.min(self.all.len().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_round_begins_after_the_member_that_was_lost() {
        let mut members = Members::new(names(&["a", "b"]), names(&["c", "a"]));
        assert_eq!(members.round(), names(&["a", "b", "c"]));
        assert!(members.is_exhausted());
        members.after("b", &names(&["d"]));
        assert!(!members.is_exhausted());
        assert_eq!(members.round(), names(&["d", "a", "b"]));
        members.after("d", &[]);
        assert_eq!(members.round(), names(&["a", "b"]));
    }
}
