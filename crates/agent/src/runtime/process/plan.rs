//! What the shim runs for a container. Pure.

use std::net::{IpAddr, SocketAddr};

use seawall_proto::v1::{self, ContainerDefinition};

use crate::{
    shim::files::{Binding, HealthCheck, MARK, Spec},
    spec::ContainerSpec,
};

/// ECS's defaults.
const STOP_TIMEOUT_S: i32 = 30;
const CHECK_INTERVAL_S: i32 = 30;
const CHECK_TIMEOUT_S: i32 = 5;
const CHECK_RETRIES: i32 = 3;

/// What to run. `mark` is the variable by which a process without shim is known.
///
/// # Errors
/// What is wrong with the definition.
pub fn spec(container: &ContainerSpec, bindings: Vec<Binding>, mark: String) -> Result<Spec, String> {
    let definition = container.definition();
    let argv: Vec<String> = definition.entry_point.iter().chain(&definition.command).cloned().collect();
    if argv.first().is_none_or(String::is_empty) {
        return Err("no command: its first word is the program of the host to run".into());
    }
    Ok(Spec {
        argv,
        environment: environment(definition, &bindings, mark),
        working_directory: definition.working_directory.clone().filter(|folder| !folder.is_empty()),
        stop_timeout_ms: milliseconds(definition.stop_timeout, STOP_TIMEOUT_S),
        memory_bytes: memory(definition, container.task.memory_mib),
        task_memory_bytes: bytes(container.task.memory_mib),
        health_check: definition.health_check.as_ref().map(health_check).transpose()?,
        bindings,
        guard: None,
    })
}

/// Ours come last: a definition that was written for an image names the container's port where the host's is needed.
fn environment(definition: &ContainerDefinition, bindings: &[Binding], mark: String) -> Vec<(String, String)> {
    let given = definition.environment.iter().map(|pair| (pair.name().to_owned(), pair.value().to_owned()));
    let port = bindings.first().map(|binding| ("PORT".to_owned(), binding.host_port.to_string()));
    // Of TCP and UDP on one container port the first in the definition has the name.
    let binds = bindings.iter().rev().map(|binding| {
        let address = binding.ip.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, binding.host_port).to_string());
        (format!("SEAWALL_BIND_{}", binding.container_port), address.unwrap_or_default())
    });
    given.chain(port).chain(binds).chain([(MARK.to_owned(), mark)]).collect()
}

/// The smaller of the container's limit and the task's.
fn memory(definition: &ContainerDefinition, task_mib: u32) -> Option<u64> {
    let own = definition.memory.and_then(|mib| u32::try_from(mib).ok());
    [own, Some(task_mib)].into_iter().flatten().filter_map(bytes).min()
}

fn bytes(mib: u32) -> Option<u64> {
    (mib > 0).then(|| u64::from(mib) << 20)
}

fn health_check(check: &v1::HealthCheck) -> Result<HealthCheck, String> {
    let argv = match check.command.split_first() {
        Some((kind, argv)) if kind == "CMD" && !argv.is_empty() => argv.to_vec(),
        Some((kind, [line])) if kind == "CMD-SHELL" => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        _ => return Err("healthCheck.command is neither CMD and a program nor CMD-SHELL and a line".into()),
    };
    Ok(HealthCheck {
        argv,
        interval_ms: milliseconds(check.interval, CHECK_INTERVAL_S),
        timeout_ms: milliseconds(check.timeout, CHECK_TIMEOUT_S),
        retries: check.retries.unwrap_or(CHECK_RETRIES).unsigned_abs(),
        start_period_ms: milliseconds(check.start_period, 0),
    })
}

fn milliseconds(seconds: Option<i32>, default: i32) -> u64 {
    u64::from(seconds.unwrap_or(default).unsigned_abs()) * 1000
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::testing::{container, task, with};

    fn plan(definition: ContainerDefinition, bindings: Vec<Binding>) -> Result<Spec, String> {
        let container = ContainerSpec { task: Arc::new(task(vec![definition])), index: 0 };
        spec(&container, bindings, "/f".into())
    }

    fn binding(ip: &str, container_port: u16, host_port: u16) -> Binding {
        Binding { ip: ip.into(), container_port, host_port, udp: false }
    }

    #[test]
    fn the_ports_are_in_the_environment() {
        let mut app = with(container("app"), "PORT", "80");
        app.command = vec!["serve".into()];
        let spec = plan(app, vec![binding("127.0.0.1", 80, 4000), binding("::1", 81, 4001)]).unwrap();
        let value = |name: &str| spec.environment.iter().rfind(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!(value("PORT"), Some("4000"));
        assert_eq!(value("SEAWALL_BIND_80"), Some("127.0.0.1:4000"));
        assert_eq!(value("SEAWALL_BIND_81"), Some("[::1]:4001"));
        assert_eq!(value("SEAWALL_CONTAINER"), Some("/f"));
    }

    #[test]
    fn the_entry_point_comes_before_the_command() {
        let mut app = container("app");
        app.entry_point = vec!["sh".into(), "-c".into()];
        app.command = vec!["exit 3".into()];
        assert_eq!(plan(app, vec![]).unwrap().argv, ["sh", "-c", "exit 3"]);
        assert!(plan(container("app"), vec![]).is_err());
    }

    #[test]
    fn a_health_check_has_ecs_defaults() {
        let mut app = container("app");
        app.command = vec!["serve".into()];
        app.health_check =
            Some(v1::HealthCheck { command: vec!["CMD-SHELL".into(), "exit 0".into()], ..Default::default() });
        let check = plan(app.clone(), vec![]).unwrap().health_check.unwrap();
        assert_eq!(check.argv, ["/bin/sh", "-c", "exit 0"]);
        assert_eq!((check.interval_ms, check.timeout_ms, check.retries), (30_000, 5_000, 3));
        app.health_check = Some(v1::HealthCheck { command: vec!["NONE".into()], ..Default::default() });
        assert!(plan(app, vec![]).is_err());
    }

    #[test]
    fn the_smaller_memory_limit_counts() {
        let limited = |mib| ContainerDefinition { memory: mib, ..container("app") };
        assert_eq!(memory(&limited(Some(64)), 128), Some(64 << 20));
        assert_eq!(memory(&limited(None), 128), Some(128 << 20));
        assert_eq!(memory(&limited(None), 0), None);
    }
}
