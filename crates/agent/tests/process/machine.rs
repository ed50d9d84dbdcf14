//! A folder for one agent's data, containers to run in it, and the end of all of them whatever happens.

use std::{
    ffi::OsStr,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use seawall_agent::{
    AgentConfig,
    engine::{Engine, EngineSettings},
    runtime::{Event, EventKind, LogQuery, Observed, Phase, Runtime, process::ProcessRuntime},
    spec::{ContainerSpec, Kept, Owner, TaskSpec, proto_id},
    store::Store,
};
use seawall_env::Env;
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{Assignment, LogRecord, TaskReport, TaskStatus},
    v1::{ContainerDefinition, TaskDefinition},
};
use tokio::sync::mpsc;

/// Longest wait for what must happen.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A command of the shell that waits for [`Machine::tell`].
pub const UNTIL_TOLD: &str = "while [ ! -e told ]; do sleep 0.05; done";

/// Ids of tasks, unique over all tests of the run.
static NEXT_TASK: AtomicU64 = AtomicU64::new(1);

pub struct Machine {
    pub env: Env,
    folder: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Self {
        Machine { env: Env::real_with_default_net(), folder: tempfile::tempdir().unwrap() }
    }

    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> AgentConfig {
        config(self.data_dir())
    }

    pub fn runtime(&self) -> ProcessRuntime {
        ProcessRuntime::new(self.env.clone(), &self.config()).unwrap()
    }

    pub fn runtime_on(&self, name: &str, ip: &str) -> ProcessRuntime {
        let ip: IpAddr = ip.parse().unwrap();
        let data_dir = self.data_dir().join(name);
        ProcessRuntime::new(self.env.clone(), &AgentConfig { host_ip: Some(ip), data_dir, ..self.config() }).unwrap()
    }

    pub async fn engine(&self) -> Engine {
        engine(&self.env, self.data_dir()).await
    }

    /// Where a container's files are.
    pub fn container_folder(&self, container: &ContainerSpec) -> PathBuf {
        self.data_dir().join("process").join(container.task.id.to_string()).join(container.index.to_string())
    }

    /// Lets a container go on that waits with [`UNTIL_TOLD`].
    pub fn tell(&self, container: &ContainerSpec) {
        std::fs::write(self.container_folder(container).join("work/told"), "").unwrap();
    }

    /// How the shim says a container stands.
    pub fn status(&self, container: &ContainerSpec) -> serde_json::Value {
        let text = std::fs::read(self.container_folder(container).join("status")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Processes of the containers of this machine, shims included.
    pub fn processes(&self) -> Vec<u32> {
        processes_of(self.data_dir())
    }

    pub async fn until_nothing_runs(&self) {
        self.until("nothing of the containers runs", async || self.processes().is_empty().then_some(())).await
    }

    /// Waits for a condition, at most so long that nobody could call it slow.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let give_up = self.env.now() + WAIT_MAX;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(self.env.now() < give_up, "it never happened that {what}");
            self.env.sleep(LOOK_AGAIN).await;
        }
    }

    pub async fn until_exited(&self, runtime: &ProcessRuntime, container: &ContainerSpec) -> Observed {
        let exited = async || runtime.inspect(container).await.unwrap().filter(|o| o.phase == Phase::Exited);
        self.until("the container ends", exited).await
    }

    /// Waits for an event; those before it are dropped.
    pub async fn event(&self, events: &mut mpsc::Receiver<Event>, wanted: EventKind) {
        let wait = async {
            while let Some(event) = events.recv().await {
                if event.kind == wanted {
                    return;
                }
            }
            panic!("the events ended before {wanted:?}");
        };
        self.env.timeout(WAIT_MAX, wait).await.unwrap_or_else(|_| panic!("no event {wanted:?}"));
    }

