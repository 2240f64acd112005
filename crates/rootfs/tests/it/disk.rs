//! Directories as the standard library sees them, to compare with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use yadokari_rootfs::{Root, hash_files};
use yadokari_testkit::needs;
use yadokari_tree::Tree;

use crate::mutator::CAPABILITY;

/// One entry, described by everything a layer could tell about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    /// Of everything but directories, whose times a change below them moves.
    pub(crate) mtime: (i64, i64),
    /// Bytes, link target or device number.
    pub(crate) content: Vec<u8>,
    /// The one extended attribute that counts as a change; others come along with one.
    pub(crate) capability: Option<Vec<u8>>,
}

/// Everything below a directory, sockets left out.
pub(crate) fn look(top: &Path) -> BTreeMap<Vec<u8>, Seen> {
    let mut seen = BTreeMap::new();
    look_into(top, top, &mut seen);
    seen
}

fn look_into(top: &Path, dir: &Path, seen: &mut BTreeMap<Vec<u8>, Seen>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let Some(described) = describe(&path) else {
            continue;
        };
        if described.kind == "directory" {
            look_into(top, &path, seen);
        }
        let name = path.strip_prefix(top).unwrap();
        seen.insert(name.as_os_str().as_bytes().to_vec(), described);
    }
}

fn describe(path: &Path) -> Option<Seen> {
    let metadata = fs::symlink_metadata(path).unwrap();
    let file_type = metadata.file_type();
    let (kind, content) = if file_type.is_dir() {
        ("directory", Vec::new())
    } else if file_type.is_symlink() {
        let target = fs::read_link(path).unwrap();
        ("symlink", target.as_os_str().as_bytes().to_vec())
    } else if file_type.is_file() {
        ("file", fs::read(path).unwrap())
    } else if file_type.is_socket() {
        return None;
    } else {
        ("special", metadata.rdev().to_string().into_bytes())
    };
    let is_directory = file_type.is_dir();
    Some(Seen {
        kind,
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        mtime: if is_directory {
            (0, 0)
        } else {
            (metadata.mtime(), metadata.mtime_nsec())
        },
        content,
        capability: capability(path),
    })
}

fn capability(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let length = rustix::fs::lgetxattr(path, CAPABILITY, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

/// Which names are one inode, as sets of names.
pub(crate) fn linked_on_disk(top: &Path) -> Vec<Vec<Vec<u8>>> {
    let mut groups: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for (name, seen) in look(top) {
        let path = top.join(std::ffi::OsStr::from_bytes(&name));
        if seen.kind != "directory" {
            let inode = fs::symlink_metadata(path).unwrap().ino();
            groups.entry(inode).or_default().push(name);
        }
    }
    in_order(groups.into_values())
}

/// Which names are one node.
pub(crate) fn linked_in_tree(tree: &Tree) -> Vec<Vec<Vec<u8>>> {
    let mut groups: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    for (path, node) in tree
        .walk()
        .filter(|(_, node)| !node.is_directory() && !node.is_socket())
    {
        let names = groups.entry(node.identity()).or_default();
        names.push(path.as_bytes().to_vec());
    }
    in_order(groups.into_values())
}

fn in_order(groups: impl Iterator<Item = Vec<Vec<u8>>>) -> Vec<Vec<Vec<u8>>> {
    let mut groups: Vec<_> = groups
        .map(|mut names| {
            names.sort();
            names
        })
        .collect();
    groups.sort();
    groups
}

/// Has every file of a tree hashed.
pub(crate) fn hash_all(root: &Root, tree: &Tree) {
    let files: Vec<_> = tree
        .files()
        .map(|(path, node)| (path, node.clone()))
        .collect();
    hash_files(root, &files, 2).unwrap();
}

/// Says why a test that needs root does nothing, where it does nothing.
pub(crate) fn is_root() -> bool {
    let root = needs::root();
    if let Err(lack) = &root {
        needs::skip(lack);
    }
    root.is_ok()
}

/// Says why a test does nothing; with `CI=true` that is a failure.
pub(crate) fn skip(reason: &str) {
    needs::skip(reason);
}
