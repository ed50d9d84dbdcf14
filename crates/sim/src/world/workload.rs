//! Clients that write, read and watch all the time, through whichever member answers.

use std::{collections::BTreeSet, time::Duration};

use seawall_env::{Env, Task, TaskKind};
use seawall_model::ErrorCode;
use seawall_proto::v1::{
    Cluster, CreateClusterRequest, CreateClusterResponse, DescribeClustersRequest, DescribeClustersResponse, Position,
    ResourceKind, WatchEvent, WatchRequest, watch_event,
};
use seawall_server::simulated::{self, CallError, Options};
use tokio::sync::mpsc;

use super::{Ledger, World};

const CLIENT: TaskKind = TaskKind::vital("client");
/// Between two calls of one client.
const PAUSE: Duration = Duration::from_millis(50);
/// A client's patience.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Of every cluster that the workload makes.
const PREFIX: &str = "w-";

/// Clients at work. They stop when this is dropped.
pub struct Workload {
    writers: Vec<Task>,
    readers: Vec<Task>,
}

impl Workload {
    /// Nothing is written any more; readers and watchers go on, and may catch up.
    pub fn stop_writing(&self) {
        self.writers.iter().for_each(Task::abort);
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.writers.iter().chain(&self.readers).for_each(Task::abort);
    }
}

impl World {
    /// Starts a writer, a reader and a watcher at each member, and a watcher that goes from one to the next.
    pub fn start_workload(&self) -> Workload {
        let addresses: Vec<String> = self.members().values().map(|node| node.client_address()).collect();
        let client = |addresses: &[String]| Client {
            env: self.client().clone(),
            addresses: addresses.to_vec(),
            ledger: self.ledger().clone(),
        };
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        for address in &addresses {
            writers.push(self.client().spawn(CLIENT, client(std::slice::from_ref(address)).write()));
            readers.push(self.client().spawn(CLIENT, client(std::slice::from_ref(address)).read()));
            readers.push(self.client().spawn(CLIENT, client(std::slice::from_ref(address)).watch(address.clone())));
        }
        readers.push(self.client().spawn(CLIENT, client(&addresses).watch("anywhere".into())));
        Workload { writers, readers }
    }
}

struct Client {
    env: Env,
    addresses: Vec<String>,
    ledger: Ledger,
}

impl Client {
    fn address(&self) -> String {
        self.addresses[(self.env.random_u64() % self.addresses.len() as u64) as usize].clone()
    }

    fn options(&self) -> Options {
        Options { timeout: TIMEOUT, ..Options::default() }
    }

    /// Adds one cluster after the other; what is acknowledged is kept for ever.
    async fn write(self) {
        let address = self.address();
        let machine = address.split(':').next().unwrap_or_default();
        for n in 0.. {
            let name = format!("{PREFIX}{machine}-{n:06}");
            let request = CreateClusterRequest { cluster_name: Some(name.clone()), ..Default::default() };
            let answer: Result<CreateClusterResponse, CallError> =
                simulated::call(&self.env, &address, "CreateCluster", &request, self.options()).await;
            match answer {
                Ok(_) => self.ledger.acknowledge(&name),
                Err(_) => self.ledger.unknown(),
            }
            self.env.sleep(self.env.jitter(PAUSE)).await;
        }
    }

    /// Whatever was acknowledged before the question must be in the answer.
    async fn read(self) {
        loop {
            if let Some(name) = self.ledger.newest() {
                let request = DescribeClustersRequest { clusters: vec![name.clone()], ..Default::default() };
                let address = self.address();
                let answer: Result<DescribeClustersResponse, CallError> =
                    simulated::call(&self.env, &address, "DescribeClusters", &request, self.options()).await;
                match answer {
                    Ok(answer) if answer.clusters.len() == 1 => self.ledger.read(),
                    Ok(_) => {
                        self.ledger.broke(format!("{address} does not show {name}, which was acknowledged before"))
                    }
                    Err(_) => {}
                }
            }
            self.env.sleep(self.env.jitter(PAUSE)).await;
        }
    }

    /// Follows the changes of clusters over every break, as the client library does.
    async fn watch(self, name: String) {
        let mut at: Option<Position> = None;
        loop {
            let request = WatchRequest {
                kinds: vec![ResourceKind::Cluster.into()],
                after: at,
                list_first: at.is_none(),
                ..Default::default()
            };
            let address = self.address();
            tracing::debug!(name, address, ?at, "watching");
            match simulated::watch(&self.env, &address, &request).await {
                Ok(events) => self.follow(&name, events, &mut at).await,
                Err(error) => tracing::debug!(name, address, %error, "cannot watch"),
            }
            self.env.sleep(self.env.jitter(PAUSE)).await;
        }
    }

    async fn follow(
        &self,
        watch: &str,
        mut events: mpsc::Receiver<Result<WatchEvent, CallError>>,
        at: &mut Option<Position>,
    ) {
        let mut listing = at.is_none();
        let mut listed = BTreeSet::new();
        while let Some(event) = events.recv().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::debug!(watch, %error, "a watch ended");
                    if error.code() == Some(ErrorCode::OutOfRange) {
                        // The gap is announced: all is listed again.
                        *at = None;
                    }
                    return;
                }
            };
            let position = event.position.unwrap_or_default();
            if let Some(watch_event::Change::Cluster(cluster)) = &event.change {
                self.told(watch, cluster, position, *at, listing, &mut listed);
            }
            if listing {
                listing = !matches!(event.change, Some(watch_event::Change::Synced(_)));
                if listing {
                    continue;
                }
            }
            *at = Some(position);
        }
    }

    fn told(
        &self,
        watch: &str,
        cluster: &Cluster,
        position: Position,
        at: Option<Position>,
        listing: bool,
        listed: &mut BTreeSet<String>,
    ) {
        let name = cluster.cluster_name().to_owned();
        if name.starts_with(PREFIX) {
            self.ledger.watched(watch, &name);
        }
        let key = |p: Position| (p.epoch, p.index, p.ordinal);
        if !listing && at.is_some_and(|at| key(position) <= key(at)) {
            self.ledger.broke(format!("the watch at {watch} went from {at:?} back to {position:?}"));
        }
        if listing && !listed.insert(name.clone()) {
            self.ledger.broke(format!("the watch at {watch} listed {name} twice"));
        }
    }
}
