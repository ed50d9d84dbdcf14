//! What `seawall server` is told. The CLI fills it from flags, environment and file; nothing here reads any of them.

use std::{path::PathBuf, time::Duration};

use seawall_model::{is_region, is_zone};
use seawall_proto::internal::v1::Limits;
use seawall_scheduler::Fargate;
use seawall_state::DEFAULT_LIMITS;

/// Settings of one member.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The member's name, unique in the cluster.
    pub name: String,
    /// Its zone. Fixed once the data folder holds a member.
    pub zone: String,
    /// Log, vote, snapshots, identity and the local socket.
    pub data_dir: PathBuf,
    /// Where clients and agents are served ("127.0.0.1:7400"; port 0 is a free one).
    pub listen: String,
    /// Where peers are served.
    pub peer_listen: String,
    /// What others dial for `listen`; itself when absent.
    pub advertise: Option<String>,
    /// What others dial for `peer_listen`; itself when absent.
    pub peer_advertise: Option<String>,
    /// Peer addresses of the members to form a cluster with or to join.
    pub join: Vec<String>,
    /// How many must answer "empty" before a new cluster forms.
    pub expect: usize,
    /// The 32-byte secret that peers and agents trust each other by.
    pub secret_file: PathBuf,
    /// Of the ARNs of a cluster that is formed; afterwards it lives in state.
    pub region: String,
    /// Account number in the ARNs of a cluster that is formed.
    pub account: String,
    /// Limits of a cluster that is formed; afterwards they live in state.
    pub limits: Limits,
    /// TLS for clients.
    pub tls: TlsMode,
    /// Serve clients without keys beyond loopback, and without TLS where they ask so.
    pub insecure: bool,
    /// Raft's heartbeat.
    pub heartbeat_ms: u64,
    /// Shortest election timeout.
    pub election_min_ms: u64,
    /// Longest election timeout.
    pub election_max_ms: u64,
    /// An agent that is silent for this long is lost.
    pub lease_ms: u64,
    /// How often an agent says that it lives.
    pub beat_ms: u64,
    /// An instance that is silent for this long is deregistered.
    pub forget_after: Duration,
    /// Replacement is held when too many instances outside one zone fall silent at once, at most for this long.
    pub mass_loss_hold: Duration,
    /// Tasks that are moved to a better place in a minute at most, in all clusters. 0: none is.
    pub moves_per_minute: u32,
    /// With less room than this on the data folder's disk, writes that grow state are refused; with less than half of it no
    /// snapshot is begun.
    pub disk_reserve_bytes: u64,
    /// Members of requests that are stored without effect where they would be refused.
    pub accept_inert: Vec<String>,
    /// What serves tasks for FARGATE.
    pub fargate: Fargate,
    /// Told to the others, for display.
    pub version: String,
}

/// TLS for clients. Peers and agents always speak it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Both are served: TLS with a certificate of the cluster's own CA, and plain text where that is allowed.
    Auto,
    /// A certificate chain and key in PEM files.
    Files(PathBuf, PathBuf),
}

/// Of every interval and timeout.
const TIMES_MS: std::ops::RangeInclusive<u64> = 10..=600_000;
const FORGET_AFTER_MAX: Duration = Duration::from_secs(365 * 86_400);

impl ServerConfig {
    /// Defaults for a member called `name` in `zone`.
    pub fn new(name: &str, zone: &str, data_dir: PathBuf, secret_file: PathBuf) -> Self {
        ServerConfig {
            name: name.into(),
            zone: zone.into(),
            data_dir,
            listen: "127.0.0.1:7400".into(),
            peer_listen: "127.0.0.1:7401".into(),
            advertise: None,
            peer_advertise: None,
            join: Vec::new(),
            expect: 1,
            secret_file,
            region: seawall_model::DEFAULT_REGION.into(),
            account: seawall_model::DEFAULT_ACCOUNT_NUMBER.into(),
            limits: DEFAULT_LIMITS,
            tls: TlsMode::Auto,
            insecure: false,
            heartbeat_ms: 40,
            election_min_ms: 80,
            election_max_ms: 160,
            lease_ms: 3000,
            beat_ms: 1000,
            forget_after: Duration::from_secs(24 * 3600),
            mass_loss_hold: Duration::from_secs(600),
            moves_per_minute: 60,
            disk_reserve_bytes: 512 << 20,
            accept_inert: Vec::new(),
            fargate: Fargate::default(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// A sentence that names the flag and what to do.
    pub fn check(&self) -> Result<(), String> {
        if !is_zone(&self.zone) {
            return Err(format!(
                "--zone {:?}: a zone is 1 to 64 lower-case letters, digits and hyphens, such as a or us-local-1a",
                self.zone
            ));
        }
        if !seawall_model::is_ecs_name(&self.name) {
            return Err(format!("--name {:?}: use letters, digits, hyphens and underscores", self.name));
        }
        if !is_region(&self.region) {
            return Err(format!(
                "--region {:?}: a region looks like us-local-1 (Terraform holds ARNs against that form)",
                self.region
            ));
        }
        if self.account.len() != 12 || !self.account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(format!("--account {:?}: an account number has 12 digits", self.account));
        }
        for (flag, value) in [
            ("--heartbeat-ms", self.heartbeat_ms),
            ("--election-min-ms", self.election_min_ms),
            ("--election-max-ms", self.election_max_ms),
            ("--beat-ms", self.beat_ms),
            ("--lease-ms", self.lease_ms),
        ] {
            if !TIMES_MS.contains(&value) {
                return Err(format!("{flag} {value}: between {} and {} ms", TIMES_MS.start(), TIMES_MS.end()));
            }
        }
        if self.election_min_ms < 2 * self.heartbeat_ms || self.election_max_ms <= self.election_min_ms {
            return Err(format!(
                "election timeouts {}..{} ms do not fit a heartbeat of {} ms: the shortest must be twice the heartbeat, the longest above the shortest",
                self.election_min_ms, self.election_max_ms, self.heartbeat_ms
            ));
        }
        if self.forget_after > FORGET_AFTER_MAX {
            return Err(format!("--forget-after: at most {} days", FORGET_AFTER_MAX.as_secs() / 86_400));
        }
        let refused = seawall_rules::members::refused();
        if let Some(name) = self.accept_inert.iter().find(|name| !refused.contains(&name.as_str())) {
            let near = seawall_model::nearest(name, refused.iter().copied(), 3).join(", ");
            return Err(format!("--accept-inert {name}: no member of that name is refused (nearest: {near})"));
        }
        if self.lease_ms < 3 * self.beat_ms {
            return Err(format!(
                "--lease-ms {} is under three beats of {} ms: one lost message would lose an instance",
                self.lease_ms, self.beat_ms
            ));
        }
        if ![1, 3, 5].contains(&self.expect) {
            return Err(format!(
                "--expect {}: a cluster forms with 1, 3 or 5 members; more can join later",
                self.expect
            ));
        }
        Ok(())
    }
}
