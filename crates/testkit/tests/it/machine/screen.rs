//! What a person sees in a terminal: the display while it is there, and what stays when it is gone.

use std::path::Path;

use yadokari_testkit::{Terminal, executor, needs, skip_unless};

use super::Place;
use crate::support::project::Project;

/// A build in a terminal, after a line of something else and before its exit status.
fn build(place: &Place, project: &Project, state: &Path, size: (u16, u16), more: &str) -> Terminal {
    let flags = format!("{} {more} .", flags(place, state));
    yadokari(project, size, &format!("build {flags}"))
}

/// The same without colours.
fn colourless(place: &Place, project: &Project, state: &Path) -> Terminal {
    let flags = flags(place, state);
    let arguments = format!("build {flags} --no-push .");
    with_variables(project, (80, 24), &[("NO_COLOR", "1")], &arguments)
}

/// What keeps a build to this place.
fn flags(place: &Place, state: &Path) -> String {
    let (mirror, state) = (place.mirror.address(), state.display());
    format!("--registry-mirror {mirror} --state-dir {state}")
}

fn yadokari(project: &Project, size: (u16, u16), arguments: &str) -> Terminal {
    with_variables(project, size, &[], arguments)
}

fn with_variables(
    project: &Project,
    size: (u16, u16),
    variables: &[(&str, &str)],
    arguments: &str,
) -> Terminal {
    let command = format!(
        "echo before; cd {}; {} {arguments}; echo status $?",
        project.path().display(),
        executor::path().unwrap().display(),
    );
    let home = project.path().to_str().unwrap();
    let variables = [&[("HOME", home)][..], variables].concat();
    Terminal::open(size, &variables, &command).unwrap()
}

fn starts(rows: &[String], start: &str) -> usize {
    rows.iter().filter(|row| row.starts_with(start)).count()
}

fn has_ended(rows: &[String]) -> bool {
    starts(rows, "status ") == 1
}

#[test]
fn an_interrupted_build_leaves_nothing_of_its_display() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let project = Project::new("FROM busybox\nRUN echo said; sleep 100\n");
    for columns in [80, 160] {
        let terminal = build(&place, &project, state.path(), (columns, 24), "--no-push");
        let said = |rows: &[String]| rows.iter().any(|row| row.contains("│ said"));
        let rows = terminal.wait_for("output of the RUN", said).unwrap();
        assert_eq!(starts(&rows, "Building  0 of 1"), 1, "{rows:#?}");
        terminal.press("C-c").unwrap();
        let rows = terminal.wait_for("the end", has_ended).unwrap();
        assert_eq!(starts(&rows, "status 130"), 1, "{rows:#?}");
        assert_eq!(starts(&rows, "Building"), 0, "{columns}: {rows:#?}");
        assert_eq!(starts(&rows, "before"), 1, "{columns}: {rows:#?}");
        let warned = starts(&rows, "warning: SIGINT: ending");
        assert_eq!(warned, 1, "{columns}: {rows:#?}");
    }
}

#[test]
fn a_terminal_that_changes_its_size_shows_one_display() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let project = Project::new("FROM busybox\nRUN echo said; sleep 100\n");
    let terminal = build(&place, &project, state.path(), (120, 24), "--no-push");
    let said = |rows: &[String]| rows.iter().any(|row| row.contains("│ said"));
    terminal.wait_for("output of the RUN", said).unwrap();
    for columns in [50, 100, 60] {
        terminal.resize(columns, 24).unwrap();
        let earlier = terminal.shown().unwrap();
        let goes_on = |rows: &[String]| rows != earlier && starts(rows, "Building") == 1;
        let rows = terminal.wait_for("another picture", goes_on).unwrap();
        assert_eq!(starts(&rows, "Building"), 1, "{columns}: {rows:#?}");
        assert_eq!(starts(&rows, "before"), 1, "{columns}: {rows:#?}");
        assert!(
            rows.len() <= 24 && rows.iter().filter(|row| !row.is_empty()).count() <= 5,
            "{columns}: {rows:#?}"
        );
    }
    terminal.press("C-c").unwrap();
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    assert_eq!(starts(&rows, "Building"), 0, "{rows:#?}");
}

