//! From a parsed Dockerfile to a [`Plan`], with the images it needs handed in as they become known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use yadokari_dockerfile::lint::Warning;
use yadokari_dockerfile::{Dockerfile, Instruction, Located, Span, parse_trigger};
use yadokari_image::Platform;

use crate::epoch::Epoch;
use crate::error::{PlanError, PlanErrorKind};
use crate::graph::stage_sources;
use crate::lint;
use crate::model::{
    Base, BaseImage, ImageKey, Plan, Request, ResolvedImage, Source, Stage, StageId,
};
use crate::outline::{Outline, OutlineBase, from_words};
use crate::stage::{Evaluation, State, one_line};

/// Images that are known so far.
pub type Images = BTreeMap<ImageKey, ResolvedImage>;

/// How far planning got.
#[derive(Debug)]
pub enum Progress {
    /// These images have to be resolved first; all of them may be fetched at the same time.
    NeedsImages(Vec<ImageRequest>),
    /// The plan.
    Ready(Box<Plan>),
}

/// An image the plan depends on, and the line that says so.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// The image.
    pub key: ImageKey,
    /// The word in the Dockerfile.
    pub word: String,
    /// The FROM, COPY or RUN.
    pub span: Span,
}

/// Plans a build.
///
/// A pure function: call it again with more images until it is [`Progress::Ready`].
/// An image's ONBUILD triggers can ask for further images, so that may take more than two calls.
///
/// # Errors
///
/// If a reachable stage cannot be evaluated. The error has the warnings of what comes before.
pub fn plan(
    dockerfile: &Dockerfile,
    request: &Request,
    images: &Images,
) -> Result<Progress, PlanError> {
    let mut warnings = Vec::new();
    let planned = plan_noting(dockerfile, request, images, &mut warnings);
    planned.map_err(|error| PlanError {
        warnings: warnings.into(),
        ..error
    })
}

fn plan_noting(
    dockerfile: &Dockerfile,
    request: &Request,
    images: &Images,
    warnings: &mut Vec<Warning>,
) -> Result<Progress, PlanError> {
    let epoch = match Epoch::asked(dockerfile, &request.build_args)? {
        Epoch::Unset => None,
        Epoch::Seconds(seconds) => Some(seconds),
        Epoch::Of(name) => return Err(PlanErrorKind::Epoch(name).nowhere()),
    };
    let outline = Outline::new(dockerfile, request, warnings)?;
    let reached = Reach::from_targets(&outline, images)?;
    if !reached.missing.is_empty() {
        return Ok(Progress::NeedsImages(reached.missing));
    }
    let mut planner = Planner {
        outline: &outline,
        images,
        states: HashMap::new(),
        stages: Vec::new(),
        warnings,
    };
    for id in &reached.stages {
        planner.evaluate(*id, &reached)?;
    }
    let (target, also) = outline
        .targets
        .split_first()
        .expect("there is always a target");
    Ok(Progress::Ready(Box::new(Plan {
        target: *target,
        also: also.to_vec(),
        stages: planner.stages,
        warnings: std::mem::take(warnings),
        epoch,
    })))
}

/// The stages that are needed, and the images that are not known yet.
#[derive(Debug, Default)]
struct Reach {
    stages: BTreeSet<StageId>,
    missing: Vec<ImageRequest>,
    /// The keys of what is missing.
    asked: HashSet<ImageKey>,
    /// Triggers of each stage's base, parsed.
    triggers: HashMap<StageId, Vec<Located<Instruction>>>,
}

impl Reach {
    fn from_targets(outline: &Outline<'_>, images: &Images) -> Result<Self, PlanError> {
        let mut reach = Self::default();
        let mut pending: Vec<StageId> = outline.targets.clone();
        if outline.request.all_stages {
            pending.extend((0..outline.stages.len()).map(StageId));
        }
        while let Some(id) = pending.pop() {
            if reach.stages.insert(id) {
                reach.visit(outline, images, id, &mut pending)?;
            }
        }
        Ok(reach)
    }

    fn visit(
        &mut self,
        outline: &Outline<'_>,
        images: &Images,
        id: StageId,
        pending: &mut Vec<StageId>,
    ) -> Result<(), PlanError> {
        let stage = &outline.stages[id.0];
        let span = stage.stage.span;
        let texts = match &stage.base {
            OutlineBase::Stage(parent) => {
                pending.push(*parent);
                own_triggers(outline, *parent)
            }
            OutlineBase::Image { key, word } => match images.get(key) {
                Some(image) => image.config.config.on_build.clone(),
                None => {
                    self.ask(key, word, span);
                    Vec::new()
                }
            },
            OutlineBase::Scratch | OutlineBase::Context(_) => Vec::new(),
        };
        let triggers = parse_triggers(&texts, span)?;
        if !stage.replaced {
            for instruction in triggers.iter().chain(&stage.stage.instructions) {
                pending.extend(stage_sources(outline, instruction));
                self.ask_sources(outline, images, instruction);
            }
            self.triggers.insert(id, triggers);
        }
        Ok(())
    }

