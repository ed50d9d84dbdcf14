//! Snapshots give way to the log, whose syncs clients wait for.

use std::time::Duration;

use seawall_env::Env;

use crate::store::LogStore;

/// A log write that takes longer waits behind somebody.
const SLOW: Duration = Duration::from_millis(20);
/// Between two pieces of a snapshot, at first, at least and at most.
const FIRST: Duration = Duration::from_millis(40);
const LEAST: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_secs(1);

/// Pauses between the pieces of one snapshot: twice as long as before while the log is slow, half as long while it is not.
pub(super) struct Pace {
    env: Env,
    log: LogStore,
    pause: Duration,
}

impl Pace {
    pub(super) fn new(env: &Env, log: &LogStore) -> Pace {
        // What was slow before the snapshot began is not its doing.
        log.take_slowest_sync();
        Pace { env: env.clone(), log: log.clone(), pause: FIRST }
    }

    /// After each piece.
    pub(super) fn step(&mut self) {
        self.pause = next(self.pause, self.log.take_slowest_sync());
        self.env.pause_thread(self.pause);
    }
}

fn next(pause: Duration, slowest_sync: Duration) -> Duration {
    if slowest_sync > SLOW { (pause * 2).min(MOST) } else { (pause / 2).max(LEAST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_log_makes_it_wait_and_a_fast_one_lets_it_go_on() {
        let slow = SLOW * 2;
        let waits: Vec<Duration> = (0..6)
            .scan(FIRST, |pause, _| {
                *pause = next(*pause, slow);
                Some(*pause)
            })
            .collect();
        assert!(waits.is_sorted() && waits[0] == FIRST * 2 && waits[5] == MOST);
        assert_eq!(next(MOST, Duration::ZERO), MOST / 2);
        assert_eq!(next(LEAST, SLOW), LEAST);
    }
}
