//! Containers of a Docker engine.
//!
//! Everything is named by the task and the container's place in it, and labelled with whose it is: an answer that is lost
//! leads to no second container, and what runs is found again with all of the agent's files gone. Several agents may
//! share the engine. The size that a definition gives a task as a whole is that of a control group around its containers
//! where the agent can make one ([`cgroups`]); its memory limits each container that has no limit of its own in any case.

#![expect(clippy::disallowed_types, reason = "bollard's requests and answers hold HashMaps")]

mod api;
mod body;
mod cgroups;
mod credentials;
mod events;
mod held;
mod labels;
mod lines;
mod logs;
mod observe;
mod options;
mod pause;
mod ports;
mod pull;
mod reference;
mod unsupported;
mod volumes;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Duration};

use bollard::{
    models::SystemInfo,
    query_parameters::{CreateContainerOptions, RemoveContainerOptions, StopContainerOptions},
};
use seawall_env::Env;
use seawall_model::TaskId;
use seawall_proto::internal::v1::PortBinding;
use tokio::sync::{OnceCell, mpsc};

use crate::{
    config::{AgentConfig, ImagePull},
    guard::{self, Guard, MaybeGuard, SocketGuard, Target},
    pause::IMAGE,
    runtime::{
        Call, Description, Event, Fault, GUARD_ATTRIBUTE, Held, LogLines, LogQuery, Observed, Runtime, RuntimeError,
        RuntimeResult,
    },
    spec::{ContainerSpec, Owner, TaskSpec},
};
use api::{ANSWER, Api};
use cgroups::Cgroups;
pub use cgroups::remove_of_cluster as remove_cgroups_of_cluster;
use pull::Puller;

/// Makes the layers of a container.
const CREATE: Duration = Duration::from_secs(120);
/// Sets up its network and starts its process.
const START: Duration = Duration::from_secs(180);
/// Removes its layers.
const REMOVE: Duration = Duration::from_secs(60);
/// After the grace: SIGKILL, and taking the network down.
const STOP_MARGIN: Duration = Duration::from_secs(30);
const MS_PER_S: u64 = 1000;
/// Of the attribute by which the cluster knows that an instance has a log driver.
const LOG_DRIVER: &str = "com.amazonaws.ecs.capability.logging-driver.";
/// The attributes by which the cluster knows that containers of a task may share an address, and other namespaces.
const SHARING: [&str; 2] = ["ecs.capability.task-eni", "ecs.capability.pid-ipc-namespace-sharing"];
/// The attribute by which people see that the size of a task limits its containers together.
const TASK_SIZE: &str = "ecs.capability.task-cpu-mem-limit";
/// The agent's own, whatever the engine has.
const OWN_LOG_DRIVER: &str = "awslogs";

/// The runtime.
pub struct DockerRuntime {
    api: Api,
    host_ip: Option<IpAddr>,
    puller: Puller,
    inert: Vec<String>,
    /// `None` where tasks cannot have groups. Looked for once, when the engine is first asked for something that needs them.
    cgroups: OnceCell<Option<Cgroups>>,
    /// Absent where the engine's processes are not seen from here.
    guard: Option<Arc<SocketGuard>>,
}

impl DockerRuntime {
    /// Containers of the engine at `config.docker_socket`.
    ///
    /// # Errors
    /// It does not answer; the text says where and what to do.
    pub async fn connect(env: Env, config: &AgentConfig) -> RuntimeResult<Self> {
        let api = Api::connect(env.clone(), &config.docker_socket).await?;
        let puller = Puller::new(credentials::Credentials::new(env, config.registry_config.clone()));
        let inert = config.accept_inert.clone();
        let guard = if guard::sees_engine(&config.docker_socket).await {
            let folder = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
            Some(Arc::new(SocketGuard::new(api.env.clone(), config.shim_exe.clone(), folder)))
        } else {
            None
        };
        Ok(DockerRuntime { api, host_ip: config.host_ip, puller, inert, cgroups: OnceCell::new(), guard })
    }

