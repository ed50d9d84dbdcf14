//! Tasks whose containers share a network, processes or memory.

use std::net::SocketAddr;

use seawall_model::TaskId;
use seawall_proto::{
    internal::v1::{Assignment, StopCode, TaskStatus},
    v1::{ContainerDefinition, SystemControl, TaskDefinition},
};

use crate::{
    ground::{Ground, port},
    ports::get,
};

const PAUSE: &str = "internal.ecs.pause";

fn assignment(
    ground: &Ground,
    containers: Vec<ContainerDefinition>,
    change: impl FnOnce(&mut TaskDefinition),
) -> Assignment {
    let mut assignment = ground.assignment(containers);
    change(assignment.definition.as_mut().unwrap());
    assignment
}

fn run(ground: &Ground, containers: Vec<ContainerDefinition>, change: impl FnOnce(&mut TaskDefinition)) -> TaskId {
    ground.assign(assignment(ground, containers, change))
}

fn awsvpc(definition: &mut TaskDefinition) {
    definition.network_mode = Some("awsvpc".into());
}

fn server(ground: &Ground, name: &str) -> ContainerDefinition {
    ContainerDefinition {
        port_mappings: vec![port(80, 80, "tcp")],
        ..ground.shell(name, &format!("echo {name} > /tmp/index.html; exec httpd -f -p 80 -h /tmp"))
    }
}

