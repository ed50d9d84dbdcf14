//! What a world begins with.

use seawall_agent::AgentConfig;
use seawall_server::{ServerConfig, simulated::Faults};

/// CPU units of a task unless a scenario says otherwise.
pub const TASK_CPU: i32 = 128;
/// Memory of one.
pub const TASK_MEMORY_MIB: i32 = 256;
/// What an instance has: room for sixteen such tasks.
const INSTANCE_CPU: u32 = 2048;
const INSTANCE_MEMORY_MIB: u32 = 4096;
const FOLDER: &str = "/data";

/// Machines and their settings.
pub struct Setup {
    /// Decides everything.
    pub seed: u64,
    /// Names and zones of members.
    pub members: Vec<(String, String)>,
    /// Names and zones of agents.
    pub agents: Vec<(String, String)>,
    /// Changes every member's settings.
    pub tune: fn(&mut ServerConfig),
    /// Of every member.
    pub faults: Faults,
}

impl Setup {
    /// Members s1 to s3 and agents a1 to a3, one of each in the zones a, b and c.
    pub fn three_zones(seed: u64) -> Setup {
        Setup::with(seed, &["a", "b", "c"], 1)
    }

    /// A member and so many agents in each zone.
    pub fn with(seed: u64, zones: &[&str], agents_a_zone: usize) -> Setup {
        let members = zones.iter().zip(1..).map(|(zone, n)| (format!("s{n}"), (*zone).to_owned())).collect();
        let places = (0..agents_a_zone).flat_map(|_| zones.iter());
        let agents = places.zip(1..).map(|(zone, n)| (format!("a{n}"), (*zone).to_owned())).collect();
        Setup { seed, members, agents, tune: |_| (), faults: Faults::default() }
    }

    pub(super) fn member_configs(&self) -> Vec<ServerConfig> {
        let join: Vec<String> = self.members.iter().map(|(name, _)| peer_address(name)).collect();
        let configs = self.members.iter().map(|(name, zone)| {
            let mut config = member_config(name, zone, &join);
            config.expect = self.members.len();
            (self.tune)(&mut config);
            config
        });
        configs.collect()
    }

    pub(super) fn agent_configs(&self) -> Vec<(String, AgentConfig)> {
        let servers: Vec<String> = self.members.iter().map(|(name, _)| client_address(name)).collect();
        self.agents.iter().map(|(name, zone)| (name.clone(), agent_config(zone, &servers))).collect()
    }
}

/// A member that joins or forms a cluster with the members at these peer addresses.
pub fn member_config(name: &str, zone: &str, join: &[String]) -> ServerConfig {
    let mut config = ServerConfig::new(name, zone, FOLDER.into(), "/secret".into());
    config.listen = client_address(name);
    config.peer_listen = peer_address(name);
    config.join = join.to_vec();
    config.expect = 3;
    config
}

/// An agent with room for sixteen tasks.
pub fn agent_config(zone: &str, servers: &[String]) -> AgentConfig {
    let mut config = AgentConfig::new("default", zone, FOLDER);
    config.servers = servers.to_vec();
    config.cpu_units = Some(INSTANCE_CPU);
    config.memory_mib = Some(INSTANCE_MEMORY_MIB);
    config.reserve_memory_mib = Some(0);
    config
}

pub(super) fn peer_address(member: &str) -> String {
    format!("{member}:7401")
}

pub(super) fn client_address(member: &str) -> String {
    format!("{member}:7400")
}
