//! The system calls that a command is refused, as container runtimes refuse them by default.
//!
//! This is a second line behind capabilities: what is named here either needs a privilege that the
//! command does not have, or is a part of the kernel that builds have no use for and that was often
//! the way out of a container: new namespaces, keyrings, `bpf`, `userfaultfd`, `io_uring`.

use libc::sock_filter;

use crate::error::Fault;
use crate::kernel::last_fault;

/// Has the kernel refuse [`tables::NATIVE`] to this process and its descendants.
///
/// False if the kernel wants a privilege for it: without `CAP_SYS_ADMIN`, only a process with
/// `no_new_privs` may do this.
///
/// # Errors
///
/// The kernel has no filters.
pub(crate) fn refuse_privileged_calls() -> Result<bool, Fault> {
    match install(&mut program(), 0) {
        0.. => Ok(true),
        _ => {
            let fault = last_fault("install the seccomp filter of", "command");
            if fault.errno == libc::EACCES {
                Ok(false)
            } else {
                Err(fault)
            }
        }
    }
}

/// Installs a filter; gives what the kernel answers, which with some flags is a descriptor.
#[expect(unsafe_code, reason = "seccomp filters have no safe form")]
pub(crate) fn install(program: &mut [sock_filter], flags: libc::c_ulong) -> i64 {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("filters here have a few hundred instructions"),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program and its instructions outlive the call; the kernel checks them.
    unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    }
}

/// What is refused on one architecture.
struct Refused<'a> {
    architecture: u32,
    /// Refused whatever their arguments are.
    always: &'a [i64],
    /// Refused when they make a namespace. The flags are the first argument.
    clone: i64,
    /// Absent, so that the C library falls back to `clone`, whose flags a filter can see.
    clone3: i64,
    /// Refused for execution domains that change more than what `uname` says.
    personality: i64,
    /// Refused for sockets of a virtual machine's host; absent where sockets have one call for all.
    socket: Option<i64>,
}

fn program() -> Vec<sock_filter> {
    let mut program = vec![op::load(op::ARCHITECTURE)];
    for refused in tables::ALL {
        let section = section(refused);
        let skipped =
            u32::try_from(section.len()).expect("a section has a few hundred instructions");
        program.extend([op::if_equal(refused.architecture, 1, 0), op::jump(skipped)]);
        program.extend(section);
    }
    program.push(op::answer(op::ALLOW));
    program
}

fn section(refused: &Refused<'_>) -> Vec<sock_filter> {
    let mut section = vec![
        op::load(op::NUMBER),
        // Calls of x32, which shares the architecture of x86-64 and counts from here.
        op::if_at_least(X32, 0, 1),
        op::answer(op::error(libc::ENOSYS)),
    ];
    for number in refused.always {
        section.extend([
            op::if_call(*number, 0, 1),
            op::answer(op::error(libc::EPERM)),
        ]);
    }
    section.extend([
        op::if_call(refused.clone3, 0, 1),
        op::answer(op::error(libc::ENOSYS)),
        op::if_call(refused.clone, 0, 4),
        op::load(op::argument(0)),
        op::if_any_bit(NEW_NAMESPACE, 0, 1),
        op::answer(op::error(libc::EPERM)),
        op::answer(op::ALLOW),
    ]);
    section.extend(personality(refused.personality));
    section.extend(refused.socket.into_iter().flat_map(socket));
    section.push(op::answer(op::ALLOW));
    section
}

fn personality(number: i64) -> Vec<sock_filter> {
    let count = u8::try_from(PERSONALITIES.len()).expect("there are five");
    let mut section = vec![op::if_call(number, 0, count + 3), op::load(op::argument(0))];
    for (index, allowed) in (0..count).zip(PERSONALITIES) {
        section.push(op::if_equal(allowed, count - index, 0));
    }
    section.extend([op::answer(op::error(libc::EPERM)), op::answer(op::ALLOW)]);
    section
}

fn socket(number: i64) -> [sock_filter; 5] {
    [
        op::if_call(number, 0, 4),
        op::load(op::argument(0)),
        op::if_equal(libc::AF_VSOCK.unsigned_abs(), 0, 1),
        op::answer(op::error(libc::EPERM)),
        op::answer(op::ALLOW),
    ]
}

/// Flags of `clone` that make a namespace of any kind.
const NEW_NAMESPACE: u32 = 0x7e02_0000;

const X32: u32 = 0x4000_0000;

/// `PER_LINUX`, `PER_LINUX32`, each also with `UNAME26`, and the question which one it is.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Instructions of filters.
pub(crate) mod op {
    use libc::sock_filter;

    /// Offsets in `struct seccomp_data`.
    pub(crate) const NUMBER: u32 = 0;
    pub(crate) const ARCHITECTURE: u32 = 4;
    pub(crate) const ALLOW: u32 = 0x7fff_0000;
    pub(crate) const REPORT: u32 = 0x7fc0_0000;

    /// Offset of the lower half of an argument.
    pub(crate) const fn argument(index: u32) -> u32 {
        16 + 8 * index
    }

    /// The answer that a call fails.
    pub(crate) fn error(errno: i32) -> u32 {
        0x0005_0000 | errno.unsigned_abs()
    }

    pub(crate) const fn load(offset: u32) -> sock_filter {
        make(0x20, offset, 0, 0)
    }

    pub(crate) const fn answer(answer: u32) -> sock_filter {
        make(0x06, answer, 0, 0)
    }

    pub(crate) const fn jump(distance: u32) -> sock_filter {
        make(0x05, distance, 0, 0)
    }

    pub(crate) const fn if_equal(value: u32, then: u8, otherwise: u8) -> sock_filter {
        make(0x15, value, then, otherwise)
    }

    pub(crate) const fn if_at_least(value: u32, then: u8, otherwise: u8) -> sock_filter {
        make(0x35, value, then, otherwise)
    }

    pub(crate) const fn if_any_bit(bits: u32, then: u8, otherwise: u8) -> sock_filter {
        make(0x45, bits, then, otherwise)
    }

    pub(crate) fn if_call(number: i64, then: u8, otherwise: u8) -> sock_filter {
        let number = u32::try_from(number).expect("numbers of calls are small");
        if_equal(number, then, otherwise)
    }

    const fn make(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }
}

mod tables;

pub(crate) use tables::ARCHITECTURE;
#[cfg(target_arch = "x86_64")]
pub(crate) use tables::I386;

#[cfg(test)]
mod tests;
