//! Which steps run, which come from the cache, and which nobody needs.

use std::collections::{HashMap, HashSet};

use yadokari_plan::{Base, ImageKey, Operation, Plan, Source, Stage, StageId};

/// A step of a plan: its stage and its index among the stage's steps.
pub(crate) type StepKey = (StageId, usize);

/// What happens to each step, decided before anything runs.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// The stages that are walked, by how many of their steps come from the cache.
    stages: HashMap<StageId, Walk>,
    /// How many readers want the files of a stage.
    readers: HashMap<StageId, usize>,
    /// Images whose files are copied or mounted.
    pub(crate) images: HashSet<ImageKey>,
}

#[derive(Debug, Clone, Copy)]
struct Walk {
    /// Index of the first step that runs; all layer-making steps before it come from the cache.
    first_run: usize,
}

impl Schedule {
    /// Decides what is needed, from the targets down.
    ///
    /// A step can only come from the cache if all before it in its stage do: its layer is stacked on
    /// theirs. A stage that is only copied from is not walked when all those copies come from the cache.
    pub(crate) fn new(plan: &Plan, hit: &dyn Fn(StepKey) -> bool, files_wanted: bool) -> Self {
        let mut schedule = Self::default();
        for target in std::iter::once(plan.target).chain(plan.also.iter().copied()) {
            schedule.need(plan, target, hit);
        }
        if files_wanted {
            *schedule.readers.entry(plan.target).or_default() += 1;
        }
        schedule
    }

    fn need(&mut self, plan: &Plan, id: StageId, hit: &dyn Fn(StepKey) -> bool) {
        if self.stages.contains_key(&id) {
            return;
        }
        let Some(stage) = plan.stage(id) else { return };
        let first_run = first_run(stage, hit);
        self.stages.insert(id, Walk { first_run });
        if let Base::Stage(parent) = stage.base {
            self.need(plan, parent, hit);
            *self.readers.entry(parent).or_default() += 1;
        }
        for step in &stage.steps[first_run..] {
            for source in sources(&step.operation) {
                self.need_source(plan, source, hit);
            }
        }
    }

    fn need_source(&mut self, plan: &Plan, source: &Source, hit: &dyn Fn(StepKey) -> bool) {
        match source {
            Source::Stage(id) => {
                self.need(plan, *id, hit);
                *self.readers.entry(*id).or_default() += 1;
            }
            Source::Image(key) => {
                self.images.insert(key.clone());
            }
            Source::Context | Source::Named(_) | Source::Scratch => {}
        }
    }

    /// Whether anything needs this stage.
    pub(crate) fn needs(&self, stage: StageId) -> bool {
        self.stages.contains_key(&stage)
    }

    /// Whether this step's layer comes from the cache.
    pub(crate) fn is_cached(&self, stage: &Stage, step: usize) -> bool {
        stage.steps[step].operation.makes_layer()
            && self.stages.get(&stage.id).is_some_and(|walk| step < walk.first_run)
    }

    /// Whether a RUN follows this step in its stage, so that files on disk will change.
    pub(crate) fn runs_after(&self, stage: &Stage, step: usize) -> bool {
        let Some(walk) = self.stages.get(&stage.id) else { return false };
        stage
            .steps
            .iter()
            .enumerate()
            .skip(step)
            .any(|(index, step)| index >= walk.first_run && matches!(step.operation, Operation::Run(_)))
    }

    /// How many readers want the files of a stage: stages on top of it, copies and mounts.
    pub(crate) fn readers(&self, stage: StageId) -> usize {
        self.readers.get(&stage).copied().unwrap_or_default()
    }
}

fn first_run(stage: &Stage, hit: &dyn Fn(StepKey) -> bool) -> usize {
    stage
        .steps
        .iter()
        .enumerate()
        .position(|(index, step)| step.operation.makes_layer() && !hit((stage.id, index)))
        .unwrap_or(stage.steps.len())
}

/// The trees a step reads besides its own stage's.
pub(crate) fn sources(operation: &Operation) -> Vec<&Source> {
    match operation {
        Operation::Copy(copy) => vec![&copy.from],
        Operation::Run(run) => run.mounts.iter().filter_map(|mount| mount.from.as_ref()).collect(),
        Operation::Metadata | Operation::Workdir(_) => Vec::new(),
    }
}
