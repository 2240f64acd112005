//! Which command line this is, by the program's name and its first argument, and its parsing.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, FromArgMatches, Parser};

use super::commands::{Build, Completions};
use super::help::{Detail, with_help};
use super::images::{Push, Warm};
use super::{BuildFlags, Command, DOCKERFILE, Login, PLATFORM};
use crate::environment::Environment;

/// What the user asked for.
#[derive(Debug, Clone)]
pub enum Invocation {
    /// A command of ours.
    Command(Command, Style),
    /// A command of kaniko's that is no part of this program.
    Refused {
        /// As typed, `executor push`.
        name: String,
    },
}

/// Whose customs a build's command line follows where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// kaniko's: destinations are pushed and demanded.
    Kaniko,
    /// docker's: names are pushed only on request.
    Docker,
}

#[derive(Debug, Parser)]
#[command(
    name = "yadokari",
    version,
    about,
    max_term_width = 110,
    args_override_self = true
)]
struct Yadokari {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Parser)]
#[command(
    name = "executor",
    version,
    about = "Builds an image and pushes it; takes kaniko's command line"
)]
#[command(
    max_term_width = 110,
    args_override_self = true,
    args_conflicts_with_subcommands = true
)]
struct Executor {
    #[command(flatten)]
    flags: BuildFlags,
    #[command(subcommand)]
    command: Option<ExecutorCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum ExecutorCommand {
    /// Store credentials for a registry
    Login(Box<Login>),
    /// Push an image archive or an OCI layout
    Push(Box<Push>),
    /// Refused under this name
    #[command(hide = true)]
    Bake(Rest),
    /// Print a script that completes this command line in a shell
    Completion(Completions),
    /// Show the version
    Version,
}

#[derive(Debug, Parser)]
#[command(
    name = "warmer",
    version,
    about = "Fetches base images ahead of builds; takes kaniko's command line",
    max_term_width = 110
)]
struct Warmer {
    #[command(flatten)]
    warm: Warm,
}

/// Whatever else was typed after a command that is refused by its name alone.
#[derive(Debug, clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// Parses the command line.
///
/// # Errors
///
/// What clap says of it, which includes the text of `--help` and `--version`.
pub fn parse(environment: &Environment) -> Result<Invocation, clap::Error> {
    let parsed = match environment.program.as_str() {
        "executor" => executor("executor", &environment.arguments),
        "warmer" => warmer(&environment.arguments),
        _ if is_bare_flag_list(&environment.arguments) => {
            executor("yadokari", &environment.arguments)
        }
        _ => yadokari(&environment.arguments),
    };
    parsed.map_err(|error| as_typed(error, environment))
}

/// The same complaint about the name that was typed, where a flag has several.
fn as_typed(mut error: clap::Error, environment: &Environment) -> clap::Error {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let (name, value) = flag.split_once(' ').unwrap_or((flag, ""));
    let name = name.trim_start_matches('-');
    let names = [PLATFORM, DOCKERFILE];
    if let Some(names) = names.into_iter().find(|names| names.contains(&name)) {
        let typed = format!("--{} {value}", environment.typed(names));
        let typed = ContextValue::String(typed.trim_end().to_owned());
        error.insert(ContextKind::InvalidArg, typed);
    }
    error
}

/// Flags without a subcommand, which mean a build as kaniko has it.
fn is_bare_flag_list(arguments: &[OsString]) -> bool {
    let first = arguments
        .first()
        .and_then(|first| first.to_str())
        .unwrap_or_default();
    first.starts_with('-') && !["-h", "--help", "--help-all", "-V", "--version"].contains(&first)
}

fn yadokari(arguments: &[OsString]) -> Result<Invocation, clap::Error> {
    let command = with_help(definition(), Detail::asked(arguments));
    let matches =
        command.try_get_matches_from(with_name("yadokari", &without_help_word(arguments)))?;
    let parsed = Yadokari::from_arg_matches(&matches)?;
    Ok(Invocation::Command(parsed.command, Style::Docker))
}

