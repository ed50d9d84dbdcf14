//! The machine: tokio's timers and tasks, the system's clocks and random source, files on disk.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures::FutureExt;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::Handle;

use crate::{
    BoxFuture, Env, Instant, OnError, Platform, Task, TaskKind, current,
    fs::{Fs, RealFs},
    net::Net,
};

/// One zero for all environments of the process, so that their instants compare.
static START: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);

/// What [`Env::real`] needs.
pub struct RealConfig {
    /// How it dials: [`crate::net::grpc::GrpcNet`].
    pub net: Arc<dyn Net>,
}

/// The machine on one tokio runtime.
pub(crate) struct Real {
    runtime: Handle,
    /// Held where this environment made its runtime itself; `None` only while it is dropped.
    own_runtime: Option<tokio::runtime::Runtime>,
    net: Arc<dyn Net>,
    fs: Arc<RealFs>,
    random: SystemRandom,
}

impl Real {
    /// On the runtime of the caller.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(crate) fn new(config: RealConfig) -> Self {
        Real::on(Handle::current(), None, config.net)
    }

    fn on(runtime: Handle, own_runtime: Option<tokio::runtime::Runtime>, net: Arc<dyn Net>) -> Self {
        LazyLock::force(&START);
        Real { runtime, own_runtime, net, fs: Arc::new(RealFs::default()), random: SystemRandom::new() }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // A runtime dropped inside another one's task panics; this ends it without waiting.
        if let Some(runtime) = self.own_runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Platform for Real {
    fn now(&self) -> Instant {
        Instant(START.elapsed())
    }

    fn wall_ms(&self) -> i64 {
        // A clock before 1970 reads as 0: it is shown, and cluster time never goes back.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn boottime(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Neither is ever negative.
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let _timers = self.runtime.enter();
        Box::pin(tokio::time::sleep_until(*START + at.0))
    }

    fn spawn(&self, env: &Env, kind: TaskKind, future: BoxFuture<'static, ()>) -> Task {
        let guarded = AssertUnwindSafe(current::Scoped::new(env.clone(), future)).catch_unwind();
        let running = self.runtime.spawn(async move {
            if let Err(panic) = guarded.await {
                on_panic(kind.name, kind.on_error, panic.as_ref());
            }
        });
        let stop = running.abort_handle();
        Task {
            end: Box::pin(async move {
                // Either it ended or it was aborted; a panic was dealt with above.
                let _ = running.await;
            }),
            abort: Box::new(move || stop.abort()),
        }
    }

    fn thread(&self, env: &Env, name: &'static str, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let env = env.clone();
        let running = self.runtime.spawn_blocking(move || {
            let _entered = current::enter(env);
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                on_panic(name, OnError::Log, panic.as_ref());
            }
        });
        Box::pin(async move {
            // Fails only while the runtime shuts down: the waiter is dropped with it.
            let _ = running.await;
        })
    }

    fn os_thread(&self, env: &Env, name: &'static str, work: Box<dyn FnOnce() + Send>) {
        let env = env.clone();
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _entered = current::enter(env);
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                on_panic(name, OnError::Abort, panic.as_ref());
            }
        });
        if let Err(error) = started {
            tracing::error!(thread = name, %error, "the system gives no thread: the process ends");
            std::process::abort();
        }
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        if self.random.fill(bytes).is_err() {
            tracing::error!("the system gives no random numbers: the process ends");
            std::process::abort();
        }
    }

    fn fs(&self) -> Arc<dyn Fs> {
        self.fs.clone()
    }

    fn net(&self) -> Arc<dyn Net> {
        self.net.clone()
    }

    fn is_simulated(&self) -> bool {
        false
    }

    fn abort(&self) -> ! {
        std::process::abort()
    }

    fn with_threads(&self, name: &'static str, threads: usize) -> std::io::Result<Arc<dyn Platform>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .enable_all()
            .build()?;
        Ok(Arc::new(Real::on(runtime.handle().clone(), Some(runtime), self.net.clone())))
    }
}

/// A panic in a vital task leaves the process half alive (a proposer without its loop answers nobody): it ends instead,
/// and what supervises it starts it again.
fn on_panic(name: &str, on_error: OnError, panic: &(dyn std::any::Any + Send)) {
    let why = panic_text(panic);
    match on_error {
        OnError::Log => tracing::error!(task = name, panic = why, "a task panicked"),
        OnError::Abort => {
            tracing::error!(task = name, panic = why, "a vital task panicked: the process ends");
            std::process::abort();
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&'static str>() {
        return text;
    }
    panic.downcast_ref::<String>().map_or("a panic without text", String::as_str)
}
