//! What containers write, while they run and after.

use seawall_agent::runtime::{Fault, LogLines, LogQuery, Runtime};
use seawall_proto::internal::v1::LogRecord;

use crate::ground::Ground;

const LONG: usize = 150_000;

async fn read(ground: &Ground, task: seawall_model::TaskId, query: LogQuery) -> Vec<LogRecord> {
    let mut lines = ground.engine().logs(task, "app", query).await.unwrap().unwrap();
    rest(&mut lines).await
}

async fn rest(lines: &mut LogLines) -> Vec<LogRecord> {
    let mut records = Vec::new();
    while let Some(record) = lines.recv().await {
        records.push(record.unwrap());
    }
    records
}

fn text(record: &LogRecord) -> &str {
    std::str::from_utf8(&record.line).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_can_still_be_read() {
    let Some(ground) = Ground::new().await else { return };
    let line = "echo one; sleep 0.3; echo two >&2; sleep 0.3; echo three; printf four; exit 1";
    let task = ground.run(vec![ground.shell("app", line)]);
    ground.stopped(task).await;
    let all = read(&ground, task, LogQuery::default()).await;
    let mut seen: Vec<(&str, bool)> = all.iter().map(|r| (text(r), r.stderr)).collect();
    seen.sort();
    assert_eq!(seen, [("four", false), ("one", false), ("three", false), ("two", true)]);
    assert!(all.iter().all(|record| record.container == "app" && record.at_ms > 1_700_000_000_000));
    assert!(all.is_sorted_by_key(|record| record.at_ms));

    let last = read(&ground, task, LogQuery { tail: 2, ..Default::default() }).await;
    assert_eq!(last.iter().map(text).collect::<Vec<_>>(), ["three", "four"]);
    let since = LogQuery { since_ms: all[1].at_ms, ..Default::default() };
    assert_eq!(read(&ground, task, since).await.len(), 3, "to the millisecond");
    let followed = read(&ground, task, LogQuery { follow: true, ..Default::default() }).await;
    assert_eq!(followed.len(), 4, "a log of what has ended ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_followed_until_it_ends() {
    let Some(ground) = Ground::new().await else { return };
    let line = "i=0; while [ ! -e /tmp/end ]; do i=$((i+1)); echo line $i; sleep 0.1; done";
    let task = ground.run(vec![ground.shell("app", line)]);
    ground.running(task).await;
    let follow = LogQuery { follow: true, ..Default::default() };
    let mut lines = ground.engine().logs(task, "app", follow).await.unwrap().unwrap();
    for n in 1..=5 {
        assert_eq!(text(&lines.recv().await.unwrap().unwrap()), format!("line {n}"));
    }
    ground.end(task);
    let tail = rest(&mut lines).await;
    ground.stopped(task).await;
    assert!(tail.iter().map(text).enumerate().all(|(i, line)| line == format!("line {}", i + 6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_without_end_comes_in_parts_and_nothing_is_lost_to_a_slow_reader() {
    let Some(ground) = Ground::new().await else { return };
    let line = format!("head -c {LONG} /dev/zero | tr '\\0' x; echo; yes 0123456789 | head -n 20000");
    let task = ground.run(vec![ground.shell("app", &line)]);
    ground.stopped(task).await;
    let follow = LogQuery { follow: true, ..Default::default() };
    let mut lines = ground.engine().logs(task, "app", follow).await.unwrap().unwrap();
    let mut records = vec![lines.recv().await.unwrap().unwrap()];
    ground.eventually("the queue is full", async || (lines.len() == lines.max_capacity()).then_some(())).await;
    records.extend(rest(&mut lines).await);
    let long: Vec<usize> = records.iter().map(|r| r.line.len()).take_while(|length| *length > 10).collect();
    assert_eq!(long.iter().sum::<usize>(), LONG);
    assert!(long.iter().all(|length| *length <= 64 * 1024), "{long:?}");
    assert_eq!(records.len() - long.len(), 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_for_a_reader_that_has_gone() {
    let Some(ground) = Ground::new().await else { return };
    let assignment = ground.assignment(vec![ground.shell("app", "yes")]);
    let (task, spec) = (ground.assign(assignment.clone()), ground.spec(&assignment, 0));
    ground.running(task).await;
    for follow in [true, false] {
        let mut lines = ground.runtime.logs(&spec, LogQuery { follow, ..Default::default() }).await.unwrap();
        lines.recv().await.unwrap().unwrap();
        // Its sender ends with the reading; only the drop of the last one closes the queue.
        lines.close();
        let end =
            async || (lines.try_recv() == Err(tokio::sync::mpsc::error::TryRecvError::Disconnected)).then_some(());
        ground.eventually("the reading ends", end).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_nothing_is_an_error() {
    let Some(ground) = Ground::new().await else { return };
    let spec = ground.spec(&ground.assignment(vec![ground.sleeper("app")]), 0);
    let mut lines = ground.runtime.logs(&spec, LogQuery::default()).await.unwrap();
    assert_eq!(lines.recv().await.unwrap().unwrap_err().fault, Fault::Gone);
    assert!(lines.recv().await.is_none());
}
