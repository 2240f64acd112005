//! The page of errors: every message in its tables is what the program says where somebody makes that mistake.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;

use yadokari_testkit::registry::{self, Options};
use yadokari_testkit::user::User;
use yadokari_testkit::{Login, Registry, executor, needs, process, skip_unless};

use super::Place;
use crate::support::project::Project;
use crate::support::refusing::{Asked, Refusing};

const PAGE: &str = include_str!("../../../../../docs/errors.md");
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A row by words of its message, and the mistake.
type Case = (&'static str, Mistake);

/// Makes a mistake, and gives what is said of it.
type Mistake = fn(&Place) -> String;

/// Shown where it can be brought about, which is in a container: `environments::containers`.
const ELSEWHERE: &str = "no kind of isolation works here";

/// Those that no `hint:` follows: a warning, and an error that says itself what was meant. Every other one has it.
const UNHINTED: [&str; 2] = ["every file has one owner", "RUNN"];

const CASES: [Case; 26] = [
    ("/dist/app", |place| dockerfile(place, "COPY dist/app /")),
    ("/nope", |place| dockerfile(place, "COPY nope /")),
    ("leads out", sub_path),
    ("response status", |place| {
        let server = Refusing::start(LOOPBACK, |_| 404);
        dockerfile(place, &format!("ADD http://{}/file /", server.address()))
    }),
    ("RUNN", |place| dockerfile(place, "RUNN true")),
    ("failed to read dockerfile", |place| {
        build(place, "FROM scratch\n", &["--file=other", "--no-push"])
    }),
    ("cannot write", |place| {
        build(
            place,
            "FROM scratch\n",
            &["--output=type=docker,dest=none/a.tar"],
        )
    }),
    ("cannot read", |place| {
        build(
            place,
            "FROM scratch\n",
            &["--no-push", "--secret=id=a,src=none"],
        )
    }),
    ("exit code: 1", |place| dockerfile(place, "RUN false")),
    ("exit code: 127", |place| {
        dockerfile(place, "RUN apt-get update")
    }),
    ("exit code: 126", |place| {
        dockerfile(place, "RUN echo > /f; /f")
    }),
    ("exit code: 137", |place| {
        dockerfile(place, "RUN sh -c 'kill -9 $$'; exit $?")
    }),
    ("secret", |place| {
        dockerfile(place, "RUN --mount=type=secret,id=s,required=true true")
    }),
    ("no match for platform", other_platform),
    ("No space left", full_disk),
    ("every file has one owner", one_owner),
    ("has other tags", missing_tag),
    ("no credentials", |place| push(place, &login().address())),
    ("user name and password", wrong_password),
    ("no right", no_right),
    ("unknown host", |place| push(place, "no-such-host.invalid")),
    ("nothing listens", |place| {
        push(
            place,
            &format!("localhost:{}", registry::free_port().unwrap()),
        )
    }),
    ("certificate", unknown_authority),
    ("plain HTTP", plain_http),
    ("rate of requests", |place| refused(place, |_| 429)),
    ("size of requests", |place| refused(place, |_| 413)),
];

/// Builds, and gives all that was said.
fn build(place: &Place, text: &str, arguments: &[&str]) -> String {
    let project = Project::new(text);
    project.write(".dockerignore", "# results\n\ndist\n");
    project.write("dist/app", "x");
    in_project(place, &project, arguments)
}

fn in_project(place: &Place, project: &Project, arguments: &[&str]) -> String {
    let state = tempfile::tempdir().unwrap();
    let mut build = place.build(state.path());
    build.args(arguments).arg(".").current_dir(project.path());
    build.env("NO_COLOR", "1").env("HOME", project.path());
    process::finish(&mut build).unwrap().output
}

/// Builds an image with this instruction.
fn dockerfile(place: &Place, line: &str) -> String {
    build(place, &format!("FROM busybox\n{line}\n"), &["--no-push"])
}

/// Pushes an empty image to a registry.
fn push(place: &Place, registry: &str) -> String {
    pushed(place, &Project::new("FROM scratch\nLABEL a=b\n"), registry)
}

fn pushed(place: &Place, project: &Project, registry: &str) -> String {
    let tag = format!("{registry}/team/app:1");
    in_project(place, project, &["--push", "--push-retry=0", "--tag", &tag])
}

/// A project whose user has a login for a registry.
fn with_login(registry: &str, password: &str) -> Project {
    let project = Project::new("FROM scratch\nLABEL a=b\n");
    let login = format!("{{\"username\": \"me\", \"password\": \"{password}\"}}");
    let config = format!("{{\"auths\": {{\"{registry}\": {login}}}}}");
    project.write(".docker/config.json", &config);
    project
}

fn login() -> Registry {
    let login = Login {
        user: "me".into(),
        password: "right".into(),
    };
    Registry::start(Options {
        login: Some(login),
        ..Options::default()
    })
    .unwrap()
}

fn wrong_password(place: &Place) -> String {
    let registry = login();
    let project = with_login(&registry.address(), "wrong");
    let said = pushed(place, &project, &registry.address());
    assert!(!said.contains("wrong"), "a password is never shown: {said}");
    said
}

/// The login is right, and pushing is not for this user.
fn no_right(place: &Place) -> String {
    let registry = Refusing::start(LOOPBACK, |asked: &Asked| match asked.authorized {
        false => 401,
        true if asked.line.starts_with("GET /v2/ ") => 200,
        true => 403,
    });
    let project = with_login(&registry.address(), "right");
    pushed(place, &project, &registry.address())
}

fn sub_path(place: &Place) -> String {
    let project = Project::new("FROM scratch\nCOPY hosts /\n");
    std::os::unix::fs::symlink("/etc", project.join("link")).unwrap();
    in_project(place, &project, &["--context-sub-path=link", "--no-push"])
}

fn refused(place: &Place, answer: fn(&Asked) -> u16) -> String {
    push(place, &Refusing::start(LOOPBACK, answer).address())
}

fn unknown_authority(place: &Place) -> String {
    let registry = Registry::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    push(place, &format!("127.0.0.1:{}", registry.port()))
}

/// Loopback may speak HTTP, so this machine is called by the address that others call it by.
fn plain_http(place: &Place) -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    let own = socket.local_addr().unwrap().ip();
    push(place, &Refusing::start(own, |_| 404).address())
}

