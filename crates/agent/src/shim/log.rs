//! The log of a container: files `log.1`, `log.2`, … of lines `MILLISECONDS STREAM TEXT`, of which the newest few are kept.
//!
//! Numbers only rise: a reader that follows goes on with the next number, and no file is ever renamed under it.

use std::{
    fs::{File, OpenOptions, read_dir, remove_file},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{files::FILE_MODE, now_ms};

/// A file that has reached this is the last but one.
pub const FILE_BYTES_MAX: u64 = 10 << 20;
/// Files kept.
pub const FILES_MAX: u64 = 3;
/// A longer line is cut into several records.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// Read from the container at once.
const CHUNK_BYTES: usize = 64 << 10;

const PREFIX: &str = "log.";

/// Where a line was written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// A line of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// When it was read, epoch milliseconds.
    pub at_ms: i64,
    /// Where it was written to.
    pub stream: Stream,
    /// Without its end.
    pub text: &'a [u8],
}

impl<'a> Line<'a> {
    /// Appends it to `out` as it stands in a file.
    fn write(&self, out: &mut Vec<u8>) {
        let stream = match self.stream {
            Stream::Out => "out",
            Stream::Error => "err",
        };
        out.extend_from_slice(format!("{} {stream} ", self.at_ms).as_bytes());
        out.extend_from_slice(self.text);
        out.push(b'\n');
    }

    /// From a line of a file, without its end. `None` for what a full disk left of one.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let at_ms = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let stream = match parts.next()? {
            b"out" => Stream::Out,
            b"err" => Stream::Error,
            _ => return None,
        };
        Some(Line { at_ms, stream, text: parts.next()? })
    }
}

/// The name of a file of the log.
pub fn file_name(number: u64) -> String {
    format!("{PREFIX}{number}")
}

/// The number of a file of the log.
pub fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Writes the log. Clones write the same one.
#[derive(Clone)]
pub struct Log {
    writer: Arc<Mutex<Writer>>,
}

struct Writer {
    folder: PathBuf,
    number: u64,
    file: File,
    bytes: u64,
    /// Lines that could not be written, told of when writing works again.
    lost: u64,
}

impl Log {
    /// Goes on with the newest file of the folder, or starts the first.
    pub fn open(folder: &Path) -> io::Result<Log> {
        let mut newest = 1;
        for entry in read_dir(folder)? {
            let number = entry?.file_name().to_str().and_then(number_of);
            newest = newest.max(number.unwrap_or_default());
        }
        let file = append_to(folder, newest)?;
        let bytes = file.metadata()?.len();
        let writer = Writer { folder: folder.to_owned(), number: newest, file, bytes, lost: 0 };
        Ok(Log { writer: Arc::new(Mutex::new(writer)) })
    }

    /// Writes what comes from a pipe of the container until its last writer is gone.
    ///
    /// A disk that takes no more loses lines, never the container's time: the pipe is read on.
    pub fn pump(&self, mut pipe: impl Read, stream: Stream) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut lines = Lines { rest: Vec::new(), stream };
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(length) => lines.take(&chunk[..length], |records, count| self.lock().append(records, count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines.end(|records, count| self.lock().append(records, count));
    }

    /// A line of the shim's own.
    pub fn note(&self, text: &str) {
        let mut record = Vec::new();
        Line { at_ms: now_ms(), stream: Stream::Error, text: text.replace('\n', " ").as_bytes() }.write(&mut record);
        self.lock().append(&record, 1);
    }

    fn lock(&self) -> MutexGuard<'_, Writer> {
        // A panic while it was held leaves at worst half a line, which readers skip.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn append(&mut self, records: &[u8], count: u64) {
        match self.try_append(records) {
            Ok(()) => self.lost = 0,
            Err(_) => self.lost += count,
        }
    }

