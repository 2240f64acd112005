//! What a build looks like while it runs.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use insta::assert_snapshot;
use yadokari::console::{Console, Group};
use yadokari::convert::{ConsoleSettings, LogFormat, Verbosity};
use yadokari::report::{Excerpt, Failure};
use yadokari_build::{Clock, Event, Events, Expectation, Outcome, PlannedStep, SourceFile, StepId};
use yadokari_dockerfile::{Span, Warning};
use yadokari_image::Digest;
use yadokari_sandbox::Stream;

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000)
    }
}

const SETTINGS: ConsoleSettings = ConsoleSettings {
    format: LogFormat::Text,
    color: false,
    timestamp: false,
    verbosity: Verbosity::Info,
    quiet: false,
    sections: false,
    fitted: false,
    live: false,
    unicode: false,
};

fn step(stage: usize, step: usize) -> StepId {
    StepId { stage, step }
}

fn planned(id: StepId, stage: &str, title: &str, expectation: Expectation) -> PlannedStep {
    PlannedStep {
        id,
        stage: stage.to_owned(),
        title: title.to_owned(),
        span: None,
        expectation,
    }
}

/// Two stages, one cached, with output of both streams and a transfer.
fn build(console: &Console) {
    let finished = |id, outcome, millis| {
        console.on(Event::Finished {
            step: id,
            outcome,
            took: Duration::from_millis(millis),
        });
    };
    console.on(Event::Planned {
        steps: &[
            planned(step(0, 0), "build", "FROM debian", Expectation::Cached),
            planned(
                step(0, 1),
                "build",
                "RUN apt-get install",
                Expectation::Cached,
            ),
            planned(step(1, 0), "stage-1", "FROM busybox", Expectation::Metadata),
            planned(step(1, 1), "stage-1", "RUN echo\n  hi", Expectation::Run),
            planned(step(1, 2), "stage-1", "CMD [\"sh\"]", Expectation::Metadata),
        ],
    });
    console.on(Event::TransferStarted {
        id: 1,
        label: "pulling busybox sha256:0123",
        total: 2_200_000,
    });
    console.on(Event::TransferFinished { id: 1 });
    for (id, outcome, millis) in [
        (step(0, 0), Outcome::Cached, 0),
        (step(0, 1), Outcome::Cached, 10),
        (step(1, 0), Outcome::Metadata, 0),
    ] {
        console.on(Event::Started(id));
        finished(id, outcome, millis);
    }
    console.on(Event::Started(step(1, 1)));
    console.on(Event::Output {
        step: step(1, 1),
        stream: Stream::Stdout,
        bytes: b"hi\nthe",
    });
    console.on(Event::Output {
        step: step(1, 1),
        stream: Stream::Stderr,
        bytes: b"\x1b[31mtrouble\x1b[0m\n",
    });
    finished(step(1, 1), Outcome::Ran { changes: 2048 }, 3210);
    console.on(Event::Started(step(1, 2)));
    finished(step(1, 2), Outcome::Metadata, 0);
    for (id, size) in [(step(0, 1), 30_200_000), (step(1, 1), 1234)] {
        console.on(Event::Layer { step: id, size });
    }
    console.on(Event::Published {
        place: "r.example/a:1",
        digest: Digest::of(b""),
    });
    console.summary(Duration::from_millis(4500));
}

fn file(name: &str) -> SourceFile {
    SourceFile {
        name: name.to_owned(),
        bytes: b"FROM busybox\nMAINTAINER me\nRUN make\n".to_vec(),
    }
}

/// What the build checks find in such a file.
fn check() -> Warning {
    let parsed = yadokari_dockerfile::parse(&file("").bytes).unwrap();
    parsed.warnings[0].clone()
}

/// The failure of its last line.
fn failure() -> Failure {
    let excerpt = Excerpt::of(&file("Dockerfile"), Span::line(3));
    Failure {
        excerpt: Some(Box::new(excerpt)),
        causes: vec!["killed by signal 9".to_owned()],
        code: 137,
        ..Failure::told("process `make` failed")
    }
    .with_hint("give it more memory")
}

