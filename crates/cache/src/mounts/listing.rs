//! The listing of a mount: its tree as text, without what a cache cannot hold.

use yadokari_tree::{Kind, Node, Tree, TreePath};

use crate::mounts::error::MountError;

/// What is kept of a tree: everything but sockets and devices, which mean nothing elsewhere.
pub(crate) fn kept(tree: &Tree) -> Tree {
    let mut kept = tree.clone();
    for (path, node) in tree.walk() {
        if !is_kept(node) {
            kept.remove(&path);
        }
    }
    kept
}

fn is_kept(node: &Node) -> bool {
    matches!(
        node.kind(),
        Kind::Directory(_) | Kind::File(_) | Kind::Symlink(_) | Kind::Fifo
    )
}

/// The text of a listing. Digests of files are left out: chunks have their own, and so the text stays small.
pub(crate) fn text(tree: &Tree) -> String {
    let full = tree.to_string();
    let mut text = String::with_capacity(full.len());
    for line in full.lines() {
        // Blanks of names are written as escapes, so only a file's own size can follow one like this.
        match line.rsplit_once(FILE) {
            Some((before, size)) => {
                let size = size.split([' ', '>']).next().unwrap_or(size);
                text.extend([before, FILE, size, ">"]);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    if text.is_empty() {
        text.push('\n');
    }
    text
}

const FILE: &str = " <file ";

/// Reads a listing and refuses what none of ours holds.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<Tree, MountError> {
    let text =
        String::from_utf8(bytes).map_err(|_| MountError::record("its list of files is no text"))?;
    let tree: Tree = text
        .parse()
        .map_err(|_| MountError::record("its list of files cannot be read"))?;
    if !tree.nodes().all(is_kept) {
        return Err(MountError::record("it holds a device or a socket"));
    }
    Ok(tree)
}

/// The files of a tree in the order of their contents, each inode once.
pub(crate) fn contents(tree: &Tree) -> Vec<(TreePath, Node)> {
    let mut seen = std::collections::HashSet::new();
    tree.files()
        .filter(|(_, node)| !node.is_shared() || seen.insert(node.identity()))
        .map(|(path, node)| (path, node.clone()))
        .collect()
}

/// Bytes in all files, each inode once; `None` if they are more than can be counted.
pub(crate) fn bytes(tree: &Tree) -> Option<u64> {
    let mut seen = std::collections::HashSet::new();
    tree.nodes()
        .filter(|node| node.is_file() && (!node.is_shared() || seen.insert(node.identity())))
        .filter_map(|node| node.content())
        .try_fold(0_u64, |sum, content| sum.checked_add(content.size))
}

/// Whether two listings of a mount show no change worth saving.
///
/// Times of directories do not count: tools that only look into their cache make and remove lock files there.
/// Neither do digests, which are known of some trees only.
#[must_use]
pub fn same_files(left: &Tree, right: &Tree) -> bool {
    same_rights(left.root(), right.root())
        && left.walk().map(Line::of).eq(right.walk().map(Line::of))
        && links(left).eq(links(right))
}

/// One name as far as it counts.
#[derive(PartialEq)]
struct Line<'a> {
    path: TreePath,
    node: Seen<'a>,
}

struct Seen<'a>(&'a Node);

impl<'a> Line<'a> {
    fn of((path, node): (TreePath, &'a Node)) -> Self {
        let node = Seen(node);
        Self { path, node }
    }
}

impl PartialEq for Seen<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.0, other.0);
        if left.same(right) {
            return true;
        }
        match (left.kind(), right.kind()) {
            (Kind::Directory(_), Kind::Directory(_)) => same_rights(left, right),
            (Kind::File(one), Kind::File(two)) => {
                one.size == two.size && left.metadata() == right.metadata()
            }
            (Kind::Symlink(one), Kind::Symlink(two)) => one == two && same_rights(left, right),
            (Kind::Fifo, Kind::Fifo) => same_rights(left, right),
            _ => false,
        }
    }
}

fn same_rights(left: &Node, right: &Node) -> bool {
    let (left, right) = (left.metadata(), right.metadata());
    (left.mode, left.uid, left.gid) == (right.mode, right.uid, right.gid)
        && left.xattrs == right.xattrs
}

/// For each file in order, which of the files before it has the same inode.
fn links(tree: &Tree) -> impl Iterator<Item = usize> {
    let mut first = std::collections::HashMap::new();
    let files = tree.nodes().filter(|node| !node.is_directory());
    files
        .enumerate()
        .map(move |(at, node)| *first.entry(node.identity()).or_insert(at))
}

#[cfg(test)]
mod tests {
    use yadokari_tree::tree;

    use super::*;

    #[test]
    fn a_listing_comes_back_without_digests_sockets_and_devices() {
        let full = tree(
            r"
            / 0700 5:6 @9
            /d/ 0755 @3
            /d/a\x20<file\x207> 0644 1:2 @1.000000005 +user.x=00 text
            /d/b => /d/a\x20<file\x207>
            /d/link -> <file\x209>
            /d/null 0666 <char 1:3>
            /d/pipe 0600 <fifo>
            /d/s 0755 <socket>
            ",
        );
        let back = parse(text(&kept(&full)).into_bytes()).unwrap();
        let expected = tree(
            r"
            / 0700 5:6 @9
            /d/ 0755 @3
            /d/a\x20<file\x207> 0644 1:2 @1.000000005 +user.x=00 <file 4>
            /d/b => /d/a\x20<file\x207>
            /d/link -> <file\x209>
            /d/pipe 0600 <fifo>
            ",
        );
        assert_eq!(back, expected);
        assert!(same_files(&back, &kept(&full)));
        assert_eq!(bytes(&back), Some(4));
        assert_eq!(contents(&back).len(), 1);
        assert!(parse(text(&Tree::empty()).into_bytes()).unwrap().is_empty());
    }

    #[test]
    fn listings_that_we_did_not_write_are_refused() {
        for bad in [
            "x",
            "/a",
            "/n 0666 <char 1:3>",
            "/s 0755 <socket>",
            "/a 0644 <file 1>\n/a/b 0644 <file 1>",
        ] {
            assert!(parse(bad.as_bytes().to_vec()).is_err(), "{bad}");
        }
        assert!(parse(vec![0xff, b'\n']).is_err());
        let climbing = parse(b"/../../etc/passwd 0644 <file 1>\n".to_vec()).unwrap();
        assert!(climbing.contains(&"/etc/passwd".into()));
    }

    #[test]
    fn only_times_of_directories_do_not_count() {
        let before = "/d/ 0755 @1\n/d/f 0644 @1 x\n/g 0644 y";
        for (after, same) in [
            ("/d/ 0755 @2\n/d/f 0644 @1 z\n/g 0644 y", true),
            ("/d/ 0700 @1\n/d/f 0644 @1 x\n/g 0644 y", false),
            ("/d/ 0755 @1\n/d/f 0644 @2 x\n/g 0644 y", false),
            ("/d/ 0755 @1\n/d/f 0644 @1 xx\n/g 0644 y", false),
            ("/d/ 0755 @1\n/d/f 0644 @1 +user.a=00 x\n/g 0644 y", false),
            ("/d/ 0755 @1\n/d/f 0644 @1 x", false),
            ("/d/ 0755 @1\n/d/f 0644 @1 x\n/g => /d/f", false),
        ] {
            assert_eq!(same_files(&tree(before), &tree(after)), same, "{after}");
        }
    }
}
