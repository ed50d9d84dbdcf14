//! Logs that somebody reads through the cluster. Each reader has credit for so many chunks and gives more as it reads, so
//! that a slow one holds up neither the session nor the others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prost::Message;
use seawall_env::{Env, Task, TaskKind, net::MessageSender};
use seawall_proto::internal::v1::{AgentMessage, LogChunk, LogRecord, LogRequest, agent_message};
use tokio::sync::{Semaphore, mpsc};

use super::encode;
use crate::{
    engine::Engine,
    runtime::{LogLines, LogQuery, RuntimeResult},
    spec::task_id,
};

/// Readers at the same time on one instance.
const READERS_MAX: usize = 64;
/// Chunks that a reader gets before it has read any: as many as the member keeps for it.
const CREDIT: usize = seawall_model::limits::LOG_CHUNKS_AHEAD;
/// Lines and bytes of one chunk.
const CHUNK_RECORDS_MAX: usize = 512;
const CHUNK_BYTES_MAX: usize = 32 << 10;
/// Lines of several containers that wait to be sent.
const LINES_WAITING: usize = 256;

type Readers = Arc<Mutex<BTreeMap<u64, Reader>>>;

struct Reader {
    credit: Arc<Semaphore>,
    task: Option<Task>,
}

/// The readers of this session; they end with it.
pub(super) struct Logs {
    env: Env,
    out: MessageSender,
    readers: Readers,
}

impl Logs {
    pub(super) fn new(env: Env, out: MessageSender) -> Self {
        Logs { env, out, readers: Readers::default() }
    }

    /// Begins to send a log.
    pub(super) async fn start(&self, engine: &Engine, request: LogRequest) {
        let id = request.request_id;
        let credit = Arc::new(Semaphore::new(CREDIT));
        let sender = Sender { id, out: self.out.clone(), credit: credit.clone() };
        if lock(&self.readers).len() >= READERS_MAX {
            return self.fail(sender, format!("{READERS_MAX} readers of logs are connected already"));
        }
        let lines = match open(engine, &request).await {
            Ok(lines) => lines,
            Err(why) => return self.fail(sender, why),
        };
        lock(&self.readers).insert(id, Reader { credit, task: None });
        let (env, readers) = (self.env.clone(), self.readers.clone());
        let task = self.env.spawn(TaskKind::request("log reader"), async move {
            sender.send_all(merge(&env, lines)).await;
            lock(&readers).remove(&id);
        });
        if let Some(reader) = lock(&self.readers).get_mut(&id) {
            reader.task = Some(task);
        }
    }

    fn fail(&self, sender: Sender, why: String) {
        self.env.spawn(TaskKind::request("log refusal"), async move { sender.end(why).await });
    }

    /// The reader has taken so many chunks.
    pub(super) fn credit(&self, id: u64, chunks: u32) {
        if let Some(reader) = lock(&self.readers).get(&id) {
            let room = CREDIT.saturating_sub(reader.credit.available_permits());
            reader.credit.add_permits(room.min(chunks as usize));
        }
    }

