//! A control group around the containers of each task, which limits what they use together to the task's size.
//!
//! The agent makes the group and its limits, the engine makes the groups of the containers in it. That needs the machine's
//! control groups, writable, and an engine that has its containers directly there (its driver `cgroupfs`). With the driver
//! `systemd` a group is a unit of systemd's, which sets its limits back to the unit's own when it reloads.

mod layout;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use bollard::models::SystemInfoCgroupDriverEnum as Driver;
use seawall_env::{Env, fs::Fs};
use seawall_model::TaskId;

use crate::{
    runtime::{Fault, RuntimeError, RuntimeResult},
    spec::{Owner, TaskSpec},
};
use layout::{Group, Limit, ROOT, Version};

/// Gives the groups in a group of v2 their controllers…
const SUBTREE_OF_V2: &str = "cgroup.subtree_control";
/// …these.
const ENABLED: &[u8] = b"+cpu +memory";
/// In every group of v2 but the machine's root.
const BELOW_ROOT_OF_V2: &str = "cgroup.type";
/// In the root of a tree of v1 alone.
const IN_ROOT_OF_V1: &str = "release_agent";
/// Has the limits of a group cover the groups in it. Newer kernels always do.
const HIERARCHY_OF_V1: &str = "memory.use_hierarchy";

/// The control groups of the machine.
pub struct Cgroups {
    env: Env,
    version: Version,
}

impl Cgroups {
    /// Those of the machine that runs the containers of an engine with this driver.
    ///
    /// # Errors
    /// Why tasks cannot have groups, and what to do.
    pub async fn find(env: Env, driver: Option<Driver>) -> Result<Self, String> {
        if driver != Some(Driver::CGROUPFS) {
            let driver = driver.map(|driver| driver.to_string()).unwrap_or_default();
            return Err(format!(
                "the engine's cgroup driver is {driver:?}; groups need cgroupfs (native.cgroupdriver)"
            ));
        }
        let version = on_files(&env, open).await?;
        Ok(Cgroups { env, version })
    }

    /// How the engine names the group of a task.
    pub fn path(&self, task: &TaskSpec) -> String {
        Group::of(task).path()
    }

    /// Makes the group of a task be there with its limits: before each start, since a machine that was booted again has no
    /// groups, and the engine would make one without limits.
    pub async fn provide(&self, task: &TaskSpec) -> RuntimeResult<()> {
        let (folders, limits) = (self.version.folders(task), self.version.limits(task));
        let provided = on_files(&self.env, move |fs| {
            folders.iter().try_for_each(|folder| make(fs, folder))?;
            limits.iter().try_for_each(|limit| set(fs, limit))
        });
        let failed = |why: String| RuntimeError::new(Fault::Start, format!("the task's size cannot be set: {why}"));
        provided.await.map_err(failed)
    }

    /// Removes the group of a task that has no containers any more.
    pub async fn remove(&self, task: &TaskSpec) -> RuntimeResult<()> {
        let unused = Group::of(task);
        remove(&self.env, move |group| *group == unused).await.map_err(|why| RuntimeError::new(Fault::Engine, why))
    }

    /// Removes the groups of the owner's tasks but those of `kept`.
    pub async fn sweep(&self, owner: &Owner, kept: &BTreeSet<TaskId>) -> RuntimeResult<()> {
        let (owner, kept) = (owner.clone(), kept.clone());
        let is_unused = move |group: &Group| group.owner == owner && !kept.contains(&group.task);
        remove(&self.env, is_unused).await.map_err(|why| RuntimeError::new(Fault::Engine, why))
    }
}

/// Removes the groups of all tasks of a cluster (`cluster_id` as hex digits) on this machine, whose containers are gone.
///
/// # Errors
/// The group that cannot be removed, and why: containers are in it, or it is another user's.
pub async fn remove_of_cluster(env: &Env, cluster_id: &str) -> Result<(), String> {
    let cluster_id = cluster_id.to_owned();
    remove(env, move |group| group.owner.cluster_id == cluster_id).await
}

async fn on_files<T: Send + 'static>(
    env: &Env,
    work: impl FnOnce(&dyn Fs) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let fs = env.fs();
    env.thread("cgroups", move || work(&*fs)).await
}

/// Makes the group above those of the tasks be there.
fn open(fs: &dyn Fs) -> Result<Version, String> {
    let version = version(fs)?;
    match version {
        Version::V1 => open_v1(fs)?,
        Version::V2 => open_v2(fs)?,
    }
    for file in version.needed() {
        if !exists(fs, &file)? {
            return Err(format!("the kernel has no {}", file.display()));
        }
    }
    Ok(version)
}

fn open_v1(fs: &dyn Fs) -> Result<(), String> {
    for tree in Version::V1.trees() {
        if !exists(fs, &tree.join(IN_ROOT_OF_V1))? {
            return Err(unseen(&tree));
        }
        let parent = layout::parent(&tree);
        make(fs, &parent)?;
        if exists(fs, &parent.join(HIERARCHY_OF_V1))? {
            write(fs, &parent.join(HIERARCHY_OF_V1), b"1")?;
        }
    }
    Ok(())
}

fn open_v2(fs: &dyn Fs) -> Result<(), String> {
    let root = Path::new(ROOT);
    if exists(fs, &root.join(BELOW_ROOT_OF_V2))? {
        return Err(unseen(root));
    }
    let parent = layout::parent(root);
    write(fs, &root.join(SUBTREE_OF_V2), ENABLED)?;
    make(fs, &parent)?;
    write(fs, &parent.join(SUBTREE_OF_V2), ENABLED)
}

