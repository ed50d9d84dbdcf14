//! The guard of a fake machine. It lives with the machine where that was given one ([`FakeHost::set_guard`]), else with the agent.

use std::time::Duration;

use seawall_env::{Env, TaskKind};
use seawall_model::TaskId;

use super::FakeHost;
use crate::guard::{Answer, Guard, Held, Target};

/// See the module.
pub(super) struct FakeGuard {
    env: Env,
    host: FakeHost,
}

impl FakeGuard {
    /// The guard of `host`, whose agent lives in `env`.
    pub(super) fn new(env: Env, host: FakeHost) -> Self {
        FakeGuard { env, host }
    }

    fn env(&self) -> Env {
        self.host.guard_env().unwrap_or_else(|| self.env.clone())
    }
}

impl Guard for FakeGuard {
    fn feed(&self, owner: u64, until: Duration) -> Answer<'_, Held> {
        Box::pin(async move {
            let (env, host) = (self.env(), self.host.clone());
            let now = env.boottime();
            let held = host.with_guard(|table| table.feed(owner, until, now));
            // What another generation took the place of is over at once.
            host.end_over(now);
            let guard = env.clone();
            env.spawn(TaskKind::request("fake guard"), async move {
                guard.sleep(held.until.saturating_sub(now)).await;
                host.end_over(guard.boottime());
            });
            Ok(held)
        })
    }

    fn watch(&self, task: TaskId, _target: Option<Target>) -> Answer<'_, (u64, Held)> {
        Box::pin(async move { Ok(self.host.with_guard(|table| (table.watch(task, None), table.held()))) })
    }

    fn forget(&self, task: TaskId) -> Answer<'_, ()> {
        Box::pin(async move {
            self.host.with_guard(|table| table.forget(task));
            Ok(())
        })
    }
}
