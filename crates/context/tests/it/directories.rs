//! Contexts that are directories.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;

use yadokari_context::{BuildContext, IgnoreFile, Selected, ignore_file};
use yadokari_dockerfile::ignore::Patterns;
use yadokari_tree::TreePath;

use crate::support::{names, shape, write};

fn context(files: &[(&str, &str)]) -> (tempfile::TempDir, BuildContext) {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), files);
    let context = BuildContext::directory(directory.path()).unwrap();
    (directory, context)
}

#[test]
fn ignored_files_are_not_there() {
    let files = [
        ("a.txt", ""),
        ("d/a.txt", ""),
        ("d/b.txt", ""),
        ("d/e/c.txt", ""),
        ("empty/", ""),
    ];
    let (_keep, context) = context(&files);
    let table: [(&str, &[&str]); 6] = [
        (
            "",
            &[
                "/a.txt",
                "/d",
                "/d/a.txt",
                "/d/b.txt",
                "/d/e",
                "/d/e/c.txt",
                "/empty",
            ],
        ),
        (
            "a.txt",
            &["/d", "/d/a.txt", "/d/b.txt", "/d/e", "/d/e/c.txt", "/empty"],
        ),
        ("**/a.txt\nempty", &["/d", "/d/b.txt", "/d/e", "/d/e/c.txt"]),
        ("d\n!d/a.txt", &["/a.txt", "/d", "/d/a.txt", "/empty"]),
        ("*\n!d/e/c.txt", &["/d", "/d/e", "/d/e/c.txt"]),
        ("***", &[]),
    ];
    for (ignored, expected) in table {
        assert_eq!(names(&context, ignored), expected, "{ignored:?}");
    }
}

#[test]
fn modes_and_links_are_as_they_are_and_owners_are_root() {
    let (directory, context) = context(&[("run.sh", "#!"), ("d/f", "")]);
    let mode = std::fs::Permissions::from_mode(0o4751);
    std::fs::set_permissions(directory.path().join("run.sh"), mode).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
    std::os::unix::fs::chown(directory.path().join("d/f"), Some(12), Some(34)).ok();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    let files = context.files_without(&Patterns::default(), 2).unwrap();
    assert_eq!(shape(files.tree(), "run.sh"), ('f', 0o4751));
    assert_eq!(shape(files.tree(), "link").0, 'l');
    assert!(
        files
            .tree()
            .get(&TreePath::parse("socket"))
            .unwrap()
            .is_socket()
    );
    for (path, node) in files.tree().walk() {
        assert_eq!((node.metadata().uid, node.metadata().gid), (0, 0), "{path}");
    }
}

#[test]
fn the_copy_digest_follows_the_files_and_not_their_times() {
    let digest = |files: &[(&str, &str)], ignored: &str| {
        let (_keep, context) = context(files);
        let patterns = Patterns::parse(ignored.as_bytes()).unwrap();
        let found = context.files_without(&patterns, 2).unwrap();
        found
            .digest(&[Selected::contents(TreePath::parse("src"))])
            .unwrap()
    };
    let base = digest(&[("src/a", "1"), ("other", "x")], "");
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(base, digest(&[("src/a", "1"), ("other", "y")], ""));
    assert_eq!(base, digest(&[("src/a", "1"), ("src/b", "2")], "src/b"));
    assert_ne!(base, digest(&[("src/a", "1"), ("src/b", "2")], ""));
    assert_ne!(base, digest(&[("src/a", "2")], ""));
}

#[test]
fn the_ignore_file_beside_the_dockerfile_wins_even_empty() {
    let (_keep, with) = context(&[(".dockerignore", "a\n")]);
    let (_keep, without) = context(&[("a", "")]);
    let own = IgnoreFile {
        name: "Dockerfile.dockerignore".to_owned(),
        bytes: Vec::new(),
    };
    let name = |context, own| ignore_file(context, own).unwrap().map(|file| file.name);
    assert_eq!(
        name(&with, Some(&own)).as_deref(),
        Some("Dockerfile.dockerignore")
    );
    assert_eq!(name(&with, None).as_deref(), Some(".dockerignore"));
    assert_eq!(name(&without, None), None);
}

#[test]
fn a_sub_path_stays_in_the_context() {
    let (directory, context) = context(&[("a/b/f", "")]);
    assert_eq!(names(&context.sub_path("a/../a/./b/").unwrap(), ""), ["/f"]);
    symlink("a", directory.path().join("in")).unwrap();
    let context = BuildContext::directory(directory.path()).unwrap();
    assert_eq!(names(&context.sub_path("in/b").unwrap(), ""), ["/f"]);
    symlink("/etc", directory.path().join("out")).unwrap();
    for outside in ["..", "../a/b", "a/../../a", "/../a", "out", "out/ssl"] {
        let context = BuildContext::directory(directory.path()).unwrap();
        let error = context.sub_path(outside).unwrap_err().to_string();
        assert!(error.contains(outside), "{error}");
    }
    let context = BuildContext::directory(directory.path()).unwrap();
    assert!(context.sub_path("a/b/f").is_err());
}
