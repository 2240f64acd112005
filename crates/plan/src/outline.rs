//! The stages of a file before any is evaluated: what each starts from and which are asked for.

use std::collections::{BTreeMap, HashMap};

use yadokari_dockerfile::{
    self as dockerfile, Dockerfile, Instruction, Located, lint::Warning, suggest,
};
use yadokari_image::{Platform, Reference};

use crate::error::{At as _, PlanError, PlanErrorKind};
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
    pub(crate) warnings: Vec<Warning>,
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
    pub(crate) fn new(dockerfile: &'a Dockerfile, request: &'a Request) -> Result<Self, PlanError> {
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
            warnings: globals.warnings.clone(),
            platform,
            named: names(dockerfile),
            earlier: HashMap::new(),
        };
        for stage in &dockerfile.stages {
            let resolved = outline.resolve(stage, &globals)?;
            let id = StageId(outline.stages.len());
            outline.stages.push(resolved);
            let name = stage.name.as_deref();
            outline.earlier.extend(name.map(|name| (name, id)));
        }
        outline.globals = globals.given;
        outline.targets = outline.find_targets()?;
        crate::graph::refuse_cycles(&outline)?;
        Ok(outline)
    }

    fn resolve(
        &mut self,
        stage: &'a dockerfile::Stage,
        globals: &GlobalScopes,
    ) -> Result<OutlineStage<'a>, PlanError> {
        let platform = self.stage_platform(stage, globals)?;
        if let Some(name) = &stage.name
            && let Some(context) = self.request.named.get(name)
        {
            let base = match named(name, context, &platform).at(stage.span)? {
                Source::Image(key) => OutlineBase::Image {
                    key,
                    word: name.clone(),
                },
                _ => OutlineBase::Context(name.clone()),
            };
            return Ok(OutlineStage {
                stage,
                base,
                platform,
                replaced: true,
            });
        }
        let escape = self.dockerfile.escape;
        let expanded = globals.given.expand(escape, &stage.base).at(stage.span)?;
        lint::from_arguments(
            &mut self.warnings,
            stage,
            globals,
            escape,
            &expanded.undefined,
        );
        let word = expanded.value;
        if word.is_empty() {
            return Err(PlanErrorKind::BlankBase(stage.base.clone()).at(stage.span));
        }
        let base = self.base(stage, &word, &platform)?;
        Ok(OutlineStage {
            stage,
            base,
            platform,
            replaced: false,
        })
    }

    fn stage_platform(
        &mut self,
        stage: &dockerfile::Stage,
        globals: &GlobalScopes,
    ) -> Result<Platform, PlanError> {
        let Some(raw) = &stage.platform else {
            return Ok(self.platform.clone());
        };
        let expanded = globals
            .given
            .expand(self.dockerfile.escape, raw)
            .at(stage.span)?;
        if expanded.value.is_empty() {
            return Err(PlanErrorKind::EmptyPlatform(raw.clone()).at(stage.span));
        }
        let platform = Platform::parse(&expanded.value).map_err(|error| {
            PlanErrorKind::BadPlatform {
                platform: expanded.value.clone(),
                reason: error.to_string(),
            }
            .at(stage.span)
        })?;
        lint::from_platform(
            &mut self.warnings,
            stage,
            raw,
            &expanded,
            &platform,
            &self.platform,
        );
        Ok(platform)
    }

    /// What a FROM's word means: `scratch`, an earlier stage, a named context, or an image.
    fn base(
        &self,
        stage: &dockerfile::Stage,
        word: &str,
        platform: &Platform,
    ) -> Result<OutlineBase, PlanError> {
        if word == "scratch" {
            return Ok(OutlineBase::Scratch);
        }
        if let Some(earlier) = self.earlier.get(word) {
            return Ok(OutlineBase::Stage(*earlier));
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
    pub(crate) defaults: Scope,
    warnings: Vec<Warning>,
}

impl GlobalScopes {
    fn evaluate(
        dockerfile: &Dockerfile,
        request: &Request,
        platform: &Platform,
        target: &str,
    ) -> Result<Self, PlanError> {
        let arguments = build_args(&request.build_args);
        let mut scopes = Self {
            given: Scope::default(),
            defaults: Scope::default(),
            warnings: Vec::new(),
        };
        for (name, value) in predefined(&request.host, platform, target) {
            scopes.defaults.set(&name, &value);
            let value = arguments.get(name.as_str()).copied().unwrap_or(&value);
            scopes.given.set(&name, value);
        }
        for argument in &dockerfile.global_args {
            scopes.declare(argument, &arguments, dockerfile.escape)?;
        }
        Ok(scopes)
    }

    fn declare(
        &mut self,
        argument: &Located<dockerfile::instruction::Arg>,
        arguments: &BTreeMap<&str, &str>,
        escape: char,
    ) -> Result<(), PlanError> {
        for declaration in &argument.value.declarations {
            let name = &declaration.name;
            let default = declaration.default.as_deref();
            if let Some(default) = default
                && let Ok(expanded) = self.defaults.expand(escape, default)
            {
                self.defaults.declare(name, Some(&expanded.value));
            } else {
                self.defaults.declare(name, None);
            }
            let value = match (arguments.get(name.as_str()), default) {
                (Some(value), _) => Some((*value).to_owned()),
                (None, Some(default)) => {
                    let expanded = self.given.expand(escape, default).at(argument.span)?;
                    lint::undefined(
                        &mut self.warnings,
                        argument,
                        &self.given,
                        &expanded.undefined,
                    );
                    Some(expanded.value)
                }
                (None, None) => self.given.get(name).map(str::to_owned),
            };
            lint::secret_name(&mut self.warnings, argument, "ARG", name);
            self.given.declare(name, value.as_deref());
        }
        Ok(())
    }
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