fn executor(name: &'static str, arguments: &[OsString]) -> Result<Invocation, clap::Error> {
    let matches = with_help(executor_definition(), Detail::asked(arguments))
        .name(name)
        .try_get_matches_from(with_name(name, &without_help_word(arguments)))?;
    let parsed = Executor::from_arg_matches(&matches)?;
    let refused = |command: &str| Invocation::Refused {
        name: format!("{name} {command}"),
    };
    Ok(match parsed.command {
        None => Invocation::Command(
            Command::Build(Box::new(Build {
                path: None,
                flags: parsed.flags,
            })),
            Style::Kaniko,
        ),
        Some(ExecutorCommand::Login(login)) => {
            Invocation::Command(Command::Login(login), Style::Kaniko)
        }
        Some(ExecutorCommand::Completion(shell)) => {
            Invocation::Command(Command::Completions(shell), Style::Kaniko)
        }
        Some(ExecutorCommand::Version) => Invocation::Command(Command::Version, Style::Kaniko),
        Some(ExecutorCommand::Push(push)) => {
            Invocation::Command(Command::Push(push), Style::Kaniko)
        }
        Some(ExecutorCommand::Bake(_)) => refused("bake"),
    })
}

fn warmer(arguments: &[OsString]) -> Result<Invocation, clap::Error> {
    let command = with_help(warmer_definition(), Detail::asked(arguments));
    let matches = command.try_get_matches_from(with_name("warmer", arguments))?;
    let parsed = Warmer::from_arg_matches(&matches)?;
    let warm = Command::Warm(Box::new(parsed.warm));
    Ok(Invocation::Command(warm, Style::Kaniko))
}

/// `help build` is `build --help`.
fn without_help_word(arguments: &[OsString]) -> Vec<OsString> {
    match arguments {
        [first, rest @ ..] if first == "help" => {
            let help = std::iter::once(OsString::from("--help"));
            rest.iter().cloned().chain(help).collect()
        }
        _ => arguments.to_vec(),
    }
}

fn with_name(name: &str, arguments: &[OsString]) -> Vec<OsString> {
    std::iter::once(OsString::from(name))
        .chain(arguments.iter().cloned())
        .collect()
}

/// The whole of `yadokari`'s command line.
pub fn command() -> clap::Command {
    with_help(definition(), Detail::Full)
}

/// The whole of kaniko's command line.
pub fn executor_command() -> clap::Command {
    with_help(executor_definition(), Detail::Full)
}

/// The whole command line of kaniko's warmer.
pub fn warmer_command() -> clap::Command {
    with_help(warmer_definition(), Detail::Full)
}

/// The definition of `yadokari`'s command line, without its help.
pub fn definition() -> clap::Command {
    lenient_booleans(Yadokari::command())
}

/// The definition of kaniko's command line, without its help.
pub fn executor_definition() -> clap::Command {
    lenient_booleans(Executor::command())
}

/// The definition of the command line of kaniko's warmer, without its help.
pub fn warmer_definition() -> clap::Command {
    lenient_booleans(Warmer::command())
}

/// Names of all flags of a group.
pub fn flag_names<T: clap::Args>() -> Vec<String> {
    let command = T::augment_args(clap::Command::new("group"));
    command
        .get_arguments()
        .filter_map(|argument| argument.get_long().map(str::to_owned))
        .collect()
}

/// Lets `--flag`, `--flag=true` and `--flag=false` all work, but not `--flag true`, as Go's flags do; and lets the last of
/// several equal flags win.
fn lenient_booleans(command: clap::Command) -> clap::Command {
    let is_boolean = |argument: &clap::Arg| {
        argument
            .get_value_names()
            .is_some_and(|names| names.iter().any(|name| name.as_str().starts_with("BOOL")))
    };
    let nested: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let command = nested.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, lenient_booleans)
    });
    command.args_override_self(true).mut_args(move |argument| {
        if is_boolean(&argument) {
            argument
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
        } else {
            argument
        }
    })
}
