//! Lines from the pieces in which the engine keeps a log. Pure.
//!
//! The engine cuts what a container writes into pieces of at most 16 KiB, each with its time before it, and only the last
//! of a line ends with a newline.

use seawall_proto::internal::v1::LogRecord;

use super::observe;

/// A longer line comes in parts: a program that never ends one must not fill the agent's memory.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// Puts the lines of a container's two streams together.
pub struct Lines {
    container: String,
    /// Of stdout and of stderr: what came of a line that has not ended.
    open: [Option<Open>; 2],
}

/// A line that has not ended.
struct Open {
    at_ms: i64,
    bytes: Vec<u8>,
}

impl Lines {
    /// Of a container of this name.
    pub fn new(container: String) -> Self {
        Lines { container, open: [None, None] }
    }

    /// Takes the next piece; the lines that are complete by it: one, rarely two, often none.
    pub fn take(&mut self, stderr: bool, piece: &[u8]) -> Vec<LogRecord> {
        let (at_ms, text) = split_time(piece);
        let ends = text.last() == Some(&b'\n');
        let text = if ends { &text[..text.len() - 1] } else { text };
        let mut done = Vec::new();
        let mut open = self.open[usize::from(stderr)].take().unwrap_or(Open { at_ms, bytes: Vec::new() });
        if open.bytes.len() + text.len() > LINE_BYTES_MAX && !open.bytes.is_empty() {
            done.push(self.record(stderr, open));
            open = Open { at_ms, bytes: Vec::new() };
        }
        open.bytes.extend_from_slice(text);
        if ends {
            done.push(self.record(stderr, open));
        } else {
            self.open[usize::from(stderr)] = Some(open);
        }
        done
    }

    /// What came of lines that never ended.
    pub fn rest(&mut self) -> Vec<LogRecord> {
        let rest = [false, true].map(|stderr| Some((stderr, self.open[usize::from(stderr)].take()?)));
        rest.into_iter().flatten().map(|(stderr, open)| self.record(stderr, open)).collect()
    }

    fn record(&self, stderr: bool, open: Open) -> LogRecord {
        LogRecord { at_ms: open.at_ms, container: self.container.clone(), stderr, line: open.bytes.into() }
    }
}

/// "2026-11-25T15:53:06.845963909Z text"
fn split_time(piece: &[u8]) -> (i64, &[u8]) {
    let Some(space) = piece.iter().position(|byte| *byte == b' ') else { return (0, piece) };
    let time = std::str::from_utf8(&piece[..space]).map_or(0, observe::epoch_ms);
    (time, &piece[space + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lines: &mut Lines, stderr: bool, text: &str) -> Vec<String> {
        let piece = format!("2026-11-25T15:53:06.845963909Z {text}");
        let done = lines.take(stderr, piece.as_bytes());
        assert!(done.iter().all(|record| record.at_ms == 1_795_621_986_845 && record.stderr == stderr));
        done.iter().map(|record| String::from_utf8(record.line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn pieces_become_lines_of_their_stream() {
        let mut lines = Lines::new("app".into());
        assert_eq!(take(&mut lines, false, "a b\n"), ["a b"]);
        assert_eq!(take(&mut lines, false, "\n"), [""]);
        assert!(take(&mut lines, false, "out").is_empty());
        assert_eq!(take(&mut lines, true, "error\n"), ["error"]);
        assert_eq!(take(&mut lines, false, "put\n"), ["output"]);
        assert!(take(&mut lines, true, "unfinished").is_empty());
        let rest = lines.rest();
        assert_eq!((rest.len(), rest[0].stderr, rest[0].line.as_ref()), (1, true, &b"unfinished"[..]));
        assert!(lines.rest().is_empty());
    }

    #[test]
    fn a_line_without_end_comes_in_parts() {
        let mut lines = Lines::new("app".into());
        let piece = "x".repeat(16 * 1024);
        let mut whole = String::new();
        for _ in 0..9 {
            take(&mut lines, false, &piece).iter().for_each(|line| {
                assert!(line.len() <= LINE_BYTES_MAX);
                whole += line;
            });
        }
        let end = take(&mut lines, false, "end\n");
        assert_eq!(whole + &end.concat(), piece.repeat(9) + "end");
    }
}
