//! The filter's answers, found by interpreting it as the kernel does.

use super::*;

/// What the kernel would answer to a call.
fn answer(program: &[sock_filter], architecture: u32, number: u32, argument: u32) -> u32 {
    let (mut at, mut loaded) = (0, 0);
    loop {
        let op = program[at];
        at += 1;
        let taken = match op.code {
            0x20 => {
                loaded = match op.k {
                    op::NUMBER => number,
                    op::ARCHITECTURE => architecture,
                    offset if offset == op::argument(0) => argument,
                    offset => panic!("loads offset {offset}"),
                };
                continue;
            }
            0x05 => {
                at += op.k as usize;
                continue;
            }
            0x06 => return op.k,
            0x15 => loaded == op.k,
            0x35 => loaded >= op.k,
            0x45 => loaded & op.k != 0,
            code => panic!("instruction {code:#x}"),
        };
        at += usize::from(if taken { op.jt } else { op.jf });
    }
}

fn native(number: i64, argument: u32) -> u32 {
    answer(
        &program(),
        tables::ARCHITECTURE,
        u32::try_from(number).unwrap(),
        argument,
    )
}

#[test]
fn every_call_of_the_table_is_refused_and_ordinary_ones_are_not() {
    let refused = op::error(libc::EPERM);
    for number in tables::NATIVE.always {
        assert_eq!(native(*number, 0), refused, "call {number}");
    }
    for number in [
        libc::SYS_read,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_ptrace,
        libc::SYS_chroot,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_prctl,
        libc::SYS_socket,
    ] {
        assert_eq!(native(number, 1), op::ALLOW, "call {number}");
    }
}

#[test]
fn arguments_decide_where_a_call_has_harmless_uses() {
    let (refused, absent) = (op::error(libc::EPERM), op::error(libc::ENOSYS));
    let flags = |bits: i32| bits.unsigned_abs();
    for (number, argument, expected) in [
        (
            libc::SYS_clone,
            flags(libc::CLONE_VM | libc::SIGCHLD),
            op::ALLOW,
        ),
        (libc::SYS_clone, flags(libc::CLONE_NEWUSER), refused),
        (
            libc::SYS_clone,
            flags(libc::CLONE_NEWNS | libc::SIGCHLD),
            refused,
        ),
        (libc::SYS_clone3, 0, absent),
        (libc::SYS_personality, 0, op::ALLOW),
        (libc::SYS_personality, 8, op::ALLOW),
        (libc::SYS_personality, 0xffff_ffff, op::ALLOW),
        (libc::SYS_personality, 0x4_0000, refused),
        (libc::SYS_socket, flags(libc::AF_VSOCK), refused),
        (libc::SYS_socket, flags(libc::AF_INET), op::ALLOW),
        (0x4000_0001, 0, absent),
    ] {
        assert_eq!(
            native(number, argument),
            expected,
            "call {number} with {argument:#x}"
        );
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_32_bits_are_refused_the_same() {
    let (i386, program) = (0x4000_0003, program());
    let new_user = libc::CLONE_NEWUSER.unsigned_abs();
    for (number, argument, expected) in [
        (310, new_user, op::error(libc::EPERM)),
        (120, new_user, op::error(libc::EPERM)),
        (120, 0, op::ALLOW),
        (288, 0, op::error(libc::EPERM)),
        (435, 0, op::error(libc::ENOSYS)),
        (3, 0, op::ALLOW),
    ] {
        assert_eq!(
            answer(&program, i386, number, argument),
            expected,
            "call {number}"
        );
    }
    assert_eq!(answer(&program, 0x4000_0028, 310, new_user), op::ALLOW);
}
