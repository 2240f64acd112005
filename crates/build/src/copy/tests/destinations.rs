//! Where a COPY puts them, and what gives way.

use super::*;

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
