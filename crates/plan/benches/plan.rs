//! How long it takes to decide what a build does.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set itself up has failed"
)]

use std::collections::BTreeMap;

use divan::{Bencher, black_box};
use yadokari_image::Platform;
use yadokari_plan::{Images, Progress, Request, plan};

fn main() {
    divan::main();
}

/// A chain of stages, each copying from the one before.
fn dockerfile(stages: usize) -> String {
    let stage = |number: usize| {
        let copy = match number {
            0 => String::new(),
            _ => format!("COPY --from=stage{} /out /in\n", number - 1),
        };
        format!(
            "FROM scratch AS stage{number}\nARG VERSION={number}\nENV NAME=value$VERSION PATH=/opt:$PATH\n{copy}\
             RUN [\"/make\", \"$NAME\"]\nWORKDIR /src/$VERSION\nLABEL version=$VERSION\n"
        )
    };
    (0..stages).map(stage).collect()
}

fn request() -> Request {
    Request {
        targets: Vec::new(),
        build_args: vec![("VERSION".to_owned(), "7".to_owned())],
        labels: BTreeMap::new(),
        platform: None,
        host: Platform::new("linux", "amd64"),
        named: BTreeMap::new(),
        allow: Vec::new(),
        hostname: None,
        all_stages: false,
        kaniko: false,
        ignore: None,
    }
}

#[divan::bench(args = [1, 10, 100])]
fn planning(bencher: Bencher<'_, '_>, stages: usize) {
    let parsed = yadokari_dockerfile::parse(dockerfile(stages).as_bytes()).unwrap();
    let (request, images) = (request(), Images::new());
    bencher.bench(|| {
        let progress = plan(black_box(&parsed.dockerfile), &request, &images).unwrap();
        assert!(matches!(progress, Progress::Ready(_)));
        progress
    });
}
