//! Finds out which removed files nobody can read or write any more.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;

use crate::reap;

/// Splits removed files into those that are empty and as new now, and those that somebody may still use.
///
/// Nobody can open them by a name any more. A lease is given only if nobody has the
/// file open, descriptors on their way over a socket included; the maps tell who
/// has it in memory after closing it. A process that shows neither may use all.
pub(super) fn unused(removed: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let closed: Vec<(PathBuf, File)> = removed
        .iter()
        .filter_map(|path| Some((path.clone(), open_alone(path)?)))
        .collect();
    let mapped = if closed.is_empty() {
        Some(BTreeSet::new())
    } else {
        mapped_inodes()
    };
    let unmapped = |file: &File| {
        let inode = file.metadata().ok()?.ino();
        Some(!mapped.as_ref()?.contains(&inode))
    };
    let free = closed.into_iter().filter(|(_, file)| {
        unmapped(file) == Some(true) && file.set_len(0).is_ok() && strip(file, PRIVATE).is_ok()
    });
    let free: Vec<PathBuf> = free.map(|(path, _)| path).collect();
    let used = removed.into_iter().filter(|path| !free.contains(path));
    let used = used.collect();
    (free, used)
}

/// Takes owner, mode and attributes of its last use from something.
pub(super) fn strip(handle: impl AsFd, mode: Mode) -> Result<(), Errno> {
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    rustix::fs::fchown(
        &handle,
        Some(Uid::from_raw(own.0.as_raw())),
        Some(Gid::from_raw(own.1.as_raw())),
    )?;
    rustix::fs::fchmod(&handle, mode)?;
    let mut list = vec![0u8; 64 << 10];
    let length = match rustix::fs::flistxattr(&handle, list.as_mut_slice()) {
        Err(Errno::NOTSUP) => 0,
        result => result?,
    };
    let names = list[..length].split(|byte| *byte == 0);
    for name in names.filter(|name| is_of_command(name)) {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        rustix::fs::fremovexattr(&handle, name.as_c_str())?;
    }
    Ok(())
}

/// Labels of security modules and marks of the filesystem are not a command's to give.
pub(super) fn is_of_command(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b"security.selinux") && !name.starts_with(b"trusted.")
}

/// Opens a file that nobody else has open. The lease ends with the descriptor.
#[expect(unsafe_code, reason = "leases have no safe form")]
fn open_alone(path: &Path) -> Option<File> {
    // Only the owner may have a lease.
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    rustix::fs::chown(
        path,
        Some(Uid::from_raw(own.0.as_raw())),
        Some(Gid::from_raw(own.1.as_raw())),
    )
    .ok()?;
    let file = File::options().read(true).write(true).open(path).ok()?;
    // SAFETY: takes a descriptor that is open and a number. Nobody can break the lease, which would send a signal:
    // the file has no name that anybody may use.
    let leased = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) };
    (leased == 0).then_some(file)
}

/// The inodes of all files that some process of the command has in memory; none if one does not show them.
fn mapped_inodes() -> Option<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for pid in reap::descendants() {
        match fs::read_to_string(format!("/proc/{pid}/maps")) {
            Ok(maps) => found.extend(maps.lines().filter_map(inode_of_line)),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// The fifth word of a line in `/proc/<pid>/maps`.
fn inode_of_line(line: &str) -> Option<u64> {
    let inode = line.split_ascii_whitespace().nth(4)?.parse().ok()?;
    (inode != 0).then_some(inode)
}

/// The mode of files that are held ready.
pub(super) const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
