//! A container of a definition as the engine wants it. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, PortMap, ResourcesUlimits};
use seawall_proto::v1::{ContainerDefinition, HealthCheck, LogConfiguration};

use super::{
    labels,
    options::{self, some},
    pause, ports, volumes,
};
use crate::{
    pause::{AWSVPC, TASK},
    spec::ContainerSpec,
};

/// What the kernel takes at least; ECS gives it to containers of 0 and of 1 unit.
const CPU_SHARES_MIN: i64 = 2;
const BYTES_PER_MIB: i64 = 1024 * 1024;
const NANOSECONDS: i64 = 1_000_000_000;
/// The shortest that the engine takes for a time that is set. 0 would let the image's own apply.
const NANOSECONDS_MIN: i64 = 1_000_000;
/// ECS's defaults of a health check.
const HEALTH_INTERVAL_S: i32 = 30;
const HEALTH_TIMEOUT_S: i32 = 5;
const HEALTH_RETRIES: i32 = 3;
/// What each container may keep of its log where no driver is named: readable through the engine, whatever the engine's own
/// default is.
const OWN_LOG_DRIVER: &str = "json-file";
const OWN_LOG: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "3")];
/// How ECS has a driver buffer unless told otherwise: a program is not held up by where its log goes.
const NON_BLOCKING: &str = "non-blocking";
const BUFFER: &str = "10m";

/// The request that makes a container, in the group of its task where that has one.
pub fn of(container: &ContainerSpec, host_ip: Option<IpAddr>, cgroup_parent: Option<String>) -> ContainerCreateBody {
    let definition = container.definition();
    let (exposed_ports, port_bindings) = ports::wanted(container, host_ip);
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let words = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
    let variables = definition.environment.iter().map(|pair| format!("{}={}", pair.name(), pair.value()));
    if container.is_pause() {
        return pause(container, exposed_ports, port_bindings, cgroup_parent);
    }
    ContainerCreateBody {
        image: definition.image.clone(),
        cmd: words(&definition.command),
        entrypoint: words(&definition.entry_point),
        env: Some(variables.collect()),
        hostname: text(&definition.hostname),
        user: text(&definition.user),
        working_dir: text(&definition.working_directory),
        labels: Some(labels::of(container)),
        healthcheck: Some(health(definition.health_check.as_ref())),
        exposed_ports,
        network_disabled: definition.disable_networking,
        open_stdin: definition.interactive,
        tty: definition.pseudo_terminal,
        host_config: Some(HostConfig { port_bindings, cgroup_parent, ..host(container) }),
        ..Default::default()
    }
}

