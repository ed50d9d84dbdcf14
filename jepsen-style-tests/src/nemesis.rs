//! Faults from a seed, one after the other: what is chosen depends on the seed alone, whom it hits on who leads just then.
//! Between two faults the cluster gets time to heal, so that never more than one zone is down, except where all are killed
//! at once on purpose.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::{Rng as _, rngs::StdRng};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{
    client::{Clients, POLL},
    cluster::{Cluster, ZONES, zone_name},
    history::Recorder,
    process::Process,
};

/// A member that was started again must serve by then.
const RETURN_DEADLINE: Duration = Duration::from_secs(30);

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// kill -9 of members or an agent, and a start on the same folder.
    Kill,
    /// SIGSTOP and SIGCONT of a member.
    Pause,
    /// A zone's member and agents at once, killed (power) or stopped (cut).
    Zone,
}

impl Kind {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kill => "kill",
            Kind::Pause => "pause",
            Kind::Zone => "zone",
        }
    }
}

/// Whom a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The member that leads when the fault comes.
    Leader,
    /// The first or second of the others.
    Follower(usize),
    /// All members.
    All,
    /// The agent with this index.
    Agent(usize),
}

/// What is done to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub kind: Kind,
    /// Whom it hits.
    pub target: Target,
    /// How.
    pub blow: Blow,
    /// How long the target stays away.
    pub hold: Duration,
    /// How long the cluster is left alone afterwards.
    pub quiet: Duration,
}

impl Fault {
    /// The next fault of the given kinds.
    pub fn next(rng: &mut StdRng, kinds: &[Kind], agents: usize) -> Self {
        let kind = kinds[rng.random_range(0..kinds.len())];
        let member = match rng.random_range(0..4) {
            0 | 1 => Target::Leader,
            follower => Target::Follower(follower - 2),
        };
        let special = rng.random_range(0..8);
        let (target, blow, hold_ms) = match kind {
            Kind::Kill if special == 0 => (Target::All, Blow::Kill, 100..1_500),
            Kind::Kill if special < 3 && agents > 0 => {
                (Target::Agent(rng.random_range(0..agents)), Blow::Kill, 100..5_000)
            }
            Kind::Kill => (member, Blow::Kill, 100..3_000),
            Kind::Pause => (member, Blow::Stop, 200..5_000),
            Kind::Zone => (member, if special < 4 { Blow::Kill } else { Blow::Stop }, 3_500..9_000),
        };
        let hold = Duration::from_millis(rng.random_range(hold_ms));
        let quiet = Duration::from_millis(rng.random_range(1_000..4_000));
        Fault { kind, target, blow, hold, quiet }
    }
}

/// A fault that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Injected {
    /// Its kind.
    pub kind: Kind,
    /// Who was hit and how ("kill -9 of s2 (leader)").
    pub what: String,
    /// When, since the history began.
    pub at_ns: u64,
    /// When everything that was hit ran again.
    pub healed_ns: u64,
}

/// What the nemesis did and found.
#[derive(Debug, Default)]
pub struct Deeds {
    /// The faults, in order.
    pub injected: Vec<Injected>,
    /// Members that did not come back, and processes that ended by themselves.
    pub problems: Vec<String>,
}

/// Who is hit: indexes of members and agents.
struct Victims {
    members: Vec<usize>,
    agents: Vec<usize>,
    what: String,
}

/// Does faults until `until`, then leaves the cluster healed.
///
/// # Errors
/// A process could not be signalled or started again.
pub async fn run(
    cluster: &mut Cluster,
    clients: &Clients,
    clock: &Recorder,
    rng: &mut StdRng,
    kinds: &[Kind],
    until: Instant,
) -> Result<Deeds> {
    let mut deeds = Deeds::default();
    if kinds.is_empty() {
        tokio::time::sleep_until(until).await;
    }
    while Instant::now() < until && !kinds.is_empty() {
        let fault = Fault::next(rng, kinds, cluster.agents.len());
        sleep(fault.quiet).await;
        deeds.problems.extend(cluster.unexpected_deaths());
        deeds.injected.push(strike(cluster, clients, clock, &fault).await?);
        deeds.problems.extend(wait_for_members(clients).await);
    }
    deeds.problems.extend(cluster.unexpected_deaths());
    Ok(deeds)
}

