//! Keeps new entries of guarded directories usable for a confined command.
//!
//! A Landlock domain knows directories and files, not names: what a command makes
//! next to something hidden has no rule of its own and could not be used. So empty
//! directories and files, which have their rule before the domain is entered, are
//! held ready. The command's attempts to make something are reported here by
//! seccomp, and where the new entry would lie directly in a guarded directory, one
//! of those held ready is renamed to its name. Landlock alone enforces; a wrong
//! answer here can only make an entry unusable.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_NOW, Uid,
};

use crate::error::{At as _, Fault};
use crate::kernel::last_fault;
use crate::seccomp::{self, op};

/// The entries held ready, and the directories they are for.
#[derive(Debug)]
pub(crate) struct Gate {
    place: PathBuf,
    /// Directories that hold something hidden at some depth.
    guarded: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Gate {
    /// Makes the entries that are held ready, below `area`.
    pub(crate) fn prepare(area: &Path, guarded: Vec<PathBuf>) -> Result<Self, Fault> {
        let place = area.join("ready");
        fs::create_dir_all(&place).at("make", &place)?;
        let mut gate = Self {
            place,
            guarded,
            directories: Vec::new(),
            files: Vec::new(),
        };
        for number in 0..READY {
            let (directory, file) = (
                gate.place.join(format!("d{number}")),
                gate.place.join(format!("f{number}")),
            );
            fs::create_dir(&directory).at("make", &directory)?;
            fs::write(&file, "").at("make", &file)?;
            gate.directories.push(directory);
            gate.files.push(file);
        }
        Ok(gate)
    }

    /// Everything held ready, for rules.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &PathBuf> {
        self.directories.iter().chain(&self.files)
    }

    /// Answers one report, if there is one.
    pub(crate) fn serve(&mut self, listener: &OwnedFd) {
        let Some(notice) = receive(listener) else {
            return;
        };
        let own = rustix::process::getegid().as_raw();
        look_as(status(notice.pid, "Gid:", 2).unwrap_or(own));
        let answer = self.decide(listener, &notice);
        look_as(own);
        respond(listener, notice.id, answer);
    }

    fn decide(&mut self, listener: &OwnedFd, notice: &Notice) -> Answer {
        let Some(attempt) = Attempt::read(notice) else {
            return Answer::Continue;
        };
        let Some(path) = attempt.entry(&self.guarded) else {
            return Answer::Continue;
        };
        if fs::symlink_metadata(&path).is_ok() {
            return Answer::Continue;
        }
        let ready = if attempt.directory {
            self.directories.pop()
        } else {
            self.files.pop()
        };
        let Some(ready) = ready else {
            return Answer::Continue;
        };
        if !is_valid(listener, notice.id) || attempt.furnish(&ready, &path).is_err() {
            return Answer::Continue;
        }
        match attempt {
            Attempt {
                directory: true, ..
            } => Answer::Done,
            // The kernel would find the file there, and must not.
            Attempt { flags, .. } if flags & libc::O_EXCL != 0 => Answer::Descriptor(path, flags),
            Attempt { .. } => Answer::Continue,
        }
    }
}

/// What the reporting process is told.
enum Answer {
    /// The kernel carries on with the call.
    Continue,
    /// The call succeeded.
    Done,
    /// The call gives a descriptor of this file.
    Descriptor(PathBuf, i32),
}

/// A call that may make something.
struct Attempt {
    pid: u32,
    /// Descriptor of the directory that a relative path starts at.
    at: i32,
    path: PathBuf,
    directory: bool,
    flags: i32,
    mode: u32,
}

