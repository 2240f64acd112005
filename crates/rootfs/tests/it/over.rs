//! Roots that lie over others: what the kernel shows of both is what one root would hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use rustix::fs::{XattrFlags, lsetxattr};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use yadokari_layer::{LayerReader, Limits, PackOptions, pack};
use yadokari_rootfs::{
    OverlayMarks, OverlayUpper, Root, ScanOptions, apply, copy_root, scan, unpack,
};
use yadokari_tree::{Metadata, Tree, TreePath, diff};

use crate::disk::{Seen, hash_all, is_root, look, skip};
use crate::mutator::{deeds, perform};
use crate::overlay::unlinked;
use crate::snapshot::unshared;

/// A root over another, and what both hold together.
struct Stack {
    temp: tempfile::TempDir,
    over: Arc<Root>,
    tree: Tree,
}

/// What a mount of all directories showed.
struct Shown {
    files: BTreeMap<Vec<u8>, Seen>,
    tree: Tree,
}

impl Stack {
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let base = Root::create(temp.path().join("base")).unwrap();
        fill(base.path());
        let tree = known(&base);
        let over = over(Arc::new(base), &tree, temp.path().join("over"));
        Self { temp, over, tree }
    }

    /// Another root on top, empty as yet.
    fn grow(&mut self, name: &str) {
        let path = self.temp.path().join(name);
        self.over = over(Arc::clone(&self.over), &self.tree, path);
    }

    /// Runs something on an overlay of the stack and takes its changes over. Nothing comes back
    /// where that cannot be done.
    fn run(&mut self, act: impl FnOnce(&Path) + Send) -> Option<BTreeMap<Vec<u8>, Seen>> {
        let upper = OverlayUpper::create(&self.over, OverlayMarks::Trusted).unwrap();
        let options = format!(
            "{},upperdir={},workdir={}",
            self.lower(),
            upper.upper().display(),
            upper.work().display()
        );
        let seen = mounted(&options, self.over.path(), |top| {
            act(top);
            look(top)
        })?;
        let collected = upper.collect(&self.over, &self.tree, &BTreeSet::new());
        self.tree = collected.unwrap();
        upper.merge(&self.over).unwrap();
        Some(seen)
    }

    /// What the kernel shows of the stack.
    fn shown(&self) -> Option<Shown> {
        let place = self.temp.path().join("shown");
        fs::create_dir_all(&place).unwrap();
        mounted(&self.lower(), &place, |top| {
            let root = Root::open(top).unwrap();
            Shown {
                files: look(top),
                tree: known(&root),
            }
        })
    }

    fn lower(&self) -> String {
        let directories = self.over.directories();
        let names: Vec<_> = directories
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!(
            "lowerdir={},redirect_dir=nofollow,metacopy=off,index=off",
            names.join(":")
        )
    }

    /// The kernel, the tree and the root itself have to tell the same.
    fn check(&self, want: &BTreeMap<Vec<u8>, Seen>) {
        let Some(shown) = self.shown() else { return };
        assert_eq!(&shown.files, want);
        for (path, node) in self.tree.files() {
            let mut bytes = Vec::new();
            let mut file = self.over.open_file(&path).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(&bytes, &want[path.as_bytes()].content, "{path}");
            if let Some(content) = node.content() {
                let digest = yadokari_tree::ContentDigest::of(&bytes);
                assert!(content.set_digest(digest), "{path}");
            }
        }
        assert_eq!(without_root(&self.tree), without_root(&shown.tree));
    }
}

fn over(below: Arc<Root>, tree: &Tree, path: PathBuf) -> Arc<Root> {
    Arc::new(Root::over(below, tree.clone(), path, OverlayMarks::Trusted).unwrap())
}

fn known(root: &Root) -> Tree {
    let snapshot = scan(root, None, &ScanOptions::default()).unwrap();
    hash_all(root, snapshot.tree());
    snapshot.tree().clone()
}

