//! An entry as it lies on disk: CRC-32C, then the encoded entry. The entry holds its own index, so that a record in the
//! wrong place is found as surely as a damaged one.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use seawall_proto::internal::v1::RaftEntry;

use crate::{codec, raft::Entry};

const CHECKSUM_BYTES: usize = 4;

/// `entry` with its checksum.
pub(crate) fn encode(entry: &Entry) -> Bytes {
    let message = codec::entry_message(entry);
    let mut record = BytesMut::with_capacity(CHECKSUM_BYTES + message.encoded_len());
    record.put_u32(0);
    message.encode(&mut record).expect("the buffer grows");
    let checksum = crc32c::crc32c(&record[CHECKSUM_BYTES..]);
    record[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_be_bytes());
    record.freeze()
}

/// The entry at `index`.
pub(crate) fn decode(index: u64, mut record: Bytes) -> io::Result<Entry> {
    if record.len() < CHECKSUM_BYTES {
        return Err(damaged(index, "it is cut off"));
    }
    let checksum = record.get_u32();
    if crc32c::crc32c(&record) != checksum {
        return Err(damaged(index, "its checksum is wrong"));
    }
    let message = RaftEntry::decode(record).map_err(|_| damaged(index, "it cannot be decoded"))?;
    let entry = codec::entry(message).map_err(|_| damaged(index, "it is incomplete"))?;
    match entry.log_id.index == index {
        true => Ok(entry),
        false => Err(damaged(index, "another entry is in its place")),
    }
}

fn damaged(index: u64, why: &str) -> io::Error {
    let text = format!(
        "log entry {index} is damaged: {why}. This member halts rather than guess: remove it from the cluster, empty its \
         data folder and let it join again"
    );
    tracing::error!("{text}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{EntryKind, LogId, Payload};
    use openraft::{entry::RaftEntry as _, vote::leader_id_std::CommittedLeaderId};

    fn sample() -> Entry {
        let id = LogId::new(CommittedLeaderId::new(2), 9);
        Entry::new(id, EntryKind::Normal(Payload(Bytes::from_static(b"payload"))))
    }

    #[test]
    fn a_record_is_read_back() {
        assert_eq!(decode(9, encode(&sample())).unwrap(), sample());
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_found() {
        let record = encode(&sample());
        for place in 0..record.len() {
            for bit in 0..8 {
                let mut bytes = record.to_vec();
                bytes[place] ^= 1 << bit;
                assert!(decode(9, bytes.into()).is_err(), "bit {bit} of byte {place}");
            }
            assert!(decode(9, record.slice(..place)).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn a_whole_record_in_the_wrong_place_is_found() {
        assert!(decode(8, encode(&sample())).is_err());
    }
}
