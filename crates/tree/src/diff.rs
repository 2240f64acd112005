//! The difference of two trees.

use std::collections::btree_map::Iter;
use std::iter::Peekable;

use crate::changes::Mark;
use crate::{Changes, Children, Kind, Name, Node, Tree, TreePath};

/// Lists what a layer has to carry to turn `before` into `after`.
///
/// Changes come in path order with parents first, so equal inputs give equal
/// archives. A removed directory is one removal. A name that changed its type is
/// only put: the new entry hides the old one. A directory is listed if its mode,
/// owner or capability changed, or something below it did; its time alone is
/// invisible. Other nodes are unchanged if mode, owner, capability, time and
/// content are equal; a file whose content digest is unknown on either side
/// counts as changed, unless both trees share the node. Sockets are left out, see
/// [`Changes::sockets`].
///
/// Shared nodes are skipped whole, so the cost follows the change.
///
/// ```
/// use yadokari_tree::{diff, tree};
///
/// let before = tree("/etc/motd 0644 a\n/tmp/x 0644 b");
/// let after = tree("/etc/motd 0600 a");
/// assert_eq!(diff(&before, &after).to_string(), "~ /etc/motd\n- /tmp\n");
/// ```
pub fn diff(before: &Tree, after: &Tree) -> Changes {
    let mut diff = Diff {
        changes: Changes::default(),
        path: TreePath::root(),
        levels: Vec::new(),
    };
    if !before.root().same(after.root()) {
        diff.enter(Some(before.root()), after.root(), Listed::Yes);
    }
    diff.run();
    diff.changes
}

struct Diff<'a> {
    changes: Changes,
    /// The directory being compared.
    path: TreePath,
    /// One level per component of `path`, and one for the root.
    levels: Vec<Level<'a>>,
}

struct Level<'a> {
    before: Option<Peekable<Iter<'a, Name, Node>>>,
    after: Peekable<Iter<'a, Name, Node>>,
    node: &'a Node,
    listed: Listed,
}

/// Whether a directory is in the list already.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
}

/// The next name of a directory, on the sides that have it.
struct Pair<'a> {
    name: &'a Name,
    before: Option<&'a Node>,
    after: Option<&'a Node>,
}

impl<'a> Diff<'a> {
    fn run(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            match level.next_pair() {
                Some(pair) => self.compare(&pair),
                None => self.leave(),
            }
        }
    }

    fn compare(&mut self, pair: &Pair<'a>) {
        match (pair.before, pair.after) {
            (Some(before), Some(after)) if before.same(after) => {}
            (Some(_), None) => self.remove(pair.name),
            (before, Some(after)) => self.put(pair.name, before, after),
            (None, None) => {}
        }
    }

    fn remove(&mut self, name: &Name) {
        self.list_parents();
        self.changes.push(&self.path, name, None, Mark::Removed);
    }

    fn put(&mut self, name: &Name, before: Option<&'a Node>, after: &'a Node) {
        let changed = before.is_none_or(|before| is_changed(before, after));
        if after.is_socket() && changed {
            self.skip_socket(name, before);
        } else if changed {
            self.list_parents();
            let mark = if before.is_some() {
                Mark::Changed
            } else {
                Mark::Added
            };
            let node = Some(after.clone());
            self.changes.push(&self.path, name, node, mark);
        }
        if after.is_directory() {
            self.path.push(name);
            self.enter(
                before,
                after,
                if changed { Listed::Yes } else { Listed::No },
            );
        }
    }

    /// Where a socket took the place of something a layer can carry, that is gone.
    fn skip_socket(&mut self, name: &Name, before: Option<&Node>) {
        if before.is_some_and(|before| !before.is_socket()) {
            self.remove(name);
        }
        self.changes.push_socket(self.path.join(name));
    }

    fn enter(&mut self, before: Option<&'a Node>, after: &'a Node, listed: Listed) {
        let entries = |children: &'a Children| children.iter().peekable();
        let before = before.and_then(|before| before.children()).map(entries);
        if let Some(after_children) = after.children() {
            self.levels.push(Level {
                before,
                after: entries(after_children),
                node: after,
                listed,
            });
        }
    }

    fn leave(&mut self) {
        self.levels.pop();
        self.path.pop();
    }

    /// Lists the directories above the current name that are not listed yet.
    fn list_parents(&mut self) {
        let first = self
            .levels
            .iter()
            .position(|level| level.listed == Listed::No);
        let Some(first) = first else {
            return;
        };
        // A level's directory is never listed before the one above it, so all
        // levels from the first one on are missing.
        let paths: Vec<_> = self
            .path
            .ancestors()
            .chain([self.path.clone()])
            .skip(first)
            .collect();
        for (level, path) in self.levels[first..].iter_mut().zip(paths) {
            level.listed = Listed::Yes;
            let node = Some(level.node.clone());
            self.changes.push_path(&path, node, Mark::Parent);
        }
    }
}

impl<'a> Level<'a> {
    fn next_pair(&mut self) -> Option<Pair<'a>> {
        let before = self
            .before
            .as_mut()
            .and_then(|before| before.peek().map(|(name, _)| *name));
        let after = self.after.peek().map(|(name, _)| *name);
        let name = [before, after].into_iter().flatten().min()?;
        let take_before = before == Some(name);
        let take_after = after == Some(name);
        Some(Pair {
            name,
            before: self
                .before
                .as_mut()
                .filter(|_| take_before)
                .and_then(Iterator::next)
                .map(|(_, node)| node),
            after: take_after
                .then(|| self.after.next())
                .flatten()
                .map(|(_, node)| node),
        })
    }
}

