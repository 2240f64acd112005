//! Evaluates one stage: its instructions in order, on the configuration and the variables so far.

mod files;
mod metadata;
mod run;
mod variables;

use std::collections::HashMap;

use yadokari_dockerfile::lint::{Lint, Warning};
use yadokari_dockerfile::secret::redacted;
use yadokari_dockerfile::{Instruction, Located, Span};
use yadokari_image::{ContainerConfig, ImageConfig, Platform};

use crate::error::PlanError;
use crate::model::{DEFAULT_PATH, HistoryRow, Operation, ResolvedImage, StageId, Step, inherited};
use crate::outline::Outline;
use crate::paths;
use crate::scope::Scope;

/// What later instructions, and stages on top, see of a stage.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) config: ImageConfig,
    pub(crate) scope: Scope,
    /// Whether there are files at all: a layer of a base, or of a step.
    pub(crate) has_layers: bool,
    /// Whether a WORKDIR with an absolute path was seen, here or below.
    workdir_set: bool,
}

impl State {
    /// The state of `FROM scratch`.
    pub(crate) fn scratch(platform: &Platform) -> Self {
        let config = ImageConfig {
            os: platform.os.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os_version: platform.os_version.clone(),
            config: ContainerConfig {
                working_dir: "/".to_owned(),
                ..ContainerConfig::default()
            },
            ..ImageConfig::default()
        };
        Self::from_config(config, false)
    }

    /// The state of `FROM image`, with the platform that was asked for, if one was.
    pub(crate) fn image(image: &ResolvedImage, asked: Option<&Platform>) -> Self {
        let base = &image.config;
        let mut config = ImageConfig {
            config: inherited(&base.config),
            other: Default::default(),
            created: None,
            ..base.clone()
        };
        if let Some(asked) = asked {
            let moved = config.os != asked.os || config.architecture != asked.architecture;
            config.os.clone_from(&asked.os);
            config.architecture.clone_from(&asked.architecture);
            if moved || asked.variant.is_some() {
                config.variant.clone_from(&asked.variant);
            }
            if moved || asked.os_version.is_some() {
                config.os_version.clone_from(&asked.os_version);
            }
        }
        let directory = &mut config.config.working_dir;
        if !directory.is_empty() && !directory.starts_with('/') {
            // The reference enters a relative directory of a base twice; results agree with it to the byte.
            *directory = paths::join(&paths::join("/", directory), directory);
        }
        let has_layers = base
            .rootfs
            .diff_ids
            .as_ref()
            .is_some_and(|ids| !ids.is_empty());
        Self::from_config(config, has_layers)
    }

    fn from_config(mut config: ImageConfig, has_layers: bool) -> Self {
        let env = &mut config.config.env;
        if !env.iter().any(|entry| entry.starts_with("PATH=")) {
            env.push(format!("PATH={DEFAULT_PATH}"));
        }
        let scope = Scope::with_environment(
            env.iter()
                .map(|entry| entry.split_once('=').unwrap_or((entry, ""))),
        );
        Self {
            config,
            scope,
            has_layers,
            workdir_set: false,
        }
    }

    /// The state of a stage on top of this one.
    pub(crate) fn child(&self) -> Self {
        self.clone()
    }

    /// The directory relative paths start from.
    pub(crate) fn directory(&self) -> &str {
        match self.config.config.working_dir.as_str() {
            "" => "/",
            directory => directory,
        }
    }
}

/// Evaluates instructions one after the other.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    outline: &'a Outline<'a>,
    id: StageId,
    pub(crate) state: State,
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<Warning>,
    /// Whether CMD was seen in this very stage, which ENTRYPOINT then leaves alone.
    cmd_seen: bool,
    /// Where CMD, ENTRYPOINT and HEALTHCHECK last stood in this very stage.
    commands: HashMap<&'static str, Span>,
}

/// What an instruction comes to.
struct Done {
    operation: Operation,
    history: Option<HistoryRow>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(outline: &'a Outline<'a>, id: StageId, state: State) -> Self {
        Self {
            outline,
            id,
            state,
            steps: Vec::new(),
            warnings: Vec::new(),
            cmd_seen: false,
            commands: HashMap::new(),
        }
    }

    /// Evaluates one instruction and adds its step.
    pub(crate) fn instruction(&mut self, located: &Located<Instruction>) -> Result<(), PlanError> {
        let done = self.dispatch(located)?;
        if done.operation.makes_layer() {
            self.state.has_layers = true;
        }
        self.steps.push(Step {
            title: redacted(&one_line(located.source.text())).into_owned(),
            span: located.span,
            operation: done.operation,
            history: done.history,
        });
        Ok(())
    }

    fn dispatch(&mut self, at: &Located<Instruction>) -> Result<Done, PlanError> {
        self.note_overridden(at);
        match &at.value {
            Instruction::Add(add) => self.add(at, add),
            Instruction::Arg(arg) => self.arg(at, arg),
            Instruction::Cmd(cmd) => Ok(self.cmd(at, cmd)),
            Instruction::Copy(copy) => self.copy(at, copy),
            Instruction::Entrypoint(entrypoint) => Ok(self.entrypoint(at, entrypoint)),
            Instruction::Env(env) => self.env(at, env),
            Instruction::Expose(expose) => self.expose(at, expose),
            Instruction::Healthcheck(healthcheck) => Ok(self.healthcheck(healthcheck)),
            Instruction::Label(label) => self.label(at, label),
            Instruction::Maintainer(maintainer) => Ok(self.maintainer(maintainer)),
            Instruction::Onbuild(onbuild) => Ok(self.onbuild(onbuild)),
            Instruction::Run(run) => self.run(at, run),
            Instruction::Shell(shell) => Ok(self.shell(shell)),
            Instruction::StopSignal(signal) => self.stop_signal(at, signal),
            Instruction::User(user) => self.user(at, user),
            Instruction::Volume(volume) => self.volume(at, volume),
            Instruction::Workdir(workdir) => self.workdir(at, workdir),
        }
    }

    /// Expands a word, noting what is undefined in it.
    fn expand(&mut self, at: &Located<Instruction>, word: &str) -> Result<String, PlanError> {
        use crate::error::At as _;
        let scope = &self.state.scope;
        let expanded = scope.expand(self.outline.dockerfile.escape, word);
        let undefined = match &expanded {
            Ok(expanded) => expanded.undefined.as_slice(),
            Err(error) => error.required(),
        };
        crate::lint::undefined(&mut self.warnings, at, scope, undefined);
        Ok(expanded.at(at.span)?.value)
    }

    /// Notes, at the place of the one without effect, that a command is given twice.
    fn note_overridden(&mut self, at: &Located<Instruction>) {
        let name = at.value.name();
        if matches!(name, "CMD" | "ENTRYPOINT" | "HEALTHCHECK")
            && let Some(earlier) = self.commands.insert(name, at.span)
        {
            let lint = Lint::multiple_instructions_disallowed(&at.keyword);
            self.warnings
                .extend(Warning::local(lint, earlier, &at.check));
        }
    }

    /// A step that changes the configuration only.
    fn metadata(created_by: String) -> Done {
        Done {
            operation: Operation::Metadata,
            history: Some(HistoryRow {
                created_by,
                empty_layer: true,
            }),
        }
    }
}

/// An instruction as the file has it, on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
