//! The simplest isolation: `chroot`, devices by `mknod`, mounts by rename, no `/proc`.

mod devices;

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use crate::chroot::devices::Devices;
use crate::control::Request;
use crate::error::{At as _, RunError};
use crate::launch::launch;
use crate::probe::ProbeAnswer;
use crate::process::{self, Report, Started};
use crate::rootswap::{self, Session};
use crate::runner::{Confinement, Exit, Note};
use crate::spec::RunSpec;
use crate::supervise::{self, Ended};
use crate::{directory, etc, landlock, reap, stubs};

/// Runs `spec` with its root as `/` and nothing else of its own.
pub(crate) fn run(
    spec: &RunSpec,
    request: &Request,
    confinement: Confinement,
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    reap::adopt_orphans()?;
    let root = directory::open(&spec.root)?;
    for path in ["/proc", "/sys"] {
        stubs::keep_directory(&root, &directory::resolve(&spec.root, Path::new(path))?)?;
    }
    let devices = Devices::make(&spec.root, &root)?;
    let resolv_conf = etc::resolv_conf(spec);
    let result = run_with_mounts(spec, request, confinement, &resolv_conf, leash);
    let missing = devices.missing();
    devices.remove()?;
    let mut exit = result?;
    exit.notes.push(Note::NoProc);
    exit.notes.extend(missing);
    Ok(exit)
}

fn run_with_mounts(
    spec: &RunSpec,
    request: &Request,
    confinement: Confinement,
    resolv_conf: &[u8],
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    let mut session = Session::in_place(spec, &request.state_dir, resolv_conf, &leash)?;
    let ended = supervised(spec, confinement, leash);
    session.restore()?;
    let mut exit = ended?;
    exit.notes.extend(rootswap::notes_about(spec));
    exit.notes.extend(session.notes());
    Ok(exit)
}

fn supervised(
    spec: &RunSpec,
    confinement: Confinement,
    leash: impl AsFd,
) -> Result<Exit, RunError> {
    let Started { pid, notes } =
        process::start(|report| become_command(spec, confinement, report))?;
    match supervise::wait(pid, leash)? {
        Ended::Exited(mut exit) => {
            exit.notes = notes;
            Ok(exit)
        }
        Ended::Stopped => Err(RunError::Cancelled),
    }
}

fn become_command(
    spec: &RunSpec,
    confinement: Confinement,
    report: &mut Report,
) -> Result<Infallible, RunError> {
    rustix::process::chroot(&spec.root).at("change the root to", &spec.root)?;
    rustix::process::chdir("/").at("enter", "/")?;
    launch(spec, || {
        if let Err(reason) = confine(spec, confinement) {
            report.note(Note::Unconfined { reason });
        }
        Ok(())
    })
}

/// Whoever may change the root can also get out of one; a domain keeps even such a command below this root.
fn confine(spec: &RunSpec, confinement: Confinement) -> Result<(), String> {
    rootswap::prepare_domain(spec, confinement)?;
    landlock::confine(&[PathBuf::from("/")])
}

/// Changes the root of a child to the state directory.
pub(crate) fn examine(state_dir: &Path, leash: impl AsFd) -> Result<ProbeAnswer, RunError> {
    let mut spec = RunSpec::new(state_dir, ["/.probe-for-chroot"]);
    spec.user = crate::spec::User::root();
    let started = process::start(|report| become_command(&spec, Confinement::Off, report));
    match started {
        Ok(started) => drop(supervise::wait(started.pid, leash)?),
        // Nothing to execute there: all before it worked.
        Err(RunError::Exec { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut notes = vec![Note::NoProc];
    notes.extend(landlock::unavailable().map(|reason| Note::Unconfined { reason }));
    Ok(ProbeAnswer {
        obstacle: None,
        notes,
        landlock: landlock::version(),
        overlay: false,
    })
}