/// Holds the namespaces that the other containers of its task share, and does nothing.
fn pause(
    container: &ContainerSpec,
    exposed_ports: Option<Vec<String>>,
    port_bindings: Option<PortMap>,
    cgroup_parent: Option<String>,
) -> ContainerCreateBody {
    let (task, definition) = (&container.task, container.definition());
    let linux = definition.linux_parameters.clone().unwrap_or_default();
    let has_network = task.network_mode == AWSVPC;
    ContainerCreateBody {
        image: Some(pause::image()),
        entrypoint: Some(vec![pause::PROGRAM.into()]),
        stop_signal: Some(pause::STOP_SIGNAL.into()),
        labels: Some(labels::of(container)),
        exposed_ports,
        host_config: Some(HostConfig {
            port_bindings,
            cgroup_parent,
            network_mode: Some(if has_network { "bridge" } else { "none" }.into()),
            ipc_mode: (task.ipc_mode == TASK).then(|| "shareable".into()),
            shm_size: linux.shared_memory_size.and_then(bytes),
            dns: some(definition.dns_servers.clone()),
            dns_search: some(definition.dns_search_domains.clone()),
            sysctls: options::sysctls(definition),
            log_config: Some(log(None)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn host(container: &ContainerSpec) -> HostConfig {
    let (task, definition) = (&container.task, container.definition());
    let linux = definition.linux_parameters.clone().unwrap_or_default();
    let capabilities = linux.capabilities.unwrap_or_default();
    let limit = memory_limit(container);
    HostConfig {
        cpu_shares: Some(i64::from(definition.cpu()).max(CPU_SHARES_MIN)),
        memory: limit,
        // As much as the memory: none of it is swap, so the limit is where the container is killed.
        memory_swap: limit.map(|limit| limit + linux.max_swap.and_then(bytes).unwrap_or_default()),
        // As ECS has it, nothing without a limit of the swap.
        memory_swappiness: linux.max_swap.and(linux.swappiness).map(i64::from),
        memory_reservation: definition.memory_reservation.and_then(bytes),
        network_mode: Some(shared_or(container, &task.network_mode, AWSVPC)),
        pid_mode: mode(&task.pid_mode).map(|mode| shared_or(container, mode, TASK)),
        ipc_mode: mode(&task.ipc_mode).map(|mode| shared_or(container, mode, TASK)),
        links: links(container),
        binds: volumes::binds(container),
        volumes_from: volumes::from(container),
        privileged: definition.privileged,
        ulimits: ulimits(definition),
        log_config: Some(log(definition.log_configuration.as_ref())),
        readonly_rootfs: definition.readonly_root_filesystem,
        dns: some(definition.dns_servers.clone()),
        dns_search: some(definition.dns_search_domains.clone()),
        extra_hosts: options::extra_hosts(&definition.extra_hosts),
        security_opt: options::security(&definition.docker_security_options),
        sysctls: options::sysctls(definition),
        cap_add: some(capabilities.add),
        cap_drop: some(capabilities.drop),
        devices: options::devices(&linux.devices),
        init: linux.init_process_enabled,
        shm_size: linux.shared_memory_size.and_then(bytes),
        tmpfs: options::tmpfs(&linux.tmpfs),
        ..Default::default()
    }
}

/// A namespace of the pause container where the task's mode is the one that shares it.
fn shared_or(container: &ContainerSpec, mode: &str, shares: &str) -> String {
    match container.task.pause.filter(|_| mode == shares) {
        Some(pause) => format!("container:{}", container.task.runtime_name(pause)),
        None => mode.to_owned(),
    }
}

fn mode(mode: &str) -> Option<&str> {
    (!mode.is_empty()).then_some(mode)
}

/// The container's hard limit; without one the task's, which none of its containers may pass: the group around them limits
/// their sum, but not every engine has one ([`super::cgroups`]).
fn memory_limit(container: &ContainerSpec) -> Option<i64> {
    let of_task = || i32::try_from(container.task.memory_mib).ok().and_then(bytes);
    container.definition().memory.and_then(bytes).or_else(of_task)
}

fn bytes(mib: i32) -> Option<i64> {
    (mib > 0).then(|| i64::from(mib) * BYTES_PER_MIB)
}

/// "name" or "name:alias"
fn links(container: &ContainerSpec) -> Option<Vec<String>> {
    let task = &container.task;
    let link = |link: &String| {
        let (name, alias) = link.split_once(':').unwrap_or((link, link));
        Some(format!("{}:{alias}", task.runtime_name(task.index_of(name)?)))
    };
    some(container.definition().links.iter().filter_map(link))
}

fn ulimits(definition: &ContainerDefinition) -> Option<Vec<ResourcesUlimits>> {
    let ulimits = definition.ulimits.iter().map(|ulimit| ResourcesUlimits {
        name: ulimit.name.clone(),
        soft: Some(ulimit.soft_limit().into()),
        hard: Some(ulimit.hard_limit().into()),
    });
    some(ulimits)
}

/// The definition's check alone counts: ECS ignores an image's own.
fn health(check: Option<&HealthCheck>) -> HealthConfig {
    let none = |command: &[String]| command.first().is_none_or(|kind| kind == "NONE");
    let Some(check) = check.filter(|check| !none(&check.command)) else {
        return HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() };
    };
    let time = |seconds: i32| Some((i64::from(seconds) * NANOSECONDS).max(NANOSECONDS_MIN));
    HealthConfig {
        test: Some(check.command.clone()),
        interval: time(check.interval.unwrap_or(HEALTH_INTERVAL_S)),
        timeout: time(check.timeout.unwrap_or(HEALTH_TIMEOUT_S)),
        retries: Some(check.retries.unwrap_or(HEALTH_RETRIES).into()),
        start_period: time(check.start_period.unwrap_or_default()),
        start_interval: None,
    }
}

/// The driver that is asked for. `awslogs` is the agent's own: the engine's would send what it gets to AWS.
fn log(configuration: Option<&LogConfiguration>) -> HostConfigLogConfig {
    let given = configuration.map(|configuration| configuration.options.clone()).unwrap_or_default();
    match configuration.map(LogConfiguration::log_driver) {
        None | Some("" | "awslogs") => own_log(&given),
        Some(driver) => HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(with_mode(given)) },
    }
}

fn own_log(given: &BTreeMap<String, String>) -> HostConfigLogConfig {
    let mut config: HashMap<String, String> =
        OWN_LOG.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    // A file of this machine holds nobody up, so nothing is dropped unless that is asked for.
    let buffers = given.get("mode").is_some_and(|mode| mode == NON_BLOCKING);
    let kept = ["mode", "max-buffer-size"].iter().filter(|_| buffers);
    config.extend(kept.filter_map(|name| Some(((*name).to_owned(), given.get(*name)?.clone()))));
    HostConfigLogConfig { typ: Some(OWN_LOG_DRIVER.into()), config: Some(config) }
}

fn with_mode(mut options: BTreeMap<String, String>) -> HashMap<String, String> {
    if options.entry("mode".into()).or_insert_with(|| NON_BLOCKING.into()) == NON_BLOCKING {
        options.entry("max-buffer-size".into()).or_insert_with(|| BUFFER.into());
    }
    options.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use seawall_proto::v1::{Ulimit, VolumeFrom};

    use super::*;
    use crate::{engine::testing, spec::TaskSpec};

    fn made(definition: ContainerDefinition) -> ContainerCreateBody {
        made_in(definition, 0)
    }

    fn made_in(definition: ContainerDefinition, memory_mib: u32) -> ContainerCreateBody {
        let mut task = testing::task(vec![definition, testing::container("db")]);
        task.memory_mib = memory_mib;
        of(&ContainerSpec { task: Arc::new(task), index: 0 }, None, None)
    }

    fn host_of(definition: ContainerDefinition) -> HostConfig {
        made(definition).host_config.unwrap()
    }

    #[test]
    fn a_plain_container_leaves_the_images_own_values() {
        let body = made(testing::container("app"));
        assert_eq!((&body.cmd, &body.entrypoint, &body.user, &body.working_dir), (&None, &None, &None, &None));
        assert_eq!(body.healthcheck.unwrap().test.unwrap(), ["NONE"]);
        let host = body.host_config.unwrap();
        assert_eq!(host.cpu_shares, Some(2));
        assert_eq!((host.memory, host.memory_reservation), (None, None));
        assert_eq!(host.network_mode.unwrap(), "bridge");
        let log = host.log_config.unwrap();
        assert_eq!(log.typ.unwrap(), "json-file");
        assert_eq!(log.config.unwrap()["max-size"], "10m");
    }

    #[test]
    fn every_member_reaches_the_engine() {
        let body = made(ContainerDefinition {
            command: vec!["a".into(), "b".into()],
            entry_point: vec!["sh".into()],
            user: Some("1:2".into()),
            working_directory: Some("/work".into()),
            hostname: Some("h".into()),
            cpu: Some(512),
            memory: Some(64),
            memory_reservation: Some(32),
            privileged: Some(true),
            links: vec!["db:store".into(), "db".into()],
            volumes_from: vec![VolumeFrom { source_container: Some("db".into()), read_only: None }],
            ulimits: vec![Ulimit { name: Some("nofile".into()), soft_limit: Some(10), hard_limit: Some(-1) }],
            ..testing::with(testing::container("app"), "A", "1=2")
        });
        assert_eq!(body.env.unwrap(), ["A=1=2"]);
        assert_eq!(body.cmd.unwrap(), ["a", "b"]);
        assert_eq!(body.entrypoint.unwrap(), ["sh"]);
        assert_eq!((body.user.unwrap(), body.working_dir.unwrap()), ("1:2".into(), "/work".into()));
        assert_eq!(body.hostname.unwrap(), "h");
        let host = body.host_config.unwrap();
        assert_eq!((host.cpu_shares, host.privileged), (Some(512), Some(true)));
        assert_eq!((host.memory, host.memory_swap), (Some(64 << 20), Some(64 << 20)));
        assert_eq!(host.memory_reservation, Some(32 << 20));
        let db = testing::task(vec![testing::container("app"), testing::container("db")]).runtime_name(1);
        assert_eq!(host.links.unwrap(), [format!("{db}:store"), format!("{db}:db")]);
        assert_eq!(host.volumes_from.unwrap(), [db]);
        let ulimit = &host.ulimits.unwrap()[0];
        assert_eq!((ulimit.soft, ulimit.hard), (Some(10), Some(-1)));
    }

    #[test]
    fn the_tasks_memory_limits_containers_without_a_limit() {
        let limit = |memory| {
            let container = ContainerDefinition { memory, ..testing::container("app") };
            made_in(container, 256).host_config.unwrap().memory
        };
        assert_eq!(limit(None), Some(256 << 20));
        assert_eq!(limit(Some(64)), Some(64 << 20));
    }

    #[test]
    fn all_of_a_tasks_containers_are_in_its_group() {
        let mut containers = vec![testing::container("app")];
        let shared = crate::pause::Shared { network: true, ..Default::default() };
        let pause = crate::pause::add(&mut containers, shared);
        let task = Arc::new(TaskSpec { pause, ..testing::task(containers) });
        for index in 0..2 {
            let container = ContainerSpec { task: task.clone(), index };
            let parent = |parent: Option<&str>| of(&container, None, parent.map(str::to_owned)).host_config.unwrap();
            assert_eq!(parent(Some("/seawall/t")).cgroup_parent.as_deref(), Some("/seawall/t"));
            assert_eq!(parent(None).cgroup_parent, None);
        }
    }

    #[test]
    fn health_checks_have_ecs_s_defaults() {
        let with = |check| made(ContainerDefinition { health_check: Some(check), ..testing::container("app") });
        let check = HealthCheck { command: vec!["CMD-SHELL".into(), "true".into()], ..Default::default() };
        let health = with(check.clone()).healthcheck.unwrap();
        assert_eq!(health.test.unwrap(), ["CMD-SHELL", "true"]);
        assert_eq!((health.interval, health.timeout), (Some(30 * NANOSECONDS), Some(5 * NANOSECONDS)));
        assert_eq!((health.retries, health.start_period), (Some(3), Some(NANOSECONDS_MIN)));
        let health = with(HealthCheck { command: vec!["NONE".into()], ..check }).healthcheck.unwrap();
        assert_eq!(health.test.unwrap(), ["NONE"]);
    }

    #[test]
    fn logs_buffer_as_ecs_has_them_and_awslogs_stays_here() {
        let with = |driver: &str, options: &[(&str, &str)]| {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let log = LogConfiguration { log_driver: Some(driver.into()), options, ..Default::default() };
            let config = host_of(ContainerDefinition { log_configuration: Some(log), ..testing::container("app") });
            let log = config.log_config.unwrap();
            let mut options: Vec<(String, String)> = log.config.unwrap().into_iter().collect();
            options.sort();
            let options: Vec<String> = options.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            (log.typ.unwrap(), options.join(" "))
        };
        let syslog = with("syslog", &[("tag", "x")]);
        assert_eq!(syslog, ("syslog".into(), "max-buffer-size=10m mode=non-blocking tag=x".into()));
        let blocking = with("gelf", &[("mode", "blocking")]);
        assert_eq!(blocking, ("gelf".into(), "mode=blocking".into()));
        let own = with("awslogs", &[("awslogs-group", "g"), ("mode", "blocking")]);
        assert_eq!(own, ("json-file".into(), "max-file=3 max-size=10m".into()));
        let buffered = with("awslogs", &[("mode", "non-blocking"), ("max-buffer-size", "1m")]);
        assert_eq!(buffered.1, "max-buffer-size=1m max-file=3 max-size=10m mode=non-blocking");
    }
}
