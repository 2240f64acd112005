//! What an inode says about itself besides its content.

use std::fmt::{self, Display};

use crate::Xattrs;

/// Seconds since 1970-01-01T00:00:00Z, negative before it, and nanoseconds
/// after that second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self {
        seconds: 0,
        nanos: 0,
    };

    /// A whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// A second and nanoseconds after it.
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self { seconds, nanos }
    }
}

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nanos {
            0 => write!(f, "{}", self.seconds),
            nanos => write!(f, "{}.{nanos:09}", self.seconds),
        }
    }
}

/// Mode, owner, time and extended attributes of an inode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Permission, setuid, setgid and sticky bits: `0o7777` at most, no type bits.
    pub mode: u16,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Time of the last change of the content.
    pub mtime: Timestamp,
    /// Extended attributes; all of them, also those a layer does not carry.
    pub xattrs: Xattrs,
}

impl Metadata {
    /// A mode, owned by 0:0, dated [`Timestamp::EPOCH`], without attributes.
    pub const fn new(mode: u16) -> Self {
        Self {
            mode: mode & 0o7777,
            uid: 0,
            gid: 0,
            mtime: Timestamp::EPOCH,
            xattrs: Xattrs::EMPTY,
        }
    }

    /// The metadata of a directory nobody described: `0755 0:0`, dated the epoch.
    pub const fn implied_directory() -> Self {
        Self::new(0o755)
    }

    /// The same with another owner.
    #[must_use]
    pub const fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        self.uid = uid;
        self.gid = gid;
        self
    }

    /// The same with another mode.
    #[must_use]
    pub const fn with_mode(mut self, mode: u16) -> Self {
        self.mode = mode & 0o7777;
        self
    }

    /// The same with another time.
    #[must_use]
    pub const fn modified_at(mut self, mtime: Timestamp) -> Self {
        self.mtime = mtime;
        self
    }

    /// The same with other extended attributes.
    #[must_use]
    pub fn with_xattrs(mut self, xattrs: Xattrs) -> Self {
        self.xattrs = xattrs;
        self
    }

    /// Whether a layer would record both alike, times aside: mode, owner and
    /// file capability.
    pub fn same_rights(&self, other: &Self) -> bool {
        (self.mode, self.uid, self.gid) == (other.mode, other.uid, other.gid)
            && self.xattrs.capability() == other.xattrs.capability()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_ignore_time_and_user_attributes() {
        let plain = Metadata::new(0o644);
        let later = plain.clone().modified_at(Timestamp::from_seconds(9));
        let noted = plain
            .clone()
            .with_xattrs([("user.note", "x")].into_iter().collect());
        let capable = plain
            .clone()
            .with_xattrs([("security.capability", "x")].into_iter().collect());
        assert!(plain.same_rights(&later));
        assert!(plain.same_rights(&noted));
        assert!(!plain.same_rights(&capable));
        assert!(!plain.same_rights(&plain.clone().owned_by(0, 1)));
        assert!(!plain.same_rights(&plain.clone().with_mode(0o4644)));
    }

    #[test]
    fn type_bits_are_dropped_from_modes() {
        assert_eq!(Metadata::new(0o7777).mode, 0o7777);
        assert_eq!(Metadata::new(0o104755).mode, 0o4755);
    }
}