/// Does one fault and undoes it.
///
/// # Errors
/// A process could not be signalled or started again.
pub async fn strike(cluster: &mut Cluster, clients: &Clients, clock: &Recorder, fault: &Fault) -> Result<Injected> {
    let victims = victims(cluster, clients, fault).await?;
    let at_ns = clock.now_ns();
    for process in chosen(cluster, &victims) {
        match fault.blow {
            Blow::Kill => process.kill()?,
            Blow::Stop => process.pause()?,
        }
    }
    sleep(fault.hold).await;
    for process in chosen(cluster, &victims) {
        match fault.blow {
            Blow::Kill => process.start()?,
            Blow::Stop => process.resume()?,
        }
    }
    Ok(Injected { kind: fault.kind, what: victims.what, at_ns, healed_ns: clock.now_ns() })
}

fn chosen<'a>(cluster: &'a mut Cluster, victims: &'a Victims) -> impl Iterator<Item = &'a mut Process> {
    let members = cluster.members.iter_mut().enumerate().filter(|(i, _)| victims.members.contains(i));
    let agents = cluster.agents.iter_mut().enumerate().filter(|(i, _)| victims.agents.contains(i));
    members.map(|(_, member)| member).chain(agents.map(|(_, (_, agent))| agent))
}

async fn victims(cluster: &Cluster, clients: &Clients, fault: &Fault) -> Result<Victims> {
    let names: Vec<String> = cluster.members.iter().map(|m| m.name.clone()).collect();
    let how = match fault.blow {
        Blow::Kill => "kill -9",
        Blow::Stop => "SIGSTOP",
    };
    let leader = match fault.target {
        Target::Leader | Target::Follower(_) => wait_for_leader(clients, &names).await?,
        Target::All | Target::Agent(_) => 0,
    };
    let (member, role) = match fault.target {
        Target::Leader => (leader, "leader"),
        Target::Follower(n) => ((leader + 1 + n) % ZONES, "follower"),
        Target::All => {
            return Ok(Victims {
                members: (0..ZONES).collect(),
                agents: vec![],
                what: format!("{how} of all members"),
            });
        }
        Target::Agent(agent) => {
            let what = format!("{how} of agent {}", cluster.agents[agent].1.name);
            return Ok(Victims { members: vec![], agents: vec![agent], what });
        }
    };
    let name = &names[member];
    let (agents, what) = match fault.kind {
        Kind::Zone => {
            let agents = (0..cluster.agents.len()).filter(|i| cluster.agents[*i].0 == member).collect();
            (agents, format!("{how} of zone {} ({name}, {role}, and its agents)", zone_name(member)))
        }
        Kind::Kill | Kind::Pause => (vec![], format!("{how} of {name} ({role})")),
    };
    Ok(Victims { members: vec![member], agents, what })
}

async fn wait_for_leader(clients: &Clients, names: &[String]) -> Result<usize> {
    let until = Instant::now() + RETURN_DEADLINE;
    while Instant::now() < until {
        if let Some(leader) = clients.leader(names).await {
            return Ok(leader);
        }
        sleep(POLL).await;
    }
    bail!("no leader for {RETURN_DEADLINE:?} with all members running")
}

/// Waits until each member serves a linearizable read; who does not.
pub async fn wait_for_members(clients: &Clients) -> Option<String> {
    let until = Instant::now() + RETURN_DEADLINE;
    for member in 0..clients.members() {
        while let Err(error) = clients.status(member, false).await {
            if Instant::now() > until {
                return Some(format!(
                    "member {} does not serve {RETURN_DEADLINE:?} after a fault: {error}",
                    member + 1
                ));
            }
            sleep(POLL).await;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn schedule(seed: u64, kinds: &[Kind]) -> Vec<Fault> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..200).map(|_| Fault::next(&mut rng, kinds, 3)).collect()
    }

    #[test]
    fn a_seed_names_its_schedule() {
        let kinds = [Kind::Kill, Kind::Pause, Kind::Zone];
        assert_eq!(schedule(7, &kinds), schedule(7, &kinds));
        assert_ne!(schedule(7, &kinds), schedule(8, &kinds));
    }

    #[test]
    fn every_target_is_hit_and_only_the_chosen_kinds_are_used() {
        let kills = schedule(1, &[Kind::Kill]);
        for target in [Target::Leader, Target::Follower(0), Target::Follower(1), Target::All, Target::Agent(2)] {
            assert!(kills.iter().any(|f| f.target == target), "{target:?}");
        }
        assert!(kills.iter().all(|f| f.kind == Kind::Kill && f.blow == Blow::Kill));
        let zones = schedule(1, &[Kind::Zone]);
        assert!(zones.iter().any(|f| f.blow == Blow::Kill) && zones.iter().any(|f| f.blow == Blow::Stop));
    }
}
