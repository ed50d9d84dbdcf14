//! Decides from a history whether the promises held. Pure: the same history gives the same verdict.

pub mod belief;
pub mod convergence;
pub mod linearizability;
pub mod replicas;
pub mod write_gap;

use serde::Serialize;

/// The verdict on one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which promise ("G1 linearizable").
    pub name: String,
    /// Whether it held.
    pub ok: bool,
    /// What was looked at, or how it was broken.
    pub detail: String,
}

impl Check {
    /// The verdict for `name`: broken when `problems` says how.
    pub fn of(name: &str, problems: &[String], looked_at: String) -> Self {
        const SHOWN: usize = 5;
        if problems.is_empty() {
            return Check { name: name.into(), ok: true, detail: looked_at };
        }
        let mut detail = problems.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        if problems.len() > SHOWN {
            detail.push_str(&format!("; and {} more", problems.len() - SHOWN));
        }
        Check { name: name.into(), ok: false, detail }
    }
}
