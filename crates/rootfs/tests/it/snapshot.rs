//! What a scan makes of single changes.

use std::fs::{self, FileTimes, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr};
use yadokari_rootfs::{Root, ScanOptions, Snapshot, scan};
use yadokari_tree::{Kind, Node, Tree, TreePath, diff};

use crate::disk::{hash_all, linked_in_tree};

struct Scanned {
    _temp: tempfile::TempDir,
    root: Root,
    snapshot: Snapshot,
}

impl Scanned {
    /// A root with a few files, scanned and hashed.
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::create(temp.path().join("root")).unwrap();
        for name in ["etc/motd", "etc/copy", "usr/bin/sh", "usr/lib/deep/file"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "the same words").unwrap();
        }
        fs::hard_link(
            root.path().join("usr/bin/sh"),
            root.path().join("usr/bin/bash"),
        )
        .unwrap();
        let snapshot = scan(&root, None, &ScanOptions::default()).unwrap();
        hash_all(&root, snapshot.tree());
        Self {
            _temp: temp,
            root,
            snapshot,
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    fn scan(&self) -> Tree {
        let options = ScanOptions::default();
        scan(&self.root, Some(&self.snapshot), &options)
            .unwrap()
            .tree()
            .clone()
    }

    fn changes(&self) -> String {
        diff(self.snapshot.tree(), &self.scan()).to_string()
    }
}

fn put_back_mtime(path: &Path, change: impl FnOnce(&Path)) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    change(path);
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(before))
        .unwrap();
}

#[test]
fn a_scan_of_an_untouched_root_is_the_same_tree() {
    let scanned = Scanned::new();
    assert!(scanned.scan().root().same(scanned.snapshot.tree().root()));
}

#[test]
fn directories_beside_the_change_are_shared() {
    let scanned = Scanned::new();
    fs::write(scanned.path("etc/motd"), "x").unwrap();
    let after = scanned.scan();
    let node = |tree: &Tree, path: &str| tree.get(&path.into()).unwrap().clone();
    let before = scanned.snapshot.tree();
    assert!(node(&after, "/usr").same(&node(before, "/usr")));
    assert!(node(&after, "/etc/copy").same(&node(before, "/etc/copy")));
    assert!(!node(&after, "/etc").same(&node(before, "/etc")));
}

#[test]
fn an_edit_with_its_time_put_back_is_found() {
    let scanned = Scanned::new();
    put_back_mtime(&scanned.path("etc/motd"), |path| {
        fs::write(path, "THE SAME WORDS").unwrap();
    });
    assert_eq!(scanned.changes(), "~ /etc/motd\n");
}

#[test]
fn rewriting_the_same_bytes_and_time_is_no_change() {
    let scanned = Scanned::new();
    put_back_mtime(&scanned.path("etc/motd"), |path| {
        fs::write(path, "the same words").unwrap();
    });
    assert_eq!(scanned.changes(), "");
    assert!(scanned.scan().root().same(scanned.snapshot.tree().root()));
}

#[test]
fn what_nobody_hashed_cannot_be_proven_equal() {
    let mut scanned = Scanned::new();
    scanned.snapshot = scan(&scanned.root, None, &ScanOptions::default()).unwrap();
    put_back_mtime(&scanned.path("etc/motd"), |path| {
        fs::write(path, "the same words").unwrap();
    });
    assert!(scanned.changes().contains("~ /etc/motd\n"));
}

#[test]
fn a_mode_alone_is_a_change_and_a_user_attribute_is_not() {
    let scanned = Scanned::new();
    let path = scanned.path("etc/motd");
    lsetxattr(&path, "user.note", b"hi", XattrFlags::empty()).unwrap();
    assert_eq!(scanned.changes(), "");
    let after = scanned.scan();
    let xattrs = &after.get(&"/etc/motd".into()).unwrap().metadata().xattrs;
    assert_eq!(xattrs.get("user.note"), Some(&b"hi"[..]));
    fs::set_permissions(path, fs::Permissions::from_mode(0o4711)).unwrap();
    assert_eq!(scanned.changes(), "~ /etc/motd\n");
}

#[test]
fn names_that_part_are_unchanged_and_no_longer_one_inode() {
    let scanned = Scanned::new();
    let (sh, copy) = (scanned.path("usr/bin/sh"), scanned.path("usr/bin/copy"));
    let time = fs::metadata(&sh).unwrap().modified().unwrap();
    fs::copy(&sh, &copy).unwrap();
    let file = OpenOptions::new().write(true).open(&copy).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    fs::rename(&copy, &sh).unwrap();
    assert_eq!(scanned.changes(), "");
    let after = scanned.scan();
    assert!(linked_in_tree(&after).iter().all(|names| names.len() == 1));
}

#[test]
fn names_that_join_are_unchanged_and_one_inode() {
    let scanned = Scanned::new();
    let (motd, copy) = (scanned.path("etc/motd"), scanned.path("etc/copy"));
    let time = fs::metadata(&motd).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&copy).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
    let before = scan(
        &scanned.root,
        Some(&scanned.snapshot),
        &ScanOptions::default(),
    )
    .unwrap();
    hash_all(&scanned.root, before.tree());
    fs::remove_file(&copy).unwrap();
    fs::hard_link(&motd, &copy).unwrap();
    let after = scan(&scanned.root, Some(&before), &ScanOptions::default()).unwrap();
    assert_eq!(diff(before.tree(), after.tree()).to_string(), "");
    let joined = vec![b"etc/copy".to_vec(), b"etc/motd".to_vec()];
    assert!(linked_in_tree(after.tree()).contains(&joined));
}

