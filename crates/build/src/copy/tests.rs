//! The rules of COPY on trees alone: what each flag and each kind of source and destination comes to.

use std::collections::HashMap;

use yadokari_dockerfile::ignore::Patterns;
use yadokari_dockerfile::value::mode::Mode;
use yadokari_tree::{
    Change, Changes, Kind, Metadata, Timestamp, Tree, TreePath, Xattrs, diff, tree,
};

use super::{CopyFailure, Origin, Owner, Placement, Rules, select, select_with_parents};

/// The time of what copies create.
const NOW: Timestamp = Timestamp {
    seconds: 99,
    nanos: 0,
};

/// A COPY of words to a destination.
#[derive(Debug, Clone, Default)]
struct Case {
    source: String,
    below: String,
    owner: Option<Owner>,
    chmod: Option<Mode>,
    exclude: Option<Patterns>,
    parents: bool,
    link: bool,
}

impl Case {
    fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            ..Self::default()
        }
    }

    fn below(mut self, text: &str) -> Self {
        self.below = text.to_owned();
        self
    }

    fn chown(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some(Owner { uid, gid });
        self
    }

    fn chmod(mut self, text: &str) -> Self {
        self.chmod = Some(Mode::parse(text).unwrap());
        self
    }

    fn exclude(mut self, words: &[&str]) -> Self {
        self.exclude = Some(Patterns::from_words(words).unwrap());
        self
    }

    fn parents(mut self) -> Self {
        self.parents = true;
        self
    }

    fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// The tree before, the layer, and the tree after.
    fn run(&self, words: &[&str], destination: &str) -> Result<(Tree, Changes, Tree), CopyFailure> {
        let (below, source) = (tree(&self.below), tree(&self.source));
        let start = if self.link {
            Tree::empty()
        } else {
            below.clone()
        };
        let rules = Rules {
            owner: self.owner,
            chmod: self.chmod.as_ref(),
            exclude: self.exclude.as_ref(),
            now: NOW,
            shares: true,
        };
        let mut placement = Placement::new(start.clone(), rules);
        for word in words {
            if self.parents {
                placement.copy_with_parents(
                    &select_with_parents(&source, word)?,
                    None,
                    destination,
                )?;
                continue;
            }
            for selected in select(&source, word)? {
                placement.copy(&selected, None, destination)?;
            }
        }
        let (after, _) = placement.finish();
        let changes = diff(&start, &after);
        if !self.link {
            return Ok((below, changes, after));
        }
        let mut stacked = below.clone();
        changes.apply_to(&mut stacked);
        Ok((below, changes, stacked))
    }

    /// The layer, one line for each entry; or the error.
    fn layer(&self, words: &[&str], destination: &str) -> String {
        match self.run(words, destination) {
            Ok((_, changes, _)) => shown(&changes),
            Err(error) => format!("error: {error}"),
        }
    }
}