    async fn info(&self) -> RuntimeResult<SystemInfo> {
        Ok(self.api.ask("describe itself", ANSWER, self.api.docker.info()).await?)
    }

    async fn cgroups(&self) -> RuntimeResult<Option<&Cgroups>> {
        Ok(self.cgroups.get_or_try_init(|| self.find_cgroups()).await?.as_ref())
    }

    async fn find_cgroups(&self) -> RuntimeResult<Option<Cgroups>> {
        match Cgroups::find(self.api.env.clone(), self.info().await?.cgroup_driver).await {
            Ok(cgroups) => Ok(Some(cgroups)),
            Err(why) => {
                tracing::warn!(why, "the size of a task limits each of its containers, but not what they use together");
                Ok(None)
            }
        }
    }

    async fn describe(&self) -> RuntimeResult<Description> {
        let info = self.info().await?;
        let drivers = info.plugins.and_then(|plugins| plugins.log).unwrap_or_default();
        let mut capabilities: Vec<String> =
            drivers.iter().map(String::as_str).chain([OWN_LOG_DRIVER]).map(|d| format!("{LOG_DRIVER}{d}")).collect();
        let security = info.security_options.unwrap_or_default();
        capabilities.extend(options::capabilities(&security));
        if pause::is_possible() {
            capabilities.extend(SHARING.map(str::to_owned));
        }
        if self.cgroups().await?.is_some() {
            capabilities.push(TASK_SIZE.to_owned());
        }
        if self.guard.is_some() {
            capabilities.push(GUARD_ATTRIBUTE.to_owned());
        }
        capabilities.sort();
        capabilities.dedup();
        Ok(Description { kind: "docker", version: info.server_version.unwrap_or_default(), capabilities })
    }

    async fn create(&self, container: &ContainerSpec) -> RuntimeResult<String> {
        volumes::provide(&self.api, container).await?;
        let options = CreateContainerOptions { name: Some(container.runtime_name()), ..Default::default() };
        let cgroup_parent = self.cgroups().await?.map(|cgroups| cgroups.path(&container.task));
        let made = self.api.docker.create_container(Some(options), body::of(container, self.host_ip, cgroup_parent));
        match self.api.ask("make a container", CREATE, made).await {
            Ok(made) => {
                // What the machine cannot do is left out of the container, and only said here.
                made.warnings.iter().for_each(|warning| tracing::warn!(container = container.runtime_name(), warning));
                Ok(made.id)
            }
            Err(error) if error.is_conflict() => self.made_before(container).await,
            Err(error) if error.is_not_found() && error.says("No such image") => Err(error.of(Fault::NoImage)),
            Err(error) => Err(error.of(Fault::Create)),
        }
    }

    /// The answer to an earlier create was lost.
    async fn made_before(&self, container: &ContainerSpec) -> RuntimeResult<String> {
        match held::inspect(&self.api, self.host_ip, container).await? {
            Some(observed) => Ok(observed.runtime_id),
            None => Err(RuntimeError::new(
                Fault::Create,
                format!("a container named {} is there that this agent did not make", container.runtime_name()),
            )),
        }
    }

    async fn start(&self, container: &ContainerSpec) -> RuntimeResult<Vec<PortBinding>> {
        if let Some(cgroups) = self.cgroups().await? {
            cgroups.provide(&container.task).await?;
        }
        let name = container.runtime_name();
        let started = self.api.docker.start_container(&name, None);
        if let Err(error) = self.api.ask("start a container", START, started).await {
            let is_gone = error.is_not_found() && error.says("No such container");
            return Err(error.of(if is_gone { Fault::Gone } else { Fault::Start }));
        }
        match ports::known(container, self.host_ip) {
            Some(known) => Ok(known),
            None => Ok(held::inspect(&self.api, self.host_ip, container).await?.unwrap_or_default().bindings),
        }
    }

