//! The digest of files that a COPY is keyed by.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use yadokari_image::Digest;
use yadokari_tree::{CAPABILITY, Kind, Metadata, Node, Tree, TreePath};

/// A digest over names, types, modes, owners, contents, link targets, device numbers and
/// extended attributes, and over which names are one file. Times do not count.
///
/// Every field is written with its kind and its length, so that no two lists of entries
/// give the same bytes.
#[derive(Debug, Clone)]
pub struct ContentHasher {
    hasher: Sha256,
    files: HashMap<usize, u64>,
    entries: u64,
}

/// A file took part whose bytes nobody has hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content of {path} has not been hashed")]
pub struct UnhashedFile {
    /// The file, by the name it was given under.
    pub path: String,
}

/// One source of a COPY, in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Where it is; links on the way must have been resolved.
    pub path: TreePath,
    /// The name it is copied under: the last name of the source as written, which may be a
    /// link's, or the whole path with `--parents`.
    pub name: Vec<u8>,
    /// Whether a directory is copied itself, not only its contents.
    pub whole: bool,
}

impl Selected {
    /// A source of a plain COPY: a directory's name and mode do not matter.
    #[must_use]
    pub fn contents(path: TreePath) -> Self {
        let name = path.file_name().unwrap_or_default().to_vec();
        Self {
            path,
            name,
            whole: false,
        }
    }
}

/// The digest of several sources, in their order.
///
/// # Errors
///
/// If a file's digest is not known; [`hash_below`](crate::hash_below) makes it so.
/// Sources that are not in the tree count as missing, not as errors.
pub fn selection_digest(tree: &Tree, selection: &[Selected]) -> Result<Digest, UnhashedFile> {
    let mut hasher = ContentHasher::new();
    for source in selection {
        hasher.source(tree, source)?;
    }
    Ok(hasher.finish())
}

