//! Second builds on machines that share nothing but a cache.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use yadokari_testkit::process::Finished;
use yadokari_testkit::registry::Options;
use yadokari_testkit::{Mirror, Registry, executor, needs, process, skip_unless, validate};

use super::Place;
use crate::support::project::Project;
use crate::support::steps::executed;

/// Six stages, four of which are only copied from.
const SIX_STAGES: &str = "\
FROM busybox AS tools
RUN echo ran-$((40+2))-tools; echo tool > /tool
FROM busybox AS source
COPY src /src
RUN echo ran-$((40+2))-source; mkdir /out && wc -l < /src/main > /out/lines
FROM busybox AS docs
RUN echo ran-$((40+2))-docs; date +%s%N > /docs
FROM busybox AS extra
RUN echo ran-$((40+2))-extra; echo extra > /extra
FROM busybox AS common
ARG VERSION=1
RUN echo ran-$((40+2))-common; echo $VERSION > /version
FROM common
LABEL a=b
COPY --from=source /out /out
RUN echo ran-$((40+2))-check; test -s /out/lines
COPY --from=tools /tool /bin/tool
COPY --link --from=extra /extra /extra
COPY --from=docs /docs /docs
";

/// A registry whose files can be reached, a project, and a machine without any state.
struct Bench {
    place: Place,
    storage: TempDir,
    project: Project,
}

impl Bench {
    fn new(dockerfile: &str) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let options = Options {
            storage: Some(storage.path().to_owned()),
            ..Options::default()
        };
        let project = Project::new(dockerfile);
        project.write("src/main", "one\ntwo\n");
        Self {
            place: Place {
                mirror: Mirror::busybox().unwrap(),
                registry: Registry::start(options).unwrap(),
            },
            storage,
            project,
        }
    }

    fn image(&self) -> String {
        format!("{}/team/app:latest", self.place.registry.address())
    }

    fn cache(&self) -> String {
        format!("{}/team/app/cache", self.place.registry.address())
    }

    /// Builds with the cache in the registry.
    fn build(&self, more: &[&str]) -> Finished {
        let cache = self.cache();
        self.run(&[&["--cache=true", "--cache-repo", &cache], more].concat())
    }

    /// Builds and pushes.
    fn run(&self, flags: &[&str]) -> Finished {
        let state = tempfile::tempdir().unwrap();
        let mut build = self.place.build(state.path());
        build.args(["--progress", "plain", "--push", "--tag", &self.image()]);
        build.args(flags).arg(self.project.path());
        process::finish(&mut build).unwrap()
    }

    /// Requests that the registry got during some work, as `METHOD PATH`.
    fn requests(&self, work: impl FnOnce()) -> Vec<String> {
        let before = self.place.registry.log().len();
        work();
        let log = self.place.registry.log();
        let lines = log[before..].lines().filter_map(|line| {
            let (_, request) = line.split_once("] \"")?;
            let (request, _) = request.split_once(" HTTP/")?;
            Some(request.to_owned())
        });
        lines.collect()
    }

    /// Removes the bytes of a layer from the registry.
    fn lose(&self, digest: &str) {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.storage.path().join("docker/registry/v2/blobs/sha256");
        std::fs::remove_dir_all(blobs.join(&hex[..2]).join(hex)).unwrap();
    }

    fn layers(&self) -> Vec<String> {
        let endpoint = self.place.registry.endpoint();
        validate::pushed(&endpoint, "team/app", "latest")
            .unwrap()
            .layers()
    }
}

fn count(requests: &[String], what: impl Fn(&str) -> bool) -> usize {
    requests.iter().filter(|request| what(request)).count()
}

#[test]
fn a_fully_cached_build_of_six_stages_reads_manifests_mounts_and_writes_one_manifest() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(SIX_STAGES);
    let cold = bench.build(&[]).success();
    assert_eq!(
        executed(&cold),
        ["check", "common", "docs", "extra", "source", "tools"]
    );
    let layers = bench.layers();

    let requests = bench.requests(|| {
        let warm = bench.build(&[]).success();
        assert_eq!(executed(&warm), [""; 0]);
    });
    assert_eq!(bench.layers(), layers);
    let is_push_check = |request: &str| {
        (request.starts_with("POST") && request.ends_with("/uploads/"))
            || request.starts_with("DELETE")
    };
    assert_eq!(
        count(&requests, |request| request.starts_with("GET")
            && request.contains("/blobs/")),
        0,
        "{requests:#?}"
    );
    assert_eq!(
        count(&requests, |request| request.starts_with("PATCH")),
        0,
        "{requests:#?}"
    );
    let puts: Vec<_> = requests
        .iter()
        .filter(|request| request.starts_with("PUT"))
        .collect();
    assert_eq!(puts, ["PUT /v2/team/app/manifests/latest"], "{requests:#?}");
    // Each record once, each layer of the image once, and little around them.
    assert_eq!(
        count(&requests, |request| request.contains("/cache/manifests/")),
        11,
        "{requests:#?}"
    );
    let mounts = count(&requests, |request| request.contains("mount="));
    assert_eq!(mounts, layers.len() - 1, "{requests:#?}");
    let others = count(&requests, |request| {
        !request.contains("/cache/manifests/")
            && !request.contains("mount=")
            && !is_push_check(request)
    });
    assert!(others <= 6, "{requests:#?}");
}

