//! What `seawall dev` runs: names, zones, ports, addresses and shares of the machine, all from a few numbers.

use std::path::{Path, PathBuf};

use seawall_model::DEFAULT_REGION;

use crate::args::RuntimeKind;

/// The ends of the zones' names, and the names of their members.
pub const ZONE_LETTERS: [char; 3] = ['a', 'b', 'c'];
/// Between the ports of two members.
const PORT_STEP: u16 = 10;
/// The last part of the first agent's address, 127.74.0.11. Not in 127.0.0.0/24: Docker's DNS is there.
const FIRST_HOST: u32 = 11;
/// Of the machine's memory, what the agents share; the rest is for the members and for everything else.
const MEMORY_PERCENT: u64 = 75;

/// What a process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A member.
    Server,
    /// An agent.
    Agent,
}

impl Role {
    /// As it stands in dev.json.
    pub fn word(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Agent => "agent",
        }
    }
}

/// One process to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    /// What it is.
    pub role: Role,
    /// The member's name, or the instance's id.
    pub name: String,
    /// Its zone.
    pub zone: String,
    /// Where clients reach it, if it is a member.
    pub endpoint: Option<String>,
    /// Its own folder.
    pub folder: PathBuf,
    /// What it writes.
    pub log_file: PathBuf,
    /// Arguments of `seawall`.
    pub arguments: Vec<String>,
}

/// The numbers that everything follows from.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder of everything.
    pub folder: PathBuf,
    /// Port of the first member.
    pub port: u16,
    /// What runs the tasks.
    pub runtime: RuntimeKind,
    /// Instances in each zone.
    pub agents_per_zone: u8,
    /// The machine's CPU units.
    pub cpu_units: u32,
    /// The machine's memory.
    pub memory_mib: u64,
    /// Added to the last part of agents' addresses, so that two clusters on one machine publish the same ports.
    pub host_offset: u32,
    /// What the processes log.
    pub log: String,
}

impl Layout {
    /// The zones' names.
    pub fn zones(&self) -> Vec<String> {
        ZONE_LETTERS.iter().map(|letter| format!("{DEFAULT_REGION}{letter}")).collect()
    }

    /// The memory that the agents share.
    pub fn memory_for_tasks_mib(&self) -> u64 {
        self.memory_mib * MEMORY_PERCENT / 100
    }

    /// Where the secret is.
    pub fn secret(&self) -> PathBuf {
        self.folder.join("secret")
    }

    /// Ports of the members, clients' first.
    pub fn ports(&self) -> Vec<(u16, u16)> {
        (0..ZONE_LETTERS.len() as u16).map(|i| self.port + i * PORT_STEP).map(|port| (port, port + 1)).collect()
    }

    /// Whether the last port is still a port.
    pub fn ports_fit(port: u16) -> bool {
        port > 0 && port.checked_add(PORT_STEP * 2 + 1).is_some()
    }

    /// Where clients reach the members.
    pub fn endpoints(&self) -> Vec<String> {
        self.ports().iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect()
    }

    /// Where whoever owns the folder reaches the members without a key.
    pub fn sockets(folder: &Path) -> Vec<String> {
        let socket = |letter: char| member_folder(folder, &letter.to_string()).join("seawall.sock");
        ZONE_LETTERS.map(|letter| format!("unix:{}", shown(&socket(letter)))).into()
    }

    /// Every process: the members, then the agents.
    pub fn specs(&self) -> Vec<Spec> {
        let zones = self.zones();
        let members =
            ZONE_LETTERS.iter().zip(&zones).enumerate().map(|(i, (letter, zone))| self.server(i, *letter, zone));
        let agents = (0..u32::from(self.agents_per_zone)).flat_map(|nth| {
            let zones = zones.clone();
            ZONE_LETTERS.iter().enumerate().map(move |(i, letter)| (nth, i, *letter, zones[i].clone()))
        });
        members.chain(agents.map(|(nth, i, letter, zone)| self.agent(nth, i, letter, &zone))).collect()
    }

    fn server(&self, at: usize, letter: char, zone: &str) -> Spec {
        let (port, peer_port) = self.ports()[at];
        let name = letter.to_string();
        let folder = member_folder(&self.folder, &name);
        let peers: Vec<String> = self.ports().iter().map(|(_, peer)| format!("127.0.0.1:{peer}")).collect();
        let arguments = arguments(&[
            ("name", &name),
            ("zone", zone),
            ("data-dir", &shown(&folder)),
            ("listen", &format!("127.0.0.1:{port}")),
            ("peer-listen", &format!("127.0.0.1:{peer_port}")),
            ("join", &peers.join(",")),
            ("expect", &ZONE_LETTERS.len().to_string()),
            ("secret-file", &shown(&self.secret())),
            ("log", &self.log),
        ]);
        Spec {
            role: Role::Server,
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            log_file: self.log_file(&name),
            zone: zone.to_owned(),
            folder,
            arguments: [vec!["server".to_owned()], arguments].concat(),
            name,
        }
    }

