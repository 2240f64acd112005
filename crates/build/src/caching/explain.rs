//! Why a step is not in the cache: what its key is made of, compared with the last build of the same target.

use std::collections::HashMap;

use yadokari_cache::{Fact, Trail, TrailStage, TrailStep, why};
use yadokari_dockerfile::lint::predicate::looks_secret;
use yadokari_image::Digest;
use yadokari_plan::{Base, Ingredient, Keys, Plan, Salt, Stage, StageId, Step};

use crate::caching::lookup::{Hits, is_excluded, is_kind_cached};
use crate::prepare::read_keys::FileKeys;
use crate::prepare::schedule::{Schedule, StepKey};
use crate::request::BuildRequest;

/// Why steps are not in the cache, by step.
pub(crate) type Reasons = HashMap<StepKey, Vec<String>>;

/// What a build is called among those whose records are kept in one cache.
pub(crate) fn trail_name(request: &BuildRequest, plan: &Plan, file: &str) -> String {
    let file = file.rsplit('/').next().unwrap_or(file);
    format!(
        "{file:?} {:?} {}",
        request.targets,
        plan.target_stage().platform
    )
}

/// What the keys of a plan are made of.
pub(crate) fn trail(
    plan: &Plan,
    keys: &Keys,
    salt: &Salt,
    contents: &FileKeys<'_>,
    made: String,
) -> Trail {
    let stage = |stage: &Stage| {
        let steps = stage.steps.iter().enumerate();
        let steps = steps.filter_map(|(index, step)| {
            Some(TrailStep {
                title: step.title.clone(),
                key: keys.step(stage.id, index)?.to_string(),
                facts: facts(plan, keys.ingredients(stage.id, index)),
                files: contents.facts(&step.operation),
            })
        });
        let (base, base_digest) = base(plan, stage);
        TrailStage {
            name: stage.name.clone(),
            base,
            base_digest,
            facts: settings(stage, salt),
            steps: steps.collect(),
        }
    };
    Trail {
        made,
        stages: plan.stages.iter().map(stage).collect(),
    }
}

fn base(plan: &Plan, stage: &Stage) -> (String, String) {
    match &stage.base {
        Base::Scratch => ("scratch".to_owned(), String::new()),
        Base::Image(image) => (image.word.clone(), image.config.to_string()),
        Base::Context(name) => (name.clone(), String::new()),
        Base::Stage(id) => (stage_name(plan, *id), String::new()),
    }
}

fn stage_name(plan: &Plan, id: StageId) -> String {
    plan.stage(id)
        .map_or_else(|| id.to_string(), |stage| stage.name.clone())
}

fn settings(stage: &Stage, salt: &Salt) -> Vec<Fact> {
    let clamp = salt.clamp.map(|clamp| clamp.to_string());
    let compat = Some(&salt.compat).filter(|compat| !compat.is_empty());
    let all = [
        ("the platform", Some(stage.platform.to_string())),
        ("the compression", Some(salt.encoding.clone())),
        ("the latest time", clamp),
        ("--compat", compat.cloned()),
    ];
    all.into_iter()
        .filter_map(|(name, value)| {
            Some(Fact {
                name: name.to_owned(),
                value: Some(value?),
            })
        })
        .collect()
}

/// What people want to know of a key's ingredients. What is below a step is told of the steps there.
fn facts(plan: &Plan, ingredients: &[Ingredient]) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    for ingredient in ingredients {
        let (name, value) = match ingredient {
            Ingredient::Below(_) => continue,
            Ingredient::Text(name, text) => ((*name).to_owned(), Some(shown(text))),
            Ingredient::Bytes(name, bytes) => ((*name).to_owned(), Some(marked(bytes))),
            Ingredient::Number(name, number) => ((*name).to_owned(), Some(number.to_string())),
            Ingredient::List(name, items) => ((*name).to_owned(), Some(shown(&items.join(" ")))),
            Ingredient::Variable { name, value } => {
                let hidden = looks_secret(name) || holds_password(value);
                (format!("variable {name}"), (!hidden).then(|| shown(value)))
            }
            Ingredient::Content(name, content) => ((*name).to_owned(), Some(marked(&content.0))),
            Ingredient::Taking(taking) => {
                let name = match taking.stage {
                    Some(stage) => format!("what stage {} is made of", stage_name(plan, stage)),
                    None => "the image that is read".to_owned(),
                };
                (name, Some(format!("#{}", &taking.tree.to_string()[..12])))
            }
        };
        let again = facts
            .iter()
            .filter(|fact| is_numbered(&fact.name, &name))
            .count();
        let name = if again > 0 {
            format!("{name} ({})", again + 1)
        } else {
            name
        };
        facts.push(Fact { name, value });
    }
    facts
}

