//! Isolation by rename: the root filesystem's entries take the place of the container's own in `/`.
//!
//! This needs no mount, no namespace and no capability. The container's entries
//! are renamed aside into the state directory, the stage's into `/`, and after the
//! command everything goes back. What is about to happen is in a journal first,
//! so that a killed helper's swap is undone by [`recover`].

mod astray;
mod attributes;
mod back;
mod gate;
mod graft;
mod held;
mod journal;
mod plan;
mod recover;
mod swap;

use std::convert::Infallible;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::container::{ContainerEvidence, ContainerHints};
use crate::control::Request;
use crate::error::{At as _, Fault, RunError};
use crate::launch::launch;
use crate::probe::ProbeAnswer;
use crate::process::{self, Report};
use crate::rootswap::gate::Gate;
use crate::rootswap::graft::{Grafts, StubsKnown};
use crate::rootswap::held::Held;
use crate::rootswap::plan::Kept;
use crate::rootswap::swap::Swap;
use crate::runner::{Confinement, Exit, Note};
use crate::spec::{MountSource, RunSpec};
use crate::supervise::{self, Ended, Service};
use crate::{directory, etc, landlock, namespaces, reap, stubs};

pub(crate) use held::{WorkingDirectory, by_this_process};
pub use recover::{RecoverError, Recovered, recover};

/// Runs `spec` with its root in place of this container's.
pub(crate) fn run(
    spec: &RunSpec,
    request: &Request,
    confinement: Confinement,
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    let live = Path::new("/");
    check(&request.state_dir, &request.hints)?;
    reap::adopt_orphans()?;
    let resolv_conf = etc::resolv_conf(spec);
    keep_kernel_directories(spec)?;
    let mut session = Session::begin(live, spec, request)?;
    let mut notes = notes_about(spec);
    session.swap_in(spec, &resolv_conf)?;
    notes.extend(note_about(&session.swap.strangers()));
    let hidden = hidden_paths(spec, &session.swap.kept, &request.state_dir);
    let ended = command(spec, confinement, &hidden, &area(&request.state_dir), leash);
    session.restore()?;
    let mut exit = ended?;
    if let Some(fault) = session.swap.misfit() {
        return Err(RunError::Capture(fault));
    }
    exit.notes.extend(notes);
    exit.notes.extend(
        session
            .left
            .filter(|count| *count > 0)
            .map(|count| Note::LeftProcesses { count }),
    );
    Ok(exit)
}

fn command(
    spec: &RunSpec,
    confinement: Confinement,
    hidden: &[PathBuf],
    area: &Path,
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    if supervise::is_let_go(&leash) {
        return Err(RunError::Cancelled);
    }
    let (open, guarded) = gate::divide(Path::new("/"), hidden);
    let mut gate = Gate::prepare(area, guarded)?;
    let (ours, theirs) = socket_pair()?;
    let started =
        process::start(|report| become_command(spec, confinement, &open, &gate, &theirs, report))?;
    drop(theirs);
    let listener = gate::take(&ours);
    let mut serve = || listener.iter().for_each(|listener| gate.serve(listener));
    let service = listener.as_ref().map(|listener| Service {
        fd: listener.as_fd(),
        serve: &mut serve,
    });
    let ended = supervise::wait_and_serve(started.pid, leash, service)?;
    match ended {
        Ended::Exited(mut exit) => {
            exit.notes = started.notes;
            Ok(exit)
        }
        Ended::Stopped => Err(RunError::Cancelled),
    }
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), Fault> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .at("make a socket for", "command")
}

fn become_command(
    spec: &RunSpec,
    confinement: Confinement,
    open: &[PathBuf],
    gate: &Gate,
    socket: &OwnedFd,
    report: &mut Report,
) -> Result<Infallible, RunError> {
    launch(spec, || {
        if let Err(reason) = confine(spec, confinement, open, gate, socket) {
            report.note(Note::Unconfined { reason });
        }
        Ok(())
    })
}

fn confine(
    spec: &RunSpec,
    confinement: Confinement,
    open: &[PathBuf],
    gate: &Gate,
    socket: &OwnedFd,
) -> Result<(), String> {
    match confinement {
        Confinement::Off => return Err("confinement is switched off".to_owned()),
        Confinement::Root if !spec.user.is_root() => {
            return Err("a domain would break setuid programs of users other than 0".to_owned());
        }
        Confinement::Root | Confinement::Always => {}
    }
    if landlock::version() == 0 {
        return Err("the kernel has no Landlock".to_owned());
    }
    rustix::thread::set_no_new_privs(true).map_err(|errno| errno.to_string())?;
    match gate::install_filter().and_then(|listener| gate::give(socket, &listener)) {
        Ok(()) => landlock::confine(open.iter().chain(gate.ready())),
        Err(reason) => {
            // Without the gate, new entries of `/` would be unusable; other processes are still out of reach.
            landlock::guard_processes()?;
            Err(format!("files outside the root can be reached: {reason}"))
        }
    }
}

/// A swap that is undone when it goes out of scope, panics included.
struct Session {
    swap: Swap,
    grafts: Option<Grafts>,
    left: Option<u32>,
    finished: bool,
}

