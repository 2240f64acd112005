//! Command lines that cannot be used, and what is said of them.

use insta::assert_snapshot;
use yadokari::flags::parse;
use yadokari::report::{Failure, UNUSABLE};

use crate::given::{environment, try_job};

fn refusal(program: &str, arguments: &[&str]) -> String {
    match try_job(program, arguments, &[]) {
        Ok(_) => panic!("{arguments:?} is accepted"),
        Err(error) => {
            let failure = Failure::from(&error);
            assert_eq!(failure.code, UNUSABLE);
            failure.to_text()
        }
    }
}

#[test]
fn a_way_to_find_changes_that_kaniko_does_not_know_is_refused() {
    let told = refusal("executor", &["--no-push", "--snapshot-mode=bogus"]);
    assert!(told.starts_with("error: --snapshot-mode"), "{told}");
    assert!(told.contains("expected full, redo or time"), "{told}");
}

#[test]
fn kanikos_refused_combinations() {
    let combinations: &[&[&str]] = &[
        &[],
        &[
            "-d",
            "r.example/a",
            "--compression=zstd",
            "--image-format=docker",
        ],
        &["--no-push", "--tar-path=a", "--image-format=oci"],
        &["--no-push", "--tar-path=a", "--compression=zstd"],
        &["--no-push", "--cache"],
        &["--no-push", "--image-name-with-digest-file=a"],
        &["--no-push", "--image-name-tag-with-digest-file=a"],
    ];
    let told: Vec<_> = combinations
        .iter()
        .map(|flags| format!("{flags:?}\n{}", refusal("executor", flags)))
        .collect();
    assert_snapshot!(told.join("\n"), @r##"
    []
    error: no --destination is given, and no --no-push
    hint: name a place with --destination REGISTRY/REPOSITORY:TAG, or add --no-push

    ["-d", "r.example/a", "--compression=zstd", "--image-format=docker"]
    error: zstd layers cannot be described by docker's media types
    hint: use --image-format=oci, or --compression=gzip

    ["--no-push", "--tar-path=a", "--image-format=oci"]
    error: a docker archive (--tar-path) cannot hold an image with --image-format=oci
    hint: write an OCI layout with --oci-layout-path, or leave these options out

    ["--no-push", "--tar-path=a", "--compression=zstd"]
    error: a docker archive (--tar-path) cannot hold zstd layers
    hint: write an OCI layout with --oci-layout-path, or leave these options out

    ["--no-push", "--cache"]
    error: --cache with --no-push needs --cache-repo
    hint: name a repository with --cache-repo, or a directory with --cache-repo oci:DIR

    ["--no-push", "--image-name-with-digest-file=a"]
    error: --image-name-with-digest-file needs a --destination

    ["--no-push", "--image-name-tag-with-digest-file=a"]
    error: --image-name-tag-with-digest-file needs a --destination
    "##);
}

#[test]
fn values_that_mean_nothing() {
    let lines: &[&[&str]] = &[
        &["--destination=UPPER"],
        &[
            "--destination=r.example/a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ],
        &["--cache-repo=a b"],
        &["--compression=lzma"],
        &["--compression-level=10"],
        &["--custom-platform=a/b/c/d/e"],
        &["--credential-helpers=vault"],
        &["--git=depth=many"],
        &["--git=tag=1"],
        &["--image-format=tarball"],
        &["--log-format=xml"],
        &["--registry-client-cert=h=cert"],
        &["--registry-map=nonsense"],
        &["--secret=src=x"],
        &["--secret=id=a,mode=1"],
        &["--secret=id=a,env=UNSET_VARIABLE"],
        &["--verbosity=loud"],
    ];
    let told: Vec<_> = lines
        .iter()
        .map(|flags| refusal("executor", &[&["--no-push"], *flags].concat()))
        .collect();
    assert_snapshot!(told.join(""), @r##"
    error: --destination: `UPPER` is no image reference
      cause: invalid reference format: repository name (library/UPPER) must be lowercase
    error: --destination: `r.example/a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`: leave the digest out: it follows from what is in the image
    error: --cache-repo: `a b` is no image reference
      cause: invalid reference format
    error: --compression: `lzma`: expected gzip, zstd or uncompressed
    error: --compression: `level 10`: gzip has the levels 1 to 9
    error: --custom-platform: `a/b/c/d/e`: "a/b/c/d/e": cannot parse platform specifier: invalid argument
    error: --credential-helpers: `vault`: expected one of env, google, ecr, acr, gitlab
    error: --git: `depth=many`: depth is a number
    error: --git: `tag=1`: expected branch=, single-branch=, depth=, recurse-submodules= or insecure-skip-tls=
    error: --image-format: `tarball`: expected oci or docker
    error: --log-format: `xml`: expected text, color or json
    error: --registry-client-cert: `cert`: expected HOST=CERTIFICATE,KEY
    error: --registry-map: `nonsense`: expected OLD=NEW, several separated by `;`
    error: --secret: `src=x`: id= is missing
    error: --secret: `id=a,mode=1`: `mode` is not one of id, src, env, type
    error: --secret: the variable UNSET_VARIABLE is not set
    error: --verbosity: `loud`: expected trace, debug, info, warn, error, fatal or panic
    "##);
}

#[test]
fn what_docker_could_and_we_do_not() {
    let lines: &[&[&str]] = &[
        &["--push"],
        &["--provenance=true"],
        &["--sbom"],
        &["--attest=type=provenance,mode=max"],
        &["--memory=1g"],
        &["--cgroup-parent=a"],
        &["--security-opt=seccomp=unconfined"],
        &["--platform=linux/amd64,linux/arm64", "--load"],
        &[
            "--platform=linux/amd64,linux/arm64",
            "--output=type=tar,dest=a,platform-split=false",
        ],
        &[
            "-t",
            "r.example/a:1",
            "--output=type=image,push-by-digest=true,push=true",
        ],
        &["--output=type=image,name=r.example/a,unpack=true"],
        &["--call=outline"],
        &["--add-host=a:host-gateway"],
        &["--add-host=a"],
        &["--ulimit=nofile"],
        &["--network=bridge"],
        &["--allow=device"],
        &["--progress=tty"],
        &["--ssh=default"],
        &["--build-context=a"],
        &["--annotation=index:a=1", "--no-push"],
        &["--cache-to=type=gha"],
        &["--cache-to=type=inline"],
        &["--output=type=oci,dest=a,compression=estargz"],
        &["--output=type=oci,dest=a,attestation-prefix=x"],
        &[
            "--output=type=oci,dest=a,compression=zstd",
            "--output=type=oci,dest=b,compression=gzip",
        ],
        &["--context=a", "b"],
    ];
    let told: Vec<_> = lines
        .iter()
        .map(|flags| refusal("yadokari", &[&["build"], *flags].concat()))
        .collect();
    assert_snapshot!(told.join(""), @r##"
    error: --push needs a name: --tag or --destination
    error: --provenance cannot be done: attestations are not made
    hint: leave it out, or set it to false
    error: --sbom cannot be done: attestations are not made
    hint: leave it out, or set it to false
    error: --attest cannot be done: attestations are not made
    hint: leave it out, or set it to false
    error: --memory cannot be done: no control group is made for RUN
    hint: limit the container or job that this program runs in
    error: --cgroup-parent cannot be done: no control group is made for RUN
    hint: limit the container or job that this program runs in
    error: --security-opt cannot be done: RUN has one confinement, docker's default or tighter
    hint: use `RUN --security=insecure` with --allow security.insecure
    error: a docker archive (--load) cannot hold an image of several platforms
    hint: use --push, or --output type=oci
    error: --output: `type=tar,platform-split=false`: an archive cannot merge the files of several platforms: use type=local
    error: push-by-digest=true and the tag `1` of r.example/a contradict each other
    error: --output: `type=image,name=r.example/a,unpack=true`: there is no store of a daemon: leave store= and unpack= out
    error: --call: `outline`: expected build or check
    error: --add-host: `a:host-gateway`: there is no gateway to a host: RUN has the executor's own network
    error: --add-host: `a`: expected HOST:IP
    error: --ulimit: `nofile`: expected NAME=SOFT[:HARD]
    error: --network: `bridge`: expected default, host or none
    error: --allow: `device`: expected network.host or security.insecure
    error: --progress: `tty`: standard error is no terminal that can redraw lines; use plain
    error: --ssh: the variable SSH_AUTH_SOCK is not set
    error: --build-context: `a`: expected NAME=VALUE
    error: annotation `a` is for an index, and an image of one platform has none
    error: --cache-to: `type=gha`: caches of type gha are not known: use type=registry or type=local
    error: --cache-to: `type=inline`: images carry no cache of their own: use type=registry with a repository; `--cache-from IMAGE` matches any image by its history
    error: --output: `estargz`: expected gzip, zstd or uncompressed
    error: --output: `type=oci,dest=a,attestation-prefix=x`: `attestation-prefix` is not known here
    error: compression= of one --output and that of another (a build makes one image) contradict each other
    error: --context `a` and `b` contradict each other
    "##);
}

#[test]
fn a_platform_that_nothing_is_built_for_is_refused_by_the_name_that_was_typed() {
    let build = |flags: &[&str]| refusal("yadokari", &[&["build", "--no-push"], flags].concat());
    let told = [
        build(&["--platform=windows/amd64"]),
        build(&["--platform=linux/amd64,linux/amd46"]),
        build(&["--custom-platform", "linux/vax"]),
        build(&["--platform=foo"]),
        refusal("executor", &["--no-push", "--customPlatform=plan9/amd64"]),
    ];
    assert_snapshot!(told.join(""), @r##"
    error: --platform: `windows/amd64`: images for windows cannot be built, only for linux
    error: --platform: `linux/amd46`: unknown architecture `amd46` (did you mean `amd64`?)
    error: --custom-platform: `linux/vax`: unknown architecture `vax`
    error: --platform: `foo`: "foo": unknown operating system or architecture: invalid argument
    error: --customPlatform: `plan9/amd64`: images for plan9 cannot be built, only for linux
    "##);
    let variable = [("DOCKER_DEFAULT_PLATFORM", "windows/amd64")];
    let refused = try_job("yadokari", &["build", "."], &variable).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("DOCKER_DEFAULT_PLATFORM: `windows/amd64`: "),
        "{refused}"
    );
}

#[test]
fn a_flag_without_its_value_is_called_as_it_was_typed() {
    for (arguments, name) in [
        (["build", "--file"], "--file <FILE>"),
        (["build", "--dockerfile"], "--dockerfile <FILE>"),
        (["plan", "--platform"], "--platform <PLATFORM>"),
    ] {
        let error = parse(&environment("yadokari", &arguments, &[])).unwrap_err();
        assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
    }
}

#[test]
fn what_clap_refuses_ends_with_status_two() {
    for arguments in [
        &["--no-such-flag"][..],
        &["--cache=maybe"],
        &["--cache-ttl=5"],
        &["--push-retry=-1"],
        &["--annotation=a"],
        &["--registry-certificate=a"],
        &["--isolation=vm"],
        &["--no-push", "true"],
        &["extra"],
    ] {
        let error = parse(&environment("executor", arguments, &[]))
            .expect_err(&format!("{arguments:?} is accepted"));
        assert!(
            error.use_stderr() && error.exit_code() == 2,
            "{arguments:?}: {error}"
        );
    }
}
