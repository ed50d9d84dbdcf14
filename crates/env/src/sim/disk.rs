//! A node's disk: in memory, outliving the node's tasks, with the room and the faults that a test gives it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::core::lock;
use crate::fs::{FileReader, FileWriter, Fs, Space, is_temporary, temporary_name};

const TOTAL_BYTES: u64 = 1 << 40;
const WRITER_MODE: u32 = 0o600;

/// See the module.
pub(super) struct Disk {
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    files: BTreeMap<PathBuf, File>,
    folders: BTreeSet<PathBuf>,
    total_bytes: u64,
    fails: bool,
    serial: u64,
    /// Rises when the node is killed: a writer of before neither goes on nor cleans up behind itself.
    life: u64,
}

struct File {
    bytes: Arc<Vec<u8>>,
    mode: u32,
    synced: usize,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { content: Arc::new(Mutex::new(Content { total_bytes: TOTAL_BYTES, ..Content::default() })) }
    }
}

impl Disk {
    /// The process is gone: writers stop where they are. With `power` what was not synced is gone too.
    pub(super) fn cut_off(&self, power: bool) {
        let mut content = lock(&self.content);
        content.life += 1;
        if power {
            for file in content.files.values_mut() {
                let synced = file.synced;
                Arc::make_mut(&mut file.bytes).truncate(synced);
            }
        }
    }

    pub(super) fn wipe(&self) {
        let mut content = lock(&self.content);
        content.files.clear();
        content.folders.clear();
    }

    pub(super) fn set_total_bytes(&self, bytes: u64) {
        lock(&self.content).total_bytes = bytes;
    }

    pub(super) fn set_fails(&self, fails: bool) {
        lock(&self.content).fails = fails;
    }
}

impl Content {
    fn used_bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes.len() as u64).sum()
    }

    fn check(&self, more: usize) -> io::Result<()> {
        if self.fails {
            return Err(io::Error::other("the disk fails (simulated)"));
        }
        if more > 0 && self.used_bytes() + more as u64 > self.total_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full (simulated)"));
        }
        Ok(())
    }
}

impl Fs for Disk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let content = lock(&self.content);
        content.check(0)?;
        Ok(content.files.get(path).map(|file| file.bytes.as_ref().clone()))
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        Ok(lock(&self.content).files.get(path).map(|file| file.mode))
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(bytes.len())?;
        let file = File { bytes: Arc::new(bytes.to_vec()), mode, synced: bytes.len() };
        content.files.insert(path.to_owned(), file);
        Ok(())
    }

    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(bytes.len())?;
        let file = content.files.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        file.bytes = Arc::new(bytes.to_vec());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn FileWriter>> {
        let mut content = lock(&self.content);
        content.check(0)?;
        content.serial += 1;
        let temporary = temporary_name(path, &content.serial.to_string())?;
        content.files.insert(temporary.clone(), File { bytes: Arc::default(), mode: WRITER_MODE, synced: 0 });
        let life = content.life;
        Ok(Box::new(Writer { content: self.content.clone(), temporary, path: path.to_owned(), life }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileReader>> {
        let content = lock(&self.content);
        content.check(0)?;
        let file = content.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Reader(file.bytes.clone())))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let content = lock(&self.content);
        content.check(0)?;
        let inside = content.files.keys().chain(&content.folders).filter_map(|path| path.strip_prefix(folder).ok());
        let names: BTreeSet<String> =
            inside.filter_map(|path| path.iter().next()?.to_str()).map(str::to_owned).collect();
        Ok(names.into_iter().filter(|name| !is_temporary(name)).collect())
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(0)?;
        content.folders.insert(folder.to_owned());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(0)?;
        content.files.remove(path);
        Ok(())
    }

    fn remove_dir(&self, folder: &Path) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(0)?;
        let is_inside = |path: &PathBuf| path != folder && path.starts_with(folder);
        if content.files.keys().chain(&content.folders).any(is_inside) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        content.folders.remove(folder);
        Ok(())
    }

    fn remove_dir_all(&self, folder: &Path) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(0)?;
        content.files.retain(|path, _| !path.starts_with(folder));
        content.folders.retain(|path| !path.starts_with(folder));
        Ok(())
    }

    fn sweep(&self, folder: &Path) -> io::Result<()> {
        let mut content = lock(&self.content);
        content.check(0)?;
        content.files.retain(|path, _| path.parent() != Some(folder) || !has_temporary_name(path));
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let content = lock(&self.content);
        let total_bytes = content.total_bytes;
        Ok(Space { free_bytes: total_bytes.saturating_sub(content.used_bytes()), total_bytes })
    }
}

fn has_temporary_name(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(is_temporary)
}

struct Writer {
    content: Arc<Mutex<Content>>,
    temporary: PathBuf,
    path: PathBuf,
    life: u64,
}

impl Writer {
    /// Changes the file being written, unless its process is gone.
    fn change<T>(&self, more: usize, change: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        let mut content = lock(&self.content);
        if content.life != self.life {
            return Err(io::Error::other("the process was killed (simulated)"));
        }
        content.check(more)?;
        change(&mut content)
    }

    fn file<'c>(&self, content: &'c mut Content) -> io::Result<&'c mut File> {
        content.files.get_mut(&self.temporary).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FileWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.change(bytes.len(), |content| {
            Arc::make_mut(&mut self.file(content)?.bytes).extend_from_slice(bytes);
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(0, |content| {
            let file = self.file(content)?;
            file.synced = file.bytes.len();
            Ok(())
        })
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        self.sync()?;
        self.change(0, |content| {
            let file = content.files.remove(&self.temporary).ok_or(io::ErrorKind::NotFound)?;
            content.files.insert(self.path.clone(), file);
            Ok(())
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut content = lock(&self.content);
        if content.life == self.life {
            content.files.remove(&self.temporary);
        }
    }
}

struct Reader(Arc<Vec<u8>>);

impl FileReader for Reader {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(length).min(self.0.len());
        Ok(self.0[start..end].to_vec())
    }
}
