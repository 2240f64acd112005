//! Undoes the swap of a helper that was killed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::error::{At as _, Fault, RunError};
use crate::namespaces;
use crate::reap::{self, Process};
use crate::rootswap::area;
use crate::rootswap::graft::{self, StubsKnown};
use crate::rootswap::journal::{Journal, Record, back_path};
use crate::rootswap::swap::{Swap, journal_path};

/// What [`recover`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// No swap was cut off.
    Nothing,
    /// A swap was undone; the container's root is as it was.
    Restored {
        /// The root that had been swapped in. What its command left in it is incomplete.
        stage: PathBuf,
    },
}

/// Why a swap that was cut off is not undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The swap is in use by a running process.
    #[error("a command is running with its root in place of this container's (process {pid})")]
    Running {
        /// The helper that runs it.
        pid: i32,
    },
    /// Something could not be moved back. It may be tried again.
    #[error("cannot undo the swap of a killed run: {0}")]
    Restore(#[from] Fault),
}

impl From<RecoverError> for RunError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Restore(fault) => Self::Restore(fault),
            RecoverError::Running { pid } => Self::SwapInProgress {
                journal: PathBuf::from(format!("/proc/{pid}")),
            },
        }
    }
}

/// Undoes the swap that a killed helper left in `state_dir`, if there is one.
///
/// To be called at the start of every build, before anything else is looked up in
/// `/`. Processes of the interrupted command are killed. A helper that still runs
/// is given five seconds to end by itself, since it restores when its caller dies.
pub fn recover(state_dir: &Path) -> Result<Recovered, RecoverError> {
    let area = area(state_dir);
    let path = journal_path(&area);
    let Some(records) = Journal::peek(&path)? else {
        return Ok(Recovered::Nothing);
    };
    let Some(helper) = helper_of(&records) else {
        // Killed before it had begun.
        Journal::reopen(&path)?.map_or(Ok(()), |journal| journal.finish())?;
        return Ok(Recovered::Nothing);
    };
    wait_for(helper)?;
    let Some(journal) = Journal::reopen(&path)? else {
        return Ok(Recovered::Nothing);
    };
    let Some(mut swap) = Swap::resume(&area, journal) else {
        return Ok(Recovered::Nothing);
    };
    kill_strays(&swap, state_dir, helper.1);
    undo(&mut swap)?;
    let stage = swap.stage.clone();
    swap.journal.finish()?;
    Ok(Recovered::Restored { stage })
}

/// The helper that runs a command with its root in place of this container's, if one does.
pub fn occupant(state_dir: &Path) -> Option<i32> {
    let records = Journal::peek(&journal_path(&area(state_dir))).ok()??;
    let helper = helper_of(&records)?;
    is_running(helper).then_some(helper.0)
}

fn helper_of(records: &[Record]) -> Option<(i32, u64)> {
    match records.first() {
        Some(Record::Begin { helper, .. }) => Some(*helper),
        _ => None,
    }
}

/// Whether a helper runs yet.
fn is_running((pid, started): (i32, u64)) -> bool {
    reap::process(pid).is_some_and(|process| process.started == started && process.is_running())
}

/// Moves everything back, from whatever point the swap was cut off at.
pub(crate) fn undo(swap: &mut Swap) -> Result<(), Fault> {
    if !swap.journal.is_back() {
        return_mounts(swap)?;
        // Who made the changes is gone, and so is who would hear of them.
        drop(graft::take_out(swap, StubsKnown::ToJournal)?);
    }
    swap.swap_back()
}

/// Moves the container's mounts back to where they were before the command.
pub(crate) fn return_mounts(swap: &Swap) -> Result<(), Fault> {
    let table = "/proc/self/mountinfo";
    for _ in swap.kept.paths() {
        let mount_points = namespaces::mount_points(&fs::read(table).at("read", table)?);
        if !swap.return_mounts(&mount_points)? {
            break;
        }
    }
    Ok(())
}

fn wait_for(helper: (i32, u64)) -> Result<(), RecoverError> {
    let pid = helper.0;
    for _ in 0..PATIENCE {
        if !is_running(helper) || pid == getpid().as_raw_nonzero().get() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(RecoverError::Running { pid })
}

/// Kills the processes of the interrupted command, and waits until they are gone: one that still runs would write to
/// whatever comes back under its eyes.
fn kill_strays(swap: &Swap, state_dir: &Path, helper_started: u64) {
    if swap.journal.is_back() {
        return;
    }
    for _ in 0..PATIENCE {
        let strays = strays(swap, state_dir, helper_started);
        if strays.is_empty() {
            return;
        }
        for pid in strays.into_iter().filter_map(Pid::from_raw) {
            // One that has ended meanwhile is what is wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The running processes of the command, which are younger than its helper.
fn strays(swap: &Swap, state_dir: &Path, helper_started: u64) -> Vec<i32> {
    let processes = reap::processes();
    let own = line_of_descent(&processes);
    let filters = filters("self");
    let younger = processes
        .iter()
        .filter(|process| process.is_running() && process.started >= helper_started);
    younger
        .map(|process| process.pid)
        .filter(|pid| !own.contains(pid) && is_of_command(swap, state_dir, *pid, filters))
        .collect()
}

/// Whether a process has filters of system calls that this one has not, as only commands have; or executes something
/// of the stage, or has the stage's root for its own.
///
/// What belongs to the container executes a file that was moved aside, or one of another filesystem.
fn is_of_command(swap: &Swap, state_dir: &Path, pid: i32, own_filters: Option<u32>) -> bool {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
    if swap.live != Path::new("/") {
        return link("root").is_ok_and(|path| path == swap.live);
    }
    let filtered = own_filters.is_some_and(|own| filters(&pid.to_string()) > Some(own));
    filtered
        || (link("exe").is_ok_and(|path| !path.starts_with(state_dir))
            && device(format!("/proc/{pid}/exe"))
                .is_some_and(|found| devices_of_root(state_dir).contains(&Some(found))))
}

/// The filters that a process has, where the kernel tells.
fn filters(pid: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("Seccomp_filters:"))?;
    count.trim().parse().ok()
}

/// The devices of files in `/`. Overlays may give those of directories and of new files different ones.
fn devices_of_root(state_dir: &Path) -> [Option<u64>; 3] {
    let area = area(state_dir);
    let journal = journal_path(&area);
    [device("/"), device(&journal), device(back_path(&journal))]
}

fn device(path: impl AsRef<Path>) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.dev())
}

/// This process and its ancestors.
fn line_of_descent(processes: &[Process]) -> Vec<i32> {
    let mut line = vec![getpid().as_raw_nonzero().get()];
    while let Some(process) = processes
        .iter()
        .find(|process| line.last() == Some(&process.pid))
    {
        if process.parent == 0 || line.contains(&process.parent) {
            break;
        }
        line.push(process.parent);
    }
    line
}

/// Ten milliseconds each.
const PATIENCE: u32 = 500;
