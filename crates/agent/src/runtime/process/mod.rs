//! Containers that are plain processes of this machine, for development and the demo without Docker.
//!
//! A container is a tree of processes below one `seawall shim` (`crate::shim`), which goes on when the agent ends. The
//! truth is on disk, in `DATA_DIR/process/<task>/<index>/`: `kept` is the assignment and whose it is, `spec` what the shim
//! runs, `status` how it stands, `log.N` its output, `lock` a file that the shim locks for as long as it lives (so that
//! no reused pid is ever taken for ours), `control` the pipe by which it is told to stop, `work` its working directory
//! where the definition names none.
//!
//! What a process gets: the variables of its definition, PATH and HOME of the agent where it has none of its own,
//! `SEAWALL_BIND_<containerPort>` with the address to listen on for each port mapping, and `PORT` with the host port of
//! the first; `SEAWALL_CONTAINER`, by which it is known as ours. Ports are on the agent's `--host-ip`, without it on all addresses of the machine, as Docker publishes them.
//!
//! What it does not get is refused by name (`check`). `cpu`, `memoryReservation` and `dockerLabels` are taken and change
//! nothing here: the first two place the task, nobody reads the third. `memory` is a hard limit that the shim watches
//! every second or few, and that of a task is a limit of its containers together.
//!
//! Files are read and written through [`seawall_env::Env`]; what it does not have (child processes, locks, pipes,
//! sockets to probe ports with) is in `host` alone.

mod check;
mod folders;
mod host;
mod logs;
mod plan;
mod ports;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use seawall_env::{Env, TaskKind};
use seawall_proto::internal::v1::PortBinding;
use tokio::sync::mpsc;

use crate::{
    config::{AgentConfig, ImagePull},
    guard::{MaybeGuard, SocketGuard, Target},
    runtime::{
        Call, Description, EVENTS_WAITING, Event, Fault, GUARD_ATTRIBUTE, Held, LOG_RECORDS_WAITING, LogLines,
        LogQuery, Observed, Phase, Runtime, RuntimeError, RuntimeResult,
    },
    shim::files::{self, Binding},
    spec::{ContainerSpec, Owner, TaskSpec},
};
use folders::{Folders, Place};
use host::Answer;
use ports::Port;

/// The one image there is.
const IMAGE: &str = "process";
/// The log driver that the agent itself is, whatever runs the containers.
const LOG_DRIVER_CAPABILITY: &str = "com.amazonaws.ecs.capability.logging-driver.awslogs";
/// Longest start of a program.
const START_MAX: Duration = Duration::from_secs(15);
/// Beyond the grace: for a tree that is being killed.
const END_MAX: Duration = Duration::from_secs(20);
/// Between two looks at a container that is to start or end.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The runtime.
pub struct ProcessRuntime {
    env: Env,
    folders: Arc<Folders>,
    shim_exe: PathBuf,
    ip: IpAddr,
    /// Not given out as dynamic ports.
    reserved: BTreeSet<Port>,
    /// Ports are chosen for one container after the other, until they are on disk.
    choosing: tokio::sync::Mutex<()>,
    /// The containers that events are about.
    watched: Arc<Mutex<Watched>>,
    /// Members that tasks do without.
    inert: Vec<String>,
    guard: Arc<SocketGuard>,
    /// Where its socket is.
    data_dir: PathBuf,
}

type Watched = BTreeMap<Place, Watchee>;

/// A container that events are about.
struct Watchee {
    owner: Owner,
    /// How often it was started again.
    restarts: u32,
}

impl Watchee {
    fn of(owner: Owner) -> Self {
        Watchee { owner, restarts: 0 }
    }
}

impl ProcessRuntime {
    /// Runs containers in the agent's data folder.
    ///
    /// # Errors
    /// The folder's path cannot be made absolute.
    pub fn new(env: Env, config: &AgentConfig) -> io::Result<Self> {
        // A shim goes to another working directory. Links in the path stay: `seawall dev` knows shims by its text.
        let data_dir = std::path::absolute(&config.data_dir)?;
        let guard = SocketGuard::new(env.clone(), config.shim_exe.clone(), data_dir.clone());
        Ok(ProcessRuntime {
            guard: Arc::new(guard),
            data_dir: data_dir.clone(),
            folders: Arc::new(Folders::new(env.clone(), data_dir.join(IMAGE))),
            env,
            shim_exe: config.shim_exe.clone(),
            ip: config.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            reserved: reserved(config),
            inert: config.accept_inert.clone(),
            choosing: tokio::sync::Mutex::default(),
            watched: Arc::default(),
        })
    }