#[test]
fn a_new_name_of_an_old_file_is_the_only_change() {
    let scanned = Scanned::new();
    fs::hard_link(scanned.path("etc/motd"), scanned.path("etc/again")).unwrap();
    assert_eq!(scanned.changes(), "+ /etc/again\n");
    let names = vec![b"etc/again".to_vec(), b"etc/motd".to_vec()];
    assert!(linked_in_tree(&scanned.scan()).contains(&names));
}

#[test]
fn renamed_directories_and_links_in_their_place_are_found() {
    let scanned = Scanned::new();
    fs::rename(scanned.path("usr/lib"), scanned.path("usr/lib64")).unwrap();
    symlink("lib64", scanned.path("usr/lib")).unwrap();
    assert_eq!(
        scanned.changes(),
        "~ /usr/lib\n+ /usr/lib64\n+ /usr/lib64/deep\n+ /usr/lib64/deep/file\n"
    );
}

#[test]
fn excluded_paths_stay_as_they_were() {
    let scanned = Scanned::new();
    let exclude = ["/etc/motd", "/etc/hosts", "/usr/lib", "/etc/missing"];
    let options = ScanOptions {
        exclude: exclude.map(TreePath::from).into(),
        ..ScanOptions::default()
    };
    fs::remove_file(scanned.path("etc/motd")).unwrap();
    fs::write(scanned.path("etc/hosts"), "a mount lay here").unwrap();
    fs::remove_dir_all(scanned.path("usr/lib")).unwrap();
    let after = scan(&scanned.root, Some(&scanned.snapshot), &options).unwrap();
    assert_eq!(diff(scanned.snapshot.tree(), after.tree()).to_string(), "");
    let later = scan(&scanned.root, Some(&after), &ScanOptions::default()).unwrap();
    let changes = diff(after.tree(), later.tree()).to_string();
    assert_eq!(changes, "+ /etc/hosts\n- /etc/motd\n- /usr/lib\n");
}

#[test]
fn an_empty_file_stands_for_a_device_until_it_is_touched() {
    let scanned = Scanned::new();
    fs::write(scanned.path("etc/null"), "").unwrap();
    let found = scanned.scan();
    let metadata = found.get(&"/etc/null".into()).unwrap().metadata().clone();
    let mut tree = found.clone();
    let device = Node::new(metadata, Kind::CharDevice { major: 1, minor: 3 });
    tree.insert(&"/etc/null".into(), device).unwrap();

    let options = ScanOptions::default();
    let taken = Snapshot::take(&scanned.root, &tree, &options).unwrap();
    assert!(taken.tree().root().same(tree.root()));
    // A change of the file's change time alone.
    let path = scanned.path("etc/null");
    fs::set_permissions(&path, fs::metadata(&path).unwrap().permissions()).unwrap();
    let again = scan(&scanned.root, Some(&taken), &options).unwrap();
    assert!(again.tree().root().same(tree.root()));
    fs::write(&path, "no device").unwrap();
    let after = scan(&scanned.root, Some(&again), &options).unwrap();
    assert_eq!(
        diff(again.tree(), after.tree()).to_string(),
        "~ /etc/null\n"
    );
    assert!(after.tree().get(&"/etc/null".into()).unwrap().is_file());
}

#[test]
fn directories_deeper_than_there_are_handles_are_read() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let path = TreePath::parse(vec!["down"; 2000].join("/"));
    root.create_dir(&path, 0o755).unwrap();
    for above in path.ancestors().step_by(100) {
        root.write_file(&above.join("file"), b"x", 0o644).unwrap();
        root.create_dir(&above.join("also"), 0o755).unwrap();
    }
    let before = scan(&root, None, &ScanOptions::default()).unwrap();
    assert_eq!(before.tree().len(), 2040);
    root.write_file(&path.join("file"), b"x", 0o644).unwrap();
    let after = scan(&root, Some(&before), &ScanOptions::default()).unwrap();
    let changes = diff(before.tree(), after.tree()).to_string();
    assert_eq!(changes, format!("+ {}\n", path.join("file")));
    root.remove_all(&TreePath::root()).unwrap();
}

#[test]
fn mounted_directories_are_not_entered() {
    if !crate::disk::is_root() {
        return;
    }
    let scanned = Scanned::new();
    std::thread::scope(|scope| {
        scope.spawn(|| mount_and_scan(&scanned));
    });
}

/// Mounts in a namespace of this thread's own.
fn mount_and_scan(scanned: &Scanned) {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    if unshared().is_err() {
        crate::disk::skip("needs to make a mount namespace");
        return;
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).unwrap();
    let (source, target) = ("tmpfs", scanned.path("usr"));
    mount(source, target, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
    fs::write(scanned.path("usr/not ours"), "x").unwrap();
    assert_eq!(scanned.changes(), "");
}

#[expect(unsafe_code, reason = "only a thread of its own may leave the others")]
pub(crate) fn unshared() -> rustix::io::Result<()> {
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: no memory or descriptor table is unshared, and the thread that
    // asks does nothing else and ends with the test.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
}
