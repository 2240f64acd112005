//! Bringing a disk from one tree to another.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use yadokari_rootfs::{Root, ScanOptions, Snapshot, UnpackError, apply, copy_root, scan};
use yadokari_tree::{Tree, TreePath, diff, tree};

use crate::disk::{hash_all, is_root};

fn contents(files: &[(&str, &str)]) -> BTreeMap<TreePath, String> {
    let pairs = files
        .iter()
        .map(|(path, body)| ((*path).into(), (*body).into()));
    pairs.collect()
}

fn found(root: &Root) -> Tree {
    let snapshot = scan(root, None, &ScanOptions::default()).unwrap();
    hash_all(root, snapshot.tree());
    snapshot.tree().clone()
}

/// The root's own metadata is nobody's change.
fn below(tree: &Tree) -> String {
    let text = tree.to_string();
    text.lines()
        .filter(|line| !line.starts_with("/ "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_disk_becomes_what_the_tree_says() {
    if !is_root() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let first = tree(
        r"
        /etc/ 0755 @1500000000.000000001
        /etc/motd 0640 1000:1001 @1500000000.123456789 +user.note=6869 hello
        /etc/issue => /etc/motd
        /bin -> usr/bin
        /closed/ 0000 7:8 @3
        /closed/pipe 0600 @5 <fifo>
        /null 0666 @7 <char 1:3>
        /flip/below 0644 x
        ",
    );
    let bodies = contents(&[
        ("/etc/issue", "hello"),
        ("/etc/motd", "hello"),
        ("/flip/below", "x"),
    ]);
    apply(&root, &diff(&Tree::empty(), &first), &bodies).unwrap();
    assert_eq!(below(&found(&root)), below(&first));

    let second = tree(
        r"
        /etc/ 0700 @1500000001.000000001
        /etc/motd 0640 1000:1001 @1500000000.123456789 +user.note=6869 hello
        /bin/ 0755 @9
        /bin/sh 0755 @10 sh
        /closed/ 0000 7:8 @4
        /flip -> etc
        ",
    );
    let bodies = contents(&[("/bin/sh", "sh")]);
    apply(&root, &diff(&first, &second), &bodies).unwrap();
    assert_eq!(below(&found(&root)), below(&second));
}

#[test]
fn an_attribute_that_is_gone_goes_from_a_directory_too() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let first = tree(&format!("/d/ 0755 {uid}:{gid} @1 +user.note=6869"));
    let second = tree(&format!("/d/ 0750 {uid}:{gid} @1"));
    apply(&root, &diff(&Tree::empty(), &first), &contents(&[])).unwrap();
    assert_eq!(below(&found(&root)), below(&first));
    apply(&root, &diff(&first, &second), &contents(&[])).unwrap();
    assert_eq!(below(&found(&root)), below(&second));
}

#[test]
fn a_missing_body_names_its_file() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let changes = diff(&Tree::empty(), &tree("/f 0644 x"));
    let error = apply(&root, &changes, &contents(&[])).unwrap_err();
    let UnpackError::Content { path, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(path, "/f".into());
}

#[test]
fn a_copied_root_is_equal_and_independent() {
    let temp = tempfile::tempdir().unwrap();
    let from = Root::create(temp.path().join("from")).unwrap();
    fs::create_dir(from.path().join("d")).unwrap();
    fs::write(from.path().join("d/f"), "x".repeat(100_000)).unwrap();
    fs::hard_link(from.path().join("d/f"), from.path().join("g")).unwrap();
    let tree = found(&from);
    let to = Root::create(temp.path().join("to")).unwrap();
    copy_root(&from, &tree, &to).unwrap();
    assert_eq!(below(&found(&to)), below(&tree));
    let inode = |name: &str| fs::metadata(to.path().join(name)).unwrap().ino();
    assert_eq!(inode("d/f"), inode("g"));
    let taken = Snapshot::take(&to, &tree, &ScanOptions::default()).unwrap();
    assert!(taken.tree().root().same(tree.root()));
    fs::write(to.path().join("g"), "changed").unwrap();
    assert_eq!(fs::read(from.path().join("g")).unwrap().len(), 100_000);
}
