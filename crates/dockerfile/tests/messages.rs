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
    insta::assert_snapshot!([
        stage("RUNN a"),
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
        stage("ONBUILD ONBUILD RUN a"),
        stage("ONBUILD FROM a"),
        stage("USER"),
        stage("EXPOSE"),
        file("# escape=`\n# escape=`\nFROM x"),
        file("# escape=x\nFROM x"),
    ].join("\n"), @r#"
    2-2: dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)
    1-1: no build stage in current context
        hint: start with a FROM line; only ARG may stand before it
    -: the Dockerfile cannot be empty
    1-1: file with no instructions
    -: dockerfile contains no stages to build
        hint: start with a FROM line; only ARG may stand before it
    1-1: dockerfile parse error on line 1: FROM requires either one or three arguments
    1-1: dockerfile parse error on line 1: invalid name for build stage: "1a", name can't start with a number or contain symbols
        hint: use a lowercase letter, then letters, digits, `-`, `_` or `.`
    2-2: dockerfile parse error on line 2: COPY requires at least two arguments, but only one was provided. Destination could not be determined
    2-2: dockerfile parse error on line 2: unknown flag: --chwn (did you mean chown?)
        hint: to pass a word that starts with `--`, put `--` before it
    2-2: dockerfile parse error on line 2: missing a value on flag: --chown
    2-2: dockerfile parse error on line 2: expecting boolean value for flag --link, not: maybe
        hint: use --link=true or --link=false
    2-2: dockerfile parse error on line 2: duplicate flag specified: --chown
    2-3: unterminated heredoc
        hint: end the heredoc with a line that holds `E` and nothing else
    2-2: Syntax error - can't find = in "c". Must be of the form: name=value
        hint: quote the value if `c` belongs to it
    2-2: when using JSON array syntax, arrays must be comprised of strings only
        hint: quote every element of the array
    2-2: dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form
        hint: write it as an array: SHELL ["executable", "argument"]
    2-2: dockerfile parse error on line 2: Unknown type "FOO" in HEALTHCHECK (try CMD)
    2-2: dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD
    2-2: dockerfile parse error on line 2: HEALTHCHECK NONE takes no arguments
    2-2: dockerfile parse error on line 2: time: missing unit in duration "5"
        hint: give a unit, as in 30s
    2-2: dockerfile parse error on line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed
    2-2: dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger
    2-2: dockerfile parse error on line 2: USER requires exactly one argument
    2-2: dockerfile parse error on line 2: EXPOSE requires at least one argument
    2-2: only one escape parser directive can be used
    1-1: invalid escape token 'x' does not match ` or \
        hint: the escape directive takes ` or \
    "#);
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
