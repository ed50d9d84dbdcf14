//! Rarer members of a container, as a process in it sees them.

use seawall_proto::{
    internal::v1::{StopCode, TaskStatus},
    v1::{
        ContainerDefinition, ContainerDependency, ContainerRestartPolicy, Device, HealthCheck, HostEntry,
        KernelCapabilities, LinuxParameters, SystemControl, Tmpfs,
    },
};

use crate::ground::{Ground, port};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

async fn said(ground: &Ground, container: ContainerDefinition) -> Vec<String> {
    let task = ground.run(vec![container]);
    let ended = ground.stopped(task).await;
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited, "{}", ended.stopped_reason);
    ground.log(task, "app").await
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_resolved_as_the_definition_says() {
    let Some(ground) = Ground::new().await else { return };
    let app = ContainerDefinition {
        hostname: Some("box".into()),
        dns_servers: words(&["10.9.8.7"]),
        dns_search_domains: words(&["corp.example"]),
        extra_hosts: vec![HostEntry { hostname: Some("db".into()), ip_address: Some("10.1.2.3".into()) }],
        ..ground.shell("app", "hostname; cat /etc/resolv.conf /etc/hosts")
    };
    let said = said(&ground, app).await;
    assert_eq!(said[0], "box");
    for line in ["nameserver 10.9.8.7", "search corp.example", "10.1.2.3\tdb"] {
        assert!(said.iter().any(|known| known == line), "{line}: {said:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_may_do_is_narrowed() {
    let Some(ground) = Ground::new().await else { return };
    let line = "echo > /tmp/file || echo read-only; echo > /run/file && echo writable; grep NoNewPrivs /proc/self/status; \
                cat /proc/net/dev | grep -c :";
    let app = ContainerDefinition {
        readonly_root_filesystem: Some(true),
        disable_networking: Some(true),
        docker_security_options: words(&["no-new-privileges"]),
        linux_parameters: Some(LinuxParameters {
            tmpfs: vec![Tmpfs {
                container_path: Some("/run".into()),
                size: Some(4),
                mount_options: words(&["noexec"]),
            }],
            ..Default::default()
        }),
        ..ground.shell("app", line)
    };
    let said = said(&ground, app).await;
    for line in ["read-only", "writable", "NoNewPrivs:\t1"] {
        assert!(said.iter().any(|known| known == line), "{line}: {said:#?}");
    }
    assert!(said.iter().all(|line| !line.contains("eth0")), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_linux_has_for_containers() {
    let Some(ground) = Ground::new().await else { return };
    let line = "cat /proc/1/comm /proc/sys/net/ipv4/ip_unprivileged_port_start; grep CapEff /proc/self/status; \
                df -m /dev/shm; test -c /dev/nothing && echo device; test -t 0 && echo terminal";
    let all = 0x3f_ffff_ffff_u64;
    let app = ContainerDefinition {
        interactive: Some(true),
        pseudo_terminal: Some(true),
        system_controls: vec![SystemControl {
            namespace: Some("net.ipv4.ip_unprivileged_port_start".into()),
            value: Some("77".into()),
        }],
        linux_parameters: Some(LinuxParameters {
            capabilities: Some(KernelCapabilities { add: words(&["NET_ADMIN"]), drop: words(&["CHOWN"]) }),
            devices: vec![Device {
                host_path: Some("/dev/null".into()),
                container_path: Some("/dev/nothing".into()),
                permissions: words(&["read"]),
            }],
            init_process_enabled: Some(true),
            shared_memory_size: Some(32),
            max_swap: Some(16),
            swappiness: Some(10),
            ..Default::default()
        }),
        memory: Some(64),
        ..ground.shell("app", line)
    };
    let assignment = ground.assignment(vec![app]);
    let task = ground.assign(assignment);
    let ended = ground.stopped(task).await;
    assert_eq!(ended.containers[0].exit_code, Some(0), "{}", ended.stopped_reason);
    let said: Vec<String> = ground.log(task, "app").await.iter().map(|line| line.trim_end().to_owned()).collect();
    assert!(said[0].contains("init"), "{said:#?}");
    assert_eq!(said[1], "77");
    let effective = u64::from_str_radix(said[2].split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!((effective & 1, effective >> 12 & 1), (0, 1), "neither CHOWN nor without NET_ADMIN: {said:#?}");
    assert_ne!(effective, all);
    assert!(said.iter().any(|line| line.split_whitespace().nth(1) == Some("32")), "{said:#?}");
    assert!(said.iter().any(|line| line == "device") && said.iter().any(|line| line == "terminal"), "{said:#?}");
    let host = ground.docker.inspect_container(&ground.name(task, "app"), None).await.unwrap().host_config.unwrap();
    // An engine whose kernel does not count swap says so and leaves it out.
    assert!([Some(80 << 20), Some(-1), Some(0), None].contains(&host.memory_swap), "{:?}", host.memory_swap);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependency_that_takes_longer_than_its_start_timeout_ends_the_task() {
    let Some(ground) = Ground::new().await else { return };
    let check = HealthCheck { command: words(&["CMD-SHELL", "false"]), retries: Some(10), ..Default::default() };
    let db = ContainerDefinition { health_check: Some(check), start_timeout: Some(2), ..ground.sleeper("db") };
    let on_db = ContainerDependency { container_name: Some("db".into()), condition: Some("HEALTHY".into()) };
    let app = ContainerDefinition { depends_on: vec![on_db], ..ground.sleeper("app") };
    let task = ground.run(vec![app, db]);
    let ended = ground.stopped(task).await;
    assert_eq!((ended.status(), ended.stop_code()), (TaskStatus::Stopped, StopCode::TaskFailedToStart));
    let reason = "Task failed to start: container app: dependency db did not get there within its startTimeout of 2 s";
    assert_eq!(ended.stopped_reason, reason);
    assert_eq!(ground.containers().await, [ground.name(task, "db")], "app was never made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_a_restart_policy_is_started_again() {
    let Some(ground) = Ground::new().await else { return };
    let policy = |period| ContainerRestartPolicy {
        enabled: Some(true),
        ignored_exit_codes: vec![4],
        restart_attempt_period: Some(period),
    };
    // ECS begins at 60 s; the agent counts whatever it is told.
    let line = "echo run >> /tmp/runs; echo run; sleep 2; test $(cat /tmp/runs | grep -c run) -lt 3 || exit 4; exit 3";
    let app = ContainerDefinition {
        restart_policy: Some(policy(1)),
        port_mappings: vec![port(80, 0, "tcp")],
        ..ground.shell("app", line)
    };
    let task = ground.run(vec![app]);
    let ended = ground.stopped(task).await;
    assert_eq!((ended.stop_code(), ended.containers[0].exit_code), (StopCode::EssentialContainerExited, Some(4)));
    assert_eq!(ground.log(task, "app").await, ["run", "run", "run"], "its files and its log go on");
    let short = ContainerDefinition { restart_policy: Some(policy(60)), ..ground.shell("app", "echo run; exit 3") };
    let task = ground.run(vec![short]);
    assert_eq!(ground.stopped(task).await.containers[0].exit_code, Some(3));
    assert_eq!(ground.log(task, "app").await, ["run"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_while_no_agent_was_there_is_started_again() {
    let Some(mut ground) = Ground::new().await else { return };
    let policy = ContainerRestartPolicy { enabled: Some(true), restart_attempt_period: Some(1), ..Default::default() };
    let app = ContainerDefinition { restart_policy: Some(policy), ..ground.sleeper("app") };
    let task = ground.run(vec![app]);
    ground.running(task).await;
    ground.env.sleep(std::time::Duration::from_millis(1200)).await;
    ground.stop();
    let name = ground.name(task, "app");
    ground.docker.kill_container(&name, None).await.unwrap();
    ground.start().await;
    let runs = async || {
        let found = ground.docker.inspect_container(&name, None).await.unwrap();
        found.state.unwrap().running.filter(|runs| *runs)
    };
    ground.eventually("it runs again", runs).await;
    let report = ground.until(task, |report| report.containers[0].last_status() == TaskStatus::Running).await;
    assert_eq!((report.status(), report.containers[0].exit_code), (TaskStatus::Running, None));
}
