//! What is restored is what was saved.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use proptest::prelude::*;
use yadokari_cache::mounts::{SaveRequest, SavedNow};
use yadokari_rootfs::{Exclude, Root, apply, walk};
use yadokari_tree::{Metadata, Node, Timestamp, Tree, TreePath, diff};

use super::{identity, in_directory, noise};

/// One name to make, in the words of the generator.
#[derive(Debug, Clone)]
struct Name {
    path: String,
    kind: What,
    mode: u16,
    seconds: i64,
    nanos: u32,
    note: Option<u8>,
}

#[derive(Debug, Clone)]
enum What {
    Directory,
    File(usize),
    Link(String),
    /// Another name of an earlier file.
    Same(usize),
    Fifo,
}

fn name() -> impl Strategy<Value = Name> {
    let part = prop_oneof![
        "[a-c]",
        Just("name with\nbreak".to_owned()),
        Just("ü".to_owned())
    ];
    let path = proptest::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let kind = prop_oneof![
        2 => Just(What::Directory),
        6 => (0_usize..3000).prop_map(What::File),
        1 => (1_000_000_usize..6_000_000).prop_map(What::File),
        2 => "[a-c./]{1,6}".prop_map(What::Link),
        2 => (0_usize..8).prop_map(What::Same),
        1 => Just(What::Fifo),
    ];
    let mode = prop_oneof![
        Just(0o644),
        Just(0o755),
        Just(0o600),
        Just(0o4755),
        Just(0o2770)
    ];
    let note = proptest::option::of(any::<u8>());
    (
        path,
        kind,
        mode,
        1_i64..2_000_000_000,
        0_u32..1_000_000_000,
        note,
    )
        .prop_map(|(path, kind, mode, seconds, nanos, note)| Name {
            path,
            kind,
            mode,
            seconds,
            nanos,
            note,
        })
}

/// Makes the names that fit together, and the bytes of the files among them.
fn made(names: &[Name]) -> (Tree, BTreeMap<TreePath, Vec<u8>>) {
    let (mut tree, mut bytes, mut files) = (Tree::empty(), BTreeMap::new(), Vec::new());
    for (number, name) in names.iter().enumerate() {
        let path = TreePath::parse(&name.path);
        if tree.contains(&path) {
            continue;
        }
        let mut metadata =
            Metadata::new(name.mode).modified_at(Timestamp::new(name.seconds, name.nanos));
        if let Some(note) = name.note
            && !matches!(name.kind, What::Link(_) | What::Fifo)
        {
            metadata.xattrs.insert("user.note", vec![note; 3]);
        }
        let (node, content) = match &name.kind {
            What::Directory => (Node::empty_directory(metadata), None),
            What::Link(target) => (Node::symlink(metadata.with_mode(0o777), target), None),
            What::Fifo => (Node::new(metadata, yadokari_tree::Kind::Fifo), None),
            What::File(size) => (
                Node::file(metadata, *size as u64),
                Some(noise(*size, number as u64)),
            ),
            What::Same(which) => match files.get(*which) {
                Some(node) => (Node::clone(node), None),
                None => continue,
            },
        };
        if tree.insert(&path, node.clone()).is_err() {
            continue;
        }
        if let Some(content) = content {
            bytes.insert(path, content);
            files.push(node);
        }
    }
    // The first name of a file in order is the one whose bytes are asked for.
    let by_inode: BTreeMap<usize, Vec<u8>> = bytes
        .iter()
        .map(|(path, bytes)| (tree.get(path).unwrap().identity(), bytes.clone()))
        .collect();
    let all = tree
        .files()
        .map(|(path, node)| (path, by_inode[&node.identity()].clone()));
    let all = all.collect();
    (tree, all)
}

fn listed(path: &Path) -> Tree {
    walk(&Root::open(path).unwrap(), 2, &|_, _| Exclude::Keep).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_restored_is_what_was_saved(names in proptest::collection::vec(name(), 0..24)) {
        let (tree, bytes) = made(&names);
        let folder = tempfile::tempdir().unwrap();
        let (files, back) = (folder.path().join("files"), folder.path().join("back"));
        apply(&Root::create(&files).unwrap(), &diff(&Tree::empty(), &tree), &bytes).unwrap();
        fs::set_permissions(&files, fs::Permissions::from_mode(0o750)).unwrap();
        let identity = identity("law");
        let request = SaveRequest {
            identity: &identity,
            directory: &files,
            base: None,
            before: None,
            created: "2020-01-02T03:04:05Z".to_owned(),
            threads: 2,
        };
        let store = in_directory(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let again = runtime.block_on(async {
            if let SavedNow::Unchanged = store.save(&request).await.unwrap() {
                return None;
            }
            let saved = store.find(&identity).await.unwrap().unwrap();
            Some(store.restore(&saved, &back, 2).await.unwrap())
        });
        if again.is_none() {
            prop_assert!(tree.is_empty());
            return Ok(());
        }
        prop_assert_eq!(listed(&files), listed(&back));
        for (path, bytes) in &bytes {
            let path = back.join(path.to_string().trim_start_matches('/').replace("\\x20", " ").replace("\\x0a", "\n"));
            prop_assert!(&fs::read(&path).unwrap() == bytes, "{}", path.display());
        }
        let (top, top_back) = (fs::metadata(&files).unwrap(), fs::metadata(&back).unwrap());
        prop_assert_eq!((top.mode(), top.mtime(), top.mtime_nsec()), (top_back.mode(), top_back.mtime(), top_back.mtime_nsec()));
    }
}
