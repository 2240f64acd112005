//! Layers of an ordinary image, matched by its history.
//!
//! The history of an image says which instructions made it, with arguments and values. As long as it reads as the
//! Dockerfile does, from the same base on, its layers are what the instructions would make. What history does not
//! tell ends the match: the files of a COPY, mounts, the text of a script, another network.

use std::collections::HashMap;

use yadokari_cache::Record;
use yadokari_image::{ContainerConfig, DiffId, History, ImageConfig, Manifest, Reference};
use yadokari_plan::{Base, Operation, Plan, RunNetwork, Stage};
use yadokari_registry::Accept;

use crate::caching::lookup::{Hit, Hits, is_looked_up};
use crate::caching::record::chain;
use crate::caching::standing::Lineage;
use crate::events::Event;
use crate::prepare::images::Resolved;
use crate::request::{BuildRequest, CacheSource};
use crate::services::Services;
use crate::stage::layers::Place;

/// Adds what the images of the request have for steps that no record was found for.
pub(crate) async fn add_images(
    request: &BuildRequest,
    services: &Services,
    resolved: &Resolved,
    settings_are_plain: bool,
    hits: &mut Hits,
) {
    for source in &request.cache.sources {
        let CacheSource::Image(reference) = source else {
            continue;
        };
        let reference = reference.clone().with_default_tag();
        let found = match read(&reference, services, resolved).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(reason) => {
                let text = format!(
                    "no layers are taken from {}: {reason}",
                    reference.familiar()
                );
                services.events.on(Event::Notice(&text));
                continue;
            }
        };
        if !settings_are_plain {
            let text = format!(
                "no layers are taken from {}: its history does not say with which host names, limits or times it was made",
                reference.familiar()
            );
            services.events.on(Event::Notice(&text));
            continue;
        }
        for (step, hit) in matching(request, resolved, &found, &reference) {
            hits.entry(step).or_insert(hit);
        }
    }
}

/// An image that may have been made from an earlier state of the Dockerfile.
struct Found {
    manifest: Manifest,
    config: ImageConfig,
}

/// What the name stands for; `None` where there is nothing.
async fn read(
    reference: &Reference,
    services: &Services,
    resolved: &Resolved,
) -> Result<Option<Found>, String> {
    let first = match services
        .registry
        .manifest(reference, Accept::ManifestOrIndex)
        .await
    {
        Ok(first) => first,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(chain(&error)),
    };
    if is_foreign_cache(&first.bytes) {
        return Err(FOREIGN.to_owned());
    }
    let platform = &resolved.plan.target_stage().platform;
    match services.registry.resolve_image(reference, platform).await {
        Ok(image) => Ok(Some(Found {
            manifest: image.manifest,
            config: image.config,
        })),
        Err(error) => Err(chain(&error)),
    }
}

/// The media type of the index that BuildKit writes with `--cache-to type=registry`.
const FOREIGN_CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

const FOREIGN: &str = "it is a cache of BuildKit, whose keys are digests of its own inner operations that nobody \
     else can compute; name the image itself, whose layers are matched by their history";

fn is_foreign_cache(manifest: &[u8]) -> bool {
    String::from_utf8_lossy(manifest).contains(FOREIGN_CONFIG)
}

/// The layers of an image that steps of the plan would make, from the base up.
fn matching(
    request: &BuildRequest,
    resolved: &Resolved,
    found: &Found,
    reference: &Reference,
) -> Vec<((yadokari_plan::StageId, usize), Hit)> {
    let plan = &resolved.plan;
    let stages = lineage(plan);
    let Some(base) = Ground::of(resolved, &stages) else {
        return Vec::new();
    };
    let Some(mut image) = Rest::above(found, &base) else {
        return Vec::new();
    };
    let mut standing = Lineage::start();
    let mut matched = Vec::new();
    for stage in stages {
        for (index, step) in stage.steps.iter().enumerate() {
            let Some(row) = &step.history else { continue };
            let Some((told, layer)) = image.next() else {
                return matched;
            };
            if told.created_by != row.created_by
                || told.empty_layer != row.empty_layer
                || !is_told_by_history(&step.operation)
            {
                return matched;
            }
            let Some((descriptor, diff_id)) = layer else {
                continue;
            };
            let record = Record {
                layer: descriptor,
                diff_id,
                created: told.created.clone().unwrap_or_default(),
                instruction: step.title.clone(),
                platform: stage.platform.clone(),
                parent: standing.of_record(&step.operation),
                restated: None,
            };
            standing = standing.on(&step.operation, diff_id);
            if is_looked_up(request, stage, index) {
                let place = Place::Registry(reference.clone());
                matched.push(((stage.id, index), Hit { record, place }));
            }
        }
    }
    matched
}

