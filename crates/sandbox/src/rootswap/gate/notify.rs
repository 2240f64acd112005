//! Seccomp notification: the reports of calls, and the answers to them.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::io::Errno;

use super::calls;
use crate::kernel::last_fault;
use crate::seccomp;

/// What the reporting process is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// The kernel carries on with the call.
    Continue,
    /// The call was made for it, and gave this.
    Done(i64),
    /// The call was made for it, and failed.
    Failed(Errno),
    /// The call gives this descriptor.
    Descriptor {
        /// What it is a descriptor of.
        file: OwnedFd,
        /// Whether `exec` closes it.
        close_on_exec: bool,
    },
}

impl Answer {
    /// What a call that gives nothing answers.
    pub(super) fn of(result: Result<(), Errno>) -> Self {
        match result {
            Ok(()) => Self::Done(0),
            Err(errno) => Self::Failed(errno),
        }
    }
}

/// `struct seccomp_notif`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Notice {
    pub(super) id: u64,
    pub(super) pid: u32,
    flags: u32,
    pub(super) data: Data,
}

/// `struct seccomp_data`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Data {
    pub(super) number: i32,
    pub(super) architecture: u32,
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

/// Waits for a report.
#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
pub(super) fn receive(listener: &OwnedFd) -> Option<Notice> {
    // SAFETY: an all-zero notice is valid, which the kernel demands, and it fills exactly one.
    unsafe {
        let mut notice = std::mem::zeroed::<Notice>();
        let result = libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut notice);
        (result == 0).then_some(notice)
    }
}

/// Whether the reporting process still waits, so that what was read of it was its own.
#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
pub(super) fn is_valid(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the kernel reads one u64.
    unsafe { libc::ioctl(listener.as_raw_fd(), ID_VALID, &raw const id) == 0 }
}

/// Lets the reporting process go on.
pub(super) fn respond(listener: &OwnedFd, id: u64, answer: Answer) {
    const CONTINUE: u32 = 1;
    let (value, error, flags) = match answer {
        Answer::Continue => (0, 0, CONTINUE),
        Answer::Done(value) => (value, 0, 0),
        Answer::Failed(errno) => (0, -errno.raw_os_error(), 0),
        Answer::Descriptor {
            file,
            close_on_exec,
        } => match add_descriptor(listener, id, &file, close_on_exec, None) {
            Ok(number) => (i64::from(number), 0, 0),
            Err(errno) => (0, -errno.raw_os_error(), 0),
        },
    };
    send(
        listener,
        &Response {
            id,
            value,
            error,
            flags,
        },
    );
}

#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn send(listener: &OwnedFd, response: &Response) {
    // SAFETY: the kernel reads one response. A process that was killed meanwhile needs none.
    unsafe { libc::ioctl(listener.as_raw_fd(), SEND, std::ptr::from_ref(response)) };
}

/// Gives the reporting process a descriptor, at a number of its own where one is `wanted`.
#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
pub(super) fn add_descriptor(
    listener: &OwnedFd,
    id: u64,
    file: &OwnedFd,
    close_on_exec: bool,
    wanted: Option<u32>,
) -> Result<i32, Errno> {
    const AT_THIS_NUMBER: u32 = 1;
    let request = AddDescriptor {
        id,
        flags: wanted.map_or(0, |_| AT_THIS_NUMBER),
        source: file.as_raw_fd().unsigned_abs(),
        wanted: wanted.unwrap_or(0),
        wanted_flags: if close_on_exec {
            libc::O_CLOEXEC.unsigned_abs()
        } else {
            0
        },
    };
    // SAFETY: the kernel reads one request and duplicates a descriptor that is open.
    let number = unsafe { libc::ioctl(listener.as_raw_fd(), ADD_DESCRIPTOR, &raw const request) };
    if number < 0 {
        return Err(last_errno());
    }
    Ok(number)
}

fn last_errno() -> Errno {
    let error = std::io::Error::last_os_error();
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// Has this process's calls that concern entries of directories reported to the listener that is returned.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN`.
#[expect(unsafe_code, reason = "a new descriptor comes as a number")]
pub(crate) fn install_filter() -> Result<OwnedFd, String> {
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    // A call that is being answered is not broken off by a signal: it would be repeated, and its entry be there already.
    const KILLABLE_ONLY: libc::c_ulong = 1 << 5;
    let mut program = calls::filter();
    let mut fd = seccomp::install(&mut program, NEW_LISTENER | KILLABLE_ONLY);
    if fd < 0 {
        fd = seccomp::install(&mut program, NEW_LISTENER);
    }
    if fd < 0 {
        return Err(last_fault("install the seccomp filter of", "command").to_string());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Has the kernel run whoever waits at the listener on the reporter's processor, where it can: each report is two
/// changes of process.
#[expect(unsafe_code, reason = "seccomp listeners are driven by ioctl")]
fn hand_over_at_once(listener: &OwnedFd) {
    const SYNCHRONOUS: libc::c_ulong = 1;
    // SAFETY: takes a number; a kernel that does not know the request changes nothing.
    unsafe { libc::ioctl(listener.as_raw_fd(), SET_FLAGS, SYNCHRONOUS) };
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
    let listener = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    })?;
    hand_over_at_once(&listener);
    Some(listener)
}

const RECEIVE: libc::c_ulong = 0xc050_2100;
const SEND: libc::c_ulong = 0xc018_2101;
const ID_VALID: libc::c_ulong = 0x4008_2102;
const ADD_DESCRIPTOR: libc::c_ulong = 0x4018_2103;
const SET_FLAGS: libc::c_ulong = 0x4008_2104;
