//! SIGTERM and SIGINT: the machine is shut down, or someone ends the shim by hand. Its container is stopped then, in order.

use std::sync::mpsc::SyncSender;

use tokio::signal::unix::{SignalKind, signal};

use super::run::Event;

/// Tells of every such signal. tokio's handler is the safe way to one; it needs a runtime, which lives on this thread.
pub fn listen(events: &SyncSender<Event>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if events.send(Event::Stop(None)).is_err() {
                return Ok(());
            }
        }
    })
}
