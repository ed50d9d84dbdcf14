//! Registers: tags of clusters, written, read and compared-and-set by many clients through random members. Each value is
//! written once, and the registers in use change every few seconds, so that a history is judged in small parts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use seawall_proto::v1::{
    CreateClusterRequest, DescribeClustersRequest, ListTagsForResourceRequest, Tag, TagResourceRequest,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    client::{CallError, Clients, POLL, call},
    history::{Action, Operation, Outcome, Recorder, Stop},
};

/// Registers in use at one time.
const KEYS_AT_ONCE: u32 = 4;
/// How long a register is in use.
const WINDOW_S: u64 = 5;
/// Registers in one cluster: ECS allows 50 tags.
const KEYS_PER_CLUSTER: u32 = 40;
/// The client number of the reads after healing.
const FINAL_READER: u32 = u32::MAX;
/// Longest pause of a client between two operations: it bounds the load and the history.
const PAUSE_MAX_MS: u64 = 30;
/// Pause after an operation that was not ok.
const BACKOFF: Duration = Duration::from_millis(50);

/// A value with the version of what holds it.
pub type Versioned = (Option<u64>, i64);

/// Registers behind several members. The tests of this runner put broken ones in its place.
pub trait Registers: Clone + Send + Sync + 'static {
    /// How many members can be asked.
    fn members(&self) -> usize;
    /// Makes sure that `key` can be written.
    fn prepare(&self, member: usize, key: u32) -> impl Future<Output = Result<(), CallError>> + Send;
    /// The value now.
    fn read(&self, member: usize, key: u32) -> impl Future<Output = Result<Option<u64>, CallError>> + Send;
    /// The value now, and a version that changes with it.
    fn read_versioned(&self, member: usize, key: u32) -> impl Future<Output = Result<Versioned, CallError>> + Send;
    /// Sets the value; refused unless `version`, where there is one, is still right.
    fn write(
        &self,
        member: usize,
        key: u32,
        value: u64,
        version: Option<i64>,
    ) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// How much is done.
#[derive(Clone, Debug)]
pub struct Load {
    /// Clients at once.
    pub clients: u32,
    /// Ends them.
    pub stop: Stop,
    /// What they choose.
    pub seed: u64,
}

/// Lets clients work until they are stopped; they all write to `recorder`.
pub async fn run<R: Registers>(registers: R, recorder: Arc<Recorder>, load: Load) {
    let began = Instant::now();
    let values = Arc::new(AtomicU64::new(1));
    let mut clients = JoinSet::new();
    for id in 0..load.clients {
        let client = Client {
            id,
            registers: registers.clone(),
            recorder: Arc::clone(&recorder),
            values: Arc::clone(&values),
            rng: StdRng::seed_from_u64(load.seed ^ (u64::from(id) << 32)),
            prepared: None,
        };
        clients.spawn(client.work(began, load.stop.clone()));
    }
    while let Some(ended) = clients.join_next().await {
        // A client that panics would leave a short history that looks good.
        ended.expect("a client failed");
    }
}