#[test]
fn what_follows_a_copy_hits_when_its_stage_was_done_again_with_the_same_files() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(SIX_STAGES);
    bench.build(&[]).success();
    let layers = bench.layers();
    // The same number of lines, which is all that is copied.
    bench.project.write("src/main", "three\nfour\n");
    let again = bench.build(&[]).success();
    assert_eq!(executed(&again), ["source"]);
    assert!(
        again.output.contains("not cached: /src/main changed"),
        "{}",
        again.output
    );
    assert_eq!(bench.layers(), layers);
    // By now the layers go by the keys that a plan has.
    let third = bench.build(&[]).success();
    assert!(third.output.contains("nothing ran"), "{}", third.output);
    bench.project.write("src/main", "one\n");
    let other = bench.build(&[]).success();
    assert_eq!(executed(&other), ["check", "source"]);
}

#[test]
fn what_is_copied_from_a_stage_that_is_made_anew_is_looked_at_again() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(
        "FROM busybox AS same\nRUN echo ran-$((40+2))-same; echo same > /same; touch -d @0 /same\n\
         FROM busybox AS other\nRUN echo ran-$((40+2))-other; date +%s%N > /other; cat /proc/uptime >> /other\n\
         FROM busybox\nCOPY --from=same /same /same\nRUN echo ran-$((40+2))-one; cat /same\n\
         COPY --from=other /other /other\nRUN echo ran-$((40+2))-two; cat /other\n",
    );
    bench.build(&[]).success();
    let layers = bench.layers();
    let renewed = |stage: &str| bench.build(&["--no-cache-filter", stage]).success();
    let same = renewed("same");
    assert_eq!(executed(&same), ["same"], "{}", same.output);
    assert_eq!(bench.layers(), layers);
    let other = renewed("other");
    assert_eq!(executed(&other), ["other", "two"], "{}", other.output);
    assert_ne!(bench.layers(), layers);
}

#[test]
fn a_layer_that_is_gone_is_made_again_and_told_of() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(
        "FROM busybox\nRUN echo ran-$((40+2))-one; echo 1 > /one\nRUN echo ran-$((40+2))-two; echo 2 > /two\n",
    );
    bench.build(&[]).success();
    let layers = bench.layers();
    bench.lose(&layers[1]);
    let again = bench.build(&[]).success();
    assert!(executed(&again).contains(&"one"), "{}", again.output);
    assert!(again.output.contains("is gone"), "{}", again.output);
    assert_eq!(executed(&bench.build(&[]).success()), [""; 0]);
    bench.layers();
}

#[test]
fn a_layer_with_other_bytes_is_done_without() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new("FROM busybox\nRUN echo ran-$((40+2))-one; echo 1 > /one\n");
    let cache = tempfile::tempdir().unwrap();
    let place = format!("oci:{}", cache.path().join("layers").display());
    let flags = ["--cache=true", "--cache-repo", &place];
    bench.run(&flags).success();
    corrupt_layers(&cache.path().join("layers"));
    bench.project.write(
        "Dockerfile",
        "FROM busybox\nRUN echo ran-$((40+2))-one; echo 1 > /one\nRUN echo ran-$((40+2))-two; cat /one\n",
    );
    let again = bench.run(&flags).success();
    assert_eq!(executed(&again), ["one", "two"], "{}", again.output);
    assert_eq!(
        executed(&bench.run(&flags).success()),
        [""; 0],
        "by now the cache is whole again"
    );
    assert!(
        again.output.contains("building without it"),
        "{}",
        again.output
    );
}

/// Turns the bytes of every gzip blob of a layout into zeros.
fn corrupt_layers(layout: &Path) {
    for entry in std::fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            std::fs::write(&path, vec![0; bytes.len()]).unwrap();
        }
    }
}