impl ContentHasher {
    /// Starts with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: Sha256::new(),
            files: HashMap::new(),
            entries: 0,
        }
    }

    /// Adds a source with everything below it.
    ///
    /// # Errors
    ///
    /// As [`selection_digest`].
    pub fn source(&mut self, tree: &Tree, source: &Selected) -> Result<(), UnhashedFile> {
        // Hard links survive within a source, not between two.
        self.files.clear();
        let Some(node) = tree.get(&source.path) else {
            self.field(Field::Missing, &source.name);
            return Ok(());
        };
        match node.is_directory() && !source.whole {
            true => self.field(Field::Contents, &[]),
            false => self.entry(&source.name, node)?,
        }
        let Some(below) = tree.subtree(&source.path) else {
            return Ok(());
        };
        for (path, node) in below.walk() {
            self.entry(path.as_bytes(), node)?;
        }
        Ok(())
    }

    /// Adds one entry under a name, without what is below it.
    ///
    /// # Errors
    ///
    /// As [`selection_digest`].
    pub fn entry(&mut self, name: &[u8], node: &Node) -> Result<(), UnhashedFile> {
        self.entries += 1;
        self.field(Field::Name, name);
        if !node.is_directory() && node.is_shared() {
            let entry = self.entries;
            let first = *self.files.entry(node.identity()).or_insert(entry);
            if first != entry {
                self.field(Field::Link, &first.to_le_bytes());
                return Ok(());
            }
        }
        self.metadata(node.metadata());
        self.kind(name, node.kind())
    }

    /// The digest of what was added.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::from_sha256(self.hasher.finalize().into())
    }

    fn metadata(&mut self, metadata: &Metadata) {
        self.field(Field::Mode, &metadata.mode.to_le_bytes());
        self.field(Field::Owner, &metadata.uid.to_le_bytes());
        self.field(Field::Group, &metadata.gid.to_le_bytes());
        for (name, value) in metadata.xattrs.iter().filter(|(name, _)| counts(name)) {
            self.field(Field::AttributeName, name);
            self.field(Field::AttributeValue, value);
        }
    }

    fn kind(&mut self, name: &[u8], kind: &Kind) -> Result<(), UnhashedFile> {
        match kind {
            Kind::Directory(_) => self.field(Field::Directory, &[]),
            Kind::File(content) => {
                let unhashed = || UnhashedFile {
                    path: TreePath::parse(name).to_string(),
                };
                let digest = content.digest().ok_or_else(unhashed)?;
                self.field(Field::File, digest.as_bytes());
            }
            Kind::Symlink(target) => self.field(Field::Symlink, target),
            Kind::CharDevice { major, minor } => self.device(Field::CharDevice, *major, *minor),
            Kind::BlockDevice { major, minor } => self.device(Field::BlockDevice, *major, *minor),
            Kind::Fifo => self.field(Field::Fifo, &[]),
            Kind::Socket => self.field(Field::Socket, &[]),
        }
        Ok(())
    }

    fn device(&mut self, field: Field, major: u32, minor: u32) {
        let numbers = [major.to_le_bytes(), minor.to_le_bytes()].concat();
        self.field(field, &numbers);
    }

    fn field(&mut self, field: Field, bytes: &[u8]) {
        self.hasher.update([field as u8]);
        self.hasher.update((bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

impl Default for ContentHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// What a hashed field is. The numbers are part of every key: they stay.
#[derive(Clone, Copy)]
enum Field {
    Name = 1,
    Missing = 2,
    Contents = 3,
    Link = 4,
    Mode = 5,
    Owner = 6,
    Group = 7,
    AttributeName = 8,
    AttributeValue = 9,
    Directory = 10,
    File = 11,
    Symlink = 12,
    CharDevice = 13,
    BlockDevice = 14,
    Fifo = 15,
    Socket = 16,
}

/// Attributes that the machine sets by itself would make keys differ between machines.
fn counts(name: &[u8]) -> bool {
    name == CAPABILITY || !(name.starts_with(b"security.") || name.starts_with(b"system."))
}

#[cfg(test)]
mod tests {
    use yadokari_tree::{Timestamp, Xattrs};

    use super::*;

    fn file(mode: u16, bytes: &str) -> Node {
        Node::file_of(metadata(mode), bytes)
    }

    fn metadata(mode: u16) -> Metadata {
        Metadata {
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp {
                seconds: 0,
                nanos: 0,
            },
            xattrs: Xattrs::default(),
        }
    }

    fn tree(entries: Vec<(&str, Node)>) -> Tree {
        let mut tree = Tree::empty();
        for (path, node) in entries {
            tree.insert_with_parents(&TreePath::parse(path), node, &metadata(0o755))
                .unwrap();
        }
        tree
    }

    fn digest(entries: Vec<(&str, Node)>, source: &str) -> Digest {
        let selected = Selected::contents(TreePath::parse(source));
        selection_digest(&tree(entries), &[selected]).unwrap()
    }

    #[test]
    fn what_a_copy_would_show_changes_the_digest() {
        let link = file(0o644, "x");
        let mut capable = metadata(0o644);
        capable.xattrs.insert(CAPABILITY, b"cap");
        let variants = [
            vec![("d/a", file(0o644, "x"))],
            vec![("d/b", file(0o644, "x"))],
            vec![("d/a", file(0o755, "x"))],
            vec![("d/a", file(0o644, "y"))],
            vec![("d/a", Node::symlink(metadata(0o777), "x"))],
            vec![("d/a/x", file(0o644, "x"))],
            vec![("d/a", Node::empty_directory(metadata(0o755)))],
            vec![("d/a", Node::file_of(capable, "x"))],
            vec![("d/a", Node::new(metadata(0o644), Kind::Fifo))],
            vec![(
                "d/a",
                Node::new(metadata(0o644), Kind::CharDevice { major: 1, minor: 3 }),
            )],
            vec![(
                "d/a",
                Node::new(metadata(0o644), Kind::CharDevice { major: 3, minor: 1 }),
            )],
            vec![("d/a", file(0o644, "x")), ("d/b", file(0o644, "x"))],
            vec![("d/a", link.clone()), ("d/b", link)],
            vec![],
        ];
        let digests: Vec<_> = variants
            .into_iter()
            .map(|entries| digest(entries, "d"))
            .collect();
        for (number, one) in digests.iter().enumerate() {
            assert!(
                !digests[..number].contains(one),
                "variant {number} equals an earlier one"
            );
        }
    }

    #[test]
    fn what_a_copy_would_not_show_does_not() {
        let one = digest(
            vec![("d/a", file(0o644, "x")), ("other", file(0o644, "1"))],
            "d",
        );
        let mut touched = metadata(0o644);
        touched.mtime.seconds = 99;
        touched.xattrs.insert("security.selinux", b"label");
        let two = digest(
            vec![
                ("e/a", Node::file_of(touched, "x")),
                ("other", file(0o600, "2")),
            ],
            "e",
        );
        assert_eq!(one, two);
    }

    #[test]
    fn names_of_files_count_and_names_of_directories_do_not() {
        let of = |entries: Vec<(&str, Node)>, source: &str| digest(entries, source);
        let in_a = of(vec![("a/f", file(0o644, "x"))], "a/f");
        let in_b = of(vec![("b/f", file(0o644, "x"))], "b/f");
        let renamed = of(vec![("a/g", file(0o644, "x"))], "a/g");
        assert_eq!(in_a, in_b);
        assert_ne!(in_a, renamed);
        assert_ne!(of(vec![("a/f", file(0o644, "x"))], "a"), in_a);
    }

    #[test]
    fn an_unhashed_file_is_an_error() {
        let tree = tree(vec![("a", Node::file(metadata(0o644), 1))]);
        let selected = [Selected::contents(TreePath::parse("a"))];
        let error = selection_digest(&tree, &selected).unwrap_err();
        assert_eq!(error.to_string(), "the content of /a has not been hashed");
    }
}