/// Whether a name is this one, alone or with a number behind it.
fn is_numbered(known: &str, name: &str) -> bool {
    known
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
}

/// A URL with a user's password in it.
fn holds_password(value: &str) -> bool {
    value.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// A value as it is kept: a long one by its beginning and a digest.
fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let line = value.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= LONGEST {
        return format!("`{line}`");
    }
    let start: String = line.chars().take(LONGEST).collect();
    let digest = &Digest::of(value.as_bytes()).hex()[..12];
    format!("`{start}…` ({digest})")
}

/// A digest as it is kept; the mark says that its digits mean nothing to people.
fn marked(bytes: &[u8]) -> String {
    format!("#{}", &Digest::of(bytes).hex()[..12])
}

/// Compares the steps that have to be done with the last build.
pub(crate) struct Comparison<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) plan: &'a Plan,
    pub(crate) schedule: &'a Schedule,
    pub(crate) hits: &'a Hits,
    pub(crate) now: &'a Trail,
    pub(crate) before: Option<&'a Trail>,
}

impl Comparison<'_> {
    /// Why steps have to be done.
    pub(crate) fn reasons(&self) -> Reasons {
        let missing = self.schedule.missing(self.plan);
        missing
            .iter()
            .map(|id| (*id, self.reason(*id, &missing)))
            .collect()
    }

    fn reason(&self, id: StepKey, missing: &[StepKey]) -> Vec<String> {
        let Some((position, stage)) = self.stage(id.0) else {
            return Vec::new();
        };
        let step = &stage.steps[id.1];
        if is_excluded(self.request, stage) {
            return vec!["--no-cache asks for it".to_owned()];
        }
        if !is_kind_cached(self.request, &step.operation) {
            return vec!["layers of its kind are not cached here".to_owned()];
        }
        let Some(before) = self.before else {
            return vec!["no earlier build of this target is known".to_owned()];
        };
        let now = &self.now.stages[position];
        let Some(old) = earlier_stage(before, now, position) else {
            return vec![format!("the last build had no stage {}", stage.name)];
        };
        let layer = layer_index(stage, id.1);
        let reasons = match earlier_step(now, old, layer) {
            Some(known) if known.key == now.steps[layer].key => self.without_change(id),
            Some(known) => {
                let mut reasons = why(&now.steps[layer], known);
                if reasons.is_empty() {
                    reasons = self.cause_below(id, stage, now, old, missing);
                }
                reasons
            }
            None => vec!["the last build had no such step".to_owned()],
        };
        if reasons.is_empty() {
            return vec!["what it stands on changed".to_owned()];
        }
        reasons
    }

    /// Its key is known, and yet there is no layer.
    fn without_change(&self, id: StepKey) -> Vec<String> {
        let reason = if self.hits.contains_key(&id) {
            "its layer was made on another result of a command before it"
        } else {
            "nothing changed, but its record is not there: it expired, was deleted or never written"
        };
        vec![reason.to_owned()]
    }

    /// The step itself is the same: something before it is not.
    fn cause_below(
        &self,
        id: StepKey,
        stage: &Stage,
        now: &TrailStage,
        old: &TrailStage,
        missing: &[StepKey],
    ) -> Vec<String> {
        if now.base != old.base {
            return vec![format!(
                "the stage started from {}, now from {}",
                old.base, now.base
            )];
        }
        if now.base_digest != old.base_digest {
            let short = |digest: &str| {
                digest
                    .chars()
                    .take("sha256:".len() + 12)
                    .collect::<String>()
            };
            return vec![format!(
                "the base image {} changed: it was {}, is {}",
                now.base,
                short(&old.base_digest),
                short(&now.base_digest)
            )];
        }
        let settings = yadokari_cache::changed(&now.facts, &old.facts);
        if !settings.is_empty() {
            return settings;
        }
        let before = missing
            .iter()
            .rfind(|(of, step)| *of == id.0 && *step < id.1);
        if let Some((_, step)) = before {
            return vec![follows(&stage.steps[*step])];
        }
        match &stage.base {
            Base::Stage(parent) => vec![format!(
                "stage {}, which it starts from, changed",
                stage_name(self.plan, *parent)
            )],
            _ => Vec::new(),
        }
    }

    fn stage(&self, id: StageId) -> Option<(usize, &Stage)> {
        let mut stages = self.plan.stages.iter().enumerate();
        stages.find(|(_, stage)| stage.id == id)
    }
}

