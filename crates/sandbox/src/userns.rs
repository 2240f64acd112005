//! Becoming user 0 of a user namespace of one's own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, getpid, set_dumpable_behavior, waitpid};
use rustix::thread::CapabilitySet;

use crate::capabilities;
use crate::error::{At as _, Fault, fault};
use crate::kernel::{self, Fork};

/// What [`enter_user_namespace`] needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserNamespace {
    /// Directories in which `newuidmap` and `newgidmap` are looked for.
    pub tools: Vec<PathBuf>,
    /// `/etc/subuid`.
    pub subuid: PathBuf,
    /// `/etc/subgid`.
    pub subgid: PathBuf,
    /// `/etc/passwd`, for the user's name.
    pub passwd: PathBuf,
}

impl Default for UserNamespace {
    fn default() -> Self {
        Self {
            tools: ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"]
                .map(PathBuf::from)
                .to_vec(),
            subuid: PathBuf::from("/etc/subuid"),
            subgid: PathBuf::from("/etc/subgid"),
            passwd: PathBuf::from("/etc/passwd"),
        }
    }
}

/// The ids that user 0 of this process's namespace may hand out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMap {
    /// The process was user 0 already; nothing was changed.
    AlreadyRoot,
    /// Ranges of subordinate ids are mapped.
    Subordinate {
        /// Number of user ids, the user's own included.
        users: u64,
        /// Number of group ids, the user's own included.
        groups: u64,
    },
    /// Only the user's own id is mapped, as 0. Files of other owners cannot be made.
    Single {
        /// Why there are no more, and what to install.
        reason: String,
    },
}

/// Why no user namespace could be entered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserNamespaceError {
    /// The kernel refuses new user namespaces.
    #[error("user namespaces are not allowed here: {fault}{}", hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default())]
    Refused {
        /// The kernel's answer.
        fault: Fault,
        /// The setting that forbids it.
        hint: Option<String>,
    },
    /// A step after that failed.
    #[error("cannot set up the user namespace: {0}")]
    Setup(#[from] Fault),
}

/// Makes this process user 0 of a new user namespace with a mount namespace of its own.
///
/// To be called at the start of `main`, before any thread exists; the process keeps
/// its id. With subordinate ids and `newuidmap`, 65,536 ids can be used; else one.
/// User 0 gets [`IdMap::AlreadyRoot`] and stays where it is.
///
/// # Errors
///
/// [`UserNamespaceError::Refused`] when the kernel or its settings forbid it;
/// nothing has changed then.
pub fn enter_user_namespace(options: &UserNamespace) -> Result<IdMap, UserNamespaceError> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if uid == 0 {
        return Ok(IdMap::AlreadyRoot);
    }
    let plan = MapPlan::new(options, uid, gid);
    let target = getpid();
    let mapper = plan
        .as_ref()
        .ok()
        .map(|plan| Mapper::start(|| map_with_tools(plan, target)))
        .transpose()?;
    let unshared = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS);
    unshared
        .at("make a user namespace for", "/proc/self")
        .map_err(refused)?;
    let mapped = mapper.map(Mapper::finish);
    let map = match (plan, mapped) {
        (Ok(plan), Some(Ok(()))) => plan.map(),
        (Ok(_), Some(Err(reason))) | (Err(reason), _) => {
            map_single(uid, gid)?;
            IdMap::Single { reason }
        }
        (Ok(_), None) => IdMap::Single {
            reason: "the id tools were not started".to_owned(),
        },
    };
    become_root()?;
    Ok(map)
}

