//! Ends: asked for, forced, and by kill -9.

use std::time::Duration;

use rustix::process::Signal;
use seawall_agent::{
    runtime::{EventKind, LogQuery, Phase, Runtime, process::ProcessRuntime},
    spec::ContainerSpec,
};

use crate::machine::{Machine, UNTIL_TOLD, lines, owner, runs, shell, signal, started, text};

/// Waits until the program has said so many lines; the numbers it said.
async fn numbers(machine: &Machine, runtime: &ProcessRuntime, container: &ContainerSpec, count: usize) -> Vec<u32> {
    let said = async || {
        let lines = lines(runtime, container, LogQuery::default()).await;
        (lines.len() >= count).then(|| lines.iter().map(|line| text(line).parse().unwrap()).collect())
    };
    machine.until("the program has started all", said).await
}

fn number(status: &serde_json::Value, name: &str) -> u32 {
    status[name].as_u64().unwrap().try_into().unwrap()
}

pub async fn a_program_may_end_by_itself_after_sigterm(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell("trap 'exit 5' TERM; echo $$; while :; do sleep 0.05; done")).await;
    numbers(machine, &runtime, &container, 1).await;
    runtime.stop(&container, 60_000).await.unwrap();
    assert_eq!(runtime.inspect(&container).await.unwrap().unwrap().exit_code, Some(5));
    // One that ended needs no stop.
    runtime.stop(&container, 60_000).await.unwrap();
}

pub async fn a_program_that_ignores_sigterm_is_killed(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell("trap '' TERM; echo $$; while :; do sleep 0.05; done")).await;
    numbers(machine, &runtime, &container, 1).await;
    let begun = machine.env.now();
    runtime.stop(&container, 700).await.unwrap();
    assert!(machine.env.now() - begun >= Duration::from_millis(700));
    assert_eq!(runtime.inspect(&container).await.unwrap().unwrap().exit_code, Some(137));
    machine.until_nothing_runs().await;
}

pub async fn a_stop_goes_on_without_the_agent(machine: &Machine) {
    let runtime = machine.runtime();
    let script = "trap 'echo 1' TERM; echo $$; while :; do sleep 0.05; done";
    let container = started(&runtime, shell(script)).await;
    numbers(machine, &runtime, &container, 1).await;
    tokio::select! {
        biased;
        _ = numbers(machine, &runtime, &container, 2) => {}
        ended = runtime.stop(&container, 3000) => panic!("it ended at once: {ended:?}"),
    }
    // Nobody waits for the stop any more.
    drop(runtime);
    machine.until_nothing_runs().await;
    assert_eq!(machine.status(&container)["exit_code"], 137);
}

pub async fn what_the_main_process_leaves_is_killed(machine: &Machine) {
    let runtime = machine.runtime();
    // One in the group, one in a session of its own, one that was given up by its parent.
    let script = "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & \
                  (setsid sh -c 'echo $$; trap \"\" TERM; sleep 1000; :' &)";
    let container = started(&runtime, shell(&format!("{script}; {UNTIL_TOLD}"))).await;
    let left = numbers(machine, &runtime, &container, 3).await;
    assert!(left.iter().all(|pid| runs(*pid)));
    machine.tell(&container);
    let observed = machine.until_exited(&runtime, &container).await;
    assert_eq!(observed.exit_code, Some(0));
    // They were gone before the end was told.
    assert!(!left.iter().any(|pid| runs(*pid)));
    machine.until_nothing_runs().await;
}

pub async fn a_shim_that_is_told_to_end_stops_its_container(machine: &Machine) {
    let runtime = machine.runtime();
    let container = started(&runtime, shell("trap 'exit 6' TERM; echo $$; while :; do sleep 0.05; done")).await;
    numbers(machine, &runtime, &container, 1).await;
    signal(number(&machine.status(&container), "shim"), Signal::TERM);
    assert_eq!(machine.until_exited(&runtime, &container).await.exit_code, Some(6));
}

pub async fn a_killed_shim_takes_its_container_along(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    // Neither dies with its parent: one is known by its session, one by its environment.
    let script = "echo $$; env -i sh -c 'echo $$; sleep 1000; :' & setsid sh -c 'echo $$; sleep 1000; :' & sleep 1000";
    let container = started(&runtime, shell(script)).await;
    let all = numbers(machine, &runtime, &container, 3).await;
    assert!(all.iter().all(|pid| runs(*pid)));
    signal(number(&machine.status(&container), "shim"), Signal::KILL);
    machine.event(&mut events, EventKind::Exited(Some(137))).await;
    assert!(!all.iter().any(|pid| runs(*pid)));
    let observed = runtime.inspect(&container).await.unwrap().unwrap();
    assert_eq!((observed.phase, observed.exit_code), (Phase::Exited, Some(137)));
    machine.until_nothing_runs().await;
    // What it wrote before is still there.
    assert_eq!(lines(&runtime, &container, LogQuery::default()).await.len(), 3);
}

pub async fn a_container_without_its_folder_ends(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    let container = started(&runtime, shell("trap '' TERM; sleep 1000; :")).await;
    machine.event(&mut events, EventKind::Started).await;
    std::fs::remove_dir_all(machine.container_folder(&container)).unwrap();
    machine.event(&mut events, EventKind::Removed).await;
    machine.until_nothing_runs().await;
}
