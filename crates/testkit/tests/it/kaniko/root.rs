//! The container survives: `/` is the same after a build, however the build ended.

use std::time::{Duration, Instant};

use yadokari_testkit::process::{Signal, wait_until};
use yadokari_testkit::{Container, Listing, needs, skip_unless};

use crate::support::job::{DEBUG, EXECUTOR, Ground, skip_without_ground};
use crate::support::project::Project;

/// Where root in a container keeps its state.
const STATE: &str = "/.yadokari";

/// A build that touches as much of its root as a build can, and looks for it in the next RUN.
///
/// Three of its directories have the names of the container's own, which cannot be renamed and stay in sight.
const RESTLESS: &str = r#"FROM debian:bookworm AS one
RUN rm -rf /etc/apt /opt && mkdir /new-at-top && mv /srv /moved && echo x > /etc/passwd-too && touch /root/here /tmp/there
RUN mkdir -p /busybox /kaniko /workspace && echo fake | tee /busybox/sh /kaniko/executor /workspace/file && rm -rf /var/lib/dpkg
RUN test -d /moved && test -e /tmp/there && cat /busybox/sh /kaniko/executor /workspace/file && test ! -e /var/lib/dpkg
FROM busybox
COPY --from=one /etc/passwd-too /workspace/file /from-one/
RUN rm -rf /usr /home && mkdir -p /workspace && echo y > /workspace/file && test ! -e /etc/apt
"#;

/// A build that waits inside a RUN until it is stopped. Its processes ignore signals, and one has left its session.
const WAITING: &str = "FROM debian:bookworm\nRUN trap '' TERM INT HUP && mkdir /half && rm -rf /etc/apt && \
    (setsid sleep 1001 &) && echo ran-$((40+2))-begun && sleep 1000\n";

/// A job's container that stays up, with its root as it was at the start.
pub(super) struct House<'g> {
    pub(super) container: Container<'g>,
    before: Listing,
    mounts: Vec<String>,
}

impl<'g> House<'g> {
    pub(super) fn new(ground: &'g Ground, project: &Project) -> Self {
        let container = ground
            .job(project, DEBUG)
            .entrypoint("sleep")
            .args(["100000"])
            .start()
            .unwrap();
        let before = container.listing().unwrap().without(STATE);
        let mounts = container.mounts().unwrap();
        Self {
            container,
            before,
            mounts,
        }
    }

    /// Fails with the differences, if there are any.
    pub(super) fn assert_unchanged(&self, after: &str) {
        let now = self.container.listing().unwrap().without(STATE);
        self.before.assert_same(&now, &format!("after {after}"));
        assert_eq!(
            self.container.mounts().unwrap(),
            self.mounts,
            "mounts after {after}"
        );
        let tools = self
            .container
            .exec(&["sh", "-c", "ls /kaniko/executor && test ! -e /etc/apt"])
            .unwrap();
        assert_eq!(
            (tools.status, tools.output.as_str()),
            (0, "/kaniko/executor\n"),
            "tools after {after}"
        );
        // A Debian root has thousands of files: none of a stage's root may be left in the state directory.
        let left = self
            .container
            .exec(&["sh", "-c", "find /.yadokari 2>/dev/null | wc -l"])
            .unwrap()
            .output;
        assert!(
            left.trim().parse::<usize>().unwrap() < 200,
            "{left} files in the state directory after {after}"
        );
    }

    /// Builds, and fails with the output unless the status is the expected one.
    pub(super) fn build(&self, expected: i32, what: &str) {
        let build = self.container.exec(&COMMAND).unwrap();
        assert_eq!(build.status, expected, "{what}:\n{}", build.output);
        self.assert_unchanged(what);
    }
}

pub(super) const COMMAND: [&str; 3] = [
    "/kaniko/executor",
    "--context=/builds/group/project",
    "--no-push",
];

#[test]
fn the_root_is_the_same_after_success_failure_and_another_base() {
    skip_without_ground!();
    skip_unless!(needs::debian());
    let (ground, project) = (Ground::debian(), Project::new(RESTLESS));
    let house = House::new(&ground, &project);
    house.build(0, "a build");

    project.write(
        "Dockerfile",
        &format!("{RESTLESS}RUN rm -rf /bin/ls /tmp; exit 9\n"),
    );
    house.build(9, "a failing RUN");

    project.write(
        "Dockerfile",
        "FROM busybox\nRUN test ! -e /usr/bin/apt && echo only busybox > /what\n",
    );
    house.build(0, "a second build from another base");
}

