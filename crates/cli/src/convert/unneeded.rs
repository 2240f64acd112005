//! Flags and variables that this program has no need of: each gets one line that says why.

use super::{Given, is_on};
use crate::flags::go::Switch;

/// One line for each such flag that was given, and for each `FF_KANIKO_` variable that means nothing.
pub(super) fn notices(given: Given<'_>) -> Vec<String> {
    let flags = flags(given).into_iter().filter(|(_, used, _)| *used);
    let flags = flags.map(|(flag, _, reason)| format!("--{flag} is not needed: {reason}"));
    let flags = flags.chain(variables(given));
    flags.chain(unknown_features(given)).collect()
}

/// Flag, whether it asks for anything, and why it need not.
fn flags(given: Given<'_>) -> Vec<(&'static str, bool, &'static str)> {
    let (kaniko, docker) = (&given.flags.kaniko, &given.flags.docker);
    let classic = &given.flags.classic;
    let asked = |switch: Option<Switch>, variable: &str| {
        super::is_on_or_variable(switch, given.environment, variable)
    };
    let mode = kaniko.snapshot_mode.as_deref();
    let untouched = "a build leaves the container as it was";
    vec![
        (
            "cleanup",
            asked(kaniko.cleanup, "KANIKO_CLEANUP"),
            untouched,
        ),
        (
            "compressed-caching",
            kaniko.compressed_caching.is_some(),
            "layers are streamed, never held in memory",
        ),
        (
            "force-build-metadata",
            kaniko.force_build_metadata.is_some(),
            "metadata instructions are always kept",
        ),
        (
            "ignore-var-run",
            kaniko.ignore_var_run.is_some(),
            "what the runtime mounts never becomes part of a layer",
        ),
        (
            "pre-cleanup",
            asked(kaniko.pre_cleanup, "KANIKO_PRE_CLEANUP"),
            untouched,
        ),
        (
            "preserve-context",
            asked(kaniko.preserve_context, "KANIKO_PRESERVE_CONTEXT"),
            "the context is never touched",
        ),
        (
            "pull",
            docker.pull.is_some(),
            "base images are always looked up in their registry",
        ),
        (
            "skip-unused-stages",
            kaniko.skip_unused_stages.is_some(),
            "a stage that nothing uses is never built",
        ),
        (
            "snapshot-mode",
            mode.is_some_and(|mode| !matches!(mode, "" | "full")),
            "every change is found at the cost of a status call per file",
        ),
        (
            "use-new-run",
            kaniko.use_new_run.is_some(),
            "every change is found without it",
        ),
        (
            "kaniko-dir",
            kaniko.kaniko_dir.is_some() && given.flags.place.state_dir.is_some(),
            "--state-dir is given too",
        ),
        (
            "bucket",
            kaniko.bucket.is_some() && kaniko.context.is_some(),
            "write --context gs://BUCKET/KEY",
        ),
        (
            "builder",
            classic.builder.is_some(),
            "there is one builder, this program",
        ),
        (
            "compress",
            is_on(classic.compress),
            "the context is read where it is",
        ),
        (
            "disable-content-trust",
            classic.disable_content_trust.is_some(),
            "digests are always checked, signatures never",
        ),
        (
            "rm",
            classic.rm.is_some() || classic.force_rm.is_some(),
            "a RUN leaves nothing behind",
        ),
    ]
}

