//! What was put into a root for one run, and is taken out again whatever happens.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use crate::control::Request;
use crate::error::{At as _, Fault, RunError};
use crate::rootswap::graft::{self, Grafts, StubsKnown};
use crate::rootswap::held::Held;
use crate::rootswap::plan::Kept;
use crate::rootswap::shield::Shut;
use crate::rootswap::swap::Swap;
use crate::rootswap::{area, recover};
use crate::runner::Note;
use crate::spec::{RunSpec, User};
use crate::{directory, namespaces, reap, supervise};

/// A swap, or mounts by rename alone, undone when it goes out of scope, panics included.
pub(crate) struct Session {
    pub(super) swap: Swap,
    grafts: Option<Grafts>,
    /// Directories of the container that are shut meanwhile.
    shut: Shut,
    left: Option<u32>,
    /// Files of the runtime that the command had changed.
    changed: Vec<PathBuf>,
    finished: bool,
    /// Held as long as anything is not in its own place.
    _turn: OwnedFd,
}

impl Session {
    /// Begins to swap the root of `spec` into `live`, in turn with other builds in this container; nothing has moved yet.
    pub(super) fn begin(
        live: &Path,
        spec: &RunSpec,
        request: &Request,
        leash: impl AsFd,
    ) -> Result<Self, RunError> {
        let state_dir = &request.state_dir;
        let turn = take_turn(state_dir, leash)?;
        let mountinfo = fs::read("/proc/self/mountinfo").at("read", "/proc/self/mountinfo")?;
        let kept = Kept::of_container(namespaces::mount_points(&mountinfo), state_dir);
        let mut swap = Swap::begin(live, &spec.root, &area(state_dir), kept, this_helper())?;
        swap.held = Held::gather(live, &request.held);
        Ok(Self::of(swap, turn))
    }

    /// Puts the mounts of `spec` into its root where that lies, in turn with other runs of this state directory.
    pub(crate) fn in_place(
        spec: &RunSpec,
        state_dir: &Path,
        resolv_conf: &[u8],
        leash: impl AsFd,
    ) -> Result<Self, RunError> {
        let turn = take_turn(state_dir, leash)?;
        let swap = Swap::begin(
            &spec.root,
            &spec.root,
            &area(state_dir),
            Kept::default(),
            this_helper(),
        )?;
        let mut session = Self::of(swap, turn);
        session.graft(spec, resolv_conf)?;
        Ok(session)
    }

    fn of(swap: Swap, turn: OwnedFd) -> Self {
        Self {
            swap,
            grafts: None,
            shut: Shut::default(),
            left: None,
            changed: Vec::new(),
            finished: false,
            _turn: turn,
        }
    }

    pub(super) fn swap_in(&mut self, spec: &RunSpec, resolv_conf: &[u8]) -> Result<(), RunError> {
        self.swap.swap_in()?;
        self.graft(spec, resolv_conf)
    }

    /// Keeps users other than 0 out of what is hidden by the modes of directories; gives what they can read yet.
    ///
    /// User 0 heeds no modes, and can read all.
    pub(super) fn shut_out(
        &mut self,
        user: &User,
        hidden: &[PathBuf],
    ) -> Result<Vec<PathBuf>, RunError> {
        if user.is_root() {
            return Ok(hidden.to_vec());
        }
        Ok(self.shut.out(&self.swap, user, hidden)?)
    }

    fn graft(&mut self, spec: &RunSpec, resolv_conf: &[u8]) -> Result<(), RunError> {
        self.grafts
            .insert(Grafts::default())
            .put(&mut self.swap, spec, resolv_conf)
    }

    /// Kills what is left of the command, then moves everything back.
    pub(crate) fn restore(&mut self) -> Result<(), RunError> {
        self.left = Some(reap::kill_descendants());
        let result = self.put_back();
        self.finished = true;
        result.map_err(RunError::Restore)
    }

    fn put_back(&mut self) -> Result<(), Fault> {
        self.shut.open()?;
        recover::return_mounts(&self.swap)?;
        let mut grafts = self.grafts.take().unwrap_or_default();
        let settled = grafts.settle();
        self.changed = graft::take_out(&self.swap, StubsKnown::ToGrafts)?;
        grafts.remove_stubs()?;
        for (directory, times) in settled {
            rustix::fs::futimens(&directory, &times.timestamps()).at("set the times in", "/")?;
        }
        self.swap.swap_back()?;
        self.swap.journal.finish()
    }

    /// What is said of processes that outlived the command, and of changes that no layer has.
    pub(crate) fn notes(&self) -> impl Iterator<Item = Note> {
        let left = self.left.filter(|count| *count > 0);
        let changed = self.changed.iter().map(|path| Note::NotKept {
            path: format!("/{}", path.display()),
        });
        left.map(|count| Note::LeftProcesses { count })
            .into_iter()
            .chain(changed)
    }

    /// The first thing that the command left and that its root could not be given.
    pub(super) fn check_capture(&self) -> Result<(), RunError> {
        self.swap
            .misfit()
            .map_or(Ok(()), |fault| Err(RunError::Capture(fault)))
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

/// This process, as the journal names it.
fn this_helper() -> (i32, u64) {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let started = reap::process(own).map_or(0, |process| process.started);
    (own, started)
}

/// Waits until no other helper has anything in place, and undoes what a killed one left.
fn take_turn(state_dir: &Path, leash: impl AsFd) -> Result<OwnedFd, RunError> {
    let area = area(state_dir);
    fs::create_dir_all(&area).at("make", &area)?;
    let turn = wait_for_turn(&area, leash)?;
    // Whoever left a journal is dead, or its turn would not be over.
    recover::recover(state_dir).map_err(RunError::from)?;
    Ok(turn)
}

/// Waits for the lock of the swap's directory. The turn ends with the descriptor, also by death.
fn wait_for_turn(area: &Path, leash: impl AsFd) -> Result<OwnedFd, RunError> {
    let directory = directory::open(area)?;
    loop {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).at("lock", area).map_err(RunError::from),
        }
        if supervise::is_let_go(&leash) {
            return Err(RunError::Cancelled);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
