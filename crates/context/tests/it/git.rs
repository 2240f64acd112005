//! Repositories through the git program and through the library, with the same outcome.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use yadokari_context::{
    Checkout, CheckoutOptions, ContextKind, FetchOptions, GitError, GitLibrary, GitProgram,
    GitReference, GitTool, Patience, Setback, Source, fetch,
};
use yadokari_testkit::{GitServer, Manners};

use crate::support::{client, names, write};

/// Two commits on `main`, the tag `v1` on the first, the branch `side` there too.
pub(crate) struct Repository {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) scratch: tempfile::TempDir,
    pub(crate) server: GitServer,
    pub(crate) first: String,
    pub(crate) second: String,
}

pub(crate) const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Everything that reads repositories.
pub(crate) fn tools() -> [GitTool; 2] {
    [program(), library()]
}

pub(crate) fn program() -> GitTool {
    let environment = vec![(OsString::from("PATH"), OsString::from(SEARCH_PATH))];
    let found = GitProgram::find(SEARCH_PATH.as_ref(), environment);
    found.expect("these tests need git").into()
}

pub(crate) fn library() -> GitTool {
    GitLibrary::new(client(), client()).into()
}

pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
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
    pub(crate) fn new() -> Self {
        Self::served(Manners::default())
    }

    pub(crate) fn served(manners: Manners) -> Self {
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
        let server = GitServer::start(directory.path(), manners).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        Self {
            directory,
            scratch,
            server,
            first,
            second,
        }
    }

    /// What stands behind the address, as in `#v1:sub`.
    pub(crate) fn reference(&self, tail: &str) -> GitReference {
        let address = self.server.url(&format!("/repo.git{tail}"));
        GitReference::parse(&address).unwrap().unwrap()
    }

    pub(crate) async fn checkout(&self, git: &GitTool, tail: &str) -> Result<Checkout, GitError> {
        let options = CheckoutOptions::default();
        git.checkout(&self.reference(tail), &options, self.scratch.path())
            .await
    }

    /// Makes another commit on `main`.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) {
        let work = self.directory.path().join("work");
        write(&work, files);
        git(&work, &["add", "-A"]);
        git(&work, &["commit", "-qm", "more"]);
        git(&work, &["push", "-q", "../repo.git", "main"]);
    }

    /// Makes another bare repository and has `main` name it as a submodule.
    pub(crate) fn add_submodule(&self, name: &str, path: &str, address: &str) {
        let module = self.directory.path().join(name);
        std::fs::create_dir(&module).unwrap();
        git(&module, &["init", "-q"]);
        write(&module, &[("m.txt", "module\n")]);
        git(&module, &["add", "-A"]);
        git(&module, &["commit", "-qm", "module"]);
        let bare = format!("{name}.git");
        let clone = ["clone", "-q", "--bare", name, &bare];
        git(self.directory.path(), &clone);
        let work = self.directory.path().join("work");
        git(&work, &["clone", "-q", module.to_str().unwrap(), path]);
        let text = format!("[submodule \"{name}\"]\n\tpath = {path}\n\turl = {address}\n");
        self.commit(&[(".gitmodules", &text)]);
    }

    pub(crate) fn nothing_is_left(&self) -> bool {
        std::fs::read_dir(self.scratch.path()).unwrap().count() == 0
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
    let (first, second) = (&repository.first, &repository.second);
    let table = [
        ("", second),
        ("#main", second),
        ("#side", first),
        ("#v1", first),
        ("#refs/tags/v1", first),
        ("#tags/v1", first),
        ("?branch=side", first),
        ("?tag=v1", first),
        ("?ref=main&fetch-by-commit=1", second),
        (&format!("#{first}"), first),
        (&format!("#main#{first}"), first),
        (&format!("?checksum={}#v1", &first[..7]), first),
    ];
    for git in tools() {
        for (tail, commit) in table {
            let checkout = repository.checkout(&git, tail).await.unwrap();
            assert_eq!(checkout.commit(), commit, "{tail}");
            let text = std::fs::read_to_string(checkout.directory().join("a.txt")).unwrap();
            assert_eq!(text == "one\n", commit == first, "{tail}");
            assert!(!checkout.directory().join(".git").exists());
        }
    }
    assert!(repository.nothing_is_left());
}