    /// Work on files, beside the runtime's threads.
    async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folders) -> io::Result<T> + Send + 'static,
    ) -> RuntimeResult<T> {
        let folders = self.folders.clone();
        let done = self.env.thread("process folders", move || work(&folders)).await;
        done.map_err(|error| RuntimeError::new(Fault::Engine, format!("{}: {error}", self.folders.root().display())))
    }

    async fn look(&self, place: Place) -> RuntimeResult<Option<Observed>> {
        self.on_files(move |folders| folders.look(place)).await
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        lock(&self.watched)
    }

    async fn make(&self, container: &ContainerSpec) -> RuntimeResult<String> {
        // What is wrong with it is found before anything is there.
        plan::spec(container, Vec::new(), String::new()).map_err(|why| RuntimeError::new(Fault::Create, why))?;
        let (place, owner, kept) = (Place::of(container), container.task.owner.clone(), container.task.kept());
        let to_make = owner.clone();
        self.on_files(move |folders| folders.make(place, &to_make, kept)).await?;
        self.watched().insert(place, Watchee::of(owner));
        Ok(place.to_string())
    }

    async fn begin_in_time(&self, container: &ContainerSpec) -> RuntimeResult<Vec<PortBinding>> {
        let begun = self.env.timeout(START_MAX, self.begin(container)).await;
        begun.unwrap_or_else(|_| {
            let message = format!("the process did not start within {} s", START_MAX.as_secs());
            Err(RuntimeError::new(Fault::Timeout, message))
        })
    }

    async fn begin(&self, container: &ContainerSpec) -> RuntimeResult<Vec<PortBinding>> {
        let place = Place::of(container);
        // A start whose answer was lost is not repeated: a container starts once.
        if let Some(bindings) = self.begun(place).await? {
            return Ok(bindings);
        }
        self.prepare(container, place).await?;
        loop {
            match host::launch(&self.shim_exe, &self.folders.path(place)).await {
                // The other shim is one that an agent before this one started: it will show, or give up.
                Answer::Started | Answer::Taken => {}
                Answer::Failed(why) => {
                    self.on_files(move |folders| folders.unprepare(place)).await?;
                    return Err(RuntimeError::new(Fault::Start, why));
                }
            }
            if let Some(bindings) = self.begun(place).await? {
                return Ok(bindings);
            }
            self.env.sleep(LOOK_AGAIN).await;
        }
    }

    /// The ports of a container that has started.
    async fn begun(&self, place: Place) -> RuntimeResult<Option<Vec<PortBinding>>> {
        let observed = self.look(place).await?.ok_or_else(gone)?;
        Ok((observed.phase != Phase::Created).then_some(observed.bindings))
    }

    /// Chooses the ports and writes what the shim is to run.
    async fn prepare(&self, container: &ContainerSpec, place: Place) -> RuntimeResult<()> {
        let _one_after_the_other = self.choosing.lock().await;
        let wanted = ports::wanted(container).map_err(|why| RuntimeError::new(Fault::Start, why))?;
        let (ip, reserved, chance) = (self.ip, self.reserved.clone(), self.env.random_u64());
        let choose = move |folders: &Folders| {
            Ok(ports::choose(&wanted, ip, &folders.given(place)?, &reserved, chance, host::probe))
        };
        let bindings: Result<Vec<Binding>, String> = self.on_files(choose).await?;
        let bindings = bindings.map_err(|why| RuntimeError::new(Fault::Start, why))?;
        let mark = self.folders.path(place).display().to_string();
        let mut spec = plan::spec(container, bindings, mark).map_err(|why| RuntimeError::new(Fault::Start, why))?;
        spec.guard = container
            .task
            .is_guarded()
            .then(|| files::Guarded { folder: self.data_dir.clone(), task: container.task.id.to_string() });
        self.on_files(move |folders| folders.prepare(place, &spec)).await
    }

    /// Ends a container; returns when nothing of it runs.
    async fn end(&self, place: Place, grace_ms: u64) -> RuntimeResult<()> {
        let give_up = self.env.now() + Duration::from_millis(grace_ms).saturating_add(END_MAX);
        let mut was_told = false;
        loop {
            match self.look(place).await?.ok_or_else(gone)?.phase {
                Phase::Running if !was_told => {
                    was_told = self.on_files(move |folders| folders.tell_to_stop(place, grace_ms)).await?;
                }
                Phase::Running => {}
                // A start that nobody waits for any more may be under way.
                Phase::Created if self.on_files(move |folders| folders.is_held(place)).await? => {}
                _ => return Ok(()),
            }
            if self.env.now() >= give_up {
                let message = format!("the process did not end within {grace_ms} ms and {} s", END_MAX.as_secs());
                return Err(RuntimeError::new(Fault::Timeout, message));
            }
            self.env.sleep(LOOK_AGAIN).await;
        }
    }

    async fn take_away(&self, place: Place) -> RuntimeResult<()> {
        match self.end(place, 0).await {
            Ok(()) => {}
            Err(error) if error.fault == Fault::Gone => {}
            Err(error) => return Err(error),
        }
        self.watched().remove(&place);
        self.on_files(move |folders| folders.remove(place)).await
    }
}

