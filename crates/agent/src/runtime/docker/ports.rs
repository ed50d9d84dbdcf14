//! Port mappings as the engine wants them, and as they came out. Pure.

use std::{collections::HashMap, net::IpAddr};

use bollard::models::{self, PortMap};
use seawall_proto::{internal::v1::PortBinding, v1::PortMapping};

use crate::{pause::AWSVPC, spec::ContainerSpec};

/// Where ports are published unless the agent is told an address. Named, so that the engine publishes once and not a
/// second time on IPv6 under a port of its own.
const ANY: &str = "0.0.0.0";

/// What the engine is told to expose, and to publish.
pub fn wanted(container: &ContainerSpec, host_ip: Option<IpAddr>) -> (Option<Vec<String>>, Option<PortMap>) {
    let mappings = published_by_engine(container);
    if mappings.is_empty() {
        return (None, None);
    }
    let mut published: PortMap = HashMap::new();
    for mapping in mappings {
        let binding =
            models::PortBinding { host_ip: Some(address(host_ip)), host_port: Some(mapping.host_port().to_string()) };
        published.entry(key(mapping)).or_default().get_or_insert_default().push(binding);
    }
    let mut exposed: Vec<String> = published.keys().cloned().collect();
    exposed.sort();
    (Some(exposed), Some(published))
}

/// The ports of a container that runs, where no engine need be asked: it chose none of them.
pub fn known(container: &ContainerSpec, host_ip: Option<IpAddr>) -> Option<Vec<PortBinding>> {
    let is_host = container.task.network_mode == "host";
    let mappings = if is_host { &container.definition().port_mappings } else { published_by_engine(container) };
    let known = mappings.iter().map(|mapping| match mapping.host_port() {
        0 if is_host => Some(binding(mapping, address(host_ip), mapping.container_port())),
        0 => None,
        port => Some(binding(mapping, address(host_ip), port)),
    });
    known.collect()
}

/// The ports of a container that runs, from the engine's own list.
pub fn published(container: &ContainerSpec, host_ip: Option<IpAddr>, ports: Option<&PortMap>) -> Vec<PortBinding> {
    if let Some(known) = known(container, host_ip) {
        return known;
    }
    let mut seen = Vec::new();
    let mut bindings = Vec::new();
    for mapping in published_by_engine(container) {
        let key = key(mapping);
        let listed = ports.and_then(|ports| ports.get(&key)).and_then(Option::as_ref);
        if !seen.contains(&key) {
            bindings.extend(listed.into_iter().flatten().filter_map(|listed| taken(mapping, listed)));
            seen.push(key);
        }
    }
    bindings
}

fn taken(mapping: &PortMapping, listed: &models::PortBinding) -> Option<PortBinding> {
    let port = listed.host_port.as_ref()?.parse().ok()?;
    Some(binding(mapping, listed.host_ip.clone()?, port))
}

fn binding(mapping: &PortMapping, bind_ip: String, host_port: i32) -> PortBinding {
    let natural = |port: i32| u32::try_from(port).unwrap_or_default();
    PortBinding {
        bind_ip,
        container_port: natural(mapping.container_port()),
        host_port: natural(host_port),
        udp: mapping.protocol() == "udp",
    }
}

/// Only on a bridge does the engine publish anything: with `host` the ports are the container's own, and those of a shared
/// network are the pause container's.
fn published_by_engine(container: &ContainerSpec) -> &[PortMapping] {
    match container.task.network_mode.as_str() {
        "bridge" => &container.definition().port_mappings,
        AWSVPC if container.is_pause() => &container.definition().port_mappings,
        _ => &[],
    }
}

fn key(mapping: &PortMapping) -> String {
    let protocol = if mapping.protocol().is_empty() { "tcp" } else { mapping.protocol() };
    format!("{}/{protocol}", mapping.container_port())
}

fn address(host_ip: Option<IpAddr>) -> String {
    host_ip.map_or_else(|| ANY.to_owned(), |ip| ip.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::testing;

    fn mapping(container_port: i32, host_port: i32, protocol: &str) -> PortMapping {
        PortMapping {
            container_port: Some(container_port),
            host_port: Some(host_port),
            protocol: Some(protocol.into()),
            ..Default::default()
        }
    }

    fn spec(network_mode: &str, mappings: Vec<PortMapping>) -> ContainerSpec {
        let mut container = testing::container("web");
        container.port_mappings = mappings;
        let mut task = testing::task(vec![container]);
        task.network_mode = network_mode.into();
        ContainerSpec { task: Arc::new(task), index: 0 }
    }

    fn listed(ip: &str, port: &str) -> models::PortBinding {
        models::PortBinding { host_ip: Some(ip.into()), host_port: Some(port.into()) }
    }

    fn flat(bindings: &[PortBinding]) -> Vec<(&str, u32, u32, bool)> {
        bindings.iter().map(|b| (b.bind_ip.as_str(), b.container_port, b.host_port, b.udp)).collect()
    }

    #[test]
    fn fixed_ports_are_known_without_asking() {
        let spec = spec("bridge", vec![mapping(80, 8080, "tcp"), mapping(53, 5353, "udp")]);
        let host_ip = Some("127.74.0.11".parse().unwrap());
        let (exposed, map) = wanted(&spec, host_ip);
        assert_eq!(exposed.unwrap(), ["53/udp", "80/tcp"]);
        assert_eq!(map.unwrap()["80/tcp"], Some(vec![listed("127.74.0.11", "8080")]));
        let known = known(&spec, host_ip).unwrap();
        assert_eq!(flat(&known), [("127.74.0.11", 80, 8080, false), ("127.74.0.11", 53, 5353, true)]);
    }

    #[test]
    fn the_engine_is_asked_for_the_port_it_chose() {
        let spec = spec("bridge", vec![mapping(80, 0, ""), mapping(80, 9000, "tcp"), mapping(81, 0, "udp")]);
        assert_eq!(known(&spec, None), None);
        let (_, map) = wanted(&spec, None);
        assert_eq!(map.unwrap()["80/tcp"], Some(vec![listed("0.0.0.0", "0"), listed("0.0.0.0", "9000")]));
        let both = Some(vec![listed("0.0.0.0", "49153"), listed("0.0.0.0", "9000")]);
        let ports = HashMap::from([("80/tcp".to_owned(), both), ("81/udp".to_owned(), None)]);
        let bindings = published(&spec, None, Some(&ports));
        assert_eq!(flat(&bindings), [("0.0.0.0", 80, 49153, false), ("0.0.0.0", 80, 9000, false)]);
    }

    #[test]
    fn on_the_hosts_network_nothing_is_published() {
        let spec = spec("host", vec![mapping(80, 0, "tcp")]);
        assert_eq!(wanted(&spec, None), (None, None));
        assert_eq!(flat(&published(&spec, None, None)), [("0.0.0.0", 80, 80, false)]);
    }

    #[test]
    fn without_a_network_there_are_no_ports() {
        let spec = spec("none", vec![mapping(80, 8080, "tcp")]);
        assert_eq!(wanted(&spec, None), (None, None));
        assert_eq!(known(&spec, None), Some(Vec::new()));
    }
}
