//! The wording of frequent errors, in one place.

use yadokari_dockerfile::instruction::{Mount, RawMount};
use yadokari_dockerfile::value::{mode::Mode, port, signal};
use yadokari_dockerfile::{CheckOptions, Expander, ignore::Patterns, parse};

fn file(text: &str) -> String {
    let error = parse(text.as_bytes()).expect_err(text);
    let place = error.span.map_or_else(
        || "-".to_owned(),
        |span| format!("{}-{}", span.first_line, span.last_line),
    );
    let hint = error
        .hint()
        .map(|hint| format!("\n    hint: {hint}"))
        .unwrap_or_default();
    format!("{place}: {error}{hint}")
}

fn later<T, E: ToString>(result: Result<T, E>) -> String {
    result
        .map_err(|error| error.to_string())
        .err()
        .expect("an error")
}

fn mount(text: &str) -> String {
    let expander = Expander::new('\\', &|_| None);
    later(RawMount::parse(text).and_then(|raw| Mount::resolve(&raw, &expander)))
}

fn word(text: &str) -> String {
    later(Expander::new('\\', &|_| None).expand_word(text))
}

#[test]
fn files_that_cannot_be_parsed() {
    let stage = |rest: &str| file(&format!("FROM x\n{rest}\n"));
    insta::assert_snapshot!(
        [
            stage("RUNN a"),
            stage("echo a"),
            file("LABEL a=b"),
            file(""),
            file("# c\n"),
            file("ARG a"),
            file("FROM a b"),
            file("FROM a AS 1a"),
            stage("COPY a"),
            stage("COPY --chwn=1 a b"),
            stage("COPY --chown a b"),
            stage("COPY --link=maybe a b"),
            stage("COPY --chown=1 --chown=2 a b"),
            stage("RUN <<E\na"),
            stage("ENV a=b c"),
            stage("CMD [1]"),
            stage("SHELL x"),
            stage("HEALTHCHECK FOO"),
            stage("HEALTHCHECK CMD"),
            stage("HEALTHCHECK NONE a"),
            stage("HEALTHCHECK --interval=5 CMD x"),
            stage("HEALTHCHECK --interval=-1s CMD x"),
            stage("ENV a"),
            stage("COPY x <<E\na\nE"),
            stage("RUN --network=foo x"),
            stage("RUN --security=foo x"),
            file("# check=bogus\nFROM x"),
            stage("ONBUILD ONBUILD RUN a"),
            stage("ONBUILD FROM a"),
            stage("USER"),
            stage("EXPOSE"),
            file("# escape=`\n# escape=`\nFROM x"),
            file("# escape=x\nFROM x"),
        ]
        .join("\n")
    );
}

#[test]
fn values_that_are_wrong() {
    insta::assert_snapshot!([
        later(Mode::parse("888")),
        mount("type=foo"),
        mount("bogus=1"),
        word("\"x"),
        word("${x!y}"),
        later(port::parse("70000")),
        later(signal::parse("FOO")),
        later(Patterns::parse(b"!")),
        later(Patterns::parse(b"x[")),
        later(CheckOptions::parse("bogus")),
    ].join("\n"), @r#"
    invalid chmod parameter: '888'. it should be octal string and between 0 and 07777
    unsupported mount type "foo"
    unexpected key 'bogus' in 'bogus=1'
    failed to process "\"x": unexpected end of statement while looking for matching double-quote
    failed to process "${x!y}": unsupported modifier (!) in substitution
    invalid containerPort: 70000
    invalid signal: FOO
    illegal exclusion pattern: "!"
    syntax error in pattern
    invalid check option "bogus"
    "#);
}
