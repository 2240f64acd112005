//! The stages of a file before any is evaluated: what each starts from and which are asked for.

use std::collections::{BTreeMap, HashMap};

use yadokari_dockerfile::{
    self as dockerfile, Dockerfile, Instruction, Located, lint::Warning, suggest,
};
use yadokari_image::{Platform, Reference};

use crate::error::{At as _, PlanError, PlanErrorKind, did_you_mean};
use crate::lint;
use crate::model::{ImageKey, ImageSource, NamedContext, Request, Source, StageId};
use crate::scope::{Scope, build_args, predefined};

/// All stages with their bases resolved, and the scope of the lines before the first FROM.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) request: &'a Request,
    pub(crate) globals: Scope,
    pub(crate) stages: Vec<OutlineStage<'a>>,
    pub(crate) targets: Vec<StageId>,
    /// The platform of the build: the one asked for, or this machine's.
    pub(crate) platform: Platform,
    /// The last stage of each name in the whole file.
    named: HashMap<&'a str, StageId>,
    /// The last stage of each name among those that are resolved so far.
    earlier: HashMap<&'a str, StageId>,
}

/// A stage and what it starts from.
#[derive(Debug)]
pub(crate) struct OutlineStage<'a> {
    pub(crate) stage: &'a dockerfile::Stage,
    pub(crate) base: OutlineBase,
    pub(crate) platform: Platform,
    /// Whether a named context stands in for the stage, so that its instructions do not count.
    pub(crate) replaced: bool,
}

/// What a FROM means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each stage, and most are images"
)]
pub(crate) enum OutlineBase {
    Scratch,
    Stage(StageId),
    Image { key: ImageKey, word: String },
    Context(String),
}

impl<'a> Outline<'a> {
    /// Resolves the global scope, all FROM lines and the targets.
    ///
    /// What the build checks find is added to `warnings`, also when a later line is wrong.
    pub(crate) fn new(
        dockerfile: &'a Dockerfile,
        request: &'a Request,
        warnings: &mut Vec<Warning>,
    ) -> Result<Self, PlanError> {
        let platform = request
            .platform
            .clone()
            .unwrap_or_else(|| request.host.clone());
        let target_name = target_stage_name(dockerfile, request);
        let globals = GlobalScopes::evaluate(dockerfile, request, &platform, &target_name)?;
        let mut outline = Self {
            dockerfile,
            request,
            globals: Scope::default(),
            stages: Vec::with_capacity(dockerfile.stages.len()),
            targets: Vec::new(),
            platform,
            named: names(dockerfile),
            earlier: HashMap::new(),
        };
        lint::default_bases(warnings, &dockerfile.stages, &globals, dockerfile.escape);
        for stage in &dockerfile.stages {
            let resolved = outline.resolve(stage, &globals, warnings)?;
            let id = StageId(outline.stages.len());
            outline.stages.push(resolved);
            let name = stage.name.as_deref();
            outline.earlier.extend(name.map(|name| (name, id)));
        }
        outline.globals = globals.given;
        outline.targets = outline.find_targets()?;
        outline.refuse_bad_sources()?;
        crate::graph::refuse_cycles(&outline)?;
        Ok(outline)
    }

