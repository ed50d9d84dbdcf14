//! One run: a fresh cluster, clients and faults at once for a while, healing, and the verdicts.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use crate::{
    checker::{
        Check, linearizability,
        replicas::{self, Observation},
        write_gap::Distribution,
    },
    client::Clients,
    cluster::{Cluster, Setup},
    history::{Operation, Outcome, Recorder, Stop},
    nemesis::{self, Deeds, Kind},
    observer,
    report::{Calls, Report},
    workload::{
        convergence::Services,
        register::{self, ClusterTags, Load},
    },
};

/// A new cluster must serve by then.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// After healing, everything must be right by then.
pub const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// A run with fewer acknowledged calls says nothing.
const CALLS_MIN: u64 = 20;

/// Which clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Linearizability of single registers.
    Register,
    /// Services that must end as acknowledged.
    Convergence,
}

impl Workload {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Register => "register",
            Workload::Convergence => "convergence",
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which clients.
    pub workload: Workload,
    /// Which faults.
    pub nemesis: Vec<Kind>,
    /// How long clients and faults go on.
    pub time_limit: Duration,
    /// Chooses operations and faults.
    pub seed: u64,
    /// Clients at once.
    pub clients: u32,
    /// The binary and the folder.
    pub setup: Setup,
    /// Gets the history as JSON lines.
    pub history: Option<PathBuf>,
}

/// Starts a cluster that serves.
///
/// # Errors
/// It does not within a minute.
pub async fn start(setup: &Setup) -> Result<(Cluster, Clients, Vec<String>)> {
    let cluster = Cluster::start(setup)?;
    let clients = Clients::new(&cluster.endpoints)?;
    clients.wait_until_ready(setup.agents_per_zone, START_DEADLINE).await?;
    let names = cluster.members.iter().map(|member| member.name.clone()).collect();
    Ok((cluster, clients, names))
}

/// What happened in a run, before it is judged.
struct Happened {
    deeds: Deeds,
    seen: Vec<Observation>,
}

/// Does a run. Dropping the future ends every process.
///
/// # Errors
/// The run could not be done: what it found is in the report.
pub async fn run(options: &Options) -> Result<Report> {
    let (mut cluster, clients, names) = start(&options.setup).await?;
    let mut report = Report {
        workload: options.workload.name().into(),
        nemesis: options.nemesis.iter().map(|kind| kind.name().to_owned()).collect(),
        seed: options.seed,
        time_limit_s: options.time_limit.as_secs(),
        reproduce: reproduce(options),
        calls: Calls::default(),
        faults: Vec::new(),
        latency: None,
        checks: Vec::new(),
    };
    let recorder = Arc::new(Recorder::default());
    let stop = Stop::default();
    let mut happened = match options.workload {
        Workload::Register => {
            let registers = ClusterTags::new(clients.clone()).await?;
            let load = Load { clients: options.clients, stop: stop.clone(), seed: options.seed };
            let work = register::run(registers.clone(), Arc::clone(&recorder), load);
            let (happened, ()) = with_faults(options, &mut cluster, &clients, &names, &recorder, &stop, work).await?;
            let unread = register::read_everything(&registers, &recorder, SETTLE_DEADLINE).await;
            report.checks.push(Check::of("G2 every register can be read after healing", &unread, "all can".into()));
            happened
        }
        Workload::Convergence => {
            let services = Services::new(clients.clone()).await?;
            let work = services.run(options.clients, options.seed, stop.clone());
            let (happened, outcomes) =
                with_faults(options, &mut cluster, &clients, &names, &recorder, &stop, work).await?;
            report.calls = outcomes.calls;
            report.checks.extend(services.settle(outcomes, options.seed, SETTLE_DEADLINE).await);
            happened
        }
    };
    let (equal, last) = observer::wait_until_equal(&clients, &names, SETTLE_DEADLINE).await;
    happened.seen.extend(last);
    happened.deeds.problems.extend(cluster.unexpected_deaths());
    report.checks.push(equal);
    report.checks.extend(replicas::check(&happened.seen));
    let operations = recorder.operations();
    if options.workload == Workload::Register {
        judge_history(&mut report, &operations);
    }
    judge_run(&mut report, options, &happened.deeds);
    report.faults = happened.deeds.injected;
    save(options, &operations)?;
    Ok(report)
}

async fn with_faults<T>(
    options: &Options,
    cluster: &mut Cluster,
    clients: &Clients,
    names: &[String],
    recorder: &Recorder,
    stop: &Stop,
    work: impl Future<Output = T>,
) -> Result<(Happened, T)> {
    let until = Instant::now() + options.time_limit;
    let mut rng = StdRng::seed_from_u64(options.seed);
    let observer = observer::run(Clients::new(&cluster.endpoints)?, names.to_vec(), stop.clone());
    let nemesis = async {
        let deeds = nemesis::run(cluster, clients, recorder, &mut rng, &options.nemesis, until).await;
        stop.stop();
        deeds
    };
    let (deeds, seen, done) = tokio::join!(nemesis, observer, work);
    Ok((Happened { deeds: deeds?, seen }, done))
}

fn reproduce(options: &Options) -> String {
    let nemesis: Vec<&str> = options.nemesis.iter().map(|kind| kind.name()).collect();
    format!(
        "cargo run --release -p jepsen-style-tests -- run --workload {} --nemesis {} --time-limit {} --clients {} --seed {}",
        options.workload.name(),
        nemesis.join(","),
        options.time_limit.as_secs(),
        options.clients,
        options.seed
    )
}

/// G1, and the counts.
fn judge_history(report: &mut Report, operations: &[Operation]) {
    for operation in operations {
        match operation.outcome {
            Outcome::Ok => report.calls.ok += 1,
            Outcome::Fail => report.calls.fail += 1,
            Outcome::Unknown => report.calls.unknown += 1,
        }
    }
    let answered = operations.iter().filter(|o| o.outcome == Outcome::Ok);
    report.latency = Distribution::of_ns(answered.map(|o| o.completed_ns - o.invoked_ns).collect());
    let violations: Vec<String> = linearizability::check(operations).iter().map(ToString::to_string).collect();
    let looked_at = format!("{} operations", operations.len());
    report.checks.push(Check::of("G1 linearizable", &violations, looked_at));
}

/// Whether the run says anything, and whether the processes behaved.
fn judge_run(report: &mut Report, options: &Options, deeds: &Deeds) {
    report.checks.push(Check::of("members came back, none ended by itself", &deeds.problems, "all".into()));
    let mut empty = Vec::new();
    if report.calls.ok < CALLS_MIN {
        empty.push(format!("{} acknowledged calls", report.calls.ok));
    }
    if !options.nemesis.is_empty() && deeds.injected.is_empty() {
        empty.push("no fault".into());
    }
    let said = format!("{} acknowledged calls, {} faults", report.calls.ok, deeds.injected.len());
    report.checks.push(Check::of("the run says something", &empty, said));
}

fn save(options: &Options, operations: &[Operation]) -> Result<()> {
    let Some(path) = &options.history else { return Ok(()) };
    let mut lines = String::new();
    for operation in operations {
        lines.push_str(&serde_json::to_string(operation)?);
        lines.push('\n');
    }
    fs::write(path, lines).with_context(|| format!("cannot write {}", path.display()))
}
