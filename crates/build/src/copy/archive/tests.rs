use std::io::Cursor;

use tar::EntryType;
use yadokari_layer::{Contents as _, Limits};
use yadokari_tree::{Timestamp, diff, tree};

use super::*;
use crate::copy::{Owner, Rules};
use crate::state::Roots;

const NOW: Timestamp = Timestamp {
    seconds: 99,
    nanos: 0,
};

/// A member: name, type, mode, and the text, or where it links to.
type Member = (&'static str, EntryType, u32, &'static str);

const DIRECTORY: EntryType = EntryType::Directory;
const FILE: EntryType = EntryType::Regular;
const SYMLINK: EntryType = EntryType::Symlink;
const LINK: EntryType = EntryType::Link;

fn archive(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode, text) in members {
        let mut header = tar::Header::new_ustar();
        // Written directly: the builder refuses names that a hostile archive has.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(7);
        header.set_gid(8);
        header.set_mtime(5);
        let content = if *kind == FILE { text.as_bytes() } else { b"" };
        header.set_size(content.len() as u64);
        if matches!(*kind, SYMLINK | LINK) {
            header.set_link_name_literal(text).unwrap();
        }
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn extract_with(
    rules: Rules<'_>,
    members: &[Member],
    below: &str,
    to: &str,
) -> Result<(Tree, Tree, crate::copy::Origins), ExtractFailure> {
    let start = tree(below);
    let mut placement = Placement::new(start.clone(), rules);
    let scratch = Arc::new(Roots::in_place_of(tempfile::tempdir().unwrap()));
    let reader = LayerReader::new(Cursor::new(archive(members)), Limits::default()).unwrap();
    let extraction = Extraction {
        scratch: &scratch,
        below: None,
    };
    placement.extract(reader, extraction, to)?;
    let (after, origins) = placement.finish();
    Ok((start, after, origins))
}

fn rules() -> Rules<'static> {
    Rules {
        owner: None,
        chmod: None,
        exclude: None,
        now: NOW,
        shares: true,
    }
}

/// What extraction changes: the text of every entry, or the error.
fn extracted(members: &[Member], below: &str, to: &str) -> String {
    match extract_with(rules(), members, below, to) {
        Ok((start, after, _)) => listed(&start, &after),
        Err(error) => format!("error: {error}"),
    }
}

fn listed(start: &Tree, after: &Tree) -> String {
    let mut lines = Vec::new();
    for change in &diff(start, after) {
        let node = after.get(change.path()).expect("nothing is removed here");
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            ..
        } = node.metadata();
        let kind = match node.kind() {
            Kind::Directory(_) => "directory".to_owned(),
            Kind::File(content) => format!("{} bytes", content.size),
            Kind::Symlink(to) => format!("-> {}", String::from_utf8_lossy(to)),
            other => format!("{other:?}"),
        };
        lines.push(format!(
            "{} {mode:04o} {uid}:{gid} @{} {kind}",
            change.path(),
            mtime.seconds
        ));
    }
    lines.join("\n")
}

#[test]
fn members_keep_what_the_archive_says_and_implied_parents_are_roots() {
    insta::assert_snapshot!(
        extracted(&[("./", DIRECTORY, 0o700, ""), ("d/", DIRECTORY, 0o750, ""), ("d/f", FILE, 0o4755, "text"), ("p/q", SYMLINK, 0o777, "../d")], "", "/o"),
        @r"
        /o 0755 0:0 @99 directory
        /o/d 0750 7:8 @5 directory
        /o/d/f 4755 7:8 @5 4 bytes
        /o/p 0755 0:0 @99 directory
        /o/p/q 0777 7:8 @5 -> ../d
        "
    );
}

#[test]
fn an_owner_replaces_those_of_members_and_a_mode_is_ignored() {
    let mode = yadokari_dockerfile::value::mode::Mode::parse("600").unwrap();
    let rules = Rules {
        owner: Some(Owner { uid: 1, gid: 2 }),
        chmod: Some(&mode),
        ..rules()
    };
    let (start, after, _) = extract_with(rules, &[("p/f", FILE, 0o644, "x")], "", "/o").unwrap();
    assert_eq!(
        listed(&start, &after),
        "/o 0755 1:2 @99 directory\n/o/p 0755 0:0 @99 directory\n/o/p/f 0644 1:2 @5 1 bytes"
    );
}

