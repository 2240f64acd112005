//! Recursive listings of root filesystems, for saying what differs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use anyhow::Result;
use tar::{Archive, EntryType};

/// What is compared of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `file`, `directory`, `symlink`, `char`, `block` or `fifo`; a hard link is what it links to.
    pub kind: &'static str,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Length of a file's content; 0 for all else.
    pub size: u64,
    /// `sha256:…` of a file's content, the target of a symlink, the numbers of a device; empty for all else.
    pub content: String,
}

/// All files of a root filesystem by their absolute path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing(BTreeMap<String, Entry>);

impl Listing {
    /// Reads a tar archive of a root filesystem.
    ///
    /// Later members win, as they would when unpacked; nothing is known of whiteouts.
    ///
    /// # Errors
    ///
    /// If the archive cannot be read, or a hard link precedes its target.
    pub fn of_tar(archive: &mut dyn Read) -> Result<Self> {
        let mut listing = Self::default();
        for member in Archive::new(archive).entries()? {
            let mut member = member?;
            let path = absolute(&member.path_bytes());
            let entry = match member
                .link_name_bytes()
                .filter(|_| member.header().entry_type() == EntryType::Link)
            {
                Some(target) => listing.linked(&path, &absolute(&target))?,
                None => Entry::of(&mut member)?,
            };
            listing.0.insert(path, entry);
        }
        listing.0.remove("/");
        Ok(listing)
    }

    /// The listing without a path and everything below it.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let below = format!("{path}/");
        self.0
            .retain(|other, _| other != path && !other.starts_with(&below));
        self
    }

    /// One entry.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.0.get(path)
    }

    /// Paths, in byte order.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is different in `after`, one line per path; empty if nothing is.
    #[must_use]
    pub fn difference(&self, after: &Self) -> Vec<String> {
        let added = after.0.keys().filter(|path| !self.0.contains_key(*path));
        let line = |path: &String| match (self.0.get(path), after.0.get(path)) {
            (Some(old), Some(new)) => (old != new).then(|| format!("~ {path}: {old} is now {new}")),
            (Some(old), None) => Some(format!("- {path}: {old}")),
            (None, new) => new.map(|new| format!("+ {path}: {new}")),
        };
        self.0.keys().chain(added).filter_map(line).collect()
    }

    /// Compares with a later listing.
    ///
    /// # Panics
    ///
    /// With the first differences and their number, if there are any.
    pub fn assert_same(&self, after: &Self, when: &str) {
        const SHOWN: usize = 25;
        let difference = self.difference(after);
        let first = difference
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            difference.is_empty(),
            "{when}: {} differences, the first of them:\n{first}",
            difference.len()
        );
    }

    fn linked(&self, path: &str, target: &str) -> Result<Entry> {
        let entry = self.0.get(target).cloned();
        entry.ok_or_else(|| {
            anyhow::anyhow!("{path} is a hard link to {target}, which did not come before it")
        })
    }
}

impl Entry {
    fn of(member: &mut tar::Entry<'_, impl Read>) -> Result<Self> {
        let header = member.header().clone();
        let device = || Ok::<_, std::io::Error>((header.device_major()?, header.device_minor()?));
        let link =
            || String::from_utf8_lossy(&member.link_name_bytes().unwrap_or_default()).into_owned();
        let (kind, content) = match header.entry_type() {
            EntryType::Directory => ("directory", String::new()),
            EntryType::Symlink => ("symlink", link()),
            EntryType::Char => ("char", format!("{:?}", device()?)),
            EntryType::Block => ("block", format!("{:?}", device()?)),
            EntryType::Fifo => ("fifo", String::new()),
            _ => ("file", crate::digest::of_reader(member)?.0),
        };
        let size = if kind == "file" { member.size() } else { 0 };
        let (mode, uid, gid) = (header.mode()? & 0o7777, header.uid()?, header.gid()?);
        Ok(Self {
            kind,
            mode,
            uid,
            gid,
            size,
            content,
        })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            mode,
            uid,
            gid,
            size,
            content,
        } = self;
        write!(formatter, "{kind} {mode:04o} {uid}:{gid} {size} {content}")
    }
}

/// `./a/b/` and `a/b` as `/a/b`.
fn absolute(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let names: Vec<&str> = text
        .split('/')
        .filter(|name| !name.is_empty() && *name != ".")
        .collect();
    format!("/{}", names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, u32, &str)]) -> Listing {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, mode, text) in members {
            let mut header = tar::Header::new_ustar();
            header.set_mode(*mode);
            header.set_size(text.len() as u64);
            header.set_uid(0);
            header.set_gid(0);
            builder
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        Listing::of_tar(&mut builder.into_inner().unwrap().as_slice()).unwrap()
    }

    #[test]
    fn every_difference_is_one_line() {
        let before = archive(&[
            ("./same", 0o644, "s"),
            ("gone", 0o644, "g"),
            ("mode", 0o644, "m"),
            ("text", 0o644, "a"),
        ]);
        let after = archive(&[
            ("same", 0o644, "s"),
            ("mode", 0o4755, "m"),
            ("text", 0o644, "b"),
            ("new", 0o644, "n"),
        ]);
        let kinds: Vec<String> = before
            .difference(&after)
            .iter()
            .map(|line| line.split(':').next().unwrap().to_string())
            .collect();
        assert_eq!(kinds, ["- /gone", "~ /mode", "~ /text", "+ /new"]);
        assert!(before.difference(&before).is_empty());
    }

    #[test]
    fn a_left_out_directory_takes_what_is_below_it_and_no_more() {
        let listing = archive(&[
            ("state/blob", 0o644, ""),
            ("state2", 0o644, ""),
            ("state", 0o644, ""),
        ]);
        assert_eq!(
            listing.without("/state").paths().collect::<Vec<_>>(),
            ["/state2"]
        );
    }
}
