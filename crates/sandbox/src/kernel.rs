//! Small steps every helper and every command takes.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::process::DumpableBehavior;

use crate::error::{At as _, Fault, fault};

/// Hides the memory, environment and descriptors of this process from others of the same user.
pub(crate) fn become_private() -> Result<(), Fault> {
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    ignore_interrupts();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at("protect", "/proc/self")
}

/// Something to read that is at its end at once.
pub(crate) fn empty_input() -> Result<OwnedFd, Fault> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    null.or_else(|_| rustix::pipe::pipe().map(|(reader, _)| reader))
        .at("open", "/dev/null")
}

/// The two sides of a fork.
pub(crate) enum Fork {
    Child,
    Parent(rustix::process::Pid),
}

/// Splits this process in two.
#[expect(unsafe_code, reason = "fork has no safe form")]
pub(crate) fn fork() -> Result<Fork, Fault> {
    // SAFETY: only the helper and the start of `main` call this, both with a single
    // thread, so no lock can be held by a thread that does not exist in the child.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(last_fault("fork", "/proc/self"));
    }
    Ok(rustix::process::Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Ends this process without running anything else. The child side of a [`fork`] must not unwind into its parent's code.
#[expect(unsafe_code, reason = "_exit has no safe form")]
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any status and does not return.
    unsafe { libc::_exit(code) }
}

/// Puts every signal back to its default action and unblocks all.
///
/// The kernel is asked directly: the C library keeps two signals to itself, and has a process that it spawned
/// ignore them.
#[expect(unsafe_code, reason = "signal actions have no safe form")]
pub(crate) fn reset_signals() {
    /// Handler, flags, restorer and mask, all of them nothing.
    const DEFAULT: [u64; 4] = [0; 4];
    /// Bytes of a set of 64 signals.
    const SET: usize = 8;
    // SAFETY: the default action installs no code of ours, and the kernel reads no more than the four words;
    // the set is initialised by sigemptyset before use. Signals whose action cannot be changed answer EINVAL,
    // which is what is wanted.
    unsafe {
        for signal in 1..=64 {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), old, SET);
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A terminal interrupts the helper together with its caller; the caller then lets go of the leash. And no command
/// may end the helper by opening a file that the helper has a lease on.
#[expect(unsafe_code, reason = "signal actions have no safe form")]
fn ignore_interrupts() {
    for signal in [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGIO,
    ] {
        // SAFETY: SIG_IGN installs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Marks every descriptor from 3 on to be closed by `exec`.
#[expect(
    unsafe_code,
    reason = "close_range and fcntl on numbers have no safe form"
)]
pub(crate) fn close_on_exec_from_3() {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: only the close-on-exec flag changes, so no owned descriptor becomes invalid.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(65_536);
    for fd in 3..i32::try_from(limit.min(65_536)).unwrap_or(65_536) {
        // SAFETY: as above; numbers that are not open answer EBADF.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Brings the loopback interface of the current network namespace up.
#[expect(unsafe_code, reason = "interface flags are set by ioctl")]
pub(crate) fn raise_loopback() -> Result<(), Fault> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )
    .at("make a socket for", "lo")?;
    // SAFETY: an all-zero ifreq is valid; the name is shorter than the array and stays terminated.
    let result = unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if result < 0 {
        Err(last_fault("bring up", "lo"))
    } else {
        Ok(())
    }
}

/// The error number the last libc call left behind.
pub(crate) fn last_fault(action: &str, path: &str) -> Fault {
    fault(
        action,
        path,
        std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}
