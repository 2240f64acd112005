//! What files mean: lines, words, forms and places.

use proptest::prelude::*;
use yadokari_dockerfile::instruction::{Command, Script};
use yadokari_dockerfile::{Columns, Instruction, ParseErrorKind, Span, parse, parse_trigger};

fn instructions(text: &str) -> Vec<Instruction> {
    let parsed = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    parsed
        .dockerfile
        .stages
        .into_iter()
        .flat_map(|stage| stage.instructions)
        .map(|located| located.value)
        .collect()
}

fn labels(text: &str) -> Vec<(String, String)> {
    let labels = instructions(text)
        .into_iter()
        .filter_map(|instruction| match instruction {
            Instruction::Label(label) => Some(label.pairs),
            _ => None,
        });
    labels
        .flatten()
        .map(|pair| (pair.name, pair.value))
        .collect()
}

#[test]
fn lines_become_instructions() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    for (text, expected) in [
        ("FROM x\nLABEL a=b\\\nc=d", vec![pair("a", "bc=d")]),
        ("FROM x\nLA\\\nBEL a=b", vec![pair("a", "b")]),
        (
            "FROM x\nLABEL a=1 \\\n# c \\\n   # d\n b=2",
            vec![pair("a", "1"), pair("b", "2")],
        ),
        (
            "FROM x\nLABEL a=1 \\\n\n \t\n b=2",
            vec![pair("a", "1"), pair("b", "2")],
        ),
        (
            "FROM x\nLABEL b=c\\\\\\\nLABEL d=e",
            vec![pair("b", "c\\\\"), pair("d", "e")],
        ),
        ("FROM x\n\\\nLABEL a=b", vec![pair("a", "b")]),
        (
            "FROM x\r\nLABEL a=b \\\r\n c=d\r\n",
            vec![pair("a", "b"), pair("c", "d")],
        ),
        (
            "\u{feff}# escape=`\nFROM x\nLABEL a=1 `\n b=2\\",
            vec![pair("a", "1"), pair("b", "2\\")],
        ),
        (
            "# x\n# escape=`\nFROM x\nLABEL a=1 \\\n b=2",
            vec![pair("a", "1"), pair("b", "2")],
        ),
        (
            "#!sh\n# escape=`\nFROM x\nLABEL a=1 \\\n b=2",
            vec![pair("a", "1"), pair("b", "2")],
        ),
        (
            " \t# escape = ` \nFROM x\nLABEL a=1 `\n b=2",
            vec![pair("a", "1"), pair("b", "2")],
        ),
        (
            "FROM\tx\n\u{a0}LABEL\u{b}a\u{c} b  c ",
            vec![pair("a", "b  c")],
        ),
        ("FROM x\nLABEL a=b \\", vec![pair("a", "b")]),
    ] {
        assert_eq!(labels(text), expected, "{text:?}");
    }
}

#[test]
fn a_physical_line_has_a_limit_but_joined_lines_do_not() {
    let long = |length: usize| format!("FROM x\n#{}\nLABEL c=d\n", "x".repeat(length - 1));
    assert_eq!(labels(&long(65_535)).len(), 1);
    let error = parse(long(65_536).as_bytes()).unwrap_err();
    assert_eq!(
        (error.kind, error.span),
        (ParseErrorKind::LineTooLong, Some(Span::line(1)))
    );
    let joined = format!(
        "FROM x\nRUN {}\\\n{}\n",
        "a".repeat(60_000),
        "b".repeat(60_000)
    );
    assert!(
        matches!(&instructions(&joined)[0], Instruction::Run(run) if run.script().arguments()[0].len() == 120_000)
    );
    assert_eq!(
        parse("x".repeat(70_000).as_bytes()).unwrap_err().kind,
        ParseErrorKind::NoInstructions
    );
}

#[test]
fn invalid_utf8_becomes_replacement_characters_but_not_in_bodies() {
    let parsed = parse(b"FROM x\nLABEL a=\xff\xfe\nCOPY <<\"E\" /f\n\xff\nE\n").unwrap();
    let instructions = &parsed.dockerfile.stages[0].instructions;
    assert!(
        matches!(&instructions[0].value, Instruction::Label(label) if label.pairs[0].value == "\u{fffd}\u{fffd}")
    );
    let Instruction::Copy(copy) = &instructions[1].value else {
        panic!("no copy")
    };
    assert_eq!(*copy.sources.heredocs[0].body(), *b"\xff\n");
    assert_eq!(instructions[1].span, Span::lines(3, 5));
}

#[test]
fn scripts_are_put_together_from_heredocs() {
    let script = |text: &str| match instructions(&format!("FROM x\n{text}")).remove(0) {
        Instruction::Run(run) => run.script(),
        other => panic!("{other:?}"),
    };
    let shell = |text: &str| Script::Shell(text.to_owned());
    assert_eq!(script("RUN echo x \\\n   y"), shell("echo x    y"));
    assert_eq!(script("RUN <<-\"E\"\n\ta $b\n\tE\n"), shell("a $b\n"));
    assert_eq!(script("RUN << E\na\nE\n"), shell("a\n"));
    assert_eq!(
        script("RUN cat <<A && cat <<-B\n1\nA\n\t2\nB\n"),
        shell("cat <<A && cat <<-B\n1\nA\n\t2\nB")
    );
    assert_eq!(
        script("RUN <<f.sh\n#!/bin/sh\nf.sh\n"),
        Script::File {
            name: "f.sh".into(),
            body: b"#!/bin/sh\n".to_vec()
        }
    );
    assert_eq!(
        script("RUN [\"a\", \"<<E\"]"),
        Script::Exec(vec!["a".into(), "<<E".into()])
    );
    assert_eq!(script("RUN"), shell(""));
}

