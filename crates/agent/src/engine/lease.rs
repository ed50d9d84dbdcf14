//! The agent's lease: until when its tasks with a fencing token may live, as its guard has it.
//!
//! A grant answers a beat, and counts from when that was sent by the machine's boottime. It is handed to the guard, and holds here
//! as the guard answers it: without a guard nothing is ever granted.

use std::time::Duration;

use seawall_env::Env;
use seawall_model::TaskId;
use tokio::sync::watch;

use crate::guard::{Held, MaybeGuard, Target};

/// The end is looked at again this often: the clock of timers stands still while the machine is suspended.
const LOOK: Duration = Duration::from_secs(1);
/// The end was missed by no more than a tick of the clock.
const TICK: Duration = Duration::from_millis(1);

/// What the cluster granted last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Granted {
    owner: u64,
    until: Duration,
}

/// See the module.
pub(super) struct Lease {
    env: Env,
    guard: MaybeGuard,
    granted: watch::Sender<Option<Granted>>,
    held: watch::Sender<Held>,
}

impl Lease {
    pub(super) fn new(env: Env, guard: MaybeGuard) -> Self {
        Lease { env, guard, granted: watch::Sender::new(None), held: watch::Sender::new(Held::default()) }
    }

    /// The cluster grants the instance `owner` a lease from `sent` on.
    pub(super) fn granted(&self, owner: u64, sent: Duration, length: Duration) {
        self.granted.send_replace(Some(Granted { owner, until: sent + length }));
    }

    /// Hands grants to the guard, for as long as the engine lives.
    pub(super) async fn keep(&self) {
        let Some(guard) = &self.guard else { return };
        let mut granted = self.granted.subscribe();
        loop {
            let last = *granted.borrow_and_update();
            if let Some(Granted { owner, until }) = last {
                match guard.feed(owner, until).await {
                    Ok(held) => self.learn(held),
                    Err(why) => tracing::warn!(why, "the guard does not take the lease: what it guards will end"),
                }
            }
            if granted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Until there is a lease.
    pub(super) async fn wait(&self) {
        let mut held = self.held.subscribe();
        loop {
            let Held { generation, .. } = *held.borrow_and_update();
            if self.lives(generation) {
                return;
            }
            // Its sender is in this lease.
            let _ = held.changed().await;
        }
    }

    /// Names a task to the guard; its generation.
    pub(super) async fn watch(&self, task: TaskId, target: Option<Target>) -> Result<u64, String> {
        let guard = self.guard.as_ref().ok_or("this agent has no guard")?;
        let (generation, held) = guard.watch(task, target).await?;
        self.learn(held);
        Ok(generation)
    }

    /// Nothing of the task is left.
    pub(super) async fn forget(&self, task: TaskId) {
        let Some(guard) = &self.guard else { return };
        if let Err(why) = guard.forget(task).await {
            tracing::debug!(%task, why, "the guard does not forget a task that has ended");
        }
    }

    /// Whether tasks of a generation may be alive.
    pub(super) fn lives(&self, generation: u64) -> bool {
        let held = *self.held.borrow();
        held.generation == generation && self.env.boottime() < held.until
    }

    /// Until they may not.
    pub(super) async fn over(&self, generation: u64) {
        let mut held = self.held.subscribe();
        while self.lives(generation) {
            let Held { until, .. } = *held.borrow_and_update();
            let left = until.saturating_sub(self.env.boottime()).min(LOOK) + TICK;
            tokio::select! {
                biased;
                _ = held.changed() => {}
                () = self.env.sleep(left) => {}
            }
        }
    }

    /// Answers may overtake each other.
    fn learn(&self, new: Held) {
        self.held.send_if_modified(|held| {
            let is_news = new > *held;
            *held = new.max(*held);
            is_news
        });
    }
}
