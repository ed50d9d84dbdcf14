//! restartPolicy: a container that ended is started again inside its task.
//!
//! The only way back for a container. Its runtime is asked when it ran, since only that tells the run that ended from one
//! that began meanwhile; news of the run before, which may still be on their way, are left out until the runtime tells of
//! the new start.

use std::time::Duration;

use seawall_proto::v1::{ContainerDefinition, ContainerRestartPolicy};

use super::{
    Shared, guarded,
    slot::{ContainerState, Slot},
};
use crate::runtime::{Fault, Phase};

/// ECS's default of `restartAttemptPeriod`.
const ATTEMPT_PERIOD_S: u32 = 300;

/// Whether a container ended in a way after which it is started again.
pub fn is_due(container: &ContainerDefinition, state: &ContainerState) -> bool {
    let policy = container.restart_policy.as_ref().filter(|policy| policy.enabled());
    let ended = state.phase == Phase::Exited && !state.stopped_by_us && !state.restart_failed;
    let Some(policy) = policy.filter(|_| ended) else { return false };
    let is_ignored = state.exit_code.is_some_and(|code| policy.ignored_exit_codes.contains(&code));
    !is_ignored && state.ran.is_some_and(|ran| ran >= period(policy))
}

fn period(policy: &ContainerRestartPolicy) -> Duration {
    let seconds = policy.restart_attempt_period.and_then(|seconds| u32::try_from(seconds).ok());
    Duration::from_secs(seconds.unwrap_or(ATTEMPT_PERIOD_S).into())
}

/// Starts it again. Where that fails it stays ended, and the task ends with it if it is essential.
pub async fn run(shared: &Shared, slot: &Slot, index: usize) {
    let container = slot.container(index);
    look(shared, slot, index).await;
    let is_still = is_due(container.definition(), &slot.state().containers[index]);
    if !is_still {
        return;
    }
    tracing::info!(task = %slot.id(), container = container.name(), "a container ended: it is started again");
    slot.state().containers[index].awaits_start = true;
    let permit = shared.starts.acquire().await;
    // The semaphore is never closed; without a permit the start would only be less orderly.
    let _permit = permit.ok();
    let runtime_id = slot.state().containers[index].runtime_id.clone();
    let restarted = match guarded::may_start(shared, slot, &container, &runtime_id).await {
        Ok(()) => shared.runtime.restart(&container).await,
        Err(error) => Err(error),
    };
    match restarted {
        Ok(bindings) => {
            let now = shared.env.now();
            slot.change(|state| {
                let container = &mut state.containers[index];
                if container.awaits_start {
                    container.begin_again(bindings, now);
                } else {
                    // Its runtime told before it answered.
                    container.bindings = bindings;
                }
            });
            look(shared, slot, index).await;
        }
        Err(error) => {
            let reason = error.or(Fault::Start).to_string();
            tracing::warn!(task = %slot.id(), container = container.name(), reason, "a container cannot be started again");
            // An engine that answers too late may have started it all the same.
            look(shared, slot, index).await;
            slot.change(|state| {
                let container = &mut state.containers[index];
                if container.phase == Phase::Exited {
                    container.restart_failed = true;
                    container.reason = reason;
                }
            });
        }
    }
}

/// When it ran, by its runtime.
async fn look(shared: &Shared, slot: &Slot, index: usize) {
    match shared.runtime.inspect(&slot.container(index)).await {
        Ok(observed) => slot.found(index, observed),
        Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot look at a container that ended"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::testing::container;

    fn ended(ran_s: u64, code: i32) -> ContainerState {
        ContainerState {
            phase: Phase::Exited,
            exit_code: Some(code),
            ran: Some(Duration::from_secs(ran_s)),
            ..Default::default()
        }
    }

    fn with(policy: ContainerRestartPolicy) -> ContainerDefinition {
        ContainerDefinition { restart_policy: Some(policy), ..container("app") }
    }

    #[test]
    fn only_what_ran_long_enough_and_failed_otherwise_than_ignored_is_started_again() {
        let policy = ContainerRestartPolicy {
            enabled: Some(true),
            ignored_exit_codes: vec![0, 3],
            restart_attempt_period: Some(60),
        };
        let app = with(policy.clone());
        assert!(is_due(&app, &ended(60, 1)));
        assert!(!is_due(&app, &ended(59, 1)));
        assert!(!is_due(&app, &ended(60, 3)));
        assert!(!is_due(&app, &ContainerState { stopped_by_us: true, ..ended(60, 1) }));
        assert!(!is_due(&app, &ContainerState { restart_failed: true, ..ended(60, 1) }));
        assert!(!is_due(&app, &ContainerState { phase: Phase::Removed, ..ended(60, 1) }));
        assert!(!is_due(&app, &ContainerState { phase: Phase::Running, ..ended(60, 1) }));
        let by_default = with(ContainerRestartPolicy { enabled: Some(true), ..Default::default() });
        assert!(is_due(&by_default, &ended(300, 0)) && !is_due(&by_default, &ended(299, 0)));
        assert!(!is_due(&with(ContainerRestartPolicy { enabled: Some(false), ..policy }), &ended(60, 1)));
        assert!(!is_due(&container("app"), &ended(600, 1)));
    }
}
