//! Where Dockerfiles are found.

use std::path::Path;

use yadokari_context::{
    BuildContext, DockerfileError, DockerfileName, DockerfileSource, Stdin, find_dockerfile,
};

use crate::support::{client, write};

struct Bench {
    context: tempfile::TempDir,
    outside: tempfile::TempDir,
}

impl Bench {
    fn new(files: &[(&str, &str)]) -> Self {
        let bench = Self {
            context: tempfile::tempdir().unwrap(),
            outside: tempfile::tempdir().unwrap(),
        };
        write(bench.context.path(), files);
        bench
    }

    async fn find(&self, name: &str) -> Result<DockerfileSource, DockerfileError> {
        let wanted = match name {
            "" => DockerfileName::Default,
            name => DockerfileName::Given(name.to_owned()),
        };
        let context = BuildContext::directory(self.context.path()).unwrap();
        let stdin = Stdin::Stream(Box::new(b"FROM stdin".as_slice()));
        find_dockerfile(
            &wanted,
            &context,
            stdin,
            &client().into(),
            self.outside.path(),
        )
        .await
    }

    async fn text(&self, name: &str) -> String {
        String::from_utf8(self.find(name).await.unwrap().bytes).unwrap()
    }
}

#[tokio::test]
async fn the_default_falls_back_to_small_letters() {
    let both = Bench::new(&[("Dockerfile", "large"), ("dockerfile", "small")]);
    assert_eq!(both.text("").await, "large");
    let small = Bench::new(&[("dockerfile", "small")]);
    assert_eq!(small.text("").await, "small");
    assert_eq!(small.text("Dockerfile").await, "small");
}

#[tokio::test]
async fn a_given_path_is_taken_as_it_stands_and_then_below_the_context() {
    let bench = Bench::new(&[("build/Other", "inside"), ("build/Other.dockerignore", "x")]);
    let inside = bench.find("build/Other").await.unwrap();
    assert_eq!(inside.bytes, b"inside");
    assert_eq!(inside.own_ignore.unwrap().bytes, b"x");
    write(
        bench.outside.path(),
        &[("Other", "outside"), ("Other.dockerignore", "")],
    );
    let path = bench.outside.path().join("Other");
    let outside = bench.find(path.to_str().unwrap()).await.unwrap();
    assert_eq!(outside.bytes, b"outside");
    assert_eq!(outside.own_ignore.unwrap().bytes, b"");
    assert_eq!(bench.text("-").await, "FROM stdin");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench = Bench::new(&[("directory/", "")]);
    let error = bench.find("Nope").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read dockerfile: open Nope: no such file or directory"
    );
    let error = bench.find("").await.unwrap_err();
    assert!(matches!(error, DockerfileError::Missing { name, .. } if name == "Dockerfile"));
    let error = bench.find("directory").await.unwrap_err();
    assert!(matches!(error, DockerfileError::Read { .. }), "{error}");
}

#[tokio::test]
async fn links_of_the_context_do_not_lead_out() {
    let bench = Bench::new(&[("real/File", "inside")]);
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, bench.context.path().join(name)).unwrap();
    };
    write(bench.outside.path(), &[("secret", "outside")]);
    link(Path::new("/real/File"), "absolute");
    link(&bench.outside.path().join("secret"), "leak");
    assert_eq!(bench.text("absolute").await, "inside");
    assert!(matches!(
        bench.find("leak").await,
        Err(DockerfileError::Missing { .. })
    ));
}