/// Makes a user 0 who may not mount the user 0 of a user namespace, who may, with the same ids.
///
/// This is for root of a container without `CAP_SYS_ADMIN` whose runtime lets it make user namespaces. Nothing
/// changes for whoever has the capability, or is not user 0.
///
/// # Errors
///
/// The kernel or the runtime's filter refuses the namespace, or the ids cannot be mapped.
pub(crate) fn gain_mount_rights() -> Result<(), Fault> {
    if !rustix::process::geteuid().is_root() || capabilities::may(CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    let target = getpid();
    let mapper = Mapper::start(|| map_to_itself(target))?;
    let unshared = unshare(CloneFlags::CLONE_NEWUSER).at("make a user namespace for", "/proc/self");
    if let Err(fault) = unshared {
        mapper.dismiss();
        return Err(fault);
    }
    let mapped = mapper.finish();
    mapped.map_err(|_| fault("map all ids in", "/proc/self/uid_map", libc::EPERM))
}

/// Every id of this namespace stands for itself in the new one.
fn map_to_itself(target: Pid) -> Result<(), String> {
    for file in ["gid_map", "uid_map"] {
        let own =
            fs::read_to_string(format!("/proc/self/{file}")).map_err(|error| error.to_string())?;
        let path = format!("/proc/{}/{file}", target.as_raw_nonzero());
        fs::write(&path, identity(&own)).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

/// The map of a child namespace that has all ids of a namespace with the map `own`.
fn identity(own: &str) -> String {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (inside, count) = (words.next()?, words.nth(1)?);
        Some(format!("{inside} {inside} {count}\n"))
    };
    own.lines().filter_map(line).collect()
}

fn become_root() -> Result<(), Fault> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(gid, gid, gid).at("become group 0 in", "/proc/self")?;
    setresuid(uid, uid, uid).at("become user 0 in", "/proc/self")?;
    // Changing the user hides /proc/self from its own process.
    set_dumpable_behavior(DumpableBehavior::Dumpable).at("open", "/proc/self")?;
    mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .at("make private the mounts of", "/")
}

fn map_single(uid: u32, gid: u32) -> Result<(), Fault> {
    for (file, text) in [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ] {
        let empty = fs::read_to_string(file)
            .is_ok_and(|old| old.trim().is_empty() || old.trim() == "allow");
        if empty {
            fs::write(file, text).at("write", file)?;
        }
    }
    Ok(())
}

fn refused(fault: Fault) -> UserNamespaceError {
    let settings = [
        (
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "set sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            "/proc/sys/user/max_user_namespaces",
            "0",
            "set sysctl user.max_user_namespaces=15000",
        ),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "set sysctl kernel.apparmor_restrict_unprivileged_userns=0 or add an AppArmor profile with userns",
        ),
    ];
    let forbids = |(file, value, _): &(&str, &str, &str)| {
        fs::read_to_string(file).is_ok_and(|text| text.trim() == *value)
    };
    let hint = settings
        .iter()
        .find(|setting| forbids(setting))
        .map(|(_, _, hint)| (*hint).to_owned());
    UserNamespaceError::Refused { fault, hint }
}

/// A range of subordinate ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u64,
    count: u64,
}

struct MapPlan {
    uid_tool: PathBuf,
    gid_tool: PathBuf,
    uids: Vec<String>,
    gids: Vec<String>,
    map: IdMap,
}

impl MapPlan {
    fn new(options: &UserNamespace, uid: u32, gid: u32) -> Result<Self, String> {
        let passwd = fs::read_to_string(&options.passwd).unwrap_or_default();
        let name = user_name(&passwd, uid);
        let ranges = |path: &Path| {
            let ranges = ranges(&fs::read_to_string(path).unwrap_or_default(), name, uid);
            if ranges.is_empty() {
                Err(no_ranges(path, name, uid))
            } else {
                Ok(ranges)
            }
        };
        let (users, groups) = (ranges(&options.subuid)?, ranges(&options.subgid)?);
        let total = |ranges: &[Range]| 1 + ranges.iter().map(|range| range.count).sum::<u64>();
        Ok(Self {
            uid_tool: find_tool(&options.tools, "newuidmap")?,
            gid_tool: find_tool(&options.tools, "newgidmap")?,
            map: IdMap::Subordinate {
                users: total(&users),
                groups: total(&groups),
            },
            uids: arguments(uid, &users),
            gids: arguments(gid, &groups),
        })
    }

    fn map(self) -> IdMap {
        self.map
    }
}

fn user_name(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then_some(name)
    })
}

/// The ranges that `/etc/subuid` gives to a user, by name or by number.
fn ranges(text: &str, name: Option<&str>, uid: u32) -> Vec<Range> {
    let number = uid.to_string();
    let of_user = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = Range {
            first: fields.next()?.parse().ok()?,
            count: fields.next()?.parse().ok()?,
        };
        ((Some(owner) == name || owner == number) && range.count > 0).then_some(range)
    };
    text.lines().filter_map(of_user).collect()
}

/// Id 0 is the user; the ranges follow from 1 on.
fn arguments(own: u32, ranges: &[Range]) -> Vec<String> {
    let mut words = vec!["0".to_owned(), own.to_string(), "1".to_owned()];
    let mut next = 1;
    for range in ranges {
        words.extend([next, range.first, range.count].map(|number| number.to_string()));
        next += range.count;
    }
    words
}

