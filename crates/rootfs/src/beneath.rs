//! Opening what lies below a directory without ever leaving it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use crate::directory::Dir;

/// Whether `openat2` answers here: kernels before 5.6 have none, and some
/// seccomp filters refuse it.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    refused: AtomicBool,
}

impl Resolver {
    /// A resolver that never asks for `openat2`.
    #[cfg(test)]
    pub(crate) fn component_walk() -> Self {
        Self {
            refused: AtomicBool::new(true),
        }
    }

    /// Opens the directory `path` below `base` as a place to work in.
    ///
    /// `path` holds real names separated by single slashes. A symlink anywhere
    /// in it is an error. There is no limit to its length.
    pub(crate) fn directory(&self, base: &Dir, path: &[u8]) -> io::Result<Dir> {
        let mut opened: Option<Dir> = None;
        for piece in Pieces(path) {
            let from = opened.as_ref().unwrap_or(base);
            opened = Some(self.piece(from, piece)?);
        }
        match opened {
            Some(dir) => Ok(dir),
            None => base.child(b"."),
        }
    }

    fn piece(&self, base: &Dir, piece: &[u8]) -> io::Result<Dir> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match self.ask(base, piece, flags, resolve | ResolveFlags::NO_MAGICLINKS) {
            Some(opened) => opened.map(Dir::from_fd),
            None => walk(base, piece),
        }
    }

    /// Opens `path` with links resolved as if `base` were `/`. Nothing comes
    /// back where the kernel cannot do that.
    pub(crate) fn in_root(
        &self,
        base: &Dir,
        path: &[u8],
        access: OFlags,
    ) -> Option<io::Result<OwnedFd>> {
        let path = if path.is_empty() { b"." } else { path };
        if path.len() > PIECE {
            return None;
        }
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        self.ask(base, path, access | OFlags::CLOEXEC, resolve)
    }

    fn ask(
        &self,
        base: &Dir,
        path: &[u8],
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> Option<io::Result<OwnedFd>> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        for _ in 0..RETRIES {
            match openat2(base, path, flags, Mode::empty(), resolve) {
                // A rename somewhere on the machine got in between.
                Err(Errno::AGAIN) => {}
                Err(Errno::NOSYS | Errno::PERM) => {
                    self.refused.store(true, Ordering::Relaxed);
                    return None;
                }
                done => return Some(done.map_err(io::Error::from)),
            }
        }
        None
    }
}

fn walk(base: &Dir, piece: &[u8]) -> io::Result<Dir> {
    let mut opened: Option<Dir> = None;
    for name in piece.split(|byte| *byte == b'/') {
        if name.is_empty() || name == b".." {
            return Err(Errno::INVAL.into());
        }
        opened = Some(opened.as_ref().unwrap_or(base).child(name)?);
    }
    opened.ok_or_else(|| Errno::INVAL.into())
}

/// Cuts a path at slashes into pieces the kernel accepts in one call.
struct Pieces<'a>(&'a [u8]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, rest) = match self.0.len() {
            0..=PIECE => (self.0, &self.0[self.0.len()..]),
            _ => cut(self.0),
        };
        self.0 = rest;
        Some(piece)
    }
}

fn cut(path: &[u8]) -> (&[u8], &[u8]) {
    let slash = path[..PIECE]
        .iter()
        .rposition(|byte| *byte == b'/')
        .or_else(|| path.iter().position(|byte| *byte == b'/'));
    match slash {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (path, &path[path.len()..]),
    }
}

// PATH_MAX is 4096 with the terminating zero.
const PIECE: usize = 3 * 1024;
const RETRIES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut_at_slashes_and_lose_nothing() {
        let path = [&b"a".repeat(200)[..]; 60].join(&b'/');
        let pieces: Vec<&[u8]> = Pieces(&path).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= PIECE));
        assert_eq!(pieces.join(&b'/'), path);
    }

    #[test]
    fn links_and_dots_are_refused_with_and_without_openat2() {
        let temp = tempfile::tempdir().unwrap();
        let base = Dir::open(temp.path()).unwrap();
        base.mkdir(b"real").unwrap();
        base.child(b"real").unwrap().mkdir(b"sub").unwrap();
        base.symlink(b"link", b"real").unwrap();
        base.symlink(b"out", b"/").unwrap();
        for resolver in [Resolver::default(), Resolver::component_walk()] {
            resolver.directory(&base, b"real/sub").unwrap();
            resolver.directory(&base, b"").unwrap();
            for path in [&b"link"[..], b"link/sub", b"out", b"out/etc", b"real/../.."] {
                assert!(resolver.directory(&base, path).is_err(), "{path:?}");
            }
        }
    }
}
