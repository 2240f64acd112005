//! `cache ls`, `cache prune` and `cache verify`: for whoever keeps a cache in order.

mod local;
mod text;

use std::time::{Duration, SystemTime};

use serde_json::json;
use yadokari_build::Clock as _;
use yadokari_cache::{CacheError, Entry, EntryKind, Finding, LayerCache, Limits, Location, doomed};
use yadokari_image::Reference;
use yadokari_registry::Client;

use self::local::Local;
use super::{Stdout, print};
use crate::amount::{bytes, counted};
use crate::convert::registry::settings as registry_settings;
use crate::environment::Environment;
use crate::flags::commands::{Cache, CacheAction, CachePlace, Prune};
use crate::flags::go::{GoDuration, Size};
use crate::report::{FAILED, Failure, UNUSABLE};
use crate::services::{SystemClock, registry};

/// Does what is asked, prints to standard output, and gives the exit code: 1 where `verify` found something wrong.
///
/// # Errors
///
/// The cache cannot be named, reached, read or written.
pub async fn run(
    cache: &Cache,
    environment: &Environment,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let now = SystemClock.now();
    let (text, code) = match &cache.action {
        CacheAction::Ls(place) => (list(place, environment, now).await?, 0),
        CacheAction::Prune(prune) => (self::prune(prune, environment, now).await?, 0),
        CacheAction::Verify(place) => verify(place, environment).await?,
    };
    print(stdout, text)?;
    Ok(code)
}

/// One thing that is kept somewhere, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    kind: &'static str,
    /// The key's or digest's first digits, or a name.
    name: String,
    /// The instruction, where there is one.
    about: String,
    scope: Option<String>,
    size: u64,
    made: Option<SystemTime>,
}

async fn list(
    place: &CachePlace,
    environment: &Environment,
    now: SystemTime,
) -> Result<String, Failure> {
    let mut items = Vec::new();
    match open(place, environment)? {
        Place::Named(cache) => items.extend(entries(&cache).await?.iter().map(item)),
        Place::Local(local) => {
            items.extend(entries(&local.records()?).await?.iter().map(item));
            items.extend(local.items()?);
        }
    }
    Ok(if place.json {
        format!(
            "{:#}\n",
            json!(items.iter().map(text::as_json).collect::<Vec<_>>())
        )
    } else {
        text::table(&items, now)
    })
}

async fn prune(
    prune: &Prune,
    environment: &Environment,
    now: SystemTime,
) -> Result<String, Failure> {
    let limits = limits(prune);
    let mut gone = Vec::new();
    match open(&prune.place, environment)? {
        Place::Named(cache) => {
            let entries = entries(&cache).await?;
            let old = doomed(&entries, &limits, now);
            gone.extend(old.iter().map(|entry| item(entry)));
            if !prune.dry_run {
                cache.remove(&old).await.map_err(refused)?;
            }
            gone.extend(swept(&cache, now, prune.dry_run)?);
        }
        Place::Local(local) => gone = local.prune(&limits, now, prune.dry_run).await?,
    }
    let total: u64 = gone.iter().map(|item| item.size).sum();
    if prune.place.json {
        let all: Vec<_> = gone.iter().map(text::as_json).collect();
        let answer = json!({"removed": all, "bytes": total, "dry_run": prune.dry_run});
        return Ok(format!("{answer:#}\n"));
    }
    let verb = if prune.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let table = if gone.is_empty() {
        String::new()
    } else {
        text::table(&gone, now)
    };
    Ok(format!(
        "{table}{verb} {} with {}\n",
        counted(gone.len(), "entry", "entries"),
        bytes(total)
    ))
}

/// Removes what no record of a directory needs, or counts it; nothing if there is none of that.
fn swept(cache: &LayerCache, now: SystemTime, dry_run: bool) -> Result<Option<Item>, Failure> {
    let swept = cache.sweep(now, dry_run).map_err(refused)?;
    Ok((swept.blobs > 0).then(|| Item {
        kind: "unused",
        name: String::new(),
        about: counted(swept.blobs, "file", "files") + " that nothing needs any more",
        scope: None,
        size: swept.bytes,
        made: None,
    }))
}

/// Without a limit what goes is what no build would use any more.
fn limits(prune: &Prune) -> Limits {
    let asked = Limits {
        older_than: prune.older_than.map(|GoDuration(age)| age),
        keep_storage: prune.keep_storage.map(|Size(bytes)| bytes),
    };
    match (prune.all, asked == Limits::default()) {
        (true, _) => Limits {
            keep_storage: Some(0),
            older_than: Some(Duration::ZERO),
        },
        (false, true) => Limits {
            older_than: Some(Duration::from_secs(336 * 3600)),
            keep_storage: None,
        },
        (false, false) => asked,
    }
}

