//! The size of a task limits its containers together.

use std::{fs, path::PathBuf};

use seawall_agent::runtime::Runtime;
use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{Assignment, StopCode},
    v1::ContainerDefinition,
};

use crate::ground::Ground;

const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
const TASK_SIZE: &str = "ecs.capability.task-cpu-mem-limit";
/// Holds 36 MiB, which are 9,216 pages. The last command is none that the shell would become.
const FILL: &str = "c=$(head -c 1048576 /dev/zero | tr '\\0' a); i=0; \
                    while read -r _ rss _ < /proc/self/statm; test $rss -lt 9216; do i=$((i+1)); eval \"v$i=\\$c\"; done; \
                    echo full; sleep 1000; true";

/// `None` after a line that says so where the engine's driver is not cgroupfs or the groups are another user's.
async fn ground(change: impl FnOnce(&mut seawall_agent::AgentConfig)) -> Option<Ground> {
    let ground = Ground::with(change).await?;
    let described = ground.runtime.describe().await.unwrap();
    if described.capabilities.iter().any(|name| name == TASK_SIZE) {
        return Some(ground);
    }
    println!("SKIP: tasks cannot have control groups on this engine");
    None
}

fn sized(ground: &Ground, containers: Vec<ContainerDefinition>, cpu: &str, memory: &str) -> Assignment {
    let mut assignment = ground.assignment(containers);
    let definition = assignment.definition.as_mut().unwrap();
    (definition.cpu, definition.memory) = (Some(cpu.into()), Some(memory.into()));
    assignment
}

/// What a file of the task's group says in each tree that has it, by its name in v1 or in v2.
fn said(ground: &Ground, of_v1: &str, of_v2: &str) -> Vec<String> {
    let groups = ground.cgroups();
    let files = groups.iter().flat_map(|group| [group.join(of_v1), group.join(of_v2)]);
    files.filter_map(|file| fs::read_to_string(file).ok()).map(|text| text.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_hold_too_much_together_are_killed_for_memory() {
    let Some(ground) = ground(|_| ()).await else { return };
    let filled = |name: &str| ContainerDefinition { memory: Some(48), ..ground.shell(name, FILL) };
    let is_full = async |task: TaskId, name: &str| (ground.log(task, name).await == ["full"]).then_some(());
    let one = ground.assign(sized(&ground, vec![filled("app")], "1024", "64"));
    ground.running(one).await;
    ground.eventually("one of them fits", async || is_full(one, "app").await).await;

    let both = ground.assign(sized(&ground, vec![filled("app"), filled("side")], "1024", "64"));
    let ended = ground.stopped(both).await;
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited);
    assert_eq!(ended.stopped_reason, format!("Essential container in task exited: {OUT_OF_MEMORY}"));
    let mut reasons: Vec<&str> = ended.containers.iter().map(|container| container.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["", OUT_OF_MEMORY], "the other was stopped with the task: {ended:#?}");
    ground.running(one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_gets_no_more_cpu_time_than_its_size() {
    let Some(ground) = ground(|_| ()).await else { return };
    let busy = ground.shell("app", "while true; do :; done");
    let task = ground.assign(sized(&ground, vec![busy, ground.sleeper("side")], "128", "64"));
    ground.running(task).await;
    let quota = said(&ground, "cpu.cfs_quota_us", "cpu.max");
    assert!(["12500", "12500 100000"].contains(&quota[0].as_str()), "{quota:?}");
    assert_eq!(said(&ground, "memory.limit_in_bytes", "memory.max"), [(64 << 20).to_string()]);
    let is_throttled = |stat: &String| {
        let times = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        times.is_some_and(|times| times != "0")
    };
    let throttled = async || said(&ground, "cpu.stat", "").iter().any(is_throttled).then_some(());
    ground.eventually("the task has used up its part of a period", throttled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_container_is_in_the_group_which_goes_with_them() {
    let Some(ground) = ground(|config| config.stopped_tasks_kept = 0).await else { return };
    let mut assignment = sized(&ground, vec![ground.sleeper("app")], "256", "64");
    assignment.definition.as_mut().unwrap().network_mode = Some("awsvpc".into());
    let task = ground.assign(assignment);
    ground.running(task).await;
    let group = format!("/seawall/{task}-c1-{}", ground.owner.instance);
    for name in ["app", "internal.ecs.pause"] {
        let found = ground.docker.inspect_container(&ground.name(task, name), None).await.unwrap();
        assert_eq!(found.host_config.unwrap().cgroup_parent.as_deref(), Some(group.as_str()));
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", found.state.unwrap().pid.unwrap())).unwrap();
        let own = format!("{group}/{}", found.id.unwrap());
        assert!(groups.lines().any(|line| line.ends_with(&own)), "{groups}");
    }
    ground.end(task);
    ground.stopped(task).await;
    ground.eventually("no group of the task is left", async || ground.cgroups().is_empty().then_some(())).await;
    assert!(ground.containers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sweeps_what_is_its_own_and_unused() {
    let Some(mut ground) = ground(|_| ()).await else { return };
    let task = ground.run(vec![ground.sleeper("app")]);
    ground.running(task).await;
    ground.lose_files();
    let of_task = ground.cgroups();
    let parents: Vec<PathBuf> = of_task.iter().map(|group| group.parent().unwrap().to_owned()).collect();
    let instance = &ground.owner.instance;
    let own = format!("{}-c1-{instance}", ground.env.new_id());
    let strangers = format!("{}-c2-{instance}", ground.env.new_id());
    for parent in &parents {
        [&own, &strangers].iter().for_each(|name| fs::create_dir(parent.join(name)).unwrap());
    }
    ground.start().await;
    for parent in &parents {
        assert!(!parent.join(&own).exists(), "no container of its task is there");
        assert!(parent.join(&strangers).exists(), "it is of another cluster");
    }
    assert!(of_task.iter().all(|group| group.exists()));
    ground.running(task).await;
}
