//! Appends and heartbeats to one member: one stream that lives as long as the connection.
//!
//! openraft starts over often: after a conflict, after an error, for each heartbeat. Each start is a session on the same
//! stream; answers to an earlier session are thrown away. A member that gives no sign for [`SILENCE_MAX`] loses the
//! stream, and the next session opens another.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use openraft::{
    RPCTypes,
    errors::{NetworkError, RPCError},
    raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult},
};
use prost::Message;
use seawall_env::{
    BoxFuture, Instant,
    net::{MessageReceiver, MessageSender, NetError},
};
use seawall_proto::internal::v1 as proto;

use super::{RaftRpcError, Route, method};
use crate::{codec, raft::TypeConfig};

/// Longest wait for a stream to open.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for the answer to an append: well over the slowest sync of a healthy disk.
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// Appends on their way to one member.
const PIPELINE_MAX: usize = 64;

type Opened = Result<(MessageSender, MessageReceiver), NetError>;

/// See the module.
pub(super) struct AppendLink {
    route: Route,
    open: Option<OpenStream>,
    /// Kept over sessions: a heartbeat's deadline is shorter than a handshake may take. Behind a lock only because
    /// openraft asks for `Sync`; nobody else has it.
    opening: Mutex<Option<Opening>>,
    session: u64,
}

struct Opening {
    future: BoxFuture<'static, Opened>,
    until: Instant,
}

struct OpenStream {
    outgoing: MessageSender,
    incoming: MessageReceiver,
    /// Since when nothing came back, while something should.
    waiting_since: Option<Instant>,
}

/// One start of openraft's.
struct Session<'s, S> {
    link: &'s mut AppendLink,
    input: S,
    input_ended: bool,
    /// Encoded, and not sent yet.
    next: Option<Bytes>,
    unanswered: VecDeque<()>,
    ended: bool,
}

/// What happened next in a session.
enum Step {
    Answer(Option<Bytes>),
    Sent,
    Request(Option<AppendEntriesRequest<TypeConfig>>),
    Closed,
    Silent,
}

impl AppendLink {
    pub(super) fn new(route: Route) -> Self {
        AppendLink { route, open: None, opening: Mutex::new(None), session: 0 }
    }

    /// Sends what `input` gives, and gives the answers.
    pub(super) async fn session<'s, S>(
        &'s mut self,
        mut input: S,
    ) -> Result<BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RaftRpcError>>, RaftRpcError>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        // Before the link: openraft waits out its backoff in its requests. A peer whose port is closed would otherwise be
        // dialed again and again without a pause.
        let first = input.next().await;
        if first.is_some() {
            self.connect().await?;
        }
        self.session += 1;
        let next = first.as_ref().map(|request| self.encode(request));
        let input_ended = first.is_none();
        let session = Session { link: self, input, input_ended, next, unanswered: VecDeque::new(), ended: false };
        Ok(stream::unfold(session, |mut session| async move {
            let answer = session.next_answer().await?;
            Some((answer, session))
        })
        .boxed())
    }

    async fn connect(&mut self) -> Result<(), RaftRpcError> {
        let now = self.route.env.now();
        let is_silent = |s: &OpenStream| s.waiting_since.is_some_and(|since| now - since >= SILENCE_MAX);
        if self.open.as_ref().is_some_and(|s| !is_silent(s)) {
            return Ok(());
        }
        self.open = None;
        let slot = self.opening.get_mut().expect("no panic while held");
        let opening = slot.get_or_insert_with(|| Opening {
            future: self.route.env.net().open(&self.route.address, self.route.lane, method::APPEND),
            until: now + OPEN_TIMEOUT,
        });
        let left = opening.until - now;
        let opened = self.route.env.timeout(left, &mut opening.future).await;
        *slot = None;
        let (outgoing, incoming) = opened
            .map_err(|_| self.route.timeout(RPCTypes::AppendEntries, OPEN_TIMEOUT))?
            .map_err(|e| self.route.error(RPCTypes::AppendEntries, e))?;
        self.open = Some(OpenStream { outgoing, incoming, waiting_since: None });
        Ok(())
    }

    fn encode(&self, request: &AppendEntriesRequest<TypeConfig>) -> Bytes {
        let message = proto::RaftAppendRequest {
            session: self.session,
            vote: Some(codec::vote_message(&request.vote)),
            previous: request.prev_log_id.as_ref().map(codec::log_id_message),
            leader_commit: request.leader_commit.as_ref().map(codec::log_id_message),
            entries: request.entries.iter().map(codec::entry_message).collect(),
        };
        message.encode_to_vec().into()
    }
}