    fn try_append(&mut self, records: &[u8]) -> io::Result<()> {
        if self.bytes >= FILE_BYTES_MAX {
            self.rotate()?;
        }
        let mut all = Vec::new();
        if self.lost > 0 {
            // What failed may have left half a line.
            all.push(b'\n');
            let text = format!("{} lines before this one could not be written", self.lost);
            Line { at_ms: now_ms(), stream: Stream::Error, text: text.as_bytes() }.write(&mut all);
        }
        all.extend_from_slice(records);
        self.bytes += all.len() as u64;
        self.file.write_all(&all)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = append_to(&self.folder, self.number + 1)?;
        self.number += 1;
        self.bytes = 0;
        match remove_file(self.folder.join(file_name(self.number.saturating_sub(FILES_MAX)))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn append_to(folder: &Path, number: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(folder.join(file_name(number)))
}

/// Cuts what is read into lines.
struct Lines {
    rest: Vec<u8>,
    stream: Stream,
}

impl Lines {
    fn take(&mut self, chunk: &[u8], write: impl FnOnce(&[u8], u64)) {
        let at_ms = now_ms();
        let (mut records, mut count) = (Vec::with_capacity(chunk.len() * 2), 0);
        let mut put = |text: &[u8]| {
            Line { at_ms, stream: self.stream, text }.write(&mut records);
            count += 1;
        };
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            let is_whole = self.rest.last() == Some(&b'\n');
            if is_whole {
                self.rest.pop();
            }
            while self.rest.len() > LINE_BYTES_MAX {
                let longer = self.rest.split_off(LINE_BYTES_MAX);
                put(&self.rest);
                self.rest = longer;
            }
            if is_whole {
                put(&self.rest);
                self.rest.clear();
            }
        }
        if count > 0 {
            write(&records, count);
        }
    }

    fn end(mut self, write: impl FnOnce(&[u8], u64)) {
        if !self.rest.is_empty() {
            self.take(b"\n", write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines { rest: Vec::new(), stream: Stream::Out };
        let mut out = Vec::new();
        chunks.iter().for_each(|chunk| lines.take(chunk, |records, _| out.extend_from_slice(records)));
        lines.end(|records, _| out.extend_from_slice(records));
        out.split(|byte| *byte == b'\n').filter_map(|l| Some(Line::parse(l)?.text.to_vec())).collect()
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        assert_eq!(cut(&[b"a\nb", b"c\n\nd"]), [&b"a"[..], b"bc", b"", b"d"]);
        assert_eq!(cut(&[b"a\n"]), [b"a"]);
        assert!(cut(&[b""]).is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_becomes_several() {
        let long = vec![b'x'; LINE_BYTES_MAX + 1];
        let lengths: Vec<usize> = cut(&[&long, b"\ny\n"]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, 1, 1]);
        let exact = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(cut(&[&exact, b"\n"]).len(), 1);
    }

    #[test]
    fn what_is_left_of_a_line_is_skipped() {
        let line = Line { at_ms: 5, stream: Stream::Error, text: b"a  b" };
        let mut bytes = Vec::new();
        line.write(&mut bytes);
        assert_eq!(Line::parse(&bytes[..bytes.len() - 1]), Some(line));
        assert_eq!(Line::parse(b"5 e"), None);
        assert_eq!(Line::parse(b""), None);
    }

    #[test]
    fn the_oldest_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path()).unwrap();
        let record = [vec![b'x'; FILE_BYTES_MAX as usize - 1], vec![b'\n']].concat();
        for _ in 0..5 {
            log.lock().append(&record, 1);
        }
        let names = || {
            let mut names: Vec<u64> = read_dir(folder.path())
                .unwrap()
                .filter_map(|entry| number_of(entry.unwrap().file_name().to_str().unwrap()))
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(), [3, 4, 5]);
        // A shim that is started again goes on with the newest.
        drop(log);
        Log::open(folder.path()).unwrap().note("again");
        assert_eq!(names(), [4, 5, 6]);
    }
}
