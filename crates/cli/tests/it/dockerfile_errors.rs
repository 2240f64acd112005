//! Frequent errors of Dockerfiles as users see them: message, place, excerpt and hint.
//!
//! None of these needs a base image, a registry or a command that runs.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Builds a Dockerfile and gives what the executable said from its error on.
fn told(dockerfile: &str, arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let context = directory.path().join("context");
    fs::create_dir_all(context.join("dir")).unwrap();
    fs::write(context.join("file"), "text").unwrap();
    fs::write(context.join("hidden"), "text").unwrap();
    fs::write(context.join(".dockerignore"), "# secrets\nhidd*\n").unwrap();
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(["build", "--no-push", "--progress=plain", "--state-dir"])
        .arg(directory.path().join("state"))
        .args(arguments)
        .arg(&context)
        .env_clear()
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{dockerfile}: {output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    let at = text
        .find("error: ")
        .unwrap_or_else(|| panic!("no error in {text}"));
    without(&text[at..], directory.path())
}

/// The text with the directory of the test replaced by a name.
fn without(text: &str, directory: &Path) -> String {
    text.replace(&directory.display().to_string(), "HERE")
}

fn all(cases: &[(&str, &[&str])]) -> String {
    let told = cases.iter().map(|(text, arguments)| told(text, arguments));
    told.collect::<Vec<_>>().join("\n")
}

fn plain(cases: &[&str]) -> String {
    let cases: Vec<(&str, &[&str])> = cases.iter().map(|text| (*text, &[][..])).collect();
    all(&cases)
}

#[test]
fn errors_of_parsing() {
    insta::assert_snapshot!(plain(&[
        "FROM scratch\nRUNN make\n",
        "FROM scratch\nbogus\n",
        "LABEL a=b\n",
        "",
        "# nothing\n",
        "ARG a\n",
        "FROM scratch AS\n",
        "FROM scratch AS 1a\n",
        "FROM scratch\nCOPY file\n",
        "FROM scratch\nCOPY --chwn=1 file /\n",
        "FROM scratch\nCOPY --chown file /\n",
        "FROM scratch\nCOPY --link=maybe file /\n",
        "FROM scratch\nCOPY --chown=1 --chown=2 file /\n",
        "FROM scratch\nCOPY <<EOF /file\ntext\n",
        "FROM scratch\nENV a=b c\n",
        "FROM scratch\nCMD [\"a\", 1]\n",
        "FROM scratch\nSHELL sh\n",
        "FROM scratch\nHEALTHCHECK FOO\n",
        "FROM scratch\nHEALTHCHECK CMD\n",
        "FROM scratch\nHEALTHCHECK NONE x\n",
        "FROM scratch\nHEALTHCHECK --interval=5 CMD x\n",
        "FROM scratch\nONBUILD ONBUILD RUN x\n",
        "FROM scratch\nONBUILD FROM scratch\n",
        "FROM scratch\nUSER\n",
        "FROM scratch\nEXPOSE\n",
        "# escape=`\n# escape=`\nFROM scratch\n",
        "# escape=x\nFROM scratch\n",
        "# check=bogus\nFROM scratch\n",
    ]));
}

#[test]
fn errors_of_stages() {
    let nope: &[&str] = &["--target=nope"];
    let misspelt: &[&str] = &["--target=biuld"];
    let context: &[&str] = &["--build-context=foo=bogus"];
    insta::assert_snapshot!(all(&[
        ("ARG b\nFROM $b\n", &[]),
        ("FROM UPPER\n", &[]),
        ("FROM --platform=a/b/c/d/e scratch\n", &[]),
        ("FROM --platform=$X scratch\n", &[]),
        (
            "FROM scratch AS a\nCOPY --from=b \\\n  /x /\nFROM scratch AS b\n\nFROM a\n",
            &[]
        ),
        ("FROM scratch\nCOPY --from=7 / /\n", &[]),
        ("FROM scratch\nCOPY --from=$x / /\n", &[]),
        (
            "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY --from=a / /\n",
            &[]
        ),
        ("FROM scratch AS build\n", nope),
        ("FROM scratch AS build\n", misspelt),
        ("FROM scratch\nCOPY --from=foo / /\n", context),
        ("FROM scratch AS a\nONBUILD bogus\nFROM a\n", &[]),
    ]));
}

#[test]
fn errors_of_values() {
    insta::assert_snapshot!(plain(&[
        "FROM scratch\nENV a=${x!y}\n",
        "FROM scratch\nUSER \"x\n",
        "FROM scratch\nENV a=${x:?give me x}\n",
        "FROM scratch\nEXPOSE 70000\n",
        "FROM scratch\nSTOPSIGNAL FOO\n",
        "FROM scratch\nCOPY --chmod=888 file /\n",
        "FROM scratch\nCOPY --chown=me file /\n",
        "FROM scratch\nRUN --mount=type=foo x\n",
        "FROM scratch\nRUN --mount=bogus=1 x\n",
        "FROM scratch\nRUN --mount=type=tmpfs,target=/ x\n",
        "FROM scratch\nRUN --network=foo x\n",
        "FROM scratch\nRUN --network=host x\n",
        "FROM scratch\nRUN --security=insecure x\n",
        "FROM scratch\nRUN --device=gpu x\n",
        "FROM scratch\nRUN []\n",
        "FROM scratch\nCOPY https://example.com/x /\n",
        "FROM scratch\nADD --checksum=sha256:00 file /\n",
        "ARG SOURCE_DATE_EPOCH=1.5\nFROM scratch\n",
        "# check=error=true\nFROM scratch as a\n",
    ]));
}

#[test]
fn errors_of_files() {
    insta::assert_snapshot!(plain(&[
        "FROM scratch\nCOPY missing /\n",
        "FROM scratch\nCOPY file \\\n  hidden /to/\n",
        "FROM scratch\nCOPY file /x\nCOPY dir /x\n",
        "FROM scratch\nCOPY file /x\nWORKDIR /x/y\n",
        "FROM scratch\nRUN --mount=type=secret,id=nope,required x\n",
        "FROM scratch\nRUN --mount=type=ssh,required x\n",
        "FROM scratch\nRUN --mount=source=nope,target=/y x\n",
    ]));
}

#[test]
fn errors_of_keys_name_the_flag_and_say_what_to_do() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/tests/data/keys");
    let given = |flag: &str| without(&told("FROM scratch\n", &["--ssh", flag]), &keys);
    let locked = format!("default={}", keys.join("locked").display());
    let two = format!("a={0}/rsa,{0}/p521", keys.display());
    insta::assert_snapshot!([given(&locked), given(&two), given("a=nowhere")].join("\n"));
}
