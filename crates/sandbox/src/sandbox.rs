//! The [`Runner`] that starts a helper process for each command.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cancel::Cancel;
use crate::container::ContainerHints;
use crate::control::{self, Reply, Request, Task};
use crate::error::{At as _, Fault, RunError};
use crate::helper::HELPER_ARGUMENT;
use crate::rootswap::{self, WorkingDirectory};
use crate::runner::{Abilities, Confinement, Exit, Runner, Stream, no_overlay};
use crate::spec::{Isolation, OverlayMarks, RunSpec};

/// What every run of a [`Sandbox`] shares.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The executable whose `main` calls [`crate::helper_main`]; `/proc/self/exe` is the caller itself.
    pub helper: PathBuf,
    /// The directory for the swap journal and what is moved aside. On the filesystem of `/` for rootswap.
    pub state_dir: PathBuf,
    /// Whether commands in rootswap are confined by Landlock.
    pub confinement: Confinement,
    /// What the caller's environment says about being in a container.
    pub hints: ContainerHints,
}

impl Settings {
    /// The caller's own executable as helper, and the defaults.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            helper: PathBuf::from("/proc/self/exe"),
            state_dir: state_dir.into(),
            confinement: Confinement::default(),
            hints: ContainerHints::default(),
        }
    }
}

/// Runs commands in one isolation mode, each under a helper process of its own.
#[derive(Clone, Debug)]
pub struct Sandbox {
    isolation: Isolation,
    settings: Settings,
    /// What trying an overlay gave.
    overlay: OnceLock<Result<OverlayMarks, RunError>>,
}

impl Sandbox {
    /// A runner for `isolation`, which [`crate::probe`] found to work.
    pub fn new(isolation: Isolation, settings: Settings) -> Self {
        Self {
            isolation,
            settings,
            overlay: OnceLock::new(),
        }
    }

    fn try_overlay(&self) -> Result<OverlayMarks, RunError> {
        let answer = converse(
            &self.settings,
            Task::TryOverlay,
            &mut |_, _| {},
            &Cancel::new(),
        );
        match answer? {
            Reply::Overlay(marks) => Ok(marks),
            Reply::Failed(error) => Err(error),
            Reply::Exited(_) | Reply::Probed(_) => Err(another_question()),
        }
    }

