//! Scan, compare and apply, against whatever a command may have done.

use std::path::Path;

use proptest::prelude::*;
use yadokari_rootfs::{Root, ScanOptions, Snapshot, apply, copy_root, scan};
use yadokari_tree::{Metadata, Tree, TreePath, diff};

use crate::disk::{hash_all, linked_in_tree, linked_on_disk, look};
use crate::mutator::{Deed, deeds, perform};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_finds_whatever_was_done(
        first in deeds(),
        second in deeds(),
        third in deeds(),
        hashed in any::<bool>(),
    ) {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::create(temp.path().join("root")).unwrap();
        perform(root.path(), &first);
        let snapshot = scan(&root, None, &ScanOptions::default()).unwrap();
        if hashed {
            hash_all(&root, snapshot.tree());
        }
        let next = step(&root, &temp.path().join("one"), &snapshot, &second);
        step(&root, &temp.path().join("two"), &next, &third);
    }

    #[test]
    fn a_root_written_from_a_tree_is_known_without_reading_it(
        first in deeds(),
        second in deeds(),
    ) {
        let temp = tempfile::tempdir().unwrap();
        let source = Root::create(temp.path().join("source")).unwrap();
        perform(source.path(), &first);
        let tree = scan(&source, None, &ScanOptions::default()).unwrap().tree().clone();
        hash_all(&source, &tree);
        let root = Root::create(temp.path().join("root")).unwrap();
        copy_root(&source, &tree, &root).unwrap();
        prop_assert_eq!(look(source.path()), look(root.path()));
        prop_assert_eq!(linked_on_disk(source.path()), linked_on_disk(root.path()));
        let snapshot = Snapshot::take(&root, &tree, &ScanOptions::default()).unwrap();
        prop_assert!(snapshot.tree().root().same(tree.root()));
        step(&root, &temp.path().join("copy"), &snapshot, &second);
    }
}

/// What a scan keeps of the root itself is nobody's change.
fn without_root(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    *tree.metadata_mut(&TreePath::root()).unwrap() = Metadata::default();
    tree
}

/// Does something to a root and checks what a scan makes of it.
fn step(root: &Root, copy: &Path, before: &Snapshot, deeds: &[Deed]) -> Snapshot {
    let copy = Root::create(copy).unwrap();
    copy_root(root, before.tree(), &copy).unwrap();
    perform(root.path(), deeds);
    let after = scan(root, Some(before), &ScanOptions::default()).unwrap();

    let changes = diff(before.tree(), after.tree());
    apply(&copy, &changes, root).unwrap();
    assert_eq!(look(copy.path()), look(root.path()));

    assert_eq!(linked_in_tree(after.tree()), linked_on_disk(root.path()));
    let afresh = scan(
        root,
        None,
        &ScanOptions {
            threads: 1,
            ..ScanOptions::default()
        },
    )
    .unwrap();
    hash_all(root, after.tree());
    hash_all(root, afresh.tree());
    assert_eq!(without_root(after.tree()), without_root(afresh.tree()));

    let again = scan(root, Some(&after), &ScanOptions::default()).unwrap();
    assert!(again.tree().root().same(after.tree().root()));
    after
}
