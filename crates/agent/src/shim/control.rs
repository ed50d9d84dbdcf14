//! The pipe by which the runtime tells the shim to stop: one line, `stop MILLISECONDS`.
//!
//! A named pipe belongs to whoever has the folder: an agent that was started again finds it, what was written is kept
//! while no one reads, and writing into one that no shim holds open fails at once, whatever pids were reused meanwhile.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader},
    path::Path,
    sync::mpsc::SyncSender,
    time::Duration,
};

use rustix::{
    fs::{CWD, Mode, mkfifoat},
    io::Errno,
};

use super::{files, run::Event};

/// Makes the pipe and opens it, for writing as well: else it would end whenever a writer is done.
pub fn open(folder: &Path) -> io::Result<File> {
    let path = folder.join(files::CONTROL);
    match mkfifoat(CWD, &path, Mode::from_raw_mode(files::FILE_MODE)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    OpenOptions::new().read(true).write(true).open(path)
}

/// Hands what is written on to the shim.
pub fn listen(pipe: File, events: &SyncSender<Event>) {
    for line in BufReader::new(pipe).lines() {
        let Ok(line) = line else { return };
        if let Some(grace) = grace(&line)
            && events.send(Event::Stop(Some(grace))).is_err()
        {
            return;
        }
    }
}

/// The line that asks for a stop.
pub fn stop_line(grace_ms: u64) -> String {
    format!("stop {grace_ms}\n")
}

fn grace(line: &str) -> Option<Duration> {
    line.strip_prefix("stop ")?.parse().ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_read_as_it_was_written() {
        assert_eq!(grace(stop_line(1500).trim_end()), Some(Duration::from_millis(1500)));
        assert_eq!(grace("stop"), None);
        assert_eq!(grace("go 1"), None);
    }
}
