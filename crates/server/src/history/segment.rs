//! The file of one segment: the same records give the same bytes on every member.
//!
//! It is made of a head, records (each after its length and checksum), an index and a foot. The index names the tasks and
//! services among the records by a digest, sorted, so that whoever looks for one reads the index and that record only.

use std::sync::Arc;

use prost::Message;
use ring::digest::{SHA256, digest};
use seawall_env::fs::FileReader;
use seawall_proto::internal::v1::{HistoryRow, HistorySegmentRow};

use super::Lookup;

const HEAD: &[u8; 16] = b"seawall history\x01";
/// Length and checksum before each record.
const RECORD_HEAD_BYTES: usize = 8;
/// Digest and offset.
const ENTRY_BYTES: usize = 12;
/// The index's offset, number of entries and checksum.
const FOOT_BYTES: usize = 12;
const DIGEST_BYTES: usize = 8;

type Digest = [u8; DIGEST_BYTES];

/// A file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Its bytes are not those that were written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The disk does not give them.
    #[error("it cannot be read: {0}")]
    Io(String),
}

fn damaged(why: impl ToString) -> Unreadable {
    Unreadable::Damaged(why.to_string())
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        Unreadable::Io(error.to_string())
    }
}

/// The file of these records.
pub(crate) fn encode(rows: &[Arc<HistoryRow>]) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    let mut index: Vec<(Digest, u32)> = Vec::new();
    for row in rows {
        if let Some(lookup) = Lookup::of(row) {
            index.push((short(&lookup), bytes.len() as u32));
        }
        let body = row.encode_to_vec();
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(crc32c::crc32c(&body).to_be_bytes());
        bytes.extend(body);
    }
    index.sort_unstable();
    let start = bytes.len();
    for (digest, offset) in &index {
        bytes.extend(digest);
        bytes.extend(offset.to_be_bytes());
    }
    let checksum = crc32c::crc32c(&bytes[start..]);
    for number in [start as u32, index.len() as u32, checksum] {
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// What the state says of the file of these records.
pub(crate) fn describe(rows: &[Arc<HistoryRow>], bytes: &[u8]) -> HistorySegmentRow {
    HistorySegmentRow {
        first: rows.first().and_then(|row| row.place),
        last: rows.last().and_then(|row| row.place),
        records: rows.len() as u64,
        bytes: bytes.len() as u64,
        sha256: hash(bytes),
        retired_at_ms: rows.last().map_or(0, |row| row.retired_at_ms),
    }
}

/// Whether these are the bytes of the segment.
pub(crate) fn is_whole(segment: &HistorySegmentRow, bytes: &[u8]) -> bool {
    segment.bytes == bytes.len() as u64 && segment.sha256 == hash(bytes)
}

fn hash(bytes: &[u8]) -> bytes::Bytes {
    digest(&SHA256, bytes).as_ref().to_vec().into()
}

/// All records of a file, in order.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<HistoryRow>, Unreadable> {
    let foot = bytes.len().checked_sub(FOOT_BYTES).map(|at| &bytes[at..]).ok_or_else(|| damaged("it is too short"))?;
    let end = number(foot, 0) as usize;
    let mut rest = bytes.get(HEAD.len()..end).ok_or_else(|| damaged("its index is out of place"))?;
    let mut rows = Vec::new();
    while !rest.is_empty() {
        let (body, after) = record(rest)?;
        rows.push(HistoryRow::decode(body).map_err(damaged)?);
        rest = after;
    }
    Ok(rows)
}

/// The newest record of each lookup that is in the file.
pub(crate) fn find(file: &dyn FileReader, lookups: &[Lookup]) -> Result<Vec<HistoryRow>, Unreadable> {
    let index = read_index(file)?;
    let mut found = Vec::new();
    for lookup in lookups {
        let wanted = short(lookup);
        let from = index.partition_point(|(digest, _)| *digest < wanted);
        let offsets = index[from..].iter().take_while(|(digest, _)| *digest == wanted).map(|(_, offset)| *offset);
        // Two names may share a digest.
        for offset in offsets.collect::<Vec<u32>>().into_iter().rev() {
            let row = read_record(file, offset.into())?;
            if Lookup::of(&row).as_ref() == Some(lookup) {
                found.push(row);
                break;
            }
        }
    }
    Ok(found)
}

