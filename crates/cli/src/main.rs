//! `seawall`: one binary for members, agents and people. A result becomes an exit code here and nowhere else.

mod args;
mod client;
mod commands;
mod context;
mod demo;
mod dev;
mod failure;
mod input;
mod names;
mod output;
mod process;
mod progress;
mod settings;
mod terminal;
mod values;

use std::process::ExitCode;

use failure::Failure;

/// See docs/decisions/0011.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Holds one process task of an agent: a program of its own that needs none of the rest, without a runtime's threads and on
/// this one, to which the kernel ties the task.
const SHIM: &str = "shim";

/// Ends process tasks and containers whose agent's lease is over: a program of its own for the same reasons.
const GUARD: &str = "guard";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == SHIM => return seawall_agent::shim_main(words),
        Some(word) if word == GUARD => return seawall_agent::guard_main(words),
        _ => {}
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let env = {
        let _on_runtime = runtime.enter();
        context::env_without_links()
    };
    let cli = settings::parse(&env, std::env::args_os().collect())?;
    let work = commands::run(env.clone(), cli);
    let result = runtime.block_on(env.scope(work));
    // What still runs (a follower of a stream, a reader of standard input) has nobody to report to.
    runtime.shutdown_background();
    result
}
