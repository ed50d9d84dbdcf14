//! Where a machine has its control groups, and what limits that of a task. Pure.

use std::path::{Path, PathBuf};

use seawall_model::TaskId;
use seawall_proto::v1::ContainerDefinition;

use crate::spec::{Owner, TaskSpec};

/// Where the kernel's groups are mounted, and where the engine looks for them.
pub const ROOT: &str = "/sys/fs/cgroup";
/// The group above those of all tasks of the machine.
const PARENT: &str = "seawall";
/// What a vCPU is in the units of a definition.
const UNITS_A_CORE: u64 = 1024;
/// ECS's period, of which the task has its part.
const PERIOD_US: u64 = 100_000;
/// What the kernel takes for shares.
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;
/// What it takes for a weight, at most; 1 at least.
const WEIGHT_MAX: u64 = 10_000;
const BYTES_PER_MIB: u64 = 1 << 20;

/// How a machine has its groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// A tree for each controller.
    V1,
    /// One tree.
    V2,
}

/// The group of a task. Agents of one machine share its groups as they share its engine, so it has its owner in its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Of which task.
    pub task: TaskId,
    /// Whose that is.
    pub owner: Owner,
}

/// A file of a group and what is written into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Where.
    pub file: PathBuf,
    /// As the kernel takes it.
    pub value: String,
    /// Kernels are booted with or without it.
    pub is_optional: bool,
}

impl Version {
    /// The trees that have the controllers of CPU and of memory.
    pub fn trees(self) -> [PathBuf; 2] {
        let root = Path::new(ROOT);
        match self {
            Version::V1 => [root.join("cpu"), root.join("memory")],
            Version::V2 => [root.to_owned(), root.to_owned()],
        }
    }

    /// Files that the group above those of the tasks has where the kernel can limit one.
    pub fn needed(self) -> [PathBuf; 2] {
        let [cpu, memory] = self.trees().map(|tree| parent(&tree));
        match self {
            Version::V1 => [cpu.join("cpu.cfs_quota_us"), memory.join("memory.limit_in_bytes")],
            Version::V2 => [cpu.join("cpu.max"), memory.join("memory.max")],
        }
    }

    /// The folders of a task's group that limit CPU and memory.
    pub fn folders(self, task: &TaskSpec) -> [PathBuf; 2] {
        let name = Group::of(task).name();
        self.trees().map(|tree| parent(&tree).join(&name))
    }

    /// What limits a task, in the order in which the kernel takes it.
    pub fn limits(self, task: &TaskSpec) -> Vec<Limit> {
        let [cpu, memory] = self.folders(task);
        let limits = match self {
            Version::V1 => [cpu_v1(&cpu, task), memory_v1(&memory, task)],
            Version::V2 => [cpu_v2(&cpu, task), memory_v2(&memory, task)],
        };
        limits.concat()
    }
}

impl Limit {
    fn new(folder: &Path, file: &str, value: impl ToString) -> Self {
        Limit { file: folder.join(file), value: value.to_string(), is_optional: false }
    }
}

fn cpu_v1(folder: &Path, task: &TaskSpec) -> Vec<Limit> {
    let mut limits = vec![Limit::new(folder, "cpu.shares", shares(task))];
    if let Some(quota_us) = quota_us(task) {
        limits.push(Limit::new(folder, "cpu.cfs_period_us", PERIOD_US));
        limits.push(Limit::new(folder, "cpu.cfs_quota_us", quota_us));
    }
    limits
}

fn cpu_v2(folder: &Path, task: &TaskSpec) -> Vec<Limit> {
    let mut limits = vec![Limit::new(folder, "cpu.weight", weight(shares(task)))];
    limits.extend(quota_us(task).map(|quota_us| Limit::new(folder, "cpu.max", format!("{quota_us} {PERIOD_US}"))));
    limits
}

fn memory_v1(folder: &Path, task: &TaskSpec) -> Vec<Limit> {
    let Some(bytes) = memory_bytes(task) else { return Vec::new() };
    let with_swap = Limit::new(folder, "memory.memsw.limit_in_bytes", bytes + swap_bytes(task));
    // That of memory first: above the other it would be refused.
    vec![Limit::new(folder, "memory.limit_in_bytes", bytes), Limit { is_optional: true, ..with_swap }]
}

/// The swap of each container has a limit of its own here, so that of the task needs none.
fn memory_v2(folder: &Path, task: &TaskSpec) -> Vec<Limit> {
    memory_bytes(task).map(|bytes| Limit::new(folder, "memory.max", bytes)).into_iter().collect()
}

/// The group above those of the tasks in a tree.
pub fn parent(tree: &Path) -> PathBuf {
    tree.join(PARENT)
}

impl Group {
    /// That of a task.
    pub fn of(task: &TaskSpec) -> Self {
        Group { task: task.id, owner: task.owner.clone() }
    }

    /// How the engine names it.
    pub fn path(&self) -> String {
        format!("/{PARENT}/{}", self.name())
    }