/// Reads every register that was ever used through every member: what was acknowledged must still be there (G2). The reads
/// join the history; those that do not succeed before the deadline are returned.
pub async fn read_everything<R: Registers>(registers: &R, recorder: &Recorder, deadline: Duration) -> Vec<String> {
    let until = Instant::now() + deadline;
    let mut keys: Vec<u32> = recorder.operations().iter().map(|o| o.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut unread = Vec::new();
    for key in keys {
        for member in 0..registers.members() {
            let mut answer = read_once(registers, recorder, member, key).await;
            while answer.is_err() && Instant::now() < until {
                sleep(POLL).await;
                answer = read_once(registers, recorder, member, key).await;
            }
            unread.extend(answer.err().map(|error| format!("register {key} through member {}: {error}", member + 1)));
        }
    }
    unread
}

async fn read_once<R: Registers>(registers: &R, recorder: &Recorder, member: usize, key: u32) -> Result<(), CallError> {
    let invoked_ns = recorder.now_ns();
    let value = registers.read(member, key).await?;
    recorder.record(Operation {
        client: FINAL_READER,
        key,
        action: Action::Read(value),
        invoked_ns,
        completed_ns: recorder.now_ns(),
        outcome: Outcome::Ok,
        member: member_name(member),
        error: None,
    });
    Ok(())
}

fn member_name(member: usize) -> String {
    format!("s{}", member + 1)
}

struct Client<R> {
    id: u32,
    registers: R,
    recorder: Arc<Recorder>,
    values: Arc<AtomicU64>,
    rng: StdRng,
    /// The last key's cluster that is known to exist.
    prepared: Option<u32>,
}

impl<R: Registers> Client<R> {
    async fn work(mut self, began: Instant, stop: Stop) {
        while !stop.stopped() {
            let window = (began.elapsed().as_secs() / WINDOW_S) as u32;
            let key = window * KEYS_AT_ONCE + self.rng.random_range(0..KEYS_AT_ONCE);
            let member = self.rng.random_range(0..self.registers.members());
            let pause = match self.operate(member, key).await {
                Outcome::Ok => Duration::from_millis(self.rng.random_range(0..=PAUSE_MAX_MS)),
                Outcome::Fail | Outcome::Unknown => BACKOFF,
            };
            sleep(pause).await;
        }
    }

    async fn operate(&mut self, member: usize, key: u32) -> Outcome {
        let cluster = key / KEYS_PER_CLUSTER;
        if self.prepared != Some(cluster) {
            if let Err(error) = self.registers.prepare(member, key).await {
                return error.outcome;
            }
            self.prepared = Some(cluster);
        }
        match self.rng.random_range(0..20) {
            0..9 => self.read(member, key).await,
            9..17 => self.write(member, key).await,
            _ => self.compare_and_set(member, key).await,
        }
    }

    async fn read(&self, member: usize, key: u32) -> Outcome {
        let invoked_ns = self.recorder.now_ns();
        let answer = self.registers.read(member, key).await;
        let value = answer.as_ref().ok().copied().flatten();
        self.record(member, key, Action::Read(value), invoked_ns, answer.err())
    }

    async fn write(&self, member: usize, key: u32) -> Outcome {
        let value = self.new_value();
        let invoked_ns = self.recorder.now_ns();
        let answer = self.registers.write(member, key, value, None).await;
        self.record(member, key, Action::Write(value), invoked_ns, answer.err())
    }

    /// Two operations of the history: a read that tells the version, and a write that holds to it.
    async fn compare_and_set(&self, member: usize, key: u32) -> Outcome {
        let invoked_ns = self.recorder.now_ns();
        let (from, version) = match self.registers.read_versioned(member, key).await {
            Ok(versioned) => versioned,
            Err(error) => return self.record(member, key, Action::Read(None), invoked_ns, Some(error)),
        };
        self.record(member, key, Action::Read(from), invoked_ns, None);
        let to = self.new_value();
        let invoked_ns = self.recorder.now_ns();
        let answer = self.registers.write(member, key, to, Some(version)).await;
        self.record(member, key, Action::Cas { from, to }, invoked_ns, answer.err())
    }

    fn new_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed)
    }

    fn record(&self, member: usize, key: u32, action: Action, invoked_ns: u64, error: Option<CallError>) -> Outcome {
        let outcome = error.as_ref().map_or(Outcome::Ok, |error| error.outcome);
        self.recorder.record(Operation {
            client: self.id,
            key,
            action,
            invoked_ns,
            completed_ns: self.recorder.now_ns(),
            outcome,
            member: member_name(member),
            error: error.map(|error| error.message),
        });
        outcome
    }
}

/// The real ones: the tags of clusters.
#[derive(Clone)]
pub struct ClusterTags {
    clients: Clients,
    /// "arn:aws:ecs:REGION:ACCOUNT:cluster/".
    arn_prefix: String,
}

impl ClusterTags {
    /// Registers in the cluster that `clients` talk to.
    ///
    /// # Errors
    /// No member told region and account.
    pub async fn new(clients: Clients) -> Result<Self, CallError> {
        let status = clients.status(0, false).await?;
        let arn_prefix = format!("arn:aws:ecs:{}:{}:cluster/", status.region, status.account);
        Ok(ClusterTags { clients, arn_prefix })
    }

    fn arn(&self, key: u32) -> String {
        format!("{}{}", self.arn_prefix, cluster_name(key))
    }
}

fn cluster_name(key: u32) -> String {
    format!("registers-{}", key / KEYS_PER_CLUSTER)
}

fn tag_key(key: u32) -> String {
    format!("r{key}")
}

/// The register's value among `tags`; a tag that is no number was not written by us and reads as one that nobody wrote.
fn value_of(tags: &[Tag], key: u32) -> Option<u64> {
    let tag = tags.iter().find(|tag| tag.key.as_deref() == Some(&tag_key(key)))?;
    Some(tag.value.as_deref().and_then(|value| value.parse().ok()).unwrap_or(u64::MAX))
}

impl Registers for ClusterTags {
    fn members(&self) -> usize {
        self.clients.members()
    }

    async fn prepare(&self, member: usize, key: u32) -> Result<(), CallError> {
        let request = CreateClusterRequest { cluster_name: Some(cluster_name(key)), ..Default::default() };
        call(self.clients.ecs(member).create_cluster(request)).await?;
        Ok(())
    }

    async fn read(&self, member: usize, key: u32) -> Result<Option<u64>, CallError> {
        let request = ListTagsForResourceRequest { resource_arn: Some(self.arn(key)) };
        let answer = call(self.clients.ecs(member).list_tags_for_resource(request)).await?;
        Ok(value_of(&answer.tags, key))
    }

    async fn read_versioned(&self, member: usize, key: u32) -> Result<Versioned, CallError> {
        let request = DescribeClustersRequest { clusters: vec![cluster_name(key)], include: vec!["TAGS".into()] };
        let answer = call(self.clients.ecs(member).describe_clusters(request)).await?;
        let cluster = answer.clusters.into_iter().next().unwrap_or_default();
        Ok((value_of(&cluster.tags, key), cluster.version.unwrap_or_default()))
    }

    async fn write(&self, member: usize, key: u32, value: u64, version: Option<i64>) -> Result<(), CallError> {
        let tag = Tag { key: Some(tag_key(key)), value: Some(value.to_string()) };
        let request =
            TagResourceRequest { resource_arn: Some(self.arn(key)), tags: vec![tag], expected_version: version };
        call(self.clients.ecs(member).tag_resource(request)).await?;
        Ok(())
    }
}
