//! How long writes stop when the leader is lost: many kill -9 and many SIGSTOP of the leader under a steady load of small
//! durable writes, and the distribution of the longest time between two acknowledged writes.

use std::{
    fmt,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail};
use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    checker::write_gap::{Distribution, longest_gap_ns},
    client::Clients,
    cluster::{Cluster, Setup},
    history::{Recorder, Stop},
    nemesis::{self, Blow, Fault, Kind, Target, wait_for_members},
    runner,
    workload::register::{ClusterTags, Registers as _},
};

/// How long a silenced leader is stopped: several election timeouts and client deadlines.
const SILENCE: Duration = Duration::from_secs(2);
/// A killed one is started again after this.
const DOWN: Duration = Duration::from_secs(1);
/// Steady load between two faults.
const QUIET: Duration = Duration::from_secs(1);
/// After a write that failed.
const RETRY: Duration = Duration::from_millis(5);
/// A writer whose member failed uses another for this long.
const AWAY: Duration = Duration::from_secs(1);
/// Syncs that tell what the disk does on its own.
const SYNCS: usize = 200;
/// The register that is written.
const KEY: u32 = 0;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Kills, and silences.
    pub times: usize,
    /// Writers at once.
    pub clients: u32,
    /// The binary and the folder.
    pub setup: Setup,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Failover {
    /// Of this machine, which runs the load as well.
    pub cores: usize,
    /// Writers at once.
    pub clients: u32,
    /// 4 KiB written and synced by itself, in the folder that held the members' data.
    pub fdatasync: Option<Distribution>,
    /// Acknowledged writes.
    pub writes: usize,
    /// Of those.
    pub write_latency: Option<Distribution>,
    /// Longest gap from each kill -9 of the leader until it ran again.
    pub killed: Option<Distribution>,
    /// Longest gap while the leader was stopped.
    pub silenced: Option<Distribution>,
    /// Longest gap in the second after the lost leader came back.
    pub returned: Option<Distribution>,
    /// Gaps in order, for a program that compares two runs.
    pub killed_ms: Vec<u64>,
    /// The same for the silences.
    pub silenced_ms: Vec<u64>,
}

/// Measures. Dropping the future ends every process.
///
/// # Errors
/// The cluster did not start or did not come back from a fault.
pub async fn run(options: &Options) -> Result<Failover> {
    let fdatasync = measure_syncs(&options.setup.folder)?;
    let (mut cluster, clients, _) = runner::start(&options.setup).await?;
    let registers = ClusterTags::new(clients.clone()).await?;
    registers.prepare(0, KEY).await?;
    let clock = Arc::new(Recorder::default());
    let stop = Stop::default();
    let mut writers = JoinSet::new();
    for id in 0..options.clients as usize {
        writers.spawn(write(registers.clone(), Arc::clone(&clock), stop.clone(), id));
    }
    let mut windows = [Vec::new(), Vec::new()];
    for round in 0..options.times * 2 {
        let blow = if round % 2 == 0 { Blow::Kill } else { Blow::Stop };
        windows[round % 2].push(lose_leader(&mut cluster, &clients, &clock, blow).await?);
    }
    sleep(QUIET).await;
    stop.stop();
    let mut writes = Vec::new();
    while let Some(ended) = writers.join_next().await {
        writes.extend(ended?);
    }
    writes.sort_unstable();
    Ok(report(options, fdatasync, &windows, &writes))
}

/// Writes until told to stop: to a member of its own, and for a while to the next one when that fails. So the writers stay
/// spread over the members, and a member that is lost never has them all. (acknowledged, how long it took) of each write.
async fn write(registers: ClusterTags, clock: Arc<Recorder>, stop: Stop, id: usize) -> Vec<(u64, u64)> {
    let home = id % registers.members();
    let (mut member, mut away_until_ns) = (home, 0);
    let mut written = Vec::new();
    while !stop.stopped() {
        if clock.now_ns() >= away_until_ns {
            member = home;
        }
        let invoked_ns = clock.now_ns();
        if registers.write(member, KEY, id as u64, None).await.is_ok() {
            let now_ns = clock.now_ns();
            written.push((now_ns, now_ns - invoked_ns));
        } else {
            member = (member + 1) % registers.members();
            away_until_ns = clock.now_ns() + AWAY.as_nanos() as u64;
            sleep(RETRY).await;
        }
    }
    written
}

