//! What concerns the library alone: what it cannot do, and repositories made to harm it.

use std::path::Path;
use std::process::{Command, Stdio};

use yadokari_context::{Checkout, CheckoutOptions, GitError, GitLibrary, GitReference, GitTool};
use yadokari_testkit::{GitServer, Manners};

use crate::git::{Repository, git, library, tools};

async fn checkout(reference: &GitReference, scratch: &Path) -> Result<Checkout, GitError> {
    let options = CheckoutOptions::default();
    library().checkout(reference, &options, scratch).await
}

#[tokio::test]
async fn what_only_the_program_reads_says_so() {
    let scratch = tempfile::tempdir().unwrap();
    let sha256 = format!("https://127.0.0.1:1/x.git#{}", "a".repeat(64));
    for address in [
        "ssh://git@127.0.0.1:1/x",
        "git@127.0.0.1:x.git",
        "git://127.0.0.1:1/x",
        &sha256,
    ] {
        let reference = GitReference::parse(address).unwrap().unwrap();
        let error = checkout(&reference, scratch.path()).await.unwrap_err();
        assert!(error.needs_program(), "{error:?}");
        let begin = "no `git` executable was found, and reading ";
        assert!(error.to_string().starts_with(begin), "{error}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn submodules_of_submodules_come_along() {
    let repository = Repository::new();
    repository.add_submodule("inner", "deep/inner", "../inner.git");
    let other = Repository::new();
    let address = repository.reference("").remote;
    other.add_submodule("unused", "outer", &address);
    // The submodule that is named is another repository than the one whose commit was recorded.
    let work = other.directory.path().join("work");
    let commit = git(
        &repository.directory.path().join("work"),
        &["rev-parse", "HEAD"],
    );
    let cache = format!("160000,{commit},outer");
    git(&work, &["update-index", "--cacheinfo", &cache]);
    git(&work, &["commit", "-qm", "outer"]);
    git(&work, &["push", "-q", "../repo.git", "main"]);
    for git in tools() {
        let checkout = other.checkout(&git, "?keep-git-dir=1").await.unwrap();
        let inner = checkout.directory().join("outer/deep/inner/m.txt");
        assert_eq!(std::fs::read_to_string(inner).unwrap(), "module\n");
    }
}

#[tokio::test]
async fn submodules_out_of_reach_are_named() {
    for address in [
        "ssh://git@127.0.0.1:1/x",
        "file:///etc",
        "ext::sh -c id",
        "/etc",
    ] {
        let repository = Repository::new();
        repository.add_submodule("inner", "inner", address);
        let error = repository.checkout(&library(), "").await.unwrap_err();

        assert_eq!(
            error.to_string(),
            "cannot read submodule inner",
            "{address}"
        );
        assert!(error.needs_program(), "{error:?}");
        assert!(repository.nothing_is_left());
        repository
            .checkout(&library(), "?submodules=0")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_moved_server_gets_no_credentials() {
    let repository = Repository::new();
    let place = repository.reference("").remote;
    let place = place.strip_suffix("/repo.git").unwrap();
    let door = GitServer::start(
        Path::new("/"),
        Manners {
            moved_to: Some(place.to_owned()),
            ..Manners::default()
        },
    )
    .unwrap();
    let address = door.url("/repo.git").replace("://", "://me:hunter2@");
    let reference = GitReference::parse(&address).unwrap().unwrap();
    let checkout = checkout(&reference, repository.scratch.path()).await;
    assert_eq!(checkout.unwrap().commit(), repository.second);
    let names_somebody = |request: &String| request.to_lowercase().contains("authorization");
    assert!(door.requests().iter().all(names_somebody));
    assert!(!repository.server.requests().iter().any(names_somebody));
}

/// Entries of a tree object: mode, name, and the hash of what is there.
type Entries<'a> = [(&'a str, &'a [u8], &'a str)];

/// Writes an object that no git program would write.
fn forge(repository: &Path, kind: &str, bytes: &[u8]) -> String {
    use std::io::Write as _;
    let mut command = Command::new("git");
    command.args(["hash-object", "--literally", "-w", "-t", kind, "--stdin"]);
    let pipes = command.current_dir(repository).stdin(Stdio::piped());
    let mut child = pipes.stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    String::from_utf8(output).unwrap().trim().to_owned()
}

fn forge_tree(repository: &Path, entries: &Entries<'_>) -> String {
    let mut bytes = Vec::new();
    for (mode, name, hash) in entries {
        bytes.extend_from_slice(format!("{mode} ").as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        let digits = |at: usize| u8::from_str_radix(&hash[at..at + 2], 16).unwrap();
        bytes.extend((0..20).map(|at| digits(at * 2)));
    }
    forge(repository, "tree", &bytes)
}

#[tokio::test]
async fn hostile_names_stay_inside_the_checkout() {
    let repository = Repository::new();
    let bare = repository.directory.path().join("repo.git");
    let outside = tempfile::tempdir().unwrap();
    let file = forge(&bare, "blob", b"#!/bin/sh\nexit 1\n");
    let link = forge(&bare, "blob", outside.path().to_str().unwrap().as_bytes());
    let modules = b"[submodule \"m\"]\npath = a/m\nurl = ../repo.git\n";
    let modules = forge(&bare, "blob", modules);
    let folder = forge_tree(&bare, &[("100644", b"config", &file)]);
    let with_module = forge_tree(&bare, &[("160000", b"m", &repository.first)]);
    let table: [(&str, &Entries<'_>); 12] = [
        ("dots", &[("40000", b"..", &folder)]),
        ("dot", &[("40000", b".", &folder)]),
        ("git", &[("40000", b".git", &folder)]),
        ("git in capitals", &[("40000", b".GiT", &folder)]),
        ("short git", &[("40000", b"git~1", &folder)]),
        (
            "invisible",
            &[("40000", ".g\u{200c}it".as_bytes(), &folder)],
        ),
        ("slash", &[("100644", b"../x", &file)]),
        ("absolute", &[("100644", b"/tmp/x", &file)]),
        ("empty", &[("100644", b"", &file)]),
        (
            "link then folder",
            &[("120000", b"a", &link), ("40000", b"a", &folder)],
        ),
        ("link to modules", &[("120000", b".gitmodules", &link)]),
        (
            "module below a link",
            &[
                ("100644", b".gitmodules", &modules),
                ("120000", b"a", &link),
                ("40000", b"a", &with_module),
            ],
        ),
    ];
    for (name, entries) in table {
        let tree = forge_tree(&bare, entries);
        let commit = git(&bare, &["commit-tree", "-m", "evil", &tree]);
        git(&bare, &["update-ref", "refs/heads/evil", &commit]);
        let result = repository.checkout(&library(), "#evil").await;
        let error = result.expect_err(name);
        assert!(
            matches!(error, GitError::Failed { .. } | GitError::Submodule { .. }),
            "{name}: {error}"
        );
        assert_eq!(
            std::fs::read_dir(outside.path()).unwrap().count(),
            0,
            "{name}"
        );
        assert!(repository.nothing_is_left(), "{name}");
    }
}

#[tokio::test]
async fn hooks_and_filters_of_a_repository_do_not_run() {
    let repository = Repository::new();
    let mark = repository.directory.path().join("ran");
    let files = [
        (".gitattributes", "* filter=evil\n"),
        (".gitconfig", "[filter \"evil\"]\nsmudge = touch ran\n"),
    ];
    repository.commit(&files);
    let checkout = repository.checkout(&library(), "").await.unwrap();
    assert!(checkout.directory().join(".gitattributes").exists());
    assert!(!mark.exists() && !checkout.directory().join("ran").exists());
}

#[tokio::test]
async fn certificates_go_unverified_only_where_that_is_wanted() {
    let repository = Repository::new();
    let named = |name: &'static str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("x-client", name.parse().unwrap());
        let client = reqwest::Client::builder().no_proxy();
        client.default_headers(headers).build().unwrap()
    };
    crate::support::client();
    let git: GitTool = GitLibrary::new(named("strict"), named("lenient")).into();
    for (insecure_tls, expected) in [(false, "x-client: strict"), (true, "x-client: lenient")] {
        let before = repository.server.requests().len();
        let options = CheckoutOptions {
            insecure_tls,
            ..CheckoutOptions::default()
        };
        let reference = repository.reference("");
        let checkout = git.checkout(&reference, &options, repository.scratch.path());
        checkout.await.unwrap();
        let requests = repository.server.requests();
        let asked = |request: &String| request.to_lowercase().contains(expected);
        assert!(requests[before..].iter().all(asked), "{requests:?}");
    }
}
