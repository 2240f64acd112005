//! Where cached layers are found and recorded.

use std::time::Duration;

use yadokari_build::{CacheLocation, CacheRequest, NoCache, Outputs};
use yadokari_image::Reference;

use super::{Given, UsageError, is_on, nonempty, state_dir};
use crate::flags::Style;
use crate::flags::go::{self, GoDuration, Switch};

/// What `--cache-from` and `--cache-to` together ask for.
#[derive(Default)]
struct DockerCache {
    read: bool,
    write: bool,
    location: Option<(String, CacheLocation)>,
}

/// Reads kaniko's and docker's cache flags.
pub(super) fn request(given: Given<'_>, outputs: &Outputs) -> Result<CacheRequest, UsageError> {
    let kaniko = &given.flags.kaniko;
    let docker = docker_cache(given)?;
    let enabled = kaniko
        .cache
        .map_or(docker.read || docker.write, |Switch(on)| on);
    let named = nonempty(kaniko.cache_repo.as_deref())
        .map(repository)
        .transpose()?;
    let repository = named
        .or(docker.location.map(|(_, location)| location))
        .or_else(|| local(given, enabled, outputs));
    if enabled && repository.is_none() && (outputs.destinations.is_empty() || !outputs.push) {
        return Err(UsageError::CacheWithoutRepository);
    }
    let on_unless_said = |switch: Option<Switch>| switch.is_none_or(|Switch(on)| on);
    Ok(CacheRequest {
        enabled,
        repository,
        ttl: kaniko.cache_ttl.map_or(DEFAULT_TTL, |GoDuration(ttl)| ttl),
        run_layers: on_unless_said(kaniko.cache_run_layers),
        copy_layers: on_unless_said(kaniko.cache_copy_layers),
        push: !is_on(kaniko.no_push_cache)
            && (docker.write || !docker.read || kaniko.cache_repo.is_some()),
        no_cache: no_cache(given),
    })
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
    for (flag, lines) in [
        ("cache-from", &given.flags.docker.cache_from),
        ("cache-to", &given.flags.docker.cache_to),
    ] {
        for line in lines.iter().filter(|line| !line.is_empty()) {
            let location = docker_location(flag, line)?;
            match &cache.location {
                Some((other, known)) if *known != location => {
                    let (first, second) = (
                        format!("cache `{other}`"),
                        format!("--{flag} `{line}` (one cache is used)"),
                    );
                    return Err(UsageError::Contradiction { first, second });
                }
                _ => cache.location = Some((line.clone(), location)),
            }
            cache.read |= flag == "cache-from";
            cache.write |= flag == "cache-to";
        }
    }
    Ok(cache)
}

/// Reads `type=registry,ref=…`, `type=local,src=…` or a bare reference.
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
        match (key.as_str(), value.as_deref()) {
            ("type" | "ref" | "src" | "dest", _)
            | ("mode", Some("min" | "max"))
            | ("ignore-error", Some(_)) => {}
            _ => {
                return Err(wrong(&format!(
                    "`{key}` is not known here: every step's layer is recorded in the build's format"
                )));
            }
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
        (Some(kind), ..) => Err(wrong(&format!(
            "caches of type {kind} are not known: use type=registry or type=local"
        ))),
        (None, ..) => Err(wrong("type= is missing")),
    }
}
