//! `seawall dev`: three zones on this machine, until interrupted.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use seawall_proto::v1::GetStatusResponse;
use tokio::sync::mpsc;

use crate::{
    args::{DevArgs, Format},
    context::Context,
    dev::{
        self,
        announce::News,
        board::file,
        cluster::Cluster,
        control,
        folder::{self, Folder, MadeWith},
        layout::{Layout, runtime_word},
        machine, ports, ready,
        signals::Signals,
    },
    failure::{Exit, Failure},
    output,
};

use super::access_key;

/// Commands for zones that wait.
const REQUESTS_WAITING: usize = 16;
/// Longest wait for the answer whether access keys exist.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The default port: clients look there by themselves.
const DEFAULT_PORT: u16 = 7400;

/// Runs `seawall dev`.
pub async fn run(ctx: &Context, args: DevArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen(&ctx.env)?;
    let (folder, mut cluster) = tokio::select! {
        biased;
        () = signals.next() => return Err(interrupted()),
        prepared = prepare(ctx, &args) => prepared?,
    };
    let result = serve(ctx, &args, &folder, &mut cluster, &mut signals).await;
    tell("ending the agents, their tasks and the members (Ctrl-C again kills them)");
    let ended = end(&mut cluster, &mut signals).await;
    control::remove(&ctx.env, &folder.path);
    ctx.env.fs().remove(&file(&folder.path))?;
    result.and(ended)
}

/// On standard error; nobody is left to tell when it is closed.
fn tell(line: &str) {
    drop(writeln!(io::stderr(), "{line}"));
}

fn interrupted() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted")
}

/// Everything that can be refused before a process is started.
async fn prepare(ctx: &Context, args: &DevArgs) -> Result<(Folder, Cluster), Failure> {
    if let Some(port) = args.port.filter(|port| !Layout::ports_fit(*port)) {
        return Err(Failure::usage(format!("--port {port}: no room for the other members' ports above it"))
            .next("a port from 1 to 65514"));
    }
    let folder = folder::take(&ctx.env, folder::choose(args.data_dir.as_deref())?)?;
    let made_with = folder.made_with(&ctx.env)?;
    let tasks = dev::runtime(&ctx.env, args.runtime, made_with.map(|made| made.runtime), tell).await?;
    let port = args.port.or(made_with.map(|made| made.port)).unwrap_or(DEFAULT_PORT);
    let now = MadeWith { runtime: tasks.kind(), port };
    refuse_changes(&folder, made_with, now)?;
    ctx.env.fs().remove(&file(&folder.path))?;
    folder.wait_for_left_over(&ctx.env).await?;
    let layout = Layout {
        folder: folder.path.clone(),
        port,
        runtime: tasks.kind(),
        agents_per_zone: args.agents_per_zone,
        cpu_units: machine::cpu_units(&ctx.env),
        memory_mib: machine::memory_mib(&ctx.env),
        host_offset: 0,
        log: args.log.clone(),
    };
    ports::check(&ctx.env, &layout).await?;
    folder.prepare(ctx, now)?;
    let cluster = Cluster::new(&ctx.env, layout, tasks, args.restart_after.0)?;
    Ok((folder, cluster))
}

/// Members know each other by their ports, and tasks are of one runtime.
fn refuse_changes(folder: &Folder, before: Option<MadeWith>, now: MadeWith) -> Result<(), Failure> {
    let Some(before) = before.filter(|before| *before != now) else { return Ok(()) };
    let flags = if before.runtime != now.runtime {
        format!("--runtime {}", runtime_word(before.runtime))
    } else {
        format!("--port {}", before.port)
    };
    let shown = folder.path.display();
    Err(Failure::refused(format!("{shown} was made with {flags}, and what is in it depends on that"))
        .next(format!("{flags}, another --data-dir, or remove {shown}")))
}

/// Starts, waits, tells, and serves until a signal comes.
async fn serve(
    ctx: &Context,
    args: &DevArgs,
    folder: &Folder,
    cluster: &mut Cluster,
    signals: &mut Signals,
) -> Result<(), Failure> {
    let began = ctx.env.now();
    cluster.start()?;
    let status = tokio::select! {
        biased;
        () = signals.next() => return Err(interrupted()),
        status = ready::wait(ctx, cluster) => status?,
    };
    let took = ctx.env.now() - began;
    let (sender, mut requests) = mpsc::channel(REQUESTS_WAITING);
    let _serving = control::serve(&ctx.env, &folder.path, sender).await?;
    cluster.publish()?;
    let local = ready::context_of(ctx, &Layout::sockets(&folder.path), ANSWER_MAX);
    let keys = access_key::exist(&local).await?;
    announce(ctx, args, cluster, &status, took, keys)?;
    tokio::select! {
        biased;
        // The usual end.
        () = signals.next() => Ok(()),
        never = cluster.supervise(&mut requests, tell) => match never {},
    }
}

/// In order, or at once when a second signal says so.
async fn end(cluster: &mut Cluster, signals: &mut Signals) -> Result<(), Failure> {
    let ended = tokio::select! {
        biased;
        () = signals.next() => None,
        ended = cluster.end() => Some(ended),
    };
    match ended {
        Some(ended) => ended,
        None => {
            cluster.kill_all().await?;
            Err(interrupted())
        }
    }
}

fn announce(
    ctx: &Context,
    args: &DevArgs,
    cluster: &Cluster,
    status: &GetStatusResponse,
    took: Duration,
    keys: bool,
) -> Result<(), Failure> {
    if matches!(output::effective(&ctx.global), Format::Json | Format::Jsonl) {
        return output::item(&cluster.board());
    }
    let layout = cluster.layout();
    let news = News {
        runtime: cluster.tasks().shown(),
        kind: layout.runtime,
        zones: layout.zones(),
        leader: status.leader.clone(),
        instances: usize::from(layout.agents_per_zone) * layout.zones().len(),
        cpu_units: layout.cpu_units,
        memory_mib: layout.memory_for_tasks_mib(),
        took,
        endpoints: cluster.board().endpoints(),
        folder: layout.folder.display().to_string(),
        keys,
        own_folder: args.data_dir.is_some(),
        own_port: layout.port != DEFAULT_PORT,
        program: std::env::current_exe()?.display().to_string(),
    };
    output::say(news.text().trim_end())
}
