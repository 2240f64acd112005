//! Which kind of progress is shown where.

use yadokari::convert::{ConsoleSettings, LogFormat, job};
use yadokari::environment::Terminals;
use yadokari::flags::{Command, Invocation, parse};

use crate::given::environment;

fn settings(
    terminal: bool,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<ConsoleSettings, String> {
    let arguments: Vec<_> = ["build", ".", "--no-push"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    let mut environment = environment("yadokari", &arguments, variables);
    environment.terminals = Terminals {
        stderr: terminal,
        ..Terminals::default()
    };
    match parse(&environment).unwrap() {
        Invocation::Command(Command::Build(build), style) => job(&build, style, &environment)
            .map(|job| job.console)
            .map_err(|error| error.to_string()),
        other => panic!("{other:?}"),
    }
}

/// Whether there is a terminal, arguments, variables, and whether the display is shown.
type Case<'a> = (bool, &'a [&'a str], &'a [(&'a str, &'a str)], bool);

#[test]
fn the_display_is_for_terminals_that_can_redraw() {
    let cases: [Case<'_>; 9] = [
        (true, &[], &[], true),
        (false, &[], &[], false),
        (true, &[], &[("TERM", "dumb")], false),
        (true, &[], &[("CI", "true")], false),
        (true, &["--progress=plain"], &[], false),
        (true, &["--progress=tty"], &[("CI", "true")], true),
        (true, &["--quiet"], &[], false),
        (true, &["--log-timestamp"], &[], false),
        (true, &[], &[("BUILDKIT_PROGRESS", "plain")], false),
    ];
    for (terminal, arguments, variables, expected) in cases {
        let live = settings(terminal, arguments, variables).unwrap().live;
        assert_eq!(live, expected, "{terminal} {arguments:?} {variables:?}");
    }
}

#[test]
fn the_display_cannot_be_had_where_there_is_no_terminal() {
    let said = settings(false, &["--progress=tty"], &[]).unwrap_err();
    assert!(said.contains("is no terminal"), "{said}");
}

#[test]
fn rawjson_is_json_and_unknown_words_are_refused() {
    let json = settings(true, &["--progress=rawjson"], &[]).unwrap();
    assert_eq!((json.format, json.live), (LogFormat::Json, false));
    let said = settings(true, &["--progress=fancy"], &[]).unwrap_err();
    assert!(
        said.contains("auto, tty, plain, quiet or rawjson"),
        "{said}"
    );
}

#[test]
fn colours_and_characters_follow_the_environment() {
    let of = |variables: &[(&str, &str)]| {
        let settings = settings(true, &[], variables).unwrap();
        (settings.color, settings.unicode)
    };
    assert_eq!(of(&[("LANG", "de_DE.UTF-8")]), (true, true));
    assert_eq!(of(&[("LC_ALL", "C"), ("LANG", "C.UTF-8")]), (true, false));
    assert_eq!(of(&[("NO_COLOR", "1")]), (false, false));
}

#[test]
fn lines_fit_the_terminal_where_nobody_asked_for_those_of_a_log() {
    let cases: [Case<'_>; 8] = [
        (true, &[], &[], true),
        (true, &["--quiet"], &[], true),
        (true, &[], &[("TERM", "dumb")], true),
        (false, &[], &[], false),
        (true, &[], &[("CI", "true")], false),
        (true, &["--progress=plain"], &[], false),
        (true, &["--log-format=text"], &[], false),
        (true, &["--log-timestamp"], &[], false),
    ];
    for (terminal, arguments, variables, expected) in cases {
        let fitted = settings(terminal, arguments, variables).unwrap().fitted;
        assert_eq!(fitted, expected, "{terminal} {arguments:?} {variables:?}");
    }
}