#[tokio::test]
async fn servers_of_the_first_protocol_are_understood() {
    let repository = Repository::served(Manners {
        old: true,
        ..Manners::default()
    });
    // No ref ends in the first commit, so that it has to come along with others.
    let bare = repository.directory.path().join("repo.git");
    git(&bare, &["branch", "-D", "side"]);
    git(&bare, &["tag", "-d", "v1"]);
    let commit = format!("#{}", repository.first);
    for git in tools() {
        for (tail, expected) in [
            ("", &repository.second),
            ("#main", &repository.second),
            (&commit, &repository.first),
        ] {
            let checkout = repository.checkout(&git, tail).await.unwrap();
            assert_eq!(checkout.commit(), expected, "{tail}");
        }
        let kept = format!("?keep-git-dir=1{commit}");
        let checkout = repository.checkout(&git, &kept).await.unwrap();
        let branches = self::git(checkout.directory(), &["branch", "-r"]);
        assert_eq!(branches, "origin/main", "{git:?}");
        let error = repository.checkout(&git, "#nope").await.unwrap_err();
        assert_eq!(error.to_string(), "repository does not contain ref nope");
    }
}

#[tokio::test]
async fn modes_do_not_depend_on_the_umask() {
    let repository = Repository::new();
    for git in tools() {
        let checkout = repository.checkout(&git, "#v1").await.unwrap();
        let path = |name: &str| checkout.directory().join(name);
        assert_eq!(mode(&path("a.txt")), 0o644);
        assert_eq!(mode(&path("run.sh")), 0o755);
        assert_eq!(mode(&path("sub/deep")), 0o755);
        let target = std::fs::read_link(path("link")).unwrap();
        assert_eq!(target, Path::new("a.txt"));
    }
}

#[tokio::test]
async fn attributes_decide_about_line_ends() {
    let repository = Repository::new();
    let files = [
        (".gitattributes", "*.bat text eol=crlf\n*.bin binary\n"),
        ("a.bat", "one\ntwo\n"),
        ("a.bin", "one\ntwo\n"),
    ];
    repository.commit(&files);
    for git in tools() {
        let checkout = repository.checkout(&git, "").await.unwrap();
        let text = |name: &str| std::fs::read_to_string(checkout.directory().join(name)).unwrap();
        assert_eq!(text("a.bat"), "one\r\ntwo\r\n", "{git:?}");
        assert_eq!(text("a.bin"), "one\ntwo\n", "{git:?}");
    }
}

