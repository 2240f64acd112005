//! Which of the builds that share a cache a stage is compared with, and which are kept for that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use yadokari_image::json;

use super::{Fact, Origin, Trail, TrailStage, TrailStep, Trails};

/// The stage of an earlier build that a stage has most in common with.
#[derive(Debug, Clone, Copy)]
pub struct Nearest<'t> {
    /// The build.
    pub build: &'t Trail,
    /// Its stage.
    pub stage: &'t TrailStage,
    /// Whether that was this build, done earlier; else it was another one that shares the cache.
    pub is_same_build: bool,
}

impl Trails {
    /// Finds what a stage is best compared with; nothing if no stage has a step in common with it.
    ///
    /// What counts is how many steps have the key that they have now, then how much the others still have in common, and
    /// only then whose build it was. So a build that changed is compared with itself, and one that was never done with its
    /// neighbour.
    pub fn nearest(&self, now: &TrailStage, origin: &Origin) -> Option<Nearest<'_>> {
        let all = self.builds.iter().enumerate().flat_map(|(age, build)| {
            let stages = build.stages.iter();
            stages.filter_map(move |stage| {
                let alike = Likeness::of(now, stage)?;
                let is_same_build = build.origin.is_same(origin);
                let rank = (alike, is_same_build, stage.name == now.name, Reverse(age));
                let nearest = Nearest {
                    build,
                    stage,
                    is_same_build,
                };
                Some((rank, nearest))
            })
        });
        all.max_by(|(one, _), (other, _)| one.cmp(other))
            .map(|(_, nearest)| nearest)
    }

    /// Adds a build, in place of what was known of it. The oldest builds make room.
    pub fn keep(&mut self, trail: Trail) {
        self.builds.retain(|known| known.origin != trail.origin);
        self.builds.insert(0, trail);
        self.builds.truncate(MOST_BUILDS);
        while self.builds.len() > 1 && json::compact(self).len() > MOST_BYTES {
            self.builds.pop();
        }
    }
}

/// How many builds are kept.
const MOST_BUILDS: usize = 16;

/// How large the document may grow for the sake of older builds, in bytes.
const MOST_BYTES: usize = 1 << 20;

/// How much two stages have in common: what counts most comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Likeness {
    keys: usize,
    instructions: usize,
    facts: usize,
}

impl Likeness {
    /// Compares two stages; nothing if they have no instruction in common.
    fn of(now: &TrailStage, earlier: &TrailStage) -> Option<Self> {
        let known: BTreeSet<&str> = now.steps.iter().map(|step| step.key.as_str()).collect();
        let earlier_keys = earlier.steps.iter().map(|step| step.key.as_str());
        let pairs = paired(&now.steps, &earlier.steps);
        let alike = Self {
            keys: earlier_keys.filter(|key| known.contains(key)).count(),
            instructions: pairs.len(),
            facts: pairs
                .iter()
                .map(|(one, other)| in_common(one, other))
                .sum::<usize>()
                + common_facts(&now.facts, &earlier.facts)
                + usize::from(now.base_digest == earlier.base_digest),
        };
        (alike.instructions > 0).then_some(alike)
    }
}

/// Steps of the same instruction, each once, in the order of the first list.
fn paired<'s>(
    now: &'s [TrailStep],
    earlier: &'s [TrailStep],
) -> Vec<(&'s TrailStep, &'s TrailStep)> {
    let mut left: Vec<&TrailStep> = earlier.iter().collect();
    let mut pairs = Vec::new();
    for step in now {
        if let Some(place) = left.iter().position(|other| other.title == step.title) {
            pairs.push((step, left.remove(place)));
        }
    }
    pairs
}

/// What two steps of one instruction have in common besides it.
fn in_common(one: &TrailStep, other: &TrailStep) -> usize {
    let files: BTreeSet<_> = one
        .files
        .iter()
        .map(|file| (&file.path, &file.digest))
        .collect();
    let same = other
        .files
        .iter()
        .filter(|file| files.contains(&(&file.path, &file.digest)));
    common_facts(&one.facts, &other.facts) + same.count()
}

