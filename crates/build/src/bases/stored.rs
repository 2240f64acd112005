//! Unpacked bases on disk: a directory each, locked while a build uses it.
//!
//! Such a directory holds `root`, the files; `snapshot`, what they are; and `used`, an empty file that
//! is touched with each use. It appears whole, under its name, and is renamed before it is removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use yadokari_rootfs::{Root, ScanOptions, Snapshot, scan};

/// An unpacked base image of the state directory, which builds share.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredBase {
    /// What it is the base of: a digest over its layers.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// What its files take on disk, in bytes.
    pub bytes: u64,
    /// When a build last used it.
    pub used: SystemTime,
}

/// Lists the unpacked bases of a state directory, in the order of their ids.
///
/// # Errors
///
/// When a directory cannot be listed.
pub fn stored_bases(state_dir: &Path) -> io::Result<Vec<StoredBase>> {
    let mut found = Vec::new();
    for path in entries(&directory(state_dir))? {
        let Some(id) = id_of(&path) else { continue };
        let Ok(used) = used(&path) else { continue };
        let bytes = size(&path.join(ROOT))? + size(&path.join(SNAPSHOT))?;
        found.push(StoredBase {
            id,
            bytes,
            used,
            path,
        });
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

impl StoredBase {
    /// Removes the base, unless a build is using it. Says whether it is gone.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn remove(&self) -> io::Result<bool> {
        remove(&self.path)
    }
}

/// A base that is in use.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) root: Root,
    pub(super) snapshot: Snapshot,
    pub(super) lock: File,
}

/// What opening a base came to.
#[derive(Debug)]
pub(super) enum Opening {
    Absent,
    Usable(Box<Opened>),
    /// Its files are not those that were unpacked.
    Damaged,
}

/// Where a state directory has its bases.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("bases")
}

/// Opens a base and looks at each of its files once, to see that nobody changed it.
pub(super) fn open(path: &Path, threads: usize) -> io::Result<Opening> {
    let Some(lock) = locked(path)? else {
        return Ok(Opening::Absent);
    };
    let Ok(snapshot) = read(path) else {
        return Ok(Opening::Damaged);
    };
    let options = ScanOptions {
        threads,
        ..ScanOptions::default()
    };
    let Ok(root) = Root::open(path.join(ROOT)) else {
        return Ok(Opening::Damaged);
    };
    let found = scan(&root, Some(&snapshot), &options);
    if !found.is_ok_and(|found| found.tree().root().same(snapshot.tree().root())) {
        return Ok(Opening::Damaged);
    }
    File::create(path.join(USED))?;
    Ok(Opening::Usable(Box::new(Opened {
        root,
        snapshot,
        lock,
    })))
}

/// What a base holds, without a look at its files.
pub(super) fn read(path: &Path) -> io::Result<Snapshot> {
    Snapshot::read(&mut File::open(path.join(SNAPSHOT))?)
}

/// Gives a new base its place, and opens it there. The caller has locked the name.
pub(super) fn keep(made: &Path, snapshot: Snapshot, path: &Path) -> io::Result<Opened> {
    snapshot.write(&mut File::create(made.join(SNAPSHOT))?)?;
    File::create(made.join(USED))?;
    let lock = File::open(made)?;
    lock.lock_shared()?;
    fs::rename(made, path)?;
    Ok(Opened {
        root: Root::open(path.join(ROOT))?,
        snapshot,
        lock,
    })
}

/// Removes a base unless it is used. Says whether it is gone.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    let lock = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        lock => lock?,
    };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{PASSING}{name}-{}", std::process::id()));
    fs::rename(path, &aside)?;
    Root::open(aside)?.destroy()?;
    Ok(true)
}

/// Removes what builds that were killed left on its way in or out, and bases that nobody has used since `then`.
pub(super) fn sweep(directory: &Path, then: SystemTime) -> io::Result<()> {
    for path in entries(directory)? {
        let old = id_of(&path).is_some() && used(&path).is_ok_and(|used| used < then);
        let passing = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PASSING));
        if (old || passing) && path.is_dir() {
            remove(&path)?;
        }
    }
    Ok(())
}

