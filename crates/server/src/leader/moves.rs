//! How many tasks are moved to a better place in a minute: moving is never urgent, and each move is a start and a stop.

use std::time::Duration;

use seawall_env::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// A bucket that holds a minute's moves and fills at that rate. A new leader begins with a full one.
pub(super) struct Moves {
    per_minute: u32,
    left: u32,
    /// From where on the next one is saved up.
    since: Instant,
}

impl Moves {
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Moves { per_minute, left: per_minute, since: now }
    }

    /// Whether none may begin now.
    pub(super) fn are_used_up(&mut self, now: Instant) -> bool {
        let passed_ms = (now - self.since).as_millis();
        let saved = passed_ms * u128::from(self.per_minute) / MINUTE.as_millis();
        if saved > 0 {
            self.left = self.left.saturating_add(u32::try_from(saved).unwrap_or(u32::MAX)).min(self.per_minute);
            let saved_ms = saved * MINUTE.as_millis() / u128::from(self.per_minute);
            self.since = self.since + Duration::from_millis(u64::try_from(saved_ms).unwrap_or(u64::MAX));
        }
        self.left == 0
    }

    /// So many begin.
    pub(super) fn take(&mut self, moves: u32) {
        self.left = self.left.saturating_sub(moves);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::default() + Duration::from_secs(s)
    }

    #[test]
    fn a_minutes_moves_may_begin_at_once_and_then_they_are_saved_up() {
        let mut moves = Moves::new(4, at(0));
        assert!(!moves.are_used_up(at(0)));
        moves.take(4);
        assert!(moves.are_used_up(at(14)));
        assert!(!moves.are_used_up(at(20)), "one in a quarter of a minute");
        moves.take(1);
        assert!(moves.are_used_up(at(29)));
        assert!(!moves.are_used_up(at(30)), "what was saved up before counts");
        assert!(!moves.are_used_up(at(1000)));
        moves.take(4);
        assert!(moves.are_used_up(at(1001)), "no more than a minute's are saved up");
    }

    #[test]
    fn none_a_minute_is_none_ever() {
        assert!(Moves::new(0, at(0)).are_used_up(at(100_000)));
    }
}
