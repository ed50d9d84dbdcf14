//! Files: snapshots, identity, agent state. The log itself is sled's.

mod real;

use std::{
    io,
    path::{Path, PathBuf},
};

pub(crate) use real::RealFs;

const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file system.
pub trait Fs: Send + Sync + 'static {
    /// The whole file; `None` where there is none.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Replaces a file as a whole: temporary file, sync, rename, sync of the folder. `mode` is its permission bits.
    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Writes into a file that is there, all at once, as the kernel's own files take what they are told; nothing is synced.
    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Starts a file that becomes `path` only by [`FileWriter::commit`].
    fn create(&self, path: &Path) -> io::Result<Box<dyn FileWriter>>;
    /// Opens a file for reading at any place.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FileReader>>;
    /// The permission bits of a file; `None` where there is none.
    fn mode(&self, path: &Path) -> io::Result<Option<u32>>;
    /// Names of the files and folders in a folder, sorted; empty where there is none. Files that are still being written
    /// are left out.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it, for their owner only; one that is there stays as it is.
    fn create_dir_all(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file; no error where there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder that is empty, or that the kernel empties itself; no error where there is none.
    fn remove_dir(&self, folder: &Path) -> io::Result<()>;
    /// Removes a folder and all in it; no error where there is none.
    fn remove_dir_all(&self, folder: &Path) -> io::Result<()>;
    /// Removes what writers left in a folder when their process was killed. For the folder's owner, at its start.
    fn sweep(&self, folder: &Path) -> io::Result<()>;
    /// Bytes that may still be written on the file system of `path`, and its size.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes left for an ordinary user.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// A file being written under a temporary name.
pub trait FileWriter: Send {
    /// Appends.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Syncs what was written so far: pacing of long writes.
    fn sync(&mut self) -> io::Result<()>;
    /// Syncs, renames to the final name, syncs the folder.
    fn commit(self: Box<Self>) -> io::Result<()>;
}

/// A file open for reading.
pub trait FileReader: Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it holds nothing.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Up to `length` bytes from `offset`; shorter at the end.
    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
}

/// Where a file is written until it is complete: beside its final place, since a rename cannot leave a file system.
pub(crate) fn temporary_name(path: &Path, unique: &str) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a path without a file name"))?;
    Ok(path.with_file_name(format!(".{name}.{unique}{TEMPORARY_SUFFIX}")))
}

/// Whether a file is one of [`temporary_name`].
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}