#[test]
fn scopes_part_branches_and_may_be_read_from_others() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new("FROM busybox\nRUN echo ran-$((40+2))-step; date +%s%N > /made\n");
    let ran = |scope: &str| !executed(&bench.build(&["--cache-scope", scope]).success()).is_empty();
    assert!(ran("feature"));
    assert!(!ran("feature"));
    assert!(ran("main"), "a protected branch takes nothing from others");
    assert!(!ran("another,main"), "which may take from it");
    assert!(!executed(&bench.build(&[]).success()).is_empty());
}

#[test]
fn an_ordinary_image_gives_the_layers_that_its_history_tells() {
    skip_unless!(needs::root(), needs::registry());
    let start = "FROM busybox\nENV A=1\nARG V=1\nRUN echo ran-$((40+2))-one; date +%s%N > /one\nWORKDIR /srv\n";
    let dockerfile = format!("{start}COPY src /src\nRUN echo ran-$((40+2))-two\n");
    let bench = Bench::new(&dockerfile);
    bench.run(&[]).success();
    let layers = bench.layers();
    let from = ["--cache-from", &bench.image()];
    let second = bench.run(&from).success();
    assert_eq!(executed(&second), ["two"], "{}", second.output);
    assert_eq!(bench.layers()[..3], layers[..3]);
    let other = bench
        .run(&[&from[..], &["--build-arg", "V=2"]].concat())
        .success();
    assert_eq!(executed(&other), ["one", "two"]);
}

#[test]
fn what_was_done_before_a_failure_is_in_the_cache() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(
        "FROM busybox\nRUN echo ran-$((40+2))-one; date +%s%N > /one\nRUN echo ran-$((40+2))-two; exit 3\n",
    );
    for expected in [&["one", "two"][..], &["two"]] {
        let failed = bench.build(&[]);
        assert_eq!(failed.status, 3, "{}", failed.output);
        assert_eq!(executed(&failed), expected, "{}", failed.output);
    }
}

#[test]
fn a_cache_of_buildkit_is_refused_with_the_reason() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new("FROM busybox\nRUN echo ran-$((40+2))-one\n");
    let address = bench.place.registry.address();
    let cache = format!("{address}/team/foreign:buildcache");
    foreign_cache(&bench, "buildcache");
    let built = bench
        .run(&["--cache-from", &format!("type=registry,ref={cache}")])
        .success();
    assert!(
        built.output.contains("it is a cache of BuildKit"),
        "{}",
        built.output
    );
}

/// Pushes a manifest as BuildKit writes for `--cache-to type=registry,image-manifest=true`.
fn foreign_cache(bench: &Bench, tag: &str) {
    let layout = tempfile::tempdir().unwrap();
    let blobs = layout.path().join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = yadokari_testkit::digest::of(bytes);
        std::fs::write(blobs.join(digest.trim_start_matches("sha256:")), bytes).unwrap();
        digest
    };
    let config = put(b"{\"layers\":[],\"records\":[]}");
    let manifest = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.buildkit.cacheconfig.v0\",\"digest\":\"{config}\",\"size\":26}},\"layers\":[]}}"
    );
    let digest = put(manifest.as_bytes());
    std::fs::write(
        layout.path().join("oci-layout"),
        "{\"imageLayoutVersion\":\"1.0.0\"}",
    )
    .unwrap();
    let index = format!(
        "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{digest}\",\"size\":{},\"annotations\":{{\"org.opencontainers.image.ref.name\":\"x\"}}}}]}}",
        manifest.len()
    );
    std::fs::write(layout.path().join("index.json"), index).unwrap();
    let target = format!(
        "docker://{}/team/foreign:{tag}",
        bench.place.registry.address()
    );
    let mut copy = Command::new("skopeo");
    copy.args(["copy", "--quiet", "--dest-tls-verify=false"]);
    copy.arg(format!("oci:{}:x", layout.path().display()))
        .arg(target);
    process::run(&mut copy).unwrap();
}

#[test]
fn commands_hit_where_copies_are_not_cached() {
    skip_unless!(needs::root(), needs::registry());
    let bench =
        Bench::new("FROM busybox\nCOPY src /src\nRUN echo ran-$((40+2))-step; wc -l /src/main\n");
    let flags = ["--cache-copy-layers=false"];
    assert_eq!(executed(&bench.build(&flags).success()), ["step"]);
    assert_eq!(executed(&bench.build(&flags).success()), [""; 0]);
    bench.project.write("src/main", "other\n");
    assert_eq!(executed(&bench.build(&flags).success()), ["step"]);
}

