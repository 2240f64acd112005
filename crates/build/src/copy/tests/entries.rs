//! What each entry becomes: attributes, links, inodes.

use super::*;

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
