//! Cache mounts on a machine: kept there, kept in a repository, kept apart.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::process::Finished;
use yadokari_testkit::{needs, process, skip_unless, validate};

use super::Place;
use crate::support::packages::Packages;
use crate::support::project::Project;

/// Downloads a package unless the cache has it, as package managers do.
fn downloading(packages: &Packages) -> String {
    format!(
        "FROM busybox\nARG ROUND\n\
         RUN --mount=type=cache,id=packages,target=/var/cache/get \
         test -e /var/cache/get/tool.pkg || wget -q -O /var/cache/get/tool.pkg {}/tool.pkg; \
         cp /var/cache/get/tool.pkg /tool && echo round $ROUND\n",
        packages.url()
    )
}

fn packages() -> Packages {
    Packages::serve([("tool.pkg".to_owned(), vec![7; 300_000])])
}

/// A machine of its own: a state directory that no other has.
struct Machine<'p> {
    place: &'p Place,
    state: tempfile::TempDir,
}

impl<'p> Machine<'p> {
    fn new(place: &'p Place) -> Self {
        let state = tempfile::tempdir().unwrap();
        Self { place, state }
    }

    fn command(&self, project: &Project, words: &[&str]) -> Command {
        let mut command = self.place.build(self.state.path());
        command.args(words).arg(project.path());
        command
    }

    fn build(&self, project: &Project, words: &[&str]) -> Finished {
        process::finish(&mut self.command(project, words)).unwrap()
    }

    /// The files of an image that was built here.
    fn files(&self, project: &Project, words: &[&str]) -> tempfile::TempDir {
        let out = tempfile::tempdir().unwrap();
        let output = format!("--output=type=local,dest={}", out.path().display());
        let words: Vec<&str> = words.iter().copied().chain([output.as_str()]).collect();
        self.build(project, &words).success();
        out
    }
}

fn read(directory: &Path, file: &str) -> String {
    std::fs::read_to_string(directory.join(file)).unwrap()
}

fn mount_tags(place: &Place) -> Vec<String> {
    let tags = place
        .registry
        .endpoint()
        .tags("app/cache")
        .unwrap_or_default();
    tags.into_iter()
        .filter(|tag| tag.contains("mount-"))
        .collect()
}

#[test]
fn another_machine_downloads_nothing_where_mounts_are_saved_in_the_repository() {
    skip_unless!(needs::root(), needs::registry());
    let (place, packages) = (Place::new(), packages());
    let project = Project::new(&downloading(&packages));
    let tag = format!("{}/app:v1", place.registry.address());
    let words = ["--push", "--tag", &tag, "--cache-mounts=registry"];
    let build = |machine: &Machine<'_>, round: &str| {
        let words: Vec<&str> = words
            .iter()
            .copied()
            .chain(["--build-arg", round])
            .collect();
        machine.build(&project, &words).success()
    };
    let (first, second) = (Machine::new(&place), Machine::new(&place));
    build(&first, "ROUND=1");
    assert_eq!(packages.downloads("tool.pkg"), 1);
    assert_eq!(mount_tags(&place).len(), 1);
    let restored = build(&second, "ROUND=2");
    assert_eq!(packages.downloads("tool.pkg"), 1, "{}", restored.output);
    validate::pushed(&place.registry.endpoint(), "app", "v1").unwrap();

    let unchanged = place.registry.log();
    build(&first, "ROUND=3");
    assert_eq!(packages.downloads("tool.pkg"), 1);
    let since = place.registry.log()[unchanged.len()..].to_owned();
    assert!(
        !since.contains("mount-") || !since.contains("PUT /v2/app/cache/manifests/mount-"),
        "{since}"
    );
}

