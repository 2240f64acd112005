//! Temporary files that vanish with their owner.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::error::{At, StoreError};

/// How every temporary file of a spool begins.
const PREFIX: &str = "tmp-";

/// A temporary file that is unlinked when it is dropped.
///
/// It is locked while it lives, so that another process opening the same spool can
/// tell it from the leftover of a killed one.
#[derive(Debug)]
pub struct ScratchFile {
    file: File,
    path: TempPath,
}

impl ScratchFile {
    pub(crate) fn new(directory: &Path) -> Result<Self, StoreError> {
        loop {
            let (file, path) = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(12)
                .tempfile_in(directory)
                .at("create a file in", directory)?
                .into_parts();
            file.lock_shared().at("lock", &path)?;
            // Between creation and lock a sweeping process may have taken it for abandoned.
            if path.try_exists().at("examine", &path)? {
                return Ok(Self { file, path });
            }
        }
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file once more, for reading from its start with a position of its own.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn reopen(&self) -> Result<File, StoreError> {
        File::open(&self.path).at("open", &self.path)
    }

    /// Renames the file to its final place, replacing what is there.
    pub(crate) fn rename_to(self, target: &Path) -> Result<(), StoreError> {
        let Self { file, path } = self;
        // Temporary files are born 0600; what they become is an ordinary file.
        file.set_permissions(ordinary_mode())
            .at("change the mode of", &path)?;
        path.persist(target)
            .map_err(|error| StoreError::io("rename a file to", target, error.error))
    }

    pub(crate) fn name(&self, error: io::Error) -> io::Error {
        let text = format!("cannot write {}: {error}", self.path.display());
        io::Error::new(error.kind(), text)
    }

    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = file;
    }
}

impl Read for ScratchFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for ScratchFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for ScratchFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.file.seek(position)
    }
}

/// Removes the temporary files whose owners are gone.
pub(crate) fn remove_abandoned(directory: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory).at("list", directory)? {
        let entry = entry.at("list", directory)?;
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(PREFIX.as_bytes())
        {
            remove_if_abandoned(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_abandoned(path: &Path) -> Result<(), StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("open", path, error)),
    };
    if file.try_lock().is_err() {
        return Ok(());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn ordinary_mode() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// Replaces a file by new content, so that a reader sees the old or the new, never half.
///
/// The directory must exist. The mode becomes 0644. A link is followed; what is no ordinary file, or cannot be replaced
/// because something is mounted there (`/dev/stdout`, `/dev/termination-log`), is written in place.
///
/// # Errors
///
/// If the directory or the file cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => return write_in_place(path, bytes),
        Ok(_) => {}
        Err(_) => return replace(path, bytes).map_err(|(error, _)| error),
    }
    match replace(path, bytes) {
        Err((_, kind)) if STAYS.contains(&kind) => write_in_place(path, bytes),
        done => done.map_err(|(error, _)| error),
    }
}

/// Why a file cannot be replaced that may well be written.
const STAYS: [io::ErrorKind; 4] = [
    io::ErrorKind::ResourceBusy,
    io::ErrorKind::CrossesDevices,
    io::ErrorKind::PermissionDenied,
    io::ErrorKind::ReadOnlyFilesystem,
];

fn replace(path: &Path, bytes: &[u8]) -> Result<(), (StoreError, io::ErrorKind)> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let kind = |error: StoreError| {
        let kind = match &error {
            StoreError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        (error, kind)
    };
    let mut file = ScratchFile::new(&directory).map_err(kind)?;
    let written = file.write_all(bytes);
    written.at("write", path).map_err(kind)?;
    file.rename_to(path).map_err(kind)
}

fn write_in_place(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let opened = match descriptor(path) {
        // What is written to it so far stays, and what follows comes after.
        Some(1) => own(io::stdout()),
        Some(2) => own(io::stderr()),
        Some(_) => File::options().append(true).open(path),
        None => File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path),
    };
    let mut file = opened.at("open", path)?;
    file.write_all(bytes).at("write", path)
}

