//! What an agent is told when it starts.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use seawall_model::{is_ecs_name, is_instance_id, is_zone, limits::ATTRIBUTES_MAX};

use crate::{
    error::AgentError,
    runtime::{GUARD_ATTRIBUTE, fake::FakeConfig},
};

/// Characters of an instance's id, and of an attribute's name or value: what the cluster takes.
const CHARS_MAX: usize = 128;

/// Settings of one agent; [`AgentConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The ECS cluster whose tasks it runs.
    pub cluster: String,
    /// Members to dial (`host:port`), until they tell of others.
    pub servers: Vec<String>,
    /// The zone this machine stands in.
    pub zone: String,
    /// `ec2InstanceId`; without it `mi-` and 17 hex digits of the machine id.
    pub instance_id: Option<String>,
    /// Where the agent keeps its identity and small state.
    pub data_dir: PathBuf,
    /// What runs the containers.
    pub runtime: RuntimeKind,
    /// The address ports are published on; without it all of the machine's.
    pub host_ip: Option<IpAddr>,
    /// Custom attributes of the instance.
    pub attributes: Vec<(String, String)>,
    /// The capacity provider whose instance it is.
    pub capacity_provider: Option<String>,
    /// CPU units to offer instead of 1,024 a core.
    pub cpu_units: Option<u32>,
    /// Memory to offer instead of the machine's.
    pub memory_mib: Option<u32>,
    /// Members of task definitions that tasks do without where the runtime cannot honour them.
    pub accept_inert: Vec<String>,
    /// Memory kept back for the machine itself; without it the larger of 256 MiB and 5 %.
    pub reserve_memory_mib: Option<u32>,
    /// CPU units kept back for the machine itself.
    pub reserve_cpu_units: u32,
    /// TCP ports that no task gets.
    pub reserved_ports: Vec<u16>,
    /// UDP ports that no task gets.
    pub reserved_ports_udp: Vec<u16>,
    /// When images are pulled.
    pub image_pull: ImagePull,
    /// Credentials of registries in Docker's form; without it where they are by default.
    pub registry_config: Option<PathBuf>,
    /// The Docker engine's socket.
    pub docker_socket: PathBuf,
    /// The program that understands `shim` as its first argument: `seawall` itself.
    pub shim_exe: PathBuf,
    /// Told to the cluster, for display.
    pub version: String,
    /// Identifies this boot of the machine; without it the kernel's.
    pub boot_id: Option<String>,
    /// Stopped tasks whose containers are kept, so that their logs can still be read.
    pub stopped_tasks_kept: usize,
    /// How long a stopped task's containers are kept.
    pub stopped_task_kept_for: Duration,
}

impl AgentConfig {
    /// An agent of `cluster` in `zone` with everything else by default.
    pub fn new(cluster: impl Into<String>, zone: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        AgentConfig {
            cluster: cluster.into(),
            servers: Vec::new(),
            zone: zone.into(),
            instance_id: None,
            data_dir: data_dir.into(),
            runtime: RuntimeKind::Docker,
            host_ip: None,
            attributes: Vec::new(),
            capacity_provider: None,
            cpu_units: None,
            memory_mib: None,
            accept_inert: Vec::new(),
            reserve_memory_mib: None,
            reserve_cpu_units: 0,
            reserved_ports: DEFAULT_RESERVED_PORTS.to_vec(),
            reserved_ports_udp: Vec::new(),
            image_pull: ImagePull::Default,
            registry_config: None,
            docker_socket: PathBuf::from(DEFAULT_DOCKER_SOCKET),
            shim_exe: PathBuf::from("seawall"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: None,
            stopped_tasks_kept: 100,
            stopped_task_kept_for: Duration::from_secs(3600),
        }
    }

    /// Checks what the cluster would refuse.
    ///
    /// # Errors
    /// [`AgentError::Config`], naming the flag and what to do.
    pub(crate) fn check(&self) -> Result<(), AgentError> {
        let zone = (!is_zone(&self.zone)).then(|| {
            format!("--zone {:?}: a zone is 1 to 64 lower-case letters, digits and hyphens, such as a", self.zone)
        });
        let instance = self.instance_id.as_ref().filter(|id| !is_instance_id(id)).map(|id| {
            format!("--instance-id {id:?}: use 1 to {CHARS_MAX} letters, digits, hyphens, underscores and dots")
        });
        let provider = self.capacity_provider.as_ref().filter(|name| !is_ecs_name(name)).map(|name| {
            format!("--capacity-provider {name:?}: a name has 1 to 255 letters, digits, hyphens and underscores")
        });
        match zone.or(instance).or(provider).or_else(|| wrong_attributes(&self.attributes)) {
            Some(why) => Err(AgentError::Config(why)),
            None => Ok(()),
        }
    }
}

fn wrong_attributes(attributes: &[(String, String)]) -> Option<String> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Some(format!("--attributes: {} are given, an instance takes {ATTRIBUTES_MAX}", attributes.len()));
    }
    attributes.iter().find_map(|(name, value)| wrong_attribute(name, value))
}