impl Runtime for ProcessRuntime {
    fn describe(&self) -> Call<'_, Description> {
        Box::pin(async {
            self.on_files(Folders::open).await?;
            let capabilities = vec![LOG_DRIVER_CAPABILITY.to_owned(), GUARD_ATTRIBUTE.to_owned()];
            Ok(Description { kind: IMAGE, version: env!("CARGO_PKG_VERSION").to_owned(), capabilities })
        })
    }

    fn held<'a>(&'a self, instance: &'a str) -> Call<'a, Vec<Held>> {
        Box::pin(async move {
            let instance = instance.to_owned();
            let held = self.on_files(move |folders| folders.held(&instance)).await?;
            self.watched().extend(held.iter().map(|(place, held)| (*place, Watchee::of(held.owner.clone()))));
            Ok(held.into_iter().map(|(_, held)| held).collect())
        })
    }

    fn unsupported(&self, task: &TaskSpec) -> Option<String> {
        check::unsupported(task, &self.inert)
    }

    fn pull<'a>(&'a self, image: &'a str, _policy: ImagePull) -> Call<'a, Option<String>> {
        Box::pin(async move {
            if image == IMAGE {
                return Ok(None);
            }
            let message = format!(
                "image {image}: this instance runs programs of its host, not images. Register the task definition with \
                 image \"{IMAGE}\" and a program as its command, or run the agent with --runtime docker"
            );
            Err(RuntimeError::new(Fault::Pull, message))
        })
    }

    fn create<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, String> {
        Box::pin(self.make(container))
    }

    fn start<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(self.begin_in_time(container))
    }

    fn restart<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Vec<PortBinding>> {
        Box::pin(async move {
            let place = Place::of(container);
            let is_over = self.look(place).await?.is_some_and(|observed| observed.phase == Phase::Exited);
            if is_over {
                self.on_files(move |folders| folders.forget_end(place)).await?;
                // It can change once more.
                self.watched().entry(place).and_modify(|watchee| watchee.restarts += 1);
            }
            self.begin_in_time(container).await
        })
    }

    fn stop<'a>(&'a self, container: &'a ContainerSpec, grace_ms: u64) -> Call<'a, ()> {
        Box::pin(self.end(Place::of(container), grace_ms))
    }

    fn inspect<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, Option<Observed>> {
        Box::pin(self.look(Place::of(container)))
    }

    fn remove<'a>(&'a self, container: &'a ContainerSpec) -> Call<'a, ()> {
        Box::pin(self.take_away(Place::of(container)))
    }

    fn remove_task<'a>(&'a self, task: &'a TaskSpec) -> Call<'a, ()> {
        Box::pin(async move {
            for index in 0..task.containers.len() {
                self.take_away(Place { task: task.id, index }).await?;
            }
            let task = task.id;
            self.on_files(move |folders| folders.remove_task(task)).await
        })
    }

    fn events<'a>(&'a self, owner: &'a Owner) -> Call<'a, mpsc::Receiver<Event>> {
        Box::pin(async move {
            let (events, receiver) = mpsc::channel(EVENTS_WAITING);
            let watch = watch::Watch::new(self.env.clone(), self.folders.clone(), self.watched.clone(), owner.clone());
            self.env.spawn(TaskKind::request("process events"), watch.run(events));
            Ok(receiver)
        })
    }

    fn guard(&self) -> MaybeGuard {
        Some(self.guard.clone())
    }

    fn target(&self, container: &ContainerSpec, _id: &str) -> Option<Target> {
        Some(Target::Folder(self.folders.task_path(container.task.id)))
    }

    fn logs<'a>(&'a self, container: &'a ContainerSpec, query: LogQuery) -> Call<'a, LogLines> {
        Box::pin(async move {
            let place = Place::of(container);
            self.look(place).await?.ok_or_else(gone)?;
            let (lines, receiver) = mpsc::channel(LOG_RECORDS_WAITING);
            let name = container.name().to_owned();
            let reader = logs::Reader::new(self.env.clone(), self.folders.clone(), place, name, query);
            self.env.spawn(TaskKind::request("process log"), reader.run(lines));
            Ok(receiver)
        })
    }
}

fn reserved(config: &AgentConfig) -> BTreeSet<Port> {
    let tcp = config.reserved_ports.iter().map(|port| (*port, false));
    tcp.chain(config.reserved_ports_udp.iter().map(|port| (*port, true))).collect()
}

fn gone() -> RuntimeError {
    RuntimeError::new(Fault::Gone, "there is no such process container")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Plain values: a panic while it was held leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
