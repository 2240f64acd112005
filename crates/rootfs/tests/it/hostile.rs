//! Layers made to break out, each ending inside the root or in a named error.

use std::fs;
use std::path::Path;

use yadokari_rootfs::{Root, ScanOptions, UnpackError, Unpacker, scan};
use yadokari_tree::{ApplyError, Entry, EntryKind, Metadata, Tree};

use crate::disk::{hash_all, is_root, look};

type Member = (Entry, &'static str);
type Attack = (&'static str, Vec<Vec<Member>>);

#[test]
fn nothing_a_layer_holds_reaches_outside() {
    if !is_root() {
        return;
    }
    for (name, layers) in attacks() {
        let temp = tempfile::tempdir().unwrap();
        let outside = temp.path().join("outside");
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::write(outside.join("kept"), "kept").unwrap();
        let before = look(&outside);
        let root = Root::create(temp.path().join("root")).unwrap();
        let unpacked = unpack(&root, &layers);
        assert_eq!(look(&outside), before, "{name}");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "{name}");
        match unpacked {
            Ok(tree) => agree(name, &root, &tree),
            Err(UnpackError::Tree(_) | UnpackError::LinkTarget { .. }) => {}
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

fn unpack(root: &Root, layers: &[Vec<Member>]) -> Result<Tree, UnpackError> {
    let mut unpacker = Unpacker::new(root, Tree::empty());
    for layer in layers {
        for (entry, body) in layer {
            unpacker.put(entry, &mut body.as_bytes())?;
        }
        unpacker.next_layer();
    }
    Ok(unpacker.finish()?.0)
}

/// The disk is exactly what the tree says.
fn agree(name: &str, root: &Root, tree: &Tree) {
    let found = scan(root, None, &ScanOptions::default()).unwrap();
    hash_all(root, found.tree());
    // A layer that touches nothing in the root leaves it as it was made.
    let below = |tree: &Tree| {
        let text = tree.to_string();
        let lines = text.lines().filter(|line| !line.starts_with("/ "));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(below(found.tree()), below(tree), "{name}");
}

fn attacks() -> Vec<Attack> {
    let outside = "../outside";
    vec![
        (
            "a file through a relative link",
            vec![vec![
                symlink("/out", outside),
                file("/out/new", "x"),
                file("/out/kept", "x"),
            ]],
        ),
        (
            "a file through an absolute link",
            vec![vec![
                symlink("/out", "/tmp"),
                file("/out/yadokari-escaped", "x"),
            ]],
        ),
        (
            "a file through a chain of links over two layers",
            vec![
                vec![
                    symlink("/a", "b"),
                    symlink("/b", "/c/../.."),
                    directory("/c"),
                ],
                vec![file("/a/etc/passwd", "x")],
            ],
        ),
        (
            "dots in names",
            vec![vec![
                file("../../outside/new", "x"),
                file("/a/../../../outside/kept", "x"),
            ]],
        ),
        (
            "a file onto a link",
            vec![vec![symlink("/f", "../outside/kept"), file("/f", "x")]],
        ),
        (
            "a directory onto a link",
            vec![vec![
                symlink("/d", outside),
                directory("/d"),
                file("/d/kept", "x"),
            ]],
        ),
        (
            "a hard link to something outside",
            vec![vec![hard("/h", "../outside/kept")]],
        ),
        (
            "a hard link through a link",
            vec![vec![
                symlink("/out", outside),
                hard("/h", "/out/kept"),
                file("/h", "x"),
            ]],
        ),
        (
            "a hard link to a link, written through",
            vec![vec![
                symlink("/s", "../outside/kept"),
                hard("/h", "/s"),
                file("/h", "x"),
            ]],
        ),
        (
            "a hard link to itself",
            vec![vec![file("/f", "x"), hard("/f", "/f")]],
        ),
        (
            "a hard link over the directory of its target",
            vec![vec![file("/d/f", "x"), hard("/d", "/d/f")]],
        ),
        (
            "a hard link to a directory",
            vec![vec![directory("/d"), hard("/h", "/d")]],
        ),
        (
            "a whiteout through a link",
            vec![
                vec![symlink("/out", outside)],
                vec![whiteout("/out/kept"), whiteout("/out/sub")],
            ],
        ),
        (
            "a whiteout with dots",
            vec![vec![whiteout("/../../outside/kept")]],
        ),
        ("a whiteout of the root", vec![vec![whiteout("/")]]),
        (
            "an opaque directory through a link",
            vec![vec![symlink("/out", outside)], vec![opaque("/out")]],
        ),
        (
            "an opaque directory hides lower layers only",
            vec![
                vec![file("/d/old", "1"), file("/d/both", "1")],
                vec![file("/d/new", "2"), file("/d/both", "2"), opaque("/d")],
            ],
        ),
        (
            "a whiteout of what the same layer put",
            vec![
                vec![file("/f", "1")],
                vec![
                    file("/f", "2"),
                    whiteout("/f"),
                    file("/g", "2"),
                    whiteout("/g"),
                ],
            ],
        ),
        (
            "a file that becomes a directory, a link and a file again",
            vec![
                vec![file("/f", "1"), directory("/f"), file("/f/below", "2")],
                vec![symlink("/f", outside), file("/f/kept", "3")],
                vec![directory("/f"), file("/f/below", "4"), file("/f", "5")],
            ],
        ),
        (
            "the same name many times",
            vec![vec![
                file("/d/f", "1"),
                file("/d/f", "22"),
                symlink("/d/f", "x"),
                fifo("/d/f"),
                device("/d/f"),
                file("/d/f", "333"),
                directory("/d"),
            ]],
        ),
        (
            "devices and fifos under links",
            vec![vec![
                symlink("/dev", outside),
                device("/dev/null"),
                fifo("/dev/pipe"),
            ]],
        ),
        (
            "something below a file",
            vec![vec![file("/f", "x"), file("/f/below", "x")]],
        ),
        (
            "something below a device",
            vec![vec![device("/n"), file("/n/below", "x")]],
        ),
        (
            "links in a circle",
            vec![vec![
                symlink("/a", "b"),
                symlink("/b", "a"),
                file("/a/f", "x"),
            ]],
        ),
        (
            "a closed directory",
            vec![
                vec![
                    mode("/d", 0o000),
                    file("/d/f", "x"),
                    mode("/d/e", 0o111),
                    file("/d/e/f", "x"),
                ],
                vec![file("/d/e/g", "x"), whiteout("/d/f")],
            ],
        ),
        ("the root as something else", vec![vec![file("/", "x")]]),
        (
            "setuid and sticky bits",
            vec![vec![mode("/d", 0o7777), modes("/d/f", 0o6755)]],
        ),
    ]
}

fn put(path: &str, mode: u16, kind: EntryKind) -> Entry {
    Entry::Put {
        path: path.into(),
        metadata: Metadata::new(mode).owned_by(1, 2),
        kind,
    }
}

fn file(path: &str, body: &'static str) -> Member {
    let size = body.len() as u64;
    (put(path, 0o644, EntryKind::File { size }), body)
}

fn modes(path: &str, mode: u16) -> Member {
    (put(path, mode, EntryKind::File { size: 0 }), "")
}

fn mode(path: &str, mode: u16) -> Member {
    (put(path, mode, EntryKind::Directory), "")
}

fn directory(path: &str) -> Member {
    mode(path, 0o755)
}

fn symlink(path: &str, target: &str) -> Member {
    let kind = EntryKind::Symlink(target.as_bytes().into());
    (put(path, 0o777, kind), "")
}

fn hard(path: &str, target: &str) -> Member {
    (put(path, 0o644, EntryKind::HardLink(target.into())), "")
}

fn fifo(path: &str) -> Member {
    (put(path, 0o644, EntryKind::Fifo), "")
}

fn device(path: &str) -> Member {
    (
        put(path, 0o666, EntryKind::CharDevice { major: 1, minor: 3 }),
        "",
    )
}

fn whiteout(path: &str) -> Member {
    (Entry::Whiteout { path: path.into() }, "")
}

fn opaque(path: &str) -> Member {
    let directory = path.into();
    (Entry::Opaque { directory }, "")
}

#[test]
fn an_entry_that_does_not_fit_is_named() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let error = unpack(&root, &[vec![hard("/h", "/missing")]]).unwrap_err();
    assert!(matches!(
        error,
        UnpackError::Tree(ApplyError::LinkTargetMissing { .. })
    ));
}

#[test]
fn a_body_of_another_length_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::open(temp.path()).unwrap();
    let (entry, _) = owned(file("/f", "four"));
    for (body, found) in [("", 0), ("tre", 3), ("fiver", 5)] {
        let mut unpacker = Unpacker::new(&root, Tree::empty());
        let error = unpacker.put(&entry, &mut body.as_bytes()).unwrap_err();
        let UnpackError::Length {
            expected: 4,
            found: n,
            ..
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(n, found);
    }
    assert!(Path::new(temp.path()).exists());
}

/// For tests that also run for an ordinary user, who gives nothing away.
fn owned((mut entry, body): Member) -> Member {
    if let Entry::Put { metadata, .. } = &mut entry {
        metadata.uid = rustix::process::geteuid().as_raw();
        metadata.gid = rustix::process::getegid().as_raw();
    }
    (entry, body)
}