fn read_index(file: &dyn FileReader) -> Result<Vec<(Digest, u32)>, Unreadable> {
    let length = file.len()?;
    let foot_at = length.checked_sub(FOOT_BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
    let foot = read_exactly(file, foot_at, FOOT_BYTES)?;
    let (start, entries, checksum) = (number(&foot, 0), number(&foot, 4), number(&foot, 8));
    let bytes = u64::from(entries) * ENTRY_BYTES as u64;
    if u64::from(start) + bytes != foot_at {
        return Err(damaged("its index is out of place"));
    }
    let index = read_exactly(file, start.into(), bytes as usize)?;
    if crc32c::crc32c(&index) != checksum {
        return Err(damaged("its index has another checksum"));
    }
    let entry = |entry: &[u8]| {
        let mut digest = Digest::default();
        digest.copy_from_slice(&entry[..DIGEST_BYTES]);
        (digest, number(entry, DIGEST_BYTES))
    };
    Ok(index.chunks_exact(ENTRY_BYTES).map(entry).collect())
}

fn read_record(file: &dyn FileReader, offset: u64) -> Result<HistoryRow, Unreadable> {
    let head = read_exactly(file, offset, RECORD_HEAD_BYTES)?;
    let length = number(&head, 0) as usize;
    if offset + length as u64 > file.len()? {
        return Err(damaged("a record is cut off"));
    }
    let whole = read_exactly(file, offset, RECORD_HEAD_BYTES + length)?;
    HistoryRow::decode(record(&whole)?.0).map_err(damaged)
}

/// The first record's body, and what comes after it.
fn record(bytes: &[u8]) -> Result<(&[u8], &[u8]), Unreadable> {
    let (head, rest) = bytes.split_at_checked(RECORD_HEAD_BYTES).ok_or_else(|| damaged("a record is cut off"))?;
    let (length, checksum) = (number(head, 0) as usize, number(head, 4));
    let (body, after) = rest.split_at_checked(length).ok_or_else(|| damaged("a record is cut off"))?;
    match crc32c::crc32c(body) == checksum {
        true => Ok((body, after)),
        false => Err(damaged("a record has another checksum")),
    }
}

fn read_exactly(file: &dyn FileReader, offset: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
    let bytes = file.read_at(offset, length)?;
    if bytes.len() == length { Ok(bytes) } else { Err(damaged("it is cut off")) }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_be_bytes(four)
}

fn short(lookup: &Lookup) -> Digest {
    let text = match lookup {
        Lookup::Task(cluster, id) => format!("task {cluster} {id}"),
        Lookup::Service(cluster, name) => format!("service {cluster} {name}"),
    };
    let mut short = Digest::default();
    short.copy_from_slice(&digest(&SHA256, text.as_bytes()).as_ref()[..DIGEST_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    use seawall_env::sim::Sim;
    use seawall_model::{ClusterId, Id128};
    use seawall_proto::internal::v1::{HistoryKind, HistoryPlace};
    use seawall_state::task_id_message;

    use super::*;

    fn task(index: u64) -> Arc<HistoryRow> {
        Arc::new(HistoryRow {
            place: Some(HistoryPlace { index, ordinal: 0 }),
            kind: HistoryKind::Task.into(),
            cluster_id: 3,
            id: Some(task_id_message(Id128(u128::from(index) * 7))),
            row: vec![index as u8; 50].into(),
            ..HistoryRow::default()
        })
    }

    fn service(index: u64, name: &str) -> Arc<HistoryRow> {
        Arc::new(HistoryRow {
            place: Some(HistoryPlace { index, ordinal: 0 }),
            kind: HistoryKind::Service.into(),
            cluster_id: 3,
            service_name: name.into(),
            ..HistoryRow::default()
        })
    }

    fn file(bytes: &[u8]) -> Box<dyn FileReader> {
        let sim = Sim::new(1);
        let fs = sim.node("n").fs();
        let path = std::path::Path::new("/f");
        fs.write_atomic(path, bytes, 0o600).unwrap();
        fs.open(path).unwrap()
    }

    fn rows() -> Vec<Arc<HistoryRow>> {
        let mut rows: Vec<_> = (1..200).map(task).collect();
        rows.extend([service(200, "web"), service(201, "db"), service(202, "web")]);
        rows
    }

    #[test]
    fn what_was_written_is_found_and_listed() {
        let rows = rows();
        let bytes = encode(&rows);
        assert!(is_whole(&describe(&rows, &bytes), &bytes));
        let listed: Vec<_> = decode(&bytes).unwrap().into_iter().map(Arc::new).collect();
        assert_eq!(listed, rows);
        let file = file(&bytes);
        let cluster = ClusterId(3);
        for n in 1..200 {
            let found = find(&*file, &[Lookup::Task(cluster, Id128(u128::from(n as u64) * 7))]).unwrap();
            assert_eq!(found, [HistoryRow::clone(&rows[n - 1])]);
        }
        // The newest of a name.
        let found = find(&*file, &[Lookup::Service(cluster, "web".into())]).unwrap();
        assert_eq!(found[0].place.unwrap().index, 202);
        let others = [
            Lookup::Task(ClusterId(4), Id128(7)),
            Lookup::Task(cluster, Id128(8)),
            Lookup::Service(cluster, "we".into()),
        ];
        assert_eq!(find(&*file, &others).unwrap(), []);
    }

    #[test]
    fn every_damaged_byte_is_noticed_by_who_needs_it() {
        let rows = rows();
        let bytes = encode(&rows);
        let segment = describe(&rows, &bytes);
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 0x10;
            assert!(!is_whole(&segment, &other));
            let found = find(&*file(&other), &[Lookup::Service(ClusterId(3), "db".into())]);
            if let Ok(found) = found {
                assert_eq!(found, [HistoryRow::clone(&rows[200])], "byte {place}");
            }
            if let Ok(listed) = decode(&other) {
                let listed: Vec<_> = listed.into_iter().map(Arc::new).collect();
                assert_eq!(listed, rows, "byte {place}");
            }
        }
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(find(&*file(&bytes[..5]), &[Lookup::Task(ClusterId(3), Id128(7))]).is_err());
    }
}
