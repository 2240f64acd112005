//! The process that made a call: its memory, its directories, and who it is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::identity::Identity;

/// A process that waits for an answer, so that nothing of it changes but what its threads change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pid: u32,
}

impl Caller {
    pub(super) fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// The number of the thread.
    pub(super) fn pid(self) -> u32 {
        self.pid
    }

    /// Reads a path that ends with a NUL.
    pub(super) fn path(self, address: u64) -> Option<PathBuf> {
        let mut bytes = Vec::new();
        while bytes.len() < LONGEST_PATH {
            let from = address.checked_add(bytes.len() as u64)?;
            // To the end of the page only: the next one may not be mapped.
            let mut page = [0; PAGE];
            let length = PAGE - (from % PAGE as u64) as usize;
            let read = self.read(from, &mut page[..length])?;
            let read = &page[..read];
            if let Some(end) = read.iter().position(|byte| *byte == 0) {
                bytes.extend_from_slice(&read[..end]);
                return Some(PathBuf::from(OsString::from_vec(bytes)));
            }
            bytes.extend_from_slice(read);
        }
        None
    }

    /// Reads memory, as much as there is; none is no answer.
    pub(super) fn read(self, address: u64, into: &mut [u8]) -> Option<usize> {
        let read = read_directly(self.pid, address, into)
            .or_else(|| self.looked(|| self.memory(false)?.read_at(into, address)))?;
        (read > 0).then_some(read)
    }

    /// Writes memory.
    pub(super) fn write(self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.looked(|| self.memory(true)?.write_all_at(bytes, address))
            .ok_or(Errno::FAULT)
    }

    /// Through `/proc`, where runtimes' filters may forbid the calls that are made for this.
    fn memory(self, write: bool) -> std::io::Result<fs::File> {
        let path = format!("/proc/{}/mem", self.pid);
        fs::File::options().read(true).write(write).open(path)
    }

    /// The path under which this process sees the directory of a descriptor of the caller, or its working directory.
    pub(super) fn directory(self, at: i32) -> PathBuf {
        PathBuf::from(match at {
            libc::AT_FDCWD => format!("/proc/{}/cwd", self.pid),
            descriptor => format!("/proc/{}/fd/{descriptor}", self.pid),
        })
    }

    /// Device and inode of what lies at a path that may lead through the caller's directories.
    pub(super) fn inode_at(self, path: &Path) -> Option<(u64, u64)> {
        let stat = self.looked(|| Ok(rustix::fs::stat(path)?))?;
        Some((stat.st_dev, stat.st_ino))
    }

    /// Whether it has the same root directory as this process.
    pub(super) fn has_our_root(self) -> bool {
        let link = format!("/proc/{}/root", self.pid);
        self.looked(|| fs::read_link(&link)).as_deref() == Some(Path::new("/"))
    }

    /// Position and flags of a descriptor.
    pub(super) fn descriptor(self, number: u32) -> Option<Descriptor> {
        let path = format!("/proc/{}/fdinfo/{number}", self.pid);
        let text = self.looked(|| fs::read_to_string(&path))?;
        Descriptor::parse(&text)
    }

    /// Whose rights and whose umask count for its calls.
    pub(super) fn identity(self) -> Option<Identity> {
        Identity::parse(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?)
    }

    /// Does something that looks at the caller; where that is denied, once more with its user and group. A process of
    /// others may not be looked at without `CAP_SYS_PTRACE`.
    pub(super) fn looked<T>(self, mut look: impl FnMut() -> std::io::Result<T>) -> Option<T> {
        match look() {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let _as_it = self.identity()?.look();
                look().ok()
            }
            result => result.ok(),
        }
    }
}

/// What `/proc` says of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) position: u64,
    pub(super) flags: u32,
}

impl Descriptor {
    fn parse(text: &str) -> Option<Self> {
        let field = |name| text.lines().find_map(|line: &str| line.strip_prefix(name));
        Some(Self {
            position: field("pos:")?.trim().parse().ok()?,
            flags: u32::from_str_radix(field("flags:")?.trim(), 8).ok()?,
        })
    }

    pub(super) fn close_on_exec(self) -> bool {
        self.flags & libc::O_CLOEXEC.unsigned_abs() != 0
    }

    /// Whether something can be read through it.
    pub(super) fn is_open(self) -> bool {
        self.flags & libc::O_PATH.unsigned_abs() == 0
    }
}

/// One call instead of three. Some runtimes forbid it, and then nothing is read.
#[expect(unsafe_code, reason = "reading another process has no safe form")]
fn read_directly(pid: u32, address: u64, into: &mut [u8]) -> Option<usize> {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(usize::try_from(address).ok()?),
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes at most `iov_len` bytes to `into`, and checks the other process's addresses itself.
    let read = unsafe {
        libc::process_vm_readv(
            libc::pid_t::try_from(pid).ok()?,
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    usize::try_from(read).ok()
}

/// As the kernel has it.
const LONGEST_PATH: usize = 4096;

/// The smallest that a page is.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    fn own() -> Caller {
        Caller::new(std::process::id())
    }

    #[test]
    fn text_is_read_to_its_end_over_pages_and_not_beyond_the_longest_path() {
        for length in [0, 1, 4000, 4095] {
            let mut text = vec![b'x'; length];
            text.push(0);
            text.extend([b'y'; 8192]);
            let read = own().path(text.as_ptr() as u64).unwrap();
            assert_eq!(read.as_os_str().len(), length);
        }
        let endless = vec![b'x'; 3 * 4096];
        assert_eq!(own().path(endless.as_ptr() as u64), None);
        assert_eq!(own().path(1), None);
    }

    #[test]
    fn a_descriptor_has_its_position_and_flags() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(100).unwrap();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(42)).unwrap();
        let found = own().descriptor(file.as_raw_fd().unsigned_abs()).unwrap();
        assert_eq!(found.position, 42);
        assert!(found.close_on_exec() && found.is_open());
        assert_eq!(Descriptor::parse("pos:\t1\n"), None);
        assert!(own().has_our_root());
    }
}
