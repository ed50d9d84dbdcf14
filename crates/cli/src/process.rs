//! What server and agent have in common as processes: logs, and the signal that ends them.

use seawall_env::{Env, TaskKind};
use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use crate::{
    args::{LogArgs, LogFormat},
    failure::Failure,
    terminal,
};

/// Begins to log to standard error.
///
/// # Errors
/// The filter is not one.
pub fn start_logging(args: &LogArgs) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.log).map_err(|e| Failure::usage(format!("--log {:?}: {e}", args.log)))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => builder.with_ansi(terminal::colours(false, &std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Turns true on SIGTERM or SIGINT, or when the lifeline closes.
///
/// # Errors
/// The system does not tell of signals.
pub fn shutdown(env: &Env, args: &LogArgs) -> Result<watch::Receiver<bool>, Failure> {
    let (stop, stopping) = watch::channel(false);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let lifeline = args.lifeline;
    env.spawn(TaskKind::vital("signals"), async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
            () = closed_input(), if lifeline => tracing::info!("the parent process has ended: stopping"),
        }
        // A process that is ending already needs no word.
        let _ = stop.send(true);
    });
    Ok(stopping)
}

/// Returns when standard input ends, which a parent's death does even if it was killed.
async fn closed_input() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 64];
    // An error means as much as the end.
    while input.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}
