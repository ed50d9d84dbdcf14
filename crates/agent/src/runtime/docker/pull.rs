//! Makes images be there, by the agent's policy.
//!
//! By default an image is pulled for each start and the local copy taken where that fails. Two things bound what a registry
//! that does not answer costs. With a local copy at hand it has a few seconds to begin. And an image that was made on
//! this machine (it never came from a registry, and its name names none) is not asked for anywhere: the hub could at best
//! know a stranger's image of that name.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    auth::DockerCredentials,
    query_parameters::{CreateImageOptions, CreateImageOptionsBuilder},
};
use futures::StreamExt;

use super::{
    api::{ANSWER, Api, ApiError},
    credentials::Credentials,
    reference::Reference,
};
use crate::{
    config::ImagePull,
    runtime::{Fault, RuntimeError, RuntimeResult},
};

/// How long a registry may take to begin where a local copy is at hand.
const BEGIN_WITH_COPY: Duration = Duration::from_secs(5);
/// A pull without progress for so long has failed: ECS's limit.
const PROGRESS: Duration = Duration::from_secs(60);
/// A whole pull: ECS's limit.
const PULL_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// Names remembered for [`ImagePull::Once`]; past it all are pulled once more.
const PULLED_MAX: usize = 4096;

/// Pulls images.
pub struct Puller {
    credentials: Credentials,
    /// What this agent has pulled.
    pulled: Mutex<BTreeSet<String>>,
}

/// An image on the engine.
struct Local {
    digest: Option<String>,
    from_registry: bool,
}

impl Puller {
    /// One that has pulled nothing yet.
    pub fn new(credentials: Credentials) -> Self {
        Puller { credentials, pulled: Mutex::default() }
    }

    /// Makes `image` be there; its digest where known.
    pub async fn get(&self, api: &Api, image: &str, policy: ImagePull) -> RuntimeResult<Option<String>> {
        let Some(reference) = Reference::parse(image) else {
            return Err(RuntimeError::new(Fault::Pull, format!("invalid reference format: {image:?}")));
        };
        let local = find(api, image, &reference).await?;
        if let Some(local) = local.as_ref().filter(|local| self.suffices(image, &reference, local, policy)) {
            return Ok(local.digest.clone());
        }
        let begin = if local.is_some() && policy == ImagePull::Default { BEGIN_WITH_COPY } else { PROGRESS };
        match (self.fetch(api, &reference, begin).await, local) {
            (Ok(()), _) => {
                self.note(image);
                Ok(find(api, image, &reference).await?.and_then(|local| local.digest))
            }
            (Err(error), Some(local)) if policy == ImagePull::Default => {
                tracing::warn!(image, %error, "cannot pull: the local copy is taken");
                Ok(local.digest)
            }
            // What stays away is no more than an image that cannot be had.
            (Err(error), _) => Err(RuntimeError { fault: Fault::Pull, ..error }),
        }
    }

    /// Whether a local copy is taken without asking the registry.
    fn suffices(&self, image: &str, reference: &Reference, local: &Local, policy: ImagePull) -> bool {
        match policy {
            ImagePull::Always => false,
            ImagePull::PreferCached => true,
            ImagePull::Once => self.pulled.lock().unwrap_or_else(PoisonError::into_inner).contains(image),
            ImagePull::Default => !local.from_registry && !reference.names_a_registry(),
        }
    }

    async fn fetch(&self, api: &Api, reference: &Reference, begin: Duration) -> RuntimeResult<()> {
        let credentials = self.credentials.of(&reference.registry_or_hub()).await;
        let credentials = credentials.map_err(|why| RuntimeError::new(Fault::Pull, why))?;
        fetch(api, reference, credentials, begin).await.map_err(|error| error.of(Fault::Pull))
    }

    fn note(&self, image: &str) {
        // Single inserts: a panic while it was held leaves nothing half done.
        let mut pulled = self.pulled.lock().unwrap_or_else(PoisonError::into_inner);
        if pulled.len() == PULLED_MAX {
            pulled.clear();
        }
        pulled.insert(image.to_owned());
    }
}

async fn find(api: &Api, image: &str, reference: &Reference) -> RuntimeResult<Option<Local>> {
    match api.ask("show an image", ANSWER, api.docker.inspect_image(image)).await {
        Ok(found) => {
            let entries = found.repo_digests.unwrap_or_default();
            Ok(Some(Local { digest: reference.digest_among(&entries), from_registry: !entries.is_empty() }))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.of(Fault::Pull)),
    }
}

async fn fetch(
    api: &Api,
    reference: &Reference,
    credentials: Option<DockerCredentials>,
    begin: Duration,
) -> Result<(), ApiError> {
    let options: CreateImageOptions = CreateImageOptionsBuilder::new().from_image(&reference.to_pull()).build();
    let mut progress = api.docker.create_image(Some(options), None, credentials);
    let end = api.env.now() + PULL_MAX;
    let mut quiet = begin;
    loop {
        let limit = quiet.min(end - api.env.now());
        let step = async { progress.next().await.transpose() };
        if api.ask("get on with the pull", limit, step).await?.is_none() {
            return Ok(());
        }
        quiet = PROGRESS;
    }
}