fn version(fs: &dyn Fs) -> Result<Version, String> {
    let is_v2 = exists(fs, &Path::new(ROOT).join(SUBTREE_OF_V2))?;
    Ok(if is_v2 { Version::V2 } else { Version::V1 })
}

fn unseen(tree: &Path) -> String {
    let tree = tree.display();
    format!("{tree} is not the root of the machine's control groups; in a container, mount the host's {ROOT} there")
}

/// Of v1 also in the trees that only the engine uses: what it makes there it leaves.
async fn remove(env: &Env, is_unused: impl Fn(&Group) -> bool + Send + 'static) -> Result<(), String> {
    let remove = move |fs: &dyn Fs| {
        let mut failed = Ok(());
        for parent in parents(fs)? {
            let names = list(fs, &parent)?;
            for name in names.iter().filter(|name| Group::parse(name).is_some_and(|group| is_unused(&group))) {
                let folder = parent.join(name);
                // One that cannot be removed is no reason to leave the others.
                failed = failed.and(fs.remove_dir(&folder).map_err(|error| at(&folder, &error)));
            }
        }
        failed
    };
    on_files(env, remove).await
}

fn parents(fs: &dyn Fs) -> Result<Vec<PathBuf>, String> {
    let root = Path::new(ROOT);
    let trees = match version(fs)? {
        Version::V1 => list(fs, root)?.iter().map(|name| root.join(name)).collect(),
        Version::V2 => vec![root.to_owned()],
    };
    Ok(trees.iter().map(|tree| layout::parent(tree)).collect())
}

fn set(fs: &dyn Fs, limit: &Limit) -> Result<(), String> {
    if limit.is_optional && !exists(fs, &limit.file)? {
        return Ok(());
    }
    write(fs, &limit.file, limit.value.as_bytes()).map_err(|why| format!("{} in {why}", limit.value))
}

fn exists(fs: &dyn Fs, file: &Path) -> Result<bool, String> {
    fs.mode(file).map(|mode| mode.is_some()).map_err(|error| at(file, &error))
}

fn list(fs: &dyn Fs, folder: &Path) -> Result<Vec<String>, String> {
    fs.list(folder).map_err(|error| at(folder, &error))
}

fn make(fs: &dyn Fs, folder: &Path) -> Result<(), String> {
    fs.create_dir_all(folder).map_err(|error| at(folder, &error))
}

fn write(fs: &dyn Fs, file: &Path, value: &[u8]) -> Result<(), String> {
    fs.write_in_place(file, value).map_err(|error| at(file, &error))
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use seawall_env::sim::Sim;

    use super::*;

    const OF_V1: [&str; 5] = [
        "cpu/release_agent",
        "cpu/seawall/cpu.cfs_quota_us",
        "memory/release_agent",
        "memory/seawall/memory.limit_in_bytes",
        "memory/seawall/memory.use_hierarchy",
    ];
    const OF_V2: [&str; 4] =
        ["cgroup.subtree_control", "seawall/cgroup.subtree_control", "seawall/cpu.max", "seawall/memory.max"];

    /// The files of a machine that has these below the root of its groups.
    fn machine(files: &[&str]) -> std::sync::Arc<dyn Fs> {
        let fs = Sim::new(1).node("i").fs();
        files.iter().for_each(|file| fs.write_atomic(&Path::new(ROOT).join(file), b"", 0o644).unwrap());
        fs
    }

    fn text(fs: &dyn Fs, file: &str) -> String {
        String::from_utf8(fs.read(&Path::new(ROOT).join(file)).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn v1_has_a_group_in_each_tree() {
        let fs = machine(&OF_V1);
        assert_eq!(open(&*fs), Ok(Version::V1));
        assert_eq!(text(&*fs, "memory/seawall/memory.use_hierarchy"), "1");
        assert_eq!(open(&*machine(&OF_V1[..4])), Ok(Version::V1));
    }

    #[test]
    fn v2_gives_the_controllers_down() {
        let fs = machine(&OF_V2);
        assert_eq!(open(&*fs), Ok(Version::V2));
        assert_eq!(text(&*fs, "cgroup.subtree_control"), "+cpu +memory");
        assert_eq!(text(&*fs, "seawall/cgroup.subtree_control"), "+cpu +memory");
        let why = open(&*machine(&OF_V2[..3])).unwrap_err();
        assert_eq!(why, "the kernel has no /sys/fs/cgroup/seawall/memory.max");
    }

    #[test]
    fn a_container_is_told_what_it_does_not_see() {
        let why = open(&*machine(&[])).unwrap_err();
        assert!(why.starts_with("/sys/fs/cgroup/cpu is not the root of the machine's"), "{why}");
        let why = open(&*machine(&[&OF_V2[..], &["cgroup.type"]].concat())).unwrap_err();
        assert!(why.starts_with("/sys/fs/cgroup is not the root of the machine's"), "{why}");
        assert!(why.ends_with("mount the host's /sys/fs/cgroup there"), "{why}");
    }

    #[test]
    fn the_driver_of_systemd_is_refused_by_name() {
        let sim = Sim::new(1);
        let env = sim.node("i");
        let find = Cgroups::find(env.clone(), Some(Driver::SYSTEMD));
        let found = sim.run(&env, Duration::from_secs(1), async { find.await.map(|_| ()) }).unwrap();
        assert_eq!(
            found.unwrap_err(),
            "the engine's cgroup driver is \"systemd\"; groups need cgroupfs (native.cgroupdriver)"
        );
    }
}
