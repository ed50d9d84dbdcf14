//! Files on disk.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{FileReader, FileWriter, Fs, Space, is_temporary, temporary_name};

/// Files that become snapshots hold what the cluster knows: for their owner only.
const WRITER_MODE: u32 = 0o600;
/// Folders are too: what is in them may be written by libraries that leave files readable for all.
const FOLDER_MODE: u32 = 0o700;

/// The machine's file systems.
#[derive(Default)]
pub(crate) struct RealFs {
    /// Tells apart the temporary files of writers that run at the same time.
    serial: AtomicU64,
}

impl RealFs {
    fn start(&self, path: &Path, mode: u32) -> io::Result<Writer> {
        let unique = format!("{}-{}", std::process::id(), self.serial.fetch_add(1, Ordering::Relaxed));
        let temporary = temporary_name(path, &unique)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        // The process's umask took bits away.
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(Writer { file, temporary, path: path.to_owned(), committed: false })
    }
}

impl Fs for RealFs {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        absent_is_none(fs::read(path))
    }

    fn mode(&self, path: &Path) -> io::Result<Option<u32>> {
        absent_is_none(fs::metadata(path).map(|found| found.permissions().mode() & 0o7777))
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut writer = self.start(path, mode)?;
        writer.write(bytes)?;
        Box::new(writer).commit()
    }

    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).truncate(true).open(path)?.write_all(bytes)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn FileWriter>> {
        Ok(Box::new(self.start(path, WRITER_MODE)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FileReader>> {
        Ok(Box::new(Reader(File::open(path)?)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        Ok(names(folder)?.into_iter().filter(|name| !is_temporary(name)).collect())
    }

    fn create_dir_all(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
        sync_folder(parent(folder))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_file(path)).map(|_| ())
    }

    fn remove_dir(&self, folder: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_dir(folder)).map(|_| ())
    }

    fn remove_dir_all(&self, folder: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_dir_all(folder)).map(|_| ())
    }

    fn sweep(&self, folder: &Path) -> io::Result<()> {
        for name in names(folder)?.into_iter().filter(|name| is_temporary(name)) {
            self.remove(&folder.join(name))?;
        }
        Ok(())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let existing = path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
        let found = rustix::fs::statvfs(existing)?;
        Ok(Space {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }
}

struct Writer {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl FileWriter for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn commit(mut self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        sync_folder(parent(&self.path))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Err(error) = fs::remove_file(&self.temporary) {
            tracing::warn!(file = %self.temporary.display(), %error, "a file that was given up stays behind");
        }
    }
}

struct Reader(File);

impl FileReader for Reader {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let more = match self.0.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(more) => more,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if more == 0 {
                break;
            }
            filled += more;
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let Some(entries) = absent_is_none(fs::read_dir(folder))? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not text is nobody's of ours.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A rename is durable only once its folder is: without this a power cut brings the old file back after an answer. The
/// kernel's own file systems have no disk and refuse it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_made_are_their_owners_and_others_stay_as_they_are() {
        let outer = tempfile::tempdir().unwrap();
        let outer = outer.path();
        fs::set_permissions(outer, Permissions::from_mode(0o755)).unwrap();
        RealFs::default().create_dir_all(&outer.join("a/b")).unwrap();
        RealFs::default().create_dir_all(outer).unwrap();
        let mode = |path: &str| RealFs::default().mode(&outer.join(path)).unwrap().unwrap();
        assert_eq!((mode("."), mode("a"), mode("a/b")), (0o755, 0o700, 0o700));
    }

    #[test]
    fn a_write_in_place_makes_no_file_and_only_empty_folders_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, fs) = (folder.path().join("a"), RealFs::default());
        fs.create_dir_all(&folder).unwrap();
        let file = folder.join("limit");
        assert_eq!(fs.write_in_place(&file, b"1").unwrap_err().kind(), ErrorKind::NotFound);
        fs.write_atomic(&file, b"1", 0o644).unwrap();
        fs.write_in_place(&file, b"2").unwrap();
        assert_eq!(fs.read(&file).unwrap().unwrap(), b"2");
        assert_eq!(fs.remove_dir(&folder).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
        fs.remove(&file).unwrap();
        fs.remove_dir(&folder).unwrap();
        fs.remove_dir(&folder).unwrap();
        assert!(!folder.exists());
    }
}
