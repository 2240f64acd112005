//! Seccomp notification: the filter that reports calls, the reports, and the answers to them.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::kernel::last_fault;
use crate::seccomp::{self, op};

/// What the reporting process is told.
pub(super) enum Answer {
    /// The kernel carries on with the call.
    Continue,
    /// The call succeeded.
    Done,
    /// The call gives a descriptor of this file.
    Descriptor(PathBuf, i32),
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Notice {
    pub(super) id: u64,
    pub(super) pid: u32,
    flags: u32,
    pub(super) data: Call,
}

/// `struct seccomp_data`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Call {
    pub(super) number: i32,
    architecture: u32,
    instruction: u64,
    pub(super) arguments: [u64; 6],
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
pub(super) fn receive(listener: &OwnedFd) -> Option<Notice> {
    // SAFETY: an all-zero notice is valid, which the kernel demands, and it fills exactly one.
    unsafe {
        let mut notice = std::mem::zeroed::<Notice>();
        let result = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice);
        (result == 0).then_some(notice)
    }
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
pub(super) fn is_valid(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

pub(super) fn respond(listener: &OwnedFd, id: u64, answer: Answer) {
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
