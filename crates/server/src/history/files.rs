//! The folder that holds the files of segments.

use std::{io, path::PathBuf, sync::Arc};

use seawall_env::fs::Fs;
use seawall_proto::internal::v1::{HistoryRow, HistorySegmentRow};
use seawall_state::{HistoryKey, history_key};
use tracing::{info, warn};

use super::{
    Lookup,
    segment::{self, Unreadable},
};

const SUFFIX: &str = ".history";
/// Bytes of the hash in a name: another file of the same records never takes its place.
const NAME_HASH_BYTES: usize = 8;

/// See the module. Everything here blocks: it runs on threads of its own.
#[derive(Clone)]
pub(crate) struct Files {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(fs: Arc<dyn Fs>, folder: PathBuf) -> Files {
        Files { fs, folder }
    }

    fn path(&self, segment: &HistorySegmentRow) -> PathBuf {
        self.folder.join(name(segment))
    }

    /// Whether the file is there with all its bytes.
    pub(super) fn has(&self, segment: &HistorySegmentRow) -> io::Result<bool> {
        match self.fs.open(&self.path(segment)) {
            Ok(file) => Ok(file.len()? == segment.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Writes the file and syncs it, unless it is there.
    pub(super) fn write(&self, segment: &HistorySegmentRow, bytes: &[u8]) -> io::Result<()> {
        if self.has(segment)? {
            return Ok(());
        }
        self.fs.create_dir_all(&self.folder)?;
        let mut writer = self.fs.create(&self.path(segment))?;
        writer.write(bytes)?;
        writer.commit()
    }

    /// The whole file; `None` where it is not there, or damaged.
    pub(super) fn read(&self, segment: &HistorySegmentRow) -> Option<Vec<u8>> {
        self.look(segment, |file| {
            let bytes = file.read_at(0, usize::try_from(segment.bytes).unwrap_or(usize::MAX))?;
            match segment::is_whole(segment, &bytes) {
                true => Ok(bytes),
                false => Err(Unreadable::Damaged("it has another hash".into())),
            }
        })
    }

    /// A piece of the file; `None` where it is not there.
    pub(super) fn piece(&self, segment: &HistorySegmentRow, offset: u64, length: usize) -> Option<Vec<u8>> {
        self.look(segment, |file| Ok(file.read_at(offset, length)?))
    }

    /// The newest record of each lookup in the file; `None` where it is not there, or damaged.
    pub(super) fn find(&self, segment: &HistorySegmentRow, lookups: &[Lookup]) -> Option<Vec<HistoryRow>> {
        self.look(segment, |file| segment::find(file, lookups))
    }

    /// A file that cannot be used is as good as none: whoever needs it asks a peer. A damaged one is removed, so that it is
    /// fetched again.
    fn look<T>(
        &self,
        segment: &HistorySegmentRow,
        work: impl FnOnce(&dyn seawall_env::fs::FileReader) -> Result<T, Unreadable>,
    ) -> Option<T> {
        let path = self.path(segment);
        let file = match self.fs.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(file = %path.display(), %error, "a segment of history cannot be opened; asking another member");
                return None;
            }
        };
        match work(&*file) {
            Ok(found) => Some(found),
            Err(why) => {
                warn!(file = %path.display(), %why, "a segment of history cannot be used; asking another member");
                if matches!(why, Unreadable::Damaged(_))
                    && let Err(error) = self.fs.remove(&path)
                {
                    warn!(file = %path.display(), %error, "it cannot be removed");
                }
                None
            }
        }
    }

    /// Removes what a killed process left half written. Before anything is written.
    pub(super) fn sweep(&self) -> io::Result<()> {
        self.fs.sweep(&self.folder)
    }

    /// Removes what is neither listed nor about to be: files of dropped segments and of seals that came to nothing. Records
    /// from `open_from` on may become a segment.
    pub(super) fn tidy(&self, listed: &[Arc<HistorySegmentRow>], open_from: HistoryKey) -> io::Result<()> {
        let names: Vec<String> = listed.iter().map(|segment| name(segment)).collect();
        for found in self.fs.list(&self.folder)? {
            let is_old = first_of(&found).is_none_or(|first| first < open_from);
            if is_old && !names.contains(&found) {
                info!(file = found, "a segment of history is removed");
                self.fs.remove(&self.folder.join(&found))?;
            }
        }
        Ok(())
    }

    /// Segments whose files are not here, oldest first.
    pub(super) fn lacking(&self, listed: &[Arc<HistorySegmentRow>]) -> io::Result<Vec<Arc<HistorySegmentRow>>> {
        let mut lacking = Vec::new();
        for segment in listed {
            if !self.has(segment)? {
                lacking.push(segment.clone());
            }
        }
        Ok(lacking)
    }
}

/// Names sort by the first record.
fn name(segment: &HistorySegmentRow) -> String {
    let (index, ordinal) = history_key(segment.first);
    let hash: String = segment.sha256.iter().take(NAME_HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{index:020}-{ordinal:010}-{hash}{SUFFIX}")
}

fn first_of(name: &str) -> Option<HistoryKey> {
    let mut parts = name.strip_suffix(SUFFIX)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