/// The stages that the target's layers come from, the lowest first.
fn lineage(plan: &Plan) -> Vec<&Stage> {
    let mut stages = Vec::new();
    let mut at = Some(plan.target);
    while let Some(stage) = at.and_then(|id| plan.stage(id)) {
        stages.push(stage);
        at = match stage.base {
            Base::Stage(parent) => Some(parent),
            _ => None,
        };
    }
    stages.reverse();
    stages
}

/// What the lowest stage starts from.
#[derive(Debug, Default)]
struct Ground {
    rows: Vec<History>,
    layers: Vec<DiffId>,
    config: ContainerConfig,
}

impl Ground {
    fn of(resolved: &Resolved, stages: &[&Stage]) -> Option<Self> {
        match &stages.first()?.base {
            Base::Scratch => Some(Self::default()),
            Base::Image(base) => {
                let image = resolved.images.get(&base.key)?;
                Some(Self {
                    rows: image.history(),
                    layers: image.diff_ids(),
                    config: image.container(),
                })
            }
            Base::Context(_) | Base::Stage(_) => None,
        }
    }
}

/// What an image has above its base: rows, each with its layer.
struct Rest {
    rows: std::vec::IntoIter<History>,
    layers: std::vec::IntoIter<(yadokari_image::Descriptor, DiffId)>,
}

impl Rest {
    /// Cuts the base off an image; nothing if the image stands on another one.
    fn above(found: &Found, base: &Ground) -> Option<Self> {
        let mut rows = found.config.history.clone().unwrap_or_default();
        let diff_ids = found.config.rootfs.diff_ids.clone().unwrap_or_default();
        let same_row = |(one, other): (&History, &History)| {
            one.created_by == other.created_by && one.empty_layer == other.empty_layer
        };
        let is_above = rows.len() >= base.rows.len()
            && rows.iter().zip(&base.rows).all(same_row)
            && diff_ids.starts_with(&base.layers)
            && found.manifest.layers().len() == diff_ids.len()
            && rows.iter().filter(|row| !row.empty_layer).count() == diff_ids.len()
            && is_inherited(&base.config, &found.config.config, &rows[base.rows.len()..]);
        let layers: Vec<_> = found
            .manifest
            .layers()
            .iter()
            .cloned()
            .zip(diff_ids)
            .skip(base.layers.len())
            .collect();
        is_above.then(|| Self {
            rows: rows.split_off(base.rows.len()).into_iter(),
            layers: layers.into_iter(),
        })
    }

    fn next(&mut self) -> Option<(History, Option<(yadokari_image::Descriptor, DiffId)>)> {
        let row = self.rows.next()?;
        let layer = match row.empty_layer {
            true => None,
            false => Some(self.layers.next()?),
        };
        Some((row, layer))
    }
}