    fn ask_sources(
        &mut self,
        outline: &Outline<'_>,
        images: &Images,
        instruction: &Located<Instruction>,
    ) {
        for word in from_words(&instruction.value) {
            if let Ok(Source::Image(key)) = word.source(outline)
                && !images.contains_key(&key)
            {
                self.ask(&key, word.text(), instruction.span);
            }
        }
    }

    fn ask(&mut self, key: &ImageKey, word: &str, span: Span) {
        if self.asked.insert(key.clone()) {
            self.missing.push(ImageRequest {
                key: key.clone(),
                word: word.to_owned(),
                span,
            });
        }
    }
}

/// The triggers that a stage of this file leaves to stages on top of it.
fn own_triggers(outline: &Outline<'_>, id: StageId) -> Vec<String> {
    let stage = &outline.stages[id.0];
    if stage.replaced {
        return Vec::new();
    }
    let instructions = stage.stage.instructions.iter();
    instructions
        .filter_map(|located| match &located.value {
            Instruction::Onbuild(onbuild) => Some(onbuild.trigger.clone()),
            _ => None,
        })
        .collect()
}

fn parse_triggers(texts: &[String], from: Span) -> Result<Vec<Located<Instruction>>, PlanError> {
    let parse = |text: &String| match parse_trigger(text) {
        Ok(mut located) => {
            located.span = from;
            Ok(located)
        }
        Err(error) => Err(PlanErrorKind::Trigger(Box::new(error)).at(from)),
    };
    texts.iter().map(parse).collect()
}

struct Planner<'a> {
    outline: &'a Outline<'a>,
    images: &'a Images,
    states: HashMap<StageId, State>,
    stages: Vec<Stage>,
    warnings: &'a mut Vec<Warning>,
}

impl Planner<'_> {
    /// Evaluates a stage whose parents are evaluated: they come before it in the file.
    fn evaluate(&mut self, id: StageId, reached: &Reach) -> Result<(), PlanError> {
        let stage = &self.outline.stages[id.0];
        let (base, mut state) = self.start(id)?;
        state.config.config.on_build.clear();
        let mut evaluation = Evaluation::new(self.outline, id, state);
        if !stage.replaced {
            let triggers = reached.triggers.get(&id).into_iter().flatten();
            let mut all = triggers.chain(&stage.stage.instructions);
            let evaluated = all.try_for_each(|instruction| evaluation.instruction(instruction));
            self.warnings.append(&mut evaluation.warnings);
            evaluated?;
        }
        let mut config = evaluation.state.config.clone();
        if self.outline.targets.contains(&id) {
            let labels = self.outline.request.labels.iter();
            config
                .config
                .labels
                .extend(labels.map(|(name, value)| (name.clone(), value.clone())));
        }
        self.states.insert(id, evaluation.state);
        self.stages.push(Stage {
            id,
            name: self.outline.name_of(id),
            span: stage.stage.span,
            title: one_line(stage.stage.source.text()),
            base,
            platform: stage.platform.clone(),
            steps: evaluation.steps,
            config,
        });
        Ok(())
    }

    fn start(&mut self, id: StageId) -> Result<(Base, State), PlanError> {
        let stage = &self.outline.stages[id.0];
        Ok(match &stage.base {
            OutlineBase::Scratch => (Base::Scratch, State::scratch(&stage.platform)),
            OutlineBase::Context(name) => {
                let mut state = State::scratch(&stage.platform);
                state.has_layers = true;
                (Base::Context(name.clone()), state)
            }
            OutlineBase::Stage(parent) => {
                let state = self.states.get(parent).expect("parents come first").child();
                (Base::Stage(*parent), state)
            }
            OutlineBase::Image { key, word } => {
                let image = self.images.get(key).expect("missing images were asked for");
                self.note_platform(stage.stage, word, image, &stage.platform);
                let base = BaseImage {
                    key: key.clone(),
                    word: word.clone(),
                    manifest: image.manifest,
                    config: image.config_digest,
                };
                let asked = self.outline.request.platform.as_ref();
                (Base::Image(Box::new(base)), State::image(image, asked))
            }
        })
    }

    fn note_platform(
        &mut self,
        stage: &yadokari_dockerfile::Stage,
        word: &str,
        image: &ResolvedImage,
        expected: &Platform,
    ) {
        let config = &image.config;
        let found = Platform {
            variant: config.variant.clone(),
            ..Platform::new(&config.os, &config.architecture)
        };
        lint::base_platform(self.warnings, stage, word, &found, expected);
    }
}