#[test]
fn the_summary_fits_the_terminal() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let words = "and a word ".repeat(12);
    let project = Project::new(&format!(
        "FROM busybox AS a-stage-of-a-long-name\nRUN echo {words}\n"
    ));
    let push = format!("--push -t {}/app:1", place.registry.address());
    let terminal = build(&place, &project, state.path(), (80, 24), &push);
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    assert_eq!(starts(&rows, "status 0"), 1, "{rows:#?}");
    let built = rows.iter().position(|row| row.starts_with("Built in"));
    let summary = &rows[built.unwrap()..];
    let cut = summary
        .iter()
        .filter(|row| row.contains("] RUN echo and a word"));
    assert!(cut.clone().all(|row| row.ends_with('…')), "{summary:#?}");
    assert_eq!(cut.count(), 1, "{summary:#?}");
    let digests = summary.iter().filter_map(|row| row.split_once("sha256:"));
    let whole: Vec<_> = digests.map(|(_, digits)| digits.len()).collect();
    assert_eq!(whole, [64], "{summary:#?}");
    assert!(
        !rows.iter().any(|row| row.starts_with("Building")),
        "{rows:#?}"
    );
}

#[test]
fn the_output_of_what_failed_stands_once_above_the_error() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let project = Project::new("FROM busybox\nRUN echo no rule to make; exit 7\n");
    let terminal = build(&place, &project, state.path(), (80, 24), "--no-push");
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    assert_eq!(starts(&rows, "status 7"), 1, "{rows:#?}");
    let output = rows.iter().position(|row| row == "no rule to make");
    let error = rows
        .iter()
        .position(|row| row.starts_with("error: process"));
    assert!(output.is_some() && output < error, "{rows:#?}");
    assert_eq!(starts(&rows, "no rule to make"), 1, "{rows:#?}");
    let excerpt = rows.iter().position(|row| row == "  --> Dockerfile:2");
    assert!(error < excerpt, "{rows:#?}");
    let line = excerpt.map(|at| rows[at + 1].as_str());
    assert_eq!(
        line,
        Some("2 | RUN echo no rule to make; exit 7"),
        "{rows:#?}"
    );
    let painted = terminal.painted().unwrap();
    assert!(painted.contains("\u{1b}[1m"), "{painted:?}");
}

#[test]
fn long_lines_of_what_failed_are_cut_where_the_terminal_ends() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let words = "and-a-word ".repeat(12);
    let project = Project::new(&format!("FROM busybox\nRUN exit 7; echo {words}\n"));
    let terminal = build(&place, &project, state.path(), (60, 24), "--no-push");
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    for start in ["[stage-0 1/1] RUN exit 7", "2 | RUN exit 7"] {
        let row = rows.iter().find(|row| row.starts_with(start));
        let is_cut = |row: &String| row.ends_with('…') && row.chars().count() == 60;
        assert!(row.is_some_and(is_cut), "{start}: {rows:#?}");
    }
}

#[test]
fn no_escape_is_left_on_a_terminal_without_colours() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let project = Project::new("FROM busybox\nMAINTAINER me\nRUN echo said; sleep 2; exit 7\n");
    let terminal = colourless(&place, &project, state.path());
    let said = |rows: &[String]| rows.iter().any(|row| row.contains("│ said"));
    terminal.wait_for("output of the RUN", said).unwrap();
    let shown = terminal.painted().unwrap();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    assert_eq!(starts(&rows, "warning: Maintainer"), 1, "{rows:#?}");
    let shown = terminal.painted().unwrap();
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn what_bake_built_stands_above_the_output_of_what_failed_which_stands_once() {
    skip_unless!(needs::root(), needs::registry(), needs::program("tmux"));
    let (place, state) = (Place::new(), tempfile::tempdir().unwrap());
    let project = Project::new("FROM busybox\nRUN echo fine\n");
    let registry = place.registry.address();
    project.write(
        "compose.yaml",
        &format!(
            "services:\n  good:\n    image: {registry}/good:1\n    build: .\n  bad:\n    \
             image: {registry}/bad:1\n    build:\n      context: .\n      \
             dockerfile_inline: |\n        FROM busybox\n        RUN echo no rule to make; exit 7\n"
        ),
    );
    let bake = format!("bake --push -- {}", flags(&place, state.path()));
    let terminal = yadokari(&project, (80, 40), &bake);
    let rows = terminal.wait_for("the end", has_ended).unwrap();
    assert_eq!(starts(&rows, "status 7"), 1, "{rows:#?}");
    let at = |start: &str| {
        assert_eq!(starts(&rows, start), 1, "{start}: {rows:#?}");
        rows.iter().position(|row| row.starts_with(start))
    };
    let published = at(&format!("  published {registry}/good:1"));
    let (output, error) = (at("no rule to make"), at("error: target `bad`"));
    assert!(at("Built 1 of 2 targets in ") < published, "{rows:#?}");
    assert!(published < output && output < error, "{rows:#?}");
    at("  --> compose.yaml (service bad):2");
}
