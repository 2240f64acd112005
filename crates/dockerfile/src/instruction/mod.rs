//! Typed instructions. Values are as written: variables, quotes and escapes are still in them, unless a
//! field says otherwise.

mod copy;
mod health;
mod metadata;
mod mount;
mod pairs;
mod run;
mod vocabulary;

pub use copy::{Add, Copy, Sources};
pub use health::Healthcheck;
pub use metadata::{
    Cmd, Entrypoint, Expose, Maintainer, Onbuild, Shell, StopSignal, User, Volume, Workdir,
};
pub use mount::{Mount, MountError, MountKind, RawMount, Sharing};
pub(crate) use pairs::description;
pub use pairs::{Arg, ArgDeclaration, Env, Label, Pair};
pub use run::{Command, Network, Run, Script, Security};
pub(crate) use vocabulary::FROM_FLAGS;
pub use vocabulary::{flags, keywords};

use crate::lint::{CheckOptions, Lint, Warning};
use crate::node::{Failure, Node};
use crate::source::Source;
use crate::span::Span;

/// Something of a Dockerfile together with its place and its source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The thing itself.
    pub value: T,
    /// The lines it covers, heredoc bodies included.
    pub span: Span,
    /// The keyword as written.
    pub keyword: String,
    /// The instruction's text, continuation lines joined.
    pub source: Source,
    /// Check options of comments right above (`# check=skip=…`), for this instruction only.
    pub check: CheckOptions,
}

impl<T> Located<T> {
    /// Makes a warning about this, unless a comment above turns the rule off.
    pub fn warn(&self, lint: Lint) -> Option<Warning> {
        Warning::local(lint, self.span, &self.check)
    }

    /// The span narrowed down to a word of the instruction, if the word is found in it as written.
    pub fn span_of(&self, word: &str) -> Span {
        self.span.narrowed(self.source.find(word))
    }

    /// Changes the value and keeps everything else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Located<U> {
        let Self {
            value,
            span,
            keyword,
            source,
            check,
        } = self;
        Located {
            value: change(value),
            span,
            keyword,
            source,
            check,
        }
    }
}

/// An instruction of a stage. FROM is a [`Stage`](crate::Stage).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the instruction of its name")]
pub enum Instruction {
    Add(Add),
    Arg(Arg),
    Cmd(Cmd),
    Copy(Copy),
    Entrypoint(Entrypoint),
    Env(Env),
    Expose(Expose),
    Healthcheck(Healthcheck),
    Label(Label),
    Maintainer(Maintainer),
    Onbuild(Onbuild),
    Run(Run),
    Shell(Shell),
    StopSignal(StopSignal),
    User(User),
    Volume(Volume),
    Workdir(Workdir),
}

impl Instruction {
    /// The keyword in capitals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }

    pub(crate) fn parse(node: &Node) -> Result<Self, Failure> {
        Ok(match node.name().as_str() {
            "ADD" => Self::Add(copy::add(node)?),
            "ARG" => Self::Arg(pairs::arg(node)?),
            "CMD" => Self::Cmd(metadata::cmd(node)?),
            "COPY" => Self::Copy(copy::copy(node)?),
            "ENTRYPOINT" => Self::Entrypoint(metadata::entrypoint(node)?),
            "ENV" => Self::Env(pairs::env(node)?),
            "EXPOSE" => Self::Expose(metadata::expose(node)?),
            "HEALTHCHECK" => Self::Healthcheck(health::healthcheck(node)?),
            "LABEL" => Self::Label(pairs::label(node)?),
            "MAINTAINER" => Self::Maintainer(metadata::maintainer(node)?),
            "ONBUILD" => Self::Onbuild(metadata::onbuild(node)?),
            "RUN" => Self::Run(run::run(node)?),
            "SHELL" => Self::Shell(metadata::shell(node)?),
            "STOPSIGNAL" => Self::StopSignal(metadata::stop_signal(node)?),
            "USER" => Self::User(metadata::user(node)?),
            "VOLUME" => Self::Volume(metadata::volume(node)?),
            "WORKDIR" => Self::Workdir(metadata::workdir(node)?),
            _ => return Err(node.unknown()),
        })
    }
}
