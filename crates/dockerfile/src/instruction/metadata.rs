//! The instructions that only change the image's configuration, and WORKDIR.

use super::run::{self, Command};
use crate::error::ParseErrorKind;
use crate::node::{Arguments, Failure, Node};
use crate::text::{is_separator, is_space};

/// CMD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    /// The command, never expanded.
    pub command: Command,
}

/// ENTRYPOINT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrypoint {
    /// The command, never expanded.
    pub command: Command,
}

/// EXPOSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expose {
    /// Words, unexpanded, sorted as strings. Each is split at blanks after expansion.
    pub words: Vec<String>,
}

/// MAINTAINER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintainer {
    /// The text, never expanded.
    pub name: String,
}

/// ONBUILD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The trigger: the text after the keyword with heredoc bodies, as it goes into the image.
    pub trigger: String,
}

/// SHELL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// The shell and its options, never expanded, at least one word.
    pub shell: Vec<String>,
}

/// STOPSIGNAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSignal {
    /// The signal, unexpanded and unchecked.
    pub signal: String,
}

/// USER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user, unexpanded.
    pub user: String,
}

/// VOLUME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The paths, unexpanded, none empty.
    pub paths: Vec<String>,
}

/// WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workdir {
    /// The path, unexpanded.
    pub path: String,
}

pub(super) fn cmd(node: &Node) -> Result<Cmd, Failure> {
    node.no_flags()?;
    Ok(Cmd {
        command: run::command(node),
    })
}

pub(super) fn entrypoint(node: &Node) -> Result<Entrypoint, Failure> {
    node.no_flags()?;
    Ok(Entrypoint {
        command: run::command(node),
    })
}

pub(super) fn expose(node: &Node) -> Result<Expose, Failure> {
    let mut words = node.words().to_vec();
    if words.is_empty() {
        return Err(ParseErrorKind::AtLeastOne("EXPOSE").into());
    }
    node.no_flags()?;
    words.sort();
    Ok(Expose { words })
}

pub(super) fn maintainer(node: &Node) -> Result<Maintainer, Failure> {
    Ok(Maintainer {
        name: one_word(node, "MAINTAINER")?,
    })
}

pub(super) fn user(node: &Node) -> Result<User, Failure> {
    Ok(User {
        user: one_word(node, "USER")?,
    })
}

pub(super) fn workdir(node: &Node) -> Result<Workdir, Failure> {
    Ok(Workdir {
        path: one_word(node, "WORKDIR")?,
    })
}

fn one_word(node: &Node, keyword: &'static str) -> Result<String, Failure> {
    let [word] = node.words() else {
        return Err(ParseErrorKind::ExactlyOne(keyword).into());
    };
    node.no_flags()?;
    Ok(word.clone())
}

/// Flags before a signal are ignored, as the reference does.
pub(super) fn stop_signal(node: &Node) -> Result<StopSignal, Failure> {
    let [signal] = node.words() else {
        return Err(ParseErrorKind::ExactlyOne("STOPSIGNAL").into());
    };
    Ok(StopSignal {
        signal: signal.clone(),
    })
}

pub(super) fn shell(node: &Node) -> Result<Shell, Failure> {
    node.no_flags()?;
    match &node.arguments {
        _ if node.words().is_empty() => Err(ParseErrorKind::AtLeastOne("SHELL").into()),
        Arguments::Json(shell) => Ok(Shell {
            shell: shell.clone(),
        }),
        _ => Err(ParseErrorKind::NotJson("SHELL").into()),
    }
}

pub(super) fn volume(node: &Node) -> Result<Volume, Failure> {
    if node.words().is_empty() {
        return Err(ParseErrorKind::AtLeastOne("VOLUME").into());
    }
    node.no_flags()?;
    let paths: Vec<String> = node
        .words()
        .iter()
        .map(|word| word.trim_matches(is_space).to_owned())
        .collect();
    if paths.iter().any(String::is_empty) {
        return Err(ParseErrorKind::EmptyVolume.into());
    }
    Ok(Volume { paths })
}

pub(super) fn onbuild(node: &Node) -> Result<Onbuild, Failure> {
    let Arguments::Trigger(trigger) = &node.arguments else {
        return Err(ParseErrorKind::AtLeastOne("ONBUILD").into());
    };
    node.no_flags()?;
    match trigger.name().as_str() {
        "ONBUILD" => {
            return Err(Failure::at(
                ParseErrorKind::ChainedOnbuild,
                &trigger.keyword,
            ));
        }
        name @ ("MAINTAINER" | "FROM") => {
            return Err(Failure::at(
                ParseErrorKind::TriggerNotAllowed(name.to_owned()),
                &trigger.keyword,
            ));
        }
        _ => {}
    }
    let text = node.source.text();
    let mut trigger = text[node.keyword.len()..]
        .trim_start_matches(|c| is_separator(c) || c == '\n')
        .to_owned();
    for heredoc in &node.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.raw_text());
        trigger.push_str(&heredoc.name);
    }
    Ok(Onbuild { trigger })
}
