//! What becomes of cache mounts after their RUN.

use std::path::Path;

use yadokari_build::{CacheLocation, CacheMountRequest, CacheRequest, KeepMounts, Outputs};
use yadokari_image::Reference;

use super::{Given, UsageError, below, nonempty, state_dir};
use crate::flags::go::Size;

/// Reads `--cache-mounts` and `--cache-mount-limit`.
pub(super) fn request(
    given: Given<'_>,
    cache: &CacheRequest,
    outputs: &Outputs,
) -> Result<CacheMountRequest, UsageError> {
    Ok(CacheMountRequest {
        keep: keep(given, cache, outputs)?,
        limit: given.flags.place.cache_mount_limit.map(|Size(bytes)| bytes),
    })
}

fn keep(
    given: Given<'_>,
    cache: &CacheRequest,
    outputs: &Outputs,
) -> Result<KeepMounts, UsageError> {
    let asked = nonempty(given.flags.place.cache_mounts.as_deref());
    let wrong = |reason| UsageError::value("cache-mounts", asked, reason);
    match asked {
        None => Ok(default(given, cache, outputs)),
        Some("off") => Ok(KeepMounts::Off),
        Some("local") => Ok(KeepMounts::Local),
        Some("registry") => place(cache, outputs)
            .map(KeepMounts::Saved)
            .ok_or_else(|| wrong("needs --cache-repo, or a destination that is pushed to")),
        Some(other) => match other.strip_prefix("oci:").map(Path::new) {
            Some(directory) => below(given, Some(directory))
                .map(|path| KeepMounts::Saved(CacheLocation::Directory(path)))
                .ok_or_else(|| wrong("names no directory")),
            None => Err(wrong("expected off, local, registry or oci:DIR")),
        },
    }
}

/// A container is gone after the job, so there mounts are kept with the layers, if those are. A machine stays.
fn default(given: Given<'_>, cache: &CacheRequest, outputs: &Outputs) -> KeepMounts {
    let place = place(cache, outputs).filter(|place| match place {
        CacheLocation::Repository(_) => true,
        CacheLocation::Directory(path) => !path.starts_with(state_dir(given)),
    });
    match place {
        Some(place) if given.environment.container && cache.enabled => KeepMounts::Saved(place),
        _ => KeepMounts::Local,
    }
}

/// Where layers are cached, or would be.
fn place(cache: &CacheRequest, outputs: &Outputs) -> Option<CacheLocation> {
    let beside = || {
        let destination = outputs.destinations.first().filter(|_| outputs.push)?;
        let repository = destination.name().join("cache").ok()?;
        Reference::parse(&repository.to_string())
            .ok()
            .map(CacheLocation::Repository)
    };
    cache.repository.clone().or_else(beside)
}
