//! The signals that end dev and demo, one after the other: the first asks for an orderly end, the second for an end.

use std::path::Path;

use seawall_env::Env;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGHUP among the signals that /proc shows as ignored.
const HANG_UP: u64 = 1;

/// Ctrl-C, SIGTERM, and a terminal that is closed.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Absent under `nohup`.
    hang_up: Option<Signal>,
}

impl Signals {
    /// Takes them over: from now on they end nothing by themselves.
    ///
    /// # Errors
    /// The system does not tell of signals.
    pub fn listen(env: &Env) -> Result<Self, Failure> {
        let hang_up = if ignores_hang_up(env) { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(&mut self.hang_up) => {}
        }
    }
}

async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Whether whoever started this process wants it to outlive the terminal.
fn ignores_hang_up(env: &Env) -> bool {
    let status = env.fs().read(Path::new("/proc/self/status")).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&status).lines().any(|line| ignored(line).is_some_and(|mask| mask & HANG_UP != 0))
}

fn ignored(line: &str) -> Option<u64> {
    u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_a_mask() {
        assert_eq!(ignored("SigIgn:\t0000000000001001"), Some(0x1001));
        assert_eq!(ignored("SigCgt:\t0000000000000001"), None);
    }
}
