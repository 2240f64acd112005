//! Every flag and variable of kaniko's executor, one by one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use yadokari::convert::{Action, LogFormat, Verbosity};
use yadokari_build::{CacheLocation, Compat, FileOutputKind, MediaTypes, SecretSource};
use yadokari_image::Platform;
use yadokari_layer::Compression;

use crate::given::{kaniko, kaniko_with, try_job};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn destinations(job: &yadokari::convert::Job) -> Vec<String> {
    job.request
        .outputs
        .destinations
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_bare_flag_list_is_kanikos_command_line() {
    let job = try_job("yadokari", &["--destination", "r.example/a:1"], &[]).unwrap();
    assert_eq!(job.request.contexts.main, "/workspace/");
    assert!(job.request.outputs.push);
}

#[test]
fn defaults_are_kanikos() {
    let job = kaniko(&[]);
    let request = &job.request;
    assert_eq!(request.dockerfile, "Dockerfile");
    assert_eq!(request.contexts.main, "/workspace/");
    assert!(request.targets.is_empty() && request.platforms.is_empty());
    assert!(!request.cache.enabled && request.cache.run_layers && request.cache.push);
    assert_eq!(request.cache.ttl, Duration::from_secs(336 * 3600));
    assert_eq!(request.format.media_types, MediaTypes::Inherit);
    assert_eq!(request.format.compression, Compression::GZIP);
    assert_eq!(request.state_dir, Path::new("/.yadokari"));
    assert_eq!(
        (job.console.format, job.console.verbosity),
        (LogFormat::Text, Verbosity::Info)
    );
    assert_eq!(request.compat, Compat::Buildkit);
    assert!(job.notices.is_empty(), "{:?}", job.notices);
}

#[test]
fn annotation() {
    let job = kaniko(&[
        "--annotation",
        "a=1",
        "--annotation=b=2=3",
        "--annotation",
        "manifest-descriptor:c=4",
        "--oci-layout-path=/l",
    ]);
    assert_eq!(
        job.request
            .annotations
            .manifest
            .into_iter()
            .collect::<Vec<_>>(),
        pairs(&[("a", "1"), ("b", "2=3")])
    );
    assert_eq!(job.request.outputs.files[0].annotations["c"], "4");
}

#[test]
fn build_arg() {
    let flags = [
        "--build-arg",
        "A=1,2",
        "--build-arg=B",
        "--build-arg",
        "UNSET",
        "--build-arg",
        "C=",
        "--build-arg",
        "A=x y",
    ];
    let job = kaniko_with(&flags, &[("B", "from environment")]);
    let expected = [
        ("A", "1,2"),
        ("B", "from environment"),
        ("C", ""),
        ("A", "x y"),
    ];
    assert_eq!(job.request.build_args, pairs(&expected));
}

#[test]
fn source_date_epoch_is_an_argument_that_flags_override() {
    let job = kaniko_with(
        &["--build-arg", "SOURCE_DATE_EPOCH=2"],
        &[("SOURCE_DATE_EPOCH", "1")],
    );
    assert_eq!(
        job.request.build_args,
        pairs(&[("SOURCE_DATE_EPOCH", "1"), ("SOURCE_DATE_EPOCH", "2")])
    );
}

#[test]
fn proxies_of_dockers_configuration_are_arguments_that_flags_override() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"proxies":{"default":{"httpProxy":"http://p:3128"}}}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let job = kaniko_with(
        &["--build-arg", "HTTP_PROXY=http://own"],
        &[("DOCKER_CONFIG", folder.path().to_str().unwrap())],
    );
    let expected = [
        ("HTTP_PROXY", "http://p:3128"),
        ("http_proxy", "http://p:3128"),
        ("HTTP_PROXY", "http://own"),
    ];
    assert_eq!(job.request.build_args, pairs(&expected));
}

#[test]
fn bucket() {
    assert_eq!(
        kaniko(&["--bucket", "b/key.tar.gz"]).request.contexts.main,
        "gs://b/key.tar.gz"
    );
    assert_eq!(
        kaniko(&["-b", "s3://b/key"]).request.contexts.main,
        "s3://b/key"
    );
}

