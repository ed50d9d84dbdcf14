//! Speaks with a cluster through any of its members: the next address when one refuses or is a black hole, again while
//! nobody leads, never twice what must happen once.

pub mod address;
mod connect;
pub mod endpoint;
pub mod find;
pub mod pages;
mod raw;
mod refusal;
mod sign;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use seawall_env::{Elapsed, Env, Instant};
use seawall_model::ErrorCode;
use seawall_proto::v1::{ListClustersRequest, control_client::ControlClient, ecs_client::EcsClient};
use seawall_sigv4::Signer;
use serde::Serialize;
use tonic::{Request, Response, Status};

use crate::{
    args::Global,
    client::{address::Address, refusal::Verdict, sign::SigningChannel},
    failure::Failure,
    names,
};

/// Between two tries while nobody leads, or connections break.
const RETRY: Duration = Duration::from_millis(100);
/// An address that has not answered for so long is not waited for alone: it may be of a zone that is cut off.
const SILENT: Duration = Duration::from_millis(200);
/// Beyond the deadline that the member was told: its own answer says more than our giving up.
const GRACE: Duration = Duration::from_millis(500);
/// Largest answer: a page of described resources.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Metadata that asks for what the member knows by itself.
const STALE_KEY: &str = "x-seawall-stale";
/// Clusters named where one is unknown.
const CLUSTERS_SHOWN: usize = 5;

/// Whether a request may be sent again when a connection broke under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// Reads, and writes that have the same effect twice.
    Safe,
    /// A write that would happen twice.
    Never,
}

/// Clients of both services over one connection.
#[derive(Clone)]
pub struct Connection {
    /// ECS's operations.
    pub ecs: EcsClient<SigningChannel>,
    /// What Seawall has beyond them.
    pub control: ControlClient<SigningChannel>,
    /// The connection itself, for ECS's JSON.
    pub channel: SigningChannel,
    /// Whom it reaches.
    pub address: String,
}

/// A cluster, through any of its members.
pub struct Client {
    env: Env,
    addresses: Vec<Address>,
    tls: connect::Trust,
    signer: Option<Arc<Signer>>,
    stale: bool,
    answer_max: Duration,
    /// Which address to try first, and the connection to it; nothing awaits under it.
    current: Mutex<(usize, Option<Connection>)>,
}

impl Client {
    /// A client that has asked nobody yet.
    pub fn new(env: &Env, global: &Global, answer_max: Duration) -> Result<Self, Failure> {
        let data_dir = std::env::var_os("SEAWALL_DATA_DIR");
        let data_dir = data_dir.as_deref().map(std::path::Path::new);
        let addresses = address::choose(&global.addr, data_dir, |path| path.exists())?;
        Self::to(env, addresses, global, answer_max)
    }

    /// A client of the members at `addresses`.
    pub fn to(env: &Env, addresses: Vec<Address>, global: &Global, answer_max: Duration) -> Result<Self, Failure> {
        let tls = connect::Trust::load(env, global.ca_file.as_deref())?;
        let signer = sign::signer(|name| std::env::var(name).ok())?.map(Arc::new);
        let (env, stale) = (env.clone(), global.stale);
        Ok(Client { env, addresses, tls, signer, stale, answer_max, current: Mutex::default() })
    }

    /// Asks, and asks again where that is right, until `answer_max`.
    ///
    /// # Errors
    /// A refusal, nobody to ask, or an outcome that is unknown.
    pub async fn call<Q, A, F>(&self, again: Again, message: Q, ask: F) -> Result<A, Failure>
    where
        Q: Clone + Serialize,
        F: AsyncFn(Connection, Request<Q>) -> Result<Response<A>, Status>,
    {
        let deadline = self.env.now() + self.answer_max;
        let mut no_leader = None;
        loop {
            let connection = self.connection().await?;
            let address = connection.address.clone();
            let left = deadline - self.env.now();
            let request = self.request(message.clone(), left);
            let answer = self.env.timeout(left + GRACE, ask(connection, request)).await;
            let status = match answer {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded(""),
            };
            if refusal::judge(&status) == Verdict::Final(ErrorCode::ClusterNotFound) {
                return Err(self.unknown_cluster(&message, &status, &address).await);
            }
            let verdict = refusal::judge(&status);
            if verdict == Verdict::NoLeader {
                no_leader = Some(status.message().to_owned());
            }
            let after = self.after(again, &status, &address, deadline).await;
            after.map_err(|failure| match &no_leader {
                // The last try was cut short; an earlier one said what is the matter.
                Some(why) if verdict == Verdict::Broken && again != Again::Never => refusal::no_leader(why),
                _ => failure,
            })?;
        }
    }

