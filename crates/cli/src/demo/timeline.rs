//! What the demo did, when, and how long it took: told step by step, then as a table, then as JSON.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use seawall_env::{Env, Instant};
use serde::Serialize;

use crate::failure::Failure;

/// One step.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// What.
    pub name: String,
    /// How long it took.
    pub seconds: f64,
    /// Whether it held.
    pub ok: bool,
    /// Nothing was done, since this runtime has nothing to show.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// What was seen.
    pub seen: String,
}

/// The file of `--json`.
#[derive(Serialize)]
struct Document<'a> {
    steps: &'a [Step],
    runtime: &'a str,
    failover_ms: Option<u64>,
    zone_recovered_ms: Option<u64>,
}

/// The steps so far.
pub struct Timeline {
    env: Env,
    began: Instant,
    steps: Vec<Step>,
    runtime: String,
    failovers: Vec<Duration>,
    recoveries: Vec<Duration>,
}

impl Timeline {
    /// Begins now.
    pub fn new(env: &Env) -> Self {
        Timeline {
            env: env.clone(),
            began: env.now(),
            steps: Vec::new(),
            runtime: String::new(),
            failovers: Vec::new(),
            recoveries: Vec::new(),
        }
    }

    /// What runs the tasks.
    pub fn runtime(&mut self, shown: String) {
        self.runtime = shown;
    }

    /// How long a loss stopped writes, and how long until all tasks ran.
    pub fn loss(&mut self, failover: Duration, recovery: Duration) {
        self.failovers.push(failover);
        self.recoveries.push(recovery);
    }

    /// Does a step; what it saw is told, and what went wrong.
    ///
    /// # Errors
    /// Those of the step.
    pub async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Result<(T, String), Failure>>,
    ) -> Result<T, Failure> {
        let began = self.env.now();
        let (out, seen) = match work.await {
            Ok((out, seen)) => (Ok(out), seen),
            Err(failure) => {
                let seen = failure.what.clone();
                let what = format!("{name}: {}", failure.what);
                (Err(failure.reworded(what)), seen)
            }
        };
        let seconds = (self.env.now() - began).as_secs_f64();
        self.add(Step { name: name.to_owned(), seconds, ok: out.is_ok(), skipped: false, seen })?;
        out
    }

    /// A step that this runtime has nothing to show for.
    pub fn skip(&mut self, name: &str, why: &str) -> Result<(), Failure> {
        self.add(Step { name: name.to_owned(), seconds: 0.0, ok: true, skipped: true, seen: why.to_owned() })
    }

    fn add(&mut self, step: Step) -> Result<(), Failure> {
        let at = (self.env.now() - self.began).as_secs_f64();
        let line = told(at, &step);
        self.steps.push(step);
        let mut out = io::stdout().lock();
        writeln!(out, "{line}")?;
        Ok(out.flush()?)
    }

    /// The table, and the two figures that matter.
    pub fn table(&self) -> String {
        let width = self.steps.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
        let mut lines = vec![format!("{:width$}  {:>7}", "STEP", "TOOK")];
        lines.extend(self.steps.iter().map(|step| {
            let took = if step.skipped { "-".to_owned() } else { format!("{:.2} s", step.seconds) };
            format!("{:width$}  {took:>7}  {}", step.name, verdict(step))
        }));
        if let (Some(failover), Some(recovery)) = (worst_ms(&self.failovers), worst_ms(&self.recoveries)) {
            lines.push(String::new());
            let what = "the worse of both losses: writes again after";
            lines.push(format!("{what} {failover} ms, all tasks RUNNING in two zones after {recovery} ms"));
        }
        lines.join("\n")
    }

    /// The document of `--json`.
    pub fn json(&self) -> String {
        let document = Document {
            steps: &self.steps,
            runtime: &self.runtime,
            failover_ms: worst_ms(&self.failovers),
            zone_recovered_ms: worst_ms(&self.recoveries),
        };
        let text = serde_json::to_string_pretty(&document);
        text.unwrap_or_else(|e| panic!("numbers and texts always serialize: {e}"))
    }
}

fn told(at: f64, step: &Step) -> String {
    match verdict(step) {
        "ok" => format!("{at:6.1} s  {}: {}", step.name, step.seen),
        other => format!("{at:6.1} s  {} ({other}): {}", step.name, step.seen),
    }
}

fn verdict(step: &Step) -> &'static str {
    match (step.ok, step.skipped) {
        (true, false) => "ok",
        (true, true) => "skipped",
        (false, _) => "FAILED",
    }
}

fn worst_ms(all: &[Duration]) -> Option<u64> {
    all.iter().max().map(|worst| u64::try_from(worst.as_millis()).unwrap_or(u64::MAX))
}

/// A line between two steps, about something that happened meanwhile.
pub fn note(line: &str) {
    // Nobody is left to tell when standard output is closed; the next step says so.
    let _ = writeln!(io::stdout(), "          {line}");
}

#[cfg(test)]
mod tests {
    use seawall_env::sim::Sim;

    use super::*;

    fn timeline() -> Timeline {
        let sim = Sim::new(1);
        let mut timeline = Timeline::new(&sim.node("demo"));
        timeline.runtime("fake".into());
        timeline.loss(Duration::from_millis(180), Duration::from_millis(3400));
        timeline.loss(Duration::from_millis(240), Duration::from_millis(3100));
        timeline.skip("six answer over HTTP", "nothing runs").unwrap();
        let step = |name: &str, ok| Step { name: name.into(), seconds: 1.234, ok, skipped: false, seen: "x".into() };
        timeline.steps.extend([step("the zone loses power", true), step("delete", false)]);
        timeline
    }

    #[test]
    fn the_table_has_the_worse_of_both_losses() {
        insta::assert_snapshot!(timeline().table(), @r"
        STEP                     TOOK
        six answer over HTTP        -  skipped
        the zone loses power   1.23 s  ok
        delete                 1.23 s  FAILED

        the worse of both losses: writes again after 240 ms, all tasks RUNNING in two zones after 3400 ms
        ");
    }

    #[test]
    fn the_document_has_steps_and_figures() {
        let document: serde_json::Value = serde_json::from_str(&timeline().json()).unwrap();
        assert_eq!((&document["failover_ms"], &document["zone_recovered_ms"]), (&240.into(), &3400.into()));
        assert_eq!(document["steps"][0]["skipped"], true);
        assert_eq!(document["steps"][1]["ok"], true);
        assert!(document["steps"][1].get("skipped").is_none());
        assert_eq!(document["steps"][2]["ok"], false);
    }
}