    fn converse_and_recover(
        &self,
        task: Task,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<Reply, RunError> {
        if self.isolation == Isolation::Namespaces {
            return converse(&self.settings, task, output, cancel);
        }
        let directory = WorkingDirectory::remember();
        let answer = converse(&self.settings, task, output, cancel);
        if answer.is_err() {
            // The helper was killed before it could restore the root.
            crate::rootswap::recover(&self.settings.state_dir).map_err(RunError::from)?;
        }
        directory.enter();
        answer
    }

    fn check(&self, spec: &RunSpec) -> Result<(), RunError> {
        let abilities = self.abilities();
        if spec.network == crate::spec::Network::None && !abilities.network_none {
            return Err(RunError::Unsupported {
                what: format!("--network=none in {} isolation", self.isolation),
                needs: "namespaces (CAP_SYS_ADMIN or a user namespace)".to_owned(),
            });
        }
        if spec.security == crate::spec::Security::Insecure && self.isolation == Isolation::Rootswap
        {
            // What confines the command is what keeps the container whole.
            return Err(RunError::Unsupported {
                what: format!("--security=insecure in {} isolation", self.isolation),
                needs: "namespaces (CAP_SYS_ADMIN or a user namespace)".to_owned(),
            });
        }
        if spec.overlay.is_some() && self.isolation != Isolation::Namespaces {
            return Err(no_overlay(self.isolation));
        }
        for (what, path) in [("root", &spec.root), ("working directory", &spec.cwd)] {
            if !path.is_absolute() {
                return Err(invalid(what, "is not an absolute path"));
            }
        }
        if spec.argv.is_empty() {
            return Err(invalid("argv", "is empty"));
        }
        Ok(())
    }
}

impl Runner for Sandbox {
    fn run(
        &self,
        spec: &RunSpec,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<Exit, RunError> {
        self.check(spec)?;
        let task = Task::Run {
            isolation: self.isolation,
            confinement: self.settings.confinement,
            spec: Box::new(spec.clone()),
        };
        match self.converse_and_recover(task, output, cancel)? {
            Reply::Exited(_) if cancel.is_cancelled() => Err(RunError::Cancelled),
            Reply::Exited(exit) => Ok(exit),
            Reply::Failed(error) => Err(error),
            Reply::Probed(_) | Reply::Overlay(_) => Err(another_question()),
        }
    }

    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn abilities(&self) -> Abilities {
        Abilities::of(self.isolation)
    }

    fn leaves_in_place(&self, directory: &Path) -> bool {
        !self.abilities().moves_callers_root
            || rootswap::leaves_in_place(directory, &self.settings.state_dir)
    }

    fn overlay(&self) -> Result<OverlayMarks, RunError> {
        if self.isolation != Isolation::Namespaces {
            return Err(no_overlay(self.isolation));
        }
        self.overlay.get_or_init(|| self.try_overlay()).clone()
    }
}

fn another_question() -> RunError {
    RunError::HelperDied {
        status: "it answered another question".to_owned(),
    }
}

/// Starts a helper, gives it `task`, passes its output on and waits for its answer.
pub(crate) fn converse(
    settings: &Settings,
    task: Task,
    output: &mut dyn FnMut(Stream, &[u8]),
    cancel: &Cancel,
) -> Result<Reply, RunError> {
    if cancel.is_cancelled() {
        return Err(RunError::Cancelled);
    }
    let mut helper = Helper::start(settings)?;
    let request = Request {
        task,
        state_dir: settings.state_dir.clone(),
        hints: settings.hints.clone(),
        held: crate::rootswap::by_this_process(),
    };
    let sent = control::send(&mut helper.socket, &request);
    if let Err(error) = sent {
        let status = helper.finish();
        return Err(RunError::HelperDied {
            status: format!("{error}; {status}"),
        });
    }
    helper.pump(output, cancel)?;
    helper.answer()
}

struct Helper {
    child: Child,
    socket: UnixStream,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    answer: Vec<u8>,
    stopping: Option<Instant>,
    settings: Settings,
}

impl Helper {
    fn start(settings: &Settings) -> Result<Self, RunError> {
        let path = &settings.helper;
        let helper = |error: Fault| RunError::Helper(error);
        let (socket, theirs) = UnixStream::pair()
            .at("make a socket for", path)
            .map_err(helper)?;
        let mut child = Command::new(path)
            .arg(HELPER_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .at("start", path)
            .map_err(helper)?;
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        let settings = settings.clone();
        Ok(Self {
            child,
            socket,
            stdout,
            stderr,
            answer: Vec::new(),
            stopping: None,
            settings,
        })
    }

    /// Passes output on until the helper closed its side of the socket and nobody holds the output pipes.
    fn pump(
        &mut self,
        output: &mut dyn FnMut(Stream, &[u8]),
        cancel: &Cancel,
    ) -> Result<(), RunError> {
        let mut buffer = vec![0; 64 << 10];
        let mut open = true;
        while open || self.stdout.is_some() || self.stderr.is_some() {
            self.stop_if(cancel);
            let ready = self.wait_readable(open)?;
            if ready.stdout {
                pass_on(&mut self.stdout, Stream::Stdout, &mut buffer, output);
            }
            if ready.stderr {
                pass_on(&mut self.stderr, Stream::Stderr, &mut buffer, output);
            }
            if ready.socket {
                open = self.read_answer(&mut buffer);
            }
            // A helper that was killed may have left processes that hold the pipes for ever.
            let died = !open && control::receive::<Reply>(&mut self.answer.as_slice()).is_err();
            if died || self.overdue() {
                break;
            }
        }
        Ok(())
    }

    /// Closes the leash when `cancel` is set. The helper then kills and restores.
    fn stop_if(&mut self, cancel: &Cancel) {
        if cancel.is_cancelled() && self.stopping.is_none() {
            self.stopping = Some(Instant::now());
            // A socket that is closed already has the same effect.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
    }

    /// A helper that does not stop in time is killed; what it left is undone by [`crate::recover`].
    fn overdue(&mut self) -> bool {
        let overdue = self
            .stopping
            .is_some_and(|since| since.elapsed() > PATIENCE);
        if overdue {
            // It may have ended in this instant, which is what is wanted.
            let _ = self.child.kill();
        }
        overdue
    }

    fn wait_readable(&self, open: bool) -> Result<Ready, RunError> {
        let streams = [self.stdout.as_ref(), self.stderr.as_ref()];
        let mut polled = Vec::with_capacity(3);
        let mut places = [None; 3];
        for (place, stream) in places.iter_mut().zip(streams) {
            if let Some(stream) = stream {
                *place = Some(polled.len());
                polled.push(PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN));
            }
        }
        if open {
            places[2] = Some(polled.len());
            polled.push(PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN));
        }
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: 50_000_000,
        };
        match poll(&mut polled, Some(&tick)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(RunError::Helper(crate::error::fault(
                    "wait for",
                    &self.settings.helper,
                    error.raw_os_error(),
                )));
            }
        }
        let ready =
            |place: Option<usize>| place.is_some_and(|place| !polled[place].revents().is_empty());
        Ok(Ready {
            stdout: ready(places[0]),
            stderr: ready(places[1]),
            socket: ready(places[2]),
        })
    }

    /// Collects answer bytes; false at the end.
    fn read_answer(&mut self, buffer: &mut [u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(0) => false,
            Ok(length) => {
                self.answer.extend_from_slice(&buffer[..length]);
                true
            }
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
        }
    }

    fn answer(mut self) -> Result<Reply, RunError> {
        let cancelled = self.stopping.is_some();
        let status = self.finish();
        match control::receive(&mut self.answer.as_slice()) {
            Ok(reply) => Ok(reply),
            Err(_) if cancelled => Err(RunError::Cancelled),
            Err(_) => Err(RunError::HelperDied { status }),
        }
    }

    fn finish(&mut self) -> String {
        match self.child.wait() {
            Ok(status) => describe(status),
            Err(error) => error.to_string(),
        }
    }
}

struct Ready {
    stdout: bool,
    stderr: bool,
    socket: bool,
}

fn pass_on(
    stream: &mut Option<OwnedFd>,
    name: Stream,
    buffer: &mut [u8],
    output: &mut dyn FnMut(Stream, &[u8]),
) {
    let Some(fd) = stream else { return };
    match rustix::io::read(&*fd, &mut *buffer) {
        Ok(0) => *stream = None,
        Ok(length) => output(name, &buffer[..length]),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
        Err(_) => *stream = None,
    }
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}

fn invalid(what: &str, reason: &str) -> RunError {
    RunError::Invalid {
        what: what.to_owned(),
        reason: reason.to_owned(),
    }
}

/// How long a helper may take to kill and restore.
const PATIENCE: Duration = Duration::from_millis(1800);
