//! The network between simulated nodes: TCP as its users see it.
//!
//! A message takes its time, waits out a short cut (TCP sends again) and is lost with its connection in a long one. One
//! that is on its way arrives even when its sender has given up or died. A paused process accepts and does not answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::sync::{mpsc, oneshot};

use super::{
    core::{Core, NodeId, State},
    node::Node,
};
use crate::{
    BoxFuture, Env, TaskKind,
    net::{Caller, Handler, Lane, MessageReceiver, MessageSender, Net, NetError, STREAM_MESSAGES_WAITING},
};

/// The node on which packets travel: it is never paused, killed or slow.
pub(super) const NETWORK: NodeId = 0;
/// A packet's way where the test says nothing else.
const LATENCY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(1));
/// A lost packet is sent again after this.
const SENT_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// As in production, where keepalive closes a connection that is silent so long.
const BREAK_AFTER: Duration = Duration::from_secs(3);
const BREAK_AFTER_HEARTBEAT: Duration = Duration::from_millis(800);
/// As in production.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

const PACKET: TaskKind = TaskKind::request("packet");
const CALL: TaskKind = TaskKind::request("call handler");
const STREAM: TaskKind = TaskKind::request("stream handler");

/// Who is reachable how.
pub(super) struct Links {
    random: StdRng,
    served: BTreeMap<String, Served>,
    /// Pairs (from, to) between which nothing arrives.
    pub(super) cut: BTreeSet<(NodeId, NodeId)>,
    pub(super) latency: BTreeMap<(NodeId, NodeId), (Duration, Duration)>,
    /// How many of 1,000 packets are lost and sent again.
    pub(super) loss_permille: u32,
    /// By method: how many answers are still to be lost.
    pub(super) lost_replies: BTreeMap<&'static str, u32>,
}

#[derive(Clone)]
struct Served {
    node: NodeId,
    life: u64,
    handler: Arc<dyn Handler>,
}

impl Links {
    pub(super) fn new(seed: u64) -> Self {
        Links {
            random: StdRng::seed_from_u64(!seed),
            served: BTreeMap::new(),
            cut: BTreeSet::new(),
            latency: BTreeMap::new(),
            loss_permille: 0,
            lost_replies: BTreeMap::new(),
        }
    }

    pub(super) fn serve(&mut self, address: &str, node: &Node, handler: Arc<dyn Handler>) {
        self.served.insert(address.to_owned(), Served { node: node.id, life: node.life, handler });
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.served.retain(|_, served| served.node != node);
    }

    fn loses_reply(&mut self, method: &str) -> bool {
        match self.lost_replies.get_mut(method) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn travel_time(&mut self, from: NodeId, to: NodeId) -> Duration {
        let (least, most) = *self.latency.get(&(from, to)).unwrap_or(&LATENCY);
        let mut time = self.random.random_range(least..=most);
        while self.loss_permille > 0 && self.random.random_range(0..1000) < self.loss_permille.min(999) {
            time += SENT_AGAIN_AFTER;
        }
        time
    }
}

/// A node's way to the others.
pub(super) struct SimNet(pub(super) Node);

impl Net for SimNet {
    fn call(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, NetError>> {
        let (from, address) = (self.0.clone(), address.to_owned());
        Box::pin(async move {
            let (reply, replied) = oneshot::channel();
            let link = Link { core: from.core.clone(), from: from.clone(), break_after: break_after(lane) };
            link.spawn_packet(link.clone().carry_call(address, method, body, reply));
            match from.env().timeout(timeout, replied).await {
                Ok(answer) => answer.unwrap_or_else(|_| Err(NetError::Broken("the connection was cut".into()))),
                Err(_) => Err(NetError::Timeout(timeout)),
            }
        })
    }

    fn open(
        &self,
        address: &str,
        lane: Lane,
        method: &'static str,
    ) -> BoxFuture<'static, Result<(MessageSender, MessageReceiver), NetError>> {
        let (from, address) = (self.0.clone(), address.to_owned());
        Box::pin(async move {
            let (reply, replied) = oneshot::channel();
            let link = Link { core: from.core.clone(), from: from.clone(), break_after: break_after(lane) };
            link.spawn_packet(link.clone().carry_stream(address, method, reply));
            match from.env().timeout(OPEN_TIMEOUT, replied).await {
                Ok(answer) => answer.unwrap_or_else(|_| Err(NetError::Broken("the connection was cut".into()))),
                Err(_) => Err(NetError::Timeout(OPEN_TIMEOUT)),
            }
        })
    }
}

fn break_after(lane: Lane) -> Duration {
    match lane {
        Lane::Heartbeat => BREAK_AFTER_HEARTBEAT,
        Lane::Main | Lane::Snapshot => BREAK_AFTER,
    }
}

/// What a packet needs to travel. `from` dialed.
#[derive(Clone)]
struct Link {
    core: Arc<Core>,
    from: Node,
    break_after: Duration,
}

type Opened = Result<(MessageSender, MessageReceiver), NetError>;

impl Link {
    fn network(&self) -> Env {
        Node { core: self.core.clone(), id: NETWORK, life: 0 }.env()
    }

