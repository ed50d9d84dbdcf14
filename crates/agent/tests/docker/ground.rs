//! What a test stands on: an agent of its own on the machine's engine, gone after it whatever happened.

use std::{
    collections::HashMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bollard::{
    Docker,
    query_parameters::{
        ListContainersOptions, ListVolumesOptions, RemoveContainerOptions, RemoveImageOptions, RemoveVolumeOptions,
    },
};
use seawall_agent::{
    AgentConfig,
    engine::{Engine, EngineSettings},
    runtime::docker::DockerRuntime,
    spec::{ContainerSpec, Kept, Owner, TaskSpec, proto_id, task_id},
    store::Store,
};
use seawall_env::Env;
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{Assignment, TaskReport, TaskStatus},
    v1::{ContainerDefinition, KeyValuePair, PortMapping, TaskDefinition},
};
use tempfile::TempDir;

use crate::image;

/// Two cores build and test at once: far more than any step takes.
const LIMIT: Duration = Duration::from_secs(120);
const CLEANING_ROUNDS_MAX: usize = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const EPOCH: u64 = 1;

/// An agent.
pub struct Ground {
    pub env: Env,
    /// The engine itself, for what others do behind the agent's back.
    pub docker: Docker,
    pub config: AgentConfig,
    pub owner: Owner,
    pub image: String,
    pub runtime: Arc<DockerRuntime>,
    /// Removed after the test, beside what bears the agent's labels.
    pub volumes: Vec<String>,
    pub images: Vec<String>,
    engine: Option<Engine>,
    pub folder: TempDir,
}

impl Ground {
    /// `None` after a line that says why there is none.
    pub async fn new() -> Option<Self> {
        Ground::with(|_| ()).await
    }

    /// With a changed configuration.
    pub async fn with(change: impl FnOnce(&mut AgentConfig)) -> Option<Self> {
        let docker = engine_there().await?;
        let env = Env::real_with_default_net();
        let folder = tempfile::tempdir().unwrap();
        let instance = format!("test-{:016x}", env.random_u64());
        let image = format!("seawall-{instance}:1");
        image::import(&docker, &image, &[]).await;
        let mut config = AgentConfig::new("default", "us-local-1a", folder.path());
        config.docker_socket = socket();
        config.host_ip = Some(own_address(&env));
        change(&mut config);
        let runtime = Arc::new(DockerRuntime::connect(env.clone(), &config).await.unwrap());
        let owner = Owner { cluster_id: "c1".into(), instance };
        let images = vec![image.clone()];
        let mut ground =
            Ground { env, docker, config, owner, image, runtime, volumes: Vec::new(), images, engine: None, folder };
        ground.start().await;
        Some(ground)
    }

    /// Starts the agent's engine, again after [`Ground::stop`].
    pub async fn start(&mut self) {
        let store = Store::open(&self.env, &self.config.data_dir).unwrap();
        let settings = EngineSettings::from(&self.config);
        let (env, runtime, owner) = (self.env.clone(), self.runtime.clone(), self.owner.clone());
        self.engine = Some(Engine::start(env, runtime, Arc::new(store), settings, owner).await.unwrap());
    }

    /// The agent is gone; its containers stay.
    pub fn stop(&mut self) {
        self.engine = None;
    }

    /// The agent's own files are gone, too.
    pub fn lose_files(&mut self) {
        self.stop();
        fs::remove_dir_all(self.config.data_dir.join("agent")).unwrap();
    }

    pub fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    /// A container that runs a line of shell.
    pub fn shell(&self, name: &str, line: &str) -> ContainerDefinition {
        let words = ["sh", "-c", line].map(str::to_owned).to_vec();
        ContainerDefinition {
            name: Some(name.into()),
            image: Some(self.image.clone()),
            command: words,
            stop_timeout: Some(1),
            ..Default::default()
        }
    }

    /// One that runs until it is stopped.
    pub fn sleeper(&self, name: &str) -> ContainerDefinition {
        self.shell(name, "exec sleep 1000")
    }

