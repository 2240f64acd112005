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
mod lent;
mod plan;
mod recover;
mod session;
mod shield;
mod swap;

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::thread::CapabilitySet;

use crate::container::{ContainerEvidence, ContainerHints};
use crate::control::Request;
use crate::error::{At as _, Fault, RunError};
use crate::launch::launch;
use crate::probe::ProbeAnswer;
use crate::process::{self, Report};
use crate::rootswap::attributes::Attributes;
use crate::rootswap::gate::Gate;
use crate::rootswap::plan::Kept;
use crate::rootswap::shield::Gap;
use crate::runner::{Confinement, Exit, Note};
use crate::spec::{MountSource, RunSpec};
use crate::supervise::{self, Ended, Service};
use crate::{capabilities, directory, etc, landlock, namespaces, reap, stubs};

pub(crate) use held::{WorkingDirectory, by_this_process};
pub use recover::{RecoverError, Recovered, occupant, recover};
pub(crate) use session::Session;

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
    let mut session = Session::begin(live, spec, request, &leash)?;
    let mut notes = notes_about(spec);
    session.swap_in(spec, &resolv_conf)?;
    notes.extend(note_about(&session.swap.strangers()));
    let hidden = shield::hidden_paths(spec, &session.swap, &request.state_dir);
    let exposed = session.shut_out(&spec.user, &hidden)?;
    let boundary = Boundary {
        confinement,
        hidden,
        exposed,
    };
    let ended = command(spec, &boundary, &area(&request.state_dir), leash);
    session.restore()?;
    let mut exit = ended?;
    session.check_capture()?;
    exit.notes.extend(notes);
    exit.notes.extend(session.notes());
    Ok(exit)
}

/// What keeps a command from what lies outside its root.
struct Boundary {
    confinement: Confinement,
    /// What a Landlock domain shuts off.
    hidden: Vec<PathBuf>,
    /// What of it a command without a domain can read all the same.
    exposed: Vec<PathBuf>,
}

fn command(
    spec: &RunSpec,
    boundary: &Boundary,
    area: &Path,
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    if supervise::is_let_go(&leash) {
        return Err(RunError::Cancelled);
    }
    let (open, guarded) = gate::divide(Path::new("/"), &boundary.hidden);
    let fallback = || area.join(swap::SPARES);
    let spares = spec.spares.clone().unwrap_or_else(fallback);
    let mut gate = Gate::prepare(spares, &boundary.hidden, &guarded, &open)?;
    let (ours, theirs) = socket_pair()?;
    let started =
        process::start(|report| become_command(spec, boundary, &open, &gate, &theirs, report))?;
    drop(theirs);
    let listener = gate::take(&ours);
    let mut serve = || listener.iter().for_each(|listener| gate.serve(listener));
    let service = listener.as_ref().map(|listener| Service {
        fd: listener.as_fd(),
        serve: &mut serve,
    });
    let ended = supervise::wait_and_serve(started.pid, leash, service)?;
    gate.close();
    match ended {
        Ended::Exited(mut exit) => {
            exit.notes = started.notes;
            exit.notes
                .extend(gate.ran_dry().then_some(Note::EntriesUnusable));
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
    boundary: &Boundary,
    open: &[PathBuf],
    gate: &Gate,
    socket: &OwnedFd,
    report: &mut Report,
) -> Result<Infallible, RunError> {
    launch(spec, || {
        if let Err(gap) = confine(spec, boundary.confinement, open, gate, socket) {
            report.note(Note::Unconfined {
                reason: gap.told(&spec.user, &boundary.exposed),
            });
        }
        Ok(())
    })
}

/// Sees to it that this process may enter a Landlock domain and filter its calls. The error says why it should not.
pub(crate) fn prepare_domain(spec: &RunSpec, confinement: Confinement) -> Result<(), String> {
    let free = capabilities::may(CapabilitySet::SYS_ADMIN);
    match confinement {
        Confinement::Off => return Err("confinement is switched off".to_owned()),
        Confinement::Root if !(free || spec.user.is_root()) => {
            return Err("a domain would break setuid programs of users other than 0".to_owned());
        }
        Confinement::Root | Confinement::Always => {}
    }
    if let Some(reason) = landlock::unavailable() {
        return Err(reason);
    }
    if free {
        return Ok(());
    }
    rustix::thread::set_no_new_privs(true).map_err(|errno| errno.to_string())
}

fn confine(
    spec: &RunSpec,
    confinement: Confinement,
    open: &[PathBuf],
    gate: &Gate,
    socket: &OwnedFd,
) -> Result<(), Gap> {
    let all = |reason| Gap {
        reason,
        processes: true,
    };
    prepare_domain(spec, confinement).map_err(all)?;
    match gate::install_filter().and_then(|listener| gate::give(socket, &listener)) {
        Ok(()) => landlock::confine(open.iter().chain(gate.ready())).map_err(all),
        Err(reason) => {
            // Without the gate, no entry of `/` could be made; other processes are still out of reach.
            landlock::guard_processes().map_err(all)?;
            Err(Gap {
                reason: format!("files outside the root can be reached: {reason}"),
                processes: false,
            })
        }
    }
}

/// Whether swaps leave a directory where it is: in a mount of the container, or in the state directory.
pub(crate) fn leaves_in_place(directory: &Path, state_dir: &Path) -> bool {
    let look = || {
        let directory = fs::canonicalize(directory)?;
        let mountinfo = fs::read("/proc/self/mountinfo")?;
        let kept = Kept::of_container(namespaces::mount_points(&mountinfo), state_dir);
        let below = directory.strip_prefix("/").unwrap_or(&directory);
        Ok::<_, io::Error>(kept.covers(below))
    };
    look().unwrap_or(false)
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

pub(crate) fn notes_about(spec: &RunSpec) -> Vec<Note> {
    let mut notes = Vec::new();
    for mount in &spec.mounts {
        let target = mount.target.display().to_string();
        match mount.source {
            MountSource::Tmpfs { size: Some(_), .. } => notes.push(Note::SizeIgnored { target }),
            // Files are secrets and scripts, which are gone after this command whatever it does to them.
            MountSource::Directory(_) if mount.read_only => notes.push(Note::Writable { target }),
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
    let live = Path::new("/");
    let attributes = Attributes::read(live)?;
    let (from, to) = (live.join(&name), state_dir.join(&name));
    fs::create_dir(&from).at("make", &from)?;
    let renamed = fs::rename(&from, &to).at("rename into the state directory", &from);
    fs::remove_dir(if renamed.is_ok() { &to } else { &from }).at("remove", &to)?;
    renamed?;
    // Its time would tell that something was tried.
    attributes.apply(live)?;
    let unconfined = landlock::unavailable().map(|reason| Note::Unconfined { reason });
    Ok(ProbeAnswer {
        obstacle: None,
        notes: unconfined.into_iter().collect(),
        landlock: landlock::version(),
        overlay: false,
    })
}

#[cfg(test)]
mod tests;
