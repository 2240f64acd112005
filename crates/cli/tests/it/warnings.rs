//! What the build checks found, as users see it.

use std::path::Path;
use std::process::Command;

/// What a command says of these files, with the directory of the test replaced by a name.
fn told(files: &[(&str, &str)], arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("project");
    for (name, text) in files {
        let path = project.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_yadokari"))
        .args(arguments)
        .env_clear()
        .env("YADOKARI_DIR", directory.path().join("state"))
        .current_dir(&project)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.replace(&Path::new(directory.path()).display().to_string(), "HERE")
}

/// A warning of a build check with the lines that belong to it, for each time that it is told.
fn warnings(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    let is_of_check = |line: &str| line.starts_with("warning: ") && line.contains("(line ");
    let at = (0..lines.len()).filter(|at| is_of_check(lines[*at]));
    let told = at.flat_map(|at| lines[at..].iter().take(3).copied());
    told.collect::<Vec<_>>().join("\n")
}

const DOCKERFILE: &str = "FROM scratch\nMAINTAINER me\n";

#[test]
fn a_warning_is_told_once_with_its_line() {
    let files = [("Dockerfile", DOCKERFILE)];
    let text = told(&files, &["build", "--no-push", "--progress=plain", "."]);
    insta::assert_snapshot!(warnings(&text), @r#"
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> Dockerfile:2
    2 | MAINTAINER me
    "#);
}

#[test]
fn a_warning_of_targets_with_one_dockerfile_is_told_once_and_names_the_file() {
    let compose = "\
services:
  api: {build: .}
  worker: {build: .}
  web: {build: web}
";
    let files = [
        ("compose.yaml", compose),
        ("Dockerfile", DOCKERFILE),
        ("web/Dockerfile", DOCKERFILE),
    ];
    let text = told(&files, &["bake", "--progress=plain"]);
    insta::assert_snapshot!(warnings(&text), @r#"
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> Dockerfile:2
    2 | MAINTAINER me
    warning: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
      --> web/Dockerfile:2
    2 | MAINTAINER me
    "#);
}