fn shown(settings: ConsoleSettings, happen: impl Fn(&Console)) -> String {
    let paper = Paper::default();
    let console = Console::new(settings, Arc::new(Stopped), Box::new(paper.clone()));
    happen(&console);
    let bytes = paper.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn plain_lines() {
    assert_snapshot!(shown(SETTINGS, build), @r##"
    pulling busybox sha256:0123 (2.2 MB)
    [build 1/2] CACHED FROM debian
    [build 2/2] CACHED RUN apt-get install
    [stage-1 1/3] FROM busybox
    [stage-1 2/3] RUN echo hi
    [stage-1 2/3] hi
    [stage-1 2/3] trouble
    [stage-1 2/3] the
    [stage-1 2/3] done in 3.2s, 2048 changes
    [stage-1 3/3] CMD ["sh"]

    Built in 4.5s: 1 step ran, 2 from the cache
      CACHED             [build 1/2] FROM debian
      CACHED    30.2 MB  [build 2/2] RUN apt-get install
        3.2s     1.2 kB  [stage-1 2/3] RUN echo hi
      moved     2.2 MB downloaded
      published r.example/a:1
      digest    sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    "##);
}

#[test]
fn sections_of_gitlab() {
    let text = shown(
        ConsoleSettings {
            sections: true,
            ..SETTINGS
        },
        build,
    );
    assert_snapshot!(text.replace('\u{1b}', "ESC").replace('\r', "CR"), @r##"
    pulling busybox sha256:0123 (2.2 MB)
    [build 1/2] CACHED FROM debian
    [build 2/2] CACHED RUN apt-get install
    [stage-1 1/3] FROM busybox
    ESC[0Ksection_start:1700000000:step_1_1CRESC[0K[stage-1 2/3] RUN echo hi
    hi
    trouble
    the
    [stage-1 2/3] done in 3.2s, 2048 changes
    ESC[0Ksection_end:1700000000:step_1_1CRESC[0K
    [stage-1 3/3] CMD ["sh"]

    Built in 4.5s: 1 step ran, 2 from the cache
      CACHED             [build 1/2] FROM debian
      CACHED    30.2 MB  [build 2/2] RUN apt-get install
        3.2s     1.2 kB  [stage-1 2/3] RUN echo hi
      moved     2.2 MB downloaded
      published r.example/a:1
      digest    sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    "##);
}

#[test]
fn json_lines() {
    let text = shown(
        ConsoleSettings {
            format: LogFormat::Json,
            ..SETTINGS
        },
        |console| {
            console.on(Event::Source(&file("Dockerfile")));
            console.on(Event::Lint(&check()));
            build(console);
            console.failure(&failure());
        },
    );
    for line in text.lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            value["time"].is_string() && value["level"].is_string() && value["event"].is_string(),
            "{line}"
        );
    }
    assert_snapshot!(text, @r##"
    {"time":"2023-11-14T22:13:20.000Z","level":"warning","event":"lint","rule":"MaintainerDeprecated","message":"Maintainer instruction is deprecated in favor of using label","file":"Dockerfile","line":2}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"planned","steps":[{"stage":"build","step":0,"title":"FROM debian","line":null,"expected":"cached"},{"stage":"build","step":1,"title":"RUN apt-get install","line":null,"expected":"cached"},{"stage":"stage-1","step":0,"title":"FROM busybox","line":null,"expected":"metadata"},{"stage":"stage-1","step":1,"title":"RUN echo\n  hi","line":null,"expected":"run"},{"stage":"stage-1","step":2,"title":"CMD [\"sh\"]","line":null,"expected":"metadata"}]}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"transfer-started","id":1,"label":"pulling busybox sha256:0123","bytes":2200000}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"transfer-finished","id":1}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[build 1/2]","title":"FROM debian"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"cached","seconds":0.0,"step":"[build 1/2]","title":"FROM debian"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[build 2/2]","title":"RUN apt-get install"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"cached","seconds":0.01,"step":"[build 2/2]","title":"RUN apt-get install"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[stage-1 1/3]","title":"FROM busybox"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"metadata","seconds":0.0,"step":"[stage-1 1/3]","title":"FROM busybox"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"output","stream":"stdout","line":"hi","step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"output","stream":"stderr","line":"trouble","step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"output","line":"the","step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"ran","seconds":3.21,"changes":2048,"step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[stage-1 3/3]","title":"CMD [\"sh\"]"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"metadata","seconds":0.0,"step":"[stage-1 3/3]","title":"CMD [\"sh\"]"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"layer","bytes":30200000,"step":"[build 2/2]","title":"RUN apt-get install"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"layer","bytes":1234,"step":"[stage-1 2/3]","title":"RUN echo hi"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"published","place":"r.example/a:1","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"built","seconds":4.5}
    {"time":"2023-11-14T22:13:20.000Z","level":"error","event":"error","message":"process `make` failed","file":"Dockerfile","line":3,"causes":["killed by signal 9"],"hint":"give it more memory","code":137}
    "##);
}

#[test]
fn quiet_shows_warnings_and_the_end_of_a_failing_steps_output() {
    let text = shown(
        ConsoleSettings {
            quiet: true,
            ..SETTINGS
        },
        |console| {
            build(console);
            console.notice("look");
            console.on(Event::Output {
                step: step(1, 1),
                stream: Stream::Stdout,
                bytes: b"last words\n",
            });
            console.on(Event::Failed(step(1, 1)));
        },
    );
    assert_snapshot!(text, @r##"
    warning: look
    [stage-1 2/3] RUN echo hi
    [stage-1 2/3] hi
    [stage-1 2/3] trouble
    [stage-1 2/3] the
    [stage-1 2/3] last words
    "##);
}

#[test]
fn a_build_that_only_reads_the_cache_says_that_nothing_ran() {
    let text = shown(SETTINGS, |console| {
        console.on(Event::Planned {
            steps: &[planned(
                step(0, 1),
                "stage-0",
                "RUN make",
                Expectation::Cached,
            )],
        });
        console.on(Event::Finished {
            step: step(0, 1),
            outcome: Outcome::Cached,
            took: Duration::ZERO,
        });
        console.summary(Duration::from_millis(300));
    });
    assert!(
        text.contains("[stage-0 1/1] CACHED RUN make") && text.contains("nothing ran"),
        "{text}"
    );
}

#[test]
fn timestamps_stand_before_every_line() {
    let text = shown(
        ConsoleSettings {
            timestamp: true,
            ..SETTINGS
        },
        build,
    );
    assert!(
        text.lines()
            .all(|line| line.starts_with("2023-11-14T22:13:20.000Z")),
        "{text}"
    );
}

/// A stage whose command goes on while that of another fails.
fn failing_beside_another(console: &Console) {
    let (slow, broken) = (step(0, 1), step(1, 1));
    console.on(Event::Planned {
        steps: &[
            planned(slow, "slow", "RUN sleep 20", Expectation::Run),
            planned(broken, "broken", "RUN make", Expectation::Run),
        ],
    });
    console.on(Event::Started(slow));
    console.on(Event::Started(broken));
    for (step, bytes) in [
        (slow, b"tick\ntock" as &[u8]),
        (broken, b"no rule to make\n"),
    ] {
        console.on(Event::Output {
            step,
            stream: Stream::Stdout,
            bytes,
        });
    }
    console.on(Event::Failed(broken));
    console.close();
    console.close();
}

#[test]
fn what_failed_beside_another_step_is_the_last_section_and_all_sections_are_closed() {
    let settings = ConsoleSettings {
        sections: true,
        ..SETTINGS
    };
    let text = shown(settings, failing_beside_another);
    assert_snapshot!(text.replace('\u{1b}', "ESC").replace('\r', "CR"), @r##"
    ESC[0Ksection_start:1700000000:step_0_1CRESC[0K[slow 1/1] RUN sleep 20
    tick
    tock
    ESC[0Ksection_end:1700000000:step_0_1CRESC[0K
    ESC[0Ksection_start:1700000000:step_1_1CRESC[0K[broken 1/1] RUN make
    no rule to make
    [broken 1/1] FAILED
    ESC[0Ksection_end:1700000000:step_1_1CRESC[0K
    "##);
}

#[test]
fn lines_of_a_stage_stay_in_their_order_beside_an_open_section() {
    let settings = ConsoleSettings {
        sections: true,
        ..SETTINGS
    };
    let text = shown(settings, |console| {
        let copy = step(1, 2);
        console.on(Event::Planned {
            steps: &[
                planned(step(0, 1), "slow", "RUN sleep 20", Expectation::Run),
                planned(step(1, 1), "app", "RUN make", Expectation::Run),
                planned(copy, "app", "COPY --from=slow /x /", Expectation::Run),
            ],
        });
        let ran = |step| {
            console.on(Event::Finished {
                step,
                outcome: Outcome::Ran { changes: 1 },
                took: Duration::ZERO,
            });
        };
        console.on(Event::Started(step(0, 1)));
        console.on(Event::Started(step(1, 1)));
        ran(step(1, 1));
        console.on(Event::Waiting {
            step: copy,
            stages: &["slow"],
        });
        ran(step(0, 1));
        console.on(Event::Started(copy));
        ran(copy);
    });
    let headers: Vec<_> = text
        .lines()
        .filter(|line| line.contains("RUN") || line.contains("COPY"))
        .map(|line| line.rsplit("[0K").next().unwrap_or(line))
        .collect();
    let expected = [
        "[slow 1/1] RUN sleep 20",
        "[app 1/2] RUN make",
        "[app 2/2] COPY --from=slow /x /",
    ];
    assert_eq!(headers, expected, "{text}");
}

#[test]
fn a_partly_failed_work_says_what_there_is() {
    let text = shown(SETTINGS, |console| {
        console.on(Event::Published {
            place: "r.example/a:1",
            digest: Digest::of(b""),
        });
        console.partial_summary(Duration::from_secs(3), 1, 2);
    });
    assert!(
        text.contains("Built 1 of 2 targets in 3.0s\n") && text.contains("published r.example/a:1"),
        "{text}"
    );
}

#[test]
fn nothing_is_said_of_a_cache_that_gave_nothing() {
    let text = shown(SETTINGS, |console| {
        console.on(Event::Planned {
            steps: &[planned(step(0, 1), "stage-0", "RUN make", Expectation::Run)],
        });
        console.on(Event::Finished {
            step: step(0, 1),
            outcome: Outcome::Ran { changes: 1 },
            took: Duration::ZERO,
        });
        console.summary(Duration::from_millis(300));
    });
    assert!(text.contains("Built in 0.3s: 1 step ran\n"), "{text}");
}

#[test]
fn a_warning_has_its_lines_and_those_of_builds_that_share_the_file_come_once() {
    let text = shown(SETTINGS, |console| {
        console.on(Event::Source(&file("Dockerfile")));
        console.on(Event::Lint(&check()));
    });
    assert_snapshot!(text, @r#"
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> Dockerfile:2
    2 | MAINTAINER me
    "#);
    let paper = Paper::default();
    let console = Console::new(SETTINGS, Arc::new(Stopped), Box::new(paper.clone()));
    let group = Group::new(Arc::new(console), Path::new("/hidden"));
    let files = ["Dockerfile", "Dockerfile", "web/Dockerfile"];
    for (index, name) in files.into_iter().enumerate() {
        let build = group.build(&format!("target-{index}"), index);
        build.on(Event::Source(&file(name)));
        build.on(Event::Lint(&check()));
    }
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert_snapshot!(text, @r#"
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> Dockerfile:2
    2 | MAINTAINER me
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> web/Dockerfile:2
    2 | MAINTAINER me
    "#);
}

#[test]
fn why_a_step_of_one_build_among_others_is_not_cached_is_told_of_that_step() {
    let paper = Paper::default();
    let console = Console::new(SETTINGS, Arc::new(Stopped), Box::new(paper.clone()));
    let build = Group::new(Arc::new(console), Path::new("/hidden")).build("web", 1);
    build.on(Event::Planned {
        steps: &[planned(step(0, 0), "stage-0", "RUN make", Expectation::Run)],
    });
    build.on(Event::Missed {
        step: step(0, 0),
        reasons: &["/src changed".to_owned()],
    });
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        text.lines().last(),
        Some("[web stage-0 1/1] not cached: /src changed")
    );
}

#[test]
fn a_failure_is_told_as_everything_else() {
    let settings = ConsoleSettings {
        timestamp: true,
        ..SETTINGS
    };
    let stamp = "2023-11-14T22:13:20.000Z ";
    let text = shown(settings, |console| console.failure(&failure()));
    let lines: Vec<_> = text.lines().map(|line| line.strip_prefix(stamp)).collect();
    let plain = failure().to_text();
    assert_eq!(lines, plain.lines().map(Some).collect::<Vec<_>>(), "{text}");
    let text = shown(SETTINGS, |console| console.failure(&failure()));
    assert_eq!(text, plain);
    let settings = ConsoleSettings {
        color: true,
        ..SETTINGS
    };
    let text = shown(settings, |console| console.failure(&failure()));
    assert!(text.starts_with("\u{1b}[1;31merror\u{1b}[0m: "), "{text}");
}

/// A RUN that waits for its turn.
fn queued(console: &Console) {
    let id = step(0, 0);
    console.on(Event::Planned {
        steps: &[planned(id, "build", "RUN make", Expectation::Run)],
    });
    console.on(Event::Started(id));
    console.on(Event::Queued(id));
    console.on(Event::Running {
        step: id,
        waited: Duration::from_millis(10_125),
    });
    console.on(Event::Finished {
        step: id,
        outcome: Outcome::Ran { changes: 1 },
        took: Duration::from_secs(5),
    });
}

#[test]
fn what_a_run_waited_for_its_turn_is_told_apart() {
    assert_snapshot!(shown(SETTINGS, queued), @r#"
    [build 1/1] RUN make
    [build 1/1] done in 5.0s, waited 10.1s, 1 change
    "#);
    let settings = ConsoleSettings {
        format: LogFormat::Json,
        ..SETTINGS
    };
    let text = shown(settings, queued);
    let events: Vec<_> = text.lines().skip(1).collect();
    assert_snapshot!(events.join("\n"), @r#"
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"started","step":"[build 1/1]","title":"RUN make"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"queued","step":"[build 1/1]","title":"RUN make"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"running","waited":10.125,"step":"[build 1/1]","title":"RUN make"}
    {"time":"2023-11-14T22:13:20.000Z","level":"info","event":"finished","outcome":"ran","seconds":5.0,"changes":1,"step":"[build 1/1]","title":"RUN make"}
    "#);
}
