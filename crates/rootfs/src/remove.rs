//! Removal of whole subtrees, however deep and however locked by their modes.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::directory::Dir;
use crate::listing::{Listing, ListingBuffer};

/// Removes `name` from `dir` with everything below it. Links are removed, never
/// followed. A name that is not there counts as removed.
pub(crate) fn remove_all(dir: &Dir, name: &[u8]) -> io::Result<()> {
    match allow(dir, || dir.unlink(name)) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if is_directory_error(&error) => remove_directory(dir, name),
        Err(error) => Err(error),
    }
}

/// Removes everything in `dir`, which stays.
pub(crate) fn remove_children(dir: &Dir) -> io::Result<()> {
    let mut buffer = ListingBuffer::new();
    let listing = Listing::read(&dir.listable()?, &mut buffer)?;
    for (name, _) in listing.iter() {
        remove_all(dir, name)?;
    }
    Ok(())
}

/// Deletes a directory with everything below it, on several threads. Links are removed, never followed.
///
/// # Errors
///
/// What the kernel says; the directory may then be half gone.
pub fn remove_tree(path: &Path, threads: usize) -> io::Result<()> {
    let top = Arc::new(Dir::open(path)?);
    let parts = Mutex::new(parts(&top)?);
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some((dir, name)) = next() {
            remove_all(&dir, &name)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let done = others.into_iter().map(|other| match other.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.fold(own, |sum: io::Result<()>, done| sum.and(done))
    })?;
    remove_children(&top)?;
    std::fs::remove_dir(path)
}

/// Entries near the top, each with the directory it is in: enough of them for threads to share, and not all of a directory
/// that has very many.
fn parts(top: &Arc<Dir>) -> io::Result<Vec<(Arc<Dir>, Vec<u8>)>> {
    let (mut parts, mut entered) = (Vec::new(), 0);
    let mut queue = VecDeque::from([Arc::clone(top)]);
    let mut buffer = ListingBuffer::new();
    while let Some(dir) = queue.pop_front() {
        let listing = Listing::read(&dir.listable()?, &mut buffer)?;
        for (name, kind) in listing.iter().take(MOST_PARTS) {
            if kind == FileType::Directory && entered < MOST_ENTERED {
                entered += 1;
                queue.push_back(Arc::new(open(&dir, name)?));
            } else {
                parts.push((Arc::clone(&dir), name.to_vec()));
            }
        }
    }
    Ok(parts)
}

fn remove_directory(dir: &Dir, name: &[u8]) -> io::Result<()> {
    let top = open(dir, name)?;
    let mut removal = Removal {
        top: &top,
        moved: 0,
        buffer: ListingBuffer::new(),
    };
    loop {
        let moved = removal.moved;
        removal.empty(&top.listable()?, 0)?;
        if removal.moved == moved {
            break;
        }
    }
    allow(dir, || dir.rmdir(name))
}

/// The removal of one directory.
///
/// A subtree that lies deeper than [`DEPTH`] is moved up into the directory
/// that is being removed and is met again there, so neither the stack nor the
/// number of open directories grows with the depth.
struct Removal<'a> {
    top: &'a Dir,
    moved: u64,
    buffer: ListingBuffer,
}

impl Removal<'_> {
    fn empty(&mut self, dir: &Dir, depth: usize) -> io::Result<()> {
        let listing = Listing::read(dir, &mut self.buffer)?;
        for (name, kind) in listing.iter() {
            self.remove(dir, name, kind, depth)?;
        }
        Ok(())
    }

    fn remove(&mut self, dir: &Dir, name: &[u8], kind: FileType, depth: usize) -> io::Result<()> {
        if kind != FileType::Directory {
            match allow(dir, || dir.unlink(name)) {
                Err(error) if is_directory_error(&error) => {}
                done => return done,
            }
        }
        if depth == DEPTH {
            return self.move_up(dir, name);
        }
        let child = open(dir, name)?;
        self.empty(&child, depth + 1)?;
        allow(dir, || dir.rmdir(name))
    }

    fn move_up(&mut self, dir: &Dir, name: &[u8]) -> io::Result<()> {
        loop {
            self.moved += 1;
            let new_name = format!("moved-{}", self.moved);
            match allow(dir, || dir.rename(name, self.top, new_name.as_bytes())) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Moving a directory rewrites its `..`, which needs write
                // permission on the directory itself.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    dir.chmod(name, OWNER_ONLY)?;
                    return dir.rename(name, self.top, new_name.as_bytes());
                }
                done => return done,
            }
        }
    }
}

