//! Ports, and who answers on them.

use std::net::SocketAddr;

use seawall_proto::{
    internal::v1::{PortBinding, StopCode},
    v1::ContainerDefinition,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::ground::{Ground, port};

fn server(ground: &Ground, name: &str, says: &str, host_port: i32) -> ContainerDefinition {
    ContainerDefinition {
        port_mappings: vec![port(80, host_port, "tcp")],
        ..ground.shell(name, &format!("echo {says} > /tmp/index.html; exec httpd -f -p 80 -h /tmp"))
    }
}

fn address(binding: &PortBinding) -> SocketAddr {
    SocketAddr::new(binding.bind_ip.parse().unwrap(), u16::try_from(binding.host_port).unwrap())
}

pub async fn get(ground: &Ground, address: SocketAddr) -> String {
    ground.eventually("an answer over HTTP", async || try_get(address).await.ok().filter(|text| !text.is_empty())).await
}

async fn try_get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text.trim_end().rsplit('\n').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_of_a_machine_publish_the_same_port() {
    let (Some(one), Some(two)) = (Ground::new().await, Ground::new().await) else { return };
    for (ground, says) in [(&one, "one"), (&two, "two")] {
        let task = ground.run(vec![server(ground, "app", says, 8080)]);
        let runs = ground.running(task).await;
        let want = PortBinding {
            bind_ip: ground.config.host_ip.unwrap().to_string(),
            container_port: 80,
            host_port: 8080,
            udp: false,
        };
        assert_eq!(runs.containers[0].bindings, [want]);
        assert_eq!(get(ground, address(&runs.containers[0].bindings[0])).await, says);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_chooses_a_port_where_none_is_named() {
    let Some(ground) = Ground::new().await else { return };
    let mut servers = [server(&ground, "one", "one", 0), server(&ground, "two", "two", 0)];
    servers[1].port_mappings.push(port(53, 0, "udp"));
    let runs = ground.running(ground.run(servers.to_vec())).await;
    let bindings = [&runs.containers[0].bindings, &runs.containers[1].bindings];
    assert_eq!((bindings[0].len(), bindings[1].len()), (1, 2));
    for binding in bindings.into_iter().flatten() {
        assert_eq!(binding.bind_ip, ground.config.host_ip.unwrap().to_string());
        assert!(binding.host_port > 1024);
    }
    assert_eq!(get(&ground, address(&bindings[0][0])).await, "one");
    assert_eq!(get(&ground, address(&bindings[1][0])).await, "two");
    assert!(bindings[1][1].udp && bindings[1][1].container_port == 53);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_is_two_ports() {
    let Some(ground) = Ground::new().await else { return };
    let app = ContainerDefinition {
        port_mappings: vec![port(53, 5300, "udp"), port(53, 5300, "tcp")],
        ..ground.sleeper("app")
    };
    let task = ground.run(vec![app]);
    let runs = ground.running(task).await;
    let bindings = &runs.containers[0].bindings;
    assert_eq!(
        bindings.iter().map(|b| (b.container_port, b.host_port, b.udp)).collect::<Vec<_>>(),
        [(53, 5300, true), (53, 5300, false)]
    );
    let found = ground.docker.inspect_container(&ground.name(task, "app"), None).await.unwrap();
    let ports = found.network_settings.unwrap().ports.unwrap();
    for key in ["53/udp", "53/tcp"] {
        let published = ports[key].as_ref().unwrap();
        assert_eq!(published.len(), 1, "{key}");
        assert_eq!(published[0].host_ip.as_ref(), Some(&bindings[0].bind_ip), "{key}");
        assert_eq!(published[0].host_port.as_deref(), Some("5300"), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let Some(ground) = Ground::new().await else { return };
    let first = ground.run(vec![server(&ground, "app", "one", 8080)]);
    ground.running(first).await;
    let ended = ground.stopped(ground.run(vec![server(&ground, "app", "two", 8080)])).await;
    assert_eq!(ended.stop_code(), StopCode::TaskFailedToStart);
    let reason = &ended.stopped_reason;
    let ip = ground.config.host_ip.unwrap();
    assert!(reason.starts_with("CannotStartContainerError: "), "{reason}");
    assert!(reason.ends_with(&format!("Bind for {ip}:8080 failed: port is already allocated")), "{reason}");
    ground.end(first);
    ground.stopped(first).await;
    ground.running(ground.run(vec![server(&ground, "app", "three", 8080)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_network_and_none() {
    let Some(ground) = Ground::new().await else { return };
    let in_mode = |mode: &str, container| {
        let mut assignment = ground.assignment(vec![container]);
        assignment.definition.as_mut().unwrap().network_mode = Some(mode.into());
        ground.assign(assignment)
    };
    let ip = ground.config.host_ip.unwrap();
    let line = format!("echo host > /tmp/index.html; exec httpd -f -p {ip}:8085 -h /tmp");
    let on_host = ContainerDefinition { port_mappings: vec![port(8085, 0, "tcp")], ..ground.shell("app", &line) };
    let runs = ground.running(in_mode("host", on_host)).await;
    assert_eq!(get(&ground, address(&runs.containers[0].bindings[0])).await, "host");
    let alone = in_mode("none", ground.shell("app", "cat /proc/net/dev"));
    ground.stopped(alone).await;
    let log = ground.log(alone, "app").await;
    assert!(log.iter().all(|line| !line.contains("eth0")), "{log:?}");
}
