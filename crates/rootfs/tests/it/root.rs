//! The handle.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use yadokari_rootfs::Root;
use yadokari_tree::TreePath;

fn root() -> (tempfile::TempDir, Root) {
    let temp = tempfile::tempdir().unwrap();
    let root = Root::create(temp.path().join("root")).unwrap();
    (temp, root)
}

#[test]
fn files_are_read_through_links_that_stay_inside() {
    let (temp, root) = root();
    fs::write(temp.path().join("secret"), "outside").unwrap();
    fs::create_dir_all(root.path().join("usr/lib")).unwrap();
    fs::write(root.path().join("usr/lib/passwd"), "inside").unwrap();
    symlink("/usr/lib", root.path().join("lib")).unwrap();
    symlink("../../../lib/passwd", root.path().join("usr/up")).unwrap();
    symlink("../../secret", root.path().join("out")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    for path in ["/lib/passwd", "/usr/up"] {
        assert_eq!(root.read_file(&path.into(), 100).unwrap(), b"inside");
    }
    for path in ["/out", "/loop", "/missing", "/usr", "/"] {
        assert!(root.read_file(&path.into(), 100).is_err(), "{path}");
    }
    assert!(root.read_file(&"/lib/passwd".into(), 5).is_err());
    assert!(root.open_file(&"/lib/passwd".into()).is_err());
    assert!(root.open_file(&"/usr/up".into()).is_err());
    assert!(root.metadata(&"/lib".into()).unwrap().is_symlink());
}

#[test]
fn paths_longer_than_the_kernel_takes_work() {
    let (_temp, root) = root();
    let path = TreePath::parse(vec!["a directory with rather a long name"; 200].join("/"));
    assert!(path.as_bytes().len() > 4096);
    assert!(root.create_dir(&path, 0o750).unwrap());
    assert!(!root.create_dir(&path, 0o700).unwrap());
    let file = path.join("file");
    root.write_file(&file, b"deep", 0o600).unwrap();
    assert_eq!(root.read_file(&file, 10).unwrap(), b"deep");
    assert_eq!(
        root.metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o750
    );
    root.remove_all(&"/a directory with rather a long name".into())
        .unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_is_made_with_its_mode_and_never_over_a_file() {
    let (_temp, root) = root();
    root.write_file(&"/file".into(), b"", 0o644).unwrap();
    assert!(root.create_dir(&"/file".into(), 0o755).is_err());
    assert!(root.create_dir(&"/file/below".into(), 0o755).is_err());
    assert!(root.create_dir(&"/tmp".into(), 0o1777).unwrap());
    let mode = root.metadata(&"/tmp".into()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o1777);
}

#[test]
fn a_removed_directory_that_was_kept_open_is_not_used_again() {
    let (_temp, root) = root();
    root.create_dir(&"/d".into(), 0o755).unwrap();
    root.write_file(&"/d/f".into(), b"1", 0o644).unwrap();
    root.remove_all(&"/d".into()).unwrap();
    root.create_dir(&"/d".into(), 0o755).unwrap();
    root.write_file(&"/d/f".into(), b"2", 0o644).unwrap();
    assert_eq!(fs::read(root.path().join("d/f")).unwrap(), b"2");
}

#[test]
fn destroying_leaves_nothing() {
    let (temp, root) = root();
    root.create_dir(&"/a/b/c".into(), 0o000).unwrap();
    root.destroy().unwrap();
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}