#[test]
fn a_plan_says_what_changed_and_hides_what_looks_secret() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new(
        "FROM busybox\nARG VERSION\nARG NPM_TOKEN\nRUN echo ran-$((40+2))-one\nCOPY src /src\n",
    );
    let given = |version: &str, token: &str| {
        vec![format!("VERSION={version}"), format!("NPM_TOKEN={token}")]
    };
    let plan = |version: &str, token: &str| {
        let state = tempfile::tempdir().unwrap();
        let mut plan = Command::new(executor::path().unwrap());
        plan.args([
            "plan",
            "--explain",
            "--cache=true",
            "--cache-repo",
            &bench.cache(),
        ]);
        plan.args([
            "--registry-mirror",
            &bench.place.mirror.address(),
            "--state-dir",
        ]);
        plan.arg(state.path());
        for argument in given(version, token) {
            plan.args(["--build-arg", &argument]);
        }
        process::run(plan.arg(bench.project.path())).unwrap()
    };
    assert!(plan("1.0", "hunter2").contains("because no earlier build of this target is known"));
    let arguments = given("1.0", "hunter2");
    bench
        .build(&["--build-arg", &arguments[0], "--build-arg", &arguments[1]])
        .success();
    assert!(
        !plan("1.0", "hunter2").contains("because"),
        "nothing changed"
    );
    let changed = plan("1.1", "hunter2");
    assert!(
        changed.contains("because variable VERSION was `1.0`, is `1.1`"),
        "{changed}"
    );
    assert!(changed.contains("because it follows `RUN"), "{changed}");
    let secret = plan("1.0", "correcthorse");
    assert!(
        secret.contains("because a hidden value may have changed: variable NPM_TOKEN"),
        "{secret}"
    );
    bench.project.write("src/new", "");
    let file = plan("1.0", "hunter2");
    assert!(file.contains("because /src/new is new"), "{file}");
    assert!(
        ![changed, secret, file]
            .iter()
            .any(|text| text.contains("hunter2") || text.contains("correcthorse"))
    );
    let stored = process::run(
        Command::new("grep")
            .args(["-rl", "hunter2"])
            .arg(bench.storage.path()),
    );
    let history = bench.layers().len();
    assert!(history > 0);
    // The image's own history has the arguments, as docker's has; the cache has not.
    for file in stored.unwrap_or_default().lines() {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        assert!(!text.contains("dev.yadokari.cache"), "{file}");
    }
}

#[test]
fn a_cache_is_listed_verified_and_pruned() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new("FROM busybox\nRUN echo 1 > /one\nRUN echo 2 > /two\n");
    let directory = tempfile::tempdir().unwrap();
    let local = format!("oci:{}", directory.path().join("layers").display());
    bench
        .run(&["--cache=true", "--cache-repo", &local])
        .success();
    bench.build(&[]).success();
    for place in [local.clone(), bench.cache()] {
        let cache = |words: &[&str]| {
            let mut command = Command::new(executor::path().unwrap());
            process::finish(command.arg("cache").args(words).arg(&place)).unwrap()
        };
        let listed: Value =
            serde_json::from_str(&cache(&["ls", "--json"]).success().output).unwrap();
        let layers = listed
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["kind"] == "layer");
        assert_eq!(layers.count(), 2, "{listed}");
        assert!(
            cache(&["ls"])
                .success()
                .output
                .contains("RUN echo 1 > /one")
        );
        assert!(
            cache(&["verify"])
                .success()
                .output
                .contains("3 entries checked, 0 wrong")
        );
        assert!(
            cache(&["prune"])
                .success()
                .output
                .contains("removed 0 entries")
        );
        assert!(
            cache(&["prune", "--all", "--dry-run"])
                .success()
                .output
                .contains("would remove 3 entries")
        );
        assert!(
            cache(&["prune", "--keep-storage", "0"])
                .success()
                .output
                .contains("removed 3 entries")
        );
        assert!(cache(&["ls"]).success().output.contains("0 entries"));
    }
}

#[test]
fn verify_finds_a_layer_with_other_bytes() {
    skip_unless!(needs::root(), needs::registry());
    let bench = Bench::new("FROM busybox\nRUN echo 1 > /one\n");
    let directory = tempfile::tempdir().unwrap();
    let layout = directory.path().join("layers");
    let place = format!("oci:{}", layout.display());
    bench
        .run(&["--cache=true", "--cache-repo", &place])
        .success();
    corrupt_layers(&layout);
    let mut verify = Command::new(executor::path().unwrap());
    let found = process::finish(verify.args(["cache", "verify", &place])).unwrap();
    assert_eq!(found.status, 1, "{}", found.output);
    assert!(found.output.contains("1 wrong"), "{}", found.output);
}
