//! A simulated machine as an environment.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rand::RngCore;

use super::{
    core::{Aborted, Core, NodeId},
    link::SimNet,
};
use crate::{
    BoxFuture, Env, Instant, Platform, Task, TaskKind,
    fs::Fs,
    net::{Handler, Net},
};

/// The wall clock of every node at virtual time 0: 2026-01-01, in epoch milliseconds.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// One life of a node: after a kill, its environments start nothing any more.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) core: Arc<Core>,
    pub(super) id: NodeId,
    pub(super) life: u64,
}

impl Node {
    pub(super) fn env(self) -> Env {
        Env { platform: Arc::new(self) }
    }

    fn local_now(&self) -> Duration {
        let state = self.core.lock();
        state.nodes[self.id].clock.local(state.now)
    }
}

impl Platform for Node {
    fn now(&self) -> Instant {
        Instant(self.local_now())
    }

    fn wall_ms(&self) -> i64 {
        let state = self.core.lock();
        let clock = state.nodes[self.id].clock;
        WALL_START_MS + clock.wall_offset_ms + i64::try_from(clock.local(state.now).as_millis()).unwrap_or(i64::MAX)
    }

    fn boottime(&self) -> Duration {
        self.local_now()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { node: self.clone(), at: at.0, timer: None })
    }

    fn spawn(&self, env: &Env, kind: TaskKind, future: BoxFuture<'static, ()>) -> Task {
        self.core.spawn(self, env, kind, future)
    }

    fn thread(&self, _: &Env, _: &'static str, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        Box::pin(async move { work() })
    }

    fn os_thread(&self, _: &Env, name: &'static str, _: Box<dyn FnOnce() + Send>) {
        panic!("the simulation has one thread: {name} cannot have one of its own");
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.core.lock().nodes[self.id].random.fill_bytes(bytes);
    }

    fn fs(&self) -> Arc<dyn Fs> {
        self.core.lock().nodes[self.id].disk.clone()
    }

    fn net(&self) -> Arc<dyn Net> {
        Arc::new(SimNet(self.clone()))
    }

    fn is_simulated(&self) -> bool {
        true
    }

    fn abort(&self) -> ! {
        // Without the panic's hook: nothing is wrong with the test.
        std::panic::resume_unwind(Box::new(Aborted(self.id)))
    }

    fn with_threads(&self, _: &'static str, _: usize) -> std::io::Result<Arc<dyn Platform>> {
        Ok(Arc::new(self.clone()))
    }

    fn serve_simulated(&self, address: &str, handler: Arc<dyn Handler>) {
        self.core.lock().links.serve(address, self, handler);
    }
}

/// Waits on a node's own clock, which may change its rate meanwhile: each wake looks at it again.
struct Sleep {
    node: Node,
    at: Duration,
    timer: Option<(Duration, u64)>,
}

impl Sleep {
    fn clear(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.node.core.remove_timer(timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.clear();
        let due = {
            let state = self.node.core.lock();
            let clock = state.nodes[self.node.id].clock;
            if clock.local(state.now) >= self.at {
                return Poll::Ready(());
            }
            clock.due(self.at, state.now)
        };
        self.timer = Some(self.node.core.add_timer(self.node.id, due, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.clear();
    }
}
