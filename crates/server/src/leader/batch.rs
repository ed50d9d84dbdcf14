//! One entry's worth of commands, from the proposer to the answers.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use seawall_consensus::ProposeError;
use seawall_model::{
    ApiError, ErrorCode,
    limits::{BATCH_BYTES, BATCH_COMMANDS},
};
use seawall_proto::{
    internal::v1::{Command, Reply, reply},
    v1::Failure,
};
use seawall_state::{State, error_of};
use tokio::sync::mpsc;
use tracing::debug;

use super::{
    proposer::{Job, What},
    wake::Subject,
};
use crate::{
    api::{Node, WriteError},
    metrics::Metrics,
    ops::{Outcome, Render},
};

/// A refusal found before anything was proposed.
pub(super) struct Refused(pub(super) ApiError);

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused(error)
    }
}

/// What one asker wants proposed.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) commands: Vec<Command>,
    pub(super) failures: Vec<Failure>,
    /// What the same write answered before: nothing is proposed again.
    pub(super) repeated: Vec<Reply>,
    /// What it lacks may only be held by proposals on their way.
    pub(super) rests_on_flight: bool,
    pub(super) render: Option<Render>,
    /// Members that the request uses and that are only stored.
    pub(super) stored: Vec<String>,
    /// Whose controller asks.
    pub(super) subject: Option<Subject>,
}

impl Asked {
    /// The encoded answer of a write that proposes nothing.
    pub(super) fn answered(mut self, state: &State) -> Result<Bytes, WriteError> {
        let repeated = std::mem::take(&mut self.repeated);
        self.rendered(state, repeated)
    }

    /// The encoded answer, from the state after the write.
    pub(super) fn rendered(self, state: &State, replies: Vec<Reply>) -> Result<Bytes, WriteError> {
        let Some(render) = self.render else { return Ok(Bytes::new()) };
        let outcome = Outcome { replies, failures: self.failures };
        Ok(render(state, &outcome)?.into())
    }
}

/// Commands that travel in one entry.
#[derive(Default)]
pub(super) struct Batch {
    commands: Vec<Command>,
    bytes: usize,
    /// Its number among those of the term.
    pub(super) flight: u64,
    /// Who asked, with the number of commands.
    askers: Vec<(usize, Asked, Option<Job>)>,
}

/// A batch that came to its end.
pub(super) struct Done {
    pub(super) flight: u64,
    pub(super) commands: Vec<Command>,
    pub(super) subjects: Vec<Subject>,
    /// What these assumed no longer holds: they are planned again.
    pub(super) again: Vec<Job>,
    /// Nothing of it was applied here.
    pub(super) is_lost: bool,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES || self.commands.len() >= BATCH_COMMANDS
    }

    pub(super) fn add(&mut self, mut asked: Asked, job: Option<Job>) {
        let commands = std::mem::take(&mut asked.commands);
        self.bytes += commands.iter().map(Message::encoded_len).sum::<usize>();
        self.askers.push((commands.len(), asked, job));
        self.commands.extend(commands);
    }

    /// Submits the entry and answers everyone in it.
    pub(super) async fn propose(self, node: Arc<Node>, term: u64, finished: mpsc::Sender<Done>) {
        let result = node.consensus.propose(self.commands.clone(), Some(term)).await;
        let subjects = self.askers.iter().filter_map(|(_, asked, _)| asked.subject).collect();
        let mut again = Vec::new();
        let is_lost = result.is_err();
        match result {
            Ok(proposed) => {
                let state = node.consensus.state();
                let mut replies = proposed.replies.into_iter();
                for (count, asked, job) in self.askers {
                    let own: Vec<Reply> = replies.by_ref().take(count).collect();
                    let Some(mut job) = job else { continue };
                    if own.iter().any(is_stale) {
                        job.tries += 1;
                        node.metrics.replanned();
                        again.push(job);
                    } else {
                        answer(&node.metrics, job, asked, &state.state, proposed.index, own);
                    }
                }
            }
            Err(error) => {
                debug!(%error, commands = self.commands.len(), "an entry was not applied here");
                let error = failure(error);
                self.askers.into_iter().filter_map(|(_, _, job)| job).for_each(|job| job.fail(error.clone()));
            }
        }
        // The proposer outlives every batch; if it has ended, the member is going down.
        let _ = finished.send(Done { flight: self.flight, commands: self.commands, subjects, again, is_lost }).await;
    }
}

fn failure(error: ProposeError) -> WriteError {
    match error {
        ProposeError::NotLeader { .. } => WriteError::NotLeader,
        ProposeError::Lost | ProposeError::Stopped => WriteError::Unknown,
        ProposeError::TooLarge { .. } => {
            WriteError::Refused(ApiError::new(ErrorCode::LimitExceeded, error.to_string()))
        }
    }
}

/// A placement that did not fit any more was not made at all: it is planned again, never returned to the client.
fn is_stale(reply: &Reply) -> bool {
    match &reply.kind {
        Some(reply::Kind::Stale(_)) => true,
        Some(reply::Kind::Placed(placed)) => placed.tasks.is_empty() && !placed.rejected.is_empty(),
        _ => false,
    }
}

fn answer(metrics: &Metrics, job: Job, asked: Asked, state: &State, index: u64, mut replies: Vec<Reply>) {
    // Whoever asked may have gone; the write has happened all the same.
    match job.what {
        What::Operation { answer, request } => {
            let refusal = replies.iter().find_map(refusal_of);
            let result = match refusal {
                Some(refusal) => Err(WriteError::Refused(refusal)),
                None => {
                    metrics.stored(&request.operation, &asked.stored);
                    asked.rendered(state, replies)
                }
            };
            let _ = answer.send(result);
        }
        What::Command { answer, .. } => {
            let _ = answer.send(Ok((index, replies.pop().unwrap_or_default())));
        }
    }
}

fn refusal_of(reply: &Reply) -> Option<ApiError> {
    let Some(reply::Kind::Refusal(refusal)) = &reply.kind else { return None };
    Some(error_of(refusal.clone()))
}