fn without_root(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    *tree.metadata_mut(&TreePath::root()).unwrap() = Metadata::default();
    tree
}

/// Mounts an overlay in a namespace of a thread's own.
fn mounted<T: Send>(options: &str, place: &Path, act: impl FnOnce(&Path) -> T + Send) -> Option<T> {
    if !is_root() {
        return None;
    }
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            if unshared().is_err() || mount_overlay(options, place).is_err() {
                skip("needs to mount an overlay");
                return None;
            }
            let done = act(place);
            unmount(place, UnmountFlags::empty()).unwrap();
            Some(done)
        });
        work.join().unwrap()
    })
}

fn mount_overlay(options: &str, place: &Path) -> io::Result<()> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)?;
    let options = CString::new(options).unwrap();
    Ok(mount(
        "overlay",
        place,
        "overlay",
        MountFlags::empty(),
        &*options,
    )?)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn commands_leave_what_they_saw(
        first in deeds(),
        second in deeds(),
        third in deeds(),
        grown in any::<bool>(),
    ) {
        // An overlay parts the names of a file that lies below it.
        let mut stack = Stack::new(|top| perform(top, &unlinked(first)));
        for deeds in [unlinked(second), third] {
            let Some(seen) = stack.run(|top| perform(top, &deeds)) else { return Ok(()) };
            stack.check(&seen);
            if grown {
                stack.grow("grown");
            }
        }
    }

    #[test]
    fn changes_go_where_they_would_on_a_root_of_its_own(
        first in deeds(),
        second in deeds(),
        third in deeds(),
        archived in any::<bool>(),
    ) {
        let mut stack = Stack::new(|top| perform(top, &first));
        let [source, plain] = ["source", "plain"].map(|name| {
            let root = Root::create(stack.temp.path().join(name)).unwrap();
            copy_root(&stack.over, &stack.tree, &root).unwrap();
            root
        });
        let mut known_of_plain = stack.tree.clone();
        for deeds in [second, third] {
            perform(source.path(), &deeds);
            let changes = diff(&stack.tree, &known(&source));
            if archived {
                let mut layer = Vec::new();
                pack(&changes, &source, &PackOptions::default(), &mut layer).unwrap();
                put(&stack.over, &mut stack.tree, &layer);
                put(&plain, &mut known_of_plain, &layer);
            } else {
                apply(&stack.over, &changes, &source).unwrap();
                apply(&plain, &changes, &source).unwrap();
                stack.tree = known(&source);
            }
            let Some(shown) = stack.shown() else { return Ok(()) };
            prop_assert_eq!(shown.files, look(plain.path()));
        }
    }
}

fn put(root: &Root, tree: &mut Tree, layer: &[u8]) {
    let mut archive = LayerReader::inline(layer, Limits::default()).unwrap();
    unpack(root, tree, &mut archive).unwrap();
}

fn fill(top: &Path) {
    for name in ["etc/motd", "etc/copy", "usr/bin/sh", "usr/lib/deep/file"] {
        let path = top.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "the same words").unwrap();
    }
    std::os::unix::fs::symlink("copy", top.join("etc/link")).unwrap();
}

#[test]
fn the_root_below_is_never_touched() {
    let mut stack = Stack::new(fill);
    let base = stack.temp.path().join("base");
    let before = look(&base);
    let act = |top: &Path| {
        fs::remove_dir_all(top.join("usr")).unwrap();
        fs::create_dir_all(top.join("usr/bin")).unwrap();
        fs::write(top.join("etc/motd"), "x").unwrap();
    };
    let Some(seen) = stack.run(act) else { return };
    assert_eq!(look(&base), before);
    stack.check(&seen);
    assert!(stack.over.open_file(&"/usr/bin/sh".into()).is_err());
    let text = |path: &str| stack.over.read_file(&path.into(), 100).unwrap();
    assert_eq!(text("/etc/link"), b"the same words");
    assert_eq!(text("/etc/motd"), b"x");
}

