//! Health checks.

use seawall_agent::runtime::{EventKind, LogQuery, Runtime};
use seawall_proto::{internal::v1::Health, v1::HealthCheck};

use crate::machine::{Machine, lines, owner, shell, started, text};

fn check(command: &str, timeout: i32) -> Option<HealthCheck> {
    Some(HealthCheck {
        command: vec!["CMD-SHELL".into(), command.into()],
        interval: Some(1),
        timeout: Some(timeout),
        retries: Some(2),
        start_period: None,
    })
}

pub async fn a_check_tells_healthy_and_unhealthy(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    let mut definition = shell("touch healthy; sleep 1000");
    definition.health_check = check("test -e healthy", 5);
    let container = started(&runtime, definition).await;
    assert_eq!(runtime.inspect(&container).await.unwrap().unwrap().health, Health::Unknown);
    machine.event(&mut events, EventKind::Health(Health::Healthy)).await;
    assert_eq!(runtime.inspect(&container).await.unwrap().unwrap().health, Health::Healthy);
    let mark = machine.container_folder(&container).join("work/healthy");
    std::fs::remove_file(&mark).unwrap();
    machine.event(&mut events, EventKind::Health(Health::Unhealthy)).await;
    std::fs::write(&mark, "").unwrap();
    machine.event(&mut events, EventKind::Health(Health::Healthy)).await;
}

pub async fn a_check_that_hangs_is_killed(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    let mut definition = shell("exec sleep 1000");
    definition.health_check = check("sleep 2000 & sleep 2000", 1);
    let container = started(&runtime, definition).await;
    machine.event(&mut events, EventKind::Health(Health::Unhealthy)).await;
    // The shim, the program, and at most one check of three processes and the step before it.
    let few = async || (machine.processes().len() <= 6).then_some(());
    machine.until("the checks before are gone", few).await;
    runtime.stop(&container, 0).await.unwrap();
    machine.until_nothing_runs().await;
}

pub async fn a_check_that_cannot_run_is_told_in_the_log(machine: &Machine) {
    let runtime = machine.runtime();
    let mut events = runtime.events(&owner()).await.unwrap();
    let mut definition = shell("exec sleep 1000");
    let command = vec!["CMD".into(), "no-such-check".into()];
    definition.health_check = check("", 1).map(|check| HealthCheck { command, ..check });
    let container = started(&runtime, definition).await;
    machine.event(&mut events, EventKind::Health(Health::Unhealthy)).await;
    let told = lines(&runtime, &container, LogQuery::default()).await;
    let wanted = "health check: exec \"no-such-check\": No such file or directory (os error 2)";
    // Once, though it failed twice.
    assert_eq!(told.iter().map(text).collect::<Vec<_>>(), [wanted]);
}
