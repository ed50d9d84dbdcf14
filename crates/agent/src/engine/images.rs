//! Pulls each image once for all who wait for it.
//!
//! Fifty tasks of one service start together: fifty pulls of one image, each waiting for a registry that may not even
//! answer, would take longer than the containers. A pull is shared by those who come while it runs and for a short time
//! after; then a moved tag is looked for again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use seawall_env::{Env, Instant};
use tokio::sync::OnceCell;

use crate::{
    config::ImagePull,
    runtime::{Runtime, RuntimeResult},
};

/// How long the outcome of a pull serves others.
const FRESH: Duration = Duration::from_secs(30);
/// Failed pulls are tried again sooner.
const FRESH_FAILURE: Duration = Duration::from_secs(5);

type Outcome = (Instant, RuntimeResult<Option<String>>);

/// Pulls under way and just done, by image.
pub struct Images {
    env: Env,
    runtime: Arc<dyn Runtime>,
    policy: ImagePull,
    pulls: Mutex<BTreeMap<String, Arc<OnceCell<Outcome>>>>,
}

impl Images {
    /// Nothing pulled yet.
    pub fn new(env: Env, runtime: Arc<dyn Runtime>, policy: ImagePull) -> Self {
        Images { env, runtime, policy, pulls: Mutex::default() }
    }

    /// Makes the image be there; its digest where known.
    pub async fn get(&self, image: &str) -> RuntimeResult<Option<String>> {
        let pull = self.pull_of(image);
        let (_, outcome) = pull.get_or_init(|| self.pull(image)).await;
        outcome.clone()
    }

    /// The image was not there after all: the next one pulls again.
    pub fn forget(&self, image: &str) {
        self.pulls.lock().unwrap_or_else(PoisonError::into_inner).remove(image);
    }

    fn pull_of(&self, image: &str) -> Arc<OnceCell<Outcome>> {
        let now = self.env.now();
        let mut pulls = self.pulls.lock().unwrap_or_else(PoisonError::into_inner);
        pulls.retain(|_, pull| pull.get().is_none_or(|outcome| is_fresh(outcome, now)));
        pulls.entry(image.to_owned()).or_default().clone()
    }

    async fn pull(&self, image: &str) -> Outcome {
        let outcome = self.runtime.pull(image, self.policy).await;
        (self.env.now(), outcome)
    }
}

fn is_fresh((at, outcome): &Outcome, now: Instant) -> bool {
    now - *at < if outcome.is_ok() { FRESH } else { FRESH_FAILURE }
}
