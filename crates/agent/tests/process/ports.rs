//! Ports on addresses of this machine.

use std::{
    collections::BTreeSet,
    io::Read,
    net::{IpAddr, TcpListener, TcpStream},
};

use seawall_agent::{
    AgentConfig,
    runtime::{Fault, Runtime, process::ProcessRuntime},
};
use seawall_proto::v1::{ContainerDefinition, PortMapping};

use crate::machine::{Machine, container, own, shell, started};

fn mapped(definition: ContainerDefinition, host_port: u16) -> ContainerDefinition {
    let mapping = PortMapping { container_port: Some(80), host_port: Some(i32::from(host_port)), ..Default::default() };
    ContainerDefinition { port_mappings: vec![mapping], ..definition }
}

/// A port that nobody has on any address now.
fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn answer(address: &str) -> Option<String> {
    let mut answer = String::new();
    TcpStream::connect(address).ok()?.read_to_string(&mut answer).ok()?;
    Some(answer)
}

pub async fn two_agents_have_one_port_on_two_addresses(machine: &Machine) {
    let port = free_port();
    let (a, b) = (machine.runtime_on("a", "127.0.0.2"), machine.runtime_on("b", "127.0.0.3"));
    let of_a = started(&a, mapped(own(&["listen"]), port)).await;
    let of_b = started(&b, mapped(own(&["listen"]), port)).await;
    for (runtime, container, ip) in [(&a, &of_a, "127.0.0.2"), (&b, &of_b, "127.0.0.3")] {
        let address = format!("{ip}:{port}");
        assert_eq!(machine.until("it answers", async || answer(&address)).await, port.to_string());
        let bindings = runtime.inspect(container).await.unwrap().unwrap().bindings;
        assert_eq!((bindings[0].bind_ip.as_str(), bindings[0].host_port), (ip, u32::from(port)));
    }
}

pub async fn a_port_in_use_is_refused(machine: &Machine) {
    let runtime = machine.runtime_on("a", "127.0.0.5");
    // An address from which nobody else connects: the port stays free when it is given back.
    let listener = TcpListener::bind("127.0.0.5:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = container(mapped(shell("sleep 1000"), port));
    runtime.create(&first).await.unwrap();
    let error = runtime.start(&first).await.unwrap_err();
    assert_eq!(error.fault, Fault::Start);
    let text = format!("CannotStartContainerError: Bind for 127.0.0.5:{port} failed: port is already in use");
    assert_eq!(error.to_string(), text);
    drop(listener);
    // A process that another test is starting may have a copy of the socket for a moment.
    machine.until("the port is free again", async || runtime.start(&first).await.ok()).await;
    // It sleeps and binds nothing, and has the port all the same.
    let second = container(mapped(shell("sleep 1000"), port));
    runtime.create(&second).await.unwrap();
    assert_eq!(runtime.start(&second).await.unwrap_err().to_string(), text);
    runtime.stop(&first, 0).await.unwrap();
    runtime.start(&second).await.unwrap();
    let nowhere = machine.runtime_on("b", "192.0.2.1");
    let third = container(mapped(shell("sleep 1000"), port));
    nowhere.create(&third).await.unwrap();
    let error = nowhere.start(&third).await.unwrap_err().to_string();
    assert!(error.ends_with("it is not an address of this machine"), "{error}");
}

pub async fn dynamic_ports_of_starts_at_the_same_time_differ(machine: &Machine) {
    // No more are left than are needed.
    let left = 65_000..65_006;
    let kept_back = (49_153..=65_535).filter(|port| !left.contains(port)).collect();
    // An address of this run of the tests.
    let [_, _, c, d] = std::process::id().to_be_bytes();
    let ip = IpAddr::from([127, 99, c, d]);
    let config = AgentConfig { host_ip: Some(ip), reserved_ports: kept_back, ..machine.config() };
    let runtime = ProcessRuntime::new(machine.env.clone(), &config).unwrap();
    let starts = left.clone().map(|_| async {
        let container = started(&runtime, mapped(shell("sleep 1000"), 0)).await;
        runtime.inspect(&container).await.unwrap().unwrap().bindings[0].host_port
    });
    let ports: BTreeSet<u32> = futures::future::join_all(starts).await.into_iter().collect();
    assert!(ports.into_iter().eq(left.map(u32::from)));
    let one_more = container(mapped(shell("sleep 1000"), 0));
    runtime.create(&one_more).await.unwrap();
    let error = runtime.start(&one_more).await.unwrap_err().to_string();
    assert_eq!(error, format!("CannotStartContainerError: no dynamic port is free on {ip}"));
}
