//! Read barriers: all that wait share a round, so that a thousand reads cost one question to the leader.
//!
//! A round begins only after those who wait for it have asked: its index is then not older than any of them.

use std::time::Duration;

use futures::FutureExt;
use openraft::{
    LinearizerOption, ReadPolicy,
    async_runtime::watch::WatchReceiver as _,
    errors::{LinearizableReadError, RaftError},
};
use prost::Message;
use seawall_env::{Env, Instant, net::Lane};
use seawall_model::MemberId;
use seawall_proto::internal::v1 as proto;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    Leadership, ReadError,
    network::{Cluster, method},
    raft::{Raft, TypeConfig},
};

/// Reads that may wait for the next round.
pub(crate) const READS_WAITING_MAX: usize = 8192;
/// One question to the leader; a new leader may answer the next.
const ROUND_MAX: Duration = Duration::from_millis(500);
/// Between two questions, where nobody leads or the leader did not answer.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// One read that waits for a round.
pub(crate) struct Waiting {
    pub deadline: Instant,
    pub answer: oneshot::Sender<Result<u64, ReadError>>,
}

/// Runs the rounds of one member.
pub(crate) struct Reads {
    pub env: Env,
    pub raft: Raft,
    pub cluster: Cluster,
    pub leadership: watch::Receiver<Leadership>,
    pub waiting: mpsc::Receiver<Waiting>,
}

/// An index that this leader knows to be committed, after a majority has confirmed that it leads.
pub(crate) async fn leader_read_index(
    raft: &Raft,
    timeout: Duration,
) -> Result<u64, RaftError<TypeConfig, LinearizableReadError<TypeConfig>>> {
    // Bounded by the request, not by the lease: an answer that is late is still an answer.
    let option = LinearizerOption::from(ReadPolicy::ReadIndex).with_wait_timeout(timeout);
    let linearizer = raft.get_read_linearizer(option).await?;
    Ok(linearizer.read_log_id().index())
}

impl Reads {
    /// Until nobody can ask any more.
    pub(crate) async fn run(mut self) {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            if waiting.is_empty() {
                match self.waiting.recv().await {
                    Some(read) => waiting.push(read),
                    None => return,
                }
            }
            while waiting.len() < READS_WAITING_MAX
                && let Ok(read) = self.waiting.try_recv()
            {
                waiting.push(read);
            }
            waiting = self.round(waiting).await;
        }
    }

    /// Those who must wait for another.
    async fn round(&mut self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        match self.read_index(&waiting).await {
            Some(index) => {
                waiting.into_iter().for_each(|read| tell(read, Ok(index)));
                Vec::new()
            }
            None => {
                let left = self.drop_late(waiting);
                if !left.is_empty() {
                    self.wait_for_change().await;
                }
                left
            }
        }
    }

    async fn read_index(&mut self, waiting: &[Waiting]) -> Option<u64> {
        let now = self.env.now();
        let last = waiting.iter().map(|w| w.deadline).max()?;
        let timeout = (last - now).min(ROUND_MAX);
        let leader = self.leadership.borrow_and_update().leader?;
        if leader.0 == *self.raft.node_id() {
            return self.env.timeout(timeout, leader_read_index(&self.raft, timeout)).await.ok()?.ok();
        }
        let asked = self.ask(leader, timeout);
        let mut changed = self.leadership.clone();
        tokio::select! {
            biased;
            index = asked => index,
            // Another leader may answer at once what this one, dead perhaps, never will.
            _ = changed.changed() => None,
        }
    }

    async fn ask(&self, leader: MemberId, timeout: Duration) -> Option<u64> {
        let address = self.raft.metrics().borrow_watched().membership_config.get_node(&leader.0)?.0.clone();
        let request = proto::ReadIndexRequest {
            timeout_ms: timeout.as_millis().max(1) as u32,
            to: Some(self.cluster.member(leader.0)),
        };
        let body = request.encode_to_vec().into();
        let answer = self.env.net().call(&address, Lane::Heartbeat, method::READ_INDEX, body, timeout).await.ok()?;
        let answer = proto::ReadIndexResponse::decode(answer).ok()?;
        (!answer.not_leader).then_some(answer.index)
    }

    fn drop_late(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let now = self.env.now();
        let leader = self.leadership.borrow().leader;
        let (left, late): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|read| read.deadline > now);
        late.into_iter().for_each(|read| tell(read, Err(ReadError::Deadline { leader })));
        left
    }

    async fn wait_for_change(&mut self) {
        let pause = self.env.sleep(self.env.jitter(RETRY_AFTER));
        let changed = self.leadership.changed().then(|ended| async move {
            if ended.is_err() {
                std::future::pending::<()>().await;
            }
        });
        futures::future::select(pause, Box::pin(changed)).await;
    }
}

fn tell(read: Waiting, answer: Result<u64, ReadError>) {
    // A reader that gave up has its answer.
    let _ = read.answer.send(answer);
}
