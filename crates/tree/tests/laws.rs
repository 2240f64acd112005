//! Laws of trees that hold for all of them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use proptest::prelude::*;
use yadokari_tree::{
    Change, ContentDigest, Entry, EntryKind, Follow, Kind, Metadata, Node, Timestamp, Tree,
    TreePath, Xattrs, diff,
};

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", "a.b", "a b", "ü", "\\"])
}

fn path() -> impl Strategy<Value = TreePath> {
    prop::collection::vec(name(), 1..4).prop_map(|names| TreePath::parse(names.join("/")))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let mode = prop::sample::select(vec![0o644, 0o755, 0o4755, 0]);
    let attribute = prop::option::weighted(
        0.2,
        prop::sample::select(vec!["security.capability", "user.x"]),
    );
    (mode, 0..2_u32, -1..2_i64, attribute).prop_map(|(mode, uid, time, attribute)| {
        let xattrs: Xattrs = attribute.map(|name| (name, "v")).into_iter().collect();
        Metadata::new(mode)
            .owned_by(uid, 0)
            .modified_at(Timestamp::from_seconds(time))
            .with_xattrs(xattrs)
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    let content = prop::sample::select(vec!["", "x", "y"]);
    let target = prop::sample::select(vec![
        "a",
        "/b/c",
        "..",
        "../../..",
        "/",
        "a/../../d",
        ".",
        "ü/x",
    ]);
    prop_oneof![
        3 => content.prop_map(|text| Node::file_of(Metadata::new(0), text).kind().clone()),
        2 => target.prop_map(|target| Kind::Symlink(target.as_bytes().into())),
        1 => Just(Kind::Directory(Default::default())),
        1 => (0..2_u32).prop_map(|minor| Kind::CharDevice { major: 1, minor }),
        1 => Just(Kind::Fifo),
    ]
}

/// Something done to a tree.
#[derive(Debug, Clone)]
enum Step {
    Put(TreePath, Metadata, Kind),
    Link(TreePath, prop::sample::Index),
    Remove(TreePath),
    Touch(prop::sample::Index, Metadata),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (path(), metadata(), kind()).prop_map(|(path, metadata, kind)| Step::Put(path, metadata, kind)),
        1 => (path(), any::<prop::sample::Index>()).prop_map(|(path, index)| Step::Link(path, index)),
        2 => path().prop_map(Step::Remove),
        2 => (any::<prop::sample::Index>(), metadata()).prop_map(|(index, metadata)| Step::Touch(index, metadata)),
    ]
}

fn picked(tree: &Tree, index: prop::sample::Index) -> Option<(TreePath, Node)> {
    let all: Vec<_> = tree
        .walk()
        .map(|(path, node)| (path, node.clone()))
        .collect();
    (!all.is_empty()).then(|| all[index.index(all.len())].clone())
}

fn take(tree: &mut Tree, step: Step) {
    match step {
        Step::Put(path, metadata, kind) => drop(tree.insert(&path, Node::new(metadata, kind))),
        Step::Remove(path) => drop(tree.remove(&path)),
        Step::Touch(index, metadata) => {
            if let Some((path, _)) = picked(tree, index) {
                *tree.metadata_mut(&path).unwrap() = metadata;
            }
        }
        Step::Link(path, index) => {
            if let Some((_, node)) = picked(tree, index).filter(|(_, node)| !node.is_directory()) {
                let _ = tree.insert(&path, node);
            }
        }
    }
}

fn built(tree: &Tree, steps: Vec<Step>) -> Tree {
    let mut tree = tree.clone();
    steps.into_iter().for_each(|step| take(&mut tree, step));
    tree
}

fn two_trees() -> impl Strategy<Value = (Tree, Tree)> {
    let steps = || prop::collection::vec(step(), 0..15);
    (steps(), steps()).prop_map(|(first, second)| {
        let before = built(&Tree::empty(), first);
        let after = built(&before, second);
        (before, after)
    })
}

/// What a layer shows of a tree: no times of directories, no attributes but the
/// capability, and no links, since a link to a lower layer's file is a copy.
fn shown(tree: &Tree) -> Vec<String> {
    let line = |(path, node): (TreePath, &Node)| {
        let metadata = node.metadata();
        let time = (!node.is_directory()).then_some(metadata.mtime);
        let rights = (
            metadata.mode,
            metadata.uid,
            metadata.gid,
            metadata.xattrs.capability(),
        );
        let kind = if node.is_directory() {
            "directory".to_owned()
        } else {
            format!("{:?}", node.kind())
        };
        format!("{path} {rights:?} {time:?} {kind}")
    };
    tree.walk().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn applying_the_difference_gives_the_later_tree((before, after) in two_trees()) {
        let changes = diff(&before, &after);
        let mut applied = before.clone();
        changes.apply_to(&mut applied);
        prop_assert_eq!(shown(&applied), shown(&after));
        prop_assert!(diff(&applied, &after).is_empty());
        prop_assert!(diff(&after, &after.clone()).is_empty());
    }

    #[test]
    fn changes_are_in_order_once_and_with_their_parents((before, after) in two_trees()) {
        let changes = diff(&before, &after);
        let paths: Vec<_> = changes.iter().map(|change| change.path().clone()).collect();
        prop_assert!(paths.is_sorted_by(|a, b| a < b));
        for path in &paths {
            prop_assert!(path.ancestors().skip(1).all(|parent| paths.binary_search(&parent).is_ok()));
        }
        for change in &changes {
            match change {
                Change::Put { path, node } => prop_assert_eq!(after.get(&path), Some(&node)),
                Change::Remove { path } => prop_assert!(before.contains(&path) && !after.contains(&path)),
            }
        }
    }

    /// Sharing is only a shortcut: trees made apart have the same difference.
    #[test]
    fn sharing_does_not_show((before, after) in two_trees()) {
        let apart: Tree = after.to_string().parse().unwrap();
        prop_assert_eq!(diff(&before, &apart).to_string(), diff(&before, &after).to_string());
    }

    #[test]
    fn equal_trees_have_equal_texts((before, after) in two_trees()) {
        prop_assert_eq!(before == after, before.to_string() == after.to_string());
        let copy: Tree = after.to_string().parse().unwrap();
        prop_assert_eq!(&copy, &after);
        prop_assert_eq!(copy.to_string(), after.to_string());
    }

    /// One entry after the other, as a layer's reader puts them.
    #[test]
    fn a_layer_applied_entry_by_entry_gives_the_later_tree((before, after) in two_trees()) {
        let mut applied = before.clone();
        for change in &diff(&before, &after) {
            let entry = match &change {
                Change::Remove { path } => Entry::Whiteout { path: path.clone() },
                Change::Put { path, node } => Entry::Put {
                    path: path.clone(),
                    metadata: node.metadata().clone(),
                    kind: entry_kind(node),
                },
            };
            let result = applied.apply_over(&before, &entry).unwrap();
            prop_assert_eq!(result.path, change.path().clone());
            if let (Some(content), Some(from)) = (result.node.as_ref().and_then(|node| node.content()), put(&change)) {
                let digest: ContentDigest = from.content().unwrap().digest().unwrap();
                content.set_digest(digest);
            }
        }
        prop_assert_eq!(shown(&applied), shown(&after));
    }

    #[test]
    fn resolved_paths_are_real((_, tree) in two_trees(), asked in "[a-d/.ü]{0,12}", parents: bool) {
        let follow = if parents { Follow::Parents } else { Follow::All };
        let Ok(resolved) = tree.resolve(&asked, follow) else {
            return Ok(());
        };
        prop_assert_eq!(&TreePath::parse(&resolved.path), &resolved.path);
        prop_assert_eq!(tree.get(&resolved.path), resolved.node.as_ref());
        for parent in resolved.path.ancestors() {
            prop_assert!(tree.get(&parent).is_none_or(Node::is_directory));
        }
        if follow == Follow::All {
            prop_assert!(!resolved.node.is_some_and(|node| node.is_symlink()));
        }
    }
}

fn put(change: &Change) -> Option<&Node> {
    match change {
        Change::Put { node, .. } => Some(node),
        Change::Remove { .. } => None,
    }
}

fn entry_kind(node: &Node) -> EntryKind {
    match node.kind() {
        Kind::Directory(_) => EntryKind::Directory,
        Kind::File(content) => EntryKind::File { size: content.size },
        Kind::Symlink(target) => EntryKind::Symlink(target.clone()),
        Kind::CharDevice { major, minor } => EntryKind::CharDevice {
            major: *major,
            minor: *minor,
        },
        Kind::BlockDevice { major, minor } => EntryKind::BlockDevice {
            major: *major,
            minor: *minor,
        },
        Kind::Fifo | Kind::Socket => EntryKind::Fifo,
    }
}
