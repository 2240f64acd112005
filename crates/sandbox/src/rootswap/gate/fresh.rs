//! Whether something that was held ready for one command may be held ready for the next.
//!
//! A command of user 0 that names the place can open what is there: it has a rule. So nothing is believed. What
//! has content, another owner or mode, another name or an attribute is not as new.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Stat, StatxFlags};
use rustix::io::Errno;

use super::pool::{Kind, inode, is_empty};
use super::reclaim::{PRIVATE, is_of_command};
use crate::directory;

/// What the thing at `path` is, with its inode, if it is as it was made.
pub(super) fn as_new(path: &Path) -> Option<(Kind, (u64, u64))> {
    let stat = rustix::fs::lstat(path).ok()?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Fifo => Kind::Pipe,
        _ => return None,
    };
    let blank = match kind {
        Kind::Directory => directory::open(path).is_ok_and(|handle| is_empty(&handle)),
        Kind::File | Kind::Pipe => (stat.st_size, stat.st_blocks, stat.st_nlink) == (0, 0, 1),
    };
    let is_new = blank && is_private(kind, &stat) && has_no_attribute(path) && has_no_flag(path);
    is_new.then(|| (kind, inode(&stat)))
}

/// Removes whatever is at `path`.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

fn is_private(kind: Kind, stat: &Stat) -> bool {
    let mode = match kind {
        Kind::Directory => rustix::fs::Mode::RWXU,
        Kind::File | Kind::Pipe => PRIVATE,
    };
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
        == (mode.as_raw_mode(), own.0.as_raw(), own.1.as_raw())
}

fn has_no_attribute(path: &Path) -> bool {
    let mut list = [0_u8; 1024];
    match rustix::fs::llistxattr(path, &mut list) {
        Ok(length) => {
            let mut names = list[..length].split(|byte| *byte == 0);
            !names.any(is_of_command)
        }
        Err(Errno::NOTSUP) => true,
        Err(_) => false,
    }
}

/// Flags as `chattr` sets them, as far as they do more than `lsattr` shows.
fn has_no_flag(path: &Path) -> bool {
    const ANY: u64 = (libc::STATX_ATTR_IMMUTABLE | libc::STATX_ATTR_APPEND) as u64;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let found = rustix::fs::statx(CWD, path, flags, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.bits() & ANY == 0)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{Mode, XattrFlags};

    use super::*;

    #[test]
    fn what_was_touched_is_not_as_new() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, folder) = (scratch.path().join("file"), scratch.path().join("folder"));
        let make = || {
            drop((remove(&file), remove(&folder)));
            rustix::fs::mknodat(CWD, &file, FileType::RegularFile, PRIVATE, 0).unwrap();
            rustix::fs::mkdir(&folder, Mode::RWXU).unwrap();
        };
        make();
        assert!(as_new(&file).is_some() && as_new(&folder).is_some());
        let deeds: [&dyn Fn(); 5] = [
            &|| fs::write(&file, "x").unwrap(),
            &|| fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap(),
            &|| fs::hard_link(&file, scratch.path().join("other")).unwrap(),
            &|| rustix::fs::setxattr(&file, "user.note", b"x", XattrFlags::empty()).unwrap(),
            &|| {
                fs::remove_file(&file).unwrap();
                std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
            },
        ];
        for (number, deed) in deeds.iter().enumerate() {
            make();
            deed();
            assert!(as_new(&file).is_none(), "{number}");
            assert!(as_new(&folder).is_some());
        }
        let fill = || fs::write(folder.join("file"), "x").unwrap();
        let open = || fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        let deeds: [&dyn Fn(); 2] = [&fill, &open];
        for (number, deed) in deeds.iter().enumerate() {
            make();
            deed();
            assert!(as_new(&folder).is_none(), "{number}");
        }
    }
}
