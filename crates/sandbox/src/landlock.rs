//! Landlock domains for commands that share a process table or a filesystem with their caller.
//!
//! A process in a domain may not inspect processes outside it (`/proc/<pid>/environ`,
//! `/proc/<pid>/mem`, ptrace), which is what makes the caller's environment private
//! although both are user 0.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::kernel::last_fault;

/// The kernel's interface version, 0 when it has none.
pub(crate) fn version() -> u32 {
    const VERSION: libc::c_uint = 1;
    u32::try_from(create(std::ptr::null(), 0, VERSION)).unwrap_or(0)
}

/// Why there are no domains here, if there are none.
///
/// In a domain of the first version no file can be renamed from one directory to another, which commands do.
pub(crate) fn unavailable() -> Option<String> {
    match version() {
        0 => Some("the kernel has no Landlock".to_owned()),
        1 => Some("the kernel's Landlock is of version 1, which forbids renaming".to_owned()),
        _ => None,
    }
}

/// Puts this process into a domain that shuts it off from processes outside, and from nothing else.
///
/// Without `CAP_SYS_ADMIN` this sets `no_new_privs`.
pub(crate) fn guard_processes() -> Result<(), String> {
    if let Some(reason) = unavailable() {
        return Err(reason);
    }
    let version = version();
    // A domain has to handle something; to move files between directories is forbidden unless it is allowed.
    let handled = rights::EXECUTE | rights::REFER;
    let ruleset = Ruleset::new(version, handled)?;
    ruleset.allow(Path::new("/"), handled)?;
    ruleset.enforce()
}

/// Puts this process into a domain that may not signal processes outside nor use their abstract sockets, which
/// belong to the network and not to the filesystem. Only where that costs no `no_new_privs`.
pub(crate) fn keep_to_itself() -> Result<(), String> {
    let version = version();
    if version < SCOPES {
        return Err("the kernel's Landlock has no scopes".to_owned());
    }
    let ruleset = Ruleset::new(version, 0)?;
    if ruleset.restrict() {
        return Ok(());
    }
    Err(last_fault("enter a Landlock domain for", "command").to_string())
}

/// Puts this process into a domain in which only the content of `open` may be used.
///
/// Names can be listed everywhere below `/`: a rule for `/` reaches all of it.
pub(crate) fn confine<'a>(
    open: impl IntoIterator<Item = &'a std::path::PathBuf>,
) -> Result<(), String> {
    if let Some(reason) = unavailable() {
        return Err(reason);
    }
    let version = version();
    let handled = rights::known_to(version);
    let ruleset = Ruleset::new(version, handled)?;
    ruleset.allow(Path::new("/"), rights::READ_DIR)?;
    for path in open {
        ruleset.allow(path, handled)?;
    }
    ruleset.enforce()
}

/// The first version that knows scopes.
const SCOPES: u32 = 6;

/// Access rights to files, by bit.
mod rights {
    pub(super) const EXECUTE: u64 = 1 << 0;
    pub(super) const REFER: u64 = 1 << 13;
    pub(super) const READ_DIR: u64 = 1 << 3;
    const WRITE_FILE: u64 = 1 << 1;
    const READ_FILE: u64 = 1 << 2;
    const TRUNCATE: u64 = 1 << 14;
    const IOCTL_DEV: u64 = 1 << 15;

    /// What applies to something that is no directory.
    pub(super) const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

    /// All rights of an interface version.
    pub(super) fn known_to(version: u32) -> u64 {
        let count = match version {
            0 | 1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        (1 << count) - 1
    }
}

/// `struct landlock_ruleset_attr`; older kernels take a shorter one.
#[repr(C)]
struct RulesetAttributes {
    files: u64,
    network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: libc::c_int,
}

struct Ruleset {
    fd: OwnedFd,
    handled: u64,
}

impl Ruleset {
    fn new(version: u32, handled: u64) -> Result<Self, String> {
        const ABSTRACT_SOCKETS_AND_SIGNALS: u64 = 0b11;
        let scoped = if version >= SCOPES {
            ABSTRACT_SOCKETS_AND_SIGNALS
        } else {
            0
        };
        let attributes = RulesetAttributes {
            files: handled,
            network: 0,
            scoped,
        };
        let size = match version {
            0..=3 => 8,
            4 | 5 => 16,
            _ => 24,
        };
        let fd = create(&raw const attributes, size, 0);
        if fd < 0 {
            return Err(last_fault("make a Landlock ruleset for", "command").to_string());
        }
        Ok(Self {
            fd: own(fd),
            handled,
        })
    }

    /// Allows `rights` for `path` and what lies below it. A path that is gone needs no rule.
    #[expect(unsafe_code, reason = "Landlock has no safe form")]
    fn allow(&self, path: &Path, rights: u64) -> Result<(), String> {
        const PATH_BENEATH: libc::c_int = 1;
        let Ok(parent) = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        ) else {
            return Ok(());
        };
        let Ok(stat) = rustix::fs::fstat(&parent) else {
            return Ok(());
        };
        let directory = crate::stubs::is_directory(&stat);
        let allowed = self.handled
            & if directory {
                rights
            } else {
                rights & rights::OF_FILES
            };
        let rule = PathBeneath {
            allowed,
            parent: parent.as_raw_fd(),
        };
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
            || allowed == 0
        {
            return Ok(());
        }
        // SAFETY: `rule` outlives the call and has the layout that PATH_BENEATH asks for.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                self.fd.as_raw_fd(),
                PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        if result < 0 {
            return Err(last_fault("allow in Landlock", &path.display().to_string()).to_string());
        }
        Ok(())
    }

    /// Enters the domain, for this process and its descendants.
    fn enforce(&self) -> Result<(), String> {
        if self.restrict() {
            return Ok(());
        }
        // Without CAP_SYS_ADMIN the kernel wants a promise that no setuid program is confused by the domain.
        rustix::thread::set_no_new_privs(true).map_err(|errno| errno.to_string())?;
        if self.restrict() {
            return Ok(());
        }
        Err(last_fault("enter a Landlock domain for", "command").to_string())
    }

    #[expect(unsafe_code, reason = "Landlock has no safe form")]
    fn restrict(&self) -> bool {
        // SAFETY: takes a descriptor we own and flags; no memory is passed.
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.fd.as_raw_fd(), 0) == 0 }
    }
}

#[expect(unsafe_code, reason = "Landlock has no safe form")]
fn create(attributes: *const RulesetAttributes, size: usize, flags: libc::c_uint) -> i64 {
    // SAFETY: the pointer is null with size 0, or to a struct of at least `size` bytes that outlives the call.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, size, flags) }
}

#[expect(unsafe_code, reason = "a new descriptor comes as a number")]
fn own(fd: i64) -> OwnedFd {
    let fd = libc::c_int::try_from(fd).expect("the kernel gives descriptors as int");
    // SAFETY: the kernel just made this descriptor for us, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