    fn spawn_packet(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.network().spawn(PACKET, work);
    }

    /// The call's way there and back. Dropping `reply` breaks it.
    async fn carry_call(
        self,
        address: String,
        method: &'static str,
        body: Bytes,
        reply: oneshot::Sender<Result<Bytes, NetError>>,
    ) {
        let Some(served) = self.reach(&address).await else {
            // Nobody may wait any more.
            let _ = reply.send(Err(refused_connection(address)));
            return;
        };
        self.core.lock().record(&body);
        let caller = self.caller();
        let (done, result) = oneshot::channel();
        let target = Node { core: self.core.clone(), id: served.node, life: served.life }.env();
        target.spawn(CALL, async move {
            let answer = if served.handler.handles(method) {
                served.handler.call(caller, method.to_owned(), body).await
            } else {
                Err(NetError::Refused(format!("nobody answers {method}")))
            };
            // The caller may have given up.
            let _ = done.send(answer);
        });
        let answer = match result.await {
            Ok(_) if self.core.lock().links.loses_reply(method) => Err(NetError::Broken("the answer was lost".into())),
            Ok(answer) => answer.map_err(on_the_wire),
            Err(_) => Err(NetError::Broken("the process ended".into())),
        };
        if !self.hop(served.node, self.from.id).await {
            return;
        }
        if let Ok(bytes) = &answer {
            self.core.lock().record(bytes);
        }
        // The caller may have given up.
        let _ = reply.send(answer);
    }

    /// The stream's opening, then its messages until it ends.
    async fn carry_stream(self, address: String, method: &'static str, reply: oneshot::Sender<Opened>) {
        let Some(served) = self.reach(&address).await else {
            // Nobody may wait any more.
            let _ = reply.send(Err(refused_connection(address)));
            return;
        };
        let (there, incoming) = mpsc::channel(STREAM_MESSAGES_WAITING);
        let (outgoing, from_there) = mpsc::channel(STREAM_MESSAGES_WAITING);
        let (accepted, is_accepted) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let (caller, node) = (self.caller(), served.node);
        let target = Node { core: self.core.clone(), id: served.node, life: served.life }.env();
        target.spawn(STREAM, answer_stream(served.handler, caller, method, incoming, outgoing, accepted, end));
        let accepted = is_accepted.await.unwrap_or_else(|_| Err(NetError::Broken("the process ended".into())));
        if !self.hop(node, self.from.id).await {
            return;
        }
        if let Err(error) = accepted {
            // The caller may have given up.
            let _ = reply.send(Err(on_the_wire(error)));
            return;
        }
        let (here, received) = mpsc::channel(STREAM_MESSAGES_WAITING);
        let (sender, from_here) = mpsc::channel(STREAM_MESSAGES_WAITING);
        if reply.send(Ok((sender, received))).is_ok() {
            self.carry_messages(node, (from_here, there), (from_there, here), ended).await;
        }
    }

    /// Until the answering side has ended, the dialing side has dropped its receiver, or the link breaks. What the
    /// dialing side sends may end before.
    async fn carry_messages(
        &self,
        node: NodeId,
        up: (MessageReceiver, MessageSender),
        down: (MessageReceiver, MessageSender),
        ended: oneshot::Receiver<()>,
    ) {
        let mut broken = std::pin::pin!(self.broken(node));
        let mut down = std::pin::pin!(self.pump(node, self.from.id, down, Some(ended)));
        let mut up = std::pin::pin!(self.pump(self.from.id, node, up, None));
        let mut is_up_open = true;
        loop {
            tokio::select! {
                biased;
                () = &mut broken => return,
                _ = &mut down => return,
                intact = &mut up, if is_up_open => {
                    if !intact {
                        return;
                    }
                    is_up_open = false;
                }
            }
        }
    }

