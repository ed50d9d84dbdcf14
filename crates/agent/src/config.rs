//! What an agent is told when it starts.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use crate::runtime::fake::FakeConfig;

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
    /// CPU units to offer instead of 1,024 a core.
    pub cpu_units: Option<u32>,
    /// Memory to offer instead of the machine's.
    pub memory_mib: Option<u32>,
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
            cpu_units: None,
            memory_mib: None,
            reserve_memory_mib: None,
            reserve_cpu_units: 0,
            reserved_ports: DEFAULT_RESERVED_PORTS.to_vec(),
            reserved_ports_udp: Vec::new(),
            image_pull: ImagePull::Default,
            docker_socket: PathBuf::from(DEFAULT_DOCKER_SOCKET),
            shim_exe: PathBuf::from("seawall"),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: None,
            stopped_tasks_kept: 100,
            stopped_task_kept_for: Duration::from_secs(3600),
        }
    }
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
