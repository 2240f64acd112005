//! Dockerfiles: whatever the bytes, they parse or are refused with a place inside the file, and so it is with their plan.

use std::collections::BTreeMap;

use yadokari_dockerfile::{Dockerfile, Span, parse, parse_trigger};
use yadokari_image::Platform;
use yadokari_plan::{Images, Request, plan};

/// Parses and plans a file.
pub fn check(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    drop(parse_trigger(&String::from_utf8_lossy(bytes)));
    match parse(bytes) {
        Ok(parsed) => {
            assert!(!parsed.dockerfile.stages.is_empty());
            for warning in &parsed.warnings {
                inside(warning.span, lines);
            }
            for stage in &parsed.dockerfile.stages {
                inside(stage.span, lines);
                for instruction in &stage.instructions {
                    inside(instruction.span, lines);
                    assert!(instruction.span.first_line >= stage.span.first_line);
                }
            }
            planned(&parsed.dockerfile, lines);
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            error.span.into_iter().for_each(|span| inside(span, lines));
        }
    }
}

fn inside(span: Span, lines: usize) {
    assert!(0 < span.first_line && span.first_line <= span.last_line && span.last_line <= lines);
    if let Some(columns) = span.columns {
        assert!((span.first_line..=span.last_line).contains(&columns.line));
        assert!(columns.start <= columns.end);
    }
}

fn planned(dockerfile: &Dockerfile, lines: usize) {
    let request = Request {
        targets: Vec::new(),
        build_args: vec![("given".to_owned(), "value".to_owned())],
        labels: BTreeMap::new(),
        platform: None,
        host: Platform::new("linux", "amd64"),
        named: BTreeMap::new(),
        allow: Vec::new(),
        hostname: None,
        all_stages: true,
        kaniko: false,
        ignore: None,
    };
    if let Err(error) = plan(dockerfile, &request, &Images::new()) {
        assert!(!error.to_string().is_empty());
        drop(error.kind.hint());
        error.span.into_iter().for_each(|span| inside(span, lines));
    }
}
