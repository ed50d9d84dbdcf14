//! openraft's runtime over [`Env`]: its clock, its timers, its tasks and its random source are the environment's, so
//! that the simulation controls them. Its functions take no handle: they find the environment of the running task.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    ops::{Add, AddAssign, Sub, SubAssign},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot, TokioRuntime, TokioWatch};
use seawall_env::{BoxFuture, Elapsed, Env, Instant, TaskKind};
use tokio::sync::oneshot;

/// Raft's tasks: without one of them a member is neither alive nor dead, so a panic ends the process.
const RAFT_TASK: TaskKind = TaskKind::vital("raft");

/// The environment of the task that openraft runs in.
fn env() -> Env {
    Env::current().expect("openraft was called outside of Env::scope")
}

/// See the module.
pub(crate) struct EnvRuntime {
    tokio: TokioRuntime,
}

impl fmt::Debug for EnvRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnvRuntime")
    }
}

/// A point of the environment's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EnvInstant(Duration);

impl Add<Duration> for EnvInstant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        EnvInstant(self.0.saturating_add(later))
    }
}

impl AddAssign<Duration> for EnvInstant {
    fn add_assign(&mut self, later: Duration) {
        *self = *self + later;
    }
}

impl Sub<Duration> for EnvInstant {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        EnvInstant(self.0.saturating_sub(earlier))
    }
}

impl SubAssign<Duration> for EnvInstant {
    fn sub_assign(&mut self, earlier: Duration) {
        *self = *self - earlier;
    }
}

impl Sub for EnvInstant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl openraft::Instant for EnvInstant {
    fn now() -> Self {
        EnvInstant(env().now().0)
    }
}

/// A task ended without a result: it panicked, or its member was stopped.
#[derive(Debug)]
pub(crate) struct TaskGone;

impl fmt::Display for TaskGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task ended without a result")
    }
}

/// Waits for a task's result.
pub(crate) struct JoinHandle<T> {
    result: oneshot::Receiver<T>,
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, TaskGone>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map_err(|_| TaskGone)
    }
}

/// Work with a deadline.
pub(crate) struct Timeout<F> {
    work: Pin<Box<F>>,
    sleep: BoxFuture<'static, ()>,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(out) = self.work.as_mut().poll(cx) {
            return Poll::Ready(Ok(out));
        }
        self.sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

/// The environment's random source, as openraft asks for it.
pub(crate) struct EnvRandom(Env);

impl rand_core::TryRng for EnvRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.random_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.random_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_random(bytes);
        Ok(())
    }
}

impl AsyncRuntime for EnvRuntime {
    type JoinError = TaskGone;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = BoxFuture<'static, ()>;
    type Instant = EnvInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = EnvRandom;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let (sender, result) = oneshot::channel();
        env().spawn(RAFT_TASK, async move {
            // Nobody may be waiting for the result.
            let _ = sender.send(future.await);
        });
        JoinHandle { result }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        env().sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        env().sleep_until(Instant(deadline.0))
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Self::Timeout<R, F> {
        Timeout { work: Box::pin(future), sleep: env().sleep(duration) }
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Self::Instant, future: F) -> Self::Timeout<R, F> {
        Timeout { work: Box::pin(future), sleep: Self::sleep_until(deadline) }
    }

    /// A panic in one of Raft's tasks ends the process before anyone could ask.
    fn is_panic(_: &Self::JoinError) -> bool {
        false
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        EnvRandom(env())
    }

    type Mpsc = TokioMpsc;
    type Watch = TokioWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    fn new(threads: usize) -> Self {
        EnvRuntime { tokio: TokioRuntime::new(threads) }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.tokio.block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(env().thread("raft", work).await)
    }
}
