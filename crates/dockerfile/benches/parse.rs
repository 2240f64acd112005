//! How long a Dockerfile takes to be read.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set itself up has failed"
)]

use divan::{Bencher, black_box};
use yadokari_dockerfile::parse;

fn main() {
    divan::main();
}

/// A Dockerfile of that many stages, each with an instruction of every common kind.
fn dockerfile(stages: usize) -> String {
    let stage = |number: usize| {
        format!(
            "FROM debian:bookworm AS stage{number}\nARG VERSION={number}\nENV PATH=/opt/bin:$PATH A=\"b c\"\n\
             # A comment.\nRUN --mount=type=cache,target=/var/cache/apt apt-get update && \\\n    \
             apt-get install -y \\\n    build-essential\nCOPY --chown=1:1 [\"a b\", \"src/*.c\", \"/src/\"]\n\
             RUN <<EOF\nset -e\nmake -C /src\nEOF\nLABEL a=b c=\"d e\"\nUSER build\nWORKDIR /src/$VERSION\n"
        )
    };
    (0..stages).map(stage).collect()
}

#[divan::bench(args = [1, 10, 100])]
fn parsing(bencher: Bencher<'_, '_>, stages: usize) {
    let text = dockerfile(stages);
    bencher
        .counter(divan::counter::BytesCount::of_str(&text))
        .bench(|| parse(black_box(text.as_bytes())).unwrap());
}
