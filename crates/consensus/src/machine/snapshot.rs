//! Snapshots as files: sections with a checksum each, closed by a section that holds the state's hash, so that a file
//! that is cut off, damaged or decoded to another state is never taken for a whole one.
//!
//! A file gets its name only when it is complete and synced. One that arrives from a leader is checked while it comes
//! in, and named only when Raft installs it: a complete file in the folder is what the next start begins with.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use seawall_env::fs::{FileReader, FileWriter, Fs};
use seawall_proto::internal::v1::{RaftSnapshotSection, raft_snapshot_section};
use seawall_state::{Chunk, Restore, State};

use crate::{StartError, codec, raft::SnapshotMeta};

/// Bytes between two syncs of a file being written: the log's own syncs never wait behind more than this.
const SYNC_EVERY_BYTES: u64 = 4 << 20;
/// Read at once.
const READ_BYTES: usize = 1 << 20;
/// No section is larger; a length beyond it is damage.
const SECTION_BYTES_MAX: usize = 16 << 20;
/// Length and checksum in front of each section.
const SECTION_HEAD_BYTES: usize = 8;
const SUFFIX: &str = ".snap";

/// A file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot is damaged: {0}")]
pub(crate) struct Corrupt(String);

impl From<Corrupt> for io::Error {
    fn from(e: Corrupt) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, e)
    }
}

fn corrupt(why: impl fmt::Display) -> Corrupt {
    Corrupt(why.to_string())
}

/// A complete snapshot on disk. Readers that have it open go on reading when a newer one replaces it.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    pub meta: SnapshotMeta,
    pub bytes: u64,
    pub reader: Arc<dyn FileReader>,
    path: PathBuf,
}

/// A snapshot that came from a leader: checked, decoded, not named yet.
pub(crate) struct Received {
    pub writer: Box<dyn FileWriter>,
    pub state: State,
    pub path: PathBuf,
    pub bytes: u64,
}

/// What openraft passes between network and machine.
pub(crate) enum SnapshotData {
    File(SnapshotFile),
    /// Behind a lock only because openraft asks for `Sync`; nobody else has it.
    Received(Box<Mutex<Received>>),
}

/// Where the snapshot of `meta` lies: names sort by index.
pub(crate) fn path_of(folder: &Path, meta: &SnapshotMeta) -> PathBuf {
    let (term, index) = meta.last_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index));
    folder.join(format!("{index:020}-{term}{SUFFIX}"))
}

/// The state as the sections of a file, for `take`; the number of bytes.
pub(crate) fn encode_state<E>(
    meta: &SnapshotMeta,
    state: &State,
    mut take: impl FnMut(Bytes) -> Result<(), E>,
) -> Result<(), E> {
    use raft_snapshot_section::{End, Kind, Rows};
    take(section(Kind::Meta(codec::snapshot_meta_message(meta))))?;
    let mut sections = 1;
    for chunk in state.chunks() {
        take(section(Kind::Rows(Rows { table: chunk.table.into(), rows: chunk.rows.into() })))?;
        sections += 1;
    }
    take(section(Kind::End(End { sections, state_hash: state.hash().to_be_bytes().to_vec().into() })))
}

fn section(kind: raft_snapshot_section::Kind) -> Bytes {
    let body = RaftSnapshotSection { kind: Some(kind) }.encode_to_vec();
    let mut bytes = Vec::with_capacity(SECTION_HEAD_BYTES + body.len());
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(crc32c::crc32c(&body).to_be_bytes());
    bytes.extend(body);
    bytes.into()
}

/// Takes a file's bytes in any pieces.
#[derive(Default)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    meta: Option<SnapshotMeta>,
    state: Restore,
    sections: u64,
    end: Option<raft_snapshot_section::End>,
}

