//! Which host ports a container gets. Pure: whether one is free is asked of the caller.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
};

use crate::{shim::files::Binding, spec::ContainerSpec};

/// Where ECS takes dynamic ports from, in the order they are tried: first those that the kernel does not hand to outgoing
/// connections, one of which could come before the process.
const DYNAMIC_PORTS: [RangeInclusive<u16>; 2] = [61_000..=65_535, 49_153..=60_999];

/// A port and whether it is UDP's.
pub type Port = (u16, bool);

/// A port that a container wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// By the definition.
    pub container_port: u16,
    /// 0: any.
    pub host_port: u16,
    /// Not TCP.
    pub udp: bool,
}

/// What the definition asks for; in host mode the container's ports are the machine's.
///
/// # Errors
/// A number that is no port.
pub fn wanted(container: &ContainerSpec) -> Result<Vec<Wanted>, String> {
    let is_host = container.task.network_mode == "host";
    let mappings = container.definition().port_mappings.iter();
    let wanted = mappings.map(|mapping| {
        let container_port = port(mapping.container_port())?;
        let host_port = match port(mapping.host_port())? {
            0 if is_host => container_port,
            asked => asked,
        };
        Ok(Wanted { container_port, host_port, udp: mapping.protocol() == "udp" })
    });
    wanted.collect()
}

fn port(number: i32) -> Result<u16, String> {
    u16::try_from(number).map_err(|_| format!("{number} is not a port"))
}

/// A host port for each. `given` is what other containers of the agent have, `reserved` what the operator keeps back;
/// `chance` spreads the dynamic ones, so that a port that was just given back is not given out at once; `probe` fails
/// where the machine does not let it be bound.
///
/// # Errors
/// Why a container cannot have its ports.
pub fn choose(
    wanted: &[Wanted],
    ip: IpAddr,
    given: &BTreeSet<Port>,
    reserved: &BTreeSet<Port>,
    chance: u64,
    probe: impl Fn(SocketAddr, bool) -> io::Result<()>,
) -> Result<Vec<Binding>, String> {
    let fixed = wanted.iter().filter(|want| want.host_port != 0);
    let mut taken: BTreeSet<Port> = given.union(reserved).copied().collect();
    for want in fixed {
        check_fixed(SocketAddr::new(ip, want.host_port), want.udp, given, &probe)?;
        // It is not given to one of the definition's dynamic ports either.
        taken.insert((want.host_port, want.udp));
    }
    let mut bindings = Vec::new();
    for want in wanted {
        let host_port = match want.host_port {
            0 => dynamic(want.udp, ip, &taken, chance, &probe)?,
            fixed => fixed,
        };
        taken.insert((host_port, want.udp));
        bindings.push(Binding { ip: ip.to_string(), container_port: want.container_port, host_port, udp: want.udp });
    }
    Ok(bindings)
}

fn check_fixed(
    address: SocketAddr,
    udp: bool,
    given: &BTreeSet<Port>,
    probe: impl Fn(SocketAddr, bool) -> io::Result<()>,
) -> Result<(), String> {
    // Its process may not have bound it yet.
    if given.contains(&(address.port(), udp)) {
        return Err(refused(address, &ErrorKind::AddrInUse.into()));
    }
    probe(address, udp).map_err(|error| refused(address, &error))
}

fn dynamic(
    udp: bool,
    ip: IpAddr,
    taken: &BTreeSet<Port>,
    chance: u64,
    probe: impl Fn(SocketAddr, bool) -> io::Result<()>,
) -> Result<u16, String> {
    for port in DYNAMIC_PORTS.into_iter().flat_map(|range| around(range, chance)) {
        if taken.contains(&(port, udp)) {
            continue;
        }
        let address = SocketAddr::new(ip, port);
        match probe(address, udp) {
            Ok(()) => return Ok(port),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {}
            Err(error) => return Err(refused(address, &error)),
        }
    }
    Err(format!("no dynamic port is free on {ip}"))
}

/// All of the range, from a place in it and around.
fn around(range: RangeInclusive<u16>, chance: u64) -> impl Iterator<Item = u16> {
    let (first, last) = range.into_inner();
    let length = u64::from(last - first) + 1;
    let start = first + u16::try_from(chance % length).unwrap_or_default();
    (start..=last).chain(first..start)
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::AddrInUse => "port is already in use".to_owned(),
        ErrorKind::AddrNotAvailable => "it is not an address of this machine".to_owned(),
        _ => error.to_string(),
    };
    format!("Bind for {address} failed: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn want(container_port: u16, host_port: u16) -> Wanted {
        Wanted { container_port, host_port, udp: false }
    }

    fn free(_: SocketAddr, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn busy(_: SocketAddr, _: bool) -> io::Result<()> {
        Err(ErrorKind::AddrInUse.into())
    }

    fn none() -> BTreeSet<Port> {
        BTreeSet::new()
    }

    #[test]
    fn dynamic_ports_differ_and_leave_out_what_others_have() {
        let (given, reserved) = (BTreeSet::from([(61_000, false)]), BTreeSet::from([(61_002, false)]));
        let wanted = [want(80, 0), want(81, 0), want(82, 61_001)];
        let chosen = choose(&wanted, IP, &given, &reserved, 0, free).unwrap();
        let ports: Vec<u16> = chosen.iter().map(|binding| binding.host_port).collect();
        assert_eq!(ports, [61_003, 61_004, 61_001]);
        assert_eq!(chosen[0].container_port, 80);
        assert_eq!(chosen[0].ip, "127.0.0.1");
    }

    #[test]
    fn all_dynamic_ports_are_tried() {
        let tried = std::cell::RefCell::new(BTreeSet::new());
        let note = |address: SocketAddr, udp| {
            tried.borrow_mut().insert(address.port());
            busy(address, udp)
        };
        let error = choose(&[want(80, 0)], IP, &none(), &none(), 4711, note).unwrap_err();
        assert_eq!(error, "no dynamic port is free on 127.0.0.1");
        assert!(tried.into_inner().into_iter().eq(49_153..=65_535));
    }

    #[test]
    fn a_fixed_port_that_someone_has_is_refused() {
        let in_use = "Bind for 127.0.0.1:80 failed: port is already in use";
        assert_eq!(choose(&[want(80, 80)], IP, &none(), &none(), 0, busy).unwrap_err(), in_use);
        assert_eq!(choose(&[want(80, 80)], IP, &BTreeSet::from([(80, false)]), &none(), 0, free).unwrap_err(), in_use);
        assert!(choose(&[want(80, 80)], IP, &BTreeSet::from([(80, true)]), &none(), 0, free).is_ok());
    }
}