    /// The report of a task once it has this status.
    pub async fn report(&self, engine: &Engine, id: TaskId, status: TaskStatus) -> TaskReport {
        let is_it = |report: &TaskReport| report.task == Some(proto_id(id)) && report.status() == status;
        let look = async || engine.reports().into_iter().find(is_it);
        self.until(&format!("the task is {status:?}"), look).await
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for _ in 0..200 {
            let left = processes_of(self.folder.path());
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(|pid| signal(pid, rustix::process::Signal::KILL));
            std::thread::sleep(Duration::from_millis(20));
        }
        eprintln!("processes of {} are left", self.folder.path().display());
    }
}

pub fn config(data_dir: &Path) -> AgentConfig {
    AgentConfig {
        shim_exe: std::env::current_exe().unwrap(),
        host_ip: Some("127.0.0.1".parse().unwrap()),
        ..AgentConfig::new("default", "us-local-1a", data_dir)
    }
}

pub async fn engine(env: &Env, data_dir: &Path) -> Engine {
    let config = config(data_dir);
    let runtime: Arc<dyn Runtime> = Arc::new(ProcessRuntime::new(env.clone(), &config).unwrap());
    let store = Arc::new(Store::open(env, data_dir).unwrap());
    Engine::start(env.clone(), runtime, store, EngineSettings::from(&config), owner()).await.unwrap()
}

pub fn owner() -> Owner {
    Owner { cluster_id: "c1".into(), instance: "i-1".into() }
}

/// A container of the shell.
pub fn shell(script: &str) -> ContainerDefinition {
    program(&["/bin/sh", "-c", script])
}

/// A container of the test executable in another part.
pub fn own(words: &[&str]) -> ContainerDefinition {
    let exe = std::env::current_exe().unwrap();
    program(&[&[exe.to_str().unwrap()], words].concat())
}

pub fn program(words: &[&str]) -> ContainerDefinition {
    ContainerDefinition {
        name: Some("app".into()),
        image: Some("process".into()),
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    }
}

pub fn assignment(id: u64, definition: ContainerDefinition) -> Assignment {
    Assignment {
        task: Some(proto_id(TaskId::from_halves(0, id))),
        task_arn: format!("arn:task/{id}"),
        cluster: "default".into(),
        desired_running: true,
        definition: Some(TaskDefinition {
            family: Some("web".into()),
            revision: Some(1),
            container_definitions: vec![definition],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// An assignment of a new task, and its id.
pub fn new_assignment(definition: ContainerDefinition) -> (TaskId, Assignment) {
    let id = NEXT_TASK.fetch_add(1, Ordering::Relaxed);
    (TaskId::from_halves(0, id), assignment(id, definition))
}

/// The one container of a new task.
pub fn container(definition: ContainerDefinition) -> ContainerSpec {
    let (_, assignment) = new_assignment(definition);
    let task = TaskSpec::new(owner(), Kept { assignment: Some(assignment), epoch: 1 });
    ContainerSpec { task: Arc::new(task), index: 0 }
}

/// The one container of a new task, started.
pub async fn started(runtime: &ProcessRuntime, definition: ContainerDefinition) -> ContainerSpec {
    let container = container(definition);
    runtime.create(&container).await.unwrap();
    runtime.start(&container).await.unwrap();
    container
}

/// All that is in a log now.
pub async fn lines(runtime: &ProcessRuntime, container: &ContainerSpec, query: LogQuery) -> Vec<LogRecord> {
    let mut lines = runtime.logs(container, query).await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = lines.recv().await {
        all.push(line.unwrap());
    }
    all
}

pub fn text(record: &LogRecord) -> &str {
    std::str::from_utf8(&record.line).unwrap()
}

pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // One that has ended needs none.
    let _ = rustix::process::kill_process(pid, signal);
}

/// Whether a process runs; one that waits for its parent to hear of its end does not.
pub fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// By command line (shims and agents) or environment (what containers run).
fn processes_of(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().unwrap();
    let names = |pid: u32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(folder)
    };
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| pid(&entry.ok()?.file_name()));
    pids.filter(|pid| names(*pid, "cmdline") || names(*pid, "environ")).collect()
}

fn pid(name: &OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}