    /// What follows a status that is no answer: another try, or the end.
    async fn after(&self, again: Again, status: &Status, address: &str, deadline: Instant) -> Result<(), Failure> {
        match refusal::judge(status) {
            Verdict::Final(code) => Err(self.refused(code, status, address)),
            Verdict::NoLeader => self.pause(deadline, || refusal::no_leader(status.message())).await,
            Verdict::Broken if again == Again::Never => {
                self.forget();
                Err(refusal::unknown_outcome(address))
            }
            Verdict::Broken => {
                let nobody = || refusal::nobody(&[(address.to_owned(), "no answer in time".to_owned())]);
                self.pause(deadline, nobody).await
            }
        }
    }

    fn refused(&self, code: ErrorCode, status: &Status, address: &str) -> Failure {
        let key = self.signer.as_ref().map(|signer| sign::shown(&signer.key_id)).unwrap_or_default();
        let of_key = refusal::of_key(code, status.message(), address, &key);
        of_key.unwrap_or_else(|| refusal::refused(code, status.message(), address))
    }

    /// The next try begins elsewhere, after a moment: a member that breaks off each time would be asked without end.
    ///
    /// # Errors
    /// `late`, where the moment would end after the deadline.
    async fn pause(&self, deadline: Instant, late: impl FnOnce() -> Failure) -> Result<(), Failure> {
        self.forget();
        if self.env.now() + RETRY >= deadline {
            return Err(late());
        }
        self.env.sleep(self.env.jitter(RETRY)).await;
        Ok(())
    }

    /// A stream broke: the next call begins elsewhere, after a moment.
    ///
    /// # Errors
    /// The member refused, which another would too.
    pub async fn after_broken_stream(&self, status: &Status) -> Result<(), Failure> {
        let address = self.lock().1.as_ref().map(|c| c.address.clone()).unwrap_or_default();
        match refusal::judge(status) {
            Verdict::Final(ErrorCode::OutOfRange | ErrorCode::Server) | Verdict::NoLeader | Verdict::Broken => {}
            Verdict::Final(code) => return Err(self.refused(code, status, &address)),
        }
        self.forget();
        self.env.sleep(self.env.jitter(RETRY)).await;
        Ok(())
    }

    fn request<Q>(&self, message: Q, left: Duration) -> Request<Q> {
        let mut request = Request::new(message);
        request.set_timeout(left);
        if self.stale {
            request.metadata_mut().insert(STALE_KEY, tonic::metadata::MetadataValue::from_static("true"));
        }
        request
    }

    /// A connection whose other end has just answered. An address that is silent for a moment is not waited for: the next
    /// one is tried beside it.
    pub async fn connection(&self) -> Result<Connection, Failure> {
        let first = {
            let current = self.lock();
            match &current.1 {
                Some(connection) => return Ok(connection.clone()),
                None => current.0,
            }
        };
        let count = self.addresses.len();
        let mut left = (0..count).map(|step| (first + step) % count);
        let mut opening = FuturesUnordered::new();
        let mut tried = Vec::new();
        loop {
            match left.next() {
                Some(at) => opening.push(async move {
                    (at, connect::open(&self.env, &self.addresses[at], &self.tls, self.signer.clone()).await)
                }),
                None if opening.is_empty() => return Err(refusal::nobody(&self.in_order(tried))),
                None => {}
            }
            match self.env.timeout(SILENT, opening.next()).await {
                Ok(Some((at, Ok(connection)))) => {
                    *self.lock() = (at, Some(connection.clone()));
                    return Ok(connection);
                }
                Ok(Some((at, Err(why)))) => tried.push((at, why)),
                Ok(None) | Err(Elapsed) => {}
            }
        }
    }