/// (lost, back) of one loss of the leader under quiet before and after.
async fn lose_leader(cluster: &mut Cluster, clients: &Clients, clock: &Recorder, blow: Blow) -> Result<(u64, u64)> {
    sleep(QUIET).await;
    let (kind, hold) = match blow {
        Blow::Kill => (Kind::Kill, DOWN),
        Blow::Stop => (Kind::Pause, SILENCE),
    };
    let fault = Fault { kind, target: Target::Leader, blow, hold, quiet: QUIET };
    let injected = nemesis::strike(cluster, clients, clock, &fault).await?;
    if let Some(problem) = wait_for_members(clients).await {
        bail!(problem);
    }
    let deaths = cluster.unexpected_deaths();
    if !deaths.is_empty() {
        bail!(deaths.join("; "));
    }
    Ok((injected.at_ns, injected.healed_ns))
}

fn report(
    options: &Options,
    fdatasync: Option<Distribution>,
    [killed, silenced]: &[Vec<(u64, u64)>; 2],
    writes: &[(u64, u64)],
) -> Failover {
    let acknowledged: Vec<u64> = writes.iter().map(|(at, _)| *at).collect();
    let end = acknowledged.last().copied().unwrap_or_default();
    let gaps = |windows: &[(u64, u64)]| -> Vec<u64> {
        windows.iter().map(|(lost, back)| longest_gap_ns(&acknowledged, *lost, *back, end)).collect()
    };
    let quiet = QUIET.as_nanos() as u64;
    let returns: Vec<(u64, u64)> = killed.iter().chain(silenced).map(|(_, back)| (*back, back + quiet)).collect();
    let ms = |gaps: Vec<u64>| gaps.into_iter().map(|ns| ns / 1_000_000).collect();
    Failover {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        clients: options.clients,
        fdatasync,
        writes: writes.len(),
        write_latency: Distribution::of_ns(writes.iter().map(|(_, took)| *took).collect()),
        killed: Distribution::of_ns(gaps(killed)),
        silenced: Distribution::of_ns(gaps(silenced)),
        returned: Distribution::of_ns(gaps(&returns)),
        killed_ms: ms(gaps(killed)),
        silenced_ms: ms(gaps(silenced)),
    }
}

/// What a write and a sync cost here without anything of ours.
fn measure_syncs(folder: &Path) -> Result<Option<Distribution>> {
    let path = folder.join("sync-probe");
    let mut file = File::create(&path)?;
    let mut took = Vec::new();
    for _ in 0..SYNCS {
        let began = std::time::Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(began.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(path)?;
    Ok(Distribution::of_ns(took))
}

impl fmt::Display for Failover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |d: &Option<Distribution>| d.as_ref().map_or("not measured".to_owned(), ToString::to_string);
        writeln!(f, "three members and {} writers on one machine of {} cores, real syncs", self.clients, self.cores)?;
        writeln!(f, "4 KiB write and fdatasync, alone: {}", line(&self.fdatasync))?;
        writeln!(f, "{} writes acknowledged: {}", self.writes, line(&self.write_latency))?;
        writeln!(f, "longest write gap, leader killed -9:  {}", line(&self.killed))?;
        writeln!(f, "longest write gap, leader silenced:   {}", line(&self.silenced))?;
        writeln!(f, "longest write gap when it came back:  {}", line(&self.returned))?;
        writeln!(f, "killed, in order: {:?} ms", self.killed_ms)?;
        writeln!(f, "silenced, in order: {:?} ms", self.silenced_ms)
    }
}
