//! Pictures of builds on terminals of several sizes.

use std::time::Duration;

use yadokari_build::{Expectation, Outcome, PlannedStep, StepId};
use yadokari_sandbox::Stream;

use super::*;

const LOOK: Look = Look {
    color: false,
    unicode: true,
    tick: 0,
};

/// A stage that is done, one that runs, and as many that wait as are asked for.
fn board(waiting: usize) -> Board {
    let mut board = Board::new();
    let id = |stage, step| StepId { stage, step };
    let mut steps = Vec::new();
    let mut plan = |id, stage: &str, title: &str| {
        steps.push(PlannedStep {
            id,
            stage: stage.to_owned(),
            title: title.to_owned(),
            span: None,
            expectation: Expectation::Run,
        });
    };
    plan(id(0, 0), "base", "RUN apt-get update");
    plan(id(1, 0), "build", "COPY . .");
    plan(id(1, 1), "build", "RUN make --jobs=2 all && make install");
    for stage in 0..waiting {
        plan(id(2 + stage, 0), &format!("wait-{stage}"), "RUN true");
    }
    board.planned(&steps);
    for (step, outcome) in [
        (id(0, 0), Outcome::Ran { changes: 1 }),
        (id(1, 0), Outcome::Cached),
    ] {
        board.started(step);
        board.finished(step, outcome, Duration::from_secs(2));
        let step = board.steps.step(step);
        step.ended_at = step.started.map(|at| at + Duration::from_secs(2));
    }
    board.started(id(1, 1));
    board.output(id(1, 1), Stream::Stdout, b"cc -c one.c\ncc -c two.c\n");
    board
}

fn shown(board: &Board, rows: usize, columns: usize) -> Vec<String> {
    picture(
        board,
        Size { rows, columns },
        LOOK,
        board.begun + Duration::from_secs(3),
    )
}

#[test]
fn stages_stand_side_by_side_with_the_last_lines_of_their_output() {
    let mut board = board(1);
    let begun = board.begun;
    board
        .transfers
        .start(1, "pushing r.example/app 0123", 4_000_000, begun);
    board.transfers.progress(1, 1_000_000, begun);
    let lines = shown(&board, 24, 80);
    let starts: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    assert_eq!(starts[0], "Building  2 of 4 steps done, 1 cached  3.0s");
    assert_eq!(starts[1], "✔ base    1 step  2.0s");
    assert!(
        starts[2].starts_with("⠋ build   1/2  RUN make --jobs=2 all && make install"),
        "{lines:?}"
    );
    assert_eq!(
        starts[3..6],
        ["  │ cc -c one.c", "  │ cc -c two.c", "· wait-0  waits"]
    );
    assert!(starts[6].starts_with("↑ r.example/app 0123 "), "{lines:?}");
    assert!(
        starts[6].ends_with("━━━━┄┄┄┄┄┄┄┄┄┄┄┄    1.0 MB of 4.0 MB    333.3 kB/s"),
        "{lines:?}"
    );
}

#[test]
fn a_step_that_waits_for_a_stage_says_so_and_has_no_clock() {
    let mut board = board(1);
    let copy = StepId { stage: 2, step: 0 };
    board.waiting(copy, &["base", "build"]);
    let lines = shown(&board, 24, 80);
    let row = lines.iter().find(|line| line.contains("wait-0")).unwrap();
    assert_eq!(row.trim_end(), "· wait-0  0/1  waits for base, build");
    board.started(copy);
    let lines = shown(&board, 24, 80);
    let row = lines.iter().find(|line| line.contains("wait-0")).unwrap();
    assert!(row.starts_with("⠋ wait-0  0/1  RUN true "), "{row}");
}

#[test]
fn a_stage_took_the_time_from_its_first_step_to_its_last() {
    let mut board = board(0);
    let last = StepId { stage: 1, step: 1 };
    board.finished(last, Outcome::Ran { changes: 0 }, Duration::from_secs(1));
    let start = board
        .steps
        .step(StepId { stage: 1, step: 0 })
        .started
        .unwrap();
    board.steps.step(last).ended_at = Some(start + Duration::from_secs(9));
    let lines = shown(&board, 24, 80);
    let row = lines.iter().find(|line| line.contains("build")).unwrap();
    assert!(row.trim_end().ends_with(" 9.0s"), "{row}");
}

