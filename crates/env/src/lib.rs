//! Everything that a test must control, behind one handle: clocks, sleep, spawn, threads, random, files, transport.
//!
//! Nothing outside this crate touches `tokio::{spawn, time, fs, net}`, `std::{time, fs, thread, net}` or a global random
//! source: `clippy.toml` bans what it can name, `tests/seam.rs` scans for the rest. [`Env::real`] is the machine,
//! [`sim::Sim`] one thread with its own time, on which many nodes run and a seed decides everything.

mod current;
pub mod fs;
pub mod net;
mod real;
pub mod sim;
mod task;

use std::{
    future::Future,
    ops::{Add, Sub},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

pub use real::RealConfig;
pub use task::{OnError, Task, TaskKind};

/// A future that can be stored and sent.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A point of the monotonic clock of one [`Env`]; those of two nodes cannot be compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Instant(pub Duration);

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, later: Duration) -> Instant {
        Instant(self.0 + later)
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    /// Zero where `earlier` is the later one.
    fn sub(self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The deadline of [`Env::timeout`] passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the deadline passed")]
pub struct Elapsed;

/// What a machine, or the simulator in its place, must offer.
pub(crate) trait Platform: Send + Sync + 'static {
    fn now(&self) -> Instant;
    fn wall_ms(&self) -> i64;
    fn boottime(&self) -> Duration;
    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()>;
    fn spawn(&self, env: &Env, kind: TaskKind, future: BoxFuture<'static, ()>) -> Task;
    fn thread(&self, env: &Env, name: &'static str, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()>;
    fn os_thread(&self, env: &Env, name: &'static str, work: Box<dyn FnOnce() + Send>);
    fn fill_random(&self, bytes: &mut [u8]);
    fn fs(&self) -> Arc<dyn fs::Fs>;
    fn net(&self) -> Arc<dyn net::Net>;
    fn is_simulated(&self) -> bool;
    fn abort(&self) -> !;
    fn with_threads(&self, name: &'static str, threads: usize) -> std::io::Result<Arc<dyn Platform>>;
    /// For [`sim::Sim::serve`] alone: a machine has ports instead.
    fn serve_simulated(&self, address: &str, _: Arc<dyn net::Handler>) {
        panic!("{address} has a handler for the simulation, but this is a real machine");
    }
}

/// The one handle, passed down and cloned freely.
#[derive(Clone)]
pub struct Env {
    platform: Arc<dyn Platform>,
}

impl Env {
    /// This machine, on the tokio runtime of the caller.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn real(config: RealConfig) -> Env {
        Env { platform: Arc::new(real::Real::new(config)) }
    }

    /// This machine with a transport without TLS: for tools and tests.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn real_with_default_net() -> Env {
        Env::real(RealConfig { net: Arc::new(net::grpc::GrpcNet::new(None)) })
    }

    /// The environment of the task that is being polled, or of the thread that this one started.
    pub fn current() -> Option<Env> {
        current::get()
    }

    /// Makes this environment the current one while `work` runs: for a `main` or a test, which nothing spawned.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        current::Scoped::new(self.clone(), work)
    }

    /// The same machine with worker threads of its own for tasks, so that a flood of requests takes no time from Raft.
    /// The simulation has one thread and returns itself.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn with_threads(&self, name: &'static str, threads: usize) -> std::io::Result<Env> {
        if self.is_simulated() {
            return Ok(self.clone());
        }
        Ok(Env { platform: self.platform.with_threads(name, threads)? })
    }

    /// The monotonic clock.
    pub fn now(&self) -> Instant {
        self.platform.now()
    }

    /// The wall clock, epoch milliseconds. For display and for the leader's stamp of cluster time only.
    pub fn wall_ms(&self) -> i64 {
        self.platform.wall_ms()
    }

    /// Since the machine's boot, the time in which it was suspended included: the same for all its processes.
    pub fn boottime(&self) -> Duration {
        self.platform.boottime()
    }

    /// Waits.
    pub fn sleep(&self, length: Duration) -> BoxFuture<'static, ()> {
        self.platform.sleep_until(self.now() + length)
    }

    /// Waits until a point of [`Env::now`].
    pub fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        self.platform.sleep_until(at)
    }

    /// Runs `work` for at most `length`.
    ///
    /// # Errors
    /// [`Elapsed`]; `work` is dropped then.
    pub async fn timeout<F: Future>(&self, length: Duration, work: F) -> Result<F::Output, Elapsed> {
        let mut sleep = self.sleep(length);
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(move |cx| {
            use std::task::Poll;
            if let Poll::Ready(out) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(out));
            }
            sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }

    /// Starts a task. Dropping the handle leaves it running.
    pub fn spawn(&self, kind: TaskKind, work: impl Future<Output = ()> + Send + 'static) -> Task {
        self.platform.spawn(self, kind, Box::pin(work))
    }

    /// Runs CPU-heavy or blocking work beside the runtime (inline in the simulation).
    pub async fn thread<T: Send + 'static>(&self, name: &'static str, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (out, result) = tokio::sync::oneshot::channel();
        let job = Box::new(move || {
            // The waiter may have gone; its result then has no reader.
            let _ = out.send(work());
        });
        self.platform.thread(self, name, job).await;
        result.await.unwrap_or_else(|_| panic!("thread {name} panicked"))
    }

    /// Holds up a thread of [`Env::thread`], which does nothing else meanwhile. In the simulation work of threads takes no time.
    pub fn pause_thread(&self, length: Duration) {
        if !self.is_simulated() {
            std::thread::sleep(length);
        }
    }

    /// Starts a thread that lives on its own, such as the log writer. The simulation refuses: its stores are in memory.
    pub fn os_thread(&self, name: &'static str, work: impl FnOnce() + Send + 'static) {
        self.platform.os_thread(self, name, Box::new(work));
    }

    /// Fills `bytes` with random ones (cryptographically strong on a real machine).
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.platform.fill_random(bytes);
    }

    /// A random number.
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// `length` and up to as much again, so that many waiters do not wake together.
    pub fn jitter(&self, length: Duration) -> Duration {
        length + length.mul_f64(self.random_u64() as f64 / u64::MAX as f64)
    }

    /// A new time-ordered id, with room for 65,536 derived from it.
    pub fn new_id(&self) -> seawall_model::Id128 {
        seawall_model::Id128::time_ordered(self.wall_ms(), self.random_u64())
    }

    /// Files.
    pub fn fs(&self) -> Arc<dyn fs::Fs> {
        self.platform.fs()
    }

    /// Links to other processes.
    pub fn net(&self) -> Arc<dyn net::Net> {
        self.platform.net()
    }

    /// Ends the process at once: after a failed write nobody knows what is on disk, and going on would acknowledge what
    /// may be lost. The simulation kills the node.
    pub fn abort(&self, why: &str) -> ! {
        tracing::error!("{why}: the process ends");
        self.platform.abort()
    }

    /// True under [`sim::Sim`]. Only for choosing a store: behaviour never depends on it.
    pub fn is_simulated(&self) -> bool {
        self.platform.is_simulated()
    }
}
