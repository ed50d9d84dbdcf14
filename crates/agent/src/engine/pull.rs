//! Phase one: the images.

use std::collections::BTreeMap;

use super::{
    Shared,
    slot::{Ending, Slot},
};
use crate::runtime::Phase;

/// Makes the image of every container be there that has not been made yet.
pub async fn run(shared: &Shared, slot: &Slot) -> Result<(), Ending> {
    let wanted = wanted(slot);
    if wanted.is_empty() {
        return Ok(());
    }
    let begun = shared.env.wall_ms();
    slot.change(|state| state.times.pull_started_ms = begun);
    for (image, containers) in wanted {
        one(shared, slot, &image, &containers).await?;
    }
    let ended = shared.env.wall_ms();
    slot.change(|state| state.times.pull_stopped_ms = ended);
    Ok(())
}

/// Makes one image be there, for these containers.
pub async fn one(shared: &Shared, slot: &Slot, image: &str, containers: &[usize]) -> Result<(), Ending> {
    let pulled = tokio::select! {
        biased;
        ending = slot.stop_wanted() => return Err(ending),
        pulled = shared.images.get(image) => pulled,
    };
    match pulled {
        Ok(digest) => {
            let digest = digest.unwrap_or_default();
            let mut state = slot.state();
            containers.iter().for_each(|&index| state.containers[index].digest = digest.clone());
            Ok(())
        }
        Err(error) => {
            let reason = error.to_string();
            slot.change(|state| containers.iter().for_each(|&i| state.containers[i].reason = reason.clone()));
            Err(Ending::failed(reason))
        }
    }
}

/// Images by name, with the containers that need them.
fn wanted(slot: &Slot) -> BTreeMap<String, Vec<usize>> {
    let state = slot.state();
    let mut images: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, container) in slot.spec.containers.iter().enumerate() {
        if state.containers[index].phase < Phase::Created {
            images.entry(container.image().to_owned()).or_default().push(index);
        }
    }
    images
}
