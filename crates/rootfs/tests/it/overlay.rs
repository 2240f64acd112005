//! What an overlay over a root collects, beside what a scan finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{self, FileTimes, OpenOptions};
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use proptest::prelude::*;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use yadokari_layer::{Compression, PackOptions, pack};
use yadokari_rootfs::{
    OverlayMarks, OverlayUpper, Root, ScanError, ScanOptions, Snapshot, UnpackError, scan,
};
use yadokari_tree::{Changes, Tree, TreePath, diff};

use crate::disk::{Seen, hash_all, is_root, linked_in_tree, linked_on_disk, look, skip};
use crate::mutator::{Deed, deeds, perform};
use crate::snapshot::unshared;

/// A root with something in it, whose tree is known down to the digests.
struct Stage {
    _temp: tempfile::TempDir,
    root: Root,
    snapshot: Snapshot,
}

/// What a command left, as both ways tell it.
struct Told {
    overlay: Tree,
    scan: Tree,
    before: Tree,
}

impl Stage {
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = Root::create(temp.path().join("root")).unwrap();
        fill(root.path());
        let snapshot = known(&root);
        Self {
            _temp: temp,
            root,
            snapshot,
        }
    }

    fn look_again(&mut self) {
        self.snapshot = known(&self.root);
    }

    fn upper(&self) -> OverlayUpper {
        OverlayUpper::create(&self.root, OverlayMarks::Trusted).unwrap()
    }

    fn collect(&self, upper: &OverlayUpper) -> Result<Tree, ScanError> {
        upper.collect(&self.root, self.snapshot.tree(), &BTreeSet::new())
    }

    /// Has something done to an overlay of the root, collects it, merges it and scans the root.
    fn told(&self, act: impl FnOnce(&Path) + Send) -> Option<Told> {
        let upper = self.upper();
        let shown = self.mounted(&upper, act)?;
        let overlay = self.collect(&upper).unwrap();
        upper.merge(&self.root).unwrap();
        assert_eq!(look(self.root.path()), shown);
        let options = ScanOptions::default();
        let scanned = scan(&self.root, Some(&self.snapshot), &options).unwrap();
        let left: Vec<_> = fs::read_dir(self.root.path().parent().unwrap())
            .unwrap()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
        Some(Told {
            overlay,
            scan: scanned.tree().clone(),
            before: self.snapshot.tree().clone(),
        })
    }

    /// Mounts in a namespace of a thread's own. Nothing comes back where that cannot be done.
    fn mounted(
        &self,
        upper: &OverlayUpper,
        act: impl FnOnce(&Path) + Send,
    ) -> Option<BTreeMap<Vec<u8>, Seen>> {
        if !is_root() {
            return None;
        }
        let root = self.root.path();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| {
                if unshared().is_err() || mount_overlay(root, upper).is_err() {
                    skip("needs to mount an overlay");
                    return None;
                }
                act(root);
                let seen = look(root);
                unmount(root, UnmountFlags::empty()).unwrap();
                Some(seen)
            });
            work.join().unwrap()
        })
    }
}

fn known(root: &Root) -> Snapshot {
    let snapshot = scan(root, None, &ScanOptions::default()).unwrap();
    hash_all(root, snapshot.tree());
    snapshot
}

fn mount_overlay(root: &Path, upper: &OverlayUpper) -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={},redirect_dir=nofollow,metacopy=off,index=off",
        root.display(),
        upper.upper().display(),
        upper.work().display()
    );
    let options = CString::new(options).unwrap();
    Ok(mount(
        "overlay",
        root,
        "overlay",
        MountFlags::empty(),
        &*options,
    )?)
}

fn layer(changes: &Changes, root: &Root) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = PackOptions::default();
    pack(changes, root, &options, &mut bytes).unwrap();
    bytes
}

