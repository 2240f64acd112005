//! Build contexts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use yadokari_rootfs::{Exclude, Root, hash_files, walk};
use yadokari_tree::{ContentDigest, TreePath};

use crate::disk::hash_all;

fn context(files: &[&str]) -> (tempfile::TempDir, Root) {
    let temp = tempfile::tempdir().unwrap();
    for file in files {
        let path = temp.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    let root = Root::open(temp.path()).unwrap();
    (temp, root)
}

fn names(root: &Root, exclude: &(dyn Fn(&TreePath, bool) -> Exclude + Sync)) -> Vec<String> {
    let tree = walk(root, 2, exclude).unwrap();
    tree.walk().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn a_directory_is_left_out_unless_something_below_is_kept() {
    let files = ["a/keep/f", "a/drop/f", "b/f", ".git/x", "c/d/e/f", "top"];
    let (_temp, root) = context(&files);
    let exclude = |path: &TreePath, is_directory: bool| {
        let text = path.to_string();
        match text.as_str() {
            "/.git" => Exclude::Skip,
            text if text.ends_with("keep/f") || text == "/top" => Exclude::Keep,
            _ if is_directory => Exclude::SkipButDescend,
            _ => Exclude::SkipButDescend,
        }
    };
    assert_eq!(
        names(&root, &exclude),
        ["/a", "/a/keep", "/a/keep/f", "/top"]
    );
}

#[test]
fn what_was_skipped_is_not_even_opened() {
    let (_temp, root) = context(&["secret/f", "f"]);
    let secret = root.path().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    let seen = names(&root, &|path, _| {
        if path.to_string() == "/secret" {
            Exclude::Skip
        } else {
            Exclude::Keep
        }
    });
    assert_eq!(seen, ["/f"]);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn links_are_not_followed_sockets_and_hard_links_are_kept() {
    let (temp, root) = context(&["d/f"]);
    std::os::unix::fs::symlink("/etc", temp.path().join("link")).unwrap();
    fs::hard_link(temp.path().join("d/f"), temp.path().join("g")).unwrap();
    let _listener = UnixListener::bind(temp.path().join("socket")).unwrap();
    let tree = walk(&root, 2, &|_, _| Exclude::Keep).unwrap();
    let node = |path: &str| tree.get(&path.into()).unwrap();
    assert_eq!(node("/link").target(), Some(&b"/etc"[..]));
    assert!(node("/socket").is_socket());
    assert!(node("/d/f").same(node("/g")));
    hash_all(&root, &tree);
    assert_eq!(
        node("/g").content().unwrap().digest(),
        Some(ContentDigest::of("d/f"))
    );
}

#[test]
fn a_file_that_is_gone_is_named() {
    let (temp, root) = context(&["d/f"]);
    let tree = walk(&root, 1, &|_, _| Exclude::Keep).unwrap();
    fs::remove_file(temp.path().join("d/f")).unwrap();
    let path = TreePath::from("/d/f");
    let files = [(path.clone(), tree.get(&path).unwrap().clone())];
    let error = hash_files(&root, &files, 2).unwrap_err();
    assert!(error.to_string().contains("/d/f"), "{error}");
}
