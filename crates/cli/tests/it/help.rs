//! What `--help` knows.

mod names;

use std::path::Path;

use names::{DOCKER, KANIKO, WARMER};
use yadokari::environment::Environment;
use yadokari::flags::BuildFlags;
use yadokari::flags::help::{Detail, with_help};
use yadokari::flags::parse::{
    command, definition, executor_command, executor_definition, flag_names, parse,
    warmer_definition,
};

#[test]
fn every_name_of_kaniko_is_a_flag_or_an_alias() {
    let command = executor_command();
    for name in KANIKO {
        let known = command.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
    }
}

/// What a command line prints that asks for help.
fn help(program: &str, arguments: &[&str]) -> String {
    let environment = Environment::of_command(program, arguments, Path::new("/"));
    let shown = parse(&environment).unwrap_err();
    assert!(!shown.use_stderr(), "{shown}");
    shown.to_string()
}

#[test]
fn help_all_has_a_line_for_every_flag() {
    for (program, arguments, command) in [
        ("executor", &["--help-all"][..], executor_command()),
        ("yadokari", &["build", "--help-all"], command()),
    ] {
        let help = help(program, arguments);
        let build = command.find_subcommand("build").unwrap_or(&command);
        for argument in build.get_arguments() {
            let Some(name) = argument.get_long() else {
                continue;
            };
            let line = help.lines().find(|line| {
                let start = line.trim_start();
                start.starts_with('-') && line.contains(&format!("--{name}"))
            });
            assert!(line.is_some(), "{program}: --{name}");
        }
    }
}

#[test]
fn the_help_of_kanikos_programs_names_every_flag_of_theirs() {
    for (program, names) in [("executor", KANIKO), ("warmer", WARMER)] {
        let help = help(program, &["--help"]);
        for name in names {
            assert!(help.contains(&format!("--{name}")), "{program}: --{name}");
        }
    }
}

/// A command and all below it, with the names that lead there.
fn all(command: &clap::Command, path: &str, out: &mut Vec<(String, clap::Command)>) {
    let path = format!("{path} {}", command.get_name());
    for below in command.get_subcommands() {
        all(below, &path, out);
    }
    out.push((path, command.clone()));
}

#[test]
fn help_fits_a_screen() {
    let mut commands = Vec::new();
    for definition in [definition(), executor_definition(), warmer_definition()] {
        let mut command = with_help(definition, Detail::Common).term_width(80);
        command.build();
        all(&command, "", &mut commands);
    }
    assert!(commands.len() > 25, "{}", commands.len());
    for (path, mut command) in commands {
        let help = command.render_help().to_string();
        let wide = help.lines().find(|line| line.chars().count() > 80);
        // The names of kaniko's flags are worth a few more.
        let most = if path == " executor" { 70 } else { 40 };
        assert!(
            wide.is_none() && help.lines().count() <= most,
            "{path}, {} lines, {wide:?}:\n{help}",
            help.lines().count()
        );
    }
}

#[test]
fn help_says_where_the_rest_is_and_help_all_has_it() {
    let [common, all] = ["--help", "--help-all"].map(|flag| help("yadokari", &["push", flag]));
    assert!(
        common.contains("--destination") && common.contains("--help-all"),
        "{common}"
    );
    assert!(
        !common.contains("--registry-map") && all.contains("--registry-map"),
        "{all}"
    );
    assert_eq!(help("yadokari", &["help", "push"]), common);
    assert_eq!(help("yadokari", &["push", "-h"]), common);
    assert_eq!(help("executor", &["help"]), help("executor", &["--help"]));
    assert!(!help("yadokari", &["logout", "--help"]).contains("--help-all"));
    assert!(help("yadokari", &["--help-all"]).contains("cleanup"));
}

#[test]
fn common_flags_are_flags() {
    // A misspelt name would be left out of the screen, and nobody would see it.
    let help = help("yadokari", &["build", "--help"]);
    let plan = command().find_subcommand("plan").unwrap().clone();
    let lint = command().find_subcommand("lint").unwrap().clone();
    for (name, _) in yadokari::flags::help::BUILD {
        let known = |command: &clap::Command| {
            command
                .get_arguments()
                .any(|argument| argument.get_long() == Some(name))
        };
        assert!(known(&plan) || known(&lint), "{name}");
        assert!(
            help.contains(name) || ["explain", "json"].contains(name),
            "{name}"
        );
    }
}

#[test]
fn the_migration_page_has_a_row_for_every_flag_of_kaniko() {
    let page = include_str!("../../../../docs/kaniko.md");
    for name in KANIKO {
        assert!(
            page.contains(&format!("`--{name}`")),
            "docs/kaniko.md lacks --{name}"
        );
    }
}

#[test]
fn every_flag_has_a_line_of_help() {
    for name in flag_names::<BuildFlags>() {
        let command = executor_command();
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some(&name))
            .unwrap();
        assert!(argument.get_help().is_some(), "--{name}");
    }
}

#[test]
fn every_name_of_docker_is_a_flag_and_has_its_place_on_the_page() {
    let command = command();
    let build = command.find_subcommand("build").unwrap();
    let page = include_str!("../../../../docs/docker.md");
    for name in DOCKER {
        let known = build.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
        let family = ["cpu-", "cpuset-"]
            .iter()
            .find(|family| name.starts_with(**family));
        let shown = family.map_or(format!("`--{name}`"), |family| format!("`--{family}*`"));
        assert!(page.contains(&shown), "docs/docker.md lacks {shown}");
    }
}

#[test]
fn every_name_of_the_warmer_is_a_flag_or_an_alias() {
    let command = yadokari::flags::parse::warmer_command();
    for name in WARMER {
        let known = command.get_arguments().any(|argument| {
            argument.get_long() == Some(name)
                || argument
                    .get_all_aliases()
                    .is_some_and(|aliases| aliases.contains(name))
        });
        assert!(known, "--{name}");
    }
}

#[test]
fn definitions_are_sound() {
    yadokari::flags::parse::warmer_command().debug_assert();
    command().debug_assert();
    executor_command().debug_assert();
}

#[test]
fn subcommands_are_the_documented_ones() {
    let command = command();
    let names: Vec<_> = command
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    assert_eq!(
        names,
        [
            "build",
            "bake",
            "plan",
            "cache",
            "lint",
            "push",
            "copy",
            "index",
            "inspect",
            "tags",
            "cleanup",
            "warm",
            "login",
            "logout",
            "doctor",
            "gitlab",
            "completions",
            "man",
            "version"
        ]
    );
}