fn common_facts(one: &[Fact], other: &[Fact]) -> usize {
    one.iter().filter(|fact| other.contains(fact)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(inputs: &str, outputs: &str) -> Origin {
        Origin {
            inputs: inputs.to_owned(),
            outputs: outputs.to_owned(),
        }
    }

    /// A stage whose steps are told as `key instruction service`.
    fn stage(name: &str, steps: &[&str]) -> TrailStage {
        let step = |text: &&str| {
            let words: Vec<&str> = text.split(' ').collect();
            let service = Fact {
                name: "variable SERVICE".to_owned(),
                value: Some(words[2].to_owned()),
            };
            TrailStep {
                key: words[0].to_owned(),
                title: words[1].to_owned(),
                facts: vec![service],
                ..TrailStep::default()
            }
        };
        TrailStage {
            name: name.to_owned(),
            steps: steps.iter().map(step).collect(),
            ..TrailStage::default()
        }
    }

    fn build(origin: Origin, stages: &[TrailStage]) -> Trail {
        Trail {
            origin,
            stages: stages.to_vec(),
            ..Trail::default()
        }
    }

    fn trails(builds: Vec<Trail>) -> Trails {
        Trails { builds }
    }

    #[test]
    fn a_service_is_compared_with_itself_and_not_with_its_neighbour() {
        let web = stage("app", &["1 RUN web", "2 MAKE web"]);
        let api = stage("app", &["1 RUN api", "3 MAKE api"]);
        let own = origin("dockerfile", "");
        let known = trails(vec![
            build(own.clone(), std::slice::from_ref(&api)),
            build(own.clone(), std::slice::from_ref(&web)),
        ]);
        let now = stage("app", &["9 RUN web", "8 MAKE web"]);
        assert_eq!(known.nearest(&now, &own).unwrap().stage, &web);
        let now = stage("app", &["9 RUN api", "8 MAKE api"]);
        assert_eq!(known.nearest(&now, &own).unwrap().stage, &api);
    }

    #[test]
    fn steps_that_hit_count_more_than_whose_build_it_was() {
        let (own, other) = (origin("own", ""), origin("other", ""));
        let known = trails(vec![
            build(own.clone(), &[stage("app", &["7 RUN x", "7 MAKE x"])]),
            build(other, &[stage("app", &["1 RUN x", "6 MAKE x"])]),
        ]);
        let found = known.nearest(&stage("app", &["1 RUN x", "2 MAKE x"]), &own);
        assert!(!found.unwrap().is_same_build);
        let found = known.nearest(&stage("app", &["5 RUN x", "2 MAKE x"]), &own);
        assert!(found.unwrap().is_same_build);
    }

    #[test]
    fn a_stage_without_a_step_in_common_has_no_nearest() {
        let own = origin("own", "");
        let known = trails(vec![build(own.clone(), &[stage("app", &["1 RUN x"])])]);
        assert!(known.nearest(&stage("app", &["1 COPY x"]), &own).is_none());
        assert!(
            Trails::default()
                .nearest(&stage("app", &[]), &own)
                .is_none()
        );
    }

    #[test]
    fn a_build_replaces_what_was_known_of_it_and_leaves_the_others() {
        let mut known = Trails::default();
        for (inputs, outputs) in [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")] {
            known.keep(build(origin(inputs, outputs), &[]));
        }
        let kept: Vec<_> = known.builds.iter().map(|build| &build.origin).collect();
        assert_eq!(
            kept,
            [&origin("a", "x"), &origin("b", "x"), &origin("a", "y")]
        );
        for number in 0..40 {
            known.keep(build(origin(&number.to_string(), ""), &[]));
        }
        assert_eq!(known.builds.len(), MOST_BUILDS);
        assert_eq!(known.builds[0].origin, origin("39", ""));
    }

    #[test]
    fn large_builds_push_older_ones_out_and_are_kept_themselves() {
        let large = |inputs: &str| {
            let title = "x".repeat(MOST_BYTES / 2);
            build(origin(inputs, ""), &[stage(&title, &[])])
        };
        let mut known = Trails::default();
        for inputs in ["a", "b", "c"] {
            known.keep(large(inputs));
        }
        assert_eq!(known.builds.len(), 1);
        assert_eq!(known.builds[0].origin.inputs, "c");
    }

    #[test]
    fn a_plan_that_names_no_output_is_the_build_that_does() {
        assert!(origin("a", "").is_same(&origin("a", "x")));
        assert!(origin("a", "x").is_same(&origin("a", "x")));
        assert!(!origin("a", "y").is_same(&origin("a", "x")));
        assert!(!origin("b", "").is_same(&origin("a", "")));
    }
}
