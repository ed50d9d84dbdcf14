//! Reads the log of a container, whether it runs or not.

use std::{collections::VecDeque, io, path::Path, sync::Arc, time::Duration};

use seawall_env::{Env, fs::Fs};
use seawall_proto::internal::v1::LogRecord;
use tokio::sync::mpsc;

use super::folders::{Folders, Place};
use crate::{
    runtime::{Fault, LogQuery, Phase, RuntimeError, RuntimeResult},
    shim::log::{Line, Stream, file_name, number_of},
};

/// Between two looks at a log that is followed.
const PERIOD: Duration = Duration::from_millis(100);
/// Read at once.
const CHUNK_BYTES: usize = 256 << 10;

type Lines = mpsc::Sender<RuntimeResult<LogRecord>>;

/// Reads one log.
pub struct Reader {
    env: Env,
    folders: Arc<Folders>,
    place: Place,
    container: String,
    query: LogQuery,
}

/// How far a reader is.
#[derive(Clone, Default)]
struct Cursor {
    file: u64,
    offset: u64,
    /// Of a line whose end was not written yet.
    rest: Vec<u8>,
}

/// What one step found.
struct Step {
    cursor: Cursor,
    records: Vec<LogRecord>,
    /// There is no more now.
    is_end: bool,
    /// There will be no more.
    is_over: bool,
}

impl Reader {
    /// Of the log of a container, called so in its definition.
    pub fn new(env: Env, folders: Arc<Folders>, place: Place, container: String, query: LogQuery) -> Self {
        Reader { env, folders, place, container, query }
    }

    /// Until the log ends, or nobody listens.
    pub async fn run(self, lines: Lines) {
        if let Err(error) = self.read(&lines).await {
            // Its reader may have gone as well.
            let _ = lines.send(Err(RuntimeError::new(Fault::Engine, error.to_string()))).await;
        }
    }

    async fn read(&self, lines: &Lines) -> io::Result<()> {
        let mut tail = (self.query.tail > 0).then(VecDeque::new);
        let mut cursor = Cursor::default();
        loop {
            let step = self.step(cursor).await?;
            let records = match &mut tail {
                Some(last) => self.keep_last(last, step.records, step.is_end),
                None => step.records,
            };
            for record in records {
                if lines.send(Ok(record)).await.is_err() {
                    return Ok(());
                }
            }
            if step.is_end {
                tail = None;
                if step.is_over || !self.query.follow {
                    return Ok(());
                }
                tokio::select! {
                    biased;
                    () = lines.closed() => return Ok(()),
                    () = self.env.sleep(PERIOD) => {}
                }
            }
            cursor = step.cursor;
        }
    }

    /// Holds the last lines back until the end is reached; then gives them.
    fn keep_last(&self, last: &mut VecDeque<LogRecord>, new: Vec<LogRecord>, is_end: bool) -> Vec<LogRecord> {
        let limit = usize::try_from(self.query.tail).unwrap_or(usize::MAX);
        for record in new {
            if last.len() == limit {
                last.pop_front();
            }
            last.push_back(record);
        }
        if is_end { std::mem::take(last).into() } else { Vec::new() }
    }

    async fn step(&self, mut cursor: Cursor) -> io::Result<Step> {
        let (env, folders, place) = (&self.env, self.folders.clone(), self.place);
        let read = move || {
            // First: what is written before the end is read after it.
            let is_over = folders.look(place)?.is_none_or(|observed| observed.phase >= Phase::Exited);
            let bytes = cursor.read(&*folders.files(), &folders.path(place))?;
            Ok((cursor, bytes, is_over))
        };
        let read: io::Result<(Cursor, Vec<u8>, bool)> = env.thread("read log", read).await;
        let (mut cursor, bytes, is_over) = read?;
        let is_end = bytes.is_empty();
        Ok(Step { records: self.records(cursor.lines(bytes)), cursor, is_end, is_over })
    }

    fn records(&self, lines: Vec<u8>) -> Vec<LogRecord> {
        let lines = lines.split(|byte| *byte == b'\n').filter_map(Line::parse);
        let wanted = lines.filter(|line| line.at_ms >= self.query.since_ms);
        wanted
            .map(|line| LogRecord {
                at_ms: line.at_ms,
                container: self.container.clone(),
                stderr: line.stream == Stream::Error,
                line: line.text.to_vec().into(),
            })
            .collect()
    }
}

impl Cursor {
    /// The next bytes; none at the end. Files that were removed before they were read are skipped.
    fn read(&mut self, fs: &dyn Fs, folder: &Path) -> io::Result<Vec<u8>> {
        let mut numbers: Vec<u64> = fs.list(folder)?.iter().filter_map(|name| number_of(name)).collect();
        numbers.sort_unstable();
        numbers.retain(|number| *number >= self.file);
        for number in numbers {
            if number > self.file {
                *self = Cursor { file: number, offset: 0, rest: Vec::new() };
            }
            let bytes = match fs.open(&folder.join(file_name(number))) {
                Ok(file) => file.read_at(self.offset, CHUNK_BYTES)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            if !bytes.is_empty() {
                self.offset += bytes.len() as u64;
                return Ok(bytes);
            }
        }
        Ok(Vec::new())
    }

    /// The whole lines of what was read.
    fn lines(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend(bytes);
        let whole = all.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = all.split_off(whole);
        all
    }
}