    /// An assignment of a new task.
    pub fn assignment(&self, containers: Vec<ContainerDefinition>) -> Assignment {
        let id = self.env.new_id();
        Assignment {
            task: Some(proto_id(id)),
            task_arn: format!("arn:aws:ecs:us-local-1:000000000000:task/default/{id}"),
            cluster: "default".into(),
            desired_running: true,
            definition: Some(TaskDefinition {
                family: Some("web".into()),
                revision: Some(3),
                container_definitions: containers,
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Assigns a task of these containers.
    pub fn run(&self, containers: Vec<ContainerDefinition>) -> TaskId {
        self.assign(self.assignment(containers))
    }

    pub fn assign(&self, assignment: Assignment) -> TaskId {
        let id = task_id(assignment.task.as_ref());
        self.engine().assign(EPOCH, vec![assignment]);
        id
    }

    /// The cluster wants it stopped.
    pub fn end(&self, task: TaskId) {
        let wish = Assignment { task: Some(proto_id(task)), desired_running: false, ..Default::default() };
        self.engine().assign(EPOCH, vec![wish]);
    }

    /// A container of an assignment as the runtime takes it.
    pub fn spec(&self, assignment: &Assignment, index: usize) -> ContainerSpec {
        let kept = Kept { assignment: Some(assignment.clone()), epoch: EPOCH };
        ContainerSpec { task: Arc::new(TaskSpec::new(self.owner.clone(), kept)), index }
    }

    /// The engine's name of a container of a task.
    pub fn name(&self, task: TaskId, container: &str) -> String {
        format!("seawall-web-3-{container}-{task}")
    }

    pub fn report(&self, task: TaskId) -> Option<TaskReport> {
        self.engine().reports().into_iter().find(|report| task_id(report.task.as_ref()) == task)
    }

    /// Waits for the report of a task that fits; fails where it has ended otherwise.
    pub async fn until(&self, task: TaskId, fits: impl Fn(&TaskReport) -> bool) -> TaskReport {
        let end = self.env.now() + LIMIT;
        loop {
            let report = self.report(task).unwrap();
            if fits(&report) {
                return report;
            }
            assert_ne!(report.status(), TaskStatus::Stopped, "{}: {report:#?}", report.stopped_reason);
            assert!(self.env.now() < end, "not within {LIMIT:?}: {report:#?}");
            self.env.sleep(LOOK_AGAIN).await;
        }
    }

    pub async fn running(&self, task: TaskId) -> TaskReport {
        self.until(task, |report| report.status() == TaskStatus::Running).await
    }

    pub async fn stopped(&self, task: TaskId) -> TaskReport {
        self.until(task, |report| report.status() == TaskStatus::Stopped).await
    }

    /// Tries until it succeeds.
    pub async fn eventually<T>(&self, what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
        let end = self.env.now() + LIMIT;
        loop {
            if let Some(done) = attempt().await {
                return done;
            }
            assert!(self.env.now() < end, "not within {LIMIT:?}: {what}");
            self.env.sleep(LOOK_AGAIN).await;
        }
    }

    /// Names of the agent's containers on the engine, running or not, sorted.
    pub async fn containers(&self) -> Vec<String> {
        let names = list(&self.docker, &self.owner.instance).await.into_iter().map(|(_, name)| name);
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The folders of the control groups of the agent's tasks.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        cgroups(&self.owner.instance)
    }

    /// Everything that a container has written.
    pub async fn log(&self, task: TaskId, container: &str) -> Vec<String> {
        let mut lines = self.engine().logs(task, container, Default::default()).await.unwrap().unwrap();
        let mut text = Vec::new();
        while let Some(record) = lines.recv().await {
            text.push(String::from_utf8_lossy(&record.unwrap().line).into_owned());
        }
        text
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.engine = None;
        let (instance, volumes, images) = (self.owner.instance.clone(), self.volumes.clone(), self.images.clone());
        // The test's own runtime may be about to end, and a drop cannot wait on it.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(clean(&instance, volumes, images));
        });
        // A panic here would hide the one that may be under way.
        if cleaning.join().is_err() {
            eprintln!("could not clean up after {}", self.owner.instance);
        }
    }
}

/// A variable of an environment.
pub fn pair(name: &str, value: &str) -> KeyValuePair {
    KeyValuePair { name: Some(name.into()), value: Some(value.into()) }
}

pub fn port(container_port: i32, host_port: i32, protocol: &str) -> PortMapping {
    PortMapping {
        container_port: Some(container_port),
        host_port: Some(host_port),
        protocol: Some(protocol.into()),
        ..Default::default()
    }
}

/// Where the engine listens: as the docker command finds it.
pub fn socket() -> PathBuf {
    let named = std::env::var("DOCKER_HOST").ok();
    let path = named.as_ref().and_then(|host| host.strip_prefix("unix://"));
    PathBuf::from(path.unwrap_or(seawall_agent::DEFAULT_DOCKER_SOCKET))
}

async fn engine() -> Option<Docker> {
    let socket = socket().display().to_string();
    let docker = Docker::connect_with_unix(&socket, LIMIT.as_secs(), bollard::API_DEFAULT_VERSION).ok()?;
    docker.negotiate_version().await.ok()
}

/// The engine, if this test can run here.
async fn engine_there() -> Option<Docker> {
    let engine = engine().await;
    let lacks = match (&engine, image::busybox()) {
        (None, _) => "Docker does not answer",
        (_, None) => "there is no static busybox (Debian: busybox-static)",
        _ => return engine,
    };
    skip(lacks);
    None
}

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}, and under CI it must");
    println!("SKIP: {why}");
}