fn follows(step: &Step) -> String {
    format!(
        "it follows `{}` (line {}), which is not in the cache",
        step.title, step.span.first_line
    )
}

/// The place of a step among those of its stage that make layers.
fn layer_index(stage: &Stage, step: usize) -> usize {
    let before = &stage.steps[..step];
    before
        .iter()
        .filter(|step| step.operation.makes_layer())
        .count()
}

fn earlier_stage<'t>(
    before: &'t Trail,
    now: &TrailStage,
    position: usize,
) -> Option<&'t TrailStage> {
    let named = before.stages.iter().find(|stage| stage.name == now.name);
    named.or_else(|| before.stages.get(position))
}

/// The step of the last build that this one comes from: the same instruction, or what was in its place.
fn earlier_step<'t>(now: &TrailStage, old: &'t TrailStage, layer: usize) -> Option<&'t TrailStep> {
    let title = &now.steps[layer].title;
    let nth = now.steps[..layer]
        .iter()
        .filter(|step| step.title == *title)
        .count();
    let same = old
        .steps
        .iter()
        .filter(|step| step.title == *title)
        .nth(nth);
    same.or_else(|| old.steps.get(layer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_short_and_on_one_line() {
        assert_eq!(shown("1.0"), "`1.0`");
        assert_eq!(shown("a\nb"), "`a b`");
        let long = shown(&"x".repeat(100));
        assert!(
            long.starts_with("`xxx") && long.chars().count() < 90,
            "{long}"
        );
        assert_ne!(shown(&"x".repeat(100)), shown(&"x".repeat(101)));
    }

    #[test]
    fn of_what_looks_secret_nothing_is_kept() {
        let plan = crate::prepare::schedule::tests::planned("FROM scratch\nRUN a", &[]);
        let variable = |name: &str, value: &str| Ingredient::Variable {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let told = facts(
            &plan,
            &[
                variable("NPM_TOKEN", "hunter2"),
                variable("INDEX", "https://me:hunter2@pypi.example/simple"),
                variable("VERSION", "1.0"),
                variable("PLAIN", "https://pypi.example/@scope"),
            ],
        );
        let text = format!("{told:?}");
        assert!(!text.contains("hunter2"), "{text}");
        let hidden: Vec<_> = told.iter().map(|fact| fact.value.is_none()).collect();
        assert_eq!(hidden, [true, true, false, false]);
    }

    #[test]
    fn facts_of_one_name_are_numbered() {
        let plan = crate::prepare::schedule::tests::planned("FROM scratch\nRUN a", &[]);
        let text = |value: &str| Ingredient::Text("mount", value.to_owned());
        let names: Vec<_> = facts(&plan, &[text("a"), text("b"), text("c")])
            .into_iter()
            .map(|fact| fact.name)
            .collect();
        assert_eq!(names, ["mount", "mount (2)", "mount (3)"]);
    }
}