#[test]
fn no_member_leaves_the_destination() {
    for name in ["../../evil", "/evil", "a/../../evil"] {
        let found = extracted(&[(name, FILE, 0o644, "x")], "/etc/passwd 0644 root", "/o");
        assert_eq!(
            found, "/o 0755 0:0 @99 directory\n/o/evil 0644 7:8 @5 1 bytes",
            "{name}"
        );
    }
    let through = [
        ("l", SYMLINK, 0o777, "../../etc"),
        ("l/passwd", FILE, 0o644, "x"),
    ];
    // The link leads to the destination's own /etc: a member below it needs that to be there.
    let found = extracted(&through, "/etc/passwd 0644 root", "/o");
    assert!(found.starts_with("error: "), "{found}");
    let (start, after, _) = extract_with(
        rules(),
        &through,
        "/o/etc/ 0755\n/etc/passwd 0644 root",
        "/o",
    )
    .unwrap();
    assert!(
        listed(&start, &after).contains("/o/etc/passwd 0644 7:8"),
        "{after}"
    );
    let link = [("h", LINK, 0o644, "../etc/passwd")];
    assert!(extracted(&link, "/etc/passwd 0644 root", "/o").starts_with("error: "));
}

#[test]
fn links_above_a_member_are_followed_and_its_own_name_is_not() {
    let below = "/usr/lib/old 0644 x\n/lib -> usr/lib\n/absolute -> /usr/lib\n/f -> usr/lib/old";
    let paths = |members: &[Member]| {
        let (start, after, _) = extract_with(rules(), members, below, "/").unwrap();
        diff(&start, &after)
            .iter()
            .map(|change| change.path().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        paths(&[("lib/new", FILE, 0o644, "x")]),
        "/usr /usr/lib /usr/lib/new"
    );
    assert_eq!(
        paths(&[("absolute/new", FILE, 0o644, "x")]),
        "/usr /usr/lib /usr/lib/new"
    );
    assert_eq!(paths(&[("f", FILE, 0o644, "x")]), "/f");
    assert_eq!(
        paths(&[("lib/made/for/it", FILE, 0o644, "x")]),
        "/usr /usr/lib /usr/lib/made /usr/lib/made/for /usr/lib/made/for/it",
        "parents that are missing below a link are implied"
    );
    let (_, after, _) = extract_with(
        rules(),
        &[
            ("lib/", DIRECTORY, 0o755, ""),
            ("lib/new", FILE, 0o644, "x"),
        ],
        below,
        "/",
    )
    .unwrap();
    assert!(
        after.get(&TreePath::parse("/lib")).unwrap().is_directory(),
        "a directory takes the link's place"
    );
}

#[test]
fn what_is_there_gives_way_except_that_directories_merge() {
    let below = "/o/d/ 0700 @1\n/o/d/kept 0644 x\n/o/t/deep/f 0644 x\n/o/n 0644 x";
    let members = [
        ("d/", DIRECTORY, 0o711, ""),
        ("t", FILE, 0o644, "x"),
        ("n/", DIRECTORY, 0o755, ""),
    ];
    let (_, after, _) = extract_with(rules(), &members, below, "/o").unwrap();
    let get = |path: &str| after.get(&TreePath::parse(path)).unwrap();
    assert_eq!(
        (
            get("/o/d").metadata().mode,
            get("/o/d").metadata().mtime.seconds
        ),
        (0o711, 5)
    );
    assert!(get("/o/d/kept").is_file() && get("/o/t").is_file() && get("/o/n").is_directory());
}

#[test]
fn a_parent_that_is_only_implied_may_not_be_something_else() {
    let error = extracted(&[("n/f", FILE, 0o644, "x")], "/o/n 0644 x", "/o");
    assert_eq!(
        error,
        "error: open /o/n/f: the archive needs a directory there, and something else exists"
    );
    let error = extracted(
        &[("n", FILE, 0o644, "x"), ("n/p/f", FILE, 0o644, "x")],
        "",
        "/o",
    );
    assert!(error.starts_with("error: "), "{error}");
}

#[test]
fn the_destination_must_be_a_directory_or_nothing() {
    assert_eq!(
        extracted(&[("f", FILE, 0o644, "x")], "/o 0644 x", "/o"),
        "error: mkdir /o: not a directory"
    );
}

#[test]
fn hard_links_are_one_file_with_one_content() {
    let (_, after, origins) = extract_with(
        rules(),
        &[("a", FILE, 0o644, "text"), ("d/b", LINK, 0o644, "a")],
        "",
        "/o",
    )
    .unwrap();
    let (a, b) = (TreePath::parse("/o/a"), TreePath::parse("/o/d/b"));
    assert!(after.get(&a).unwrap().same(after.get(&b).unwrap()));
    for path in [a, b] {
        let mut text = String::new();
        origins
            .open(&path, after.get(&path).unwrap())
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "text");
    }
    let error = extracted(&[("b", LINK, 0o644, "nowhere")], "", "/o");
    assert_eq!(error, "error: \"/o/nowhere\": not found");
}

