//! Mistakes that everybody makes once: each is told with its place, its cause, and what to do next.

use yadokari_testkit::registry::Options;
use yadokari_testkit::{Login, Registry, needs, process, skip_unless};

use super::Place;
use crate::support::project::Project;

/// Builds, and gives the exit status and what is said from the error on.
fn told(place: &Place, project: &Project, arguments: &[&str]) -> (i32, String) {
    let state = tempfile::tempdir().unwrap();
    let mut build = place.build(state.path());
    build.args(arguments).arg(".").current_dir(project.path());
    build.env("NO_COLOR", "1").env("HOME", project.path());
    let done = process::finish(&mut build).unwrap();
    let start = done.output.rfind("error: ");
    let start = start.unwrap_or_else(|| panic!("{}", done.output));
    (done.status, done.output[start..].to_owned())
}

#[test]
fn mistakes_in_the_dockerfile_name_their_line_and_what_to_do() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let cases: [(&str, i32, &[&str]); 7] = [
        (
            "FROM busybox\nCOPY dist/app /\n",
            1,
            &[
                "error: \"/dist/app\": not found\n",
                "--> Dockerfile:2",
                "cause: excluded by .dockerignore:1 (`dist`)\n",
                "hint: add `!dist/app` to .dockerignore\n",
            ],
        ),
        (
            "FROM busybox\nCOPY nope /\n",
            1,
            &[
                "error: \"/nope\": not found\n",
                "hint: paths are relative to the build context",
            ],
        ),
        (
            "FROM busybox\nRUNN true\n",
            1,
            &[
                "unknown instruction: RUNN (did you mean RUN?)\n",
                "Dockerfile:2",
            ],
        ),
        (
            "FROM busybox\nRUN echo said && exit 3\n",
            3,
            &[
                "Dockerfile:2",
                "exit code: 3\n",
                "hint: what the command printed",
            ],
        ),
        (
            "FROM busybox\nRUN apt-get update\n",
            127,
            &["exit code: 127\n", "hint: a command is not in the image"],
        ),
        (
            "FROM busybox\nRUN --mount=type=secret,id=s,required=true true\n",
            1,
            &["secret s: not found", "hint: pass it with `--secret id=s,"],
        ),
        (
            "FROM no-such-image\nRUN true\n",
            1,
            &["Dockerfile:1", "no-such-image", "hint: check"],
        ),
    ];
    for (dockerfile, status, expected) in cases {
        let project = Project::new(dockerfile);
        project.write(".dockerignore", "dist\n");
        project.write("dist/app", "x");
        let (code, said) = told(
            &place,
            &project,
            &["--no-push", "--skip-default-registry-fallback"],
        );
        assert_eq!(code, status, "{dockerfile}: {said}");
        for words in expected {
            assert!(said.contains(words), "{dockerfile}: {words:?} in {said}");
        }
    }
}

#[test]
fn a_dockerfile_that_is_not_there_is_named() {
    skip_unless!(needs::root(), needs::registry());
    let (place, project) = (Place::new(), Project::new("FROM scratch\n"));
    let (code, said) = told(&place, &project, &["--no-push", "--file", "other"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("other") && said.contains("name it with `-f FILE`"),
        "{said}"
    );
}

#[test]
fn registries_that_refuse_are_told_with_the_credentials_that_were_tried() {
    skip_unless!(needs::root(), needs::registry());
    let login = Login {
        user: "me".into(),
        password: "right".into(),
    };
    let place = Place {
        registry: Registry::start(Options {
            login: Some(login),
            ..Options::default()
        })
        .unwrap(),
        ..Place::new()
    };
    let project = Project::new("FROM busybox\nRUN true\n");
    let address = place.registry.address();
    let tag = format!("{address}/team/app:1");
    let (code, said) = told(&place, &project, &["--tag", &tag, "--push"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("hint: no credentials for") && said.contains("log in"),
        "{said}"
    );

    let config = format!(
        "{{\"auths\": {{\"{address}\": {{\"username\": \"me\", \"password\": \"wrong\"}}}}}}"
    );
    project.write(".docker/config.json", &config);
    let (code, said) = told(&place, &project, &["--tag", &tag, "--push"]);
    assert_eq!(code, 1);
    assert!(
        said.contains("hint: check user name and password"),
        "{said}"
    );
    assert!(!said.contains("wrong"), "a password is never shown: {said}");
}

#[test]
fn registries_that_cannot_be_reached_are_told_with_the_reason() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place {
        registry: Registry::start(Options {
            tls: true,
            ..Options::default()
        })
        .unwrap(),
        ..Place::new()
    };
    let project = Project::new("FROM busybox\nRUN true\n");
    let self_signed = format!("127.0.0.1:{}/a:1", place.registry.port());
    let closed = format!(
        "localhost:{}/a:1",
        yadokari_testkit::registry::free_port().unwrap()
    );
    let cases = [
        (
            self_signed.as_str(),
            "hint: give the authority's certificate with --registry-certificate",
        ),
        (
            "no-such-host.invalid/a:1",
            "hint: check the spelling of `no-such-host.invalid`",
        ),
        (closed.as_str(), "hint: nothing listens there"),
    ];
    for (tag, expected) in cases {
        let (code, said) = told(
            &place,
            &project,
            &["--tag", tag, "--push", "--push-retry=0"],
        );
        assert_eq!(code, 1);
        assert!(said.contains(expected), "{tag}: {said}");
    }
}

#[test]
fn what_unpacks_to_more_than_is_allowed_ends_the_build_with_the_flag_that_allows_more() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let project = Project::new("FROM scratch\nADD bomb.tar.gz /\n");
    let zeros = project.join("zeros");
    let file = std::fs::File::create(&zeros).unwrap();
    file.set_len(64 << 20).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-C").arg(project.path());
    process::run(
        tar.args(["-czf", "bomb.tar.gz", "zeros"])
            .current_dir(project.path()),
    )
    .unwrap();
    std::fs::remove_file(zeros).unwrap();
    project.write("base", "FROM busybox\nRUN true\n");
    for (file, flag, said) in [
        (
            "Dockerfile",
            "--max-layer-size=10m",
            "unpacks to more than 10485760 bytes",
        ),
        (
            "base",
            "--max-layer-size=100k",
            "unpacks to more than 102400 bytes",
        ),
        ("Dockerfile", "--max-layer-entries=0", "more than 0 members"),
        ("base", "--max-layer-entries=3", "more than 3 members"),
    ] {
        let (status, error) = told(&place, &project, &["--no-push", flag, "--file", file]);
        let name = flag.split('=').next().unwrap();
        assert_eq!(status, 1, "{file} {flag}: {error}");
        for text in [said, &format!("allow more with {name}")] {
            assert!(error.contains(text), "{file} {flag}: {error}");
        }
    }
    let mut build = place.build(tempfile::tempdir().unwrap().path());
    build
        .args(["--no-push", "--max-layer-size=65m", "."])
        .current_dir(project.path());
    process::run(&mut build).unwrap();
}