    async fn stop(&self, container: &ContainerSpec, grace_ms: u64) -> RuntimeResult<()> {
        let grace_s = i32::try_from(grace_ms.div_ceil(MS_PER_S)).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(grace_s), ..Default::default() };
        let name = container.runtime_name();
        let stopped = self.api.docker.stop_container(&name, Some(options));
        let limit = Duration::from_secs(grace_s.unsigned_abs().into()) + STOP_MARGIN;
        self.api.ask("stop a container", limit, stopped).await.map_err(|error| {
            let fault = if error.is_not_found() { Fault::Gone } else { Fault::Stop };
            error.of(fault)
        })
    }

    async fn remove_task(&self, task: &TaskSpec) -> RuntimeResult<()> {
        volumes::remove(&self.api, task).await?;
        match self.cgroups().await? {
            Some(cgroups) => cgroups.remove(task).await,
            None => Ok(()),
        }
    }

    async fn sweep(&self, owner: &Owner, kept: &BTreeSet<TaskId>) -> RuntimeResult<()> {
        match self.cgroups().await? {
            Some(cgroups) => cgroups.sweep(owner, kept).await,
            None => Ok(()),
        }
    }

    /// The name holds the task's id, which no other container can have by chance.
    async fn remove(&self, container: &ContainerSpec) -> RuntimeResult<()> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        let name = container.runtime_name();
        let removed = self.api.docker.remove_container(&name, Some(options));
        match self.api.ask("remove a container", REMOVE, removed).await {
            // The conflict is a removal under way.
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Runtime for DockerRuntime {
    fn describe(&self) -> Call<'_, Description> {
        Box::pin(self.describe())
    }

    fn held<'a>(&'a self, instance: &'a str) -> Call<'a, Vec<Held>> {
        Box::pin(held::list(&self.api, self.host_ip, instance))
    }

    fn unsupported(&self, task: &TaskSpec) -> Option<String> {
        unsupported::find(task, &self.inert)
    }

    fn pull<'a>(&'a self, image: &'a str, policy: ImagePull) -> Call<'a, Option<String>> {
        Box::pin(async move {
            match image {
                IMAGE => pause::provide(&self.api).await.map(|()| None),
                image => self.puller.get(&self.api, image, policy).await,
            }
        })
    }

    fn create<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, String> {
        Box::pin(self.create(container))
    }

    fn start<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(self.start(container))
    }

    fn restart<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(self.start(container))
    }

    fn stop<'a>(&'a self, container: &'a ContainerSpec, grace_ms: u64) -> Call<'a, ()> {
        Box::pin(self.stop(container, grace_ms))
    }

    fn guard(&self) -> MaybeGuard {
        self.guard.clone().map(|guard| guard as Arc<dyn Guard>)
    }

    fn target(&self, _container: &ContainerSpec, id: &str) -> Option<Target> {
        (!id.is_empty()).then(|| Target::Container(id.to_owned()))
    }

    fn inspect<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Option<Observed>> {
        Box::pin(held::inspect(&self.api, self.host_ip, container))
    }

    fn remove<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, ()> {
        Box::pin(self.remove(container))
    }

    fn remove_task<'a>(&'a self, task: &'a TaskSpec) -> Call<'a, ()> {
        Box::pin(self.remove_task(task))
    }

    fn sweep<'a>(&'a self, owner: &'a Owner, kept: &'a BTreeSet<TaskId>) -> Call<'a, ()> {
        Box::pin(self.sweep(owner, kept))
    }

    fn events<'a>(&'a self, owner: &'a Owner) -> Call<'a, mpsc::Receiver<Event>> {
        Box::pin(async move { Ok(events::open(&self.api, owner).await?) })
    }

    fn logs<'a>(&'a self, container: &'a ContainerSpec, query: LogQuery) -> Call<'a, LogLines> {
        Box::pin(async move { Ok(logs::open(&self.api, container, query)) })
    }
}