/// By ECS's rules for PutAttributes.
fn wrong_attribute(name: &str, value: &str) -> Option<String> {
    let name_char = |c: char| c.is_ascii_alphanumeric() || "_-./\\".contains(c);
    let value_char = |c: char| name_char(c) || "@: ".contains(c);
    if name.starts_with("ecs.") {
        return Some(format!("--attributes {name}: names that begin with ecs. are the agent's own; choose another"));
    }
    if name == GUARD_ATTRIBUTE {
        return Some(format!("--attributes {name}: the agent says so itself where it can run a guard; choose another"));
    }
    if !(1..=CHARS_MAX).contains(&name.len()) || !name.chars().all(name_char) {
        return Some(format!("--attributes {name:?}: a name has 1 to {CHARS_MAX} letters, digits and _ - . / \\"));
    }
    if value.len() > CHARS_MAX || !value.chars().all(value_char) || value.trim() != value {
        return Some(format!(
            "--attributes {name}={value:?}: a value has up to {CHARS_MAX} letters, digits, inner spaces and _ - . / \\ @ :"
        ));
    }
    None
}

/// SSH, Docker's API and the ports of ECS's agent: what ECS reserves.
pub const DEFAULT_RESERVED_PORTS: [u16; 6] = [22, 2375, 2376, 51678, 51679, 51680];
/// Where Docker listens unless configured.
pub const DEFAULT_DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// What runs the containers.
#[derive(Clone, Debug)]
pub enum RuntimeKind {
    /// A Docker engine.
    Docker,
    /// Child processes of this machine.
    Process,
    /// Nothing: times drawn from a distribution.
    Fake(FakeConfig),
}

/// When images are pulled (`--image-pull`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ImagePull {
    /// Pulled for each start; the local copy is taken if that fails.
    #[default]
    Default,
    /// Pulled for each start; a failed pull fails the task.
    Always,
    /// Pulled once by this agent, then the local copy.
    Once,
    /// Pulled only where there is no local copy.
    PreferCached,
}

impl std::str::FromStr for ImagePull {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "default" => ImagePull::Default,
            "always" => ImagePull::Always,
            "once" => ImagePull::Once,
            "prefer-cached" => ImagePull::PreferCached,
            _ => return Err(format!("{text:?} is not one of default, always, once, prefer-cached")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> AgentConfig {
        AgentConfig::new("default", "a", "/d")
    }

    fn refusal(config: &AgentConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    fn with(name: &str, value: &str) -> AgentConfig {
        AgentConfig { attributes: vec![(name.into(), value.into())], ..config() }
    }

    #[test]
    fn what_the_cluster_would_refuse_is_refused_before() {
        config().check().unwrap();
        with("rack/r-1", "row 7: a@b").check().unwrap();
        with("gpu", "").check().unwrap();
        AgentConfig { instance_id: Some("i-0.a_b".into()), ..config() }.check().unwrap();
        assert!(refusal(&AgentConfig { zone: "Zone A".into(), ..config() }).starts_with("--zone \"Zone A\""));
        let spaced = AgentConfig { instance_id: Some("my host".into()), ..config() };
        assert!(refusal(&spaced).starts_with("--instance-id \"my host\""));
        assert!(refusal(&with("ecs.os-family", "DEBIAN")).contains("the agent's own"));
        assert!(refusal(&with("seawall.guard", "")).contains("can run a guard"));
        for (name, value) in [("", "v"), ("a b", "v"), ("a", " v"), ("a", "ü"), ("a", &"v".repeat(129))] {
            assert!(refusal(&with(name, value)).starts_with("--attributes"), "{name}={value}");
        }
        let many = (0..11).map(|place| (format!("a{place}"), String::new())).collect();
        assert!(refusal(&AgentConfig { attributes: many, ..config() }).contains("takes 10"));
    }
}