impl Decoder {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        self.buffer.extend_from_slice(bytes);
        while let Some(body) = self.next_section()? {
            self.take(body)?;
        }
        Ok(())
    }

    fn next_section(&mut self) -> Result<Option<Bytes>, Corrupt> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<SECTION_HEAD_BYTES>() else {
            return Ok(None);
        };
        let mut head = &head[..];
        let (length, checksum) = (head.get_u32() as usize, head.get_u32());
        if length > SECTION_BYTES_MAX {
            return Err(corrupt("a section is too long"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(SECTION_HEAD_BYTES);
        let body = self.buffer.split_to(length).freeze();
        match crc32c::crc32c(&body) == checksum {
            true => Ok(Some(body)),
            false => Err(corrupt("a section's checksum is wrong")),
        }
    }

    fn take(&mut self, body: Bytes) -> Result<(), Corrupt> {
        use raft_snapshot_section::Kind;
        if self.end.is_some() {
            return Err(corrupt("it goes on after its end"));
        }
        self.sections += 1;
        match RaftSnapshotSection::decode(body).map_err(corrupt)?.kind {
            Some(Kind::Meta(meta)) => self.meta = Some(codec::snapshot_meta(meta).map_err(corrupt)?),
            Some(Kind::Rows(rows)) => {
                let table = u8::try_from(rows.table).map_err(corrupt)?;
                self.state.add(&Chunk { table, rows: rows.rows.into() }).map_err(corrupt)?;
            }
            Some(Kind::End(end)) => self.end = Some(end),
            None => return Err(corrupt("a section of a kind that this version does not know")),
        }
        Ok(())
    }

    /// The whole, once all bytes were pushed.
    pub(crate) fn finish(self) -> Result<(SnapshotMeta, State), Corrupt> {
        let (Some(meta), Some(end)) = (self.meta, self.end) else {
            return Err(corrupt("it is cut off"));
        };
        if !self.buffer.is_empty() || end.sections + 1 != self.sections {
            return Err(corrupt("sections are missing"));
        }
        let state = self.state.finish().map_err(corrupt)?;
        match state.hash().to_be_bytes() == end.state_hash[..] {
            true => Ok((meta, state)),
            false => Err(corrupt("its state has another hash than when it was written")),
        }
    }
}

/// Writes the snapshot, and removes those before it. Calls `pace` between its syncs.
pub(super) fn write(
    fs: &dyn Fs,
    folder: &Path,
    meta: SnapshotMeta,
    state: &State,
    mut pace: impl FnMut(),
) -> io::Result<SnapshotFile> {
    fs.create_dir_all(folder)?;
    let path = path_of(folder, &meta);
    let mut writer = fs.create(&path)?;
    let (mut bytes, mut synced) = (0, 0);
    encode_state(&meta, state, |section| {
        writer.write(&section)?;
        bytes += section.len() as u64;
        let before = synced;
        sync_now_and_then(&mut *writer, bytes, &mut synced)?;
        if synced > before {
            pace();
        }
        Ok::<_, io::Error>(())
    })?;
    writer.commit()?;
    named(fs, folder, path, meta, bytes)
}

/// Syncs a file that is being written after each [`SYNC_EVERY_BYTES`].
pub(crate) fn sync_now_and_then(writer: &mut dyn FileWriter, written: u64, synced: &mut u64) -> io::Result<()> {
    if written - *synced < SYNC_EVERY_BYTES {
        return Ok(());
    }
    *synced = written;
    writer.sync()
}

/// Makes what Raft installs the snapshot of this member.
pub(super) fn keep(
    fs: &dyn Fs,
    folder: &Path,
    meta: &SnapshotMeta,
    data: SnapshotData,
) -> io::Result<(SnapshotFile, State)> {
    match data {
        SnapshotData::Received(received) => {
            let received = received.into_inner().expect("no panic while held");
            received.writer.commit()?;
            Ok((named(fs, folder, received.path, meta.clone(), received.bytes)?, received.state))
        }
        SnapshotData::File(file) => {
            let (found, state) = read(&*file.reader)?;
            let own = path_of(folder, meta);
            match own == file.path {
                true => Ok((file, state)),
                false => Ok((write(fs, folder, found, &state, || ())?, state)),
            }
        }
    }
}

/// The newest snapshot in `folder`, if there is one. Anything else in there is removed.
pub(super) fn load_newest(fs: &dyn Fs, folder: &Path) -> Result<Option<(SnapshotFile, State)>, StartError> {
    fs.sweep(folder)?;
    let names = fs.list(folder)?;
    let Some(newest) = names.iter().rfind(|name| name.ends_with(SUFFIX)) else {
        return Ok(None);
    };
    let path = folder.join(newest);
    let reader: Arc<dyn FileReader> = fs.open(&path)?.into();
    let (meta, state) = read(&*reader).map_err(|e| StartError::Corrupt(format!("{}: {e}", path.display())))?;
    remove_others(fs, folder, &path)?;
    let bytes = reader.len()?;
    Ok(Some((SnapshotFile { meta, bytes, reader, path }, state)))
}

/// The state of a snapshot.
pub(crate) fn read_snapshot(file: &SnapshotFile) -> io::Result<State> {
    Ok(read(&*file.reader)?.1)
}

fn read(reader: &dyn FileReader) -> io::Result<(SnapshotMeta, State)> {
    let mut decoder = Decoder::default();
    let mut offset = 0;
    loop {
        let bytes = reader.read_at(offset, READ_BYTES)?;
        if bytes.is_empty() {
            return Ok(decoder.finish()?);
        }
        offset += bytes.len() as u64;
        decoder.push(&bytes)?;
    }
}

fn named(fs: &dyn Fs, folder: &Path, path: PathBuf, meta: SnapshotMeta, bytes: u64) -> io::Result<SnapshotFile> {
    let reader = fs.open(&path)?.into();
    remove_others(fs, folder, &path)?;
    Ok(SnapshotFile { meta, bytes, reader, path })
}

/// A file still being received is not touched: its name is the writer's own until it is complete.
fn remove_others(fs: &dyn Fs, folder: &Path, kept: &Path) -> io::Result<()> {
    for name in fs.list(folder)? {
        let path = folder.join(&name);
        if name.ends_with(SUFFIX) && path != kept {
            fs.remove(&path)?;
        }
    }
    Ok(())
}