    /// Who was tried in vain, in the order of the addresses.
    fn in_order(&self, mut tried: Vec<(usize, String)>) -> Vec<(String, String)> {
        tried.sort();
        tried.into_iter().map(|(at, why)| (self.addresses[at].uri(), why)).collect()
    }

    /// The next call begins at the next address.
    fn forget(&self) {
        let mut current = self.lock();
        *current = ((current.0 + 1) % self.addresses.len().max(1), None);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (usize, Option<Connection>)> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn unknown_cluster(&self, message: &impl Serialize, status: &Status, address: &str) -> Failure {
        let listed = match self.connection().await {
            Ok(mut connection) => connection.ecs.list_clusters(ListClustersRequest::default()).await.ok(),
            Err(_) => None,
        };
        let Some(listed) = listed else {
            return refusal::refused(ErrorCode::ClusterNotFound, status.message(), address);
        };
        let listed = listed.into_inner().cluster_arns;
        let mut shown: Vec<&str> = listed.iter().take(CLUSTERS_SHOWN).map(|arn| names::short(arn)).collect();
        if listed.len() > CLUSTERS_SHOWN {
            shown.push("…");
        }
        cluster_not_found(message, address, &shown)
    }
}

/// The request says which cluster it asked for: a name may carry one of its own.
fn cluster_not_found(message: &impl Serialize, address: &str, known: &[&str]) -> Failure {
    let asked = serde_json::to_value(message).ok().and_then(|m| Some(m.get("cluster")?.as_str()?.to_owned()));
    let called = asked.map_or_else(|| "the cluster".to_owned(), |name| format!("cluster {:?}", names::short(&name)));
    Failure::refused(format!("{called} not found in {address} (clusters: {})", known.join(", ")))
        .next("seawall cluster ls")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use clap::Parser as _;
    use seawall_proto::v1::ListServicesRequest;

    use super::*;
    use crate::{args::Cli, context};

    /// How often a member is asked whose connection breaks under each request, and what is said in the end.
    async fn tries(again: Again) -> (u32, Failure) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Plain(listener.local_addr().unwrap().to_string());
        let global = Cli::try_parse_from(["seawall", "version"]).unwrap().global;
        let env = context::env_without_links();
        let client = Client::to(&env, vec![address], &global, 3 * RETRY).unwrap();
        let tries = Cell::new(0);
        let broken = async |_: Connection, _: Request<ListServicesRequest>| {
            tries.set(tries.get() + 1);
            Err::<Response<()>, _>(Status::unavailable("broken"))
        };
        tokio::select! {
            biased;
            ended = client.call(again, ListServicesRequest::default(), broken) => (tries.get(), ended.unwrap_err()),
            // It answers the probe of a new connection, if only by saying that it knows no such service.
            ended = async { axum::serve(listener, axum::Router::new()).await } => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn what_breaks_each_time_is_asked_again_after_a_pause_or_never() {
        let (count, failure) = tries(Again::Safe).await;
        assert!((2..20).contains(&count), "{count} tries: {failure}");
        let (count, failure) = tries(Again::Never).await;
        assert_eq!(count, 1);
        assert!(failure.what.ends_with("what was asked for may or may not have happened"), "{failure}");
    }

    #[test]
    fn an_unknown_cluster_is_named_with_those_there_are() {
        let request = ListServicesRequest { cluster: Some("prod".into()), ..Default::default() };
        let failure = cluster_not_found(&request, "https://10.0.0.5:7400", &["default", "staging"]);
        insta::assert_snapshot!(failure, @r#"cluster "prod" not found in https://10.0.0.5:7400 (clusters: default, staging). next: seawall cluster ls"#);
    }
}
