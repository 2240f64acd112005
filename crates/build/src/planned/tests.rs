//! Whole plans with what a cache has for them: a folder of cases in `tests/plans`, described in its README.

mod case;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use yadokari_cache::{Record, Trail, Trails};
use yadokari_image::{Descriptor, DiffId, Digest, media_type};
use yadokari_plan::{Base, Key, Keys, Plan, StageId, keys};

use self::case::{Build, Case};
use super::text;
use crate::caching::explain::{Comparison, origin, stages, trail_name};
use crate::caching::lookup::{Hit, Hits, looked_up};
use crate::caching::standing::{Lineage, usable};
use crate::prepare::salt;
use crate::prepare::schedule::Schedule;
use crate::stage::layers::Place;

#[test]
fn plans_are_the_texts_that_stand_beside_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let bless = is_blessing();
    let mut cases: Vec<_> = fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "there are cases");
    let mut wrong = Vec::new();
    for case in cases {
        let found = explained(&Case::read(&case));
        let file = case.join("expected");
        if bless {
            fs::write(&file, &found).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", case.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "run again with BLESS=1 and look at the difference if these are right:\n\n{}",
        wrong.join("\n")
    );
}

/// Whether the texts are to be written rather than compared.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs this test says so in its environment"
)]
fn is_blessing() -> bool {
    std::env::var_os("BLESS").is_some()
}

/// What `plan --explain` prints of a case.
fn explained(case: &Case) -> String {
    let mut cache = Cache::default();
    for (job, build) in case.earlier.iter().enumerate() {
        cache.remember(build, job);
    }
    for lost in &case.lost {
        let before = cache.records.len();
        cache
            .records
            .retain(|_, record| record.instruction != *lost);
        assert!(cache.records.len() < before, "no record is of `{lost}`");
    }
    let now = Planned::of(&case.now);
    let build = &case.now;
    let hits = cache.hits(build, &now);
    let schedule = Schedule::new(&now.plan, usable(&now.plan, &hits), false);
    let before = cache.trails.get(&now.name).cloned().unwrap_or_default();
    let comparison = Comparison {
        request: &build.request,
        plan: &now.plan,
        schedule: &schedule,
        hits: &hits,
        now: &now.trail,
        before: &before,
    };
    text(&now.plan, &now.keys, &schedule, &comparison.reasons())
}

/// A build up to its keys.
struct Planned {
    plan: Plan,
    keys: Keys,
    name: String,
    trail: Trail,
}

impl Planned {
    fn of(build: &Build) -> Self {
        let (plan, images) = build.plan();
        let salt = salt(&build.request, &plan);
        let (remotes, contexts) = (build.remotes(), build.contexts());
        let contents = contexts.keys(&images, &remotes);
        let keys = keys(&plan, &salt, &contents).unwrap();
        let trail = Trail {
            made: "2026-01-02T03:04:05Z".to_owned(),
            origin: origin(&build.request, &build.file),
            stages: stages(&plan, &keys, &salt, &contents),
        };
        Self {
            name: trail_name(&plan, &build.file),
            plan,
            keys,
            trail,
        }
    }
}

/// What earlier builds left.
#[derive(Default)]
struct Cache {
    records: BTreeMap<Key, Record>,
    trails: BTreeMap<String, Trails>,
}

impl Cache {
    /// Keeps what a build leaves that finds what earlier ones left.
    fn remember(&mut self, build: &Build, job: usize) {
        let planned = Planned::of(build);
        let mut ends: BTreeMap<StageId, Lineage> = BTreeMap::new();
        for stage in &planned.plan.stages {
            let mut lineage = match &stage.base {
                Base::Stage(parent) => ends[parent],
                _ => Lineage::start(),
            };
            for (index, step) in stage.steps.iter().enumerate() {
                let Some(key) = planned.keys.step(stage.id, index) else {
                    continue;
                };
                let result = format!("{key} made by {job}");
                let made = Record {
                    layer: Descriptor::of(media_type::OCI_LAYER_GZIP, result.as_bytes()),
                    diff_id: DiffId::from_digest(Digest::of(result.as_bytes())),
                    created: planned.trail.made.clone(),
                    instruction: step.title.clone(),
                    platform: stage.platform.clone(),
                    parent: lineage.of_record(&step.operation),
                    restated: None,
                };
                let record = self.records.entry(key).or_insert(made);
                lineage = lineage.on(&step.operation, record.diff_id);
            }
            ends.insert(stage.id, lineage);
        }
        self.trails
            .entry(planned.name)
            .or_default()
            .keep(planned.trail);
    }

    fn hits(&self, build: &Build, now: &Planned) -> Hits {
        let mut hits = Hits::new();
        for (stage, index) in looked_up(&build.request, &now.plan) {
            let key = now.keys.step(stage, index);
            if let Some(record) = key.and_then(|key| self.records.get(&key)) {
                let hit = Hit {
                    record: record.clone(),
                    place: Place::Directory(Default::default()),
                };
                hits.insert((stage, index), hit);
            }
        }
        hits
    }
}
