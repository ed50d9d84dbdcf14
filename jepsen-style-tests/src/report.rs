//! What a run found, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::{
    checker::{Check, write_gap::Distribution},
    nemesis::Injected,
};

/// The result of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// "register" or "convergence".
    pub workload: String,
    /// The kinds of faults.
    pub nemesis: Vec<String>,
    /// Chooses operations and faults.
    pub seed: u64,
    /// How long clients and faults went on.
    pub time_limit_s: u64,
    /// The command that does the same again.
    pub reproduce: String,
    /// Acknowledged, refused and unanswered calls.
    pub calls: Calls,
    /// The faults. How long writes stop is measured by `failover`: here each client waits for a silent member by itself.
    pub faults: Vec<Injected>,
    /// Of the calls that were acknowledged.
    pub latency: Option<Distribution>,
    /// The verdicts.
    pub checks: Vec<Check>,
}

/// How many calls ended how.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Calls {
    /// Acknowledged.
    pub ok: u64,
    /// Refused.
    pub fail: u64,
    /// Without an answer.
    pub unknown: u64,
}

impl Report {
    /// Whether every promise held.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calls { ok, fail, unknown } = self.calls;
        writeln!(
            f,
            "{} with {} for {} s, seed {}",
            self.workload,
            self.nemesis.join(","),
            self.time_limit_s,
            self.seed
        )?;
        writeln!(f, "calls: {ok} acknowledged, {fail} refused, {unknown} unknown")?;
        if let Some(latency) = &self.latency {
            writeln!(f, "latency of acknowledged calls: {latency}")?;
        }
        writeln!(f, "faults: {}", self.faults.len())?;
        for fault in &self.faults {
            let Injected { what, at_ns, healed_ns, .. } = fault;
            let (at, away) = (*at_ns as f64 / 1e9, healed_ns.saturating_sub(*at_ns) as f64 / 1e9);
            writeln!(f, "  {at:7.2} s  {what}, away {away:.1} s")?;
        }
        for check in &self.checks {
            writeln!(f, "{} {}: {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail)?;
        }
        writeln!(f, "{}; again: {}", if self.holds() { "all holds" } else { "BROKEN" }, self.reproduce)
    }
}
