//! Readers of logs: as much as they take, no more, and an end for whoever leaves.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64},
};

use seawall_env::Instant;
use seawall_model::SessionId;
use seawall_proto::internal::v1::LogRecord;
use tokio::sync::Notify;

use super::*;
use crate::testing::OneMember;

const INSTANCE: InstanceId = InstanceId(7);
const ORDERS: usize = 64;

/// A session whose agent is the test.
fn session(member: &OneMember) -> (Arc<Live>, mpsc::Receiver<Order>) {
    let (log_orders, orders) = mpsc::channel(ORDERS);
    let live = Arc::new(Live {
        instance: INSTANCE,
        session: SessionId(1),
        run: 1,
        last_beat: Mutex::new(Instant::default()),
        boottime_ms: AtomicU64::new(0),
        granted: Mutex::default(),
        dirty: Mutex::default(),
        resync: AtomicBool::new(false),
        superseded: AtomicBool::new(false),
        acked: AtomicU64::new(0),
        logs: Mutex::default(),
        log_orders,
        wake: Notify::new(),
    });
    member.node.sessions.add(live.clone());
    (live, orders)
}

fn read_log(member: &OneMember) -> mpsc::Receiver<LogChunk> {
    let node = member.node.clone();
    let read = async move { read(&node, INSTANCE, MemberId(99), LogRequest::default()).await };
    member.run(read).expect("the session is here")
}

fn started(member: &OneMember, orders: &mut mpsc::Receiver<Order>) -> u64 {
    member.sim.run_for(std::time::Duration::from_millis(1));
    match orders.try_recv() {
        Ok(Order::Start(request)) => request.request_id,
        _ => panic!("the agent was not asked"),
    }
}

fn chunk(request_id: u64, line: &str, end: bool) -> LogChunk {
    let records = vec![LogRecord { line: line.as_bytes().to_vec().into(), ..LogRecord::default() }];
    LogChunk { request_id, records, end, ..LogChunk::default() }
}

fn credits(orders: &mut mpsc::Receiver<Order>) -> u32 {
    let credit = |order| match order {
        Order::Credit(credit) => credit.chunks,
        Order::Start(_) | Order::Cancel(_) => panic!("not a credit"),
    };
    std::iter::from_fn(|| orders.try_recv().ok()).map(credit).sum()
}

#[test]
fn the_agent_gets_credit_for_what_was_read_and_for_no_more() {
    let member = OneMember::new(1);
    let (live, mut orders) = session(&member);
    let mut reader = read_log(&member);
    let id = started(&member, &mut orders);
    (0..LOG_CHUNKS_AHEAD).for_each(|n| deliver(&live, chunk(id, &n.to_string(), false)));
    member.sim.run_for(std::time::Duration::from_secs(1));
    let queued = credits(&mut orders);
    assert!(queued as usize <= CHUNKS_WAITING + CHUNKS_A_CREDIT as usize, "{queued} for a reader that reads nothing");
    let read = member.run(async move {
        for _ in 0..LOG_CHUNKS_AHEAD {
            reader.recv().await.expect("a chunk");
        }
        reader
    });
    member.sim.run_for(std::time::Duration::from_secs(1));
    assert_eq!(queued + credits(&mut orders), LOG_CHUNKS_AHEAD as u32);
    drop(read);
}

#[test]
fn lines_come_in_order_and_the_end_ends_it() {
    let member = OneMember::new(2);
    let (live, mut orders) = session(&member);
    let mut reader = read_log(&member);
    let id = started(&member, &mut orders);
    for (line, end) in [("one", false), ("two", false), ("", true)] {
        deliver(&live, chunk(id, line, end));
    }
    let lines = member.run(async move {
        let mut lines = Vec::new();
        while let Some(chunk) = reader.recv().await {
            lines.extend(chunk.records.into_iter().map(|record| record.line.to_vec()));
        }
        lines
    });
    assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
    assert!(lock(&live.logs).is_empty());
    assert!(orders.try_recv().is_err(), "nobody is told to stop what has ended");
}

#[test]
fn a_reader_that_leaves_stops_the_agent() {
    let member = OneMember::new(3);
    let (live, mut orders) = session(&member);
    let reader = read_log(&member);
    let id = started(&member, &mut orders);
    drop(reader);
    member.sim.run_for(std::time::Duration::from_secs(1));
    assert!(matches!(orders.try_recv(), Ok(Order::Cancel(cancelled)) if cancelled == id));
    assert!(lock(&live.logs).is_empty());
    deliver(&live, chunk(id, "late", false));
}

#[test]
fn an_agent_that_sends_without_credit_loses_the_reader_and_nothing_else() {
    let member = OneMember::new(4);
    let (live, mut orders) = session(&member);
    let reader = read_log(&member);
    let id = started(&member, &mut orders);
    let sent = LOG_CHUNKS_AHEAD + CHUNKS_WAITING + 2;
    (0..sent).for_each(|_| deliver(&live, chunk(id, "x", false)));
    assert!(lock(&live.logs).is_empty());
    assert!(std::iter::from_fn(|| orders.try_recv().ok()).any(|order| matches!(order, Order::Cancel(_))));
    drop(reader);
}

#[test]
fn the_end_of_the_agents_stream_ends_its_readers() {
    let member = OneMember::new(6);
    let (live, mut orders) = session(&member);
    let mut reader = read_log(&member);
    started(&member, &mut orders);
    member.node.sessions.remove(&live);
    end_all(&live);
    let last = member.run(async move {
        let mut last = None;
        while let Some(chunk) = reader.recv().await {
            last = Some(chunk);
        }
        last
    });
    assert!(last.expect("a reason").error.contains("the agent's stream ended"));
}

#[test]
fn where_the_stream_is_not_held_the_reader_is_told() {
    let member = OneMember::new(5);
    let (node, me) = (member.node.clone(), member.node.identity.id());
    let error = member.run(async move { read(&node, InstanceId(1), me, LogRequest::default()).await }).err();
    assert!(error.expect("refused").message.contains("it is not connected"));
    let node = member.node.clone();
    let error = member.run(async move { read(&node, InstanceId(1), MemberId(99), LogRequest::default()).await }).err();
    assert!(error.expect("refused").message.contains("no member holds its stream"));
}
