//! Which records fit on one another.
//!
//! A key says what a layer was made from, but not what commands made of it: two jobs that run the same command may
//! get two results. A layer that was made on one of them does not belong on the other, so records carry a digest of
//! the results below them, and are used only where that is what is there.

use std::collections::{HashMap, HashSet};

use yadokari_image::{DiffId, Digest};
use yadokari_plan::{Base, Operation, Plan, Source, StageId};

use crate::caching::lookup::Hits;
use crate::error::BuildError;
use crate::prepare::schedule::StepKey;
use crate::stage::layers::Layer;

/// A digest over the layers of a stage that keys do not determine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lineage(Digest);

impl Lineage {
    /// What every stage starts with that does not start from another: its base is in the keys.
    pub(crate) fn start() -> Self {
        Self(Digest::of(b"yadokari lineage 1"))
    }

    /// What it is on top of a layer.
    pub(crate) fn on(self, operation: &Operation, layer: DiffId) -> Self {
        if is_decided_by_key(operation) {
            return self;
        }
        Self(Digest::of(format!("{} {layer}", self.0).as_bytes()))
    }

    /// As records say it of a layer; nothing for one that fits everywhere.
    pub(crate) fn of_record(self, operation: &Operation) -> Option<Digest> {
        (!fits_everywhere(operation)).then_some(self.0)
    }
}

/// Whether equal keys mean equal files, whoever makes the layer and however often.
pub(crate) fn is_decided_by_key(operation: &Operation) -> bool {
    match operation {
        Operation::Metadata | Operation::Workdir(_) => true,
        Operation::Run(_) => false,
        // Another stage's files are what its commands made.
        Operation::Copy(copy) => !matches!(copy.from, Source::Stage(_)),
    }
}

/// Whether a layer can lie on any other. (A linked copy cannot give its files to a name, which would have to be
/// looked up below.)
pub(crate) fn fits_everywhere(operation: &Operation) -> bool {
    matches!(operation, Operation::Copy(copy) if copy.link)
}

/// Whether a layer whose record has this parent fits on what is there, if that is known.
pub(crate) fn fits(
    operation: &Operation,
    parent: Option<Digest>,
    lineage: Option<Lineage>,
) -> bool {
    match lineage {
        Some(lineage) => parent == lineage.of_record(operation),
        None => parent.is_none() && fits_everywhere(operation),
    }
}

/// The steps whose records fit together: those that come from the cache.
///
/// What stands on a command that has to run cannot be known before it ran. A COPY that has to be done again gives
/// the same files, so what stands on it still fits.
pub(crate) fn usable(plan: &Plan, hits: &Hits) -> HashSet<StepKey> {
    let mut ends: HashMap<StageId, Option<Lineage>> = HashMap::new();
    let mut usable = HashSet::new();
    for stage in &plan.stages {
        let mut lineage = match &stage.base {
            Base::Stage(parent) => ends.get(parent).copied().flatten(),
            _ => Some(Lineage::start()),
        };
        for (index, step) in stage.steps.iter().enumerate() {
            if !step.operation.makes_layer() {
                continue;
            }
            let id = (stage.id, index);
            let record = hits.get(&id).map(|hit| &hit.record);
            let fitting = record.filter(|record| fits(&step.operation, record.parent, lineage));
            lineage = match fitting {
                Some(record) => {
                    usable.insert(id);
                    lineage.map(|below| below.on(&step.operation, record.diff_id))
                }
                None => lineage.filter(|_| is_decided_by_key(&step.operation)),
            };
        }
        ends.insert(stage.id, lineage);
    }
    usable
}

/// The lineage of a stage while its layers are still being made.
#[derive(Debug, Clone)]
pub(crate) struct Below {
    known: Lineage,
    /// Layers on top that may not be finished, with what made them.
    then: Vec<(Operation, Layer)>,
}