/// An address of the loopback network that no other agent of this machine has.
fn own_address(env: &Env) -> IpAddr {
    let [a, b, ..] = env.random_u64().to_le_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 74, 64 + a % 190, 1 + b % 254))
}

async fn list(docker: &Docker, instance: &str) -> Vec<(String, String)> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("seawall.instance-id={instance}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found = docker.list_containers(Some(options)).await.unwrap();
    let name = |names: Option<Vec<String>>| names.unwrap_or_default().concat().trim_start_matches('/').to_owned();
    found.into_iter().map(|c| (c.id.unwrap_or_default(), name(c.names))).collect()
}

/// Of both versions, in every tree.
fn cgroups(instance: &str) -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let trees = fs::read_dir(&root).into_iter().flatten().map(|entry| entry.unwrap().path()).chain([root.clone()]);
    let groups = trees.filter_map(|tree| fs::read_dir(tree.join("seawall")).ok()).flatten();
    let is_ours = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().ends_with(&format!("-{instance}"));
    groups.map(|entry| entry.unwrap().path()).filter(is_ours).collect()
}

async fn clean(instance: &str, mut volumes: Vec<String>, images: Vec<String>) {
    let docker = engine().await.unwrap();
    // A start under way may make one while the others are removed.
    for _ in 0..CLEANING_ROUNDS_MAX {
        let left = list(&docker, instance).await;
        if left.is_empty() {
            break;
        }
        for (id, _) in left {
            let options = RemoveContainerOptions { v: true, force: true, link: false };
            // It may be on its way out already; the list tells.
            let _ = docker.remove_container(&id, Some(options)).await;
        }
    }
    for group in cgroups(instance) {
        // An agent that still runs may have removed it.
        let _ = fs::remove_dir(group);
    }
    let filters = HashMap::from([("label".to_owned(), vec![format!("seawall.instance-id={instance}")])]);
    let listed = docker.list_volumes(Some(ListVolumesOptions { filters: Some(filters) })).await.unwrap();
    volumes.extend(listed.volumes.unwrap_or_default().into_iter().map(|volume| volume.name));
    for volume in volumes {
        // A test that failed early has not made it.
        let _ = docker.remove_volume(&volume, Some(RemoveVolumeOptions { force: true })).await;
    }
    for image in images {
        let options = RemoveImageOptions { force: true, ..Default::default() };
        let _ = docker.remove_image(&image, Some(options), None).await;
    }
}
