//! What `--help` knows.

use yadokari::flags::parse::{build_flag_names, command, executor_command};

/// Every flag that a user of kaniko may have in a pipeline.
const KANIKO: &[&str] = &[
    "annotation",
    "build-arg",
    "bucket",
    "cache",
    "cache-copy-layers",
    "cache-dir",
    "cache-repo",
    "cache-run-layers",
    "cache-ttl",
    "cleanup",
    "compressed-caching",
    "compression",
    "compression-level",
    "context",
    "context-sub-path",
    "credential-helpers",
    "custom-platform",
    "customPlatform",
    "destination",
    "digest-file",
    "dockerfile",
    "dryrun",
    "force",
    "force-build-metadata",
    "git",
    "ignore-path",
    "ignore-var-run",
    "image-download-retry",
    "image-format",
    "image-fs-extract-retry",
    "image-name-tag-with-digest-file",
    "image-name-with-digest-file",
    "insecure",
    "insecure-pull",
    "insecure-registry",
    "kaniko-dir",
    "label",
    "log-format",
    "log-timestamp",
    "materialize",
    "no-push",
    "no-push-cache",
    "oci-layout-path",
    "pre-cleanup",
    "preserve-context",
    "push-ignore-immutable-tag-errors",
    "push-retry",
    "registry-certificate",
    "registry-client-cert",
    "registry-map",
    "registry-mirror",
    "reproducible",
    "secret",
    "single-snapshot",
    "skip-default-registry-fallback",
    "skip-push-permission-check",
    "skip-tls-verify",
    "skip-tls-verify-pull",
    "skip-tls-verify-registry",
    "skip-unused-stages",
    "snapshot-mode",
    "snapshotMode",
    "tarPath",
    "tar-path",
    "target",
    "use-new-run",
    "verbosity",
    "whitelist-var-run",
];

#[test]
fn every_name_of_kaniko_is_a_flag_or_an_alias() {
    let command = executor_command();
    for name in KANIKO {
        let known = command.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
    }
}

#[test]
fn help_shows_every_flag_that_is_not_hidden() {
    let help = executor_command().render_help().to_string();
    let command = executor_command();
    for argument in command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
    {
        let name = argument.get_long().unwrap_or_default();
        assert!(help.contains(&format!("--{name}")), "--{name}");
    }
}

#[test]
fn the_migration_page_has_a_row_for_every_flag_of_kaniko() {
    let page = include_str!("../../../../docs/kaniko.md");
    for name in KANIKO {
        assert!(
            page.contains(&format!("`--{name}`")),
            "docs/kaniko.md lacks --{name}"
        );
    }
}

#[test]
fn every_flag_has_a_line_of_help() {
    for name in build_flag_names() {
        let command = executor_command();
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(&name))
            .unwrap();
        assert!(argument.get_help().is_some(), "--{name}");
    }
}

/// Every flag of `docker buildx build` and of the classic `docker build`.
const DOCKER: &[&str] = &[
    "add-host",
    "allow",
    "annotation",
    "attest",
    "build-arg",
    "build-context",
    "builder",
    "cache-from",
    "cache-to",
    "call",
    "cgroup-parent",
    "check",
    "compress",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "debug",
    "disable-content-trust",
    "file",
    "force-rm",
    "iidfile",
    "isolation",
    "label",
    "load",
    "memory",
    "memory-swap",
    "metadata-file",
    "network",
    "no-cache",
    "no-cache-filter",
    "output",
    "platform",
    "progress",
    "provenance",
    "pull",
    "push",
    "quiet",
    "rm",
    "sbom",
    "secret",
    "security-opt",
    "shm-size",
    "squash",
    "ssh",
    "tag",
    "target",
    "ulimit",
];

#[test]
fn every_name_of_docker_is_a_flag_and_has_its_place_on_the_page() {
    let command = command();
    let build = command.find_subcommand("build").unwrap();
    let page = include_str!("../../../../docs/docker.md");
    for name in DOCKER {
        let known = build.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
        let family = ["cpu-", "cpuset-"]
            .iter()
            .find(|family| name.starts_with(**family));
        let shown = family.map_or(format!("`--{name}`"), |family| format!("`--{family}*`"));
        assert!(page.contains(&shown), "docs/docker.md lacks {shown}");
    }
}

/// Flags of kaniko's warmer.
const WARMER: &[&str] = &[
    "build-arg",
    "cache-dir",
    "cache-ttl",
    "customPlatform",
    "dockerfile",
    "force",
    "image",
    "insecure-pull",
    "insecure-registry",
    "log-format",
    "log-timestamp",
    "registry-certificate",
    "registry-client-cert",
    "registry-map",
    "registry-mirror",
    "skip-default-registry-fallback",
    "skip-tls-verify-pull",
    "skip-tls-verify-registry",
    "verbosity",
];

#[test]
fn every_name_of_the_warmer_is_a_flag_or_an_alias() {
    let command = yadokari::flags::parse::warmer_command();
    for name in WARMER {
        let known = command.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
    }
}

#[test]
fn definitions_are_sound() {
    yadokari::flags::parse::warmer_command().debug_assert();
    command().debug_assert();
    executor_command().debug_assert();
}

#[test]
fn subcommands_are_the_documented_ones() {
    let command = command();
    let names: Vec<_> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    assert_eq!(
        names,
        [
            "build",
            "bake",
            "plan",
            "cache",
            "lint",
            "push",
            "copy",
            "index",
            "inspect",
            "tags",
            "cleanup",
            "warm",
            "login",
            "logout",
            "doctor",
            "gitlab",
            "completions",
            "man",
            "version"
        ]
    );
}
