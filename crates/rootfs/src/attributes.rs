//! Extended attributes on disk.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{
    XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr, lremovexattr, lsetxattr,
};
use rustix::io::Errno;
use yadokari_tree::Xattrs;

use crate::directory::Dir;

/// Whether an attribute belongs to the image and not to the machine: labels of
/// security modules and the marks of overlayfs stay out of trees.
pub(crate) fn belongs(name: &[u8]) -> bool {
    let kinds: [&[u8]; 4] = [
        b"user.",
        b"trusted.",
        b"system.posix_acl_",
        b"security.capability",
    ];
    !is_overlay_mark(name) && kinds.iter().any(|kind| name.starts_with(kind))
}

/// Whether overlayfs reads an attribute as a mark of its own.
fn is_overlay_mark(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// The attributes a tree records for `name`.
pub(crate) fn read(dir: &Dir, name: &[u8]) -> io::Result<Xattrs> {
    let path = dir.proc_path(name);
    match list(|buffer| llistxattr(&path, buffer)) {
        Ok(names) => values(split(&names), |attribute, buffer| {
            lgetxattr(&path, attribute, buffer)
        }),
        Err(Errno::OPNOTSUPP) => Ok(Xattrs::EMPTY),
        Err(Errno::NOENT | Errno::NOTDIR) => read_opened(dir, name),
        Err(error) => Err(error.into()),
    }
}

/// The attributes a tree records, of those that [`names`] found.
pub(crate) fn read_of(dir: &Dir, name: &[u8], names: &[Vec<u8>]) -> io::Result<Xattrs> {
    if names.is_empty() {
        return Ok(Xattrs::EMPTY);
    }
    let path = dir.proc_path(name);
    values(names.iter().map(Vec::as_slice), |attribute, buffer| {
        lgetxattr(&path, attribute, buffer)
    })
}

/// The names of all attributes there are, whoever they belong to.
pub(crate) fn names(dir: &Dir, name: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let path = dir.proc_path(name);
    let names = match list(|buffer| llistxattr(&path, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    Ok(split(&names).map(<[u8]>::to_vec).collect())
}

/// The names of a list as the kernel gives it, each with a zero after it.
fn split(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
}

/// One attribute's value, if there is such an attribute.
pub(crate) fn value(dir: &Dir, name: &[u8], attribute: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let path = dir.proc_path(name);
    match list(|buffer| lgetxattr(&path, attribute, buffer)) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Sets one attribute.
pub(crate) fn set(dir: &Dir, name: &[u8], attribute: &[u8], value: &[u8]) -> io::Result<()> {
    let path = dir.proc_path(name);
    Ok(lsetxattr(path, attribute, value, XattrFlags::empty())?)
}

/// Removes one attribute. It may have gone through another name of the inode.
pub(crate) fn remove(dir: &Dir, name: &[u8], attribute: &[u8]) -> io::Result<()> {
    match lremovexattr(dir.proc_path(name), attribute) {
        Err(Errno::NODATA) => Ok(()),
        removed => Ok(removed?),
    }
}

/// The way without /proc, which only files and directories have.
fn read_opened(dir: &Dir, name: &[u8]) -> io::Result<Xattrs> {
    let Ok(file) = dir.read(name) else {
        dir.stat(name)?;
        return Ok(Xattrs::EMPTY);
    };
    match list(|buffer| flistxattr(&file, buffer)) {
        Ok(names) => values(split(&names), |attribute, buffer| {
            fgetxattr(&file, attribute, buffer)
        }),
        Err(Errno::OPNOTSUPP) => Ok(Xattrs::EMPTY),
        Err(error) => Err(error.into()),
    }
}

fn list(ask: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut first = [0; 512];
    match ask(&mut first) {
        Ok(length) => Ok(first[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut all = vec![0; MAX_SIZE];
            let length = ask(&mut all)?;
            all.truncate(length);
            Ok(all)
        }
        Err(error) => Err(error),
    }
}

fn values<'a>(
    names: impl Iterator<Item = &'a [u8]>,
    ask: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    let mut found = Xattrs::EMPTY;
    for name in names.filter(|name| belongs(name)) {
        match list(|buffer| ask(name, buffer)) {
            Ok(value) => found.insert(name, value),
            // Removed in between, or not for this user to read.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Sets attributes on an open file and says how many were refused.
pub(crate) fn write_opened(file: impl AsFd, xattrs: &Xattrs) -> io::Result<u64> {
    write(xattrs, |name, value| {
        fsetxattr(&file, name, value, XattrFlags::empty())
    })
}

/// Sets attributes on a name, a symlink itself included.
pub(crate) fn write_named(dir: &Dir, name: &[u8], xattrs: &Xattrs) -> io::Result<u64> {
    let path = dir.proc_path(name);
    write(xattrs, |attribute, value| {
        lsetxattr(&path, attribute, value, XattrFlags::empty())
    })
}

fn write(xattrs: &Xattrs, set: impl Fn(&[u8], &[u8]) -> rustix::io::Result<()>) -> io::Result<u64> {
    let mut refused = 0;
    for (name, value) in xattrs.iter() {
        // On disk it would hide or replace other entries as soon as the root
        // is the lower directory of an overlay.
        if is_overlay_mark(name) {
            refused += 1;
            continue;
        }
        match set(name, value) {
            Ok(()) => {}
            Err(Errno::NOSPC | Errno::IO | Errno::ROFS) if !belongs(name) => refused += 1,
            Err(error @ (Errno::IO | Errno::ROFS | Errno::DQUOT)) => return Err(error.into()),
            Err(_) => refused += 1,
        }
    }
    Ok(refused)
}

/// Removes what an existing directory has and its new metadata has not.
pub(crate) fn remove_others(dir: &Dir, name: &[u8], wanted: &Xattrs) -> io::Result<()> {
    let path = dir.proc_path(name);
    for (attribute, _) in read(dir, name)?.iter() {
        if wanted.get(attribute).is_none() {
            // What may not be removed stays, as what may not be set is left out.
            let _ = lremovexattr(&path, attribute);
        }
    }
    Ok(())
}

/// Whether a tree's attributes are what [`read`] finds, those aside that a
/// tree has from an archive and a disk never shows.
pub(crate) fn agree(recorded: &Xattrs, found: &Xattrs) -> bool {
    recorded
        .iter()
        .filter(|(name, _)| belongs(name))
        .eq(found.iter())
}

/// A file that is certainly regular, for callers that will not wait on a fifo, and its size in bytes.
pub(crate) fn regular(file: File) -> io::Result<(File, u64)> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "not a regular file",
    ))
}

// The kernel's limit for a list of names and for one value.
const MAX_SIZE: usize = 64 * 1024;