fn open(dir: &Dir, name: &[u8]) -> io::Result<Dir> {
    match dir.listable_child(name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            dir.chmod(name, OWNER_ONLY)?;
            dir.listable_child(name)
        }
        opened => opened,
    }
}

/// Does something inside `dir`, which an ordinary user may first have to make
/// writable.
fn allow(dir: &Dir, attempt: impl Fn() -> io::Result<()>) -> io::Result<()> {
    match attempt() {
        Err(error) if error.raw_os_error() == Some(Errno::ACCESS.raw_os_error()) => {
            if dir.unlock().is_err() {
                return Err(error);
            }
            attempt()
        }
        done => done,
    }
}

fn is_directory_error(error: &io::Error) -> bool {
    // Linux says EISDIR; POSIX, and some network filesystems, say EPERM.
    let code = error.raw_os_error();
    code == Some(Errno::ISDIR.raw_os_error()) || code == Some(Errno::PERM.raw_os_error())
}

/// How many directories are divided, and into how many parts at most.
const MOST_ENTERED: usize = 64;
const MOST_PARTS: usize = 1000;

const OWNER_ONLY: u16 = 0o700;
const DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let mut dir = root.listable().unwrap();
        for _ in 0..depth {
            dir.create(b"file").unwrap();
            dir.mkdir(b"moved-1").unwrap();
            dir = dir.child(b"moved-1").unwrap();
        }
        (temp, root)
    }

    #[test]
    fn trees_of_any_depth_go() {
        for depth in [1, DEPTH, DEPTH + 2, 1500] {
            let (_temp, root) = nested(depth);
            remove_all(&root, b"moved-1").unwrap();
            assert!(root.stat(b"moved-1").is_err(), "{depth}");
        }
    }

    #[test]
    fn several_threads_remove_all_of_it_and_nothing_else() {
        for threads in [1, 3] {
            let temp = tempfile::tempdir().unwrap();
            let (kept, gone) = (temp.path().join("kept"), temp.path().join("gone"));
            std::fs::create_dir_all(&kept).unwrap();
            std::fs::write(kept.join("file"), "x").unwrap();
            for number in 0..100 {
                let directory = gone.join(format!("{}/{number}/a/b", number % 3));
                std::fs::create_dir_all(&directory).unwrap();
                for name in ["one", "two"] {
                    std::fs::write(directory.join(name), "x").unwrap();
                }
                std::os::unix::fs::symlink(&kept, directory.join("link")).unwrap();
            }
            std::os::unix::fs::symlink(&kept, gone.join("link")).unwrap();
            for number in 0..MOST_PARTS + 10 {
                std::fs::write(gone.join(format!("file-{number}")), "x").unwrap();
            }
            remove_tree(&gone, threads).unwrap();
            assert!(!gone.exists() && kept.join("file").exists());
        }
    }

    #[test]
    fn what_a_link_points_to_stays() {
        let (temp, root) = nested(2);
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "x").unwrap();
        let target = outside.path().as_os_str().as_encoded_bytes();
        root.child(b"moved-1")
            .unwrap()
            .symlink(b"l", target)
            .unwrap();
        root.symlink(b"top", target).unwrap();
        remove_all(&root, b"moved-1").unwrap();
        remove_all(&root, b"top").unwrap();
        remove_all(&root, b"missing").unwrap();
        assert!(outside.path().join("kept").exists());
        assert!(temp.path().join("file").exists());
    }

    #[test]
    fn everything_in_a_directory_goes_and_it_stays() {
        let (temp, root) = nested(3);
        remove_children(&root).unwrap();
        assert_eq!(temp.path().read_dir().unwrap().count(), 0);
    }
}
