//! What a command tried to make, read from its registers, memory and status.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, RenameFlags, Timespec, Timestamps, UTIME_NOW, Uid};

use super::notify::Notice;

/// A call that may make something.
pub(super) struct Attempt {
    pid: u32,
    /// Descriptor of the directory that a relative path starts at.
    at: i32,
    path: PathBuf,
    pub(super) directory: bool,
    pub(super) flags: i32,
    mode: u32,
}

impl Attempt {
    pub(super) fn read(notice: &Notice) -> Option<Self> {
        let number = i64::from(notice.data.number);
        let [a, b, c, d] = [0, 1, 2, 3].map(|index: usize| notice.data.arguments[index]);
        let (at, path, directory, flags, mode) = match number {
            libc::SYS_mkdirat => (a as i32, b, true, 0, c as u32),
            libc::SYS_openat => (a as i32, b, false, c as i32, d as u32),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir => (libc::AT_FDCWD, a, true, 0, b as u32),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => (libc::AT_FDCWD, a, false, b as i32, c as u32),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => (
                libc::AT_FDCWD,
                a,
                false,
                libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
                b as u32,
            ),
            _ => return None,
        };
        let path = read_path(notice.pid, path)?;
        Some(Self {
            pid: notice.pid,
            at,
            path,
            directory,
            flags,
            mode,
        })
    }

    /// The full path of the new entry, if it lies directly in a guarded directory.
    pub(super) fn entry(&self, guarded: &[PathBuf]) -> Option<PathBuf> {
        let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", self.pid)).ok();
        if link("root")? != Path::new("/") {
            return None;
        }
        let base = match self.at {
            _ if self.path.is_absolute() => PathBuf::from("/"),
            libc::AT_FDCWD => link("cwd")?,
            fd => link(&format!("fd/{fd}"))?,
        };
        let full = base.join(&self.path);
        let name = full.file_name()?.to_owned();
        let parent = fs::canonicalize(full.parent()?).ok()?;
        guarded.contains(&parent).then(|| parent.join(name))
    }

    /// Gives `ready` the owner and mode the kernel would, and its name.
    pub(super) fn furnish(&self, ready: &Path, path: &Path) -> Result<(), rustix::io::Errno> {
        let id = |name: &str| status(self.pid, name, 3).unwrap_or(0);
        let umask = status_field(self.pid, "Umask:", 0)
            .and_then(|text| u32::from_str_radix(&text, 8).ok())
            .unwrap_or(0o022);
        rustix::fs::chown(
            ready,
            Some(Uid::from_raw(id("Uid:"))),
            Some(Gid::from_raw(id("Gid:"))),
        )?;
        rustix::fs::chmod(ready, Mode::from_raw_mode(self.mode & 0o7777 & !umask))?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::utimensat(CWD, ready, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        rustix::fs::renameat_with(CWD, ready, CWD, path, RenameFlags::NOREPLACE)
    }
}

/// A number in the status of a process.
pub(super) fn status(pid: u32, name: &str, column: usize) -> Option<u32> {
    status_field(pid, name, column)?.parse().ok()
}

fn status_field(pid: u32, name: &str, column: usize) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().nth(column).map(str::to_owned)
}

/// Reads a NUL-terminated path from the memory of another process.
///
/// Through `/proc`, since runtimes' default filters forbid `process_vm_readv`.
fn read_path(pid: u32, address: u64) -> Option<PathBuf> {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = Vec::new();
    while bytes.len() < LONGEST_PATH {
        let from = address.checked_add(bytes.len() as u64)?;
        // To the end of the page only: the next one may not be mapped.
        let mut page = vec![0; 4096 - (from % 4096) as usize];
        let read = memory
            .read_at(&mut page, from)
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&page[..read]);
        if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
            bytes.truncate(end);
            return Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)));
        }
    }
    None
}

/// As the kernel has it.
const LONGEST_PATH: usize = 4096;
