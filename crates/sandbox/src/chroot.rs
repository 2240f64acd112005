//! The simplest isolation: `chroot`, devices by `mknod`, no `/proc`.

use std::convert::Infallible;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, makedev, mknodat};

use crate::devices::{LINKS, NODES};
use crate::error::{At as _, RunError};
use crate::launch::launch;
use crate::probe::ProbeAnswer;
use crate::process;
use crate::reap;
use crate::runner::{Exit, Note};
use crate::spec::RunSpec;
use crate::supervise::{self, Ended};
use crate::{directory, landlock, stubs};

/// Runs `spec` with its root as `/` and nothing else of its own.
pub(crate) fn run(spec: &RunSpec, leash: impl AsFd) -> Result<Exit, RunError> {
    if let Some(mount) = spec.mounts.first() {
        return Err(RunError::Unsupported {
            what: format!(
                "the mount on {} in chroot isolation",
                mount.target.display()
            ),
            needs: "namespaces or rootswap".to_owned(),
        });
    }
    reap::adopt_orphans()?;
    let root = directory::open(&spec.root)?;
    let devices = Devices::make(&spec.root, &root)?;
    let result = run_prepared(spec, leash);
    let left = reap::kill_descendants();
    devices.remove();
    let mut exit = result?;
    exit.notes.push(Note::NoProc);
    if left > 0 {
        exit.notes.push(Note::LeftProcesses { count: left });
    }
    Ok(exit)
}

fn run_prepared(spec: &RunSpec, leash: impl AsFd) -> Result<Exit, RunError> {
    let started = process::start(|_| become_command(spec))?;
    match supervise::wait(started.pid, leash)? {
        Ended::Exited(exit) => Ok(exit),
        Ended::Stopped => Err(RunError::Cancelled),
    }
}

fn become_command(spec: &RunSpec) -> Result<Infallible, RunError> {
    rustix::process::chroot(&spec.root).at("change the root to", &spec.root)?;
    rustix::process::chdir("/").at("enter", "/")?;
    launch(spec, || Ok(()))
}

/// The nodes made in an empty `/dev` for the time of a run.
struct Devices {
    dev: Option<OwnedFd>,
    made: Vec<&'static str>,
}

impl Devices {
    fn make(root: &Path, handle: &OwnedFd) -> Result<Self, RunError> {
        let path: PathBuf = directory::resolve(root, Path::new("/dev"))?;
        stubs::keep_directory(handle, &path)?;
        let dev = directory::open_beneath(handle, &path)?;
        if !directory::names(&dev).at("list", "/dev")?.is_empty() {
            return Ok(Self {
                dev: None,
                made: Vec::new(),
            });
        }
        let mut made = Vec::new();
        for (name, major, minor) in NODES {
            let mode = Mode::from_raw_mode(0o666);
            // Where no node may be made the command has none; it is told by its absence.
            if mknodat(
                &dev,
                name,
                FileType::CharacterDevice,
                mode,
                makedev(major, minor),
            )
            .is_ok()
            {
                let _ = rustix::fs::chmodat(&dev, name, mode, rustix::fs::AtFlags::empty());
                made.push(name);
            }
        }
        for (name, target) in LINKS {
            if symlink(target, root.join(&path).join(name)).is_ok() {
                made.push(name);
            }
        }
        Ok(Self {
            dev: Some(dev),
            made,
        })
    }

    fn remove(self) {
        if let Some(dev) = self.dev {
            for name in self.made {
                // The command may have removed it.
                let _ = rustix::fs::unlinkat(&dev, name, rustix::fs::AtFlags::empty());
            }
        }
    }
}

/// Changes the root of a child to the state directory.
pub(crate) fn examine(state_dir: &Path, leash: impl AsFd) -> Result<ProbeAnswer, RunError> {
    let spec = RunSpec::new(state_dir, ["/.probe-for-chroot"]);
    let started = process::start(|_| become_command(&spec));
    match started {
        Ok(started) => drop(supervise::wait(started.pid, leash)?),
        // Nothing to execute there: all before it worked.
        Err(RunError::Exec { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(ProbeAnswer {
        obstacle: None,
        notes: vec![Note::NoProc],
        landlock: landlock::version(),
        overlay: false,
    })
}