    /// Nobody reads any more.
    pub(super) fn cancel(&self, id: u64) {
        let reader = lock(&self.readers).remove(&id);
        if let Some(task) = reader.and_then(|reader| reader.task) {
            task.abort();
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let readers = std::mem::take(&mut *lock(&self.readers));
        readers.into_values().filter_map(|reader| reader.task).for_each(|task| task.abort());
    }
}

fn lock(readers: &Readers) -> MutexGuard<'_, BTreeMap<u64, Reader>> {
    // Single inserts and removes: a panic while it was held leaves nothing half done.
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The logs that the request asks for, one a container.
async fn open(engine: &Engine, request: &LogRequest) -> Result<Vec<LogLines>, String> {
    let task = task_id(request.task.as_ref());
    let gone = || format!("task {task} is not on this instance any more, nor is its log");
    let containers = engine.containers(task).ok_or_else(gone)?;
    let asked = |name: &&String| request.container.is_empty() || **name == request.container;
    let wanted: Vec<&String> = containers.iter().filter(asked).collect();
    if wanted.is_empty() {
        let names = containers.join(", ");
        return Err(format!("task {task} has no container {:?} (containers: {names})", request.container));
    }
    let query = LogQuery { follow: request.follow, tail: request.tail, since_ms: request.since_ms };
    let mut logs = Vec::new();
    for name in wanted {
        let log = engine.logs(task, name, query).await.ok_or_else(gone)?;
        logs.push(log.map_err(|error| error.to_string())?);
    }
    Ok(logs)
}

/// All of them as one, in the order in which their lines come.
fn merge(env: &Env, mut logs: Vec<LogLines>) -> LogLines {
    if logs.len() == 1 {
        return logs.remove(0);
    }
    let (out, merged) = mpsc::channel(LINES_WAITING);
    for mut log in logs {
        let out = out.clone();
        env.spawn(TaskKind::request("log of a container"), async move {
            while let Some(line) = log.recv().await {
                if out.send(line).await.is_err() {
                    return;
                }
            }
        });
    }
    merged
}

/// The way to one reader.
struct Sender {
    id: u64,
    out: MessageSender,
    credit: Arc<Semaphore>,
}

impl Sender {
    async fn send_all(self, mut lines: LogLines) {
        let mut batch = Vec::new();
        while lines.recv_many(&mut batch, CHUNK_RECORDS_MAX).await > 0 {
            let (records, error) = until_error(std::mem::take(&mut batch));
            for records in chunks(records) {
                if !self.send(LogChunk { records, ..Default::default() }).await {
                    return;
                }
            }
            if let Some(error) = error {
                return self.end(error).await;
            }
        }
        self.end(String::new()).await;
    }

    async fn end(self, error: String) {
        // A session that has ended needs no end of its logs.
        self.send(LogChunk { end: true, error, ..Default::default() }).await;
    }

    /// Waits for credit; false once the session has ended.
    async fn send(&self, chunk: LogChunk) -> bool {
        // The semaphore is never closed.
        let Ok(credit) = self.credit.acquire().await else { return false };
        credit.forget();
        let chunk = LogChunk { request_id: self.id, ..chunk };
        let message = AgentMessage { kind: Some(agent_message::Kind::LogChunk(chunk)) };
        self.out.send(encode(&message)).await.is_ok()
    }
}

/// The lines before the first error, and that.
fn until_error(lines: Vec<RuntimeResult<LogRecord>>) -> (Vec<LogRecord>, Option<String>) {
    let mut records = Vec::with_capacity(lines.len());
    for line in lines {
        match line {
            Ok(record) => records.push(record),
            Err(error) => return (records, Some(error.to_string())),
        }
    }
    (records, None)
}

/// The lines in chunks of bounded size; a line that is larger than a chunk is one.
fn chunks(records: Vec<LogRecord>) -> Vec<Vec<LogRecord>> {
    let mut chunks: Vec<Vec<LogRecord>> = Vec::new();
    let mut bytes = CHUNK_BYTES_MAX;
    for record in records {
        let length = record.encoded_len();
        if bytes + length > CHUNK_BYTES_MAX {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        // There is one: nothing fits into the full chunk that is assumed at first.
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(record);
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> LogRecord {
        LogRecord { line: vec![b'x'; bytes].into(), ..Default::default() }
    }

    #[test]
    fn chunks_are_bounded_and_lose_nothing() {
        let sizes = |records: Vec<LogRecord>| chunks(records).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![]), [0; 0]);
        assert_eq!(sizes(vec![record(10), record(10)]), [2]);
        assert_eq!(sizes(vec![record(10), record(CHUNK_BYTES_MAX), record(10)]), [1, 1, 1]);
        assert_eq!(sizes(vec![record(CHUNK_BYTES_MAX / 2), record(CHUNK_BYTES_MAX / 4), record(10)]), [3]);
    }
}
