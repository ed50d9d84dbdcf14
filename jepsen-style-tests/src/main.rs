//! `run` does one workload under faults and judges it; `failover` measures how long writes stop when the leader is lost;
//! `check` judges a saved history again. Exit: 0 all holds, 1 something does not, 2 usage, 3 the run could not be done, 130
//! interrupted. Whatever ends it, its processes end with it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jepsen_style_tests::{
    checker::linearizability,
    cluster::Setup,
    failover,
    history::Operation,
    nemesis::Kind,
    runner::{self, Workload},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// Tests of a Seawall cluster of real processes under faults.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a workload under faults and judge it.
    Run(RunArgs),
    /// Measure the longest write gap over many losses of the leader.
    Failover(FailoverArgs),
    /// Judge a history that `run --history` saved.
    Check {
        /// JSON lines.
        history: PathBuf,
    },
}

#[derive(Args)]
struct Common {
    /// The binary under test [default: the one beside this one].
    #[arg(long)]
    seawall: Option<PathBuf>,
    /// Keep data and logs in this empty folder [default: a temporary one, kept only if something is broken].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Agents in each zone, with the fake runtime.
    #[arg(long, default_value_t = 1)]
    agents_per_zone: usize,
    /// Write the report as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct RunArgs {
    /// What clients do.
    #[arg(long)]
    workload: WorkloadArg,
    /// Faults, comma-separated.
    #[arg(long, value_delimiter = ',', default_value = "kill,pause,zone")]
    nemesis: Vec<NemesisArg>,
    /// How long, in seconds.
    #[arg(long, default_value_t = 60)]
    time_limit: u64,
    /// Repeats a run's choices [default: a new one, printed].
    #[arg(long)]
    seed: Option<u64>,
    /// Clients at once.
    #[arg(long, default_value_t = 6)]
    clients: u32,
    /// Save the history of the registers as JSON lines.
    #[arg(long)]
    history: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Args)]
struct FailoverArgs {
    /// How often the leader is killed, and how often it is stopped.
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Writers at once.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum WorkloadArg {
    Register,
    Convergence,
}

#[derive(Clone, Copy, ValueEnum)]
enum NemesisArg {
    /// kill -9 of members or an agent.
    Kill,
    /// SIGSTOP of a member.
    Pause,
    /// A zone's member and agents at once, killed or stopped.
    Zone,
    /// No faults.
    None,
}

impl NemesisArg {
    fn kind(self) -> Option<Kind> {
        match self {
            NemesisArg::Kill => Some(Kind::Kill),
            NemesisArg::Pause => Some(Kind::Pause),
            NemesisArg::Zone => Some(Kind::Zone),
            NemesisArg::None => None,
        }
    }
}

/// How a command ended.
enum Verdict {
    Holds,
    Broken,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    // Dropping the command's future ends its processes, so both signals are waited for here and nowhere else.
    let done = tokio::select! {
        biased;
        interrupted = interrupted() => match interrupted {
            Ok(()) => return ExitCode::from(130),
            Err(error) => Err(error),
        },
        done = execute(cli.command) => done,
    };
    match done {
        Ok(Verdict::Holds) => ExitCode::SUCCESS,
        Ok(Verdict::Broken) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(3)
        }
    }
}

async fn interrupted() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn execute(command: Command) -> Result<Verdict> {
    match command {
        Command::Run(args) => run(args).await,
        Command::Failover(args) => measure(args).await,
        Command::Check { history } => check(&history),
    }
}

async fn run(args: RunArgs) -> Result<Verdict> {
    let seed = args.seed.unwrap_or_else(|| StdRng::from_os_rng().random_range(0..1_000_000));
    let workload = match args.workload {
        WorkloadArg::Register => Workload::Register,
        WorkloadArg::Convergence => Workload::Convergence,
    };
    let seawall = binary(args.common.seawall)?;
    let folder = Folder::new(args.common.folder)?;
    let options = runner::Options {
        workload,
        nemesis: args.nemesis.into_iter().filter_map(NemesisArg::kind).collect(),
        time_limit: Duration::from_secs(args.time_limit),
        seed,
        clients: args.clients,
        setup: Setup { seawall, folder: folder.path.clone(), agents_per_zone: args.common.agents_per_zone },
        history: args.history,
    };
    println!("seed {seed}");
    let report = folder.keep_unless_good(runner::run(&options).await, |report| report.holds())?;
    print!("{report}");
    write_json(args.common.json.as_deref(), &report)?;
    Ok(if report.holds() { Verdict::Holds } else { Verdict::Broken })
}

async fn measure(args: FailoverArgs) -> Result<Verdict> {
    let seawall = binary(args.common.seawall)?;
    let folder = Folder::new(args.common.folder)?;
    let options = failover::Options {
        times: args.times,
        clients: args.clients,
        setup: Setup { seawall, folder: folder.path.clone(), agents_per_zone: args.common.agents_per_zone },
    };
    let measured = folder.keep_unless_good(failover::run(&options).await, |_| true)?;
    print!("{measured}");
    write_json(args.common.json.as_deref(), &measured)?;
    Ok(Verdict::Holds)
}

fn check(path: &Path) -> Result<Verdict> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let history: Vec<Operation> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let violations = linearizability::check(&history);
    for violation in &violations {
        println!("{violation}");
    }
    println!("{} operations, {} violations", history.len(), violations.len());
    Ok(if violations.is_empty() { Verdict::Holds } else { Verdict::Broken })
}

fn binary(chosen: Option<PathBuf>) -> Result<PathBuf> {
    let seawall = match chosen {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("seawall"),
    };
    if !seawall.is_file() {
        bail!("{} is missing; next: cargo build --release", seawall.display());
    }
    Ok(seawall)
}

fn write_json(path: Option<&Path>, report: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| format!("cannot write {}", path.display()))
}

/// Where data and logs are.
struct Folder {
    path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(chosen: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = chosen {
            fs::create_dir_all(&path)?;
            return Ok(Folder { path: path.canonicalize()?, temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("seawall-jepsen-").tempdir()?;
        Ok(Folder { path: temporary.path().to_owned(), temporary: Some(temporary) })
    }

    /// Logs explain what went wrong: the folder stays in that case, and is named.
    fn keep_unless_good<T>(self, result: Result<T>, good: impl Fn(&T) -> bool) -> Result<T> {
        if !result.as_ref().is_ok_and(good)
            && let Some(temporary) = self.temporary
        {
            println!("data and logs: {}", temporary.keep().display());
        }
        result
    }
}
