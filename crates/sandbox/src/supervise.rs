//! Waits for a command, with an eye on the leash.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, waitpid,
};

use crate::error::{At as _, Fault};
use crate::runner::Exit;

/// How a supervised command ended.
pub(crate) enum Ended {
    /// By itself.
    Exited(Exit),
    /// Killed, because the caller let go of the leash.
    Stopped,
}

/// Something else that is served while a command runs.
pub(crate) struct Service<'a> {
    pub(crate) fd: std::os::fd::BorrowedFd<'a>,
    pub(crate) serve: &'a mut dyn FnMut(),
}

/// Waits until `pid` has ended and is reaped. Kills it when `leash` is closed by the other side.
pub(crate) fn wait(pid: Pid, leash: impl AsFd) -> Result<Ended, Fault> {
    wait_and_serve(pid, leash, None)
}

/// Like [`wait`]; `service` is called whenever its descriptor can be read.
pub(crate) fn wait_and_serve(
    pid: Pid,
    leash: impl AsFd,
    mut service: Option<Service<'_>>,
) -> Result<Ended, Fault> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
    let (mut stopped, mut ended) = (false, true);
    loop {
        if ended && let Some(status) = reap(pid, WaitOptions::NOHANG)? {
            return Ok(if stopped {
                Ended::Stopped
            } else {
                Ended::Exited(exit_of(status))
            });
        }
        if stopped {
            let status = reap(pid, WaitOptions::empty())?;
            debug_assert!(status.is_some());
            return Ok(Ended::Stopped);
        }
        let woken = pause(
            pidfd.as_ref().map(AsFd::as_fd),
            leash.as_fd(),
            service.as_ref().map(|s| s.fd),
        )?;
        ended = woken.ended;
        match service.as_mut() {
            Some(service) if woken.served => (service.serve)(),
            _ => {}
        }
        if woken.hung_up {
            service = None;
        }
        if woken.let_go {
            // It may have ended just now; the wait above tells.
            let _ = kill_process(pid, Signal::KILL);
            stopped = true;
        }
    }
}

/// Why a pause ended.
#[derive(Default)]
struct Woken {
    let_go: bool,
    served: bool,
    /// The command may have ended.
    ended: bool,
    /// Nobody is left that could ask for the service.
    hung_up: bool,
}

/// Sleeps until something happens.
fn pause(
    pidfd: Option<std::os::fd::BorrowedFd<'_>>,
    leash: std::os::fd::BorrowedFd<'_>,
    service: Option<std::os::fd::BorrowedFd<'_>>,
) -> Result<Woken, Fault> {
    let mut polled = vec![PollFd::from_borrowed_fd(
        leash,
        PollFlags::IN | PollFlags::RDHUP,
    )];
    polled.extend(service.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    polled.extend(pidfd.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
    // Kernels without pidfd are asked every few milliseconds instead.
    let tick = Timespec {
        tv_sec: 0,
        tv_nsec: if pidfd.is_some() {
            500_000_000
        } else {
            10_000_000
        },
    };
    match poll(&mut polled, Some(&tick)) {
        Ok(_) => {}
        Err(Errno::INTR) => {
            return Ok(Woken {
                ended: true,
                ..Woken::default()
            });
        }
        Err(error) => return Err(error).at("wait for", "command"),
    }
    let served = if service.is_some() {
        polled[1].revents()
    } else {
        PollFlags::empty()
    };
    let served_only = served.contains(PollFlags::IN)
        && pidfd.is_some()
        && polled
            .last()
            .is_some_and(|pidfd| pidfd.revents().is_empty());
    Ok(Woken {
        ended: !served_only,
        let_go: !polled[0].revents().is_empty(),
        served: served.contains(PollFlags::IN),
        hung_up: served.contains(PollFlags::HUP),
    })
}

/// Whether the caller has let go of the leash.
pub(crate) fn is_let_go(leash: impl AsFd) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(
        leash.as_fd(),
        PollFlags::IN | PollFlags::RDHUP,
    )];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut polled, Some(&now)), Ok(count) if count > 0)
}

fn reap(pid: Pid, options: WaitOptions) -> Result<Option<WaitStatus>, Fault> {
    loop {
        match waitpid(Some(pid), options) {
            Ok(answer) => return Ok(answer.map(|(_, status)| status)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("wait for", "command"),
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::exited(code),
        (None, Some(signal)) => Exit::signalled(signal),
        (None, None) => Exit::exited(1),
    }
}