#[test]
fn a_new_directory_over_a_removed_one_hides_it_for_good() {
    let mut stack = Stack::new(fill);
    let remove = |top: &Path| fs::remove_dir_all(top.join("usr")).unwrap();
    if stack.run(remove).is_none() {
        return;
    }
    let mut after = stack.tree.clone();
    let directory = stack.tree.get(&"/etc".into()).unwrap().metadata().clone();
    let path = TreePath::parse("/usr/lib");
    let node = yadokari_tree::Node::empty_directory(directory.clone());
    after.insert_with_parents(&path, node, &directory).unwrap();
    let changes = diff(&stack.tree, &after);
    apply(&stack.over, &changes, &BTreeMap::<TreePath, Vec<u8>>::new()).unwrap();
    stack.tree = after;
    let names: Vec<_> = stack.shown().unwrap().files.into_keys().collect();
    assert!(names.contains(&b"usr/lib".to_vec()));
    assert!(
        !names.iter().any(|name| name.starts_with(b"usr/lib/")),
        "{names:?}"
    );
    let seen = stack.run(|top| fs::write(top.join("usr/lib/new"), "x").unwrap());
    stack.check(&seen.unwrap());
}

#[test]
fn what_is_in_one_place_is_told_from_what_is_in_two() {
    let mut stack = Stack::new(fill);
    let base = stack.temp.path().join("base");
    let place = |stack: &Stack, path: &str| stack.over.in_one_place(&path.into());
    assert_eq!(place(&stack, "/"), Some(base.clone()));
    let act = |top: &Path| {
        fs::write(top.join("etc/new"), "x").unwrap();
        fs::create_dir(top.join("opt")).unwrap();
    };
    if stack.run(act).is_none() {
        return;
    }
    let own = stack.over.path().to_owned();
    for (path, want) in [
        ("/", None),
        ("/etc", None),
        ("/etc/new", Some(own.join("etc/new"))),
        ("/etc/motd", Some(base.join("etc/motd"))),
        ("/usr", Some(base.join("usr"))),
        ("/opt", Some(own.join("opt"))),
    ] {
        assert_eq!(place(&stack, path), want, "{path}");
    }
}

#[test]
fn directories_that_hold_a_change_keep_what_they_are() {
    let mut stack = Stack::new(|top| {
        fill(top);
        let etc = top.join("etc");
        fs::set_permissions(&etc, fs::Permissions::from_mode(0o2751)).unwrap();
        lsetxattr(&etc, "user.note", b"hi", XattrFlags::empty()).unwrap();
    });
    let mut after = stack.tree.clone();
    let node = yadokari_tree::Node::file_of(Metadata::new(0o600), "x");
    after.insert(&"/etc/new".into(), node).unwrap();
    let contents: BTreeMap<TreePath, &str> = [("/etc/new".into(), "x")].into();
    apply(&stack.over, &diff(&stack.tree, &after), &contents).unwrap();
    stack.tree = after;
    let Some(shown) = stack.shown() else { return };
    let metadata = |tree: &Tree| tree.get(&"/etc".into()).unwrap().metadata().clone();
    assert_eq!(metadata(&shown.tree), metadata(&stack.tree));
    assert_eq!(metadata(&shown.tree).mode, 0o2751);
}

/// A command that removes what another one made leaves no trace of both.
#[test]
fn what_came_and_went_is_not_hidden() {
    let mut stack = Stack::new(fill);
    let made = |top: &Path| fs::create_dir_all(top.join("opt/a/b")).unwrap();
    let gone = |top: &Path| fs::remove_dir_all(top.join("opt")).unwrap();
    if stack.run(made).is_none() {
        return;
    }
    stack.run(gone);
    assert_eq!(fs::read_dir(stack.over.path()).unwrap().count(), 0);
}