#[tokio::test]
async fn a_directory_of_the_repository_can_be_wanted() {
    let repository = Repository::new();
    for git in tools() {
        let checkout = repository.checkout(&git, "#:sub/deep").await.unwrap();
        assert!(checkout.directory().join("c.txt").exists());
        for (subdirectory, reason) in [
            ("nosub", "no such file or directory"),
            ("a.txt", "not a directory"),
            ("outside", "not a directory"),
            ("../..", "it leaves the files of the repository"),
            (".git", "it leaves the files of the repository"),
        ] {
            let tail = format!("#v1:{subdirectory}");
            let error = repository.checkout(&git, &tail).await.unwrap_err();
            let expected = format!("invalid subdir {subdirectory}: {reason}");
            assert_eq!(error.to_string(), expected);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let repository = Repository::new();
    let unknown = "1".repeat(40);
    let table = [
        ("#nope", "repository does not contain ref nope".to_owned()),
        (
            "?checksum=1234567#v1",
            format!(
                "expected checksum to match 1234567, got {}",
                repository.first
            ),
        ),
        (
            &format!("#{unknown}"),
            format!("repository does not contain ref {unknown}"),
        ),
        ("#a..b", "repository does not contain ref a..b".to_owned()),
    ];
    for git in tools() {
        for (tail, expected) in &table {
            let error = repository.checkout(&git, tail).await.unwrap_err();
            assert_eq!(&error.to_string(), expected, "{git:?}");
        }
        let mut gone = repository.reference("");
        gone.remote.push_str("-gone");
        let options = CheckoutOptions::default();
        let error = git.resolve(&gone, &options).await.unwrap_err();

        assert!(matches!(error, GitError::Failed { .. }), "{error}");
    }
    assert!(repository.nothing_is_left());
}

#[tokio::test]
async fn resolving_downloads_nothing() {
    let repository = Repository::new();
    for git in tools() {
        let options = CheckoutOptions::default();
        let found = git.resolve(&repository.reference("#v1"), &options).await;
        let found = found.unwrap();
        assert_eq!(found.commit, repository.first);
        assert_eq!(found.name.as_deref(), Some("refs/tags/v1"));
        let found = git.resolve(&repository.reference(""), &options).await;
        assert_eq!(found.unwrap().name.as_deref(), Some("refs/heads/main"));
    }
}

#[tokio::test]
async fn history_comes_along_as_deep_as_it_is_wanted() {
    let repository = Repository::new();
    for git in tools() {
        for (depth, commits) in [(1, "1"), (2, "2"), (0, "2")] {
            let options = CheckoutOptions {
                depth,
                ..CheckoutOptions::default()
            };
            let reference = repository.reference("?keep-git-dir=1");
            let checkout = git.checkout(&reference, &options, repository.scratch.path());
            let checkout = checkout.await.unwrap();
            let arguments = ["rev-list", "--count", "HEAD"];
            assert_eq!(self::git(checkout.directory(), &arguments), commits);
        }
    }
}

#[tokio::test]
async fn the_git_directory_stays_if_it_is_wanted() {
    let repository = Repository::new();
    for tool in tools() {
        let checkout = repository.checkout(&tool, "?keep-git-dir=1#v1").await;
        let checkout = checkout.unwrap();
        let said = |arguments: &[&str]| git(checkout.directory(), arguments);
        assert_eq!(said(&["rev-parse", "HEAD"]), repository.first);
        assert_eq!(said(&["status", "--porcelain"]), "", "{tool:?}");
        let remote = repository.reference("").remote;
        assert_eq!(said(&["remote", "get-url", "origin"]), remote);
        said(&["fsck"]);
        let options = CheckoutOptions {
            keep_git_dir: Some(false),
            ..CheckoutOptions::default()
        };
        let reference = repository.reference("?keep-git-dir=1");
        let error = tool.checkout(&reference, &options, repository.scratch.path());
        assert_eq!(
            error.await.unwrap_err().to_string(),
            "inconsistent keep-git-dir configuration"
        );
    }
}

#[tokio::test]
async fn files_can_have_the_time_of_the_commit() {
    let repository = Repository::new();
    for git in tools() {
        let checkout = repository.checkout(&git, "?mtime=commit").await.unwrap();
        assert_eq!(checkout.commit_time(), 1_500_000_000);
        for name in ["a.txt", "link", "sub", "sub/deep/c.txt"] {
            let found = std::fs::symlink_metadata(checkout.directory().join(name)).unwrap();
            let time = std::os::unix::fs::MetadataExt::mtime(&found);
            assert_eq!(time, 1_500_000_000, "{name} {git:?}");
        }
    }
}

#[tokio::test]
async fn submodules_come_along_if_they_are_wanted() {
    let repository = Repository::new();
    repository.add_submodule("inner", "inner", "../inner.git");
    for git in tools() {
        let with = repository.checkout(&git, "").await.unwrap();
        assert!(with.directory().join("inner/m.txt").exists(), "{git:?}");
        assert!(!with.directory().join("inner/.git").exists(), "{git:?}");
        let without = repository.checkout(&git, "?submodules=0").await.unwrap();
        assert!(without.directory().join("inner").is_dir(), "{git:?}");
        assert!(!without.directory().join("inner/m.txt").exists());
    }
}

#[tokio::test]
async fn a_repository_is_a_context() {
    let repository = Repository::new();
    for git in tools() {
        let mut options = FetchOptions::new(client(), git);
        options.branch = Some("side".to_owned());
        let source = Source::Git(Box::new(repository.reference("")));
        let context = fetch(source, repository.scratch.path(), options);
        let context = context.await.unwrap();
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
}

#[tokio::test]
async fn credentials_reach_the_server_and_no_message() {
    let authorization = "Basic bWU6aHVudGVyMg=="; // me:hunter2
    let repository = Repository::served(Manners {
        authorization: Some(authorization.to_owned()),
        ..Manners::default()
    });
    let address = |password: &str| {
        let address = repository.reference("").remote;
        let address = address.replace("://", &format!("://me:{password}@"));
        GitReference::parse(&address).unwrap().unwrap()
    };
    let options = CheckoutOptions::default();
    for git in tools() {
        let scratch = repository.scratch.path();
        let checkout = git.checkout(&address("hunter2"), &options, scratch).await;
        assert_eq!(checkout.unwrap().commit(), repository.second);
        let refused = git.checkout(&address("swordfish"), &options, scratch).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, GitError::Failed { .. }), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("swordfish"));
    }
}

#[tokio::test]
async fn a_repository_of_this_machine_is_a_context_where_git_is_installed() {
    let repository = Repository::new();
    let address = format!(
        "file://{}/repo.git#v1:sub/deep",
        repository.directory.path().display()
    );
    let fetched = async |git: GitTool| {
        let options = FetchOptions::new(client(), git);
        let source = Source::parse(&address).unwrap();
        fetch(source, repository.scratch.path(), options).await
    };
    let context = fetched(program()).await.unwrap();
    assert_eq!(context.commit(), Some(repository.first.as_str()));
    assert_eq!(names(&context, ""), ["/c.txt"]);
    let error = fetched(library()).await.unwrap_err();
    assert!(error.to_string().contains("no `git` executable"), "{error}");
    assert!(
        GitReference::parse(&address).unwrap().is_none(),
        "a Dockerfile cannot name it"
    );
}

#[tokio::test]
async fn ssh_is_spoken_by_the_program_that_the_environment_names() {
    let repository = Repository::new();
    let ssh = repository.directory.path().join("ssh");
    let log = repository.directory.path().join("log");
    // As ssh: the host, and a command line for the shell there. `-G` asks which ssh this is.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = -G ] && exit 1\necho \"$@\" >> {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        log.display()
    );
    std::fs::write(&ssh, script).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let environment = [
        ("PATH", OsString::from(SEARCH_PATH)),
        ("GIT_SSH_COMMAND", ssh.clone().into_os_string()),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), value));
    let git = GitProgram::find(SEARCH_PATH.as_ref(), environment.into()).unwrap();
    let path = repository.directory.path().join("repo.git");
    for address in [
        format!("ssh://git@host.example{}#v1", path.display()),
        format!("git@host.example:{}#v1", path.display()),
    ] {
        let options = FetchOptions::new(client(), git.clone().into());
        let source = Source::parse(&address).unwrap();
        let context = fetch(source, repository.scratch.path(), options).await;
        assert_eq!(
            context.unwrap().commit(),
            Some(repository.first.as_str()),
            "{address}"
        );
        let asked = std::fs::read_to_string(&log).unwrap();
        assert!(
            asked.contains("git@host.example git-upload-pack "),
            "{asked}"
        );
        std::fs::remove_file(&log).unwrap();
    }
}

/// Tries again at once, a few times.
#[derive(Debug)]
struct Stubborn;

impl Patience for Stubborn {
    fn wait(&self, attempt: u32, _: Setback<'_>) -> Option<Duration> {
        (attempt < 5).then_some(Duration::ZERO)
    }
}

#[tokio::test]
async fn a_server_that_is_busy_is_asked_again() {
    for git in tools() {
        let repository = Repository::served(Manners {
            busy: &[0, 1, 3, 6],
            ..Manners::default()
        });
        let error = repository.checkout(&git, "").await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        let git = git.with_patience(Arc::new(Stubborn));
        let checkout = repository.checkout(&git, "").await.unwrap();
        assert_eq!(checkout.commit(), repository.second);
    }
}
