//! `man --markdown`: every command and every flag on one page, made from the definitions of the command line.

use std::fmt::Write as _;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Args, Command};

use crate::flags::images::LogFlags;
use crate::flags::parse::{definition, executor_definition, warmer_definition};
use crate::flags::{BuildFlags, RegistryFlags};

/// The page.
pub fn page() -> String {
    let groups = groups();
    let mut page = PREFACE.to_owned();
    for (title, mut whole) in [
        ("Commands", definition()),
        ("Names of kaniko's programs", executor_definition()),
        ("", warmer_definition()),
    ] {
        if !title.is_empty() {
            page += &format!("\n## {title}\n");
        }
        whole.build();
        write_commands(&whole, &groups, &mut page);
    }
    for group in &groups {
        page += &format!("\n## {}\n", group.title);
        write_flags(&group.flags.iter().collect::<Vec<_>>(), &mut page);
    }
    page
}

/// Flags that several commands have. A command refers to them and does not repeat them.
struct Group {
    title: &'static str,
    flags: Vec<Arg>,
}

impl Group {
    fn new<T: Args>(title: &'static str) -> Self {
        let command = T::augment_args(Command::new("group"));
        Self {
            title,
            flags: command.get_arguments().cloned().collect(),
        }
    }

    fn has(&self, flag: &Arg) -> bool {
        self.flags.iter().any(|own| own.get_id() == flag.get_id())
    }

    /// Whether a command has all of them.
    fn is_in(&self, command: &Command) -> bool {
        let known = |flag: &Arg| {
            command
                .get_arguments()
                .any(|own| own.get_id() == flag.get_id())
        };
        self.flags.iter().all(known)
    }

    fn link(&self) -> String {
        let anchor = self.title.to_lowercase().replace(' ', "-");
        let title = self.title.to_lowercase();
        format!("[{title}](#{anchor})")
    }
}

/// A flag of a command belongs to the first that the command has as a whole.
fn groups() -> [Group; 3] {
    [
        Group::new::<BuildFlags>("Flags of a build"),
        Group::new::<RegistryFlags>("Flags for registries"),
        Group::new::<LogFlags>("Flags for messages"),
    ]
}

/// A section for the command, unless it only stands for those below it, and for those.
fn write_commands(command: &Command, groups: &[Group], page: &mut String) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    if !command.is_subcommand_required_set() {
        write_command(command, groups, page);
    }
    for below in command.get_subcommands() {
        write_commands(below, groups, page);
    }
}

fn write_command(command: &Command, groups: &[Group], page: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").lines().next();
    let about = command.get_about().map(ToString::to_string);
    *page += &format!("\n### `{name}`\n\n{}.\n", about.unwrap_or_default());
    *page += &format!("\n`{}`\n", usage.unwrap_or_default());
    let all: Vec<&Arg> = command
        .get_arguments()
        .filter(|flag| !is_help(flag))
        .collect();
    let shared: Vec<_> = groups.iter().filter(|group| group.is_in(command)).collect();
    let is_shared = |flag: &Arg| shared.iter().any(|group| group.has(flag));
    let own: Vec<_> = all.into_iter().filter(|flag| !is_shared(flag)).collect();
    write_flags(&own, page);
    // Those of a build contain the others.
    let links: Vec<_> = match shared.first() {
        Some(build) if build.title == groups[0].title => vec![build.link()],
        _ => shared.iter().map(|group| group.link()).collect(),
    };
    if !links.is_empty() {
        let too = if own.is_empty() {
            "It takes"
        } else {
            "It takes also"
        };
        *page += &format!("\n{too} the {}.\n", links.join(" and the "));
    }
}

/// Flags that every command has.
fn is_help(flag: &Arg) -> bool {
    ["help", "help-all", "version"].contains(&flag.get_id().as_str())
}

/// A table of arguments for each of their headings.
fn write_flags(flags: &[&Arg], page: &mut String) {
    let mut heading = None;
    let mut open = false;
    for flag in flags {
        if !open || flag.get_help_heading() != heading {
            heading = flag.get_help_heading();
            if let Some(heading) = heading.filter(|_| flags.len() > SECTIONED) {
                *page += &format!("\n### {heading}\n");
            }
            *page += "\n| | value | |\n|---|---|---|\n";
            open = true;
        }
        *page += &row(flag);
    }
}

fn row(flag: &Arg) -> String {
    let names = if flag.is_positional() {
        format!("`{flag}`")
    } else {
        names(flag).join(", ")
    };
    let value = match flag.get_value_names() {
        _ if flag.is_positional() || !flag.get_action().takes_values() => String::new(),
        Some(values) => format!("`{}`{}", values.join(" "), repeatable(flag)),
        None => format!(
            "`{}`{}",
            flag.get_id().as_str().to_uppercase(),
            repeatable(flag)
        ),
    };
    let [names, value] = [names, value].map(|text| text.replace('|', "\\|"));
    format!("| {names} | {value} | {} |\n", escaped(&meaning(flag)))
}

fn repeatable(flag: &Arg) -> &'static str {
    if matches!(flag.get_action(), ArgAction::Append) {
        ", may be repeated"
    } else {
        ""
    }
}

/// `-f`, `--file`, and by which other names it goes.
fn names(flag: &Arg) -> Vec<String> {
    let short = flag.get_short().map(|short| format!("`-{short}`"));
    let aliases = flag.get_all_aliases().unwrap_or_default();
    let long = flag.get_long().into_iter().chain(aliases);
    let long = long.map(|name| format!("`--{name}`"));
    short.into_iter().chain(long).collect()
}

fn meaning(flag: &Arg) -> String {
    let mut text = flag.get_help().map(ToString::to_string).unwrap_or_default();
    // Those of a flag without a value are true and false.
    if flag.get_action().takes_values() {
        let values: Vec<_> = flag.get_possible_values().iter().map(described).collect();
        if !values.is_empty() {
            let _ = write!(text, ": {}", values.join("; "));
        }
    }
    if let ([default], true) = (flag.get_default_values(), flag.get_action().takes_values()) {
        let _ = write!(text, " (default: `{}`)", default.display());
    }
    text
}

fn described(value: &PossibleValue) -> String {
    let name = value.get_name();
    match value.get_help() {
        Some(help) => format!("`{name}`, {}", lower_first(&help.to_string())),
        None => format!("`{name}`"),
    }
}

fn lower_first(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_lowercase().to_string());
    first.unwrap_or_default() + rest.as_str()
}

/// A text of plain words inside a table.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut code = false;
    for character in text.chars() {
        code ^= character == '`';
        if character == '|' || (!code && "<*[".contains(character)) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// With this many flags, headings between them help.
const SECTIONED: usize = 40;

const PREFACE: &str = "# Every command and flag

<!-- Made by `yadokari man --markdown` from the definitions; `just reference` writes it again. -->

`--help` shows the common flags of a command, `--help-all` all of them. A flag whose value is `BOOL` may stand alone, and then means
true; to say no, write `--flag=false`. Other values may follow after a space or `=`. Of a flag that is given twice and may not be repeated
the last one counts.
";