#[test]
fn mounts_that_are_not_to_be_saved_or_not_to_be_kept_are_not() {
    skip_unless!(needs::root(), needs::registry());
    let (place, packages) = (Place::new(), packages());
    let project = Project::new(&downloading(&packages));
    let tag = format!("{}/app:v1", place.registry.address());
    let pushed = ["--push", "--tag", &tag, "--cache-mounts=registry"];
    let machine = Machine::new(&place);
    let with = |more: &[&'static str]| -> Vec<String> {
        pushed
            .iter()
            .copied()
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    for more in [&["--no-push-cache"][..], &["--cache-mount-limit=100k"]] {
        let words = with(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = Machine::new(&place).build(&project, &words).success();
        assert!(mount_tags(&place).is_empty(), "{more:?}");
        let over = said.output.contains("--cache-mount-limit");
        assert_eq!(over, more[0].contains("limit"), "{}", said.output);
    }
    assert_eq!(packages.downloads("tool.pkg"), 2);
    for _ in 0..2 {
        machine.build(&project, &["--cache-mounts=off"]).success();
    }
    assert_eq!(packages.downloads("tool.pkg"), 4, "nothing is kept");
    for _ in 0..2 {
        machine.build(&project, &["--no-cache"]).success();
    }
    assert_eq!(
        packages.downloads("tool.pkg"),
        5,
        "a machine keeps them by itself"
    );
    let said = machine.build(
        &project,
        &["--cache-mounts=local", "--cache-mount-limit=100k"],
    );
    assert!(said.success().output.contains("was emptied"));
    machine.build(&project, &[]).success();
    assert_eq!(
        packages.downloads("tool.pkg"),
        6,
        "what outgrew the limit starts again"
    );
}

#[test]
fn a_place_that_cannot_be_read_or_holds_rubbish_costs_a_notice_and_no_build() {
    skip_unless!(needs::root(), needs::registry());
    let (place, packages) = (Place::new(), packages());
    let project = Project::new(&downloading(&packages));
    let unreachable = ["--cache-mounts=registry", "--cache-repo=localhost:1/cache"];
    let said = Machine::new(&place).build(&project, &unreachable).success();
    assert!(said.output.contains("starts empty"), "{}", said.output);
    assert!(said.output.contains("was not saved"), "{}", said.output);

    let directory = tempfile::tempdir().unwrap();
    let saved = directory.path().join("mounts");
    let there = format!("--cache-mounts=oci:{}", saved.display());
    Machine::new(&place).build(&project, &[&there]).success();
    assert_eq!(packages.downloads("tool.pkg"), 2);
    Machine::new(&place).build(&project, &[&there]).success();
    assert_eq!(
        packages.downloads("tool.pkg"),
        2,
        "a directory keeps them too"
    );
    for blob in std::fs::read_dir(saved.join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(&path, bytes).unwrap();
    }
    let said = Machine::new(&place).build(&project, &[&there]).success();
    assert!(said.output.contains("starts empty"), "{}", said.output);
    assert_eq!(packages.downloads("tool.pkg"), 3);
}

#[test]
fn builds_at_the_same_time_take_turns_where_they_are_told_to() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let machine = Machine::new(&place);
    let counting = "FROM busybox\n\
        RUN --mount=type=cache,id=count,target=/c,sharing=locked \
        n=$(cat /c/n 2>/dev/null || echo 0); sleep 1; echo $((n+1)) > /c/n; cp /c/n /n\n";
    let project = Project::new(counting);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| machine.build(&project, &[]).success());
        }
    });
    let out = machine.files(&project, &[]);
    assert_eq!(read(out.path(), "n"), "4\n", "no count was lost");

    let private = Project::new(
        "FROM busybox AS one\nRUN --mount=type=cache,id=p,target=/c,sharing=private \
         mkdir /c/mine && sleep 2 && ls /c > /seen && rmdir /c/mine\n\
         FROM busybox AS two\nRUN --mount=type=cache,id=p,target=/c,sharing=private \
         mkdir /c/mine && sleep 2 && ls /c > /seen && rmdir /c/mine\n\
         FROM scratch\nCOPY --from=one /seen /one\nCOPY --from=two /seen /two\n",
    );
    let out = machine.files(&private, &[]);
    assert_eq!(
        (read(out.path(), "one"), read(out.path(), "two")),
        ("mine\n".into(), "mine\n".into())
    );
}

/// What a RUN sees of mounts with options.
pub(crate) const OPTIONS: &str = "FROM busybox AS seed\n\
    RUN mkdir -p /s/d && echo seeded > /s/d/f && chown -R 7:8 /s/d\n\
    FROM busybox\n\
    RUN --mount=type=cache,from=seed,source=/s,target=/c cat /c/d/f > /seeded && stat -c %u:%g /c/d/f >> /seeded && echo more >> /c/d/f\n\
    RUN --mount=type=cache,from=seed,source=/s,target=/c cat /c/d/f > /again\n\
    RUN --mount=type=cache,target=/o,uid=12,gid=34,mode=0710 stat -c '%u:%g %a' /o > /owner\n\
    RUN --mount=type=cache,target=/o,ro (echo x > /o/new) 2>/dev/null; true\n\
    RUN --mount=type=cache,target=/o ls -A /o > /left && mkdir /o/kept\n\
    RUN --mount=type=cache,id=/o,target=/elsewhere ls /elsewhere > /kept\n";

/// The files that [`OPTIONS`] makes.
pub(crate) const SEEN: [(&str, &str); 5] = [
    ("seeded", "seeded\n7:8\n"),
    ("again", "seeded\nmore\n"),
    ("owner", "12:34 710\n"),
    ("left", ""),
    ("kept", "kept\n"),
];

#[test]
fn seeds_owners_and_read_only_mounts_are_as_the_dockerfile_says() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::new();
    let out = Machine::new(&place).files(&Project::new(OPTIONS), &[]);
    for (file, text) in SEEN {
        assert_eq!(read(out.path(), file), text, "{file}");
    }
}
