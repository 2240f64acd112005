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
            && self
                .stages
                .get(&stage.id)
                .is_some_and(|walk| step < walk.first_run)
    }

    /// Whether a RUN follows this step in its stage, so that files on disk will change.
    pub(crate) fn runs_after(&self, stage: &Stage, step: usize) -> bool {
        let Some(walk) = self.stages.get(&stage.id) else {
            return false;
        };
        stage
            .steps
            .iter()
            .enumerate()
            .skip(step)
            .any(|(index, step)| {
                index >= walk.first_run && matches!(step.operation, Operation::Run(_))
            })
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
        Operation::Run(run) => run
            .mounts
            .iter()
            .filter_map(|mount| mount.from.as_ref())
            .collect(),
        Operation::Metadata | Operation::Workdir(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use yadokari_dockerfile::parse;
    use yadokari_image::{Digest, ImageConfig, Platform};
    use yadokari_plan::{Images, Progress, Request, ResolvedImage, plan};

    use super::*;

    fn planned(text: &str, targets: &[&str]) -> Plan {
        let platform = Platform::new("linux", "amd64");
        let request = Request {
            targets: targets.iter().map(|name| (*name).to_owned()).collect(),
            build_args: Vec::new(),
            labels: BTreeMap::new(),
            platform: None,
            host: platform.clone(),
            named: BTreeMap::new(),
            allow: Vec::new(),
            hostname: None,
            all_stages: false,
            kaniko: false,
            ignore: None,
        };
        let parsed = parse(text.as_bytes()).unwrap();
        let mut images = Images::new();
        loop {
            match plan(&parsed.dockerfile, &request, &images).unwrap() {
                Progress::Ready(plan) => return *plan,
                Progress::NeedsImages(missing) => {
                    images.extend(missing.into_iter().map(|request| {
                        let config = ImageConfig::new(&platform);
                        let digest = Digest::of(request.word.as_bytes());
                        (
                            request.key,
                            ResolvedImage {
                                manifest: digest,
                                config_digest: digest,
                                config,
                            },
                        )
                    }));
                }
            }
        }
    }

    /// A schedule where these steps, as `stage.step`, have records in the cache.
    fn schedule(plan: &Plan, hits: &[(usize, usize)]) -> Schedule {
        Schedule::new(
            plan,
            &|(stage, step)| hits.contains(&(stage.0, step)),
            false,
        )
    }

    fn needed(plan: &Plan, schedule: &Schedule) -> Vec<usize> {
        plan.stages
            .iter()
            .map(|stage| stage.id)
            .filter(|id| schedule.needs(*id))
            .map(|id| id.0)
            .collect()
    }

    fn cached(plan: &Plan, schedule: &Schedule, id: usize) -> Vec<bool> {
        let stage = plan.stage(StageId(id)).unwrap();
        (0..stage.steps.len())
            .map(|step| schedule.is_cached(stage, step))
            .collect()
    }

    const COPIED: &str = "FROM scratch AS a\nRUN a\nFROM scratch AS b\nCOPY --from=a /x /\nFROM scratch\nCOPY --from=b /x /\nRUN c";

    #[test]
    fn without_records_everything_the_target_reaches_is_needed() {
        let plan = planned(COPIED, &[]);
        assert_eq!(needed(&plan, &schedule(&plan, &[])), [0, 1, 2]);
    }

    #[test]
    fn a_stage_that_is_only_copied_from_is_dropped_when_the_copy_is_cached() {
        let plan = planned(COPIED, &[]);
        assert_eq!(needed(&plan, &schedule(&plan, &[(2, 0)])), [2]);
        assert_eq!(needed(&plan, &schedule(&plan, &[(1, 0)])), [1, 2]);
        assert_eq!(needed(&plan, &schedule(&plan, &[(0, 0)])), [0, 1, 2]);
    }

    #[test]
    fn a_stage_below_is_needed_even_if_all_is_cached_because_its_layers_are() {
        let plan = planned("FROM scratch AS a\nRUN a\nFROM a\nRUN b", &[]);
        let schedule = schedule(&plan, &[(0, 0), (1, 0)]);
        assert_eq!(needed(&plan, &schedule), [0, 1]);
        assert_eq!(cached(&plan, &schedule, 0), [true]);
    }

    #[test]
    fn records_count_up_to_the_first_step_without_one() {
        let plan = planned("FROM scratch\nRUN a\nLABEL x=y\nRUN b\nRUN c\nRUN d", &[]);
        let with = |hits: &[(usize, usize)]| cached(&plan, &schedule(&plan, hits), 0);
        assert_eq!(
            with(&[(0, 0), (0, 2), (0, 4)]),
            [true, false, true, false, false]
        );
        assert_eq!(with(&[(0, 2), (0, 3)]), [false; 5]);
        assert_eq!(
            with(&[(0, 0), (0, 2), (0, 3), (0, 4)]),
            [true, false, true, true, true]
        );
    }

    #[test]
    fn stages_nobody_reaches_are_not_needed() {
        let plan = planned("FROM scratch AS a\nRUN a\nFROM scratch AS b\nRUN b", &["a"]);
        assert_eq!(needed(&plan, &schedule(&plan, &[])), [0]);
        assert!(!schedule(&plan, &[]).needs(StageId(1)));
    }

    #[test]
    fn further_targets_are_needed_too() {
        let plan = planned(
            "FROM scratch AS a\nRUN a\nFROM scratch AS b\nRUN b",
            &["b", "a"],
        );
        assert_eq!(needed(&plan, &schedule(&plan, &[(1, 0)])), [0, 1]);
    }

    #[test]
    fn readers_are_stages_on_top_copies_and_mounts_that_run() {
        let text = "FROM scratch AS a\nRUN a\nFROM a AS b\nCOPY --from=a /x /\nFROM scratch\nCOPY --from=a /x /\nRUN --mount=from=a,target=/m --mount=from=b,target=/n c";
        let plan = planned(text, &[]);
        let none = schedule(&plan, &[]);
        assert_eq!(
            (
                none.readers(StageId(0)),
                none.readers(StageId(1)),
                none.readers(StageId(2))
            ),
            (4, 1, 0)
        );
        let first = schedule(&plan, &[(2, 0)]);
        assert_eq!(
            (first.readers(StageId(0)), first.readers(StageId(1))),
            (3, 1)
        );
        let all = schedule(&plan, &[(2, 0), (2, 1)]);
        assert_eq!((all.readers(StageId(0)), all.readers(StageId(1))), (0, 0));
    }

    #[test]
    fn whoever_wants_the_files_of_the_target_is_a_reader() {
        let plan = planned("FROM scratch\nRUN a", &[]);
        assert_eq!(Schedule::new(&plan, &|_| true, true).readers(StageId(0)), 1);
        assert_eq!(
            Schedule::new(&plan, &|_| true, false).readers(StageId(0)),
            0
        );
    }

    #[test]
    fn images_are_fetched_for_copies_and_mounts_that_run_only() {
        let plan = planned(
            "FROM scratch\nCOPY --from=one /x /\nRUN --mount=from=two,target=/m x",
            &[],
        );
        assert_eq!(schedule(&plan, &[]).images.len(), 2);
        assert_eq!(schedule(&plan, &[(0, 0)]).images.len(), 1);
        assert_eq!(schedule(&plan, &[(0, 0), (0, 1)]).images.len(), 0);
    }

    #[test]
    fn a_run_after_a_step_is_one_that_runs_there_or_later() {
        let plan = planned("FROM scratch\nRUN a\nCOPY b /\nRUN c\nCOPY d /", &[]);
        let stage = plan.target_stage();
        let after = |hits: &[(usize, usize)]| -> Vec<bool> {
            let schedule = schedule(&plan, hits);
            (0..4)
                .map(|step| schedule.runs_after(stage, step))
                .collect()
        };
        assert_eq!(after(&[]), [true, true, true, false]);
        assert_eq!(after(&[(0, 0), (0, 1)]), [true, true, true, false]);
        assert_eq!(after(&[(0, 0), (0, 1), (0, 2)]), [false; 4]);
    }
}
