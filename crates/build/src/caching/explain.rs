//! Why a step is not in the cache: what its key is made of, compared with the nearest build that is known.

mod facts;

use std::collections::HashMap;

use yadokari_cache::{Nearest, Trail, TrailStage, TrailStep, Trails, why};
use yadokari_plan::{Base, Plan, Source, Stage, StageId, Step};

use crate::caching::lookup::{Hits, is_excluded, is_kind_cached, renewed};
use crate::prepare::schedule::{Schedule, StepKey, sources};
use crate::request::BuildRequest;

pub(crate) use facts::{origin, stages, trail_name};

use facts::stage_name;

/// Why steps are not in the cache, by step.
pub(crate) type Reasons = HashMap<StepKey, Vec<String>>;

/// Compares the steps that have to be done with earlier builds.
pub(crate) struct Comparison<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) plan: &'a Plan,
    pub(crate) schedule: &'a Schedule,
    pub(crate) hits: &'a Hits,
    pub(crate) now: &'a Trail,
    pub(crate) before: &'a Trails,
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
        if let Some(taken) = self.renewed_source(step) {
            return vec![format!("stage {taken}, which it takes from, is made anew")];
        }
        if self.before.builds.is_empty() {
            return vec!["no earlier build of this target is known".to_owned()];
        }
        let now = &self.now.stages[position];
        let Some(nearest) = self.before.nearest(now, &self.now.origin) else {
            return vec![format!("no earlier build had a stage like {}", stage.name)];
        };
        let reasons = self.compared(id, stage, now, nearest.stage, missing);
        told_of(nearest, reasons)
    }

    fn compared(
        &self,
        id: StepKey,
        stage: &Stage,
        now: &TrailStage,
        old: &TrailStage,
        missing: &[StepKey],
    ) -> Vec<String> {
        let layer = layer_index(stage, id.1);
        let reasons = match earlier_step(now, old, layer) {
            Some(known) if known.key == now.steps[layer].key => {
                self.without_change(id, stage, missing)
            }
            Some(known) => {
                let mut reasons = why(&now.steps[layer], known);
                if reasons.is_empty() {
                    reasons = self.cause_below(id, stage, now, old, missing);
                }
                reasons
            }
            None => vec!["it is new".to_owned()],
        };
        if reasons.is_empty() {
            return vec!["what it stands on changed".to_owned()];
        }
        reasons
    }

    /// The name of a stage that a step takes from and that the user wants to be made anew.
    fn renewed_source(&self, step: &Step) -> Option<String> {
        let renewed = renewed(self.request, self.plan);
        sources(&step.operation)
            .into_iter()
            .find_map(|source| match source {
                Source::Stage(id) if renewed.contains(id) => Some(stage_name(self.plan, *id)),
                _ => None,
            })
    }

    /// Its key is known, and yet there is no layer, or none that fits for sure.
    fn without_change(&self, id: StepKey, stage: &Stage, missing: &[StepKey]) -> Vec<String> {
        let before = missing_before(id, missing).filter(|_| self.hits.contains_key(&id));
        if let Some(step) = before {
            let follows = follows(&stage.steps[step]);
            return vec![format!(
                "{follows}; its layer is used if that gives what it gave"
            )];
        }
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
        if let Some(step) = missing_before(id, missing) {
            return vec![follows(&stage.steps[step])];
        }
        if let Some(gone) = gone_before(now, old, layer_index(stage, id.1)) {
            return vec![format!("it followed `{}`, which is gone", gone.title)];
        }
        match &stage.base {
            Base::Stage(parent) => vec![format!(
                "stage {}, which it starts from, changed",
                stage_name(self.plan, *parent)
            )],
            Base::Context(name) => vec![format!("the files of context {name} changed")],
            _ => Vec::new(),
        }
    }

    fn stage(&self, id: StageId) -> Option<(usize, &Stage)> {
        let mut stages = self.plan.stages.iter().enumerate();
        stages.find(|(_, stage)| stage.id == id)
    }
}

/// The last step before this one, in its stage, that has to be done.
fn missing_before(id: StepKey, missing: &[StepKey]) -> Option<usize> {
    let mut before = missing.iter();
    let found = before.rfind(|(of, step)| *of == id.0 && *step < id.1);
    found.map(|(_, step)| *step)
}

/// The last step that the earlier build had before this one, and that is nowhere now.
fn gone_before<'t>(now: &TrailStage, old: &'t TrailStage, layer: usize) -> Option<&'t TrailStep> {
    let title = &now.steps[layer].title;
    let place = old.steps.iter().position(|step| step.title == *title)?;
    let is_there = |old: &&TrailStep| now.steps.iter().any(|step| step.title == old.title);
    old.steps[..place].iter().rfind(|step| !is_there(step))
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

/// The step of the earlier build that this one comes from: the same instruction, or what was in its place and is
/// nowhere now.
fn earlier_step<'t>(now: &TrailStage, old: &'t TrailStage, layer: usize) -> Option<&'t TrailStep> {
    let title = &now.steps[layer].title;
    let is_this = |step: &&TrailStep| step.title == *title;
    let nth = now.steps[..layer].iter().filter(is_this).count();
    let same = old.steps.iter().filter(is_this).nth(nth);
    same.or_else(|| {
        let replaced = old.steps.get(layer)?;
        let is_still_there = now.steps.iter().any(|step| step.title == replaced.title);
        (!is_still_there).then_some(replaced)
    })
}

/// Says with the reasons that it was another build they come from, where it was.
fn told_of(nearest: Nearest<'_>, mut reasons: Vec<String>) -> Vec<String> {
    if !nearest.is_same_build
        && let Some(last) = reasons.last_mut()
    {
        last.push_str(&format!(
            " (compared with another build, of {})",
            nearest.build.made
        ));
    }
    reasons
}