/// Whether an image's settings are its base's, but for those that its own rows set: a base of the same layers may
/// have had others.
fn is_inherited(base: &ContainerConfig, image: &ContainerConfig, rows: &[History]) -> bool {
    let sets = |word: &str| rows.iter().any(|row| row.created_by.starts_with(word));
    let variables = |config: &ContainerConfig| -> HashMap<String, String> {
        let pairs = config.env.iter().filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let own = variables(image);
    let is_set = |name: &str| {
        rows.iter()
            .any(|row| row.created_by.starts_with("ENV ") && row.created_by.contains(name))
    };
    let same_variables = variables(base)
        .iter()
        .all(|(name, value)| own.get(name) == Some(value) || is_set(name));
    same_variables
        && (base.user == image.user || sets("USER "))
        && (base.working_dir == image.working_dir || sets("WORKDIR "))
        && (base.shell == image.shell || sets("SHELL "))
}

/// Whether an image's history says all that a step's result depends on.
fn is_told_by_history(operation: &Operation) -> bool {
    match operation {
        Operation::Metadata | Operation::Workdir(_) => true,
        Operation::Copy(_) => false,
        Operation::Run(run) => {
            run.mounts.is_empty()
                && run.script.is_none()
                // Of documents in a command the history has a summary.
                && !run.argv.iter().any(|word| word.contains("<<"))
                && run.volumes.is_empty()
                && run.network == RunNetwork::Default
                && !run.insecure
        }
    }
}

#[cfg(test)]
mod tests {
    use yadokari_image::media_type::{self, Family};
    use yadokari_image::{Descriptor, Digest};

    use super::*;

    fn row(text: &str, empty_layer: bool) -> History {
        History {
            created_by: text.to_owned(),
            empty_layer,
            ..History::default()
        }
    }

    /// An image with these rows, whose layers are called by their row.
    fn image(rows: &[History], env: &[&str]) -> Found {
        let layers: Vec<&History> = rows.iter().filter(|row| !row.empty_layer).collect();
        let mut config = ImageConfig {
            history: Some(rows.to_vec()),
            ..ImageConfig::default()
        };
        config.rootfs.diff_ids = Some(layers.iter().map(|row| diff_id(&row.created_by)).collect());
        config.config.env = env.iter().map(|pair| (*pair).to_owned()).collect();
        let descriptors = layers
            .iter()
            .map(|row| Descriptor::of(media_type::OCI_LAYER_GZIP, row.created_by.as_bytes()));
        let descriptor = Descriptor::of(Family::Oci.config(), b"{}");
        Found {
            manifest: Manifest::new(Family::Oci, descriptor, descriptors.collect()),
            config,
        }
    }

    fn diff_id(text: &str) -> DiffId {
        DiffId::from_digest(Digest::of(text.as_bytes()))
    }

    fn ground(env: &[&str]) -> Ground {
        let base = image(&[row("base", false)], env);
        Ground {
            rows: base.config.history.clone().unwrap_or_default(),
            layers: base.config.rootfs.diff_ids.clone().unwrap_or_default(),
            config: base.config.config,
        }
    }

    #[test]
    fn what_is_above_the_base_is_given_row_by_row_with_its_layer() {
        let rows = [
            row("base", false),
            row("ENV A=1", true),
            row("RUN x", false),
        ];
        let mut rest = Rest::above(&image(&rows, &["A=1"]), &ground(&[])).unwrap();
        let (env, none) = rest.next().unwrap();
        assert!(env.created_by == "ENV A=1" && none.is_none());
        let (run, layer) = rest.next().unwrap();
        assert_eq!(
            (run.created_by.as_str(), layer.unwrap().1),
            ("RUN x", diff_id("RUN x"))
        );
        assert!(rest.next().is_none());
    }

    #[test]
    fn an_image_on_another_base_is_none() {
        let above = |rows: &[History], env: &[&str], base: &[&str]| {
            Rest::above(&image(rows, env), &ground(base)).is_some()
        };
        let run = row("RUN x", false);
        assert!(above(
            &[row("base", false), run.clone()],
            &["P=1"],
            &["P=1"]
        ));
        assert!(!above(&[row("other", false), run.clone()], &[], &[]));
        assert!(!above(&[row("base", true), run.clone()], &[], &[]));
        assert!(!above(&[], &[], &[]));
        assert!(
            !above(&[row("base", false), run.clone()], &["P=2"], &["P=1"]),
            "the same layers, another environment"
        );
        assert!(above(
            &[row("base", false), row("ENV P=2", true), run],
            &["P=2"],
            &["P=1"]
        ));
    }

    #[test]
    fn an_image_whose_rows_and_layers_do_not_agree_is_none() {
        let mut odd = image(&[row("base", false), row("RUN x", false)], &[]);
        odd.config.history = Some(vec![row("base", false)]);
        assert!(Rest::above(&odd, &ground(&[])).is_none());
    }

    #[test]
    fn history_does_not_tell_of_files_mounts_and_scripts() {
        let told = |text: &str| {
            let plan =
                crate::prepare::schedule::tests::planned(&format!("FROM scratch\n{text}"), &[]);
            is_told_by_history(&plan.target_stage().steps[0].operation)
        };
        assert!(told("RUN x") && told("WORKDIR /a") && told("ENV A=1"));
        for text in [
            "COPY a /",
            "ADD a /",
            "COPY <<E /a\nx\nE",
            "RUN --mount=type=cache,target=/c x",
            "RUN --network=none x",
            "RUN <<E bash\nx\nE",
        ] {
            assert!(!told(text), "{text}");
        }
    }

    #[test]
    fn caches_of_others_are_known_by_their_media_type() {
        assert!(is_foreign_cache(
            br#"{"manifests":[{"mediaType":"application/vnd.buildkit.cacheconfig.v0"}]}"#
        ));
        assert!(!is_foreign_cache(b"{}"));
    }
}
