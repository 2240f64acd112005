//! Repositories through the real git.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use yadokari_context::{
    Checkout, CheckoutOptions, ContextKind, GitError, GitReference, GitTool, Source, fetch,
};

use crate::support::{names, options, write};

/// Two commits on `main`, the tag `v1` on the first, the branch `side` there too.
struct Repository {
    directory: tempfile::TempDir,
    scratch: tempfile::TempDir,
    first: String,
    second: String,
}

const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn tool() -> GitTool {
    let environment = vec![(OsString::from("PATH"), OsString::from(SEARCH_PATH))];
    GitTool::find(SEARCH_PATH.as_ref(), environment).expect("these tests need git")
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]);
    command
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", SEARCH_PATH);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "Test")
            .env(format!("GIT_{who}_EMAIL"), "t@example.com");
        command.env(format!("GIT_{who}_DATE"), "1500000000 +0000");
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Repository {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let work = directory.path().join("work");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        write(
            &work,
            &[
                ("a.txt", "one\n"),
                ("run.sh", "#!/bin/sh\n"),
                ("sub/deep/c.txt", "c\n"),
            ],
        );
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(work.join("run.sh"), mode).unwrap();
        std::os::unix::fs::symlink("a.txt", work.join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", work.join("outside")).unwrap();
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", "first"]);
        git(&work, &["tag", "-a", "-m", "tag", "v1"]);
        git(&work, &["branch", "side"]);
        let first = git(&work, &["rev-parse", "HEAD"]);
        write(&work, &[("a.txt", "two\n")]);
        git(&work, &["commit", "-qam", "second"]);
        let second = git(&work, &["rev-parse", "HEAD"]);
        git(
            directory.path(),
            &["clone", "-q", "--bare", "work", "repo.git"],
        );
        let scratch = tempfile::tempdir().unwrap();
        Self {
            directory,
            scratch,
            first,
            second,
        }
    }

    /// What stands behind the address, as in `#v1:sub`.
    fn reference(&self, tail: &str) -> GitReference {
        let parsed = GitReference::parse(&format!("https://example.com/repo.git{tail}"));
        let remote = format!("file://{}/repo.git", self.directory.path().display());
        GitReference {
            remote,
            ..parsed.unwrap().unwrap()
        }
    }

    async fn checkout(&self, tail: &str) -> Result<Checkout, GitError> {
        let options = CheckoutOptions::default();
        tool()
            .checkout(&self.reference(tail), &options, self.scratch.path())
            .await
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

#[tokio::test]
async fn refs_of_every_kind_are_checked_out() {
    let repository = Repository::new();
    let table = [
        ("", &repository.second),
        ("#main", &repository.second),
        ("#side", &repository.first),
        ("#v1", &repository.first),
        ("#refs/tags/v1", &repository.first),
        ("?branch=side", &repository.first),
        ("?tag=v1", &repository.first),
        ("?ref=main&fetch-by-commit=1", &repository.second),
        (&format!("#{}", repository.first), &repository.first),
        (&format!("#main#{}", repository.first), &repository.first),
        (
            &format!("#v1?checksum={}", &repository.first[..7]),
            &repository.first,
        ),
    ];
    for (tail, commit) in table {
        // Options stand before the fragment.
        let tail = match tail.split_once("?checksum") {
            Some((fragment, checksum)) => format!("?checksum{checksum}{fragment}"),
            None => tail.to_owned(),
        };
        let checkout = repository.checkout(&tail).await.unwrap();
        assert_eq!(checkout.commit(), commit, "{tail}");
        let text = std::fs::read_to_string(checkout.directory().join("a.txt")).unwrap();
        assert_eq!(text == "one\n", *commit == repository.first, "{tail}");
        assert!(!checkout.directory().join(".git").exists());
    }
    assert_eq!(
        std::fs::read_dir(repository.scratch.path())
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn modes_do_not_depend_on_the_umask() {
    let repository = Repository::new();
    let checkout = repository.checkout("#v1").await.unwrap();
    let path = |name: &str| checkout.directory().join(name);
    assert_eq!(mode(&path("a.txt")), 0o644);
    assert_eq!(mode(&path("run.sh")), 0o755);
    assert_eq!(mode(&path("sub/deep")), 0o755);
    assert_eq!(
        std::fs::read_link(path("link")).unwrap(),
        Path::new("a.txt")
    );
}

#[tokio::test]
async fn a_directory_of_the_repository_can_be_wanted() {
    let repository = Repository::new();
    let checkout = repository.checkout("#:sub/deep").await.unwrap();
    assert!(checkout.directory().join("c.txt").exists());
    for (subdirectory, reason) in [
        ("nosub", "no such file or directory"),
        ("a.txt", "not a directory"),
        ("outside", "not a directory"),
        ("../..", "it leaves the files of the repository"),
        (".git", "it leaves the files of the repository"),
    ] {
        let error = repository
            .checkout(&format!("#v1:{subdirectory}"))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("invalid subdir {subdirectory}: {reason}")
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let repository = Repository::new();
    let error = repository.checkout("#nope").await.unwrap_err();
    assert_eq!(error.to_string(), "repository does not contain ref nope");
    let error = repository
        .checkout("?checksum=1234567#v1")
        .await
        .unwrap_err();
    let expected = format!(
        "expected checksum to match 1234567, got {}",
        repository.first
    );
    assert_eq!(error.to_string(), expected);
    let unknown = "0".repeat(40);
    let error = repository
        .checkout(&format!("#{unknown}"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("repository does not contain ref {unknown}")
    );
    let mut gone = repository.reference("");
    gone.remote.push_str("-gone");
    let error = tool()
        .resolve(&gone, &CheckoutOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, GitError::Failed { .. }), "{error}");
    assert_eq!(
        std::fs::read_dir(repository.scratch.path())
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn resolving_downloads_nothing() {
    let repository = Repository::new();
    let found = tool()
        .resolve(&repository.reference("#v1"), &CheckoutOptions::default())
        .await;
    let found = found.unwrap();
    assert_eq!(found.commit, repository.first);
    assert_eq!(found.name.as_deref(), Some("refs/tags/v1"));
}

#[tokio::test]
async fn the_git_directory_stays_if_it_is_wanted() {
    let repository = Repository::new();
    let checkout = repository.checkout("?keep-git-dir=1#v1").await.unwrap();
    assert_eq!(
        git(checkout.directory(), &["rev-parse", "HEAD"]),
        repository.first
    );
    let options = CheckoutOptions {
        keep_git_dir: Some(false),
        ..CheckoutOptions::default()
    };
    let reference = repository.reference("?keep-git-dir=1");
    let error = tool()
        .checkout(&reference, &options, repository.scratch.path())
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "inconsistent keep-git-dir configuration"
    );
}

#[tokio::test]
async fn files_can_have_the_time_of_the_commit() {
    let repository = Repository::new();
    let checkout = repository.checkout("?mtime=commit").await.unwrap();
    assert_eq!(checkout.commit_time(), 1_500_000_000);
    for name in ["a.txt", "link", "sub", "sub/deep/c.txt"] {
        let found = std::fs::symlink_metadata(checkout.directory().join(name)).unwrap();
        assert_eq!(
            std::os::unix::fs::MetadataExt::mtime(&found),
            1_500_000_000,
            "{name}"
        );
    }
}

#[tokio::test]
async fn submodules_come_along_if_they_are_wanted() {
    let repository = Repository::new();
    let work = repository.directory.path().join("work");
    let bare = repository.directory.path().join("repo.git");
    let module = tempfile::tempdir().unwrap();
    git(module.path(), &["init", "-q"]);
    write(module.path(), &[("m.txt", "module\n")]);
    git(module.path(), &["add", "-A"]);
    git(module.path(), &["commit", "-qm", "module"]);
    let address = format!("file://{}", module.path().display());
    git(&work, &["submodule", "-q", "add", &address, "mod"]);
    git(&work, &["commit", "-qam", "submodule"]);
    git(&work, &["push", "-q", bare.to_str().unwrap(), "main"]);
    let with = repository.checkout("").await.unwrap();
    assert!(with.directory().join("mod/m.txt").exists());
    assert!(!with.directory().join("mod/.git").exists());
    let without = repository.checkout("?submodules=0").await.unwrap();
    assert!(!without.directory().join("mod/m.txt").exists());
}

#[tokio::test]
async fn a_repository_is_a_context() {
    let repository = Repository::new();
    let mut options = options();
    options.git = Some(tool());
    options.branch = Some("side".to_owned());
    let source = Source::Git(Box::new(repository.reference("")));
    let context = fetch(source, repository.scratch.path(), options)
        .await
        .unwrap();
    assert_eq!(context.kind(), ContextKind::Git);
    assert_eq!(context.commit(), Some(repository.first.as_str()));
    let expected = [
        "/a.txt",
        "/link",
        "/outside",
        "/run.sh",
        "/sub",
        "/sub/deep",
        "/sub/deep/c.txt",
    ];
    assert_eq!(names(&context, ""), expected);
}
