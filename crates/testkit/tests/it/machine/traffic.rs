//! What a build asks of its registries: requests, connections and bytes, counted on the way.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::tap::{Behaviour, Counts};
use yadokari_testkit::{
    Registry, Tap, base, executor, needs, process, registry, skip_unless, validate,
};

/// One image of four layers, two of which a RUN makes. The copy has another name: under its own it would be the very layer of
/// the RUN, and be sent again or not as that has arrived by then.
const DOCKERFILE: &str = "FROM busybox AS build
RUN head -c 3000000 /dev/urandom > /data
FROM busybox
COPY --from=build /data /copy
COPY Dockerfile /Dockerfile
RUN head -c 1000000 /dev/urandom > /more
CMD [\"cat\", \"/Dockerfile\"]
";

/// A registry that holds the base image and gets everything else, behind a tap.
struct Place {
    registry: Registry,
    tap: Tap,
    context: tempfile::TempDir,
}

impl Place {
    fn of(dockerfile: &str) -> Self {
        let registry = Registry::start(registry::Options::default()).unwrap();
        let endpoint = registry.endpoint();
        endpoint
            .push(&base::busybox().unwrap(), "library/busybox", "latest")
            .unwrap();
        let context = tempfile::tempdir().unwrap();
        std::fs::write(context.path().join("Dockerfile"), dockerfile).unwrap();
        Self {
            tap: Tap::start(registry.port(), Behaviour::default()).unwrap(),
            registry,
            context,
        }
    }

    /// Builds with a state directory, pushes to these tags, and gives what passed.
    #[expect(
        clippy::print_stdout,
        reason = "the figures are for whoever runs this test by itself"
    )]
    fn build(&self, what: &str, state: &Path, tags: &[&str], flags: &[&str]) -> Counts {
        let _ = self.tap.take_counts();
        let address = self.tap.address();
        let mut command = Command::new(executor::path().unwrap());
        command.arg("build").arg(self.context.path());
        command.args([
            "--push",
            "--isolation",
            "namespaces",
            "--registry-mirror",
            &address,
        ]);
        command.arg("--state-dir").arg(state).args(flags);
        for tag in tags {
            command.args(["--tag", &format!("{address}/{tag}")]);
        }
        command.env_remove("CI").env_remove("GITLAB_CI");
        process::finish(&mut command).unwrap().success();
        for tag in tags {
            let (repository, tag) = tag.split_once(':').unwrap();
            validate::pushed(&self.registry.endpoint(), repository, tag).unwrap();
        }
        let counts = self.tap.take_counts();
        println!(
            "{what}: {} requests, {} connections, {} kB sent, {} kB received",
            counts.total(),
            counts.connections,
            counts.sent / 1000,
            counts.received / 1000
        );
        println!("  {:?}", counts.requests);
        counts
    }
}

/// Requests whose kind begins so.
fn of(counts: &Counts, kind: &str) -> u64 {
    let all = counts.requests.iter();
    all.filter(|(name, _)| name.starts_with(kind))
        .map(|(_, number)| number)
        .sum()
}

#[test]
fn a_build_asks_for_no_more_than_it_needs() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::of(DOCKERFILE);
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let cache = format!("{}/cache", place.tap.address());
    let flags = ["--cache", "--cache-repo", &cache];

    let cold = place.build("cold push", first.path(), &["app:1"], &flags);
    // The data, their copy and the last layer. The base is mounted from the mirror, what is in the cache where the image is.
    assert!((7_000_000..7_400_000).contains(&cold.sent), "{cold:?}");
    assert!(cold.total() <= 80, "{cold:?}");

    let again = place.build("repeat push", first.path(), &["app:2"], &flags);
    assert!(again.sent < 100_000, "{again:?}");
    assert!(again.total() <= 17, "{again:?}");
    assert_eq!(of(&again, "PUT manifest"), 1, "{again:?}");

    let cached = place.build("fully cached build", second.path(), &["app:3"], &flags);
    assert!(
        cached.sent < 100_000 && cached.received < 100_000,
        "{cached:?}"
    );
    assert!(cached.total() <= 17, "{cached:?}");
    assert_eq!(of(&cached, "PUT manifest"), 1, "{cached:?}");
}

#[test]
fn destinations_on_one_registry_share_one_upload() {
    skip_unless!(needs::root(), needs::registry());
    let place = Place::of(DOCKERFILE);
    let state = tempfile::tempdir().unwrap();
    let counts = place.build(
        "three destinations",
        state.path(),
        &["a:1", "b:1", "b:2"],
        &[],
    );
    assert!(counts.sent < 6_000_000, "{counts:?}");
    assert_eq!(of(&counts, "PUT manifest"), 3, "{counts:?}");
}

#[test]
fn layers_that_only_receive_files_are_downloaded_once() {
    skip_unless!(needs::root(), needs::registry());
    let copy = "COPY file /bin/\nENTRYPOINT [\"/bin/file\"]\n";
    let bare = format!("FROM busybox\n{copy}");
    let cached = format!("FROM busybox\nRUN head -c 2000000 /dev/urandom > /data\n{copy}");
    for (dockerfile, unread) in [(bare, 1), (cached, 2)] {
        let place = Place::of(&dockerfile);
        let cache = format!("{}/cache", place.tap.address());
        let flags = ["--cache", "--cache-repo", &cache];
        for number in 1..=4 {
            std::fs::write(place.context.path().join("file"), format!("{number}")).unwrap();
            let state = tempfile::tempdir().unwrap();
            let what = format!("build {number}");
            let counts = place.build(&what, state.path(), &["app:1"], &flags);
            let listed = number > unread;
            assert_eq!(counts.received < 100_000, listed, "{what}: {counts:?}");
        }
    }
}