impl Case {
    /// The names in the layer.
    fn paths(&self, words: &[&str], destination: &str) -> String {
        let (_, changes, _) = self.run(words, destination).unwrap();
        changes
            .iter()
            .map(|change| change.path().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// `path mode owner @time kind` of every change.
fn shown(changes: &Changes) -> String {
    let mut names: HashMap<usize, TreePath> = HashMap::new();
    let mut lines = Vec::new();
    for change in changes {
        let Change::Put { path, node } = change else {
            lines.push(format!("{} gone", change.path()));
            continue;
        };
        let linked = (!node.is_directory())
            .then(|| names.get(&node.identity()))
            .flatten();
        let kind = match (linked, node.kind()) {
            (Some(first), _) => format!("=> {first}"),
            (None, Kind::Directory(_)) => "directory".to_owned(),
            (None, Kind::File(content)) => format!("{} bytes", content.size),
            (None, Kind::Symlink(to)) => format!("-> {}", String::from_utf8_lossy(to)),
            (None, Kind::CharDevice { major, minor }) => format!("character {major}:{minor}"),
            (None, Kind::BlockDevice { major, minor }) => format!("block {major}:{minor}"),
            (None, Kind::Fifo) => "fifo".to_owned(),
            (None, Kind::Socket) => "socket".to_owned(),
        };
        names.entry(node.identity()).or_insert_with(|| path.clone());
        let Metadata {
            mode,
            uid,
            gid,
            mtime,
            ..
        } = node.metadata();
        lines.push(format!(
            "{path} {mode:04o} {uid}:{gid} @{} {kind}",
            mtime.seconds
        ));
    }
    lines.join("\n")
}

/// The layer of a plain copy.
fn layer(source: &str, words: &[&str], destination: &str) -> String {
    Case::new(source).layer(words, destination)
}

#[test]
fn a_source_is_cleaned_against_the_root() {
    let source = "/a 0644 @1 x\n/d/e 0644 @2 xy";
    for word in ["a", "/a", "./a", "../a", "a/", "a/.", "d/../a", "d/../../a"] {
        assert_eq!(
            layer(source, &[word], "/b"),
            "/b 0644 0:0 @1 1 bytes",
            "{word}"
        );
    }
}

#[test]
fn wildcards_match_whole_paths_and_never_cross_a_slash() {
    let source = "/a.txt 0644 @1 a\n/.b.txt 0644 @1 bb\n/d/c.txt 0644 @1 ccc\n/d/e/f.txt 0644 @1 dddd\n/x[0] 0644 @1 eeeee";
    for (word, expected) in [
        ("*.txt", "/o/.b.txt /o/a.txt"),
        (".*", "/o/.b.txt"),
        ("*/*.txt", "/o/c.txt"),
        ("**/*.txt", "/o/c.txt"),
        ("**.txt", "/o/.b.txt /o/a.txt"),
        ("d/?.txt", "/o/c.txt"),
        ("d/[a-c].txt", "/o/c.txt"),
        ("x[[]0]", "/o/x[0]"),
        ("*/../a.txt", "/o/a.txt"),
        ("x[0]", ""),
        ("z*", ""),
    ] {
        let paths = Case::new(source).paths(&[word], "/o/");
        assert_eq!(paths.trim_start_matches("/o "), expected, "{word}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_leaves_nothing_but_its_prefix_must_exist() {
    assert_eq!(layer("/d/a 0644 x", &["d/z*"], "/o/"), "");
    assert_eq!(
        layer("/d/a 0644 x", &["e/z*"], "/o/"),
        "error: lstat /e: no such file or directory"
    );
    assert_eq!(
        layer("/d/a 0644 x", &["d/["], "/o/"),
        "error: \"[\": syntax error in pattern"
    );
}

#[test]
fn a_plain_source_must_exist() {
    assert_eq!(
        layer("/a 0644 x", &["missing"], "/o"),
        "error: \"/missing\": not found"
    );
    assert_eq!(
        layer("/a 0644 x", &["a/b"], "/o"),
        "error: \"/a/b\": not found"
    );
    assert_eq!(layer("/a -> a", &["a"], "/o"), "error: \"/a\": not found");
}

#[test]
fn a_matched_directory_is_taken_whole_and_gives_its_contents() {
    let source = "/g/ 0755 @9\n/g/1/ 0700 @1\n/g/1/x 0644 @2 x\n/g/2/ 0700 @3\n/g/2/y/ 0750 @4\n/g/z 0600 @5 z";
    insta::assert_snapshot!(layer(source, &["g/*"], "/w/"), @r"
    /w 0755 0:0 @99 directory
    /w/x 0644 0:0 @2 1 bytes
    /w/y 0750 0:0 @4 directory
    /w/z 0600 0:0 @5 1 bytes
    ");
}

#[test]
fn a_link_is_followed_inside_the_source_and_keeps_its_name() {
    let source = "/t 0644 @1 x\n/d/f 0644 @2 xy\n/link -> t\n/absolute -> /t\n/out -> ../../t\n/dir -> d\n/dangling -> nowhere\n/d/inner -> f";
    assert_eq!(
        layer(source, &["link"], "/o/"),
        "/o 0755 0:0 @99 directory\n/o/link 0644 0:0 @1 1 bytes"
    );
    assert_eq!(layer(source, &["absolute"], "/o"), "/o 0644 0:0 @1 1 bytes");
    assert_eq!(layer(source, &["out"], "/o"), "/o 0644 0:0 @1 1 bytes");
    assert_eq!(layer(source, &["dir/f"], "/o"), "/o 0644 0:0 @2 2 bytes");
    assert_eq!(
        layer(source, &["dangling"], "/o"),
        "error: \"/dangling\": not found"
    );
    assert_eq!(
        layer(source, &["dang*"], "/o"),
        "error: \"/dangling\": not found"
    );
    insta::assert_snapshot!(layer(source, &["dir"], "/o"), @r"
    /o 0755 0:0 @0 directory
    /o/f 0644 0:0 @2 2 bytes
    /o/inner 0777 0:0 @0 -> f
    ");
}

#[test]
fn the_walk_of_a_pattern_does_not_enter_linked_directories() {
    assert_eq!(
        layer("/d/f 0644 @2 xy\n/dir -> d", &["*/f"], "/o/"),
        "/o 0755 0:0 @99 directory\n/o/f 0644 0:0 @2 2 bytes"
    );
}

#[test]
fn a_file_is_renamed_or_goes_into_a_directory() {
    let case = || Case::new("/d/a 0644 @1 x").below("/dir/ 0700 @5\n/other 0600 @6 y");
    assert_eq!(case().layer(&["d/a"], "/new"), "/new 0644 0:0 @1 1 bytes");
    assert_eq!(
        case().layer(&["d/a"], "/dir"),
        "/dir 0700 0:0 @99 directory\n/dir/a 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["d/a"], "/new/"),
        "/new 0755 0:0 @99 directory\n/new/a 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["d/a"], "/new/."),
        "/new 0755 0:0 @99 directory\n/new/a 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["d/a"], "/other"),
        "/other 0644 0:0 @1 1 bytes"
    );
    assert_eq!(case().layer(&["d/a"], "/"), "/a 0644 0:0 @1 1 bytes");
}

#[test]
fn of_several_sources_to_one_file_the_last_stays() {
    assert_eq!(
        layer("/a 0644 @1 x\n/b 0600 @2 xy", &["a", "b"], "/dst"),
        "/dst 0600 0:0 @2 2 bytes"
    );
}

#[test]
fn links_in_the_destination_are_followed_inside_the_root() {
    let below =
        "/real/tgt 0600 @5 old\n/lfile -> /real/tgt\n/ldir -> ../../real\n/new -> real/made";
    let case = || Case::new("/a 0644 @1 x").below(below);
    assert_eq!(
        case().layer(&["a"], "/lfile"),
        "/real 0755 0:0 @99 directory\n/real/tgt 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["a"], "/ldir"),
        "/real 0755 0:0 @99 directory\n/real/a 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["a"], "/ldir/"),
        "/real 0755 0:0 @99 directory\n/real/a 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case().layer(&["a"], "/new"),
        "/real 0755 0:0 @99 directory\n/real/made 0644 0:0 @1 1 bytes"
    );
    let looped = Case::new("/a 0644 x").below("/l -> /l");
    assert_eq!(looped.layer(&["a"], "/l/x"), "error: /l/x: too many links");
}

#[test]
fn below_the_destination_a_link_gives_way_to_a_file() {
    let case = Case::new("/s/f 0644 @1 x").below("/y/f -> /etc/passwd\n/etc/passwd 0644 @5 root");
    assert_eq!(
        case.layer(&["s"], "/y"),
        "/y 0755 0:0 @0 directory\n/y/f 0644 0:0 @1 1 bytes"
    );
    assert_eq!(
        case.layer(&["s/f"], "/y/"),
        "/y 0755 0:0 @99 directory\n/y/f 0644 0:0 @1 1 bytes"
    );
}

#[test]
fn directories_and_other_things_do_not_replace_one_another() {
    for (source, below, words, destination, error) in [
        (
            "/s/sub/f 0644 x",
            "/y/sub -> /else",
            "s",
            "/y",
            "cannot copy to non-directory: /y/sub",
        ),
        (
            "/s/sub/f 0644 x",
            "/y/sub 0644 x",
            "s",
            "/y",
            "cannot copy to non-directory: /y/sub",
        ),
        (
            "/s/f 0644 x",
            "/y 0644 x",
            "s",
            "/y",
            "cannot copy to non-directory: /y",
        ),
        (
            "/s/f 0644 x",
            "/y/f/ 0755",
            "s",
            "/y",
            "cannot replace to directory /y/f with file",
        ),
        (
            "/s/f 0644 x",
            "/y/f/ 0755",
            "s/f",
            "/y/",
            "cannot replace to directory /y/f with file",
        ),
        (
            "/s/f 0644 x",
            "/dd/f 0644 x",
            "s/f",
            "/dd/f/x",
            "mkdir /dd/f: not a directory",
        ),
        (
            "/s/f 0644 x",
            "/dd/f 0644 x",
            "s/f",
            "/dd/f/x/y/",
            "mkdir /dd/f: not a directory",
        ),
        (
            "/s/f 0644 x",
            "/dd/f 0644 x",
            "s/f",
            "/dd/f/",
            "mkdir /dd/f: not a directory",
        ),
        (
            "/s/f 0644 x",
            "/dd/f 0644 x",
            "s",
            "/dd/f/x",
            "mkdir /dd/f: not a directory",
        ),
    ] {
        let found = Case::new(source).below(below).layer(&[words], destination);
        assert_eq!(found, format!("error: {error}"), "{words} to {destination}");
    }
}

#[test]
fn created_directories_have_modes_and_owners_of_their_own() {
    let case = || Case::new("/a 0640 7:8 @1 x");
    assert_eq!(
        case().layer(&["a"], "/n/b"),
        "/n 0755 0:0 @99 directory\n/n/b 0640 7:8 @1 1 bytes"
    );
    assert_eq!(
        case().chown(1, 2).layer(&["a"], "/n/b"),
        "/n 0755 1:2 @99 directory\n/n/b 0640 1:2 @1 1 bytes"
    );
    assert_eq!(
        case().chmod("4600").layer(&["a"], "/n/b"),
        "/n 0600 0:0 @99 directory\n/n/b 4600 7:8 @1 1 bytes"
    );
    assert_eq!(
        case().chmod("go=").layer(&["a"], "/n/b"),
        "/n 0755 0:0 @99 directory\n/n/b 0600 7:8 @1 1 bytes"
    );
}

#[test]
fn the_destination_of_a_directory_takes_its_time_and_nothing_else() {
    let case = || Case::new("/s/ 0700 3:4 @7\n/s/f 0644 @1 x");
    assert_eq!(
        case().layer(&["s"], "/new"),
        "/new 0755 0:0 @7 directory\n/new/f 0644 0:0 @1 1 bytes"
    );
    let existing = case().below("/old/ 0711 5:6 @8");
    assert_eq!(
        existing.layer(&["s"], "/old"),
        "/old 0711 5:6 @7 directory\n/old/f 0644 0:0 @1 1 bytes"
    );
}

#[test]
fn nested_directories_take_all_of_the_source_new_or_not() {
    let source = "/s/ 0755 @7\n/s/n/ 1700 3:4 @5\n/s/n/f 4755 @1 x";
    let expected =
        "/o 0755 0:0 @7 directory\n/o/n 1700 3:4 @5 directory\n/o/n/f 4755 0:0 @1 1 bytes";
    assert_eq!(layer(source, &["s"], "/o"), expected);
    assert_eq!(
        Case::new(source)
            .below("/o/n/ 0777 9:9 @2")
            .layer(&["s"], "/o"),
        expected
    );
}

#[test]
fn attributes_of_files_and_nested_directories_are_copied() {
    let source = tree("/s/n/ 0755 +user.a=61\n/s/n/f 0644 +security.capability=01 x");
    let mut placement = Placement::new(
        Tree::empty(),
        Rules {
            owner: None,
            chmod: None,
            exclude: None,
            now: NOW,
            shares: true,
        },
    );
    placement
        .copy(&select(&source, "s").unwrap()[0], None, "/o")
        .unwrap();
    let (after, _) = placement.finish();
    let attributes = |path: &str| {
        after
            .get(&TreePath::parse(path))
            .unwrap()
            .metadata()
            .xattrs
            .clone()
    };
    assert_eq!(attributes("/o"), Xattrs::default());
    assert_eq!(attributes("/o/n").get("user.a"), Some(&b"a"[..]));
    assert_eq!(attributes("/o/n/f").capability(), Some(&[1][..]));
}

/// What a COPY of a directory leaves.
fn copied(source: &Tree, start: Tree, destination: &str, shares: bool) -> Tree {
    let rules = Rules {
        owner: None,
        chmod: None,
        exclude: None,
        now: NOW,
        shares,
    };
    let mut placement = Placement::new(start, rules);
    for selected in select(source, "s").unwrap() {
        placement.copy(&selected, None, destination).unwrap();
    }
    placement.finish().0
}

#[test]
fn a_file_that_is_copied_twice_is_two_files() {
    let source = tree("/s/f 0644 x\n/s/g 0644 y");
    let get = |tree: &Tree, path: &str| tree.get(&path.into()).unwrap().clone();
    for shares in [false, true] {
        let once = copied(&source, Tree::empty(), "/a", shares);
        let twice = copied(&source, once.clone(), "/b", shares);
        for name in ["f", "g"] {
            let [a, b] = ["a", "b"].map(|place| get(&twice, &format!("/{place}/{name}")));
            assert!(!a.same(&b) && a == b);
        }
        assert!(diff(&once, &twice).linked().is_empty());
        // Another stage may have the same file.
        let other = copied(&source, Tree::empty(), "/c", shares);
        assert_eq!(get(&other, "/c/f"), get(&once, "/a/f"));
    }
}

#[test]
fn a_file_that_becomes_its_own_copy_takes_no_memory_of_its_own() {
    let source = tree("/s/f 0644 x\n/s/g 0644 y");
    let is_same = |after: &Tree| {
        let [own, copy] = [(&source, "/s/f"), (after, "/a/f")];
        let node = |(tree, path): (&Tree, &str)| tree.get(&path.into()).unwrap().clone();
        node(own).same(&node(copy))
    };
    assert!(!is_same(&copied(&source, Tree::empty(), "/a", false)));
    assert!(is_same(&copied(&source, Tree::empty(), "/a", true)));
}

#[test]
fn an_owner_goes_to_everything_and_a_mode_to_all_but_links() {
    let source = "/s/ 0700 @9\n/s/d/ 0700 1:1 @2\n/s/d/f 0600 1:1 @3 x\n/s/l 1:1 @4 -> d";
    insta::assert_snapshot!(Case::new(source).chown(5, 6).layer(&["s"], "/o"), @r"
    /o 0755 5:6 @9 directory
    /o/d 0700 5:6 @2 directory
    /o/d/f 0600 5:6 @3 1 bytes
    /o/l 0777 5:6 @4 -> d
    ");
    insta::assert_snapshot!(Case::new(source).chmod("2750").layer(&["s"], "/o"), @r"
    /o 0750 0:0 @9 directory
    /o/d 2750 1:1 @2 directory
    /o/d/f 2750 1:1 @3 1 bytes
    /o/l 0777 1:1 @4 -> d
    ");
    insta::assert_snapshot!(Case::new(source).chmod("u=rwX,go=rX").layer(&["s"], "/o"), @r"
    /o 0755 0:0 @9 directory
    /o/d 0755 1:1 @2 directory
    /o/d/f 0644 1:1 @3 1 bytes
    /o/l 0777 1:1 @4 -> d
    ");
}

#[test]
fn hard_links_survive_within_a_source_only() {
    let source = "/s/a 0644 @1 x\n/s/b => /s/a\n/c => /s/a";
    assert_eq!(
        layer(source, &["s"], "/o"),
        "/o 0755 0:0 @0 directory\n/o/a 0644 0:0 @1 1 bytes\n/o/b 0644 0:0 @1 => /o/a"
    );
    let apart = "/o 0755 0:0 @99 directory\n/o/a 0644 0:0 @1 1 bytes\n/o/b 0644 0:0 @1 1 bytes";
    assert_eq!(layer(source, &["s/a", "s/b"], "/o/"), apart);
    assert_eq!(layer(source, &["s/*"], "/o/"), apart);
}

#[test]
fn nothing_that_is_copied_is_one_inode_with_anything_below() {
    let stage = tree("/a 0644 @1 x\n/b => /a\n/d/l -> x\n/d/p 0600 <fifo>\n/d/e/f 0644 y");
    let rules = || Rules {
        owner: None,
        chmod: None,
        exclude: None,
        now: NOW,
        shares: false,
    };
    let mut placement = Placement::new(stage.clone(), rules());
    for word in ["a", "d"] {
        placement
            .copy(&select(&stage, word).unwrap()[0], None, "/o/")
            .unwrap();
    }
    placement
        .copy_with_parents(&select_with_parents(&stage, "d").unwrap(), None, "/q/")
        .unwrap();
    let (after, _) = placement.finish();
    for (path, node) in after.walk().filter(|(path, node)| {
        !node.is_directory()
            && (path.starts_with(&TreePath::parse("/o"))
                || path.starts_with(&TreePath::parse("/q")))
    }) {
        assert!(
            stage.nodes().all(|lower| !lower.same(node)),
            "{path} is a link of a lower file"
        );
    }
    assert!(!shown(&diff(&stage, &after)).contains("=>"));
    assert!(
        after
            .get(&TreePath::parse("/a"))
            .unwrap()
            .same(stage.get(&TreePath::parse("/b")).unwrap()),
        "lower files stay"
    );
}

#[test]
fn replacing_one_name_of_a_file_leaves_its_others() {
    let case = Case::new("/n 0600 @1 new").below("/a 0644 @5 x\n/b => /a");
    let (below, changes, after) = case.run(&["n"], "/a").unwrap();
    assert_eq!(shown(&changes), "/a 0600 0:0 @1 3 bytes");
    assert!(
        after
            .get(&TreePath::parse("/b"))
            .unwrap()
            .same(below.get(&TreePath::parse("/b")).unwrap())
    );
}

#[test]
fn special_files_become_what_the_reference_makes_of_them() {
    let source = "/s/ 0755\n/s/b 0660 <block 8:1>\n/s/c 0666 <char 1:3>\n/s/p 0600 <fifo>\n/s/s 0755 <socket>";
    insta::assert_snapshot!(layer(source, &["s"], "/o"), @r"
    /o 0755 0:0 @0 directory
    /o/b 0660 0:0 @0 character 8:1
    /o/c 0666 0:0 @0 character 1:3
    /o/p 0600 0:0 @0 fifo
    /o/s 0755 0:0 @0 0 bytes
    ");
}

#[test]
fn an_identical_file_leaves_nothing() {
    let case = Case::new("/a 0644 @1 x").below("/a 0644 @1 x");
    assert_eq!(case.layer(&["a"], "/a"), "");
}

#[test]
fn parents_are_kept_below_the_destination_up_to_the_pivot() {
    let source = "/d/ 0700 1:2 @3\n/d/e/ 0711 @4\n/d/e/f 0644 @5 x\n/d/g 0644 @6 y";
    let case = Case::new(source).parents();
    insta::assert_snapshot!(case.layer(&["d/e/f"], "/o"), @r"
    /o 0755 0:0 @0 directory
    /o/d 0700 1:2 @99 directory
    /o/d/e 0711 0:0 @99 directory
    /o/d/e/f 0644 0:0 @5 1 bytes
    ");
    insta::assert_snapshot!(case.layer(&["./d/e"], "/o/"), @r"
    /o 0755 0:0 @0 directory
    /o/d 0700 1:2 @99 directory
    /o/d/e 0711 0:0 @4 directory
    /o/d/e/f 0644 0:0 @5 1 bytes
    ");
    assert_eq!(case.paths(&["d/./e/f"], "/o/"), "/o /o/e /o/e/f");
    assert_eq!(case.paths(&["**/f"], "/o/"), "/o /o/d /o/d/e /o/d/e/f");
    assert_eq!(case.paths(&["d/g", "d/./g"], "/o/"), "/o /o/d /o/d/g /o/g");
}

#[test]
fn parents_follow_no_links_and_need_what_is_plain() {
    let case = Case::new("/d/f 0644 @1 x\n/l -> d").parents();
    assert_eq!(case.layer(&["l/f"], "/o"), "error: \"/l/f\": not found");
    assert_eq!(
        case.layer(&["missing"], "/o"),
        "error: \"/missing\": not found"
    );
    assert_eq!(case.layer(&["."], "/x/"), "error: \"/\": not found");
    assert!(
        case.layer(&["l"], "/o").ends_with("/o/l 0777 0:0 @0 -> d"),
        "{}",
        case.layer(&["l"], "/o")
    );
    assert!(
        case.layer(&["z*"], "/o").starts_with("/o 0755 0:0 @"),
        "the destination is made"
    );
    assert_eq!(case.layer(&["z*"], "/o").lines().count(), 1);
}

#[test]
fn exclusions_are_relative_to_the_copied_directory() {
    let source = "/s/a.txt 0644 x\n/s/b 0644 x\n/s/x/c.txt 0644 x\n/s/x/d 0644 x";
    for (patterns, expected) in [
        (vec!["*.txt"], "/o /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["**/*.txt"], "/o /o/b /o/x /o/x/d"),
        (vec!["x"], "/o /o/a.txt /o/b"),
        (vec!["x/"], "/o /o/a.txt /o/b"),
        (vec!["/x"], "/o /o/a.txt /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["s"], "/o /o/a.txt /o/b /o/x /o/x/c.txt /o/x/d"),
        (vec!["x", "!x/d"], "/o /o/a.txt /o/b /o/x /o/x/d"),
        (vec!["x", "!y/d"], "/o /o/a.txt /o/b"),
        (vec!["**"], "/o"),
    ] {
        assert_eq!(
            Case::new(source).exclude(&patterns).paths(&["s"], "/o"),
            expected,
            "{patterns:?}"
        );
    }
}

#[test]
fn a_source_itself_is_never_excluded() {
    let case = Case::new("/a.txt 0644 @1 x").exclude(&["*.txt", "a.txt"]);
    assert_eq!(
        case.layer(&["*.txt"], "/d/"),
        "/d 0755 0:0 @99 directory\n/d/a.txt 0644 0:0 @1 1 bytes"
    );
}

#[test]
fn with_parents_exclusions_are_relative_to_the_pivot() {
    let case = Case::new("/d/e/f 0644 x\n/d/e/g 0644 x")
        .parents()
        .exclude(&["d/e/f"]);
    assert_eq!(case.paths(&["d/e"], "/o/"), "/o /o/d /o/d/e /o/d/e/g");
    assert_eq!(case.paths(&["d/./e"], "/o/"), "/o /o/e /o/e/f /o/e/g");
}

#[test]
fn a_linked_copy_does_not_look_at_what_is_below() {
    let case = || Case::new("/a 0644 @1 x").below("/dir/ 0777 5:5 @5\n/dir/kept 0600 y\n/l -> dir");
    let (_, changes, after) = case().link().run(&["a"], "/l/").unwrap();
    assert_eq!(
        shown(&changes),
        "/l 0755 0:0 @99 directory\n/l/a 0644 0:0 @1 1 bytes"
    );
    assert!(
        after.get(&TreePath::parse("/l")).unwrap().is_directory(),
        "the link is replaced"
    );
    let (_, changes, after) = case().link().run(&["a"], "/dir/").unwrap();
    assert_eq!(
        shown(&changes),
        "/dir 0755 0:0 @99 directory\n/dir/a 0644 0:0 @1 1 bytes"
    );
    assert!(after.contains(&TreePath::parse("/dir/kept")));
    assert_eq!(
        case().link().layer(&["a"], "/dir"),
        "/dir 0644 0:0 @1 1 bytes"
    );
}

#[test]
fn a_file_given_in_place_follows_the_rules_of_a_file() {
    let written = |below: &str, destination: &str, chmod: Option<&Mode>| -> String {
        let start = tree(below);
        let mut placement = Placement::new(
            start.clone(),
            Rules {
                owner: None,
                chmod,
                exclude: None,
                now: NOW,
                shares: true,
            },
        );
        let metadata = Metadata {
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: NOW,
            xattrs: Xattrs::default(),
        };
        match placement.write(
            "name",
            4,
            metadata,
            Origin::Bytes(std::sync::Arc::new(b"text".to_vec())),
            destination,
        ) {
            Ok(()) => {
                let (after, origins) = placement.finish();
                assert_eq!(origins.folders().count(), 1);
                shown(&diff(&start, &after))
            }
            Err(error) => format!("error: {error}"),
        }
    };
    assert_eq!(written("", "/f", None), "/f 0644 0:0 @99 4 bytes");
    assert_eq!(
        written("", "/d/", None),
        "/d 0755 0:0 @99 directory\n/d/name 0644 0:0 @99 4 bytes"
    );
    assert_eq!(written("/l -> t", "/l", None), "/t 0644 0:0 @99 4 bytes");
    assert_eq!(
        written("/d/name/ 0755", "/d", None),
        "error: cannot replace to directory /d/name with file"
    );
    let mode = Mode::parse("700").unwrap();
    assert_eq!(
        written("", "/d/f", Some(&mode)),
        "/d 0700 0:0 @99 directory\n/d/f 0700 0:0 @99 4 bytes"
    );
}
