//! What RUNs of user 0 can reach of the container and of each other, and what several builds do to one container.

use std::time::Duration;

use yadokari_testkit::process::{Signal, wait_until};
use yadokari_testkit::{needs, skip_unless};

use super::root::{COMMAND, House};
use crate::support::job::{Ground, skip_without_ground};
use crate::support::project::Project;

/// Stages that overlap; one walks over everything it sees, and gives away, removes and replaces what it finds.
const WALKER: &str = r"FROM busybox AS base
RUN echo own > /own.bak && mkdir /dir && echo x > /dir/own.bak
FROM base AS kept
RUN sleep 0.3; cat /own.bak /dir/own.bak
RUN sleep 0.3; cat /own.bak && stat -c %u / /dir /own.bak > /owners
FROM base AS walker
RUN find / -xdev -name '*.bak' -exec rm {} + && find / -xdev -type d ! -path '/[eps]*' ! -path '/dev*' -exec chown 77 {} +
RUN test ! -e /dir/own.bak && cd / && ls -A | grep -vxE 'bin|dev|etc|lib.*|proc|sys' | xargs rm -rf; \
    for p in /.yadokari /.yadokari/swap/aside /kaniko /builds/group/project; do \
        rm -rf $p/* $p 2>/dev/null; mv $p /gone 2>/dev/null && echo moved $p; mkdir $p/new 2>/dev/null && echo made $p; \
        ln -s /bin/sh $p/sh 2>/dev/null && echo linked $p; done; echo end > /end
FROM base
COPY --from=kept /own.bak /dir/own.bak /owners /got/
COPY --from=walker /end /got/
RUN test $(cat /got/owners | tr -d '\n') = 000
";

#[test]
fn a_run_that_walks_over_everything_reaches_neither_the_container_nor_other_stages() {
    skip_without_ground!();
    let (ground, project) = (Ground::busybox(), Project::new(WALKER));
    let house = House::new(&ground, &project);
    let build = house.container.exec(&COMMAND).unwrap();
    assert_eq!(build.status, 0, "{}", build.output);
    for word in ["moved ", "made ", "linked "] {
        let said = build.output.lines().any(|line| {
            line.split("] ")
                .last()
                .is_some_and(|text| text.starts_with(word))
        });
        assert!(!said, "{word}: {}", build.output);
    }
    house.assert_unchanged("a walker");
    assert!(project.join("Dockerfile").exists());
}

#[test]
fn builds_in_one_container_wait_for_each_other() {
    skip_without_ground!();
    let dockerfile =
        "FROM busybox\nRUN echo mine > /mine && sleep 0.5 && cat /mine\nRUN sleep 0.2; cat /mine\n";
    let (ground, project) = (Ground::busybox(), Project::new(dockerfile));
    let house = House::new(&ground, &project);
    let command = COMMAND.join(" ");
    // No program of the container can be started while a root is in its place.
    let script = format!(
        "{command} & a=$!; {command} & b=$!; {command} & c=$!; wait $a; a=$?; wait $b; b=$?; wait $c; echo $a $b $? all"
    );
    let builds = house.container.exec(&["sh", "-c", &script]).unwrap();
    assert!(builds.output.contains("0 0 0 all"), "{}", builds.output);
    house.assert_unchanged("three builds");
}

#[test]
fn where_executor_and_helper_are_killed_the_executor_that_lies_aside_puts_everything_back() {
    skip_without_ground!();
    skip_unless!(needs::program("busybox"));
    let waiting = "FROM busybox\nRUN touch /half && echo ran-$((40+2))-begun && sleep 4244\n";
    let (ground, project) = (Ground::busybox(), Project::new(waiting));
    std::fs::copy("/bin/busybox", project.join("busybox")).unwrap();
    let house = House::new(&ground, &project);
    let mut build = house.container.spawn(&COMMAND).unwrap();
    build
        .wait_for("ran-42-begun", Duration::from_secs(120))
        .unwrap();
    // A program of a volume, which belongs to no command.
    let bystander = ["/builds/group/project/busybox", "sleep", "4243"];
    let _bystander = house.container.spawn(&bystander).unwrap();
    let processes = |signal, words: &str| house.container.signal(signal, words).unwrap();
    wait_until("the bystander runs", Duration::from_secs(30), || {
        Ok(processes(Signal::CONT, "sleep 4243") == 1)
    })
    .unwrap();
    assert_eq!(processes(Signal::STOP, "__run"), 1);
    assert_eq!(processes(Signal::KILL, "--context="), 1);
    assert_eq!(processes(Signal::KILL, "__run"), 1);
    assert_eq!(build.wait().unwrap().status, 137);

    project.write("Dockerfile", "FROM busybox\nRUN test ! -e /half\n");
    let aside = "/.yadokari/swap/aside/kaniko/executor";
    let build = house
        .container
        .exec(&[&[aside], &COMMAND[1..]].concat())
        .unwrap();
    assert_eq!(build.status, 0, "{}", build.output);
    assert!(
        build.output.contains("out of the way again"),
        "{}",
        build.output
    );
    assert_eq!(processes(Signal::CONT, "sleep 4244"), 0);
    assert_eq!(processes(Signal::KILL, "sleep 4243"), 1);
    house.assert_unchanged("a build after both were killed");
}