impl Below {
    pub(crate) fn start() -> Self {
        Self {
            known: Lineage::start(),
            then: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, operation: &Operation, layer: &Layer) {
        if !is_decided_by_key(operation) {
            self.then.push((operation.clone(), layer.clone()));
        }
    }

    /// The lineage, once all layers are finished.
    pub(crate) async fn lineage(&mut self) -> Result<Lineage, BuildError> {
        for (operation, layer) in std::mem::take(&mut self.then) {
            let finished = layer.finished().await?;
            self.known = self.known.on(&operation, finished.listed.diff_id);
        }
        Ok(self.known)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use yadokari_cache::Record;
    use yadokari_image::{Descriptor, Platform, media_type};

    use super::*;
    use crate::caching::lookup::Hit;
    use crate::prepare::schedule::tests::planned;
    use crate::stage::layers::Place;

    fn diff_id(text: &str) -> DiffId {
        DiffId::from_digest(Digest::of(text.as_bytes()))
    }

    fn hit(parent: Option<Digest>, result: &str) -> Hit {
        Hit {
            record: Record {
                layer: Descriptor::of(media_type::OCI_LAYER_GZIP, result.as_bytes()),
                diff_id: diff_id(result),
                created: String::new(),
                instruction: String::new(),
                platform: Platform::new("linux", "amd64"),
                parent,
                restated: None,
            },
            place: Place::Directory(PathBuf::new()),
        }
    }

    /// Records of one build of the plan, in which each step's result is called `JOB STAGE.STEP`.
    fn records(plan: &Plan, job: &str) -> Hits {
        let mut ends: HashMap<StageId, Lineage> = HashMap::new();
        let mut hits = Hits::new();
        for stage in &plan.stages {
            let mut lineage = match &stage.base {
                Base::Stage(parent) => ends[parent],
                _ => Lineage::start(),
            };
            for (index, step) in stage.steps.iter().enumerate() {
                if step.operation.makes_layer() {
                    let result = format!("{job} {}.{index}", stage.id);
                    let parent = lineage.of_record(&step.operation);
                    hits.insert((stage.id, index), hit(parent, &result));
                    lineage = lineage.on(&step.operation, diff_id(&result));
                }
            }
            ends.insert(stage.id, lineage);
        }
        hits
    }

    fn used(plan: &Plan, hits: &Hits) -> Vec<(usize, usize)> {
        let mut used: Vec<_> = usable(plan, hits)
            .into_iter()
            .map(|(stage, step)| (stage.0, step))
            .collect();
        used.sort_unstable();
        used
    }

    #[test]
    fn records_of_one_build_fit_together() {
        let plan = planned(
            "FROM scratch AS a\nRUN a\nFROM a\nLABEL x=y\nRUN b\nCOPY --from=a /x /\nWORKDIR /d",
            &[],
        );
        assert_eq!(
            used(&plan, &records(&plan, "one")),
            [(0, 0), (1, 1), (1, 2), (1, 3)]
        );
    }

    #[test]
    fn a_layer_that_was_made_on_another_result_does_not_fit() {
        let plan = planned("FROM scratch\nRUN a\nRUN b\nRUN c", &[]);
        let (mut mixed, other) = (records(&plan, "one"), records(&plan, "other"));
        let second = (StageId(0), 1);
        mixed.insert(second, other[&second].clone());
        assert_eq!(used(&plan, &mixed), [(0, 0)]);
    }

    #[test]
    fn records_count_up_to_the_first_command_without_one() {
        let plan = planned("FROM scratch\nRUN a\nLABEL x=y\nRUN b\nRUN c\nRUN d", &[]);
        let without = |missing: &[usize]| {
            let mut hits = records(&plan, "one");
            hits.retain(|(_, step), _| !missing.contains(step));
            used(&plan, &hits)
        };
        assert_eq!(without(&[3]), [(0, 0), (0, 2)]);
        assert_eq!(without(&[0]), []);
        assert_eq!(without(&[]).len(), 4);
    }

    #[test]
    fn a_copy_without_a_record_takes_nothing_from_those_after_it() {
        let plan = planned("FROM scratch\nRUN a\nCOPY b /\nWORKDIR /c\nRUN d", &[]);
        let mut hits = records(&plan, "one");
        hits.retain(|(_, step), _| *step != 1);
        assert_eq!(used(&plan, &hits), [(0, 0), (0, 2), (0, 3)]);
        hits.retain(|(_, step), _| *step != 2);
        assert_eq!(used(&plan, &hits), [(0, 0), (0, 3)]);
    }

    #[test]
    fn what_is_copied_from_a_stage_without_a_record_is_not_known() {
        let text = "FROM scratch AS a\nRUN a\nFROM scratch\nCOPY --from=a /x /\nRUN b";
        let plan = planned(text, &[]);
        let mut hits = records(&plan, "one");
        hits.retain(|id, _| *id != (StageId(1), 0));
        assert_eq!(used(&plan, &hits), [(0, 0)]);
    }

    #[test]
    fn a_linked_copy_fits_on_anything() {
        let plan = planned(
            "FROM base\nRUN a\nCOPY --link b /\nCOPY c /\nCOPY --link --chown=1:2 d /",
            &[],
        );
        let mut hits = records(&plan, "one");
        hits.retain(|(_, step), _| *step != 0);
        assert_eq!(used(&plan, &hits), [(0, 1), (0, 3)]);
    }

    #[test]
    fn a_record_that_claims_to_fit_everywhere_has_to_be_of_a_linked_copy() {
        let plan = planned("FROM scratch\nRUN a", &[]);
        let hits = Hits::from([((StageId(0), 0), hit(None, "x"))]);
        assert_eq!(used(&plan, &hits), []);
    }
}
