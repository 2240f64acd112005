//! Which steps run, which come from the cache, and which nobody needs.

use std::collections::{HashMap, HashSet};

use yadokari_plan::{Base, ImageKey, Operation, Plan, Source, Stage, StageId};

/// A step of a plan: its stage and its index among the stage's steps.
pub(crate) type StepKey = (StageId, usize);

/// What happens to each step, decided before anything runs.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// The stages that are walked.
    stages: HashSet<StageId>,
    /// The steps whose layers come from the cache.
    cached: HashSet<StepKey>,
    /// How many readers want the files of a stage.
    readers: HashMap<StageId, usize>,
    /// Images whose files are copied or mounted.
    pub(crate) images: HashSet<ImageKey>,
}

impl Schedule {
    /// Decides what is needed, from the targets down, where these steps come from the cache.
    ///
    /// A stage that is only copied from is not walked when all those copies come from the cache.
    pub(crate) fn new(plan: &Plan, cached: HashSet<StepKey>, files_wanted: bool) -> Self {
        let mut schedule = Self {
            cached,
            ..Self::default()
        };
        for target in std::iter::once(plan.target).chain(plan.also.iter().copied()) {
            schedule.need(plan, target);
        }
        if files_wanted {
            *schedule.readers.entry(plan.target).or_default() += 1;
        }
        schedule
    }

    /// Needs a stage and all that it reads from. The way is kept in a list: stages can stand on each other by the thousands.
    fn need(&mut self, plan: &Plan, id: StageId) {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            let Some(stage) = plan.stage(id).filter(|_| self.stages.insert(id)) else {
                continue;
            };
            if let Base::Stage(parent) = stage.base {
                *self.readers.entry(parent).or_default() += 1;
                pending.push(parent);
            }
            for (index, step) in stage.steps.iter().enumerate() {
                if !self.cached.contains(&(id, index)) {
                    pending.extend(self.need_sources(&step.operation));
                }
            }
        }
    }

    /// Notes what a step reads, and gives the stages among it.
    fn need_sources(&mut self, operation: &Operation) -> Vec<StageId> {
        let mut stages = Vec::new();
        for source in sources(operation) {
            match source {
                Source::Stage(id) => {
                    *self.readers.entry(*id).or_default() += 1;
                    stages.push(*id);
                }
                Source::Image(key) => {
                    self.images.insert(key.clone());
                }
                Source::Context | Source::Named(_) | Source::Scratch => {}
            }
        }
        stages
    }

    /// Whether anything needs this stage.
    pub(crate) fn needs(&self, stage: StageId) -> bool {
        self.stages.contains(&stage)
    }

    /// Whether this step's layer comes from the cache.
    pub(crate) fn is_cached(&self, stage: &Stage, step: usize) -> bool {
        self.needs(stage.id) && self.cached.contains(&(stage.id, step))
    }

    /// The steps whose layers come from the cache and are needed.
    pub(crate) fn used(&self) -> impl Iterator<Item = StepKey> {
        self.cached
            .iter()
            .copied()
            .filter(|(stage, _)| self.needs(*stage))
    }

    /// The steps that have to be done.
    pub(crate) fn missing(&self, plan: &Plan) -> Vec<StepKey> {
        let stages = plan.stages.iter().filter(|stage| self.needs(stage.id));
        stages
            .flat_map(|stage| {
                let steps = stage.steps.iter().enumerate();
                let done = steps.filter(|(_, step)| step.operation.makes_layer());
                done.map(|(index, _)| (stage.id, index))
            })
            .filter(|step| !self.cached.contains(step))
            .collect()
    }

    /// Whether a RUN follows this step in its stage, so that files on disk will change.
    pub(crate) fn runs_after(&self, stage: &Stage, step: usize) -> bool {
        let later = stage.steps.iter().enumerate().skip(step);
        self.needs(stage.id)
            && later
                .filter(|(index, _)| !self.cached.contains(&(stage.id, *index)))
                .any(|(_, step)| matches!(step.operation, Operation::Run(_)))
    }

    /// How many readers want the files of a stage: stages on top of it, copies and mounts.
    pub(crate) fn readers(&self, stage: StageId) -> usize {
        self.readers.get(&stage).copied().unwrap_or_default()
    }
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
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use yadokari_dockerfile::parse;
    use yadokari_image::{Digest, ImageConfig, Platform};
    use yadokari_plan::{Images, Progress, Request, ResolvedImage, plan};

    use super::*;

    pub(crate) fn planned(text: &str, targets: &[&str]) -> Plan {
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

    /// A schedule where these steps, as `stage.step`, come from the cache.
    fn schedule(plan: &Plan, hits: &[(usize, usize)]) -> Schedule {
        Schedule::new(plan, steps(hits), false)
    }

    fn steps(hits: &[(usize, usize)]) -> HashSet<StepKey> {
        hits.iter()
            .map(|(stage, step)| (StageId(*stage), *step))
            .collect()
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
    fn what_a_step_reads_is_needed_only_if_it_is_done() {
        let text =
            "FROM scratch AS a\nRUN a\nFROM scratch\nRUN b\nCOPY --link --from=a /x /\nRUN c";
        let plan = planned(text, &[]);
        let with = |hits: &[(usize, usize)]| needed(&plan, &schedule(&plan, hits));
        assert_eq!(
            with(&[(1, 1)]),
            [1],
            "the copy is in the cache, the command before it is not"
        );
        assert_eq!(with(&[(1, 0)]), [0, 1]);
        let schedule = schedule(&plan, &[(1, 1)]);
        assert_eq!(cached(&plan, &schedule, 1), [false, true, false]);
        assert_eq!(schedule.missing(&plan), [(StageId(1), 0), (StageId(1), 2)]);
        assert_eq!(schedule.used().collect::<Vec<_>>(), [(StageId(1), 1)]);
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
        let readers = |files| Schedule::new(&plan, steps(&[(0, 0)]), files).readers(StageId(0));
        assert_eq!((readers(true), readers(false)), (1, 0));
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