#[test]
fn triggers_keep_their_text_and_are_parsed_alone() {
    let Instruction::Onbuild(onbuild) =
        instructions("FROM x\nonbuild  copy <<E  /f\nbody $x\nE\n").remove(0)
    else {
        panic!("no trigger")
    };
    assert_eq!(onbuild.trigger, "copy <<E  /f\nbody $x\nE");
    let trigger = parse_trigger(&onbuild.trigger).unwrap();
    assert!(
        matches!(trigger.value, Instruction::Copy(copy) if copy.sources.heredocs[0].text() == "body $x\n")
    );
    for (text, message) in [
        ("BOGUS", "unknown instruction: BOGUS"),
        (
            "RUN a\nRUN b",
            "onbuild trigger should be a single expression",
        ),
        ("FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        (
            "COPY a",
            "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
        ),
    ] {
        assert_eq!(parse_trigger(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn errors_point_at_the_word() {
    for (text, columns) in [
        (
            "FROM x\n  RUNN y",
            Columns {
                line: 2,
                start: 2,
                end: 6,
            },
        ),
        (
            "FROM x\nCOPY --from=a \\\n --bogus a b",
            Columns {
                line: 3,
                start: 1,
                end: 8,
            },
        ),
        (
            "FROM x AS 1a",
            Columns {
                line: 1,
                start: 10,
                end: 12,
            },
        ),
        (
            "FROM x\nONBUILD FROM y",
            Columns {
                line: 2,
                start: 8,
                end: 12,
            },
        ),
    ] {
        assert_eq!(
            parse(text.as_bytes()).unwrap_err().span.unwrap().columns,
            Some(columns),
            "{text}"
        );
    }
}

#[test]
fn stages_know_their_names_and_what_comments_say() {
    let text = "# base the image\n\nARG base=x\n# build makes it\n# check=skip=all\nFROM $base AS Build\nFROM --platform= y\n";
    let dockerfile = parse(text.as_bytes()).unwrap().dockerfile;
    assert_eq!(
        dockerfile.global_args[0].value.declarations[0]
            .description
            .as_deref(),
        Some("the image")
    );
    let [build, last] = dockerfile.stages.as_slice() else {
        panic!("not two stages")
    };
    assert_eq!(
        (build.name.as_deref(), build.description.as_deref()),
        (Some("build"), Some("makes it"))
    );
    assert_eq!(
        (build.base.as_str(), build.span_of("$base").columns),
        (
            "$base",
            Some(Columns {
                line: 6,
                start: 5,
                end: 10
            })
        )
    );
    assert_eq!(
        (last.index, last.name.as_deref(), last.platform.as_deref()),
        (1, None, None)
    );
    assert_eq!(
        dockerfile.stage_named("BUILD").map(|stage| stage.index),
        Some(0)
    );
}

#[test]
fn an_empty_command_is_a_shell_command() {
    assert!(
        matches!(&instructions("FROM x\nCMD")[0], Instruction::Cmd(cmd) if cmd.command == Command::Shell(String::new()))
    );
    assert!(
        matches!(&instructions("FROM x\nCMD []")[0], Instruction::Cmd(cmd) if cmd.command == Command::Exec(vec![]))
    );
}

fn check_spans(bytes: &[u8]) -> Result<(), TestCaseError> {
    let lines = bytes.split(|b| *b == b'\n').count();
    match parse(bytes) {
        Ok(parsed) => {
            for stage in &parsed.dockerfile.stages {
                for instruction in &stage.instructions {
                    prop_assert!(
                        1 <= instruction.span.first_line && instruction.span.last_line <= lines
                    );
                }
            }
        }
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            let _ = error.hint();
            if let Some(span) = error.span {
                prop_assert!(span.first_line <= span.last_line && span.last_line <= lines);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check_spans(&bytes)?;
        let _ = parse_trigger(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn anything_like_a_dockerfile_is_parsed_without_panic(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "FROM", "RUN", "COPY", "ADD", "ENV", "LABEL", "ARG", "CMD", "HEALTHCHECK", "ONBUILD", "ONBUILD ONBUILD",
                    "SHELL", "VOLUME", "EXPOSE", "USER", "E", "#", "# escape=`", "# check=", "",
                ]),
                r#"( |\\|`|"|'|=|\[|\]|,|<<E|<<-'E'|--mount=|--from=|--|\$|\{|\}|a|E|é|\t|\r|:|CMD|AS){0,8}"#,
            ),
            0..8,
        )
    ) {
        let text: String = lines.iter().map(|(keyword, rest)| format!("{keyword} {rest}\n")).collect();
        check_spans(text.as_bytes())?;
        check_spans(format!("FROM x\n{text}").as_bytes())?;
    }

    #[test]
    fn crlf_means_the_same_as_lf(value in "[a-z ]{0,10}", more in "[a-z=]{1,5}") {
        let text = format!("FROM x\nENV a={value}\\\n b={more}\nRUN {value}\n");
        let strip = |text: &str| parse(text.as_bytes()).map(|parsed| {
            parsed.dockerfile.stages[0].instructions.iter().map(|located| located.value.clone()).collect::<Vec<_>>()
        }).map_err(|error| error.to_string());
        prop_assert_eq!(strip(&text), strip(&text.replace('\n', "\r\n")));
    }
}