impl Session {
    fn begin(live: &Path, spec: &RunSpec, request: &Request) -> Result<Self, RunError> {
        let state_dir = &request.state_dir;
        let mountinfo = fs::read("/proc/self/mountinfo").at("read", "/proc/self/mountinfo")?;
        let kept = Kept::of_container(namespaces::mount_points(&mountinfo), state_dir);
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let started = reap::process(own).map_or(0, |process| process.started);
        let mut swap = Swap::begin(live, &spec.root, &area(state_dir), kept, (own, started))?;
        swap.held = Held::gather(live, &request.held);
        Ok(Self {
            swap,
            grafts: None,
            left: None,
            finished: false,
        })
    }

    fn swap_in(&mut self, spec: &RunSpec, resolv_conf: &[u8]) -> Result<(), RunError> {
        self.swap.swap_in()?;
        self.grafts
            .insert(Grafts::default())
            .put(&mut self.swap, spec, resolv_conf)
    }

    /// Kills what is left of the command, then moves everything back.
    fn restore(&mut self) -> Result<(), RunError> {
        self.left = Some(reap::kill_descendants());
        let result = self.put_back();
        self.finished = true;
        result.map_err(RunError::Restore)
    }

    fn put_back(&mut self) -> Result<(), Fault> {
        recover::return_mounts(&self.swap)?;
        graft::take_out(&self.swap, StubsKnown::ToGrafts)?;
        if let Some(grafts) = self.grafts.take() {
            grafts.remove_stubs()?;
        }
        self.swap.swap_back()?;
        self.swap.journal.finish()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.finished {
            // The error that led here is the one that is reported; the journal stays if this one fails.
            let _ = self.restore();
        }
    }
}

/// The state directory holds the container's own files during the run, so it is always hidden.
fn hidden_paths(spec: &RunSpec, kept: &Kept, state_dir: &Path) -> Vec<PathBuf> {
    let live = Path::new("/");
    let inside = spec
        .hidden
        .iter()
        .filter_map(|path| path.strip_prefix(live).ok());
    let in_sight = inside
        .flat_map(|path| kept.in_sight(path))
        .map(|path| live.join(path));
    in_sight.chain([state_dir.to_owned()]).collect()
}

/// The swap's own directory below the state directory.
fn area(state_dir: &Path) -> PathBuf {
    state_dir.join("swap")
}

fn check(state_dir: &Path, hints: &ContainerHints) -> Result<(), RunError> {
    if !rustix::process::geteuid().is_root() {
        return Err(RunError::Unsupported {
            what: "rootswap isolation".to_owned(),
            needs: "user 0 of the container".to_owned(),
        });
    }
    let evidence = ContainerEvidence::gather(hints);
    if !evidence.allows_rootswap() {
        return Err(RunError::NotAContainer {
            evidence: evidence.summary(),
        });
    }
    let root = Path::new("/");
    let device = |path: &Path| {
        fs::metadata(path)
            .map(|metadata| metadata.dev())
            .at("look at", path)
    };
    if device(state_dir)? != device(root)? {
        return Err(RunError::StateElsewhere {
            state_dir: state_dir.to_owned(),
            root: root.to_owned(),
        });
    }
    Ok(())
}

/// What stays in `/` for the command is an empty directory in its root, as after a run with mounts.
fn keep_kernel_directories(spec: &RunSpec) -> Result<(), RunError> {
    let root = directory::open(&spec.root)?;
    for path in ["/proc", "/dev", "/sys"] {
        stubs::keep_directory(&root, &directory::resolve(&spec.root, Path::new(path))?)?;
    }
    Ok(())
}

fn note_about(strangers: &[PathBuf]) -> Option<Note> {
    let paths = strangers.iter().map(|path| format!("/{}", path.display()));
    let paths: Vec<String> = paths.collect();
    (!paths.is_empty()).then_some(Note::DirectoriesStay { paths })
}

fn notes_about(spec: &RunSpec) -> Vec<Note> {
    let mut notes = Vec::new();
    for mount in &spec.mounts {
        let target = mount.target.display().to_string();
        match mount.source {
            MountSource::Tmpfs { size: Some(_), .. } => notes.push(Note::SizeIgnored { target }),
            _ if mount.read_only => notes.push(Note::Writable { target }),
            _ => {}
        }
    }
    if spec.hostname != RunSpec::new("/", [""]).hostname {
        notes.push(Note::HostnameKept);
    }
    notes
}

/// Looks for everything a swap needs, and renames one new directory of `/` into the state directory.
pub(crate) fn examine(state_dir: &Path, hints: &ContainerHints) -> Result<ProbeAnswer, RunError> {
    check(state_dir, hints)?;
    let name = format!(
        ".yadokari-probe-{}",
        rustix::process::getpid().as_raw_nonzero()
    );
    let (from, to) = (Path::new("/").join(&name), state_dir.join(&name));
    fs::create_dir(&from).at("make", &from)?;
    let renamed = fs::rename(&from, &to).at("rename into the state directory", &from);
    fs::remove_dir(if renamed.is_ok() { &to } else { &from }).at("remove", &to)?;
    renamed?;
    let landlock = landlock::version();
    let notes = if landlock == 0 {
        vec![Note::Unconfined {
            reason: "the kernel has no Landlock".to_owned(),
        }]
    } else {
        Vec::new()
    };
    Ok(ProbeAnswer {
        obstacle: None,
        notes,
        landlock,
        overlay: false,
    })
}

#[cfg(test)]
mod tests;