/// Variables that ask for something this program does differently, or not at all.
fn variables(given: Given<'_>) -> impl Iterator<Item = String> {
    const UNUSED: [(&str, &str); 5] = [
        (
            "SNAPSHOT_TIMEOUT_DURATION",
            "is not needed: snapshots take no time that has to be limited",
        ),
        (
            "KANIKO_IGNORE_ASSERTIONS",
            "is not needed: there are no such assertions",
        ),
        (
            "KANIKO_IGNORE_HINTS",
            "is not needed: there are no such hints",
        ),
        (
            "KANIKO_TELEMETRY_OMIT_DOCKERFILE",
            "is not needed: traces never carry the Dockerfile or the plan",
        ),
        (
            "KANIKO_TELEMETRY_TOKEN_EXCHANGE_ENDPOINT",
            "has no effect: tokens are not exchanged; OTEL_EXPORTER_OTLP_HEADERS carries one to the collector",
        ),
    ];
    let set = |(name, _): &(&str, &str)| given.environment.text(name).is_some();
    let unused = UNUSED.into_iter().filter(set);
    let unused = unused.map(|(name, what)| format!("{name} {what}"));
    unused.chain(inline_cache(given))
}

/// BuildKit's way to ask for a cache inside the image, which is not made.
fn inline_cache(given: Given<'_>) -> Option<String> {
    let asked = given.flags.kaniko.build_arg.iter().any(|argument| {
        let value = argument.strip_prefix("BUILDKIT_INLINE_CACHE=");
        value.is_some_and(|value| value.parse() == Ok(Switch(true)))
    });
    asked.then(|| {
        "BUILDKIT_INLINE_CACHE has no effect: images carry no cache of their own; \
         `--cache-from IMAGE` matches any image by its history"
            .to_owned()
    })
}

/// What kaniko's feature switches ask for is how this program works anyway.
fn unknown_features(given: Given<'_>) -> impl Iterator<Item = String> {
    let names = given
        .environment
        .variables()
        .filter_map(|(name, _)| name.strip_prefix("FF_KANIKO_"));
    let unknown = names.filter(|name| FEATURES.binary_search(name).is_err());
    unknown.map(|name| format!("FF_KANIKO_{name} is not known and has no effect"))
}

/// Known switches without their prefix, sorted.
const FEATURES: [&str; 42] = [
    "BUILDKIT_ARG_ENV_PRECEDENCE",
    "CACHE_LOOKAHEAD",
    "CACHE_PROBE",
    "CACHE_PROBE_AFTER_MISS",
    "CHOWN_ON_IMPLICIT_DIRS",
    "CLEAN_KANIKO_DIR",
    "COPY_AS_ROOT",
    "COPY_CHMOD_ON_IMPLICIT_DIRS",
    "CROSS_REPO_MOUNT",
    "DEPRECATE_INTER_STAGE_RESTORE",
    "DISABLE_HTTP2",
    "EXPAND_HEREDOC",
    "HASH_DIR_FRAMING",
    "IGNORE_CACHED_MANIFEST",
    "INFER_CROSS_STAGE_CACHE_KEY",
    "NEW_CACHE_LAYOUT",
    "NO_PROPAGATE_ANNOTATIONS",
    "OCI_SCRATCH_BASE",
    "OCI_STAGES",
    "OCI_WARMER",
    "PRECOMPILE_DOCKERIGNORE",
    "PRESERVE_HARDLINKS",
    "PRESERVE_MOUNTED_PATHS",
    "RELATIVE_LINK_TARGETS",
    "REPRODUCIBLE_PRESERVE_BASE_LAYERS",
    "RESOLVE_CACHE_KEY",
    "ROLLING_CACHE_KEY",
    "RUN_HONOR_GROUP",
    "RUN_MOUNT_BIND",
    "RUN_MOUNT_CACHE",
    "RUN_MOUNT_SECRET",
    "RUN_VIA_TINI",
    "SCOPED_DOCKERIGNORE",
    "SECUREJOIN_EXTRACTION",
    "SHARED_BASE_CACHE",
    "SKIP_CACHED_STAGES",
    "SKIP_RELABEL_RECOMPRESS",
    "SKIP_WRITE_WHITEOUTS",
    "SQUASH_STAGES",
    "UNTAR_SKIP_ROOT",
    "VOLUME_SKIP_MKDIR",
    "WARMER_CACHE_LOCK",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_features_is_sorted_for_its_search() {
        assert!(FEATURES.is_sorted());
    }
}
