//! Contexts from tar archives, friendly and hostile.

use tar::{EntryType, Header};
use yadokari_context::{ContextError, ContextKind, Source, Stdin, fetch};

use crate::support::{from_stdin, names, options, through};

struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn add(mut self, name: &str, kind: EntryType, link: &str, bytes: &str) -> Self {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        self.0.append(&header, bytes.as_bytes()).unwrap();
        self
    }

    fn file(self, name: &str, bytes: &str) -> Self {
        self.add(name, EntryType::Regular, "", bytes)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

#[tokio::test]
async fn archives_of_every_compression_are_unpacked() {
    let plain = Archive::new()
        .file("Dockerfile", "FROM scratch\n")
        .file(".wh.x", "")
        .bytes();
    let mut variants = vec![("none", plain.clone())];
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        variants.push((program, through(program, &plain)));
    }
    for (name, bytes) in variants {
        let scratch = tempfile::tempdir().unwrap();
        let context = from_stdin(bytes, scratch.path()).await.unwrap();
        assert_eq!(names(&context, ""), ["/.wh.x", "/Dockerfile"], "{name}");
        assert_eq!(context.kind(), ContextKind::Archive);
        drop(context);
        assert_eq!(
            std::fs::read_dir(scratch.path()).unwrap().count(),
            0,
            "{name}"
        );
    }
}

#[tokio::test]
async fn hostile_archives_write_nothing_outside() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("victim");
    std::fs::write(&target, "safe").unwrap();
    let directory = outside.path().to_str().unwrap();
    let victim = target.to_str().unwrap();
    let link = EntryType::Symlink;
    let hostile = [
        Archive::new().file("../../victim", "evil"),
        Archive::new().file(&format!("/{victim}"), "evil"),
        Archive::new()
            .add("d", link, directory, "")
            .file("d/victim", "evil"),
        Archive::new().add("l", link, victim, "").file("l", "evil"),
        Archive::new()
            .add("up", link, "../../../../../../..", "")
            .file(&format!("up{victim}"), "evil"),
        Archive::new()
            .add("h", EntryType::Link, victim, "")
            .file("h", "evil"),
    ];
    for (number, archive) in hostile.into_iter().enumerate() {
        let scratch = outside.path().join("scratch");
        std::fs::create_dir_all(&scratch).unwrap();
        drop(from_stdin(archive.bytes(), &scratch).await);
        assert_eq!(std::fs::read(&target).unwrap(), b"safe", "archive {number}");
        assert_eq!(
            std::fs::read_dir(outside.path()).unwrap().count(),
            2,
            "archive {number}"
        );
        assert_eq!(
            std::fs::read_dir(&scratch).unwrap().count(),
            0,
            "archive {number}"
        );
    }
}

#[tokio::test]
async fn damaged_archives_are_errors_and_leave_nothing() {
    let good = Archive::new().file("a", &"x".repeat(4000)).bytes();
    let packed = through("gzip", &good);
    for bytes in [
        good[..2000].to_vec(),
        packed[..packed.len() / 2].to_vec(),
        b"no archive\0".to_vec(),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let error = from_stdin(bytes, scratch.path()).await.unwrap_err();
        assert!(matches!(error, ContextError::Archive { .. }), "{error}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn an_archive_in_a_file_can_be_narrowed() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("context.tar.gz");
    let archive = Archive::new()
        .file("sub/a", "1")
        .add("link", EntryType::Symlink, "sub", "")
        .add("out", EntryType::Symlink, "/etc", "");
    std::fs::write(&path, through("gzip", &archive.bytes())).unwrap();
    for (sub_path, expected) in [
        ("sub", Some(vec!["/a"])),
        ("link", None),
        ("out", None),
        ("nope", None),
    ] {
        let mut options = options();
        options.sub_path = Some(sub_path.to_owned());
        let result = fetch(Source::Archive(path.clone()), scratch.path(), options).await;
        match expected {
            Some(expected) => assert_eq!(names(&result.unwrap(), ""), expected),
            None => assert!(
                matches!(result, Err(ContextError::SubPath { .. })),
                "{sub_path}"
            ),
        }
    }
}

#[tokio::test]
async fn what_cannot_be_a_context_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let fetched = async |source: &str, stdin| {
        let mut options = options();
        options.stdin = stdin;
        let source = Source::parse(source).unwrap();
        fetch(source, scratch.path(), options).await.unwrap_err()
    };
    let terminal = fetched("-", Stdin::Terminal).await;
    assert!(matches!(terminal, ContextError::Terminal));
    assert!(matches!(
        fetched("tar://stdin", Stdin::Unavailable).await,
        ContextError::NoStdin
    ));
    let missing = fetched("/no/such/directory", Stdin::Unavailable).await;
    assert!(
        missing.to_string().contains("/no/such/directory"),
        "{missing}"
    );
    let bucket = fetched("s3://bucket/key.tar.gz", Stdin::Unavailable).await;
    assert!(
        bucket
            .to_string()
            .starts_with("cannot read s3://bucket/key.tar.gz"),
        "{bucket}"
    );
    let git = fetched("ssh://git@example.com/x", Stdin::Unavailable).await;
    assert!(git.to_string().contains("no `git` executable"), "{git}");
}

#[tokio::test]
async fn text_in_place_of_an_archive_is_the_dockerfile() {
    let scratch = tempfile::tempdir().unwrap();
    let text = b"FROM busybox\nRUN true\n";
    let context = from_stdin(text.to_vec(), scratch.path()).await.unwrap();
    assert!(names(&context, "").is_empty());
    assert_eq!(context.dockerfile_alone(), Some(text.as_slice()));
    let web = crate::support::client().into();
    let found = yadokari_context::find_dockerfile(
        &yadokari_context::DockerfileName::Default,
        &context,
        Stdin::Unavailable,
        &web,
        scratch.path(),
    );
    assert_eq!(found.await.unwrap().bytes, text);
    for neither in [b"FROM a\0".to_vec(), vec![0xff, 0xfe, b'\n']] {
        assert!(from_stdin(neither, scratch.path()).await.is_err());
    }
}
