//! What an inspect says, in the agent's words. Pure.

use std::net::IpAddr;

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status, HealthStatusEnum, NetworkSettings,
};
use seawall_proto::internal::v1::{Health, TaskInterface};

use super::ports;
use crate::{
    runtime::{Observed, Phase},
    spec::ContainerSpec,
};

/// The engine's network that every container is on unless it asks for another.
const BRIDGE: &str = "bridge";

/// A container as the engine describes it.
pub fn observed(container: &ContainerSpec, host_ip: Option<IpAddr>, found: &ContainerInspectResponse) -> Observed {
    let state = found.state.clone().unwrap_or_default();
    let phase = phase(&state);
    let ports = found.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    let runs = phase == Phase::Running;
    Observed {
        phase,
        runtime_id: found.id.clone().unwrap_or_default(),
        exit_code: state.exit_code.filter(|_| phase == Phase::Exited).and_then(|code| i32::try_from(code).ok()),
        oom: state.oom_killed.unwrap_or_default(),
        health: health(&state),
        bindings: if runs { ports::published(container, host_ip, ports) } else { Vec::new() },
        started_at_ms: state.started_at.as_deref().map(epoch_ms).unwrap_or_default(),
        ended_at_ms: state.finished_at.as_deref().filter(|_| phase == Phase::Exited).map(epoch_ms).unwrap_or_default(),
        interface: found.network_settings.as_ref().filter(|_| container.is_pause() && runs).and_then(interface),
    }
}

/// The address of a task of its own; `None` where its containers share something else.
fn interface(settings: &NetworkSettings) -> Option<TaskInterface> {
    let endpoint = settings.networks.as_ref()?.get(BRIDGE)?;
    let private_ipv4 = endpoint.ip_address.clone().filter(|address| !address.is_empty())?;
    Some(TaskInterface { private_ipv4, mac: endpoint.mac_address.clone().unwrap_or_default() })
}

/// What the engine says of a health check.
pub fn health_named(status: &str) -> Health {
    match status {
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        _ => Health::Unknown,
    }
}

/// Epoch milliseconds of the engine's text; 0 where it says "never" or is no time.
pub fn epoch_ms(text: &str) -> i64 {
    // "Never" is the year 1.
    text.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond()).max(0)
}

fn phase(state: &ContainerState) -> Phase {
    match state.status {
        // A start that failed leaves it "created", with a code: it has been started, and a container is started once.
        Some(Status::CREATED) if state.exit_code.is_some_and(|code| code != 0) => Phase::Exited,
        Some(Status::CREATED) => Phase::Created,
        Some(Status::RUNNING | Status::PAUSED | Status::RESTARTING | Status::STOPPING) => Phase::Running,
        Some(Status::EXITED | Status::DEAD | Status::REMOVING) => Phase::Exited,
        Some(Status::EMPTY) | None if state.running.unwrap_or_default() => Phase::Running,
        Some(Status::EMPTY) | None => Phase::Unsure,
    }
}

fn health(state: &ContainerState) -> Health {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
        _ => Health::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::testing;

    fn seen(state: ContainerState) -> Observed {
        let spec = ContainerSpec { task: Arc::new(testing::task(vec![testing::container("app")])), index: 0 };
        observed(&spec, None, &ContainerInspectResponse { state: Some(state), ..Default::default() })
    }

    #[test]
    fn only_what_has_ended_has_an_exit_code() {
        let with =
            |status, code| seen(ContainerState { status: Some(status), exit_code: Some(code), ..Default::default() });
        let runs = with(Status::RUNNING, 0);
        assert_eq!((runs.phase, runs.exit_code), (Phase::Running, None));
        let ended = with(Status::EXITED, 3);
        assert_eq!((ended.phase, ended.exit_code), (Phase::Exited, Some(3)));
        let made = with(Status::CREATED, 0);
        assert_eq!((made.phase, made.exit_code), (Phase::Created, None));
        let failed = with(Status::CREATED, 127);
        assert_eq!((failed.phase, failed.exit_code), (Phase::Exited, Some(127)));
    }

    #[test]
    fn times_of_the_engine() {
        assert_eq!(epoch_ms("2026-11-25T15:53:04.988670281Z"), 1_795_621_984_988);
        assert_eq!(epoch_ms("0001-01-01T00:00:00Z"), 0);
        assert_eq!(epoch_ms("soon"), 0);
    }
}