#[test]
fn cache() {
    let repo = "--cache-repo=r.example/c";
    for (flags, expected) in [
        (&["--cache", repo][..], true),
        (&["--cache=true", repo], true),
        (&["--cache=1", repo], true),
        (&["--cache=T", repo], true),
        (&["--cache=false", repo], false),
        (&["--cache", "--cache=false", repo], false),
        (&[repo], false),
    ] {
        assert_eq!(kaniko(flags).request.cache.enabled, expected, "{flags:?}");
    }
}

#[test]
fn cache_layers_and_push() {
    let cache = |flags: &[&str]| kaniko(flags).request.cache;
    assert!(cache(&[]).copy_layers, "on by default, unlike kaniko");
    assert!(!cache(&["--cache-copy-layers=false"]).copy_layers);
    assert!(!cache(&["--cache-run-layers=false"]).run_layers);
    assert!(!cache(&["--no-push-cache"]).push);
}

#[test]
fn cache_dir() {
    assert_eq!(
        kaniko(&["--cache-dir=c"]).request.warmed,
        Some("/ci/c".into())
    );
    assert_eq!(kaniko(&[]).request.warmed, Some("/cache".into()));
    let docker = try_job("yadokari", &["build", "--no-push"], &[]).unwrap();
    assert_eq!(docker.request.warmed, None);
}

#[test]
fn materialize() {
    let job = kaniko(&["--materialize"]);
    let file = &job.request.outputs.files[0];
    assert_eq!((file.kind, file.fresh), (FileOutputKind::Local, true));
    assert_eq!(file.path, Path::new("/.yadokari/materialized"));
    assert!(
        job.notices[0].contains("/.yadokari/materialized"),
        "{:?}",
        job.notices
    );
}

#[test]
fn variables_without_a_use_are_named() {
    for name in [
        "SNAPSHOT_TIMEOUT_DURATION",
        "KANIKO_IGNORE_ASSERTIONS",
        "KANIKO_IGNORE_HINTS",
        "KANIKO_TELEMETRY_OMIT_DOCKERFILE",
        "KANIKO_TELEMETRY_TOKEN_EXCHANGE_ENDPOINT",
    ] {
        let notices = kaniko_with(&[], &[(name, "90m")]).notices;
        assert!(
            notices.len() == 1 && notices[0].starts_with(name),
            "{notices:?}"
        );
    }
}

#[test]
fn git_addresses_are_fetched_over_https_unless_a_variable_says_otherwise() {
    use yadokari_build::GitPull;
    let pull = |value: &str| {
        kaniko_with(&[], &[("GIT_PULL_METHOD", value)])
            .request
            .contexts
            .git
            .pull
    };
    assert_eq!(pull(""), GitPull::Https);
    assert_eq!(pull("https"), GitPull::Https);
    assert_eq!(pull("http"), GitPull::Http);
    assert_eq!(pull("git"), GitPull::Git);
    let wrong = try_job("executor", &["--no-push"], &[("GIT_PULL_METHOD", "ftp")]);
    assert!(wrong.unwrap_err().to_string().contains("GIT_PULL_METHOD"));
}

#[test]
fn files_are_below_the_working_directory() {
    let flags = [
        "-d",
        "r.example/a",
        "--digest-file=d",
        "--image-name-with-digest-file=n",
    ];
    let outputs = try_job("executor", &flags, &[]).unwrap().request.outputs;
    assert_eq!(outputs.digest_file.as_deref(), Some("/ci/d"));
    assert_eq!(outputs.name_with_digest_file, Some("/ci/n".into()));
    let url = ["-d", "r.example/a", "--digest-file=https://h/d"];
    let outputs = try_job("executor", &url, &[]).unwrap().request.outputs;
    assert_eq!(outputs.digest_file.as_deref(), Some("https://h/d"));
}