/// Whether a layer has to carry `after` itself, where `before` was.
fn is_changed(before: &Node, after: &Node) -> bool {
    if !before.metadata().same_rights(after.metadata()) {
        return true;
    }
    let same_time = before.metadata().mtime == after.metadata().mtime;
    match (before.kind(), after.kind()) {
        (Kind::Directory(_), Kind::Directory(_)) => false,
        (Kind::File(before), Kind::File(after)) => {
            !same_time
                || before.size != after.size
                || before.digest().is_none()
                || before.digest() != after.digest()
        }
        (before, after) => !same_time || !before.equal_special(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metadata, tree};

    /// Every listed path, unchanged parents and all.
    fn listed(before: &str, after: &str) -> String {
        let changes = diff(&tree(before), &tree(after));
        let text = |change: crate::Change| match change {
            crate::Change::Put { path, .. } => path.to_string(),
            crate::Change::Remove { path } => format!("-{path}"),
        };
        changes.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_a_layer_lists() {
        let base = "/a/b/f 0644 x\n/a/g 0644 y\n/l -> a";
        for (what, before, after, want) in [
            ("nothing", base, base, ""),
            (
                "parents of a change",
                base,
                "/a/b/f 0600 x\n/a/g 0644 y\n/l -> a",
                "/a /a/b /a/b/f",
            ),
            (
                "a removed directory once",
                base,
                "/a/g 0644 y\n/l -> a",
                "/a -/a/b",
            ),
            (
                "parents once",
                base,
                "/a/b/f 0644 X\n/a/g 0644 Y\n/l -> a",
                "/a /a/b /a/b/f /a/g",
            ),
            ("a directory's time", "/d/ 0755", "/d/ 0755 @9", ""),
            (
                "a directory's mode",
                "/d/f 0644 x",
                "/d/ 0700\n/d/f 0644 x",
                "/d",
            ),
            ("a file's time", "/f 0644 x", "/f 0644 @9 x", "/f"),
            (
                "nanoseconds",
                "/f 0644 @9 x",
                "/f 0644 @9.000000001 x",
                "/f",
            ),
            ("an owner", "/f 0644 x", "/f 0644 1:0 x", "/f"),
            (
                "a capability",
                "/f 0644 x",
                "/f 0644 +security.capability=00 x",
                "/f",
            ),
            ("another attribute", "/f 0644 x", "/f 0644 +user.x=00 x", ""),
            (
                "content of equal size and time",
                "/f 0644 x",
                "/f 0644 y",
                "/f",
            ),
            ("unknown content", "/f 0644 <file 1>", "/f 0644 x", "/f"),
            ("a link's target", "/l -> a", "/l -> b", "/l"),
            (
                "a device's number",
                "/c 0600 <char 1:3>",
                "/c 0600 <char 1:5>",
                "/c",
            ),
            (
                "a device's type",
                "/c 0600 <char 1:3>",
                "/c 0600 <block 1:3>",
                "/c",
            ),
            ("file to directory", "/t 0644 x", "/t/f 0644 x", "/t /t/f"),
            ("directory to file", "/t/f 0644 x", "/t 0644 x", "/t"),
            ("directory to link", "/t/f 0644 x", "/t -> x", "/t"),
            (
                "order",
                "",
                "/a.b 0644 x\n/a/x 0644 x\n/a-b 0644 x",
                "/a /a/x /a-b /a.b",
            ),
            (
                "whiteout in its place",
                "/o/a 0644 x\n/o/c 0644 x",
                "/o/b 0644 x\n/o/c 0644 x",
                "/o -/o/a /o/b",
            ),
            (
                "a new link to an old file",
                "/f 0644 x",
                "/f 0644 x\n/g => /f",
                "/g",
            ),
            (
                "a broken link",
                "/f 0644 x\n/g => /f",
                "/f 0644 x\n/g 0644 x",
                "",
            ),
        ] {
            assert_eq!(listed(before, after), want, "{what}");
        }
    }

    #[test]
    fn sockets_are_reported_and_not_listed() {
        let changes = diff(
            &tree("/b 0644 x\n/same 0755 <socket>"),
            &tree("/a/s 0755 <socket>\n/b 0755 <socket>\n/same 0755 <socket>"),
        );
        assert_eq!(changes.to_string(), "+ /a\n- /b\n");
        assert_eq!(changes.sockets(), ["/a/s", "/b"].map(TreePath::from));
        let changes = diff(&tree("/s 0755 <socket>"), &tree("/s 0644 x"));
        assert_eq!(changes.to_string(), "~ /s\n");
    }

    #[test]
    fn the_root_is_never_listed() {
        assert_eq!(listed("", "/ 0700"), "");
        assert_eq!(listed("", "/ 0700\n/f 0644 x"), "/f");
    }

    #[test]
    fn shared_files_are_equal_even_if_their_content_is_unknown() {
        let before = tree("/d/f 0644 <file 5>\n/g 0644 x");
        let mut after = before.clone();
        after.metadata_mut(&"/d".into()).unwrap().mode = 0o700;
        assert_eq!(diff(&before, &after).to_string(), "~ /d\n");
    }

    /// A tree this deep would overflow the stack of anything recursive.
    #[test]
    fn depth_is_no_problem() {
        let deep = |mode| {
            let mut node = Node::file_of(Metadata::new(mode), "");
            for _ in 0..3_000 {
                node =
                    Node::directory(Metadata::new(0o755), [(Name::component(b"d"), node)].into());
            }
            Tree::from_root(node).unwrap()
        };
        let changes = diff(&deep(0o644), &deep(0o600));
        assert_eq!(changes.len(), 3_000);
        let mut tree = deep(0o644);
        changes.apply_to(&mut tree);
        assert_eq!(tree, deep(0o600));
    }
}
