//! Where cached layers are found and recorded.

use std::time::Duration;

use yadokari_build::{CacheLocation, CacheRequest, CacheSource, NoCache, Outputs};
use yadokari_image::Reference;

use super::{Given, UsageError, is_on, nonempty, state_dir};
use crate::flags::Style;
use crate::flags::go::{self, GoDuration, Switch};

/// What `--cache-from` and `--cache-to` together ask for.
#[derive(Default)]
struct DockerCache {
    from: Vec<CacheSource>,
    /// The place that is written, and the flag's value.
    to: Option<(String, CacheLocation)>,
}

/// Reads kaniko's and docker's cache flags.
pub(super) fn request(given: Given<'_>, outputs: &Outputs) -> Result<CacheRequest, UsageError> {
    let kaniko = &given.flags.kaniko;
    let docker = docker_cache(given)?;
    let reads_only = !docker.from.is_empty() && docker.to.is_none();
    let enabled = kaniko.cache.map_or(
        !docker.from.is_empty() || docker.to.is_some(),
        |Switch(on)| on,
    );
    let named = nonempty(kaniko.cache_repo.as_deref())
        .map(repository)
        .transpose()?;
    let writes = named.is_some() || kaniko.cache.is_some() || !reads_only;
    let written = named
        .or(docker.to.map(|(_, location)| location))
        .or_else(|| local(given, enabled && writes, outputs));
    let read = docker.from.iter().find_map(|source| match source {
        CacheSource::Records(location) => Some(location.clone()),
        CacheSource::Image(_) => None,
    });
    let repository = if writes { written } else { read };
    let derived = outputs.push && !outputs.destinations.is_empty();
    if enabled && repository.is_none() && !derived {
        return Err(UsageError::CacheWithoutRepository);
    }
    let main = repository.clone().map(CacheSource::Records);
    let is_other = |source: &CacheSource| Some(source) != main.as_ref();
    let on_unless_said = |switch: Option<Switch>| switch.is_none_or(|Switch(on)| on);
    Ok(CacheRequest {
        enabled,
        sources: docker.from.into_iter().filter(is_other).collect(),
        repository,
        scopes: scopes(given),
        ttl: kaniko.cache_ttl.map_or(DEFAULT_TTL, |GoDuration(ttl)| ttl),
        run_layers: on_unless_said(kaniko.cache_run_layers),
        copy_layers: on_unless_said(kaniko.cache_copy_layers),
        push: !is_on(kaniko.no_push_cache) && writes,
        no_cache: no_cache(given),
    })
}

fn scopes(given: Given<'_>) -> Vec<String> {
    let names = given.flags.place.cache_scope.iter();
    names.filter(|name| !name.is_empty()).cloned().collect()
}

const DEFAULT_TTL: Duration = Duration::from_secs(336 * 3600);

/// `--cache` in docker's style and without a destination keeps its records beside the other state.
fn local(given: Given<'_>, enabled: bool, outputs: &Outputs) -> Option<CacheLocation> {
    let derivable = outputs.push && !outputs.destinations.is_empty();
    let wanted = enabled && given.style == Style::Docker && !derivable;
    wanted.then(|| CacheLocation::Directory(state_dir(given).join("layers")))
}

fn repository(text: &str) -> Result<CacheLocation, UsageError> {
    if let Some(directory) = text.strip_prefix("oci:") {
        return Ok(CacheLocation::Directory(directory.into()));
    }
    let wrong = |source| UsageError::Reference {
        flag: "cache-repo",
        value: text.to_owned(),
        source,
    };
    Reference::parse(text)
        .map(CacheLocation::Repository)
        .map_err(wrong)
}

fn no_cache(given: Given<'_>) -> NoCache {
    let stages: Vec<_> = given
        .flags
        .docker
        .no_cache_filter
        .iter()
        .filter(|stage| !stage.is_empty())
        .cloned()
        .collect();
    match (is_on(given.flags.docker.no_cache), stages.is_empty()) {
        (true, _) => NoCache::All,
        (false, false) => NoCache::Stages(stages),
        (false, true) => NoCache::Never,
    }
}