#[test]
fn cache_repo() {
    let repository = |flag: &str| kaniko(&[flag]).request.cache.repository;
    assert_eq!(
        repository("--cache-repo=oci:/c"),
        Some(CacheLocation::Directory("/c".into()))
    );
    assert_eq!(repository("--cache-repo="), None);
    match repository("--cache-repo=r.example:5000/a/cache") {
        Some(CacheLocation::Repository(reference)) => {
            assert_eq!(reference.registry(), "r.example:5000");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn cache_ttl() {
    assert_eq!(
        kaniko(&["--cache-ttl", "1h30m"]).request.cache.ttl,
        Duration::from_secs(5400)
    );
    assert_eq!(
        kaniko(&["--cache-ttl=6h"]).request.cache.ttl,
        Duration::from_secs(6 * 3600)
    );
}

#[test]
fn what_is_not_needed_is_said_in_one_line_each() {
    for (flag, variable) in [
        ("--cleanup", "KANIKO_CLEANUP"),
        ("--compressed-caching=false", ""),
        ("--force-build-metadata", ""),
        ("--ignore-var-run=false", ""),
        ("--pre-cleanup", "KANIKO_PRE_CLEANUP"),
        ("--preserve-context", "KANIKO_PRESERVE_CONTEXT"),
        ("--skip-unused-stages", ""),
        ("--snapshot-mode=redo", ""),
        ("--snapshotMode=time", ""),
        ("--use-new-run", ""),
        ("--whitelist-var-run", ""),
    ] {
        let notices = kaniko(&[flag]).notices;
        assert_eq!(notices.len(), 1, "{flag}: {notices:?}");
        assert!(notices[0].contains("is not needed"), "{notices:?}");
        if !variable.is_empty() {
            assert_eq!(
                kaniko_with(&[], &[(variable, "true")]).notices,
                notices,
                "{variable}"
            );
        }
    }
    assert!(
        kaniko(&["--snapshot-mode=full", "--cleanup=false"])
            .notices
            .is_empty()
    );
}

#[test]
fn compression() {
    for (flags, expected) in [
        (&["--compression=gzip"][..], Compression::GZIP),
        (
            &["--compression=gzip", "--compression-level=9"],
            Compression::Gzip { level: 9 },
        ),
        (&["--compression-level", "-1"], Compression::GZIP),
        (&["--compression=zstd"], Compression::ZSTD),
        (
            &["--compression", "zstd", "--compression-level", "19"],
            Compression::Zstd { level: 19 },
        ),
    ] {
        assert_eq!(
            kaniko(flags).request.format.compression,
            expected,
            "{flags:?}"
        );
    }
    assert_eq!(
        kaniko(&["--compression=zstd"]).request.format.media_types,
        MediaTypes::Oci
    );
}

#[test]
fn context() {
    assert_eq!(
        kaniko(&["--context", "git://host/repo#main"])
            .request
            .contexts
            .main,
        "git://host/repo#main"
    );
    assert_eq!(
        kaniko(&["-c", "dir:///x"]).request.contexts.main,
        "dir:///x"
    );
    assert_eq!(
        kaniko(&["--context-sub-path=a/b"])
            .request
            .contexts
            .sub_path,
        Some(PathBuf::from("a/b"))
    );
}

#[test]
fn credential_helpers() {
    let helpers = |flags: &[&str]| kaniko(flags).registry.credential_helpers;
    assert_eq!(helpers(&[]), None, "all");
    assert_eq!(helpers(&["--credential-helpers", ""]), Some(vec![]), "none");
    let two = ["--credential-helpers=env", "--credential-helpers", "gitlab"];
    assert_eq!(
        helpers(&two),
        Some(vec!["env".to_owned(), "gitlab".to_owned()])
    );
}

#[test]
fn custom_platform() {
    let arm = [Platform::parse("linux/arm64").unwrap()];
    for flag in [
        "--custom-platform=linux/arm64",
        "--customPlatform=linux/arm64",
        "--platform=linux/arm64",
    ] {
        assert_eq!(kaniko(&[flag]).request.platforms, arm, "{flag}");
    }
    assert!(kaniko(&["--custom-platform="]).request.platforms.is_empty());
}

#[test]
fn destination() {
    let flags = [
        "--destination",
        "r.example:5000/a/b:1",
        "-d",
        "busybox",
        "--destination=r.example:5000/a/b:1",
    ];
    let job = try_job("executor", &flags, &[]).unwrap();
    assert_eq!(
        destinations(&job),
        ["r.example:5000/a/b:1", "docker.io/library/busybox:latest"]
    );
    assert!(job.request.outputs.push);
}

#[test]
fn result_files() {
    let flags = [
        "--destination=r.example/a",
        "--digest-file=/d",
        "--image-name-with-digest-file=/n",
        "--image-name-tag-with-digest-file=/t",
    ];
    let outputs = try_job("executor", &flags, &[("BUILDER_OUTPUT", "/out")])
        .unwrap()
        .request
        .outputs;
    assert_eq!(outputs.digest_file.as_deref(), Some("/d"));
    assert_eq!(outputs.name_with_digest_file, Some("/n".into()));
    assert_eq!(outputs.name_tag_with_digest_file, Some("/t".into()));
    assert_eq!(outputs.builder_output, Some("/out".into()));
}

#[test]
fn dockerfile() {
    assert_eq!(
        kaniko(&["--dockerfile", "a/Dockerfile"]).request.dockerfile,
        "a/Dockerfile"
    );
    assert_eq!(
        kaniko(&["-f", "https://x/Dockerfile"]).request.dockerfile,
        "https://x/Dockerfile"
    );
}

#[test]
fn dryrun() {
    assert_eq!(kaniko(&["--dryrun"]).action, Action::Plan);
    assert_eq!(kaniko(&[]).action, Action::Build);
    assert!(kaniko_with(&[], &[("KANIKO_PRINT_PLAN", "1")]).print_plan);
}

#[test]
fn force() {
    assert!(kaniko(&["--force"]).force);
    assert!(!kaniko(&[]).force);
}

#[test]
fn git() {
    let flags = [
        "--git=branch=main",
        "--git",
        "single-branch=true,depth=3",
        "--git=recurse-submodules=1,insecure-skip-tls=t",
    ];
    let git = kaniko_with(
        &flags,
        &[("GIT_USERNAME", "u"), ("GIT_PASSWORD", "hunter2")],
    )
    .request
    .contexts
    .git;
    assert_eq!((git.branch.as_deref(), git.depth), (Some("main"), Some(3)));
    assert!(git.single_branch && git.recurse_submodules && git.insecure_skip_tls);
    assert_eq!(git.username.as_deref(), Some("u"));
    assert!(!format!("{git:?}").contains("hunter2"));
    let token = kaniko_with(&[], &[("GIT_TOKEN", "t"), ("GIT_PASSWORD", "p")])
        .request
        .contexts
        .git;
    assert_eq!(
        token.password.map(|secret| secret.expose().to_vec()),
        Some(b"t".to_vec())
    );
}

#[test]
fn ignore_path() {
    let paths = kaniko(&["--ignore-path=/a,b", "--ignore-path", "/c"])
        .request
        .snapshot
        .ignore_paths;
    assert_eq!(paths, ["/a,b", "/c"].map(PathBuf::from));
}

#[test]
fn image_format() {
    assert_eq!(
        kaniko(&["--image-format=docker"])
            .request
            .format
            .media_types,
        MediaTypes::Docker
    );
    assert_eq!(
        kaniko(&["--image-format", "oci"])
            .request
            .format
            .media_types,
        MediaTypes::Oci
    );
}

#[test]
fn retries() {
    let registry = kaniko(&[
        "--push-retry=3",
        "--image-download-retry=1",
        "--image-fs-extract-retry=2",
    ])
    .registry;
    let retries = (
        registry.push_retry,
        registry.download_retry,
        registry.layer_retry,
    );
    assert_eq!(retries, (3, 1, 2));
}

#[test]
fn insecure_and_skip_tls_verify() {
    let flags = [
        "--insecure",
        "--skip-tls-verify-pull",
        "--insecure-registry=a:5000",
        "--insecure-registry",
        "b",
        "--skip-tls-verify-registry=c",
    ];
    let registry = kaniko(&flags).registry;
    assert!(registry.insecure_push && !registry.insecure_pull);
    assert!(!registry.skip_tls_verify_push && registry.skip_tls_verify_pull);
    assert_eq!(registry.insecure_registries, ["a:5000", "b"]);
    assert_eq!(registry.skip_tls_verify_registries, ["c"]);
    let registry = kaniko(&["--insecure-pull", "--skip-tls-verify"]).registry;
    assert!(registry.insecure_pull && !registry.insecure_push && registry.skip_tls_verify_push);
}

#[test]
fn state_directory() {
    let state = |flags: &[&str], variables: &[(&str, &str)]| {
        kaniko_with(flags, variables).request.state_dir
    };
    let both = [("YADOKARI_DIR", "/y"), ("KANIKO_DIR", "/k")];
    assert_eq!(
        state(&["--state-dir=/s", "--kaniko-dir=/f"], &both),
        Path::new("/s")
    );
    assert_eq!(state(&["--kaniko-dir=/f"], &both), Path::new("/f"));
    assert_eq!(state(&[], &both), Path::new("/y"));
    assert_eq!(state(&[], &[("KANIKO_DIR", "/k")]), Path::new("/k"));
    assert_eq!(state(&["--state-dir=s"], &[]), Path::new("/ci/s"));
}

#[test]
fn label() {
    let labels = kaniko(&["--label", "a=1,2", "--label=b=", "--label=c"])
        .request
        .labels;
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        pairs(&[("a", "1,2"), ("b", ""), ("c", "")])
    );
}

#[test]
fn log_flags() {
    let console =
        |flags: &[&str], variables: &[(&str, &str)]| kaniko_with(flags, variables).console;
    assert_eq!(console(&["--log-format=json"], &[]).format, LogFormat::Json);
    assert!(
        console(&["--log-format=color"], &[("NO_COLOR", "1")]).color,
        "a flag beats NO_COLOR"
    );
    assert!(!console(&["--log-format=text"], &[("GITLAB_CI", "true")]).color);
    assert!(
        console(&[], &[("GITLAB_CI", "true")]).color
            && console(&[], &[("GITLAB_CI", "true")]).sections
    );
    assert!(!console(&[], &[("GITLAB_CI", "true"), ("NO_COLOR", "1")]).color);
    assert!(!console(&[], &[]).color, "no terminal");
    assert!(console(&["--log-timestamp"], &[]).timestamp);
    for (level, expected) in [
        ("trace", Verbosity::Trace),
        ("debug", Verbosity::Debug),
        ("info", Verbosity::Info),
        ("warn", Verbosity::Warn),
        ("warning", Verbosity::Warn),
        ("error", Verbosity::Error),
        ("fatal", Verbosity::Error),
        ("panic", Verbosity::Error),
    ] {
        assert_eq!(console(&["-v", level], &[]).verbosity, expected, "{level}");
    }
}

#[test]
fn no_push() {
    let pushes = |flags: &[&str], variables: &[(&str, &str)]| {
        let flags: Vec<_> = ["-d", "r.example/a"].iter().chain(flags).copied().collect();
        try_job("executor", &flags, variables)
            .unwrap()
            .request
            .outputs
            .push
    };
    assert!(pushes(&[], &[]));
    assert!(!pushes(&["--no-push"], &[]));
    assert!(!pushes(&[], &[("KANIKO_NO_PUSH", "true")]));
    assert!(
        pushes(&["--no-push=false"], &[("KANIKO_NO_PUSH", "true")]),
        "the flag wins"
    );
    assert!(
        pushes(&[], &[("KANIKO_NO_PUSH", "maybe")]),
        "as kaniko, which reads it as false"
    );
}

#[test]
fn archives() {
    let files = kaniko(&["--tar-path=a.tar", "--oci-layout-path", "/layout"])
        .request
        .outputs
        .files;
    let found: Vec<_> = files
        .iter()
        .map(|file| (file.kind, file.path.clone()))
        .collect();
    let expected = [
        (FileOutputKind::DockerArchive, PathBuf::from("/ci/a.tar")),
        (FileOutputKind::OciDirectory, PathBuf::from("/layout")),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        kaniko(&["--tarPath=b"]).request.outputs.files[0].path,
        Path::new("/ci/b")
    );
}

#[test]
fn push_options() {
    let outputs = kaniko(&[
        "--push-ignore-immutable-tag-errors",
        "--skip-push-permission-check",
    ])
    .request
    .outputs;
    assert!(outputs.ignore_immutable_tags && outputs.skip_push_check);
}

#[test]
fn registry_certificates() {
    let flags = [
        "--registry-certificate=h:1=/ca.pem",
        "--registry-client-cert",
        "h=/c.pem,k.pem",
    ];
    let registry = kaniko(&flags).registry;
    assert_eq!(
        registry.certificates,
        [("h:1".to_owned(), PathBuf::from("/ca.pem"))]
    );
    assert_eq!(registry.client_certificates[0].0, "h");
    assert_eq!(
        registry.client_certificates[0].1.certificate,
        Path::new("/c.pem")
    );
    assert_eq!(
        registry.client_certificates[0].1.key,
        Path::new("/ci/k.pem")
    );
}

#[test]
fn registry_maps_and_mirrors() {
    let flags = [
        "--registry-map=index.docker.io=a;quay.io=b/p",
        "--registry-map",
        "quay.io=c",
        "--registry-mirror=m1",
    ];
    let variables = [
        ("KANIKO_REGISTRY_MIRROR", "m2/dep,m3/"),
        ("KANIKO_REGISTRY_MAP", "gcr.io=d"),
    ];
    let maps = kaniko_with(&flags, &variables).registry.maps;
    let expected = [
        ("docker.io", "a"),
        ("quay.io", "b/p"),
        ("quay.io", "c"),
        ("gcr.io", "d"),
        ("docker.io", "m1"),
        ("docker.io", "m2/dep"),
        ("docker.io", "m3"),
    ];
    assert_eq!(maps, pairs(&expected));
    assert!(
        kaniko(&["--skip-default-registry-fallback"])
            .registry
            .skip_default_fallback
    );
    assert!(
        kaniko_with(&["--registry-mirror="], &[("KANIKO_REGISTRY_MAP", "")])
            .registry
            .maps
            .is_empty()
    );
}

#[test]
fn reproducible() {
    assert!(
        kaniko(&["--reproducible", "--single-snapshot=false"])
            .request
            .times
            .reproducible
    );
}

#[test]
fn secret() {
    let flags = [
        "--secret=id=file,src=s.txt",
        "--secret",
        "id=source,source=/s.txt",
        "--secret=id=variable,env=TOKEN",
        "--secret=id=typed,type=env,src=TOKEN",
        "--secret=id=TOKEN",
        "--secret=id=plain",
    ];
    let secrets = kaniko_with(&flags, &[("TOKEN", "hunter2")])
        .request
        .secrets
        .values;
    let file = |path: &str| SecretSource::File(PathBuf::from(path));
    let value = SecretSource::Value(yadokari_build::Secret::new("hunter2"));
    for (id, expected) in [
        ("file", file("/ci/s.txt")),
        ("source", file("/s.txt")),
        ("variable", value.clone()),
        ("typed", value.clone()),
        ("TOKEN", value),
        ("plain", file("/ci/plain")),
    ] {
        assert_eq!(secrets[id], expected, "{id}");
    }
    assert!(!format!("{secrets:?}").contains("hunter2"));
}

#[test]
fn target() {
    assert_eq!(
        kaniko(&["--target=a,b", "--target", "c"]).request.targets,
        ["a", "b", "c"]
    );
    assert!(kaniko(&["--target="]).request.targets.is_empty());
}

#[test]
fn feature_switches_are_accepted_and_unknown_ones_are_named() {
    let variables = [
        ("FF_KANIKO_COPY_AS_ROOT", "1"),
        ("FF_KANIKO_SQUASH_STAGES", "0"),
        ("FF_KANIKO_NO_SUCH_THING", "1"),
    ];
    let notices = kaniko_with(&[], &variables).notices;
    assert_eq!(
        notices,
        ["FF_KANIKO_NO_SUCH_THING is not known and has no effect"]
    );
}