    fn resolve(
        &self,
        stage: &'a dockerfile::Stage,
        globals: &GlobalScopes,
        warnings: &mut Vec<Warning>,
    ) -> Result<OutlineStage<'a>, PlanError> {
        let escape = self.dockerfile.escape;
        let expanded = globals.given.expand(escape, &stage.base);
        let undefined = match &expanded {
            Ok(expanded) => expanded.undefined.as_slice(),
            Err(error) => error.required(),
        };
        lint::from_arguments(warnings, stage, globals, undefined);
        let word = expanded.at(stage.span)?.value;
        if word.is_empty() {
            return Err(PlanErrorKind::BlankBase(stage.base.clone()).at(stage.span));
        }
        let platform = self.stage_platform(stage, globals, warnings)?;
        if let Some(name) = &stage.name
            && let Some(context) = self.request.named.get(name)
        {
            let base = match named(name, context, &platform).at(stage.span)? {
                Source::Image(key) => OutlineBase::Image {
                    key,
                    word: name.clone(),
                },
                Source::Scratch => OutlineBase::Scratch,
                _ => OutlineBase::Context(name.clone()),
            };
            return Ok(OutlineStage {
                stage,
                base,
                platform,
                replaced: true,
            });
        }
        let base = self.base(stage, &word, &platform)?;
        // There is nothing to choose from: scratch has the platform of the build, whatever its FROM says.
        let platform = match base {
            OutlineBase::Scratch => self.platform.clone(),
            _ => platform,
        };
        Ok(OutlineStage {
            stage,
            base,
            platform,
            replaced: false,
        })
    }

    fn stage_platform(
        &self,
        stage: &dockerfile::Stage,
        globals: &GlobalScopes,
        warnings: &mut Vec<Warning>,
    ) -> Result<Platform, PlanError> {
        let Some(raw) = &stage.platform else {
            return Ok(self.platform.clone());
        };
        let expanded = globals
            .given
            .expand(self.dockerfile.escape, raw)
            .at(stage.span)?;
        lint::from_arguments(warnings, stage, globals, &expanded.undefined);
        let suggestion = || {
            let mut names = expanded.undefined.iter();
            names.find_map(|name| suggest::nearest(name, globals.given.names()).map(str::to_owned))
        };
        if expanded.value.is_empty() {
            let empty = PlanErrorKind::EmptyPlatform {
                written: raw.clone(),
                suggestion: suggestion(),
            };
            return Err(empty.at(stage.span));
        }
        let platform = Platform::parse(&expanded.value).map_err(|error| {
            PlanErrorKind::BadPlatform {
                platform: raw.clone(),
                reason: format!("{error}{}", did_you_mean(suggestion().as_deref())),
            }
            .at(stage.span)
        })?;
        lint::from_platform(warnings, stage, raw, &expanded, &platform, &self.platform);
        Ok(platform)
    }

    /// What a FROM's word means: `scratch`, an earlier stage, a named context, or an image.
    fn base(
        &self,
        stage: &dockerfile::Stage,
        word: &str,
        platform: &Platform,
    ) -> Result<OutlineBase, PlanError> {
        // A stage may be called scratch, and then it is what the name means.
        if let Some(earlier) = self.earlier.get(word) {
            return Ok(OutlineBase::Stage(*earlier));
        }
        if word == "scratch" {
            return Ok(OutlineBase::Scratch);
        }
        match self.external(word, platform) {
            Ok(Source::Image(key)) => Ok(OutlineBase::Image {
                key,
                word: word.to_owned(),
            }),
            Ok(Source::Named(name)) => Ok(OutlineBase::Context(name)),
            Ok(_) => Ok(OutlineBase::Scratch),
            Err(kind) => Err(kind.at(stage.span)),
        }
    }

    /// What a name means that is no stage: a named context, `scratch` or an image.
    pub(crate) fn external(
        &self,
        word: &str,
        platform: &Platform,
    ) -> Result<Source, PlanErrorKind> {
        if word == "scratch" {
            return Ok(Source::Scratch);
        }
        if let Some(context) = self.request.named.get(word) {
            return named(word, context, platform);
        }
        let reference = Reference::parse(word)
            .map_err(|source| PlanErrorKind::BadReference {
                name: word.to_owned(),
                source: Box::new(source),
            })?
            .with_default_tag();
        let familiar = reference.familiar();
        let short = familiar.strip_suffix(":latest").unwrap_or(&familiar);
        if let Some(context) = self.request.named.get(short) {
            return named(short, context, platform);
        }
        Ok(Source::Image(ImageKey {
            source: ImageSource::Registry(reference),
            platform: platform.clone(),
        }))
    }

    /// What `COPY --from=word` in a stage means. The word is a number, a stage's name in any case, or external.
    pub(crate) fn copy_source(&self, word: &str) -> Result<Source, PlanErrorKind> {
        if word.contains('$') {
            return Err(PlanErrorKind::VariableInFrom);
        }
        if let Some(index) = stage_number(word) {
            let known = index.ok().filter(|index| *index < self.stages.len());
            return known
                .map(|index| Source::Stage(StageId(index)))
                .ok_or_else(|| PlanErrorKind::StageIndex(word.trim_start_matches('+').to_owned()));
        }
        self.named_source(word)
    }

    /// What `from=word` of a mount means; numbers are names there.
    pub(crate) fn mount_source(&self, word: &str) -> Result<Source, PlanErrorKind> {
        if word.contains('$') {
            return Err(PlanErrorKind::VariableInMountFrom);
        }
        self.named_source(word)
    }

    fn named_source(&self, word: &str) -> Result<Source, PlanErrorKind> {
        match self.named.get(word.to_lowercase().as_str()) {
            Some(last) => Ok(Source::Stage(*last)),
            None => self.external(word, &self.platform),
        }
    }

    /// Refuses copies from what cannot name a stage or an image, also in stages that nothing needs.
    fn refuse_bad_sources(&self) -> Result<(), PlanError> {
        let instructions = self
            .stages
            .iter()
            .flat_map(|stage| &stage.stage.instructions);
        for instruction in instructions {
            if let Instruction::Copy(copy) = &instruction.value
                && let Some(word) = &copy.from
                && let Err(error @ (PlanErrorKind::VariableInFrom | PlanErrorKind::StageIndex(_))) =
                    self.copy_source(word)
            {
                return Err(error.at(instruction.span));
            }
        }
        Ok(())
    }

    fn find_targets(&self) -> Result<Vec<StageId>, PlanError> {
        if self.request.targets.is_empty() {
            return Ok(vec![StageId(self.stages.len() - 1)]);
        }
        self.request
            .targets
            .iter()
            .map(|name| self.find_target(name))
            .collect()
    }

    fn find_target(&self, name: &str) -> Result<StageId, PlanError> {
        let folded = name.to_lowercase();
        let names = || {
            self.dockerfile
                .stages
                .iter()
                .filter_map(|stage| stage.name.as_deref())
        };
        self.named.get(folded.as_str()).copied().ok_or_else(|| {
            let suggestion = suggest::nearest(&folded, names()).map(str::to_owned);
            PlanErrorKind::TargetUnknown {
                name: name.to_owned(),
                suggestion,
            }
            .nowhere()
        })
    }

    /// The name of a stage as people see it.
    pub(crate) fn name_of(&self, id: StageId) -> String {
        let named = self
            .dockerfile
            .stages
            .get(id.0)
            .and_then(|stage| stage.name.clone());
        named.unwrap_or_else(|| format!("stage-{}", id.0))
    }
}