    fn agent(&self, nth: u32, at: usize, letter: char, zone: &str) -> Spec {
        let name = format!("i-{letter}{}", nth + 1);
        let folder = self.folder.join("agents").join(&name);
        let agents = ZONE_LETTERS.len() as u32 * u32::from(self.agents_per_zone);
        let host = self.host_offset + FIRST_HOST + nth * ZONE_LETTERS.len() as u32 + at as u32;
        // Its own zone's member first.
        let mut servers = self.endpoints();
        servers.rotate_left(at);
        let arguments = arguments(&[
            ("servers", &servers.join(",")),
            ("zone", zone),
            ("data-dir", &shown(&folder)),
            ("secret-file", &shown(&self.secret())),
            ("runtime", runtime_word(self.runtime)),
            ("instance-id", &name),
            ("host-ip", &format!("127.74.{}.{}", host >> 8, host & 0xff)),
            ("cpu", &(self.cpu_units / agents).to_string()),
            ("memory-mib", &(self.memory_for_tasks_mib() / u64::from(agents)).to_string()),
            ("reserve-memory-mib", "0"),
            // Images that are here already are what one tries out; a registry may be out of reach.
            ("image-pull", "prefer-cached"),
            ("log", &self.log),
        ]);
        Spec {
            role: Role::Agent,
            endpoint: None,
            log_file: self.log_file(&name),
            zone: zone.to_owned(),
            folder,
            arguments: [vec!["agent".to_owned()], arguments].concat(),
            name,
        }
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }
}

/// The word of `--runtime`.
pub fn runtime_word(runtime: RuntimeKind) -> &'static str {
    match runtime {
        RuntimeKind::Docker => "docker",
        RuntimeKind::Process => "process",
        RuntimeKind::Fake => "fake",
    }
}

fn arguments(flags: &[(&str, &str)]) -> Vec<String> {
    let mut out: Vec<String> = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    out.push("--lifeline".to_owned());
    out
}

fn member_folder(folder: &Path, name: &str) -> PathBuf {
    folder.join("members").join(name)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The zone that a person means: its name, or an end of it that no other has.
pub fn zone_called<'a>(zones: &'a [String], text: &str) -> Option<&'a String> {
    if let Some(exact) = zones.iter().find(|zone| *zone == text) {
        return Some(exact);
    }
    let mut ends = zones.iter().filter(|zone| !text.is_empty() && zone.ends_with(text));
    let first = ends.next()?;
    ends.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn layout(agents_per_zone: u8) -> Layout {
        Layout {
            folder: "/d".into(),
            port: 7400,
            runtime: RuntimeKind::Process,
            agents_per_zone,
            cpu_units: 6144,
            memory_mib: 12_000,
            host_offset: 0,
            log: "info".into(),
        }
    }

    #[test]
    fn members_and_agents_have_ports_addresses_and_shares() {
        let specs = layout(2).specs();
        let names: Vec<&str> = specs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "i-a1", "i-b1", "i-c1", "i-a2", "i-b2", "i-c2"]);
        assert_eq!(specs[1].endpoint.as_deref(), Some("http://127.0.0.1:7410"));
        assert_eq!(specs[4].zone, "us-local-1b");
        let has = |at: usize, flag: &str| specs[at].arguments.iter().any(|a| a == flag);
        assert!(has(1, "--peer-listen=127.0.0.1:7411"));
        assert!(has(4, "--servers=127.0.0.1:7410,127.0.0.1:7420,127.0.0.1:7400"));
        assert!(has(3, "--host-ip=127.74.0.11") && has(8, "--host-ip=127.74.0.16"));
        assert!(has(3, "--cpu=1024") && has(3, "--memory-mib=1500"));
    }

    /// What dev writes must be what server and agent read.
    #[test]
    fn the_arguments_parse() {
        for spec in layout(1).specs() {
            let parsed = Cli::try_parse_from([vec!["seawall".to_owned()], spec.arguments].concat()).unwrap();
            match (spec.role, parsed.command) {
                (Role::Server, Command::Server(args)) => assert_eq!(args.expect, 3),
                (Role::Agent, Command::Agent(args)) => assert_eq!(args.servers.len(), 3),
                (role, command) => panic!("{role:?} became {command:?}"),
            }
        }
    }

    #[test]
    fn a_zone_is_known_by_its_end() {
        let zones = layout(1).zones();
        assert_eq!(zone_called(&zones, "b"), Some(&zones[1]));
        assert_eq!(zone_called(&zones, "us-local-1c"), Some(&zones[2]));
        assert_eq!(zone_called(&zones, "d"), None);
        assert_eq!(zone_called(&zones, ""), None);
    }

    #[test]
    fn the_last_port_is_a_port() {
        assert!(Layout::ports_fit(65_514));
        assert!(!Layout::ports_fit(65_515));
        assert!(!Layout::ports_fit(0));
    }
}
