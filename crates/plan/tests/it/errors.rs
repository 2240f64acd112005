//! What is wrong with files that parse: message and lines.

use yadokari_plan::NamedContext;

use crate::case::Case;

fn errors(cases: &[&str]) -> String {
    let lines = cases.iter().map(|text| Case::new(text).error());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn bases() {
    insta::assert_snapshot!(errors(&[
        "ARG b\nFROM $b",
        "FROM base\nFROM UPPER",
        "ARG p=a/b/c/d/e\nFROM --platform=$p base",
        "FROM --platform=$X base",
        "FROM ${x!y}",
        "ARG SOURCE_DATE_EPOCH=soon\nFROM base",
    ]), @r#"
    2-2: base name ($b) should not be blank
    2-2: failed to parse stage name "UPPER": invalid reference format: repository name (library/UPPER) must be lowercase
    2-2: failed to parse platform $p: "a/b/c/d/e": cannot parse platform specifier: invalid argument
    1-1: empty platform value from expression $X
    1-1: failed to process "${x!y}": unsupported modifier (!) in substitution
    -: invalid SOURCE_DATE_EPOCH: soon
    "#);
}

#[test]
fn copies() {
    insta::assert_snapshot!(errors(&[
        "FROM base\nCOPY --from=UPPER / /",
        "FROM base AS a\nCOPY --from=b \\\n / /\nFROM base AS b\nFROM a",
        "FROM base\nCOPY --from=7 / /",
        "FROM base\nCOPY --from=-1 / /",
        "FROM base\nCOPY --from=$x / /",
        "FROM base\nCOPY --chmod=888 a /",
        "FROM base\nCOPY --chmod=zzz a /",
        "FROM scratch\nCOPY --chown=me a /",
        "FROM base\nCOPY --link --chown=me a /",
        "FROM base\nCOPY --exclude=[ a /",
        "FROM base\nCOPY http://h/a /",
        "FROM base\nCOPY git@h:a/b.git /",
        "FROM base\nCOPY <<a/b /\nx\na/b",
        "FROM base\nADD --checksum=sha256:00 http://h/a http://h/b /",
        "FROM base\nADD --checksum=sha256:00 a /",
        "FROM scratch\nUSER me\nWORKDIR /d",
    ]), @r#"
    2-2: failed to parse stage name "UPPER": invalid reference format: repository name (library/UPPER) must be lowercase
    2-3: cannot copy from stage "b", it needs to be defined before current stage "a"
    2-2: invalid stage index 7
    2-2: invalid stage index -1
    2-2: variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround
    2-2: invalid chmod parameter: '888'. it should be octal string and between 0 and 07777
    2-2: invalid chmod parameter: 'zzz': invalid syntax
    2-2: invalid user index: -1 (the name "me" cannot be looked up: there are no files below this step)
    2-2: invalid user index: -1 (the name "me" cannot be looked up: there are no files below this step)
    2-2: invalid excludepatterns: ["["]: syntax error in pattern
    2-2: source can't be a URL for COPY
    2-2: source can't be a git ref for COPY
    2-4: open /a/b: no such file or directory
    2-2: checksum can't be specified for multiple sources
    2-2: checksum requires HTTP(S) or Git sources
    3-3: invalid user index: -1 (the name "me" cannot be looked up: there are no files below this step)
    "#);
}

#[test]
fn commands() {
    insta::assert_snapshot!(errors(&[
        "FROM base\nRUN --mount=type=foo x",
        "FROM base\nRUN --mount=bogus=1 x",
        "FROM base\nRUN --mount=type=tmpfs,target=/ x",
        "FROM base\nRUN --mount=type=tmpfs x",
        "FROM base\nRUN --mount=from=UPPER,target=/y x",
        "FROM base\nRUN --security=insecure x",
        "FROM base\nRUN --network=host x",
        "FROM base\nRUN --device=gpu x",
        "FROM base\nRUN []",
    ]), @r#"
    2-2: unsupported mount type "foo"
    2-2: unexpected key 'bogus' in 'bogus=1'
    2-2: invalid mount target "/"
    2-2: invalid mount target "/"
    2-2: failed to parse stage name "UPPER": invalid reference format: repository name (library/UPPER) must be lowercase
    2-2: failed to load LLB: security.insecure is not allowed
    2-2: failed to load LLB: network.host is not allowed
    2-2: device feature is only supported in Dockerfile frontend 1.14.0-labs or later
    2-2: failed to marshal LLB definition: arguments are required
    "#);
}

#[test]
fn values() {
    insta::assert_snapshot!(errors(&[
        "FROM base\nENV A=${x!y}",
        "FROM base\nUSER \"x",
        "FROM base\nEXPOSE 70000",
        "FROM base\nEXPOSE 80/foo",
        "FROM base\nSTOPSIGNAL FOO",
        "FROM base\nSTOPSIGNAL 0",
        "FROM base\nVOLUME $x",
    ]), @r#"
    2-2: failed to process "${x!y}": unsupported modifier (!) in substitution
    2-2: failed to process "\"x": unexpected end of statement while looking for matching double-quote
    2-2: invalid containerPort: 70000
    2-2: invalid port: "80/foo": invalid proto: foo
    2-2: invalid signal: FOO
    2-2: invalid signal: 0
    2-2: VOLUME specified can not be an empty string
    "#);
}

#[test]
fn circles_targets_and_contexts() {
    insta::assert_snapshot!(
        [
            Case::new("FROM base AS a\nCOPY --from=a / /").error(),
            Case::new("FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nCOPY --from=a / /\nFROM base").error(),
            Case::new("FROM base AS one").target("nope").error(),
            Case::new("FROM base AS one").target("oen").error(),
            Case::new("FROM base\nCOPY --from=foo / /").named("foo", NamedContext::Unknown("bogus".to_owned())).error(),
            Case::new("FROM foo").named("foo", NamedContext::Unknown("bogus".to_owned())).error(),
        ]
        .join("\n"),
        @r#"
        2-2: circular dependency detected on stage: a
        4-4: circular dependency detected on stage: a
        -: target stage "nope" could not be found (did you mean one?)
        -: target stage "oen" could not be found (did you mean one?)
        2-2: invalid context specifier bogus for foo
        1-1: invalid context specifier bogus for foo
        "#
    );
}

#[test]
fn granted_rights_are_no_errors() {
    Case::new("FROM base\nRUN --security=insecure --network=host x")
        .allow("security.insecure")
        .allow("network.host")
        .plan();
}