#[test]
fn a_build_stopped_in_the_middle_of_a_run_puts_everything_back() {
    skip_without_ground!();
    skip_unless!(needs::debian());
    let (ground, project) = (Ground::debian(), Project::new(WAITING));
    let house = House::new(&ground, &project);
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut build = house.container.spawn(&COMMAND).unwrap();
        build
            .wait_for("ran-42-begun", Duration::from_secs(120))
            .unwrap();
        let sent = Instant::now();
        assert_eq!(house.container.signal(signal, "--context=").unwrap(), 1);
        let ended = build.wait().unwrap();
        println!("{signal:?}: ended after {:?}", sent.elapsed());
        assert_eq!(ended.status, code, "{}", ended.output);
        house.assert_unchanged("a signal");
        let processes = house.container.exec(&["ps", "-o", "args"]).unwrap().output;
        let sleeping = processes.lines().filter(|line| line.contains("sleep"));
        assert_eq!(sleeping.count(), 1, "{processes}");
    }

    project.write("Dockerfile", RESTLESS);
    house.build(0, "a build after a stopped one");
}

#[test]
fn an_executor_that_is_the_first_process_stops_as_well() {
    skip_without_ground!();
    skip_unless!(needs::debian());
    let (ground, project) = (Ground::debian(), Project::new(WAITING));
    let untouched = ground
        .job(&project, EXECUTOR)
        .create()
        .unwrap()
        .listing()
        .unwrap()
        .without("/builds");
    let container = ground
        .job(&project, EXECUTOR)
        .args(&COMMAND[1..])
        .create()
        .unwrap();
    let mut build = container.attach().unwrap();
    build
        .wait_for("ran-42-begun", Duration::from_secs(120))
        .unwrap();
    container.kill("TERM").unwrap();
    let ended = build.wait().unwrap();
    assert_eq!(ended.status, 143, "{}", ended.output);
    let after = container
        .listing()
        .unwrap()
        .without(STATE)
        .without("/builds");
    untouched.assert_same(&after, "after SIGTERM");
}

#[test]
fn a_killed_executor_leaves_the_container_as_it_was() {
    skip_without_ground!();
    skip_unless!(needs::debian());
    let (ground, project) = (Ground::debian(), Project::new(WAITING));
    let house = House::new(&ground, &project);
    let mut build = house.container.spawn(&COMMAND).unwrap();
    build
        .wait_for("ran-42-begun", Duration::from_secs(120))
        .unwrap();
    assert_eq!(
        house.container.signal(Signal::KILL, "--context=").unwrap(),
        1
    );
    assert_eq!(build.wait().unwrap().status, 137);
    wait_until("the root is put back", Duration::from_secs(30), || {
        let now = house.container.listing()?.without(STATE);
        Ok(house.before.difference(&now).is_empty())
    })
    .unwrap();

    project.write("Dockerfile", "FROM busybox\nRUN true\n");
    house.build(0, "a build after a killed one");
}

/// A context that commands move away with the rest of the container, and one that stays.
#[test]
fn a_context_is_read_to_its_end_wherever_it_lies() {
    skip_without_ground!();
    let dockerfile = "FROM busybox AS other\nRUN sleep 0.3 && touch /other\nFROM busybox\nCOPY noise /noise\n\
        RUN test ! -e /context && sleep 0.1 && md5sum /noise > /sum\nCOPY --from=other /other /\nCOPY noise /again\n\
        RUN md5sum < /again | grep -q \"$(cut -c-32 /sum)\"\n";
    let (ground, project) = (Ground::busybox(), Project::new(dockerfile));
    let noise: Vec<u8> = (0..8_u32 << 20)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    std::fs::write(project.join("noise"), noise).unwrap();
    let house = House::new(&ground, &project);
    let mut digests = Vec::new();
    for context in ["/context", "/builds/group/project"] {
        let script = format!(
            "cp -r /builds/group/project /context; \
             /kaniko/executor --context={context} --no-push --reproducible --digest-file=/digest; s=$?; \
             cat /digest; rm -r /digest /context; exit $s"
        );
        let build = house.container.exec(&["sh", "-c", &script]).unwrap();
        assert_eq!(build.status, 0, "{}", build.output);
        let at = build.output.rfind("sha256:").unwrap();
        digests.push(build.output[at..].to_owned());
    }
    assert_eq!(digests[0], digests[1]);
    house.assert_unchanged("builds of two contexts");
}
