//! Whole archives, and what an ordinary user gets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use yadokari_layer::{LayerReader, Limits, TarOptions, write_tar};
use yadokari_rootfs::{Root, ScanOptions, Snapshot, UnpackError, Unpacker, scan, unpack};
use yadokari_tree::{Entry, EntryKind, Metadata, Tree, TreePath, diff, tree};

use crate::disk::{hash_all, is_root};

fn archive(tree: &Tree, bodies: &[(&str, &str)]) -> Vec<u8> {
    let bodies: BTreeMap<TreePath, &str> = bodies
        .iter()
        .map(|(path, body)| ((*path).into(), *body))
        .collect();
    let mut tar = Vec::new();
    let changes = diff(&Tree::empty(), tree);
    write_tar(&changes, &bodies, &TarOptions::default(), &mut tar).unwrap();
    tar
}

#[test]
fn an_archive_becomes_a_root_that_needs_no_reading() {
    if !is_root() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let packed = tree(
        r"
        /etc/ 0755 @11
        /etc/motd 0640 1000:1001 @12 hello
        /etc/issue => /etc/motd
        /lib -> usr/lib
        /closed/ 0500 @13
        /closed/f 0400 @14 x
        ",
    );
    let bodies = [
        ("/etc/motd", "hello"),
        ("/etc/issue", "hello"),
        ("/closed/f", "x"),
    ];
    let tar = archive(&packed, &bodies);
    let mut unpacked = Tree::empty();
    let mut reader = LayerReader::new(Cursor::new(tar), Limits::default()).unwrap();
    let report = unpack(&root, &mut unpacked, &mut reader).unwrap();
    reader.finish().unwrap();
    assert_eq!((report.entries, report.bytes), (6, 6));
    assert_eq!(report.shortfalls, Default::default());

    let snapshot = Snapshot::take(&root, &unpacked, &ScanOptions::default()).unwrap();
    assert!(snapshot.tree().root().same(unpacked.root()));
    let found = scan(&root, None, &ScanOptions::default()).unwrap();
    hash_all(&root, found.tree());
    assert_eq!(diff(found.tree(), &unpacked).to_string(), "");
    let time = |tree: &Tree| tree.get(&"/closed".into()).unwrap().metadata().mtime;
    assert_eq!(time(found.tree()), time(&packed));
    assert_eq!(diff(&packed, &unpacked).to_string(), "");
}

/// Runs something as a user without any right, in a directory of theirs.
fn as_nobody(test: impl FnOnce(Root) + Send) {
    if !is_root() {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = temp.path().join("root");
    fs::create_dir(&path).unwrap();
    chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    let root = Root::open(path).unwrap();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let (gid, uid) = (Gid::from_raw(NOBODY), Uid::from_raw(NOBODY));
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            test(root);
        });
        run.join().unwrap();
    });
}

fn put(path: &str, mode: u16, owner: u32, kind: EntryKind) -> Entry {
    Entry::Put {
        path: path.into(),
        metadata: Metadata::new(mode).owned_by(owner, owner),
        kind,
    }
}

#[test]
fn an_owner_that_is_not_available_is_named() {
    as_nobody(|root| {
        let mut unpacker = Unpacker::new(&root, Tree::empty());
        let entry = put("/f", 0o644, 1234, EntryKind::File { size: 0 });
        let error = unpacker.put(&entry, &mut std::io::empty()).unwrap_err();
        assert!(error.to_string().contains("/f to 1234:1234"), "{error}");
        assert!(error.to_string().contains("/etc/subuid"), "{error}");
        assert!(matches!(error, UnpackError::Owner { uid: 1234, .. }));
    });
}

#[test]
fn devices_that_may_not_be_made_are_files_on_disk_and_devices_in_the_tree() {
    as_nobody(|root| {
        let mut unpacker = Unpacker::new(&root, Tree::empty());
        let kind = EntryKind::CharDevice { major: 1, minor: 3 };
        let mut nothing = std::io::empty();
        unpacker
            .put(
                &put("/dev", 0o755, NOBODY, EntryKind::Directory),
                &mut nothing,
            )
            .unwrap();
        unpacker
            .put(&put("/dev/null", 0o666, NOBODY, kind), &mut nothing)
            .unwrap();
        let (tree, report) = unpacker.finish().unwrap();
        assert_eq!(report.shortfalls.devices, 1);
        assert!(root.metadata(&"/dev/null".into()).unwrap().is_file());
        let snapshot = Snapshot::take(&root, &tree, &ScanOptions::default()).unwrap();
        assert_eq!(diff(&tree, snapshot.tree()).to_string(), "");
        assert!(snapshot.tree().root().same(tree.root()));
    });
}

#[test]
fn closed_directories_are_written_and_removed_by_their_owner() {
    as_nobody(|root| {
        let mut unpacker = Unpacker::new(&root, Tree::empty());
        let mut nothing = std::io::empty();
        let file = || EntryKind::File { size: 0 };
        for entry in [
            put("/d", 0o500, NOBODY, EntryKind::Directory),
            put("/d/f", 0o400, NOBODY, file()),
            put("/d/e", 0o000, NOBODY, EntryKind::Directory),
            put("/d/e/f", 0o000, NOBODY, file()),
        ] {
            unpacker.put(&entry, &mut nothing).unwrap();
        }
        let (tree, _) = unpacker.finish().unwrap();
        let mode = root.metadata(&"/d".into()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o500);
        let mut unpacker = Unpacker::new(&root, tree);
        let entry = put("/d/g", 0o400, NOBODY, file());
        unpacker.put(&entry, &mut nothing).unwrap();
        unpacker.finish().unwrap();
        let mode = root.metadata(&"/d".into()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o500);
        root.remove_all(&"/d".into()).unwrap();
        assert!(root.metadata(&"/d".into()).is_err());
    });
}

const NOBODY: u32 = 65534;

#[test]
fn zeros_become_holes_and_are_still_zeros() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let mut text = vec![0; 3 << 20];
    text[1 << 20] = 7;
    let size = text.len() as u64;
    let mut unpacker = Unpacker::new(&root, Tree::empty());
    let entry = Entry::Put {
        path: "/sparse".into(),
        metadata: tree("/sparse 0644 x")
            .get(&"/sparse".into())
            .unwrap()
            .metadata()
            .clone(),
        kind: EntryKind::File { size },
    };
    unpacker.put(&entry, &mut &*text).unwrap();
    let (tree, _) = unpacker.finish().unwrap();
    let path = temp.path().join("sparse");
    assert!(std::fs::read(&path).unwrap() == text);
    let digest = tree
        .get(&"/sparse".into())
        .unwrap()
        .content()
        .unwrap()
        .digest();
    assert_eq!(digest, Some(yadokari_tree::ContentDigest::of(&text)));
    let taken = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(path).unwrap()) * 512;
    assert!(taken < size, "{taken}");
}