fn no_ranges(path: &Path, name: Option<&str>, uid: u32) -> String {
    let owner = name.map_or_else(|| uid.to_string(), str::to_owned);
    format!("{} has no line `{owner}:<first>:65536`", path.display())
}

fn find_tool(directories: &[PathBuf], name: &str) -> Result<PathBuf, String> {
    let found = directories
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} is not installed (package uidmap or shadow-utils)"))
}

/// A child that stays outside the new namespace and runs the id tools for its parent.
struct Mapper {
    pid: Pid,
    go: OwnedFd,
    answer: OwnedFd,
}

impl Mapper {
    /// Starts the child; `map` is called in it once the namespace is there, and says what went wrong.
    fn start(map: impl FnOnce() -> Result<(), String>) -> Result<Self, Fault> {
        let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).at("make", "pipe");
        let ((wait, go), (answer, say)) = (pipe()?, pipe()?);
        match kernel::fork()? {
            Fork::Child => {
                drop((go, answer));
                let mut byte = [0];
                let told = fs::File::from(wait).read_exact(&mut byte);
                let answer = told.map_or(Ok(()), |()| map()).err();
                let text = answer.unwrap_or_else(|| DONE.to_owned());
                let _ = fs::File::from(say).write_all(text.as_bytes());
                kernel::exit_now(0)
            }
            Fork::Parent(pid) => Ok(Self { pid, go, answer }),
        }
    }

    /// Tells the child to map now. The error is the reason as text.
    fn finish(self) -> Result<(), String> {
        let mut text = String::new();
        let told = fs::File::from(self.go).write_all(b"g");
        let read = fs::File::from(self.answer).read_to_string(&mut text);
        let ended = waitpid(Some(self.pid), WaitOptions::empty());
        match (told, read, ended) {
            (Ok(()), Ok(_), Ok(_)) if text == DONE => Ok(()),
            _ if text.is_empty() => Err("the id tools gave no answer".to_owned()),
            _ => Err(text),
        }
    }

    /// Lets the child end, since there is nothing to map.
    fn dismiss(self) {
        drop((self.go, self.answer));
        // It is gone in any case.
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

fn map_with_tools(plan: &MapPlan, target: Pid) -> Result<(), String> {
    let target = target.as_raw_nonzero().to_string();
    for (tool, words) in [(&plan.uid_tool, &plan.uids), (&plan.gid_tool, &plan.gids)] {
        let result = Command::new(tool)
            .arg(&target)
            .args(words)
            .stdin(Stdio::null())
            .output();
        match result {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(format!("{} failed: {text}", tool.display()));
            }
            Err(error) => return Err(format!("{}: {error}", tool.display())),
        }
    }
    Ok(())
}

const DONE: &str = "done";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_by_number() {
        let text = "alice:100000:65536\n# x\n1000:200000:10\nbob:1:2\nalice:bad:1\nalice:5:0\n";
        let range = |first, count| Range { first, count };
        assert_eq!(
            ranges(text, Some("alice"), 1000),
            [range(100_000, 65_536), range(200_000, 10)]
        );
        assert_eq!(ranges(text, None, 7), []);
        assert_eq!(
            arguments(1000, &[range(100_000, 65_536), range(5, 10)]).join(" "),
            "0 1000 1 1 100000 65536 65537 5 10"
        );
    }

    #[test]
    fn a_child_namespace_has_every_id_of_its_parent() {
        let machine = "         0          0 4294967295\n";
        let mapped = "0 100000 1000\n1000 5000 1\n";
        assert_eq!(identity(machine), "0 0 4294967295\n");
        assert_eq!(identity(mapped), "0 0 1000\n1000 1000 1\n");
        assert_eq!(identity("broken"), "");
    }

    #[test]
    fn the_name_of_a_user_is_read_from_passwd() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nalice:x:1000:1000::/:/bin/sh\n";
        assert_eq!(user_name(passwd, 1000), Some("alice"));
        assert_eq!(user_name(passwd, 5), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let mut options = UserNamespace {
            tools: vec![scratch.path().to_owned()],
            subuid: file("subuid", ""),
            subgid: file("subgid", "7:1:2"),
            passwd: file("passwd", ""),
        };
        let reason = |options: &UserNamespace| MapPlan::new(options, 7, 7).err().unwrap();
        assert!(
            reason(&options).contains("subuid has no line `7:"),
            "{}",
            reason(&options)
        );
        options.subuid = file("subuid", "7:1:2");
        assert!(
            reason(&options).contains("newuidmap is not installed"),
            "{}",
            reason(&options)
        );
    }
}
