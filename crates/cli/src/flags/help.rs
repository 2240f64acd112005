//! What `--help` shows: one screen of what people need, and everything with `--help-all`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::RegistryFlags;
use super::images::LogFlags;
use super::parse::flag_names;

/// How much help tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What fits a screen.
    Common,
    /// All that is shown in manual pages and completed in shells.
    Full,
    /// Also what is accepted for other programs' sake only.
    All,
}

impl Detail {
    /// What a command line asks for.
    pub fn asked(arguments: &[OsString]) -> Self {
        if arguments.iter().any(|argument| argument == "--help-all") {
            Self::All
        } else {
            Self::Common
        }
    }
}

/// Gives a command and those below it `--help` and `--help-all`, and hides what `detail` leaves out of them.
pub fn with_help(command: Command, detail: Detail) -> Command {
    let command = command
        .mut_subcommands(|below| with_help(below, detail))
        .disable_help_flag(true);
    let command = match detail {
        Detail::Common => common(command),
        Detail::Full => command,
        Detail::All => command.mut_args(|argument| {
            let is_flag = argument.get_long().is_some();
            if is_flag {
                argument.hide(false)
            } else {
                argument
            }
        }),
    };
    let has_more =
        detail != Detail::Common || command.get_arguments().any(Arg::is_hide_short_help_set);
    command.args([
        help("help", "Print help").short('h'),
        help("help-all", "Print help for every flag").hide(!has_more),
    ])
}

/// Both are short help to the parser, which puts what a flag does beside it where there is room.
fn help(name: &'static str, text: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::HelpShort)
        .help(text)
        .help_heading(None)
        .display_order(LAST)
}

/// Leaves on the screen what is mostly needed.
fn common(command: Command) -> Command {
    let command = if BUILDS.contains(&command.get_name()) {
        command.mut_args(of_build)
    } else {
        let rare = rare();
        command.mut_args(|argument| {
            let is_rare = rare.iter().any(|rare| argument.get_long() == Some(rare));
            argument.hide_short_help(is_rare).help_heading(None)
        })
    };
    match after(&command) {
        Some(text) => command.after_help(text),
        None => command,
    }
}

/// A flag of a build, with its place on the screen and a text of one line there, if it has one.
fn of_build(argument: Arg) -> Arg {
    let Some(name) = argument.get_long() else {
        return argument;
    };
    let Some(place) = BUILD.iter().position(|(common, _)| *common == name) else {
        return argument.hide_short_help(true);
    };
    let takes_value = argument.get_action().takes_values();
    argument
        .help(BUILD[place].1)
        .help_heading(None)
        .display_order(place)
        .hide_possible_values(takes_value)
        .hide_default_value(takes_value)
}

/// What stands below the flags.
fn after(command: &Command) -> Option<String> {
    match command.get_name() {
        "yadokari" => Some(
            "COMMAND --help shows the common flags of a command, COMMAND --help-all every flag.\n\
             Flags without a command mean a build as kaniko's executor does it."
                .to_owned(),
        ),
        // Whoever looks for a flag of kaniko's finds it here.
        "executor" | "warmer" => Some(format!(
            "Further flags, which --help-all describes: {}",
            unseen(command).join(" ")
        )),
        _ => None,
    }
}

/// All names of flags that are not on the screen, and other names of those that are.
fn unseen(command: &Command) -> Vec<String> {
    let of_argument = |argument: &Arg| {
        let is_seen = !argument.is_hide_set() && !argument.is_hide_short_help_set();
        let seen = argument.get_visible_aliases().unwrap_or_default();
        let long = argument.get_long().filter(|_| !is_seen);
        let aliases = argument.get_all_aliases().unwrap_or_default();
        let aliases = aliases
            .into_iter()
            .filter(|name| !is_seen || !seen.contains(name));
        let all = long.into_iter().chain(aliases);
        all.map(|name| format!("--{name}")).collect::<Vec<_>>()
    };
    let mut names: Vec<_> = command.get_arguments().flat_map(of_argument).collect();
    names.sort_unstable();
    names
}

/// Flags that few need where images are moved.
fn rare() -> Vec<String> {
    let often = ["insecure-registry", "registry-certificate", "verbosity"];
    let mut rare = flag_names::<RegistryFlags>();
    rare.extend(flag_names::<LogFlags>());
    rare.retain(|name| !often.contains(&name.as_str()));
    rare
}

/// Commands that take the flags of a build.
const BUILDS: &[&str] = &["build", "plan", "lint", "executor"];

/// The common flags of a build, in the order in which they are shown, and what they are in a few words:
/// a line of more than some 40 characters would make all of them two lines on a screen of 80 columns.
pub const BUILD: &[(&str, &str)] = &[
    ("explain", "Say why steps are not in the cache"),
    ("json", "Print warnings as JSON"),
    ("context", "Directory, archive, git or object store"),
    ("dockerfile", "Dockerfile, - for stdin"),
    ("target", "Stage to build (default: the last)"),
    ("build-arg", "Value of an ARG"),
    ("secret", "RUN --mount=type=secret: id=ID,src=FILE"),
    ("custom-platform", "OS/ARCH to build for"),
    ("label", "Label of the image"),
    ("tag", "Name of the image; pushed with --push"),
    ("push", "Push the image to its names"),
    ("destination", "Name to push the image to"),
    ("no-push", "Do not push the image"),
    ("output", "type=oci|docker|local|tar,dest=PATH; DIR"),
    ("load", "Load the image into docker or podman"),
    ("digest-file", "File that gets the digest"),
    ("cache", "Look steps up in the cache, record them"),
    ("cache-repo", "Repository of cached layers, or oci:DIR"),
    ("no-cache", "Run every step, whatever the cache holds"),
    ("reproducible", "Leave all times out of the image"),
    ("registry-mirror", "Pull from here in place of docker.io"),
    ("insecure-registry", "Registry to reach over plain HTTP"),
    ("isolation", "auto, namespaces, rootswap or chroot"),
    ("state-dir", "Where builds keep their files"),
    ("progress", "auto, tty, plain, quiet or rawjson"),
    ("quiet", "Print the image's id and nothing else"),
    ("verbosity", "trace, debug, info, warn or error"),
];

/// Below all other flags.
const LAST: usize = 1000;