/// A lock on a base that others may share; nothing if there is no such base.
fn locked(path: &Path) -> io::Result<Option<File>> {
    loop {
        let lock = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            lock => lock?,
        };
        lock.lock_shared()?;
        // It may have been moved away while this waited for its lock.
        if is_at(&lock, path) {
            return Ok(Some(lock));
        }
    }
}

/// Whether an open file or directory still has its name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let there = fs::metadata(path).map(|there| there.ino());
    there.is_ok_and(|inode| file.metadata().is_ok_and(|own| own.ino() == inode))
}

fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn id_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let is_id = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| name.to_owned())
}

fn used(path: &Path) -> io::Result<SystemTime> {
    fs::metadata(path.join(USED))?.modified()
}

/// What a file or a directory with everything in it takes on disk, in bytes. Links are not followed, and what
/// vanishes meanwhile takes nothing.
fn size(path: &Path) -> io::Result<u64> {
    let mut total = 0;
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let found = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?,
        };
        // Of several names of a file each has its share.
        let names = if found.is_dir() {
            1
        } else {
            found.nlink().max(1)
        };
        total += found.blocks() * 512 / names;
        if found.is_dir() {
            waiting.extend(entries(&path)?);
        }
    }
    Ok(total)
}

/// The files.
pub(super) const ROOT: &str = "root";
const SNAPSHOT: &str = "snapshot";
const USED: &str = "used";
/// How directories begin that are on their way in or out.
pub(super) const PASSING: &str = "tmp-";

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// A state directory with one base.
    fn base() -> (tempfile::TempDir, PathBuf) {
        let state = tempfile::tempdir().unwrap();
        let made = directory(state.path()).join("tmp-new");
        fs::create_dir_all(made.join("root/etc")).unwrap();
        fs::write(made.join("root/etc/motd"), "hello").unwrap();
        let root = Root::open(made.join(ROOT)).unwrap();
        let snapshot = scan(&root, None, &ScanOptions::default()).unwrap();
        let path = directory(state.path()).join(ID);
        keep(&made, snapshot, &path).unwrap();
        (state, path)
    }

    #[test]
    fn a_base_opens_until_one_of_its_files_changes() {
        let (_state, path) = base();
        assert!(matches!(open(&path, 2).unwrap(), Opening::Usable(_)));
        fs::write(path.join("root/etc/motd"), "HELLO").unwrap();
        assert!(matches!(open(&path, 2).unwrap(), Opening::Damaged));
    }

    #[test]
    fn a_base_without_a_whole_description_is_damaged() {
        let (_state, path) = base();
        fs::write(path.join(SNAPSHOT), "").unwrap();
        assert!(matches!(open(&path, 2).unwrap(), Opening::Damaged));
    }

    #[test]
    fn a_base_in_use_stays_and_another_goes() {
        let (state, path) = base();
        let listed = stored_bases(state.path()).unwrap();
        assert_eq!((listed.len(), listed[0].id.as_str()), (1, ID));
        assert!(listed[0].bytes > 0);
        let Opening::Usable(opened) = open(&path, 1).unwrap() else {
            panic!("it was just made");
        };
        assert!(!listed[0].remove().unwrap());
        drop(opened);
        assert!(listed[0].remove().unwrap());
        assert!(matches!(open(&path, 1).unwrap(), Opening::Absent));
        assert_eq!(stored_bases(state.path()).unwrap(), []);
        assert!(entries(&directory(state.path())).unwrap().is_empty());
    }

    #[test]
    fn old_bases_and_leftovers_are_swept() {
        let (state, path) = base();
        let directory = directory(state.path());
        fs::create_dir(directory.join("tmp-left")).unwrap();
        sweep(&directory, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(entries(&directory).unwrap(), [path]);
        let later = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
        sweep(&directory, later).unwrap();
        assert!(entries(&directory).unwrap().is_empty());
    }
}