/// The same open file, with the same position, to be closed apart.
fn own(stream: impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// The open file of this process that a path names: `/dev/stdout`, `/dev/fd/3`, or a link to such a path.
fn descriptor(path: &Path) -> Option<u32> {
    const LINKS: usize = 8;
    let mut path = path.to_path_buf();
    for _ in 0..LINKS {
        let below = |directory| path.strip_prefix(directory).ok()?.to_str()?.parse().ok();
        let named = ["/dev/fd", "/proc/self/fd"].into_iter().find_map(below);
        if named.is_some() {
            return named;
        }
        let target = fs::read_link(&path).ok()?;
        path = path.parent()?.join(target);
    }
    None
}

/// Appends one line to a file, which is made if it is missing.
///
/// The line and its end go out in one write under a lock, so that several processes
/// can append to the same file.
///
/// # Errors
///
/// If the file cannot be opened or written.
pub fn append_line(path: &Path, line: &str) -> Result<(), StoreError> {
    let options = File::options().create(true).append(true).clone();
    let mut file = options.open(path).at("open", path)?;
    file.lock().at("lock", path)?;
    file.write_all(format!("{line}\n").as_bytes())
        .at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_ordinary_file_is_written_in_place() {
        let directory = tempfile::tempdir().unwrap();
        let (link, pipe) = (directory.path().join("link"), directory.path().join("pipe"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        let reader = std::thread::spawn(move || fs::read_to_string(&pipe).unwrap());
        write_atomically(&link, b"sha256:1").unwrap();
        assert_eq!(reader.join().unwrap(), "sha256:1");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn open_files_are_known_by_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
        let round = directory.path().join("round");
        std::os::unix::fs::symlink("round", &round).unwrap();
        let plain = directory.path().join("fd/1");
        for (path, expected) in [
            (Path::new("/dev/stdout"), Some(1)),
            (Path::new("/dev/stderr"), Some(2)),
            (Path::new("/proc/self/fd/7"), Some(7)),
            (&link, Some(1)),
            (&round, None),
            (&plain, None),
        ] {
            assert_eq!(descriptor(path), expected, "{}", path.display());
        }
    }

    #[test]
    fn what_an_open_file_holds_already_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = File::create(&path).unwrap();
        log.write_all(b"before\n").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&log);
        write_atomically(Path::new(&format!("/dev/fd/{number}")), b"sha256:1").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nsha256:1");
    }

    #[test]
    fn a_link_stays_a_link_whatever_it_leads_to() {
        let directory = tempfile::tempdir().unwrap();
        let (link, target) = (directory.path().join("link"), directory.path().join("file"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        for text in ["long before", "after"] {
            write_atomically(&link, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
    }

    #[test]
    fn leftovers_of_the_dead_go_and_files_of_the_living_stay() {
        let directory = tempfile::tempdir().unwrap();
        let dead = directory.path().join("tmp-dead");
        fs::write(&dead, "x").unwrap();
        fs::write(directory.path().join("other"), "x").unwrap();
        let living = ScratchFile::new(directory.path()).unwrap();
        remove_abandoned(directory.path()).unwrap();
        assert!(!dead.exists());
        assert!(living.path().exists());
        assert!(directory.path().join("other").exists());
    }

    #[test]
    fn a_scratch_file_is_unlinked_when_dropped_and_can_be_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut scratch = ScratchFile::new(directory.path()).unwrap();
        scratch.write_all(b"abc").unwrap();
        let mut text = String::new();
        scratch.reopen().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        scratch.rewind().unwrap();
        drop(scratch);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("digest");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let missing = directory.path().join("no/such");
        assert!(
            write_atomically(&missing, b"x")
                .unwrap_err()
                .to_string()
                .contains("no")
        );
    }

    #[test]
    fn lines_are_appended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images");
        append_line(&path, "{\"a\":1}").unwrap();
        append_line(&path, "{\"b\":2}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n");
    }
}
