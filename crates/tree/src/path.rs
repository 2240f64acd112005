//! Paths below the root of a tree.

use std::cmp::Ordering;
use std::fmt::{self, Debug, Display};
use std::str::FromStr;

use crate::{Escaped, Name};

/// A clean absolute path inside a tree, as bytes.
///
/// Stored without a leading slash and without `.`, `..` and empty components;
/// the root is empty. Paths are ordered as a depth-first walk meets them:
/// component by component, each compared as bytes, parents first.
///
/// ```
/// use yadokari_tree::TreePath;
///
/// let path = TreePath::parse("/usr/./lib/../bin//sh");
/// assert_eq!(path.as_bytes(), b"usr/bin/sh");
/// assert_eq!(path.to_string(), "/usr/bin/sh");
/// assert_eq!(TreePath::parse("../../etc").to_string(), "/etc");
/// assert!(TreePath::parse("a/b") < TreePath::parse("a.b"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The root of a tree.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Cleans a path without looking at any tree; `..` stops at the root.
    ///
    /// Whoever wants `..` to mean the parent of a symlink's target resolves the
    /// raw bytes with [`Tree::resolve`](crate::Tree::resolve) instead.
    pub fn parse(path: impl AsRef<[u8]>) -> Self {
        let mut clean = Self::root();
        for component in path.as_ref().split(|byte| *byte == b'/') {
            clean.step(component);
        }
        clean
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path's bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components from the root down; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'/')
            .filter(|component| !component.is_empty())
    }

    /// The last component, `None` for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The last component as a [`Name`], `None` for the root.
    pub fn name(&self) -> Option<Name> {
        self.file_name().map(Name::component)
    }

    /// The directory this path is in, `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let mut parent = self.clone();
        parent.pop().then_some(parent)
    }

    /// The path of `path` seen from here: cleaned lexically, `..` may climb up
    /// to the root, and a leading slash means nothing.
    pub fn join(&self, path: impl AsRef<[u8]>) -> Self {
        let path = path.as_ref();
        let mut joined = Self(Vec::with_capacity(self.0.len() + 1 + path.len()));
        joined.0.extend_from_slice(&self.0);
        for component in path.split(|byte| *byte == b'/') {
            joined.step(component);
        }
        joined
    }

    /// Appends one name.
    pub fn push(&mut self, name: &Name) {
        self.step(name);
    }

    /// Drops the last component; `false` at the root.
    pub fn pop(&mut self) -> bool {
        let end = self.0.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let moved = !self.0.is_empty();
        self.0.truncate(end);
        moved
    }

    /// Whether `ancestor` is this path or a directory above it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.strip_prefix(ancestor).is_some()
    }

    /// What remains below `ancestor`; the root if both are equal, `None` if
    /// this path is not below it.
    pub fn strip_prefix(&self, ancestor: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(ancestor.as_bytes())?;
        if rest.is_empty() || ancestor.is_root() {
            return Some(Self(rest.to_vec()));
        }
        rest.strip_prefix(b"/").map(|rest| Self(rest.to_vec()))
    }

    /// Every directory above this path, from the root down, the root included
    /// and the path itself not.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        let slashes = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at);
        let ends = (!self.is_root()).then_some(0).into_iter().chain(slashes);
        ends.map(|end| Self(self.0[..end].to_vec()))
    }

    pub(crate) fn step(&mut self, component: &[u8]) {
        match component {
            b"" | b"." => {}
            b".." => {
                self.pop();
            }
            name => {
                if !self.0.is_empty() {
                    self.0.push(b'/');
                }
                self.0.extend_from_slice(name);
            }
        }
    }
}

impl Ord for TreePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // A slash sorts before every byte of a name, so that a directory's
        // content comes before its next sibling.
        let rank = |byte: &u8| {
            if *byte == b'/' {
                0
            } else {
                u16::from(*byte) + 1
            }
        };
        self.0.iter().map(rank).cmp(other.0.iter().map(rank))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for TreePath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for TreePath {
    fn from(path: &str) -> Self {
        Self::parse(path)
    }
}

impl From<&[u8]> for TreePath {
    fn from(path: &[u8]) -> Self {
        Self::parse(path)
    }
}

impl FromStr for TreePath {
    type Err = std::convert::Infallible;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        Ok(Self::parse(path))
    }
}

impl Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", Escaped(&self.0))
    }
}

impl Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TreePath({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_cleans_and_never_leaves_the_root() {
        for (given, clean) in [
            ("", ""),
            ("/", ""),
            (".", ""),
            ("./a/", "a"),
            ("//a//b/.", "a/b"),
            ("a/../../b", "b"),
            ("..", ""),
            ("a/...", "a/..."),
            ("/a b/\n", "a b/\n"),
        ] {
            assert_eq!(
                TreePath::parse(given).as_bytes(),
                clean.as_bytes(),
                "{given}"
            );
        }
    }

    #[test]
    fn order_is_depth_first_with_siblings_by_bytes() {
        let sorted = [
            "/", "/a", "/a/b", "/a/b/c", "/a/c", "/a\u{1}", "/a!", "/a-b", "/a.b", "/a0", "/b",
            "/é",
        ];
        let mut paths: Vec<TreePath> = sorted.iter().rev().map(TreePath::parse).collect();
        paths.sort();
        assert_eq!(paths, sorted.map(TreePath::from));
    }

    #[test]
    fn parents_names_and_prefixes() {
        let path = TreePath::parse("/a/b/c");
        assert_eq!(path.parent(), Some("/a/b".into()));
        assert_eq!(TreePath::parse("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(TreePath::root().file_name(), None);
        assert_eq!(path.file_name(), Some(&b"c"[..]));
        assert_eq!(
            path.ancestors().collect::<Vec<_>>(),
            ["/", "/a", "/a/b"].map(TreePath::from)
        );
        assert_eq!(TreePath::root().ancestors().count(), 0);
        assert_eq!(path.strip_prefix(&"/a".into()), Some("b/c".into()));
        assert_eq!(path.strip_prefix(&TreePath::root()), Some(path.clone()));
        assert_eq!(path.strip_prefix(&path), Some(TreePath::root()));
        assert!(!TreePath::parse("/ab").starts_with(&"/a".into()));
    }

    #[test]
    fn joining_is_lexical() {
        let base = TreePath::parse("/a/b");
        assert_eq!(base.join("c/../d"), "/a/b/d".into());
        assert_eq!(base.join("../../../x"), "/x".into());
        assert_eq!(base.join("/x"), "/a/b/x".into());
    }
}
