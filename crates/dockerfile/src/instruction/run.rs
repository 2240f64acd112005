//! RUN.

use super::mount::RawMount;
use crate::error::ParseErrorKind;
use crate::flags::FlagKind::{List, Text};
use crate::flags::{Flags, KnownFlag};
use crate::heredoc::{self, Heredoc};
use crate::node::{Arguments, Failure, Node};

/// A command line of RUN, CMD or ENTRYPOINT. It is never expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell; empty if nothing is written.
    Shell(String),
    /// The words of a JSON array; none for `[]`.
    Exec(Vec<String>),
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The command as written. With heredocs it is in shell form.
    pub command: Command,
    /// The heredocs of the command, in written order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, whose values are expanded when the instruction is reached.
    pub mounts: Vec<RawMount>,
    /// `--network`.
    pub network: Network,
    /// `--security`.
    pub security: Security,
    /// `--device`, as written.
    pub devices: Vec<String>,
}

/// The network a RUN has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// That of the build.
    #[default]
    Default,
    /// Only a loopback interface.
    None,
    /// That of the host.
    Host,
}

/// How a RUN is confined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// As usual.
    #[default]
    Sandbox,
    /// With all capabilities.
    Insecure,
}

/// What a RUN really executes, heredocs put in their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// These words, without a shell.
    Exec(Vec<String>),
    /// This text, passed to the shell as one argument.
    Shell(String),
    /// A file of mode 0755 below `/dev/pipes/`, whose path is passed to the shell.
    File {
        /// Its name in that directory.
        name: String,
        /// Its content.
        body: Vec<u8>,
    },
}

impl Script {
    /// The arguments after the shell's own: what history and error messages show.
    pub fn arguments(&self) -> Vec<String> {
        match self {
            Self::Exec(words) => words.clone(),
            Self::Shell(text) => vec![text.clone()],
            Self::File { name, .. } => vec![format!("/dev/pipes/{name}")],
        }
    }

    /// Whether the shell stands before the arguments.
    pub fn needs_shell(&self) -> bool {
        !matches!(self, Self::Exec(_))
    }
}

impl Run {
    /// Puts command and heredocs together.
    ///
    /// A single heredoc without other text is the script itself, or a file of its own when it starts with
    /// `#!`. With other text, the bodies follow it for the shell to read.
    pub fn script(&self) -> Script {
        let text = match &self.command {
            Command::Exec(words) => return Script::Exec(words.clone()),
            Command::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else {
            return Script::Shell(text.clone());
        };
        if !heredoc::is_mark(text) {
            return Script::Shell(self.with_bodies(text));
        }
        if first.raw_body.starts_with(b"#!") {
            return Script::File {
                name: first.name.clone(),
                body: first.body().into_owned(),
            };
        }
        Script::Shell(first.text())
    }

    fn with_bodies(&self, text: &str) -> String {
        let mut script = text.to_owned();
        for heredoc in &self.heredocs {
            script.push('\n');
            script.push_str(&heredoc.raw_text());
            script.push_str(&heredoc.name);
        }
        script
    }
}

pub(super) fn run(node: &Node) -> Result<Run, Failure> {
    let flags = node.checked_flags(RUN_FLAGS)?;
    Ok(Run {
        command: command(node),
        heredocs: node.heredocs.clone(),
        mounts: mounts(&flags)?,
        network: network(&flags)?,
        security: security(&flags)?,
        devices: flags.list("device"),
    })
}

/// The command line of RUN, CMD or ENTRYPOINT.
pub(super) fn command(node: &Node) -> Command {
    match &node.arguments {
        Arguments::Json(words) => Command::Exec(words.clone()),
        _ => Command::Shell(node.words().join(" ")),
    }
}

fn mounts(flags: &Flags) -> Result<Vec<RawMount>, Failure> {
    let parse = |text: String| {
        RawMount::parse(&text)
            .map_err(|error| Failure::at(ParseErrorKind::Mount(Box::new(error)), &text))
    };
    flags.list("mount").into_iter().map(parse).collect()
}

fn network(flags: &Flags) -> Result<Network, Failure> {
    match flags.text("network") {
        None | Some("default") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(Failure::at(
            ParseErrorKind::NetworkMode(other.to_owned()),
            &format!("--network={other}"),
        )),
    }
}

fn security(flags: &Flags) -> Result<Security, Failure> {
    match flags.text("security") {
        None | Some("sandbox") => Ok(Security::Sandbox),
        Some("insecure") => Ok(Security::Insecure),
        Some(other) => Err(Failure::at(
            ParseErrorKind::SecurityMode(other.to_owned()),
            &format!("--security={other}"),
        )),
    }
}

pub(super) const RUN_FLAGS: &[KnownFlag] = &[
    ("device", List),
    ("mount", List),
    ("network", Text),
    ("security", Text),
];