impl Attempt {
    fn read(notice: &Notice) -> Option<Self> {
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
    fn entry(&self, guarded: &[PathBuf]) -> Option<PathBuf> {
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
    fn furnish(&self, ready: &Path, path: &Path) -> Result<(), rustix::io::Errno> {
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
fn status(pid: u32, name: &str, column: usize) -> Option<u32> {
    status_field(pid, name, column)?.parse().ok()
}

fn status_field(pid: u32, name: &str, column: usize) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().nth(column).map(str::to_owned)
}

/// Looks at files and other processes as a member of this group. A process of the same user but of another group may
/// not be looked at without `CAP_SYS_PTRACE`, and a command's group is what USER says.
#[expect(unsafe_code, reason = "there is no safe form")]
fn look_as(group: u32) {
    // SAFETY: changes an id of this thread and touches no memory.
    unsafe { libc::setfsgid(group) };
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

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Notice {
    id: u64,
    pid: u32,
    flags: u32,
    data: Call,
}

/// `struct seccomp_data`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Call {
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    wanted: u32,
    wanted_flags: u32,
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn receive(listener: &OwnedFd) -> Option<Notice> {
    // SAFETY: an all-zero notice is valid, which the kernel demands, and it fills exactly one.
    unsafe {
        let mut notice = std::mem::zeroed::<Notice>();
        let result = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice);
        (result == 0).then_some(notice)
    }
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn is_valid(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

fn respond(listener: &OwnedFd, id: u64, answer: Answer) {
    const CONTINUE: u32 = 1;
    let response = match answer {
        Answer::Continue => Response {
            id,
            value: 0,
            error: 0,
            flags: CONTINUE,
        },
        Answer::Done => Response {
            id,
            value: 0,
            error: 0,
            flags: 0,
        },
        Answer::Descriptor(path, flags) => match add_descriptor(listener, id, &path, flags) {
            Some(number) => Response {
                id,
                value: i64::from(number),
                error: 0,
                flags: 0,
            },
            None => Response {
                id,
                value: 0,
                error: -libc::EACCES,
                flags: 0,
            },
        },
    };
    send(listener, &response);
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn send(listener: &OwnedFd, response: &Response) {
    // SAFETY: the kernel reads one response. A process that was killed meanwhile needs none.
    unsafe { libc::ioctl(listener.as_raw_fd(), SEND, std::ptr::from_ref(response)) };
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn add_descriptor(listener: &OwnedFd, id: u64, path: &Path, flags: i32) -> Option<i32> {
    let kept = flags & !(libc::O_CREAT | libc::O_EXCL);
    let kept =
        OFlags::from_bits_retain(u32::try_from(kept).ok()?) | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, kept, Mode::empty()).ok()?;
    let request = AddDescriptor {
        id,
        flags: 0,
        source: u32::try_from(file.as_raw_fd()).ok()?,
        wanted: 0,
        wanted_flags: u32::try_from(flags & libc::O_CLOEXEC).ok()?,
    };
    // SAFETY: the kernel reads one request and duplicates a descriptor that is open.
    let number = unsafe { libc::ioctl(listener.as_raw_fd(), ADD_DESCRIPTOR, &raw const request) };
    (number >= 0).then_some(number)
}

/// Has this process's attempts to make something reported to the listener that is returned.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN`. Calls of foreign architectures are not reported.
#[expect(unsafe_code, reason = "a new descriptor comes as a number")]
pub(crate) fn install_filter() -> Result<OwnedFd, String> {
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    let fd = seccomp::install(&mut filter(), NEW_LISTENER);
    if fd < 0 {
        return Err(last_fault("install the seccomp filter of", "command").to_string());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Reports `mkdir`, `mkdirat`, `creat`, and those `open` and `openat` that may make a file.
fn filter() -> Vec<libc::sock_filter> {
    let mut program = vec![
        op::load(op::ARCHITECTURE),
        op::if_equal(seccomp::ARCHITECTURE, 1, 0),
        op::answer(op::ALLOW),
        op::load(op::NUMBER),
    ];
    for number in MAKING {
        program.extend([op::if_call(number, 0, 1), op::answer(op::REPORT)]);
    }
    for (number, flags) in OPENING {
        program.extend([
            op::if_call(number, 0, 4),
            op::load(op::argument(flags)),
            op::if_any_bit(libc::O_CREAT.unsigned_abs(), 0, 1),
            op::answer(op::REPORT),
            op::answer(op::ALLOW),
        ]);
    }
    program.push(op::answer(op::ALLOW));
    program
}

/// Sends a descriptor over a socket.
pub(crate) fn give(socket: &OwnedFd, listener: &OwnedFd) -> Result<(), String> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd as _;
    let fds = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let data = [std::io::IoSlice::new(b"l")];
    sendmsg(socket, &data, &mut control, SendFlags::empty())
        .map(drop)
        .map_err(|errno| errno.to_string())
}

/// Receives a descriptor that [`give`] sent; none when the other side is gone without.
pub(crate) fn take(socket: &OwnedFd) -> Option<OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    use std::mem::MaybeUninit;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })
}

/// Splits what lies in `/` into what the command may use and the directories that hold something hidden.
pub(crate) fn divide(root: &Path, hidden: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut open, mut guarded) = (Vec::new(), vec![root.to_owned()]);
    let mut next = 0;
    while let Some(directory) = guarded.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = directory.join(OsStr::from_bytes(entry.file_name().as_bytes()));
            if hidden.contains(&path) {
                continue;
            }
            if hidden.iter().any(|hidden| hidden.starts_with(&path)) {
                guarded.push(path);
            } else {
                open.push(path);
            }
        }
    }
    open.sort();
    (open, guarded)
}

/// Directories and files each. Few commands make more entries next to the root's own.
const READY: usize = 64;

/// As the kernel has it.
const LONGEST_PATH: usize = 4096;

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ID_VALID: libc::c_ulong = 0x4008_2102;
const ADD_DESCRIPTOR: libc::c_ulong = 0x4018_2103;

#[cfg(target_arch = "x86_64")]
const MAKING: [i64; 3] = [libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_creat];
#[cfg(target_arch = "x86_64")]
const OPENING: [(i64, u32); 2] = [(libc::SYS_open, 1), (libc::SYS_openat, 2)];

#[cfg(target_arch = "aarch64")]
const MAKING: [i64; 1] = [libc::SYS_mkdirat];
#[cfg(target_arch = "aarch64")]
const OPENING: [(i64, u32); 1] = [(libc::SYS_openat, 2)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_and_what_leads_there_is_not_open() {
        let root = tempfile::tempdir().unwrap();
        for path in ["bin", "state/x", "run/secrets/token", "run/lock", "builds"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        let hidden = ["state", "run/secrets/token", "nosuch/x"].map(|path| root.path().join(path));
        let (open, guarded) = divide(root.path(), &hidden);
        assert_eq!(
            open,
            ["bin", "builds", "run/lock"].map(|path| root.path().join(path))
        );
        assert_eq!(
            guarded,
            ["", "run", "run/secrets"].map(|path| {
                if path.is_empty() {
                    root.path().to_owned()
                } else {
                    root.path().join(path)
                }
            })
        );
    }
}
