//! Phase two: containers are made and started, each when what it depends on is there.

use seawall_env::Instant;
use seawall_proto::internal::v1::PortBinding;

use super::{
    Shared, guarded,
    order::{self, Next},
    pull,
    slot::{Ending, Slot},
};
use crate::runtime::{Fault, Phase, RuntimeResult};

/// Starts them all.
pub async fn run(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    loop {
        if let Some(ending) = slot.must_end() {
            return Err(ending);
        }
        match next(shared, slot) {
            Next::Start(index) => start(shared, slot, index).await?,
            Next::Wait(until) => wait(shared, slot, until).await,
            Next::Fail(why) => return Err(Ending::failed(format!("Task failed to start: {why}"))),
            Next::Done => return Ok(()),
        }
    }
}

fn next(shared: &Shared, slot: &Slot) -> Next {
    order::next(&slot.spec, &slot.state().containers, shared.env.now())
}

async fn wait(shared: &Shared, slot: &Slot, until: Option<Instant>) {
    let moves = |slot: &Slot| slot.must_end().is_some() || !matches!(next(shared, slot), Next::Wait(_));
    slot.until(until, |slot| moves(slot).then_some(())).await;
}

async fn start(shared: &Shared, slot: &Slot, index: usize) -> Result<(), Ending> {
    let mut made = make_and_start(shared, slot, index).await?;
    let image_is_gone = made.as_ref().is_err_and(|error| error.fault == Fault::NoImage);
    if image_is_gone {
        // It was removed between its pull and its use: once more, and without holding up others' starts.
        let image = slot.spec.containers[index].image();
        shared.images.forget(image);
        pull::one(shared, slot, image, &[index]).await?;
        made = make_and_start(shared, slot, index).await?;
    }
    let now = shared.env.now();
    match made {
        Ok((id, bindings)) => {
            slot.change(|state| {
                let container = &mut state.containers[index];
                container.runtime_id = id.unwrap_or_else(|| container.runtime_id.clone());
                container.bindings = bindings;
                container.reach(Phase::Running, now);
            });
            learn_address(shared, slot, index).await;
            Ok(())
        }
        Err(error) => {
            let reason = error.to_string();
            slot.change(|state| state.containers[index].reason = reason.clone());
            Err(Ending::failed(reason))
        }
    }
}

/// The address of the task, which its runtime chose: told with the first report that says RUNNING.
async fn learn_address(shared: &Shared, slot: &Slot, index: usize) {
    if slot.spec.pause != Some(index) {
        return;
    }
    match shared.runtime.inspect(&slot.container(index)).await {
        Ok(observed) => slot.found(index, observed),
        // It is looked at again every few minutes.
        Err(error) => tracing::warn!(task = %slot.id(), %error, "cannot tell the task's address"),
    }
}

/// Its id, where it was made only now, and its ports.
type Made = (Option<String>, Vec<PortBinding>);

async fn make_and_start(shared: &Shared, slot: &Slot, index: usize) -> Result<RuntimeResult<Made>, Ending> {
    let permit = tokio::select! {
        biased;
        ending = slot.stop_wanted() => return Err(ending),
        permit = shared.starts.acquire() => permit,
    };
    // The semaphore is never closed; without a permit the start would only be less orderly.
    let _permit = permit.ok();
    let made = make(shared, slot, index).await;
    let Ok(id) = made else { return Ok(made.map(|id| (id, Vec::new()))) };
    let container = slot.container(index);
    let runtime_id = id.clone().unwrap_or_else(|| slot.state().containers[index].runtime_id.clone());
    if let Err(error) = guarded::may_start(shared, slot, &container, &runtime_id).await {
        return Ok(Err(error));
    }
    let started = shared.runtime.start(&container).await;
    Ok(started.map(|bindings| (id, bindings)).map_err(|error| error.or(Fault::Start)))
}

async fn make(shared: &Shared, slot: &Slot, index: usize) -> RuntimeResult<Option<String>> {
    if slot.phase(index) >= Phase::Created {
        return Ok(None);
    }
    // From here on the container may be there, whatever the answers are.
    slot.reached(index, Phase::Unsure);
    let id = shared.runtime.create(&slot.container(index)).await.map_err(|error| error.or(Fault::Create))?;
    slot.reached(index, Phase::Created);
    Ok(Some(id))
}
