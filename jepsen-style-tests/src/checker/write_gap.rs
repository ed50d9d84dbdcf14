//! How long no write was acknowledged around a fault.

use serde::Serialize;

/// The longest time between two acknowledged writes of which a part lies in `from_ns..until_ns`; up to `end_ns` where none
/// followed. `acknowledged_ns` must be sorted.
pub fn longest_gap_ns(acknowledged_ns: &[u64], from_ns: u64, until_ns: u64, end_ns: u64) -> u64 {
    let mut longest = 0;
    let mut before = 0;
    for at in acknowledged_ns.iter().copied().chain([end_ns]) {
        if at > from_ns && before < until_ns {
            longest = longest.max(at.saturating_sub(before));
        }
        before = at;
    }
    longest
}

/// A distribution in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Distribution {
    /// How many.
    pub count: usize,
    /// Median.
    pub p50_ms: f64,
    /// 99th percentile (nearest rank).
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Distribution {
    /// Of durations in nanoseconds; nothing where there are none.
    pub fn of_ns(mut durations_ns: Vec<u64>) -> Option<Self> {
        durations_ns.sort_unstable();
        let rank = |share_percent: usize| (durations_ns.len() * share_percent).div_ceil(100).max(1) - 1;
        let ms = |i: usize| (durations_ns[i] as f64 / 1e4).round() / 100.0;
        (!durations_ns.is_empty()).then(|| Distribution {
            count: durations_ns.len(),
            p50_ms: ms(rank(50)),
            p99_ms: ms(rank(99)),
            max_ms: ms(durations_ns.len() - 1),
        })
    }
}

impl std::fmt::Display for Distribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {} ms, p99 {} ms, max {} ms of {}", self.p50_ms, self.p99_ms, self.max_ms, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::{Distribution, longest_gap_ns};

    #[test]
    fn a_gap_counts_when_a_part_of_it_lies_in_the_window() {
        let acknowledged = [10, 20, 90, 100, 400];
        assert_eq!(longest_gap_ns(&acknowledged, 25, 50, 500), 70);
        assert_eq!(longest_gap_ns(&acknowledged, 5, 15, 500), 10);
        assert_eq!(longest_gap_ns(&acknowledged, 50, 101, 500), 300);
        assert_eq!(longest_gap_ns(&acknowledged, 450, 470, 900), 500);
        assert_eq!(longest_gap_ns(&[], 10, 20, 70), 70);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let d = Distribution::of_ns((1..=20).rev().map(|i| i * 1_000_000).collect()).unwrap();
        assert_eq!((d.count, d.p50_ms, d.p99_ms, d.max_ms), (20, 10.0, 20.0, 20.0));
        assert_eq!(Distribution::of_ns(vec![]), None);
    }
}
