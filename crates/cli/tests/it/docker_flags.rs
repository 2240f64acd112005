//! Flags in docker's spelling, and those of our own.

use std::path::{Path, PathBuf};

use yadokari::convert::{Action, LogFormat};
use yadokari::flags::place::IsolationFlag;
use yadokari_build::{
    CacheLocation, CacheSource, Compat, FileOutputKind, MediaTypes, Network, NoCache,
    SnapshotMethod,
};
use yadokari_layer::Compression;

use crate::given::{docker, docker_with, try_job};

fn names(job: &yadokari::convert::Job) -> Vec<String> {
    job.request
        .outputs
        .destinations
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_tag_names_and_push_pushes() {
    let job = docker(&[
        "-t",
        "r.example/a:1",
        "--tag=r.example/a:2",
        "-o",
        "type=oci,dest=x",
    ]);
    assert_eq!(names(&job), ["r.example/a:1", "r.example/a:2"]);
    assert!(!job.request.outputs.push);
    assert!(
        docker(&["-t", "r.example/a", "--push"])
            .request
            .outputs
            .push
    );
    assert!(
        docker(&["-t", "r.example/a", "--output=type=registry"])
            .request
            .outputs
            .push
    );
    assert!(
        docker(&["--output=type=image,\"name=r.example/a,r.example/b\",push=true"])
            .request
            .outputs
            .push
    );
    assert!(
        docker(&["-d", "r.example/a"]).request.outputs.push,
        "kaniko's flag means a push here too"
    );
    assert!(
        !docker(&["-t", "r.example/a", "--push", "--no-push"])
            .request
            .outputs
            .push
    );
}

#[test]
fn a_result_that_goes_nowhere_is_remarked() {
    assert!(docker(&["-t", "r.example/a"]).placeless);
    for flags in [
        &["--no-push"][..],
        &["-o", "out"],
        &["--check"],
        &["--load"],
    ] {
        assert!(!docker(flags).placeless, "{flags:?}");
    }
}

#[test]
fn the_context_is_the_argument_or_the_working_directory() {
    assert_eq!(
        try_job("yadokari", &["build", "--no-push"], &[])
            .unwrap()
            .request
            .contexts
            .main,
        "."
    );
    assert_eq!(
        try_job("yadokari", &["build", "--no-push", "x"], &[])
            .unwrap()
            .request
            .contexts
            .main,
        "x"
    );
    assert_eq!(
        try_job("yadokari", &["build", "--no-push", "-c", "y"], &[])
            .unwrap()
            .request
            .contexts
            .main,
        "y"
    );
}

#[test]
fn the_parity_suites_line_is_accepted() {
    let flags = [
        "build",
        "--build-arg",
        "A=1",
        "--build-context",
        "extra=/in/extra",
        "--label",
        "l=v",
        "--secret",
        "id=s,src=/in/s",
        "--add-host",
        "h:10.0.0.1",
        "--ulimit",
        "nofile=1024:2048",
        "--target",
        "t",
        "--platform",
        "linux/arm64",
        "--network",
        "none",
        "--shm-size",
        "128m",
        "--hostname",
        "box",
        "-f",
        "/in/Dockerfile",
        "--registry-mirror",
        "localhost:5000",
        "--oci-layout-path",
        "/out/layout",
        "--no-push",
        "/in/context",
    ];
    let request = try_job("yadokari", &flags, &[]).unwrap().request;
    assert_eq!(
        request.contexts.named,
        [("extra".to_owned(), "/in/extra".to_owned())]
    );
    assert_eq!(
        request.run.add_hosts,
        [("h".to_owned(), "10.0.0.1".to_owned())]
    );
    assert_eq!(request.run.ulimits, ["nofile=1024:2048"]);
    assert_eq!(request.run.shm_size, Some(128 << 20));
    assert_eq!(request.run.hostname.as_deref(), Some("box"));
    assert_eq!(request.run.network, Network::None);
    assert_eq!(request.outputs.files[0].path, Path::new("/out/layout"));
    assert_eq!(request.format.media_types, MediaTypes::Oci);
}

#[test]
fn options_of_the_exporter_reach_the_request() {
    let output =
        |more: &str| docker(&["--output", &format!("type=oci,tar=false,dest=/l{more}")]).request;
    assert_eq!(
        output("").outputs.files[0].kind,
        FileOutputKind::OciDirectory
    );
    assert!(output(",rewrite-timestamp=true").times.rewrite_layers);
    assert_eq!(
        output(",source-date-epoch=1400000000").times.epoch,
        Some(1_400_000_000)
    );
    assert_eq!(
        output(",compression=uncompressed").format.compression,
        Compression::None
    );
    let zstd = output(",compression=zstd,force-compression=true").format;
    assert_eq!(
        (zstd.compression, zstd.force_compression),
        (Compression::ZSTD, true)
    );
    assert_eq!(
        output(",oci-mediatypes=false").format.media_types,
        MediaTypes::Docker
    );
    let request =
        output(",annotation.plain=1,annotation-manifest.m=2,annotation-manifest-descriptor.d=3");
    assert_eq!(
        request.annotations.manifest.keys().collect::<Vec<_>>(),
        ["m", "plain"]
    );
    assert_eq!(request.outputs.files[0].annotations["d"], "3");
}

#[test]
fn several_platforms_make_several_images() {
    let request = docker(&["--platform=linux/amd64,linux/arm64", "--no-push"]).request;
    assert_eq!(request.platforms.len(), 2);
    let variable = [("DOCKER_DEFAULT_PLATFORM", "linux/arm64")];
    let platforms = |flags: &[&str]| docker_with(flags, &variable).request.platforms;
    assert_eq!(platforms(&["--no-push"])[0].to_string(), "linux/arm64");
    assert_eq!(
        platforms(&["--no-push", "--platform=linux/s390x"])[0].to_string(),
        "linux/s390x"
    );
    let kaniko = try_job("executor", &["--no-push"], &variable).unwrap();
    assert!(
        kaniko.request.platforms.is_empty(),
        "kaniko does not know the variable"
    );
}

#[test]
fn annotations_of_an_index_need_an_index() {
    let request = docker(&[
        "--platform=linux/amd64,linux/arm64",
        "--annotation=index:i=1",
        "--annotation=manifest[linux/arm64]:arm=1",
        "--annotation=index-descriptor:d=1",
        "--output=type=oci,dest=x,annotation-manifest-descriptor.e=1",
    ])
    .request;
    let annotations = &request.annotations;
    assert_eq!(annotations.index["i"], "1");
    let of = |platform: &yadokari_image::Platform| annotations.of_manifest(Some(platform));
    assert!(of(&request.platforms[0]).is_empty());
    assert_eq!(of(&request.platforms[1])["arm"], "1");
    assert_eq!(annotations.descriptor["e"], "1");
    let entry = &request.outputs.files[0].annotations;
    assert_eq!(entry.keys().collect::<Vec<_>>(), ["d"]);
}

#[test]
fn an_image_is_loaded_where_dockers_command_line_would_load_it() {
    let loads = |flags: &[&str]| docker(flags).request.outputs;
    for flags in [
        &["--load"][..],
        &["-o", "type=docker"],
        &["--output=type=docker,name=r.example/a"],
    ] {
        let outputs = loads(flags);
        assert!(outputs.load && outputs.files.is_empty(), "{flags:?}");
    }
    assert!(!loads(&["--load=false", "--no-push"]).load);
    assert!(
        !loads(&["-o", "type=docker,dest=-"]).load,
        "that goes to standard output"
    );
    assert!(!docker(&["--load"]).placeless);
}

#[test]
fn a_push_by_digest_writes_no_tag() {
    let spec = "type=image,name=r.example/a,push-by-digest=true,name-canonical=true,push=true";
    let outputs = docker(&["--output", spec]).request.outputs;
    assert!(outputs.push && outputs.by_digest);
    assert_eq!(outputs.destinations[0].tag(), None);
    let insecure = docker(&["--output=type=registry,name=r.example:5000/a,registry.insecure=true"]);
    assert_eq!(insecure.registry.insecure_registries, ["r.example:5000"]);
}

#[test]
fn files_of_platforms_may_be_parted() {
    let split = |more: &str| {
        let output = format!("type=local,dest=x{more}");
        docker(&["--output", &output]).request.outputs.files[0].platform_split
    };
    assert_eq!(split(""), None);
    assert_eq!(split(",platform-split=false"), Some(false));
    assert_eq!(split(",platform-split=true"), Some(true));
}

#[test]
fn what_the_classic_builder_has() {
    assert!(docker(&["--squash", "--no-push"]).request.snapshot.single);
    let debug = docker(&["-D", "--no-push"]).console.verbosity;
    assert_eq!(debug, yadokari::convert::Verbosity::Debug);
    assert_eq!(
        docker(&["--isolation=default", "--no-push"]).isolation,
        IsolationFlag::Auto
    );
    for flag in [
        "--rm",
        "--force-rm",
        "--compress",
        "--disable-content-trust",
        "--builder=default",
    ] {
        let notices = docker(&[flag, "--no-push"]).notices;
        assert!(notices[0].contains("is not needed"), "{flag}: {notices:?}");
    }
    for harmless in [
        "--memory=0",
        "--cpu-quota=-1",
        "--cgroup-parent=",
        "--compress=false",
    ] {
        assert!(
            docker(&[harmless, "--no-push"]).notices.is_empty(),
            "{harmless}"
        );
    }
    let inline = docker(&["--build-arg=BUILDKIT_INLINE_CACHE=1", "--no-push"]).notices;
    assert!(inline[0].contains("--cache-from"), "{inline:?}");
}

#[test]
fn outputs_by_their_short_forms() {
    let kind = |spec: &str| docker(&["-o", spec]).request.outputs.files[0].clone();
    assert_eq!(
        (kind("out").kind, kind("out").path),
        (FileOutputKind::Local, PathBuf::from("/ci/out"))
    );
    assert_eq!(
        (kind("-").kind, kind("-").path),
        (FileOutputKind::Tar, PathBuf::from("-"))
    );
    assert_eq!(
        kind("type=docker,dest=a.tar,name=r.example/n").names,
        ["r.example/n"]
    );
}

#[test]
fn caches_in_dockers_spelling() {
    let cache = |flags: &[&str]| docker(&[flags, &["--no-push"]].concat()).request.cache;
    let both = cache(&[
        "--cache-from=type=registry,ref=r.example/c",
        "--cache-to=type=registry,ref=r.example/c,mode=max",
    ]);
    assert!(both.enabled && both.push);
    assert!(matches!(
        both.repository,
        Some(CacheLocation::Repository(_))
    ));
    let from = cache(&["--cache-from=r.example/c"]);
    assert!(from.enabled && !from.push);
    let local = cache(&["--cache-to=type=local,dest=/c"]);
    assert_eq!(
        local.repository,
        Some(CacheLocation::Directory("/c".into()))
    );
    let beside_state = cache(&["--cache"]);
    assert_eq!(
        beside_state.repository,
        Some(CacheLocation::Directory("/.yadokari/layers".into()))
    );
    assert!(!cache(&[]).enabled);
}

#[test]
fn several_caches_are_read_and_one_is_written() {
    let cache = |flags: &[&str]| docker(&[flags, &["--no-push"]].concat()).request.cache;
    let repository = |name: &str| CacheLocation::Repository(name.parse().unwrap());
    let read = cache(&[
        "--cache-from=r.example/one:latest",
        "--cache-from=type=local,src=/c",
        "--cache-from=oci:/d",
    ]);
    assert!(read.enabled && !read.push);
    assert_eq!(read.repository, Some(repository("r.example/one:latest")));
    assert_eq!(
        read.sources,
        [
            CacheSource::Image("r.example/one:latest".parse().unwrap()),
            CacheSource::Records(CacheLocation::Directory("/c".into())),
            CacheSource::Records(CacheLocation::Directory("/d".into())),
        ]
    );
    let both = cache(&[
        "--cache-from=r.example/one",
        "--cache-to=type=registry,ref=r.example/two,mode=max,oci-mediatypes=true,image-manifest=true",
    ]);
    assert!(both.push);
    assert_eq!(both.repository, Some(repository("r.example/two")));
    assert_eq!(
        both.sources[0],
        CacheSource::Records(repository("r.example/one"))
    );
    let asked = cache(&["--cache", "--cache-from=r.example/one"]);
    assert!(asked.push && asked.sources.len() == 2);
    let scoped = cache(&["--cache", "--cache-scope=feature,main"]);
    assert_eq!(scoped.scopes, ["feature", "main"]);
}

#[test]
fn no_cache() {
    let no_cache = |flag: &str| docker(&[flag, "--no-push"]).request.cache.no_cache;
    assert_eq!(no_cache("--no-cache"), NoCache::All);
    assert_eq!(
        no_cache("--no-cache-filter=a,b"),
        NoCache::Stages(vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(no_cache("--no-cache=false"), NoCache::Never);
}

#[test]
fn check_and_call() {
    assert_eq!(docker(&["--check"]).action, Action::Check);
    assert_eq!(docker(&["--call=check"]).action, Action::Check);
    assert_eq!(docker(&["--call=build", "--no-push"]).action, Action::Build);
    let job = docker(&[
        "--check",
        "--build-arg",
        "BUILDKIT_DOCKERFILE_CHECK=skip=all",
    ]);
    assert_eq!(job.request.check.as_deref(), Some("skip=all"));
}

#[test]
fn ssh() {
    let agents = |flag: &str| {
        docker_with(&[flag, "--no-push"], &[("SSH_AUTH_SOCK", "/agent")])
            .request
            .secrets
            .ssh
    };
    assert_eq!(
        agents("--ssh=default")["default"],
        [PathBuf::from("/agent")]
    );
    assert_eq!(
        agents("--ssh=git=/a,k")["git"],
        [PathBuf::from("/a"), PathBuf::from("/ci/k")]
    );
    let twice = ["build", "--no-push", "--ssh=a=/x", "--ssh=a=/y", "."];
    let refused = crate::given::try_job("yadokari", &twice, &[]).unwrap_err();
    assert!(refused.to_string().contains("--ssh"), "{refused}");
}

#[test]
fn added_hosts_in_all_forms() {
    for (text, name, address) in [
        ("a:1.2.3.4", "a", "1.2.3.4"),
        ("b=1.2.3.4", "b", "1.2.3.4"),
        ("c=[::1]", "c", "::1"),
        ("d:::1", "d", "::1"),
    ] {
        let hosts = docker(&["--add-host", text, "--no-push"])
            .request
            .run
            .add_hosts;
        assert_eq!(hosts, [(name.to_owned(), address.to_owned())], "{text}");
    }
}

#[test]
fn facts_and_quiet() {
    let job = docker(&["-q", "--iidfile=/i", "--metadata-file", "m", "--no-push"]);
    assert!(job.console.quiet);
    assert_eq!(
        (job.facts.iidfile, job.facts.metadata),
        (Some("/i".into()), Some("/ci/m".into()))
    );
    assert_eq!(
        docker(&["--progress=rawjson", "--no-push"]).console.format,
        LogFormat::Json
    );
    assert!(docker(&["--progress=quiet", "--no-push"]).console.quiet);
}

#[test]
fn allow() {
    let allowed = docker(&["--allow=network.host,security.insecure", "--no-push"])
        .request
        .run
        .allow;
    assert_eq!(allowed, ["network.host", "security.insecure"]);
}

#[test]
fn attestations_may_be_refused() {
    assert!(
        docker(&[
            "--provenance=false",
            "--sbom=false",
            "--attest=type=sbom,disabled=true",
            "--no-push"
        ])
        .notices
        .is_empty()
    );
}

#[test]
fn flags_of_our_own() {
    let job = docker(&[
        "--isolation=rootswap",
        "--snapshot=scan",
        "--compat=kaniko",
        "--no-push",
    ]);
    assert_eq!(job.isolation, IsolationFlag::Rootswap);
    assert_eq!(job.request.snapshot.method, SnapshotMethod::Scan);
    assert_eq!(job.request.compat, Compat::Kaniko);
}