fn same_layer(told: &Told, root: &Root) {
    let [overlay, scan] = [&told.overlay, &told.scan].map(|after| diff(&told.before, after));
    assert_eq!(overlay.to_string(), scan.to_string());
    assert_eq!(overlay.sockets(), scan.sockets());
    assert_eq!(layer(&overlay, root), layer(&scan, root));
    assert_eq!(linked_in_tree(&told.overlay), linked_on_disk(root.path()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn overlay_and_scan_tell_the_same(first in deeds(), second in deeds(), third in deeds()) {
        let fill = |root: &Path| {
            // An overlay parts the names of a file of the root, which a scan of a plain
            // directory would not.
            perform(root, &unlinked(first));
        };
        let mut stage = Stage::new(fill);
        for deeds in [second, third] {
            if let Some(told) = stage.told(|root| perform(root, &deeds)) {
                same_layer(&told, &stage.root);
            }
            // The next command's lower files have one name each again.
            part(stage.root.path());
            stage.look_again();
        }
    }
}

/// What leaves each file one name.
pub(crate) fn unlinked(deeds: Vec<Deed>) -> Vec<Deed> {
    let links = |deed: &Deed| matches!(deed, Deed::Link(..) | Deed::Join(..));
    deeds.into_iter().filter(|deed| !links(deed)).collect()
}

/// Removes all but the first of each file's names.
fn part(root: &Path) {
    use std::os::unix::ffi::OsStrExt;
    for names in linked_on_disk(root) {
        for name in &names[1..] {
            fs::remove_file(root.join(std::ffi::OsStr::from_bytes(name))).unwrap();
        }
    }
}

fn fill(root: &Path) {
    for name in ["etc/motd", "etc/copy", "usr/bin/sh", "usr/lib/deep/file"] {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "the same words").unwrap();
    }
}

fn changes(told: &Told) -> String {
    diff(&told.before, &told.overlay).to_string()
}

#[test]
fn single_deeds_are_told_alike() {
    type Act = fn(&Path);
    let cases: [(&str, Act, &str); 10] = [
        ("nothing", |_| (), ""),
        (
            "stub made and removed",
            |root| {
                fs::write(root.join("etc/hosts"), "").unwrap();
                fs::remove_file(root.join("etc/hosts")).unwrap();
            },
            "",
        ),
        (
            "edited with its time put back",
            |root| rewrite(&root.join("etc/motd"), "THE SAME WORDS"),
            "~ /etc/motd\n",
        ),
        (
            "rewritten as it was",
            |root| rewrite(&root.join("etc/motd"), "the same words"),
            "",
        ),
        (
            "made anew with less in it",
            |root| {
                fs::remove_dir_all(root.join("usr")).unwrap();
                fs::create_dir_all(root.join("usr/bin")).unwrap();
                fs::write(root.join("usr/bin/sh"), "x").unwrap();
            },
            "~ /usr/bin/sh\n- /usr/lib\n",
        ),
        (
            "made anew with the same directories",
            |root| {
                fs::remove_dir_all(root.join("usr")).unwrap();
                fs::create_dir_all(root.join("usr/lib/deep")).unwrap();
            },
            "- /usr/bin\n- /usr/lib/deep/file\n",
        ),
        (
            "a file in a directory's place",
            |root| {
                fs::remove_dir_all(root.join("usr/lib")).unwrap();
                fs::write(root.join("usr/lib"), "x").unwrap();
            },
            "~ /usr/lib\n",
        ),
        (
            "a directory in a file's place",
            |root| {
                fs::remove_file(root.join("etc/motd")).unwrap();
                fs::create_dir(root.join("etc/motd")).unwrap();
                fs::write(root.join("etc/motd/x"), "x").unwrap();
            },
            "~ /etc/motd\n+ /etc/motd/x\n",
        ),
        (
            "owner and mode of directories",
            |root| {
                lchown(root.join("usr"), Some(7), Some(8)).unwrap();
                fs::set_permissions(root.join("etc"), fs::Permissions::from_mode(0o1700)).unwrap();
                fs::set_permissions(root, fs::Permissions::from_mode(0o711)).unwrap();
            },
            "~ /etc\n~ /usr\n",
        ),
        (
            "deep and emptied",
            |root| {
                fs::remove_file(root.join("usr/lib/deep/file")).unwrap();
                let mut path = root.join("usr/lib/deep");
                for _ in 0..3 {
                    path.push("down");
                    fs::create_dir(&path).unwrap();
                }
            },
            "+ /usr/lib/deep/down\n+ /usr/lib/deep/down/down\n+ /usr/lib/deep/down/down/down\n\
             - /usr/lib/deep/file\n",
        ),
    ];
    for (what, act, want) in cases {
        let stage = Stage::new(fill);
        let Some(told) = stage.told(act) else { return };
        assert_eq!(changes(&told), want, "{what}");
        same_layer(&told, &stage.root);
    }
}

#[test]
fn the_root_directory_itself_follows() {
    let stage = Stage::new(fill);
    fs::set_permissions(stage.root.path(), fs::Permissions::from_mode(0o1751)).unwrap();
    let mode = || {
        fs::metadata(stage.root.path())
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    if stage.told(|_| ()).is_none() {
        return;
    }
    assert_eq!(mode(), 0o1751);
    stage.told(|root| fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap());
    assert_eq!(mode(), 0o700);
}

/// Longer than 32 bits tell, and nearly all hole.
#[test]
fn an_edit_in_the_middle_of_a_huge_file_is_told_alike() {
    const SIZE: u64 = (4 << 30) + 7;
    let temp = tempfile::tempdir().unwrap();
    let root = Root::create(temp.path().join("root")).unwrap();
    let path = root.path().join("huge");
    fs::File::create(&path).unwrap().set_len(SIZE).unwrap();
    let options = ScanOptions::default();
    // A file as young as the scan would be hashed, which takes its time.
    let wait = || std::thread::sleep(std::time::Duration::from_millis(20));
    wait();
    let before = scan(&root, None, &options).unwrap();
    let upper = OverlayUpper::create(&root, OverlayMarks::Trusted).unwrap();
    // What an overlay makes of a file is a whole copy, mostly hole as well.
    let copy = upper.upper().join("huge");
    fs::File::create(&copy).unwrap().set_len(SIZE).unwrap();
    write_at(&copy, SIZE / 2, b"x");
    let after = upper
        .collect(&root, before.tree(), &BTreeSet::new())
        .unwrap();
    assert_eq!(
        after.get(&"/huge".into()).unwrap().content().unwrap().size,
        SIZE
    );
    assert_eq!(diff(before.tree(), &after).to_string(), "~ /huge\n");
    upper.merge(&root).unwrap();
    wait();
    let scanned = scan(&root, Some(&before), &options).unwrap();
    assert_eq!(diff(before.tree(), scanned.tree()).to_string(), "~ /huge\n");
    let [one, other] = [&after, scanned.tree()].map(|after| {
        let changes = diff(before.tree(), after);
        let options = PackOptions {
            compression: Compression::None,
            ..PackOptions::default()
        };
        pack(&changes, &root, &options, &mut std::io::sink()).unwrap()
    });
    assert!(one.size > SIZE);
    assert_eq!(one, other);
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_at(bytes, offset).unwrap();
}

fn rewrite(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, text).unwrap();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(before))
        .unwrap();
}