/// Lists the task's containers until none of them runs.
async fn nothing_runs(ground: &Ground, task: TaskId) {
    for name in [PAUSE, "web", "app"] {
        let found = ground.docker.inspect_container(&ground.name(task, name), None).await;
        let runs = found.ok().and_then(|found| found.state).and_then(|state| state.running).unwrap_or_default();
        assert!(!runs, "{name} runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_of_one_task_share_an_address() {
    let Some(ground) = Ground::new().await else { return };
    let web = ContainerDefinition {
        system_controls: vec![SystemControl {
            namespace: Some("net.ipv4.ip_unprivileged_port_start".into()),
            value: Some("77".into()),
        }],
        dns_servers: vec!["10.9.8.7".into()],
        ..server(&ground, "web")
    };
    let ask = "until wget -q -O - http://127.0.0.1/; do sleep 0.1; done; cat /etc/resolv.conf \
               /proc/sys/net/ipv4/ip_unprivileged_port_start; exec sleep 1000";
    let app = ground.shell("app", ask);
    let tasks = [run(&ground, vec![web.clone(), app.clone()], awsvpc), run(&ground, vec![web, app], awsvpc)];
    let mut addresses = Vec::new();
    for task in tasks {
        let runs = ground.running(task).await;
        assert_eq!(runs.containers.len(), 2, "the pause container is nobody's business");
        let interface = runs.interface.clone().unwrap();
        assert!(interface.private_ipv4.parse::<std::net::Ipv4Addr>().is_ok(), "{interface:?}");
        assert!(interface.mac.contains(':'), "{interface:?}");
        assert_eq!((runs.containers[0].bindings.len(), runs.containers[1].bindings.len()), (1, 0));
        let binding = runs.containers[0].bindings[0].clone();
        assert_eq!(binding.bind_ip, ground.config.host_ip.unwrap().to_string());
        assert_eq!(binding.container_port, 80);
        let published = SocketAddr::new(binding.bind_ip.parse().unwrap(), u16::try_from(binding.host_port).unwrap());
        assert_eq!(get(&ground, published).await, "web");
        let own = SocketAddr::new(interface.private_ipv4.parse().unwrap(), 80);
        assert_eq!(get(&ground, own).await, "web", "on its own address");
        let heard = async || {
            let log = ground.log(task, "app").await;
            let has = |line: &str| log.iter().any(|known| known == line);
            (has("web") && has("nameserver 10.9.8.7") && has("77")).then_some(())
        };
        ground.eventually("app asks web over localhost", heard).await;
        addresses.push((interface.private_ipv4, binding.host_port));
    }
    assert_ne!(addresses[0].0, addresses[1].0, "both have port 80, each on an address of its own");
    assert_ne!(addresses[0].1, addresses[1].1);
    for task in tasks {
        ground.end(task);
        let ended = ground.stopped(task).await;
        assert_eq!(ended.containers[0].bindings.len(), 1);
        nothing_runs(&ground, task).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_with_an_address_is_adopted_with_it_and_leaves_nothing() {
    let Some(mut ground) = Ground::with(|config| config.stopped_tasks_kept = 0).await else { return };
    let task = run(&ground, vec![server(&ground, "web")], awsvpc);
    let before = ground.running(task).await;
    for loses_files in [false, true] {
        if loses_files {
            ground.lose_files()
        } else {
            ground.stop()
        }
        ground.start().await;
        let after = ground.running(task).await;
        assert_eq!((&after.interface, &after.containers), (&before.interface, &before.containers), "{loses_files}");
    }
    ground.end(task);
    ground.stopped(task).await;
    let swept = async || ground.containers().await.is_empty().then_some(());
    ground.eventually("all of the task's containers are removed", swept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_start_fails_leaves_no_pause_container_running() {
    let Some(ground) = Ground::new().await else { return };
    let bad = ContainerDefinition { command: vec!["/no/program".into()], ..ground.sleeper("app") };
    let task = run(&ground, vec![bad], awsvpc);
    let ended = ground.stopped(task).await;
    assert_eq!(ended.stop_code(), StopCode::TaskFailedToStart);
    nothing_runs(&ground, task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_ends_when_its_pause_container_does() {
    let Some(ground) = Ground::new().await else { return };
    let task = run(&ground, vec![server(&ground, "web")], awsvpc);
    ground.running(task).await;
    ground.docker.kill_container(&ground.name(task, PAUSE), None).await.unwrap();
    let ended = ground.stopped(task).await;
    assert_eq!((ended.status(), ended.stop_code()), (TaskStatus::Stopped, StopCode::EssentialContainerExited));
    nothing_runs(&ground, task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_and_memory_are_shared_where_the_task_says_so() {
    let Some(ground) = Ground::new().await else { return };
    let app = ground.shell("app", "echo here > /dev/shm/note; (sleep 0.1 &); exec sleep 1234");
    let line = "until cat /dev/shm/note; do sleep 0.1; done; until ps | grep '[s]leep 1234'; do sleep 0.1; done; \
                sleep 1; cat /proc/[0-9]*/status | grep -c 'State:.Z'; cat /proc/1/comm";
    let web = ContainerDefinition { essential: Some(true), ..ground.shell("web", line) };
    let task = run(&ground, vec![app, web], |definition| {
        definition.pid_mode = Some("task".into());
        definition.ipc_mode = Some("task".into());
    });
    let ended = ground.stopped(task).await;
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited, "{}", ended.stopped_reason);
    assert_eq!(ended.stop_code(), StopCode::EssentialContainerExited, "{}", ended.stopped_reason);
    let said = ground.log(task, "web").await;
    assert!(said.iter().any(|line| line == "here"), "{said:#?}");
    assert!(said.iter().any(|line| line.contains("sleep 1234")), "{said:#?}");
    assert_eq!(said[said.len() - 2..], ["0", "pause"], "no zombies, and the pause container is first");
    assert_eq!(ended.interface, None);
    nothing_runs(&ground, task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_processes_and_memory() {
    let Some(ground) = Ground::new().await else { return };
    let inodes = || ["pid", "ipc"].map(|name| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap());
    let app = ground.shell("app", "ps > /dev/null; exec sleep 1000");
    let task = run(&ground, vec![app], |definition| {
        definition.pid_mode = Some("host".into());
        definition.ipc_mode = Some("host".into());
    });
    ground.running(task).await;
    let found = ground.docker.inspect_container(&ground.name(task, "app"), None).await.unwrap();
    let host = found.host_config.unwrap();
    assert_eq!((host.pid_mode.as_deref(), host.ipc_mode.as_deref()), (Some("host"), Some("host")));
    let pid = found.state.unwrap().pid.unwrap();
    let of_container = ["pid", "ipc"].map(|name| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap());
    assert_eq!(of_container, inodes());
    assert_eq!(ground.containers().await.len(), 1, "nothing is added where nothing is shared");
}
