//! The helper process: one thread, one command.

use std::ffi::OsString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::control::{self, Reply, Request, Task};
use crate::error::{At as _, Fault, RunError};
use crate::probe::ProbeAnswer;
use crate::spec::Isolation;
use crate::{chroot, kernel, namespaces, rootswap};

/// The first argument with which [`crate::Sandbox`] starts the helper.
pub const HELPER_ARGUMENT: &str = "__run";

/// Does what the parent process asks for over standard input, and answers there.
///
/// `main` calls this first thing when its first argument is [`HELPER_ARGUMENT`]:
/// it needs a process with a single thread. `arguments` are those after it; there
/// are none so far. The exit code is 0 whenever an answer was sent.
pub fn helper_main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    if arguments.into_iter().next().is_some() {
        return ExitCode::from(2);
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> Result<(), Fault> {
    let mut socket = take_socket()?;
    kernel::become_private()?;
    let request: Request = control::receive(&mut socket).at("read the request from", "stdin")?;
    let reply = answer(&request, &socket);
    close_output()?;
    control::send(&mut socket, &reply).at("send the answer to", "stdin")
}

/// Moves the socket away from standard input, which becomes empty.
fn take_socket() -> Result<UnixStream, Fault> {
    let socket = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 10).at("duplicate", "stdin")?;
    let empty = kernel::empty_input()?;
    nix::unistd::dup2_stdin(&empty).at("replace", "stdin")?;
    debug_assert!(socket.as_raw_fd() >= 10);
    Ok(UnixStream::from(socket))
}

/// The caller reads output to its end before it takes the answer, so the helper must not hold the pipes.
fn close_output() -> Result<(), Fault> {
    let null: OwnedFd = kernel::empty_input()?;
    nix::unistd::dup2_stdout(&null).at("replace", "stdout")?;
    nix::unistd::dup2_stderr(&null).at("replace", "stderr")
}

fn answer(request: &Request, leash: &UnixStream) -> Reply {
    match &request.task {
        Task::Run {
            isolation,
            confinement,
            spec,
        } => {
            let result = match isolation {
                Isolation::Namespaces => namespaces::run(spec, leash),
                Isolation::Rootswap => rootswap::run(spec, request, *confinement, leash),
                Isolation::Chroot => chroot::run(spec, request, *confinement, leash),
            };
            match result {
                Ok(exit) => Reply::Exited(exit),
                Err(error) => Reply::Failed(error),
            }
        }
        Task::Probe { isolation } => match examine(*isolation, request, leash) {
            Ok(answer) => Reply::Probed(answer),
            Err(error) => Reply::Failed(error),
        },
        Task::TryOverlay => match namespaces::examine_overlay(&request.state_dir) {
            Ok(marks) => Reply::Overlay(marks),
            Err(error) => Reply::Failed(error),
        },
    }
}

fn examine(
    isolation: Isolation,
    request: &Request,
    leash: &UnixStream,
) -> Result<ProbeAnswer, RunError> {
    match isolation {
        Isolation::Namespaces => namespaces::examine(&request.state_dir, leash),
        Isolation::Rootswap => rootswap::examine(&request.state_dir, &request.hints),
        Isolation::Chroot => chroot::examine(&request.state_dir, leash),
    }
}