#[test]
fn only_the_touched_name_of_a_linked_file_changes() {
    let stage = Stage::new(|root| {
        fill(root);
        fs::hard_link(root.join("usr/bin/sh"), root.join("usr/bin/ash")).unwrap();
        fs::hard_link(root.join("usr/bin/sh"), root.join("usr/bin/zsh")).unwrap();
    });
    let told = stage.told(|root| {
        fs::set_permissions(root.join("usr/bin/sh"), fs::Permissions::from_mode(0o700)).unwrap();
    });
    let Some(told) = told else { return };
    assert_eq!(changes(&told), "~ /usr/bin/sh\n");
    assert_eq!(
        linked_in_tree(&told.overlay),
        linked_on_disk(stage.root.path())
    );
    let together = vec![b"usr/bin/ash".to_vec(), b"usr/bin/zsh".to_vec()];
    assert!(linked_in_tree(&told.overlay).contains(&together));
}

#[test]
fn a_new_name_of_an_old_file_is_the_only_change() {
    let stage = Stage::new(fill);
    let told = stage.told(|root| {
        fs::hard_link(root.join("etc/motd"), root.join("etc/again")).unwrap();
    });
    let Some(told) = told else { return };
    assert_eq!(changes(&told), "+ /etc/again\n");
    same_layer(&told, &stage.root);
}