#[test]
fn no_line_is_wider_than_the_terminal_and_no_picture_higher() {
    let mut board = board(30);
    for id in 0..20 {
        board.transfers.start(
            id,
            "pulling registry.example.com/library/debian:bookworm 0123",
            9_000_000,
            board.begun,
        );
    }
    for (rows, columns) in [(24, 80), (10, 40), (5, 20), (3, 160), (1, 1), (0, 0)] {
        let lines = shown(&board, rows, columns);
        assert!(
            lines.len() <= rows.saturating_sub(2).max(1),
            "{rows}x{columns}: {lines:#?}"
        );
        for line in lines {
            assert!(
                measure_text_width(&line) < columns.max(1) || line.trim().is_empty(),
                "{columns}: {line:?}"
            );
        }
    }
}

#[test]
fn layers_of_one_image_are_told_apart_on_a_narrow_terminal() {
    let mut board = board(0);
    for (id, layer) in [(1, "0123456789ab"), (2, "ba9876543210")] {
        let label = format!("pulling registry.example.com/library/debian:bookworm {layer}");
        board.transfers.start(id, &label, 9_000_000, board.begun);
    }
    for columns in [60, 80] {
        let lines = shown(&board, 24, columns);
        let rows: Vec<_> = lines.iter().filter(|line| line.starts_with('↓')).collect();
        assert!(
            rows[0].contains("bookworm 0123456789ab ") && rows[1].contains("ba9876543210 "),
            "{rows:#?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_folded_and_what_runs_stays() {
    let lines = shown(&board(30), 12, 60);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("· 30 stages wait")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("⠋ build")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.contains("cc -c two.c")),
        "{lines:#?}"
    );
}

#[test]
fn without_unicode_everything_is_ascii() {
    let look = Look {
        unicode: false,
        ..LOOK
    };
    let board = board(2);
    let size = Size {
        rows: 24,
        columns: 80,
    };
    let lines = picture(&board, size, look, board.begun);
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
}

#[test]
fn why_a_step_is_not_cached_stands_where_its_output_will() {
    let mut board = board(0);
    let make = StepId { stage: 1, step: 1 };
    board.missed(make, &["/src/main.c changed".to_owned()]);
    let lines = shown(&board, 24, 80);
    let told = lines
        .iter()
        .any(|line| line.contains("not cached: /src/main.c changed"));
    assert!(told, "{lines:#?}");
    board.missed(StepId { stage: 1, step: 0 }, &[]);
    assert_eq!(shown(&board, 24, 80).len(), lines.len());
}

#[test]
fn a_run_that_waits_for_its_turn_has_no_clock_and_its_wait_is_not_counted() {
    let mut board = board(0);
    let make = StepId { stage: 1, step: 1 };
    let row = |board: &Board| {
        let lines = shown(board, 24, 80);
        lines
            .into_iter()
            .find(|line| line.contains("make"))
            .unwrap()
    };
    let started = board.begun + Duration::from_secs(1);
    board.steps.step(make).started = Some(started);
    board.steps.step(make).queued = true;
    let waits = "· build  1/2  RUN make --jobs=2 all && make install  waiting";
    assert_eq!(row(&board), waits);
    board.steps.step(make).run(Duration::from_millis(1500));
    let runs = "⠋ build  1/2  RUN make --jobs=2 all && make install  0.5s";
    assert_eq!(row(&board), runs);
}

#[test]
fn a_transfer_has_its_rate_on_terminals_of_every_width() {
    let mut board = board(0);
    let label = "pulling registry.example.com/library/debian:bookworm 0123456789ab";
    board.transfers.start(1, label, 9_000_000, board.begun);
    board.transfers.progress(1, 3_000_000, board.begun);
    let row = |columns| {
        let lines = shown(&board, 24, columns);
        lines
            .into_iter()
            .find(|line| line.starts_with('↓'))
            .unwrap()
    };
    for columns in 30..160 {
        let row = row(columns);
        assert!(row.ends_with(" 1.0 MB/s"), "{columns}: {row}");
        assert!(row.contains("0123456789ab "), "{columns}: {row}");
    }
    let rows = [40, 52, 76].map(row);
    let expected = [
        "↓ … 0123456789ab     3.0 MB    1.0 MB/s",
        "↓ … 0123456789ab     3.0 MB of 9.0 MB      1.0 MB/s",
        "↓ …ookworm 0123456789ab  ━━━━━┄┄┄┄┄┄┄┄┄┄┄    3.0 MB of 9.0 MB      1.0 MB/s",
    ];
    assert_eq!(rows, expected);
}
