//! What a command might do to processes and to the kernel outside its own affairs.

use std::ffi::c_long;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::ExitCode;
use std::time::Duration;

/// Tries everything on process `pid` and gives a line for each thing that worked.
pub(crate) fn everything(pid: i32) -> String {
    let attempts = [
        (
            "ptrace",
            call(libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), pid.into(), 0]),
        ),
        ("signal", call(libc::SYS_kill, [pid.into(), 0, 0])),
        ("environment", opens(&format!("/proc/{pid}/environ"))),
        ("memory", opens(&format!("/proc/{pid}/mem"))),
        (
            "root",
            std::fs::read_dir(format!("/proc/{pid}/root/")).is_ok(),
        ),
        (
            "abstract socket",
            address().and_then(|a| UnixStream::connect_addr(&a)).is_ok(),
        ),
        ("keyring", call(libc::SYS_keyctl, [0, -3, 1])),
        (
            "user namespace",
            call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]),
        ),
        (
            "mount namespace",
            call(libc::SYS_unshare, [libc::CLONE_NEWNS.into(), 0, 0]),
        ),
        ("userfaultfd", call(libc::SYS_userfaultfd, [1, 0, 0])),
        ("io_uring", call(libc::SYS_io_uring_register, [-1, 0, 0])),
    ];
    let worked = attempts.into_iter().filter(|(_, worked)| *worked);
    worked.map(|(name, _)| format!("{name}\n")).collect()
}

/// Waits for a while at the socket that [`everything`] tries.
pub(crate) fn listen() -> ExitCode {
    let listener = address().and_then(|address| UnixListener::bind_addr(&address));
    if listener.is_err() {
        return ExitCode::FAILURE;
    }
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::SUCCESS
}

fn address() -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name("yadokari-reach")
}

fn opens(path: &str) -> bool {
    std::fs::File::open(path).is_ok()
}

#[expect(
    unsafe_code,
    reason = "calls that programs rarely make have no safe form"
)]
fn call(number: c_long, arguments: [c_long; 3]) -> bool {
    let [a, b, c] = arguments;
    // SAFETY: every call above takes numbers alone; those that could point somewhere are 0 or refused as numbers.
    let answer = unsafe { libc::syscall(number, a, b, c, 0, 0, 0) };
    // A number that is wrong was looked at, so the call itself is not refused.
    answer >= 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
}
