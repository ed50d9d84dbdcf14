//! One file a command.

pub mod access_key;
mod agent;
mod api;
mod aws;
mod bench;
mod changes;
mod check;
mod cluster;
mod completion;
mod dev;
mod env;
mod events;
mod instance;
mod job;
mod logs;
mod member;
mod proxy;
mod replay;
mod run;
mod scale;
mod schedule;
pub mod secret;
mod server;
mod service;
mod set;
mod simulate;
mod status;
mod tag;
mod task;
pub mod taskdef;
mod token;
mod usage;
mod version;
mod wait;
mod web;
mod why;
mod zone;

use seawall_env::Env;

use crate::{
    args::{Cli, Command, ZoneCommand},
    context::Context,
    failure::{Exit, Failure},
};

/// Runs a command until it is done or interrupted.
pub async fn run(env: Env, cli: Cli) -> Result<(), Failure> {
    refuse_dry_run(&cli)?;
    let ctx = Context::new(env, cli.global);
    if let Command::Server(_)
    | Command::Agent(_)
    | Command::Proxy(_)
    | Command::Dev(_)
    | Command::Demo(_)
    | Command::Web(_) = &cli.command
    {
        // These take the signals themselves, and end in order.
        return dispatch(&ctx, cli.command).await;
    }
    let work = dispatch(&ctx, cli.command);
    tokio::select! {
        biased;
        result = work => result,
        // A signal that cannot be caught ends the process by itself.
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::new(Exit::Interrupted, "interrupted")),
    }
}

async fn dispatch(ctx: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Server(args) => server::run(&ctx.env, *args).await,
        Command::Agent(args) => agent::run(ctx, *args).await,
        Command::Proxy(args) => proxy::run(ctx, *args).await,
        Command::Dev(args) => dev::run(ctx, args).await,
        Command::Bench(args) => bench::run(ctx, &args).await,
        Command::Demo(args) => crate::demo::run(ctx, args).await,
        Command::Secret(command) => secret::run(ctx, command),
        Command::Token(command) => token::run(ctx, command).await,
        Command::AccessKey(command) => access_key::run(ctx, command).await,
        Command::Env(args) => env::run(ctx, &args).await,
        Command::Aws { arguments } => aws::run(ctx, arguments).await,
        Command::Api(args) => api::run(ctx, args).await,
        Command::Check(args) => check::run(ctx, &args),
        Command::Status(args) => status::run(ctx, &args).await,
        Command::Member(command) => member::run(ctx, command).await,
        Command::Cluster(command) => cluster::run(ctx, command).await,
        Command::Instance(command) => instance::run(ctx, command).await,
        Command::Taskdef(command) => taskdef::run(ctx, command).await,
        Command::Run(args) => run::run(ctx, args).await,
        Command::Ps(args) => task::list(ctx, &args).await,
        Command::Task(command) => task::run(ctx, command).await,
        Command::Service(command) => service::run(ctx, command).await,
        Command::Scale { services } => scale::run(ctx, services).await,
        Command::Job(command) => job::run(ctx, command).await,
        Command::Schedule(command) => schedule::run(ctx, command).await,
        Command::Logs(args) => logs::run(ctx, args).await,
        Command::Events(args) => events::run(ctx, args).await,
        Command::Tag { resource, changes } => tag::run(ctx, &resource, &changes).await,
        Command::Why { name, all } => why::run(ctx, &name, all).await,
        Command::Replay { task } => replay::run(ctx, &task).await,
        Command::Usage(args) => usage::run(ctx, args).await,
        Command::Simulate(args) => simulate::run(ctx, args).await,
        Command::Wait { state, names } => wait::run(ctx, state, &names).await,
        Command::Completion { shell } => completion::run(shell),
        Command::Version => version::run(ctx).await,
        Command::Node { rest: _ } => Err(node()),
        Command::Zone(command) => zone::run(ctx, command).await,
        Command::Web(args) => web::run(ctx, args).await,
    }
}

/// What acts on this machine sends nothing that could be shown: it refuses the flag, lest it acts in spite of it.
fn refuse_dry_run(cli: &Cli) -> Result<(), Failure> {
    let acts = match &cli.command {
        Command::Server(_) => "server",
        Command::Agent(_) => "agent",
        Command::Proxy(_) => "proxy",
        Command::Dev(_) => "dev",
        Command::Demo(_) => "demo",
        Command::Secret(_) => "secret",
        Command::Zone(ZoneCommand::Kill(_) | ZoneCommand::Cut(_)) => "zone",
        Command::Web(_) => "web",
        Command::Aws { .. } => "aws",
        Command::Bench(_) => "bench",
        _ => return Ok(()),
    };
    if !cli.global.dry_run {
        return Ok(());
    }
    let what = format!("--dry-run: `seawall {acts}` acts on this machine and has no request to print");
    Err(Failure::usage(what).next("leave --dry-run out, and SEAWALL_DRY_RUN unset"))
}

/// "node" is a scheduler to Raft and a worker to Kubernetes: guessing would drain the wrong machine.
fn node() -> Failure {
    Failure::usage("`node` can mean two things here: an instance runs tasks, a member is a scheduler")
        .next("seawall instance ls, or seawall member ls")
}