#[test]
fn an_untouched_tree_is_the_same_node() {
    let stage = Stage::new(fill);
    let told = stage.told(|root| {
        rewrite(&root.join("etc/motd"), "the same words");
        fs::write(root.join("usr/new"), "x").unwrap();
    });
    let Some(told) = told else { return };
    let node = |tree: &Tree, path: &str| tree.get(&path.into()).unwrap().clone();
    for path in ["/etc", "/usr/bin", "/usr/lib"] {
        assert!(
            node(&told.overlay, path).same(&node(&told.before, path)),
            "{path}"
        );
    }
}

#[test]
fn excluded_paths_stay_as_they_were_in_the_tree() {
    let stage = Stage::new(fill);
    let upper = stage.upper();
    let act = |root: &Path| {
        fs::write(root.join("etc/motd"), "x").unwrap();
        fs::write(root.join("etc/new"), "x").unwrap();
        fs::remove_dir_all(root.join("usr")).unwrap();
        fs::create_dir(root.join("usr")).unwrap();
    };
    if stage.mounted(&upper, act).is_none() {
        return;
    }
    let exclude = ["/etc/motd", "/usr/lib"].map(TreePath::from).into();
    let before = stage.snapshot.tree();
    let after = upper.collect(&stage.root, before, &exclude).unwrap();
    assert_eq!(diff(before, &after).to_string(), "+ /etc/new\n- /usr/bin\n");
}

/// What no mount with our options writes, and what only newer kernels read.
#[test]
fn marks_are_taken_for_what_they_say() {
    if !is_root() {
        return;
    }
    use rustix::fs::{XattrFlags, lsetxattr};
    let set = |path: &Path, name: &str, value: &[u8]| {
        lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
    };
    for (mark, value, want) in [
        (
            "trusted.overlay.opaque",
            "y",
            Some("- /etc/copy\n- /etc/motd\n"),
        ),
        ("trusted.overlay.opaque", "x", Some("")),
        ("user.overlay.opaque", "y", Some("")),
        ("trusted.overlay.origin", "z", Some("")),
        ("trusted.overlay.overlay.redirect", "z", Some("")),
        ("trusted.overlay.redirect", "/usr", None),
        ("trusted.overlay.metacopy", "", None),
    ] {
        let stage = Stage::new(fill);
        let upper = stage.upper();
        let etc = upper.upper().join("etc");
        fs::create_dir(&etc).unwrap();
        set(&etc, mark, value.as_bytes());
        let told = stage.collect(&upper);
        match want {
            Some(want) => {
                let changes = diff(stage.snapshot.tree(), &told.unwrap()).to_string();
                assert_eq!(changes, want, "{mark}");
                upper.merge(&stage.root).unwrap();
                assert_eq!(stage.root.path().join("etc/copy").exists(), want.is_empty());
            }
            None => {
                assert!(matches!(told, Err(ScanError::OverlayMark { .. })), "{mark}");
                let merged = upper.merge(&stage.root);
                assert!(matches!(merged, Err(UnpackError::Overlay(_))), "{mark}");
            }
        }
    }
    let stage = Stage::new(fill);
    let upper = stage.upper();
    fs::create_dir(upper.upper().join("etc")).unwrap();
    fs::write(upper.upper().join("etc/motd"), "").unwrap();
    set(
        &upper.upper().join("etc/motd"),
        "trusted.overlay.whiteout",
        b"",
    );
    let after = stage.collect(&upper).unwrap();
    assert_eq!(
        diff(stage.snapshot.tree(), &after).to_string(),
        "- /etc/motd\n"
    );
    upper.merge(&stage.root).unwrap();
    assert!(!stage.root.path().join("etc/motd").exists());
}