#[test]
fn a_hard_link_to_a_file_below_takes_its_bytes_and_gives_it_the_links_header() {
    let disk = tempfile::tempdir().unwrap();
    let root = Arc::new(Root::create(disk.path().join("root")).unwrap());
    std::fs::create_dir(root.path().join("o")).unwrap();
    std::fs::write(root.path().join("o/old"), "below").unwrap();
    let scratch = Arc::new(Roots::in_place_of(tempfile::tempdir().unwrap()));
    let members = [("new", LINK, 0o640, "old"), ("old", FILE, 0o600, "later")];
    let extract = |members: &[Member], below| {
        let start = tree("/o/old 0644 below");
        let mut placement = Placement::new(start.clone(), rules());
        let reader = LayerReader::new(Cursor::new(archive(members)), Limits::default());
        let extraction = Extraction {
            scratch: &scratch,
            below,
        };
        placement.extract(reader.unwrap(), extraction, "/o")?;
        let (after, origins) = placement.finish();
        Ok::<_, ExtractFailure>((listed(&start, &after), after, origins))
    };
    let error = extract(&members, None).unwrap_err();
    assert!(matches!(error, ExtractFailure::Below { path } if path == "/o/old"));
    let (changes, after, _) = extract(&members[..1], Some(&root)).unwrap();
    assert_eq!(
        changes,
        "/o 0755 0:0 @99 directory\n/o/new 0640 7:8 @5 5 bytes\n/o/old 0640 7:8 @5 5 bytes"
    );
    let (new, old) = (TreePath::parse("/o/new"), TreePath::parse("/o/old"));
    assert!(after.get(&new).unwrap().same(after.get(&old).unwrap()));
    let (_, after, origins) = extract(&members, Some(&root)).unwrap();
    for (path, expected) in [(new, "below"), (old, "later")] {
        let mut text = String::new();
        let mut content = origins.open(&path, after.get(&path).unwrap()).unwrap();
        content.read_to_string(&mut text).unwrap();
        assert_eq!(text, expected);
    }
}

#[test]
fn of_equal_names_the_last_stays_with_its_own_bytes() {
    let (_, after, origins) = extract_with(
        rules(),
        &[("a", FILE, 0o644, "one"), ("a", FILE, 0o600, "second")],
        "",
        "/o",
    )
    .unwrap();
    let path = TreePath::parse("/o/a");
    let mut text = String::new();
    origins
        .open(&path, after.get(&path).unwrap())
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "second");
}

#[test]
fn names_of_whiteouts_are_names_of_files() {
    let found = extracted(
        &[
            (".wh.x", FILE, 0o644, ""),
            ("d/.wh..wh..opq", FILE, 0o644, ""),
        ],
        "/o/x 0644 x",
        "/o",
    );
    assert!(
        found.contains("/o/.wh.x 0644") && found.contains("/o/d/.wh..wh..opq 0644"),
        "{found}"
    );
    assert!(!found.contains("gone"));
}

#[test]
fn bytes_are_digested_as_they_pass() {
    let mut out = Vec::new();
    let digest = copy_digesting(&mut &b"abc"[..], &mut out).unwrap();
    assert_eq!(
        (digest, out.as_slice()),
        (ContentDigest::of("abc"), &b"abc"[..])
    );
}

#[test]
fn a_link_to_a_file_below_needs_its_bytes_though_its_directory_was_added_to() {
    let source = tree("/s/new 0644 x");
    let mut placement = Placement::new(tree("/d/old 0644 y"), rules());
    for selected in crate::copy::select(&source, "s").unwrap() {
        placement.copy(&selected, None, "/d").unwrap();
    }
    let scratch = Arc::new(Roots::in_place_of(tempfile::tempdir().unwrap()));
    let bytes = archive(&[("link", LINK, 0o644, "old")]);
    let reader = LayerReader::new(Cursor::new(bytes), Limits::default()).unwrap();
    let extraction = Extraction {
        scratch: &scratch,
        below: None,
    };
    let error = placement.extract(reader, extraction, "/d").unwrap_err();
    assert!(
        matches!(&error, ExtractFailure::Below { path } if path == "/d/old"),
        "{error}"
    );
}