/// The last stage of each name.
fn names(dockerfile: &Dockerfile) -> HashMap<&str, StageId> {
    let stages = dockerfile.stages.iter().enumerate();
    stages
        .filter_map(|(index, stage)| Some((stage.name.as_deref()?, StageId(index))))
        .collect()
}

fn named(name: &str, context: &NamedContext, platform: &Platform) -> Result<Source, PlanErrorKind> {
    match context {
        NamedContext::Files => Ok(Source::Named(name.to_owned())),
        NamedContext::Scratch => Ok(Source::Scratch),
        NamedContext::Image(source) => Ok(Source::Image(ImageKey {
            source: source.clone(),
            platform: platform.clone(),
        })),
        NamedContext::Unknown(value) => Err(PlanErrorKind::BadContext {
            name: name.to_owned(),
            value: value.clone(),
        }),
    }
}

/// Reads a word as a stage number; `Some(Err)` is a number that no stage can have.
fn stage_number(word: &str) -> Option<Result<usize, ()>> {
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let negative = word.starts_with('-') && digits.bytes().any(|byte| byte != b'0');
    Some(if negative {
        Err(())
    } else {
        digits.parse().map_err(|_| ())
    })
}

fn target_stage_name(dockerfile: &Dockerfile, request: &Request) -> String {
    let last = || {
        dockerfile
            .stages
            .last()
            .and_then(|stage| stage.name.clone())
    };
    request
        .targets
        .first()
        .cloned()
        .or_else(last)
        .unwrap_or_else(|| "default".to_owned())
}

/// The global scope as the build has it, and as it would be without build arguments.
#[derive(Debug)]
pub(crate) struct GlobalScopes {
    pub(crate) given: Scope,
    /// Nothing if a default cannot be expanded without build arguments.
    pub(crate) defaults: Option<Scope>,
}

impl GlobalScopes {
    fn evaluate(
        dockerfile: &Dockerfile,
        request: &Request,
        platform: &Platform,
        target: &str,
    ) -> Result<Self, PlanError> {
        let arguments = build_args(&request.build_args);
        let mut always = Scope::default();
        for (name, value) in predefined(&request.host, platform, target) {
            let value = arguments.get(name.as_str()).copied().unwrap_or(&value);
            always.set(&name, value);
        }
        let evaluate = |arguments| {
            let mut scope = always.clone();
            for argument in &dockerfile.global_args {
                declare(&mut scope, argument, arguments, dockerfile.escape)?;
            }
            Ok(scope)
        };
        Ok(Self {
            defaults: evaluate(&BTreeMap::new()).ok(),
            given: evaluate(&arguments)?,
        })
    }
}

/// Adds the names of one ARG before the first FROM.
fn declare(
    scope: &mut Scope,
    argument: &Located<dockerfile::instruction::Arg>,
    arguments: &BTreeMap<&str, &str>,
    escape: char,
) -> Result<(), PlanError> {
    for declaration in &argument.value.declarations {
        let name = declaration.name.as_str();
        let value = match (arguments.get(name), &declaration.default) {
            (Some(value), _) => Some((*value).to_owned()),
            (None, Some(default)) => Some(scope.expand(escape, default).at(argument.span)?.value),
            (None, None) => scope.get(name).map(str::to_owned),
        };
        scope.declare(name, value.as_deref());
    }
    Ok(())
}

/// The words after `--from` of the copies, and `from` of the mounts, of one instruction.
pub(crate) fn from_words(instruction: &Instruction) -> Vec<FromWord<'_>> {
    match instruction {
        Instruction::Copy(copy) => copy.from.iter().map(|word| FromWord::Copy(word)).collect(),
        Instruction::Run(run) => run
            .mounts
            .iter()
            .filter_map(|mount| mount.from())
            .map(FromWord::Mount)
            .collect(),
        _ => Vec::new(),
    }
}

/// A word that names another tree, and the rules it is read by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FromWord<'a> {
    Copy(&'a str),
    Mount(&'a str),
}

impl<'a> FromWord<'a> {
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Copy(word) | Self::Mount(word) => word,
        }
    }

    pub(crate) fn source(self, outline: &Outline<'_>) -> Result<Source, PlanErrorKind> {
        match self {
            Self::Copy(word) => outline.copy_source(word),
            Self::Mount(word) => outline.mount_source(word),
        }
    }
}
