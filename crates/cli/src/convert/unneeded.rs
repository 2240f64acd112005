//! Flags and variables of kaniko's that this program has no need of: each gets one line that says why.

use super::Given;
use crate::flags::go::Switch;

/// One line for each such flag that was given, and for each `FF_KANIKO_` variable that means nothing.
pub(super) fn notices(given: Given<'_>) -> Vec<String> {
    let flags = flags(given).into_iter().filter(|(_, used, _)| *used);
    let flags = flags.map(|(flag, _, reason)| format!("--{flag} is not needed: {reason}"));
    flags.chain(unknown_features(given)).collect()
}

/// Flag, whether it asks for anything, and why it need not.
fn flags(given: Given<'_>) -> [(&'static str, bool, &'static str); 13] {
    let (kaniko, docker) = (&given.flags.kaniko, &given.flags.docker);
    let asked = |switch: Option<Switch>, variable: &str| {
        super::is_on_or_variable(switch, given.environment, variable)
    };
    let mode = kaniko.snapshot_mode.as_deref();
    let untouched = "a build leaves the container as it was";
    [
        (
            "cache-dir",
            kaniko.cache_dir.is_some(),
            "base layers are fetched once, while the build runs",
        ),
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
            mode.is_some_and(|mode| mode != "full"),
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
    ]
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
const FEATURES: [&str; 20] = [
    "CACHE_LOOKAHEAD",
    "CACHE_PROBE",
    "CLEAN_KANIKO_DIR",
    "COPY_AS_ROOT",
    "COPY_CHMOD_ON_IMPLICIT_DIRS",
    "CROSS_REPO_MOUNT",
    "DISABLE_HTTP2",
    "EXPAND_HEREDOC",
    "IGNORE_CACHED_MANIFEST",
    "INFER_CROSS_STAGE_CACHE_KEY",
    "NEW_CACHE_LAYOUT",
    "NO_PROPAGATE_ANNOTATIONS",
    "OCI_STAGES",
    "RESOLVE_CACHE_KEY",
    "RUN_MOUNT_BIND",
    "RUN_MOUNT_CACHE",
    "RUN_MOUNT_SECRET",
    "RUN_VIA_TINI",
    "SHARED_BASE_CACHE",
    "SQUASH_STAGES",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_features_is_sorted_for_its_search() {
        assert!(FEATURES.is_sorted());
    }
}
