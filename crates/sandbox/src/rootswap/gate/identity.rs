//! Makes calls with the rights of another process, so that the kernel's answer is the one it would have had.

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Gid;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What the kernel goes by when a process works on files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    capabilities: CapabilitySet,
    umask: u32,
}

impl Identity {
    /// Reads it from `/proc/<pid>/status`.
    pub(super) fn parse(status: &str) -> Option<Self> {
        let field = |name| {
            status
                .lines()
                .find_map(|line: &str| line.strip_prefix(name))
        };
        // The fourth of its kind is the one for files.
        let id = |name| field(name)?.split_ascii_whitespace().nth(3)?.parse().ok();
        let groups = field("Groups:")?.split_ascii_whitespace();
        let capabilities = u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?;
        Some(Self {
            user: id("Uid:")?,
            group: id("Gid:")?,
            groups: groups.map(|id| id.parse().ok()).collect::<Option<_>>()?,
            capabilities: CapabilitySet::from_bits_truncate(capabilities),
            umask: u32::from_str_radix(field("Umask:")?.trim(), 8).ok()?,
        })
    }

    /// That of this process.
    pub(super) fn own() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    /// Has the kernel take this process for one of the same user and group, until the value is dropped.
    #[must_use]
    pub(super) fn look(&self) -> Look {
        set_file_group(self.group);
        set_file_user(self.user);
        Look(())
    }

    /// Takes it on for calls that work on files, until the value is dropped.
    pub(super) fn assume(&self, own: &Self) -> Result<Assumed, Errno> {
        let assumed = Assumed { own: own.clone() };
        if self.groups != own.groups {
            set_groups(&self.groups)?;
        }
        if (self.user, self.group) != (own.user, own.group) {
            set_file_group(self.group);
            set_file_user(self.user);
        }
        if self.capabilities != own.capabilities {
            set_effective(|permitted| permitted.intersection(self.capabilities))?;
        }
        rustix::process::umask(Mode::from_raw_mode(self.umask));
        Ok(assumed)
    }
}

/// See [`Identity::look`].
#[derive(Debug)]
pub(super) struct Look(());

impl Drop for Look {
    fn drop(&mut self) {
        set_file_user(rustix::process::geteuid().as_raw());
        set_file_group(rustix::process::getegid().as_raw());
    }
}

/// See [`Identity::assume`].
#[derive(Debug)]
pub(super) struct Assumed {
    own: Identity,
}

impl Drop for Assumed {
    fn drop(&mut self) {
        let own = &self.own;
        set_file_user(own.user);
        // After the user, whose change has the kernel add and drop some. What is permitted can always be put in effect.
        let _ = set_effective(|permitted| permitted.intersection(own.capabilities));
        set_file_group(own.group);
        let _ = set_groups(&own.groups);
        rustix::process::umask(Mode::from_raw_mode(own.umask));
    }
}

fn set_effective(wanted: impl Fn(CapabilitySet) -> CapabilitySet) -> Result<(), Errno> {
    let present = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: wanted(present.permitted),
            ..present
        },
    )
}

fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)
}

#[expect(unsafe_code, reason = "there is no safe form")]
fn set_file_group(group: u32) {
    // SAFETY: changes an id of this thread and touches no memory.
    unsafe { libc::setfsgid(group) };
}

#[expect(unsafe_code, reason = "there is no safe form")]
fn set_file_user(user: u32) {
    // SAFETY: changes an id of this thread and touches no memory.
    unsafe { libc::setfsuid(user) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_for_files_are_the_last_of_each_line() {
        let status = "Name:\tx\nUmask:\t0027\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nCapEff:\t00000000a80425fb\n";
        let found = Identity::parse(status).unwrap();
        assert_eq!((found.user, found.group, found.umask), (4, 8, 0o27));
        assert_eq!(found.groups, [9, 10]);
        assert_eq!(found.capabilities, crate::capabilities::DEFAULT);
        for missing in ["Umask:", "Uid:", "Gid:", "Groups:", "CapEff:"] {
            let without = status.replace(missing, "Other:");
            assert_eq!(Identity::parse(&without), None, "{missing}");
        }
    }
}
