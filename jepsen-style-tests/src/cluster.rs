//! Three zones on this machine: in each a member and the agents, as processes of the real binary. The runner starts them
//! itself rather than through `seawall dev`, since it must decide when each of them comes back.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::StdRng};

use crate::process::Process;

/// Zones, and so members.
pub const ZONES: usize = 3;
/// Below the ports that the kernel gives to outgoing connections: one of those could take a dead member's port.
const PORTS: std::ops::Range<u16> = 20_000..30_000;
/// Attempts at finding a free port.
const PORT_ATTEMPTS_MAX: usize = 200;

/// What to run and where.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The binary under test.
    pub seawall: PathBuf,
    /// An empty folder for the data and logs of all processes.
    pub folder: PathBuf,
    /// Agents in each zone.
    pub agents_per_zone: usize,
}

/// The processes of a cluster. Dropping it ends them all.
pub struct Cluster {
    /// One a zone.
    pub members: Vec<Process>,
    /// Each with the index of its zone.
    pub agents: Vec<(usize, Process)>,
    /// Where each member serves clients, as it is dialled.
    pub endpoints: Vec<String>,
}

impl Cluster {
    /// Starts all processes. They are not ready yet: see `Clients::wait_until_ready`.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start(setup: &Setup) -> Result<Self> {
        // Not the run's seed: two runs with one seed may run at the same time.
        let mut rng = StdRng::from_os_rng();
        let secret = setup.folder.join("secret");
        write_secret(&secret, &mut rng)?;
        let listen = free_ports(ZONES, &mut rng)?;
        let peers = free_ports(ZONES, &mut rng)?;
        let mut cluster = Cluster {
            members: (0..ZONES).map(|zone| member(setup, &secret, zone, &listen, &peers)).collect(),
            agents: (0..ZONES * setup.agents_per_zone)
                .map(|i| (i % ZONES, agent(setup, &secret, i, &listen)))
                .collect(),
            endpoints: listen.iter().map(|address| format!("http://{address}")).collect(),
        };
        for process in cluster.members.iter_mut().chain(cluster.agents.iter_mut().map(|(_, agent)| agent)) {
            process.start()?;
        }
        Ok(cluster)
    }

    /// What is wrong with the processes that should run.
    pub fn unexpected_deaths(&mut self) -> Vec<String> {
        let agents = self.agents.iter_mut().map(|(_, agent)| agent);
        self.members.iter_mut().chain(agents).filter_map(Process::died_by_itself).collect()
    }
}

/// The name of the zone with index `zone`.
pub fn zone_name(zone: usize) -> String {
    format!("us-local-1{}", char::from(b'a' + u8::try_from(zone).unwrap_or(25)))
}

fn member(setup: &Setup, secret: &Path, zone: usize, listen: &[SocketAddr], peers: &[SocketAddr]) -> Process {
    let name = format!("s{}", zone + 1);
    let args = [
        ("--name", name.clone()),
        ("--zone", zone_name(zone)),
        ("--data-dir", setup.folder.join(&name).display().to_string()),
        ("--listen", listen[zone].to_string()),
        ("--peer-listen", peers[zone].to_string()),
        ("--join", comma_separated(peers)),
        ("--expect", ZONES.to_string()),
        ("--secret-file", secret.display().to_string()),
    ];
    process(setup, "server", &name, zone, &args)
}

fn agent(setup: &Setup, secret: &Path, index: usize, listen: &[SocketAddr]) -> Process {
    let zone = index % ZONES;
    let name = format!("i-{}{}", char::from(b'a' + u8::try_from(zone).unwrap_or(25)), index / ZONES + 1);
    let args = [
        ("--zone", zone_name(zone)),
        ("--instance-id", name.clone()),
        ("--data-dir", setup.folder.join(&name).display().to_string()),
        ("--servers", comma_separated(listen)),
        ("--secret-file", secret.display().to_string()),
        ("--runtime", "fake".into()),
    ];
    process(setup, "agent", &name, zone, &args)
}

fn process(setup: &Setup, role: &str, name: &str, zone: usize, flags: &[(&str, String)]) -> Process {
    let flags = flags.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
    let args = [role.to_owned(), "--lifeline".to_owned()].into_iter().chain(flags).collect();
    Process::new(name, &zone_name(zone), &setup.seawall, args, setup.folder.join(format!("{name}.log")))
}

fn comma_separated(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
}

/// The file that members and agents trust each other by; another mode than 0600 is refused.
fn write_secret(path: &Path, rng: &mut StdRng) -> Result<()> {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(&secret).context("cannot write the secret")
}

/// Ports that are free now; each stays bound until all are found, so that none is given twice.
fn free_ports(count: usize, rng: &mut StdRng) -> Result<Vec<SocketAddr>> {
    let mut bound = Vec::new();
    for _ in 0..PORT_ATTEMPTS_MAX {
        if bound.len() == count {
            break;
        }
        let address = SocketAddr::from(([127, 0, 0, 1], rng.random_range(PORTS)));
        bound.extend(TcpListener::bind(address).ok().map(|listener| (address, listener)));
    }
    if bound.len() < count {
        bail!("no {count} free ports in {PORTS:?} after {PORT_ATTEMPTS_MAX} attempts");
    }
    Ok(bound.into_iter().map(|(address, _)| address).collect())
}