    /// Carries one direction's messages in their order; all that wait together travel together. False: the link broke.
    async fn pump(
        &self,
        from: NodeId,
        to: NodeId,
        (mut source, sink): (MessageReceiver, MessageSender),
        mut ended: Option<oneshot::Receiver<()>>,
    ) -> bool {
        let mut messages = Vec::with_capacity(STREAM_MESSAGES_WAITING);
        loop {
            let count = tokio::select! {
                biased;
                () = sink.closed() => return true,
                count = source.recv_many(&mut messages, STREAM_MESSAGES_WAITING) => count,
                () = end_of(&mut ended) => {
                    source.close();
                    continue;
                }
            };
            if !self.hop(from, to).await {
                return false;
            }
            if count == 0 {
                return true;
            }
            for message in messages.drain(..) {
                self.core.lock().record(&message);
                if sink.send(message).await.is_err() {
                    return true;
                }
            }
        }
    }

    /// Travels to whoever serves `address`; `None` where nobody does. An address that nobody ever served is refused as
    /// fast as one on this node would be.
    async fn reach(&self, address: &str) -> Option<Served> {
        let to = self.core.lock().links.served.get(address).map(|served| served.node);
        let arrived = self.hop(self.from.id, to.unwrap_or(self.from.id)).await;
        let served = self.core.lock().links.served.get(address).cloned();
        if arrived {
            return served;
        }
        None
    }

    /// One packet's way. False: the link stayed cut until the connection broke.
    async fn hop(&self, from: NodeId, to: NodeId) -> bool {
        let mut changes = self.core.changes();
        let give_up = self.network().now() + self.break_after;
        loop {
            let (time, is_cut) = {
                let mut state = self.core.lock();
                (state.links.travel_time(from, to), state.links.cut.contains(&(from, to)))
            };
            if !is_cut {
                self.network().sleep(time).await;
                if !self.core.lock().links.cut.contains(&(from, to)) {
                    return true;
                }
            }
            let left = give_up - self.network().now();
            if left.is_zero() || self.network().timeout(left, changes.changed()).await.is_err() {
                return false;
            }
        }
    }

    /// Resolves when either side has not heard of the other for too long.
    async fn broken(&self, node: NodeId) {
        let mut changes = self.core.changes();
        loop {
            // Its sender is in the core, which this holds.
            if !is_silent(&self.core.lock(), self.from.id, node) {
                let _ = changes.changed().await;
                continue;
            }
            let again = async {
                while is_silent(&self.core.lock(), self.from.id, node) {
                    let _ = changes.changed().await;
                }
            };
            if self.network().timeout(self.break_after, again).await.is_err() {
                return;
            }
        }
    }

    fn caller(&self) -> Caller {
        let state = self.core.lock();
        let node = &state.nodes[self.from.id];
        Caller { certificate_name: node.certificate_name.clone(), address: node.name.clone() }
    }
}

fn is_silent(state: &State, a: NodeId, b: NodeId) -> bool {
    let cut = &state.links.cut;
    cut.contains(&(a, b)) || cut.contains(&(b, a)) || state.nodes[a].paused || state.nodes[b].paused
}

/// The answering side. As over gRPC: a handler that refuses at once refuses the stream itself.
async fn answer_stream(
    handler: Arc<dyn Handler>,
    caller: Caller,
    method: &'static str,
    incoming: MessageReceiver,
    outgoing: MessageSender,
    accepted: oneshot::Sender<Result<(), NetError>>,
    end: oneshot::Sender<()>,
) {
    if !handler.handles(method) {
        // The caller may have given up.
        let _ = accepted.send(Err(NetError::Refused(format!("nobody answers {method}"))));
        return;
    }
    let mut work = handler.open(caller, method.to_owned(), incoming, outgoing);
    let first = futures::poll!(work.as_mut());
    let refusal = match &first {
        std::task::Poll::Ready(Err(error)) => Err(error.clone()),
        _ => Ok(()),
    };
    // The caller may have given up.
    let _ = accepted.send(refusal);
    if first.is_pending()
        && let Err(error) = work.await
    {
        tracing::debug!(method, %error, "a stream ended by an error");
    }
    drop(end);
}

/// The end of a handler; never where there is none to wait for.
async fn end_of(ended: &mut Option<oneshot::Receiver<()>>) {
    match ended {
        None => std::future::pending().await,
        Some(end) => {
            // Its sender is dropped, never used.
            let _ = end.await;
            *ended = None;
        }
    }
}

fn refused_connection(address: String) -> NetError {
    NetError::Unreachable { address, why: "connection refused".into() }
}

/// What is left of a handler's error after gRPC carried it.
fn on_the_wire(error: NetError) -> NetError {
    match error {
        NetError::Refused(why) => NetError::Refused(why),
        other => NetError::Broken(other.to_string()),
    }
}
