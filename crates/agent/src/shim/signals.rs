//! SIGTERM and SIGINT: the machine is shut down, or someone ends the shim by hand. Its container is stopped then, in order.

use std::{io, sync::mpsc::SyncSender, thread};

use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

use super::run::Event;

/// Tells of every such signal from here on. tokio's handler is the safe way to one; it needs a runtime, which then lives on
/// a thread of its own.
pub fn listen(events: SyncSender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Before the container starts: until then such a signal ends the shim, and the kernel what it holds.
    let (terminate, interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    thread::spawn(move || forward(&runtime, terminate, interrupt, &events));
    Ok(())
}

fn forward(runtime: &Runtime, mut terminate: Signal, mut interrupt: Signal, events: &SyncSender<Event>) {
    runtime.block_on(async {
        loop {
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if events.send(Event::Stop(None)).is_err() {
                return;
            }
        }
    });
}
