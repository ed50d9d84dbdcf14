//! Phase two: containers are made and started, each when what it depends on is there.

use seawall_env::Instant;
use seawall_proto::internal::v1::PortBinding;

use super::{
    Shared,
    order::{self, Next},
    slot::{Ending, Slot},
};
use crate::runtime::{Fault, Phase, RuntimeError, RuntimeResult};

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
    let permit = tokio::select! {
        biased;
        ending = slot.stop_wanted() => return Err(ending),
        permit = shared.starts.acquire() => permit,
    };
    // The semaphore is never closed; without a permit the start would only be less orderly.
    let _permit = permit.ok();
    // From here on the container may be there, whatever the answers are.
    slot.reached(index, Phase::Unsure);
    match make_and_start(shared, slot, index).await {
        Ok((id, bindings)) => {
            let now = shared.env.now();
            slot.change(|state| {
                let container = &mut state.containers[index];
                container.runtime_id = id.unwrap_or_else(|| container.runtime_id.clone());
                container.bindings = bindings;
                container.reach(Phase::Running, now);
            });
            Ok(())
        }
        Err(error) => {
            let reason = error.to_string();
            slot.change(|state| state.containers[index].reason = reason.clone());
            Err(Ending::failed(reason))
        }
    }
}

async fn make_and_start(
    shared: &Shared,
    slot: &Slot,
    index: usize,
) -> RuntimeResult<(Option<String>, Vec<PortBinding>)> {
    let container = slot.container(index);
    let is_made = slot.phase(index) >= Phase::Created;
    let id = if is_made { None } else { Some(make(shared, slot, index).await?) };
    slot.reached(index, Phase::Created);
    let bindings = shared.runtime.start(&container).await.map_err(|error| error.or(Fault::Start))?;
    Ok((id, bindings))
}

/// An image may be removed between its pull and its use: then it is pulled once more.
async fn make(shared: &Shared, slot: &Slot, index: usize) -> RuntimeResult<String> {
    let container = slot.container(index);
    let made = shared.runtime.create(&container).await;
    let gone = matches!(&made, Err(RuntimeError { fault: Fault::NoImage, .. }));
    if !gone {
        return made.map_err(|error| error.or(Fault::Create));
    }
    let image = container.definition().image();
    shared.images.forget(image);
    shared.images.get(image).await?;
    shared.runtime.create(&container).await.map_err(|error| error.or(Fault::Create))
}
