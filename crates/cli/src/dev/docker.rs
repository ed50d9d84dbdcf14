//! The Docker engine, as far as dev and demo need it: whether it answers, whose containers are on it, images.
//!
//! This is where the command line leaves the environment: `bollard` opens the engine's socket by itself.

use std::time::Duration;

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    query_parameters::{
        CreateImageOptions, ListContainersOptions, ListVolumesOptions, RemoveContainerOptions, RemoveImageOptions,
        RemoveVolumeOptions, StopContainerOptions,
    },
};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use seawall_agent::DEFAULT_DOCKER_SOCKET;
use seawall_env::Env;

use crate::failure::Failure;

/// For what an engine answers from memory.
const ANSWER: Duration = Duration::from_secs(10);
/// For what it has to work on: stopping, removing, unpacking an image.
const WORK: Duration = Duration::from_secs(120);
/// bollard's own limit, out of the way: each call here has a deadline that fits it.
const NEVER_S: u64 = u64::MAX;
/// Calls to the engine at the same time.
const AT_ONCE: usize = 8;
/// The engine's answers to what is done already: not there, or not running.
const DONE_ALREADY: [u16; 3] = [304, 404, 409];
/// On every container and volume that an agent made: the cluster's id…
const CLUSTER_ID: &str = "seawall.cluster-id";
/// …and the agent's instance.
const INSTANCE_ID: &str = "seawall.instance-id";

/// An engine that answers.
#[derive(Clone)]
pub struct Engine {
    env: Env,
    docker: Docker,
    version: String,
}

impl Engine {
    /// Reaches the engine of this machine.
    ///
    /// # Errors
    /// Why not, for people.
    pub async fn connect(env: &Env) -> Result<Engine, String> {
        let docker = Docker::connect_with_unix(DEFAULT_DOCKER_SOCKET, NEVER_S, API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| words(&error))?;
        let agreed = env.timeout(ANSWER, docker.negotiate_version()).await.map_err(|_| late(ANSWER))?;
        let docker = agreed.map_err(|error| words(&error))?;
        let version = env.timeout(ANSWER, docker.version()).await.map_err(|_| late(ANSWER))?;
        let version = version.map_err(|error| words(&error))?.version.unwrap_or_default();
        Ok(Engine { env: env.clone(), docker, version })
    }

    /// The engine's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    async fn ask<T>(&self, limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        let refuse = |why: String| Failure::refused(format!("the Docker engine at {DEFAULT_DOCKER_SOCKET}: {why}"));
        let answer = self.env.timeout(limit, call).await.map_err(|_| refuse(late(limit)))?;
        answer.map_err(|error| refuse(words(&error)))
    }

    /// Ids of a cluster's containers, of one instance or of all; the running ones, or stopped ones too.
    pub async fn containers(&self, cluster: &str, instance: Option<&str>, all: bool) -> Result<Vec<String>, Failure> {
        let filters = [("label".to_owned(), labels(cluster, instance))].into();
        let options = ListContainersOptions { all, filters: Some(filters), ..Default::default() };
        let found = self.ask(ANSWER, self.docker.list_containers(Some(options))).await?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    /// Kills containers.
    pub async fn kill(&self, ids: &[String]) -> Result<(), Failure> {
        self.each(ids, async |id| self.docker.kill_container(&id, None).await).await
    }

    /// Ends containers: SIGTERM, and SIGKILL after `grace_s`.
    pub async fn stop(&self, ids: &[String], grace_s: i32) -> Result<(), Failure> {
        let options = StopContainerOptions { t: Some(grace_s), ..Default::default() };
        self.each(ids, async |id| self.docker.stop_container(&id, Some(options.clone())).await).await
    }

    /// Removes containers, with the volumes that have no name.
    pub async fn remove(&self, ids: &[String]) -> Result<(), Failure> {
        let options = RemoveContainerOptions { v: true, force: true, ..Default::default() };
        self.each(ids, async |id| self.docker.remove_container(&id, Some(options.clone())).await).await
    }

    /// Removes what a cluster's tasks have as volumes.
    pub async fn remove_volumes(&self, cluster: &str) -> Result<(), Failure> {
        let options = ListVolumesOptions { filters: Some([("label".to_owned(), labels(cluster, None))].into()) };
        let found = self.ask(ANSWER, self.docker.list_volumes(Some(options))).await?;
        let names: Vec<String> = found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        let options = RemoveVolumeOptions { force: true };
        self.each(&names, async |name| self.docker.remove_volume(&name, Some(options.clone())).await).await
    }

    /// `docker import` of a root file system.
    pub async fn import(&self, name: &str, tag: &str, tar: Bytes, changes: Vec<String>) -> Result<(), Failure> {
        let options = CreateImageOptions {
            from_src: Some("-".into()),
            repo: Some(name.into()),
            tag: Some(tag.into()),
            changes,
            ..Default::default()
        };
        let made = self.docker.create_image(Some(options), Some(bollard::body_full(tar)), None);
        self.ask(WORK, made.try_for_each(async |_| Ok(()))).await
    }

    /// Removes an image; no error where there is none.
    pub async fn remove_image(&self, image: &str) -> Result<(), Failure> {
        let options = RemoveImageOptions { force: true, ..Default::default() };
        let image = [image.to_owned()];
        self.each(&image, async |image| self.docker.remove_image(&image, Some(options.clone()), None).await.map(|_| ()))
            .await
    }

    /// Does the same to each. What is done already is done.
    async fn each(&self, names: &[String], act: impl AsyncFn(String) -> Result<(), Error>) -> Result<(), Failure> {
        let acts = names.iter().map(|name| async {
            let acted = async {
                match act(name.clone()).await {
                    Err(Error::DockerResponseServerError { status_code, .. })
                        if DONE_ALREADY.contains(&status_code) =>
                    {
                        Ok(())
                    }
                    other => other,
                }
            };
            self.ask(WORK, acted).await
        });
        let all: Vec<Result<(), Failure>> = stream::iter(acts).buffer_unordered(AT_ONCE).collect().await;
        all.into_iter().collect()
    }
}

/// The labels of what agents of a cluster, or one of them, made.
fn labels(cluster: &str, instance: Option<&str>) -> Vec<String> {
    let instance = instance.map(|instance| format!("{INSTANCE_ID}={instance}"));
    [format!("{CLUSTER_ID}={cluster}")].into_iter().chain(instance).collect()
}

fn late(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs())
}

/// An error with its innermost cause: the outermost alone often says only "client error".
fn words(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    let (outer, inner) = (error.to_string(), deepest.to_string());
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
