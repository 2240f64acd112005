//! Base images that are unpacked once: by stages, and by builds after each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use yadokari_testkit::process::Finished;
use yadokari_testkit::tap::Behaviour;
use yadokari_testkit::{EmbeddedRegistry, Tap, base, executor, needs, process, skip_unless};

/// Two stages on one base, a third on one of them, and an image that has no layer of the base.
const DOCKERFILE: &str = "FROM busybox AS one
ARG WORD
RUN echo one $WORD > /one && rm /bin/cat && mkdir -p /usr/new && ! grep THP_enabled:.0 /proc/self/status
FROM busybox AS two
ARG WORD
RUN --mount=type=bind,from=one,source=/,target=/below cat /below/one > /two && ! ls /below/bin/cat && ls /bin/cat >> /two
FROM one AS three
RUN ! ls /bin/cat && busybox cat /one > /three && echo more >> /one
FROM scratch
COPY --from=one /one /
COPY --from=two /two /
COPY --from=three /one /three /again/
";

/// A registry with busybox, a state directory, and a context.
struct Place {
    registry: EmbeddedRegistry,
    /// Where images are pulled from.
    mirror: String,
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let registry = EmbeddedRegistry::start().unwrap();
        let busybox = base::busybox().unwrap();
        registry.add(&busybox, "library/busybox", "latest").unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("context")).unwrap();
        fs::write(directory.path().join("context/Dockerfile"), DOCKERFILE).unwrap();
        Self {
            mirror: registry.address(),
            registry,
            directory,
        }
    }

    /// Pulls through a tap from now on, where the first copy of every blob is wrong.
    fn with_wrong_first_copies(&mut self) -> Tap {
        let address = self.registry.address();
        let (_, port) = address.rsplit_once(':').unwrap();
        let behaviour = Behaviour {
            spoils_first_copies: true,
            ..Behaviour::default()
        };
        let tap = Tap::start(port.parse().unwrap(), behaviour).unwrap();
        self.mirror = tap.address();
        tap
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Builds with an argument, and gives what was said and the files that came out.
    fn build(&self, word: &str, flags: &[&str]) -> (Finished, PathBuf) {
        let out = self.path(&format!("out-{word}"));
        let mut command = Command::new(executor::path().unwrap());
        command
            .args(["build", "--no-push", "--isolation=namespaces"])
            .arg(format!("--build-arg=WORD={word}"))
            .arg(format!("--registry-mirror={}", self.mirror))
            .arg(format!("--output=type=local,dest={}", out.display()))
            .arg(format!("--state-dir={}", self.path("state").display()))
            .args(flags)
            .arg(self.path("context"));
        command.env_remove("CI").env_remove("GITLAB_CI");
        (process::finish(&mut command).unwrap().success(), out)
    }

    /// The unpacked bases.
    fn bases(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("state/bases")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

fn check(out: &Path, word: &str) {
    let text = |path: &str| fs::read_to_string(out.join(path)).unwrap();
    assert_eq!(text("one"), format!("one {word}\n"));
    assert_eq!(text("two"), format!("one {word}\n/bin/cat\n"));
    assert_eq!(text("again/one"), format!("one {word}\nmore\n"));
    assert_eq!(text("again/three"), format!("one {word}\n"));
}

#[test]
fn a_second_build_neither_downloads_nor_unpacks_its_base() {
    skip_unless!(needs::root());
    let place = Place::new();
    let (_, out) = place.build("first", &["--snapshot=overlay"]);
    check(&out, "first");
    assert_eq!(place.bases().len(), 1, "{:?}", place.bases());
    fs::remove_dir_all(place.path("state/blobs")).unwrap();

    let (_, out) = place.build("second", &["--snapshot=overlay"]);
    check(&out, "second");
    let requests = place.registry.requests();
    let layers = base::busybox().unwrap().image().unwrap().layers();
    for layer in layers {
        let times = requests
            .iter()
            .filter(|request| request.contains(&layer))
            .count();
        assert_eq!(times, 1, "{requests:?}");
    }
}

/// A layer is listed and unpacked while it comes, and only at its end is it seen whether it is the right one.
#[test]
fn what_was_read_of_a_wrong_copy_is_forgotten() {
    skip_unless!(needs::root());
    for snapshot in ["overlay", "scan"] {
        let mut place = Place::new();
        let tap = place.with_wrong_first_copies();
        let (_, out) = place.build("wrong", &[&format!("--snapshot={snapshot}")]);
        check(&out, "wrong");
        let counts = tap.take_counts();
        assert_eq!(
            counts.faults["WrongBytes"], 2,
            "layer and config: {counts:?}"
        );
        if snapshot == "overlay" {
            let kept = fs::read_dir(&place.bases()[0]).unwrap();
            let mut names: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["root", "snapshot", "used"]);
        }
    }
    let mut place = Place::new();
    let tap = place.with_wrong_first_copies();
    let copies = "FROM busybox\nCOPY Dockerfile /bin/sh\n";
    fs::write(place.path("context/Dockerfile"), copies).unwrap();
    let (_, out) = place.build("listed", &[]);
    assert_eq!(fs::read_to_string(out.join("bin/sh")).unwrap(), copies);
    assert_eq!(tap.take_counts().faults["WrongBytes"], 2);
}

#[test]
fn a_base_that_was_changed_is_unpacked_again() {
    skip_unless!(needs::root());
    let place = Place::new();
    place.build("first", &["--snapshot=overlay"]);
    let base = place.bases().pop().unwrap();
    fs::write(base.join("root/bin/busybox"), "no program").unwrap();
    let (said, out) = place.build("second", &["--snapshot=overlay"]);
    check(&out, "second");
    assert!(said.output.contains("unpacked again"), "{}", said.output);
    let (said, _) = place.build("third", &["--snapshot=overlay"]);
    assert!(!said.output.contains("unpacked again"), "{}", said.output);
}

#[test]
fn a_scan_builds_the_same_without_a_shared_base() {
    skip_unless!(needs::root());
    let place = Place::new();
    let (_, out) = place.build("scanned", &["--snapshot=scan"]);
    check(&out, "scanned");
    assert!(!place.path("state/bases").exists());
}

#[test]
fn builds_at_the_same_time_share_one_base() {
    skip_unless!(needs::root());
    let place = Place::new();
    std::thread::scope(|scope| {
        for word in ["a", "b", "c"] {
            let place = &place;
            scope.spawn(move || check(&place.build(word, &["--snapshot=overlay"]).1, word));
        }
    });
    assert_eq!(place.bases().len(), 1, "{:?}", place.bases());
}

#[test]
fn hundreds_of_layers_lie_below_a_command() {
    skip_unless!(needs::root());
    let place = Place::new();
    let copies: String = (0..400)
        .map(|number| format!("COPY Dockerfile /below/{number}\n"))
        .collect();
    let changes: String = (0..40)
        .map(|number| format!("RUN rm /below/{number} && echo {number} >> /above\n"))
        .collect();
    let dockerfile = format!("FROM busybox AS one\n{copies}FROM one\n{changes}");
    fs::write(place.path("context/Dockerfile"), dockerfile).unwrap();
    for snapshot in ["overlay", "scan"] {
        let (_, out) = place.build(snapshot, &[&format!("--snapshot={snapshot}")]);
        assert_eq!(fs::read_dir(out.join("below")).unwrap().count(), 360);
        let above = fs::read_to_string(out.join("above")).unwrap();
        assert_eq!(above.lines().count(), 40);
    }
}