impl<S> Session<'_, S>
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
{
    /// `None` once the input has ended and all of it is answered, or after an answer that ends the session.
    async fn next_answer(&mut self) -> Option<Result<StreamAppendResult<TypeConfig>, RaftRpcError>> {
        loop {
            let is_done = self.input_ended && self.next.is_none() && self.unanswered.is_empty();
            if self.ended || is_done {
                return None;
            }
            match self.step().await {
                Step::Sent => {}
                Step::Request(None) => self.input_ended = true,
                Step::Request(Some(request)) => self.next = Some(self.link.encode(&request)),
                Step::Answer(Some(bytes)) => {
                    if let Some(answer) = self.answer(bytes) {
                        return Some(answer);
                    }
                }
                Step::Answer(None) | Step::Closed => return Some(Err(self.broken())),
                Step::Silent => return Some(Err(self.silent())),
            }
        }
    }

    /// Answers first: a sender that does not read while it waits to send would wait for a receiver that does the same.
    async fn step(&mut self) -> Step {
        let Some(open) = self.link.open.as_mut() else {
            return Step::Closed;
        };
        let env = &self.link.route.env;
        let has_room = self.unanswered.len() < PIPELINE_MAX;
        let give_up_at = open.waiting_since.map(|since| since + SILENCE_MAX);
        tokio::select! {
            biased;
            answer = open.incoming.recv() => Step::Answer(answer),
            permit = open.outgoing.reserve(), if self.next.is_some() => match (permit, self.next.take()) {
                (Ok(permit), Some(bytes)) => {
                    permit.send(bytes);
                    self.unanswered.push_back(());
                    open.waiting_since.get_or_insert(env.now());
                    Step::Sent
                }
                _ => Step::Closed,
            },
            request = self.input.next(), if !self.input_ended && self.next.is_none() && has_room => {
                Step::Request(request)
            }
            () = env.sleep_until(give_up_at.unwrap_or_default()), if give_up_at.is_some() => Step::Silent,
        }
    }

    /// `None` where the answer is to an earlier session.
    fn answer(&mut self, bytes: Bytes) -> Option<Result<StreamAppendResult<TypeConfig>, RaftRpcError>> {
        use proto::raft_append_response::Kind;
        let answer = match proto::RaftAppendResponse::decode(bytes) {
            Ok(answer) => answer,
            Err(e) => return Some(Err(self.fail(self.link.route.malformed(e)))),
        };
        let is_mine = answer.session == self.link.session;
        if is_mine {
            self.unanswered.pop_front();
        }
        let now = self.link.route.env.now();
        if let Some(open) = &mut self.link.open {
            open.waiting_since = (!self.unanswered.is_empty()).then_some(now);
        }
        if !is_mine {
            return None;
        }
        let result = match answer.kind {
            Some(Kind::Matched(matched)) => return Some(Ok(Ok(matched.id.map(codec::log_id)))),
            Some(Kind::Conflict(id)) => StreamAppendError::Conflict(codec::log_id(id)),
            Some(Kind::HigherVote(vote)) => StreamAppendError::HigherVote(codec::vote(vote)),
            None => {
                let error = self.link.route.malformed(codec::Malformed("answer"));
                return Some(Err(self.fail(error)));
            }
        };
        self.end();
        Some(Ok(Err(result)))
    }

    /// Requests behind the one that ended the session are answered too, but nobody waits for that.
    fn end(&mut self) {
        self.ended = true;
        if let Some(open) = &mut self.link.open {
            open.waiting_since = None;
        }
    }

    fn fail(&mut self, error: RaftRpcError) -> RaftRpcError {
        self.ended = true;
        self.link.open = None;
        error
    }

    fn broken(&mut self) -> RaftRpcError {
        let text = format!("the append stream to {} broke", self.link.route.address);
        self.fail(RPCError::Network(NetworkError::from_string(text)))
    }

    fn silent(&mut self) -> RaftRpcError {
        let error = self.link.route.timeout(RPCTypes::AppendEntries, SILENCE_MAX);
        self.fail(error)
    }
}