    /// The name of its folders.
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.task, self.owner.cluster_id, self.owner.instance)
    }

    /// The group of a folder; `None` where it is none of a task.
    pub fn parse(name: &str) -> Option<Self> {
        // Of the three only an instance's id may have hyphens in it.
        let (task, owner) = name.split_once('-')?;
        let (cluster_id, instance) = owner.split_once('-')?;
        let owner = Owner { cluster_id: cluster_id.into(), instance: instance.into() };
        Some(Group { task: task.parse().ok()?, owner })
    }
}

/// What a task gets of the machine when all want more: its size, else what its containers ask for.
fn shares(task: &TaskSpec) -> u64 {
    let of_container = |container: &ContainerDefinition| u64::try_from(container.cpu()).unwrap_or(0).max(SHARES_MIN);
    let shares = match task.cpu_units {
        0 => task.defined().iter().map(of_container).sum(),
        units => u64::from(units),
    };
    shares.clamp(SHARES_MIN, SHARES_MAX)
}

/// As the engine turns the shares of containers into weights.
fn weight(shares: u64) -> u64 {
    1 + (shares - SHARES_MIN) * (WEIGHT_MAX - 1) / (SHARES_MAX - SHARES_MIN)
}

/// CPU time that a task of a size may use in a period.
fn quota_us(task: &TaskSpec) -> Option<u64> {
    (task.cpu_units > 0).then(|| u64::from(task.cpu_units) * PERIOD_US / UNITS_A_CORE)
}

/// Memory that a task of a size may hold.
fn memory_bytes(task: &TaskSpec) -> Option<u64> {
    (task.memory_mib > 0).then(|| u64::from(task.memory_mib) * BYTES_PER_MIB)
}

/// What its containers may swap together.
fn swap_bytes(task: &TaskSpec) -> u64 {
    let max_swap = |container: &ContainerDefinition| container.linux_parameters.as_ref().and_then(|l| l.max_swap);
    let mib = task.defined().iter().filter_map(max_swap).filter_map(|mib| u64::try_from(mib).ok());
    mib.sum::<u64>() * BYTES_PER_MIB
}

#[cfg(test)]
mod tests {
    use seawall_proto::v1::LinuxParameters;

    use super::*;
    use crate::engine::testing;

    fn container(cpu: i32, max_swap: Option<i32>) -> ContainerDefinition {
        let linux_parameters = Some(LinuxParameters { max_swap, ..Default::default() });
        ContainerDefinition { cpu: Some(cpu), linux_parameters, ..testing::container("app") }
    }

    fn task(cpu_units: u32, memory_mib: u32) -> TaskSpec {
        let mut task = testing::task(vec![container(100, None), container(0, Some(32))]);
        (task.cpu_units, task.memory_mib) = (cpu_units, memory_mib);
        task.owner = Owner { cluster_id: "c0ffee".into(), instance: "i-1".into() };
        task
    }

    /// "folder below the root/file=value", without the task's name.
    fn written(version: Version, task: &TaskSpec) -> Vec<String> {
        let name = format!("{}/", &Group::of(task).path()[1..]);
        let short = |limit: Limit| {
            let file = limit.file.strip_prefix(ROOT).unwrap().to_str().unwrap().replace(&name, "");
            format!("{file}={}", limit.value)
        };
        version.limits(task).into_iter().map(short).collect()
    }

    #[test]
    fn a_size_is_a_part_of_a_period_and_a_limit_of_memory() {
        let of_v1 = [
            "cpu/cpu.shares=256",
            "cpu/cpu.cfs_period_us=100000",
            "cpu/cpu.cfs_quota_us=25000",
            "memory/memory.limit_in_bytes=67108864",
            "memory/memory.memsw.limit_in_bytes=100663296",
        ];
        assert_eq!(written(Version::V1, &task(256, 64)), of_v1);
        assert_eq!(
            written(Version::V2, &task(2048, 64)),
            ["cpu.weight=79", "cpu.max=200000 100000", "memory.max=67108864"]
        );
    }

    #[test]
    fn a_task_without_a_size_has_the_shares_of_its_containers() {
        assert_eq!(written(Version::V1, &task(0, 0)), ["cpu/cpu.shares=102"]);
        assert_eq!(written(Version::V2, &task(0, 0)), ["cpu.weight=4"]);
    }

    #[test]
    fn shares_and_weights_stay_within_what_the_kernel_takes() {
        assert_eq!(written(Version::V1, &testing::task(Vec::new())), ["cpu/cpu.shares=2"]);
        let huge = testing::task(vec![container(i32::MAX, None)]);
        assert_eq!(written(Version::V1, &huge), ["cpu/cpu.shares=262144"]);
        assert_eq!(written(Version::V2, &huge), ["cpu.weight=10000"]);
        assert_eq!(written(Version::V2, &testing::task(Vec::new())), ["cpu.weight=1"]);
    }

    #[test]
    fn a_group_is_found_again_by_its_name() {
        let group = Group::of(&task(0, 0));
        assert_eq!(group.path(), format!("/seawall/{}-c0ffee-i-1", group.task));
        assert_eq!(Group::parse(&group.name()), Some(group));
        for stranger in ["memory.limit_in_bytes", "x-c0ffee-i-1", "init.scope"] {
            assert_eq!(Group::parse(stranger), None, "{stranger}");
        }
    }
}