async fn verify(place: &CachePlace, environment: &Environment) -> Result<(String, u8), Failure> {
    let (cache, mut findings) = match open(place, environment)? {
        Place::Named(cache) => (cache, Vec::new()),
        Place::Local(local) => (local.records()?, local.verify()?),
    };
    let entries = entries(&cache).await?;
    findings.extend(
        cache
            .verify(&entries)
            .await
            .map_err(|error| unreachable(&error))?,
    );
    let code = if findings.is_empty() { 0 } else { FAILED };
    if place.json {
        let finding = |finding: &Finding| json!({"tag": finding.tag, "problem": finding.problem});
        let all: Vec<_> = findings.iter().map(finding).collect();
        let answer = json!({"checked": entries.len(), "findings": all});
        return Ok((format!("{answer:#}\n"), code));
    }
    let mut text = String::new();
    for finding in &findings {
        text.push_str(&format!("{}: {}\n", finding.tag, finding.problem));
    }
    text.push_str(&format!(
        "{} checked, {} wrong\n",
        counted(entries.len(), "entry", "entries"),
        findings.len()
    ));
    Ok((text, code))
}

/// The cache that a command is about.
enum Place {
    Named(LayerCache),
    Local(Local),
}

fn open(place: &CachePlace, environment: &Environment) -> Result<Place, Failure> {
    let settings =
        registry_settings(&place.reach, environment).map_err(|error| Failure::from(&error))?;
    let options =
        registry::options(&settings, environment).map_err(|error| Failure::from(&error))?;
    let client = Client::new(options).map_err(|error| Failure::new(&error))?;
    let named = |location| LayerCache::new(location, &client, Duration::MAX);
    let Some(text) = place.place.as_deref().filter(|text| !text.is_empty()) else {
        let chosen = place.state_dir.clone();
        let state = chosen
            .or_else(|| environment.path("YADOKARI_DIR"))
            .or_else(|| environment.path("KANIKO_DIR"))
            .unwrap_or_else(|| environment.default_state_dir());
        return Ok(Place::Local(Local::new(
            environment.directory.join(state),
            client,
        )));
    };
    if let Some(directory) = text.strip_prefix("oci:") {
        let directory = environment.directory.join(directory);
        return Ok(Place::Named(named(Location::Directory(directory))));
    }
    let reference = Reference::parse(text).map_err(|error| Failure {
        causes: vec![error.to_string()],
        code: UNUSABLE,
        ..Failure::told(format!("`{text}` is no repository"))
    })?;
    Ok(Place::Named(named(Location::Repository(
        reference.name().clone(),
    ))))
}

async fn entries(cache: &LayerCache) -> Result<Vec<Entry>, Failure> {
    cache.entries().await.map_err(|error| unreachable(&error))
}

fn unreachable(error: &CacheError) -> Failure {
    Failure::new(error)
}

fn refused(error: CacheError) -> Failure {
    let is_registry = matches!(error, CacheError::Registry(_));
    let failure = Failure::new(&error);
    match is_registry {
        true => failure.with_hint(
            "registries often refuse to delete unless they are set up to (for docker's: `storage.delete.enabled`); \
             most have their own rules for removing old tags, which do for a cache",
        ),
        false => failure,
    }
}

fn item(entry: &Entry) -> Item {
    let short = |digits: String| digits.chars().take(12).collect::<String>();
    let (kind, about) = match &entry.kind {
        EntryKind::Record(record) => ("layer", record.instruction.clone()),
        EntryKind::Trail => ("trail", "what the last builds were made from".to_owned()),
        EntryKind::Download => ("download", "what is known of a file of ADD".to_owned()),
        EntryKind::Mount(saved) => {
            let about = format!("cache mount {} ({})", saved.id, saved.platform);
            ("mount", about)
        }
        EntryKind::Damaged => ("damaged", String::new()),
    };
    let name = entry
        .tag
        .rsplit_once('.')
        .map_or(entry.tag.as_str(), |(_, name)| name);
    Item {
        kind,
        name: short(
            name.trim_start_matches("last-")
                .trim_start_matches("mount-")
                .to_owned(),
        ),
        about,
        scope: entry.scope.clone(),
        size: entry.size,
        made: humantime::parse_rfc3339(&entry.created).ok(),
    }
}
