//! Laws of writing and reading layers, and what writing refuses.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use proptest::prelude::*;
use yadokari_layer::{
    Compression, Contents, LayerReader, Limits, PackOptions, TarOptions, WriteError, pack,
    write_tar,
};
use yadokari_tree::{
    Changes, Kind, Metadata, Name, Node, Timestamp, Tree, TreePath, Xattrs, diff, tree,
};

type Files = BTreeMap<TreePath, Vec<u8>>;

fn metadata() -> impl Strategy<Value = Metadata> {
    let number = prop_oneof![
        Just(0),
        0..70_000_u32,
        Just(2_097_151),
        Just(2_097_152),
        Just(u32::MAX)
    ];
    let time = prop_oneof![
        Just(0),
        0..2_000_000_000_i64,
        -100..0_i64,
        Just(8_589_934_591),
        Just(8_589_934_592)
    ];
    let capability = prop::option::weighted(0.1, prop::collection::vec(any::<u8>(), 0..24));
    (0..0o10000_u16, number.clone(), number, time, capability).prop_map(
        |(mode, uid, gid, time, capability)| {
            let xattrs: Xattrs = capability
                .map(|value| ("security.capability", value))
                .into_iter()
                .collect();
            Metadata::new(mode)
                .owned_by(uid, gid)
                .modified_at(Timestamp::from_seconds(time))
                .with_xattrs(xattrs)
        },
    )
}

/// Short and long, ASCII and not; slashes make directories.
fn path() -> impl Strategy<Value = TreePath> {
    let name = prop_oneof![
        "[a-c]{1,2}",
        "[a-z.]{90,130}",
        "é{1,60}",
        "[ -~&&[^/]]{1,9}",
    ];
    prop::collection::vec(name, 1..5).prop_map(|names| TreePath::parse(names.join("/")))
}

fn kind() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![7; 512]),
        Just(vec![8; 200_000])
    ];
    prop_oneof![
        bytes.prop_map(|bytes| (
            Node::file(Metadata::new(0), bytes.len() as u64)
                .kind()
                .clone(),
            bytes
        )),
        "[a-z/é]{1,150}".prop_map(|target| (Kind::Symlink(target.as_bytes().into()), Vec::new())),
        (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| (Kind::CharDevice { major, minor }, Vec::new())),
        (0..4096_u32, 0..1_048_576_u32)
            .prop_map(|(major, minor)| (Kind::BlockDevice { major, minor }, Vec::new())),
        Just((Kind::Fifo, Vec::new())),
        Just((Kind::Directory(Default::default()), Vec::new())),
    ]
}

fn is_whiteout(path: &TreePath) -> bool {
    path.components().any(|name| name.starts_with(b".wh."))
}

fn filled_tree() -> impl Strategy<Value = (Tree, Files)> {
    let member = (
        path(),
        metadata(),
        kind(),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
    );
    prop::collection::vec(member, 0..25).prop_map(|members| {
        let (mut tree, mut files, mut linkable) =
            (Tree::empty(), Files::new(), Vec::<(Node, Vec<u8>)>::new());
        for (path, metadata, (kind, bytes), link) in members {
            let (node, bytes) = match link.filter(|_| !linkable.is_empty()) {
                Some(index) => linkable[index.index(linkable.len())].clone(),
                None => (Node::new(metadata, kind), bytes),
            };
            if is_whiteout(&path)
                || tree.contains(&path)
                || tree.insert(&path, node.clone()).is_err()
            {
                continue;
            }
            if node.is_file() {
                files.insert(path, bytes.clone());
            }
            if !node.is_directory() {
                linkable.push((node, bytes));
            }
        }
        (tree, files)
    })
}