fn docker_cache(given: Given<'_>) -> Result<DockerCache, UsageError> {
    let mut cache = DockerCache::default();
    let flags = &given.flags.docker;
    for line in flags.cache_from.iter().filter(|line| !line.is_empty()) {
        for source in sources(docker_location("cache-from", line)?) {
            if !cache.from.contains(&source) {
                cache.from.push(source);
            }
        }
    }
    for line in flags.cache_to.iter().filter(|line| !line.is_empty()) {
        let location = docker_location("cache-to", line)?;
        match &cache.to {
            Some((other, known)) if *known != location => {
                let (first, second) = (
                    format!("--cache-to `{other}`"),
                    format!("`{line}` (one cache is written, several are read)"),
                );
                return Err(UsageError::Contradiction { first, second });
            }
            _ => cache.to = Some((line.clone(), location)),
        }
    }
    Ok(cache)
}

/// What a place to read may be: a repository may hold records, and what its name stands for may be an image.
fn sources(location: CacheLocation) -> Vec<CacheSource> {
    let image = match &location {
        CacheLocation::Repository(reference) => Some(CacheSource::Image(reference.clone())),
        CacheLocation::Directory(_) => None,
    };
    std::iter::once(CacheSource::Records(location))
        .chain(image)
        .collect()
}

/// Reads `type=registry,ref=…`, `type=local,src=…`, `oci:DIR` or a bare reference.
fn docker_location(flag: &'static str, line: &str) -> Result<CacheLocation, UsageError> {
    let wrong = |reason: &str| UsageError::value(flag, Some(line), reason);
    let reference = |text: &str| {
        let place = |source| UsageError::Reference {
            flag,
            value: text.to_owned(),
            source,
        };
        Reference::parse(text)
            .map(CacheLocation::Repository)
            .map_err(place)
    };
    if let Some(directory) = line.strip_prefix("oci:") {
        return Ok(CacheLocation::Directory(directory.into()));
    }
    if !line.contains('=') {
        return reference(line);
    }
    let options = go::options(line).map_err(|reason| wrong(&reason))?;
    let option = |name: &str| {
        options
            .iter()
            .rfind(|(key, _)| key == name)
            .and_then(|(_, value)| value.as_deref())
    };
    for (key, value) in &options {
        if !is_known(key, value.as_deref()) {
            return Err(wrong(&format!(
                "`{key}` is not known here: every step's layer is recorded as it is, in this program's format"
            )));
        }
    }
    match (
        option("type"),
        option("ref"),
        option("src").or(option("dest")),
    ) {
        (Some("registry"), Some(text), _) => reference(text),
        (Some("registry"), None, _) => Err(wrong("ref= is missing")),
        (Some("local"), _, Some(directory)) => Ok(CacheLocation::Directory(directory.into())),
        (Some("local"), _, None) => Err(wrong("src= or dest= is missing")),
        (Some("inline"), ..) => Err(wrong(
            "images carry no cache of their own: use type=registry with a repository; \
             `--cache-from IMAGE` matches any image by its history",
        )),
        (Some(kind), ..) => Err(wrong(&format!(
            "caches of type {kind} are not known: use type=registry or type=local"
        ))),
        (None, ..) => Err(wrong("type= is missing")),
    }
}

/// Options that have their effect, or whose effect is always there: all layers are kept, in the build's compression,
/// as ordinary OCI images.
fn is_known(key: &str, value: Option<&str>) -> bool {
    match key {
        "type" | "ref" | "src" | "dest" => true,
        "mode" => matches!(value, Some("min" | "max")),
        "ignore-error" | "oci-mediatypes" | "image-manifest" => {
            matches!(value, Some("true" | "false"))
        }
        _ => false,
    }
}
