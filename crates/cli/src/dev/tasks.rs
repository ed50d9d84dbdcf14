//! What dev's agents run. They leave their tasks alone when they end, as an agent must; a trial that is over, or a zone
//! without power, must not.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rustix::process::Signal;
use seawall_agent::runtime::docker::remove_cgroups_of_cluster;
use seawall_env::Env;
use serde::Deserialize;

use super::{
    docker::Engine,
    layout::{Role, Spec, ZONE_LETTERS},
    proc,
};
use crate::{args::RuntimeKind, failure::Failure};

/// Tasks have this long to end by themselves when dev does.
const GRACE_S: u8 = 2;
/// Looks for containers that a request in flight started after the last look.
const LOOKS_MAX: usize = 20;
/// Between two of them.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The process that holds a task of the process runtime.
const SHIM: &str = "shim";

/// What runs the tasks.
#[derive(Clone)]
pub enum Tasks {
    /// Containers of an engine.
    Containers(Engine),
    /// Trees of processes.
    Processes,
    /// Nothing.
    Fake,
}

impl Tasks {
    /// Its name, with the version where it has one of its own.
    pub fn shown(&self) -> String {
        match self {
            Tasks::Containers(engine) => format!("docker {}", engine.version()),
            Tasks::Processes => "process".into(),
            Tasks::Fake => "fake".into(),
        }
    }

    /// The runtime of the agents.
    pub fn kind(&self) -> RuntimeKind {
        match self {
            Tasks::Containers(_) => RuntimeKind::Docker,
            Tasks::Processes => RuntimeKind::Process,
            Tasks::Fake => RuntimeKind::Fake,
        }
    }

    /// Kills what runs for the agents among `specs`, whose agents are dead already; how many containers there were.
    pub async fn kill(&self, env: &Env, folder: &Path, specs: &[&Spec]) -> Result<usize, Failure> {
        let agents: Vec<&&Spec> = specs.iter().filter(|spec| spec.role == Role::Agent).collect();
        match self {
            Tasks::Fake => Ok(0),
            Tasks::Processes => {
                let mut killed = 0;
                for agent in agents {
                    killed += proc::kill_all_of(env, &agent.folder, SHIM);
                    // Killed is not gone yet: what is told to have lost power must not answer any more.
                    if !proc::wait_gone(env, &agent.folder, SHIM, Duration::ZERO).await {
                        return Err(Failure::refused(format!(
                            "tasks of {} do not end although they were killed",
                            agent.name
                        )));
                    }
                }
                Ok(killed)
            }
            Tasks::Containers(engine) => {
                let Some(cluster) = cluster_id(env, folder)? else { return Ok(0) };
                let mut killed = 0;
                for agent in agents {
                    killed += kill_containers(env, engine, &cluster, &agent.name).await?;
                }
                Ok(killed)
            }
        }
    }

    /// Ends everything that runs for any agent of the folder, in order, and removes what it has on the engine.
    pub async fn end(&self, env: &Env, folder: &Path) -> Result<(), Failure> {
        match self {
            Tasks::Fake => Ok(()),
            Tasks::Processes => {
                let agents = folder.join("agents");
                proc::named(env, &agents, SHIM).into_iter().for_each(|shim| proc::send(shim, Signal::TERM));
                if proc::wait_gone(env, &agents, SHIM, Duration::from_secs(GRACE_S.into())).await {
                    return Ok(());
                }
                let left = proc::named(env, &agents, SHIM);
                Err(Failure::refused(format!("tasks do not end (pid of their shims: {left:?})")))
            }
            Tasks::Containers(engine) => {
                let Some(cluster) = cluster_id(env, folder)? else { return Ok(()) };
                engine.stop(&engine.containers(&cluster, None, false).await?, GRACE_S.into()).await?;
                remove(env, engine, &cluster).await
            }
        }
    }

    /// Kills and removes everything that runs for any agent of the folder.
    pub async fn kill_all(&self, env: &Env, folder: &Path) -> Result<(), Failure> {
        match self {
            Tasks::Fake => Ok(()),
            Tasks::Processes => {
                proc::kill_all_of(env, &folder.join("agents"), SHIM);
                Ok(())
            }
            Tasks::Containers(engine) => {
                let Some(cluster) = cluster_id(env, folder)? else { return Ok(()) };
                remove(env, engine, &cluster).await
            }
        }
    }

    /// How many containers run for the agents of the folder; `None` where nothing tells.
    pub async fn count(&self, env: &Env, folder: &Path) -> Result<Option<usize>, Failure> {
        match self {
            Tasks::Fake => Ok(None),
            Tasks::Processes => Ok(Some(proc::named(env, &folder.join("agents"), SHIM).len())),
            Tasks::Containers(engine) => match cluster_id(env, folder)? {
                Some(cluster) => Ok(Some(engine.containers(&cluster, None, false).await?.len())),
                None => Ok(Some(0)),
            },
        }
    }
}

/// Removes all that the tasks of a cluster have: containers, volumes, control groups.
async fn remove(env: &Env, engine: &Engine, cluster: &str) -> Result<(), Failure> {
    engine.remove(&engine.containers(cluster, None, true).await?).await?;
    engine.remove_volumes(cluster).await?;
    remove_cgroups_of_cluster(env, cluster)
        .await
        .map_err(|why| Failure::refused(format!("control groups of tasks are left: {why}")))
}

/// Until two looks in a row find nothing: a start that the agent asked for before it died may come after the first.
async fn kill_containers(env: &Env, engine: &Engine, cluster: &str, instance: &str) -> Result<usize, Failure> {
    let mut killed = BTreeSet::new();
    let mut was_quiet = false;
    for _ in 0..LOOKS_MAX {
        let found = engine.containers(cluster, Some(instance), false).await?;
        if found.is_empty() && was_quiet {
            return Ok(killed.len());
        }
        was_quiet = found.is_empty();
        engine.kill(&found).await?;
        killed.extend(found);
        env.sleep(LOOK_EVERY).await;
    }
    Err(Failure::refused(format!("containers of {instance} run on although they were killed {LOOKS_MAX} times")))
}

/// The cluster of a folder, as its members have it; `None` before they have one.
fn cluster_id(env: &Env, folder: &Path) -> Result<Option<String>, Failure> {
    #[derive(Deserialize)]
    struct Identity {
        cluster_id: String,
    }
    for letter in ZONE_LETTERS {
        let path = folder.join("members").join(letter.to_string()).join("identity.json");
        let refuse = |why: String| Failure::refused(format!("{}: {why}", path.display()));
        if let Some(bytes) = env.fs().read(&path).map_err(|e| refuse(e.to_string()))? {
            let identity: Identity = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
            return Ok(Some(identity.cluster_id));
        }
    }
    Ok(None)
}