fn read(layer: Vec<u8>) -> (Tree, Files) {
    let (mut tree, mut files) = (Tree::empty(), Files::new());
    let mut reader = LayerReader::new(Cursor::new(layer), Limits::default()).unwrap();
    while let Some((entry, content)) = reader.next_entry().unwrap() {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        let applied = tree.apply(&entry).unwrap();
        let Some(content) = applied.node.as_ref().and_then(|node| node.content()) else {
            continue;
        };
        if content.digest().is_none() {
            content.set_digest(yadokari_tree::ContentDigest::of(&bytes));
            files.insert(applied.path, bytes);
        }
    }
    reader.finish().unwrap();
    (tree, files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_is_read((before, files) in filled_tree(), zstd: bool) {
        let compression = if zstd { Compression::Zstd { level: 1 } } else { Compression::Gzip { level: 1 } };
        let options = PackOptions { compression, threads: 2, ..PackOptions::default() };
        let changes = diff(&Tree::empty(), &before);
        let mut layer = Vec::new();
        pack(&changes, &files, &options, &mut layer).unwrap();
        let (after, read) = read(layer);
        prop_assert_eq!(before.to_string(), after.to_string());
        for (path, bytes) in read {
            prop_assert_eq!(&files[&path], &bytes);
        }
    }
}

fn written(changes: &Changes, files: &dyn Contents) -> Result<Vec<u8>, WriteError> {
    let mut tar = Vec::new();
    write_tar(changes, files, &TarOptions::default(), &mut tar).map(|()| tar)
}

fn one(node: Node) -> Changes {
    let mut tree = Tree::empty();
    tree.insert(&"/d/f".into(), node).unwrap();
    diff(&Tree::empty(), &tree)
}

#[test]
fn files_must_be_what_their_nodes_say() {
    let files = |text: &str| -> Files { [("/d/f".into(), text.as_bytes().to_vec())].into() };
    let four = || one(Node::file(Metadata::new(0o644), 4));
    assert!(written(&four(), &files("four")).is_ok());
    for (text, found) in [("", 0), ("fou", 3), ("fours", 5), ("four and more", 5)] {
        match written(&four(), &files(text)) {
            Err(WriteError::SizeChanged {
                path,
                expected: 4,
                found: n,
            }) => assert_eq!((path, n), ("/d/f".into(), found)),
            other => panic!("{text}: {other:?}"),
        }
    }
    let known = one(Node::file_of(Metadata::new(0o644), "four"));
    assert!(matches!(
        written(&known, &files("five")),
        Err(WriteError::ContentChanged { .. })
    ));
    assert!(
        matches!(written(&four(), &Files::new()), Err(WriteError::Content { path, .. }) if path == "/d/f".into())
    );
}

#[test]
fn what_tar_cannot_hold_is_refused() {
    let device = Kind::CharDevice {
        major: 1,
        minor: 1 << 21,
    };
    let refused = |node| written(&one(node), &Files::new()).unwrap_err().to_string();
    assert!(refused(Node::new(Metadata::new(0), device)).contains("device number 1:2097152"));
    assert!(refused(Node::symlink(Metadata::new(0o777), b"a\0b")).contains("NUL"));
    let socket = Node::new(Metadata::new(0o755), Kind::Socket);
    let put = yadokari_tree::Change::Put {
        path: "/s".into(),
        node: socket,
    };
    let changes: Changes = [put].into_iter().collect();
    assert!(matches!(
        written(&changes, &Files::new()),
        Err(WriteError::Socket { .. })
    ));
}

#[test]
fn nodes_learn_their_digests() {
    let node = Node::file(Metadata::new(0o644), 2);
    let files: Files = [("/d/f".into(), b"hi".to_vec())].into();
    written(&one(node.clone()), &files).unwrap();
    assert_eq!(
        node.content().unwrap().digest(),
        Some(yadokari_tree::ContentDigest::of("hi"))
    );
}

#[test]
fn later_times_become_the_latest_allowed() {
    let changes = diff(
        &Tree::empty(),
        &tree("/old/ 0755 @5\n/new/ 0755 @15\n/older/ 0755 @-15"),
    );
    let mut tar = Vec::new();
    write_tar(
        &changes,
        &Files::new(),
        &TarOptions {
            latest_mtime: Some(10),
        },
        &mut tar,
    )
    .unwrap();
    assert_eq!(
        read(tar).0,
        tree("/old/ 0755 @5\n/new/ 0755 @10\n/older/ 0755 @-15")
    );
}

#[test]
fn errors_of_pack_come_through_the_pipeline() {
    struct Broken;
    impl Contents for Broken {
        fn open(&self, _: &TreePath, _: &Node) -> io::Result<Box<dyn Read + '_>> {
            Ok(Box::new(io::repeat(1)))
        }
    }
    let changes = one(Node::file(Metadata::new(0o644), 9 << 20));
    let options = PackOptions::default();
    let error = pack(&changes, &Broken, &options, &mut io::sink()).unwrap_err();
    assert!(matches!(error, WriteError::SizeChanged { .. }), "{error}");
    let level = PackOptions {
        compression: Compression::Gzip { level: 99 },
        ..options
    };
    let error = pack(&changes, &Broken, &level, &mut io::sink()).unwrap_err();
    assert!(matches!(error, WriteError::Compress(_)), "{error}");
}

#[test]
fn the_same_names_in_another_order_of_making_are_the_same_bytes() {
    let children = |names: [&str; 3]| {
        names.map(|name| {
            (
                Name::new(name).unwrap(),
                Node::empty_directory(Metadata::new(0o755)),
            )
        })
    };
    let bytes = |names| {
        let root = Node::directory(Metadata::new(0o755), children(names).into_iter().collect());
        let tree = Tree::from_root(root).unwrap();
        written(&diff(&Tree::empty(), &tree), &Files::new()).unwrap()
    };
    assert_eq!(bytes(["a", "b", "c"]), bytes(["c", "a", "b"]));
}
