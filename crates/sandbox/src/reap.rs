//! Kills every descendant of the helper where no pid namespace does it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};

use crate::error::{At as _, Fault};

/// Makes orphaned descendants children of this process instead of the container's first process.
///
/// Without it, a daemon that forked twice would be out of reach.
pub(crate) fn adopt_orphans() -> Result<(), Fault> {
    set_child_subreaper(Some(getpid())).at("become subreaper for", "/proc/self")
}

/// Kills all descendants and waits until none is left. Gives the number that were still running.
pub(crate) fn kill_descendants() -> u32 {
    // Stopped first: a process that forks faster than it is killed would never be caught.
    let mut seen = BTreeSet::new();
    loop {
        let fresh: Vec<i32> = descendants()
            .into_iter()
            .filter(|pid| seen.insert(*pid))
            .collect();
        if fresh.is_empty() {
            break;
        }
        signal_all(&fresh, Signal::STOP);
    }
    while !reap_finished() {
        signal_all(&descendants(), Signal::KILL);
        std::thread::sleep(Duration::from_millis(1));
    }
    u32::try_from(seen.len()).unwrap_or(u32::MAX)
}

fn signal_all(pids: &[i32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // A process that ended meanwhile is what is wanted.
        let _ = kill_process(pid, signal);
    }
}

/// Reaps what has ended; true when there is no child any more.
fn reap_finished() -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

/// The running descendants of this process, zombies not counted.
pub(crate) fn descendants() -> Vec<i32> {
    let processes = processes();
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for process in &processes {
        children
            .entry(process.parent)
            .or_default()
            .push(process.pid);
    }
    let dead: BTreeSet<i32> = processes.iter().filter(|p| p.dead).map(|p| p.pid).collect();
    let mut found = Vec::new();
    let mut open = vec![getpid().as_raw_nonzero().get()];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            open.push(*child);
            if !dead.contains(child) {
                found.push(*child);
            }
        }
    }
    found
}

/// One line of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    /// Start in clock ticks since the machine started.
    pub(crate) started: u64,
    dead: bool,
}

impl Process {
    /// Whether it has not ended yet.
    pub(crate) fn is_running(self) -> bool {
        !self.dead
    }
}

/// All processes that `/proc` shows.
pub(crate) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// The line for `pid`.
pub(crate) fn process(pid: i32) -> Option<Process> {
    parse(&String::from_utf8_lossy(
        &fs::read(format!("/proc/{pid}/stat")).ok()?,
    ))
}

/// Reads `/proc/<pid>/stat`. The name in parentheses may hold anything, parentheses too.
fn parse(stat: &str) -> Option<Process> {
    let (head, tail) = stat.rsplit_once(')')?;
    let pid = head.split_once(' ')?.0.parse().ok()?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        dead: matches!(*fields.first()?, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let tail = "S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 10";
        for name in ["sh", "a) S 1 (b", "x y", ")"] {
            let process = parse(&format!("12 ({name}) {tail}")).unwrap();
            assert_eq!(
                (process.pid, process.parent, process.started, process.dead),
                (12, 7, 4242, false)
            );
        }
        assert_eq!(parse("12 (sh"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn this_process_is_in_the_table() {
        let own = std::process::id() as i32;
        assert!(
            processes()
                .iter()
                .any(|process| process.pid == own && process.started > 0)
        );
    }
}