/// The base image is there for two platforms, and neither is the one asked for.
fn other_platform(place: &Place) -> String {
    let base = format!("{}/base:1", place.registry.address());
    let platforms = "--platform=linux/amd64,linux/s390x";
    let made = build(
        place,
        "FROM scratch\nLABEL a=b\n",
        &[platforms, "--push", "--tag", &base],
    );
    assert!(made.contains("published"), "{made}");
    let text = format!("FROM {base}\nLABEL c=d\n");
    build(place, &text, &["--platform=linux/arm64", "--no-push"])
}

fn missing_tag(place: &Place) -> String {
    let base = format!("{}/base", place.registry.address());
    for tag in ["1.0", "1.1", "2.0"] {
        let tag = format!("--tag={base}:{tag}");
        let made = build(place, "FROM scratch\nLABEL a=b\n", &["--push", &tag]);
        assert!(made.contains("published"), "{made}");
    }
    let text = format!("FROM {base}:1.2\nLABEL c=d\n");
    build(place, &text, &["--no-push"])
}

/// The state directory is on a filesystem of three megabytes, and the layer has eight.
fn full_disk(place: &Place) -> String {
    let (project, state) = (
        Project::new("FROM scratch\nCOPY big /\n"),
        tempfile::tempdir().unwrap(),
    );
    let mut seed = 1_u64;
    let noise: String = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + u8::try_from(seed >> 58).unwrap())
    })
    .take(8 << 20)
    .collect();
    project.write("big", &noise);
    let mount = "mount -t tmpfs -o size=3m none \"$0\" && exec \"$@\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", mount])
        .arg(state.path());
    command.arg(executor::path().unwrap());
    command.args([
        "build",
        "--no-push",
        "--registry-mirror",
        &place.mirror.address(),
    ]);
    command
        .arg("--state-dir")
        .arg(state.path())
        .arg(project.path());
    command.env_remove("CI").env_remove("GITLAB_CI");
    process::finish(&mut command).unwrap().output
}

fn one_owner(_: &Place) -> String {
    let user = User::without_subordinate_ids().unwrap();
    let executable = user.home().join("yadokari");
    std::fs::copy(executor::path().unwrap(), &executable).unwrap();
    std::fs::write(user.home().join("Dockerfile"), "FROM scratch\nLABEL a=b\n").unwrap();
    user.own(user.home()).unwrap();
    let mut command = user.command(&executable);
    command.args(["build", "--no-push"]).arg(user.home());
    process::finish(&mut command).unwrap().output
}

/// The first cells of the page's tables that quote messages.
fn messages() -> Vec<&'static str> {
    let cells = PAGE.lines().filter_map(|line| line.strip_prefix("| `"));
    cells
        .map(|rest| rest.split(" | ").next().unwrap_or(rest))
        .collect()
}

/// The pieces of a cell that are said word for word: what stands in backquotes, without what `…` stands for.
fn pieces(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`')
        .step_by(2)
        .flat_map(|quoted| quoted.split('…'))
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
}

/// Whether a line says what to do next.
fn is_hinted(said: &str) -> bool {
    said.lines().any(|line| {
        line.strip_prefix("hint: ")
            .is_some_and(|hint| !hint.is_empty())
    })
}

#[test]
fn every_message_of_the_page_is_said_where_the_mistake_is_made() {
    skip_unless!(
        needs::root(),
        needs::registry(),
        needs::user_namespaces(),
        needs::program("useradd"),
        needs::program("unshare")
    );
    let place = Place::new();
    let mut faults = Vec::new();
    for cell in messages()
        .into_iter()
        .filter(|cell| !cell.contains(ELSEWHERE))
    {
        let cases = CASES.iter().filter(|(words, _)| cell.contains(words));
        // `exit code: 1` stands in `exit code: 127` too.
        let Some((_, mistake)) = cases.max_by_key(|(words, _)| words.len()) else {
            faults.push(format!("no case for {cell}"));
            continue;
        };
        let said = mistake(&place);
        let missing = pieces(cell).find(|piece| !said.contains(piece));
        faults.extend(missing.map(|piece| format!("{cell}: {piece:?} is not in\n{said}")));
        let unhinted = UNHINTED.iter().any(|words| cell.contains(words));
        if is_hinted(&said) == unhinted {
            faults.push(format!("{cell}: hinted is {}:\n{said}", !unhinted));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_page_has_a_row_for_every_case() {
    let messages = messages();
    for (words, _) in CASES {
        let found = messages.iter().any(|cell| cell.contains(words));
        assert!(found, "{words}");
    }
    assert!(messages.iter().any(|cell| cell.contains(ELSEWHERE)));
}

#[test]
fn a_refusal_says_what_to_do_next() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let cases: [(Mistake, &str); 3] = [
        (
            missing_tag,
            "hint: `base` is there and has other tags: 1.0, 1.1, 2.0\n",
        ),
        (no_right, "no right to do this in `team/app`\n"),
        (other_platform, "offered: linux/amd64, linux/s390x"),
    ];
    for (mistake, expected) in cases {
        let said = mistake(&place);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
