//! The scripts that complete the command line: each shell reads its own, and those that can be asked without a keyboard give words.

use std::path::Path;
use std::process::Command;

use yadokari_testkit::{executor, needs, process, skip_unless};

/// A name to call the program by, and the command that prints its scripts.
const STYLES: [(&str, &str); 2] = [("yadokari", "completions"), ("executor", "completion")];

/// The words so far, the last of them half typed, and what it could be.
const TYPED: [(&[&str], &[&str]); 4] = [
    (&["yadokari", "bu"], &["build"]),
    (&["yadokari", "gitlab", "ta"], &["tags"]),
    (
        &["yadokari", "build", "--no-p"],
        &["--no-push", "--no-push-cache"],
    ),
    (&["executor", "--destination-"], &["--destination-template"]),
];

/// Writes the scripts for a shell, called like the programs that they are for.
fn scripts(directory: &Path, shell: &str) {
    for (program, command) in STYLES {
        let called = directory.join("called").join(program);
        std::fs::create_dir_all(called.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(executor::path().unwrap(), &called).unwrap();
        let script = process::run(Command::new(called).args([command, shell])).unwrap();
        std::fs::write(directory.join(program), script).unwrap();
    }
}

/// Does in bash what a tab does: the function that is registered for the program fills `COMPREPLY`.
const TAB: &str = r#"
source "./$1"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
read -ra spec <<< "$(complete -p "$1")"
for at in "${!spec[@]}"; do [ "${spec[at]}" = -F ] && function=${spec[at + 1]}; done
"$function" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

#[test]
fn bash_completes_commands_and_flags() {
    skip_unless!(needs::program("bash"));
    let directory = tempfile::tempdir().unwrap();
    scripts(directory.path(), "bash");
    for (words, expected) in TYPED {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-uc", TAB, "tab"]).args(words);
        let given = process::run(bash.current_dir(directory.path())).unwrap();
        assert_eq!(given.lines().collect::<Vec<_>>(), expected, "{words:?}");
    }
}

#[test]
fn fish_completes_commands_and_flags() {
    skip_unless!(needs::program("fish"));
    let directory = tempfile::tempdir().unwrap();
    scripts(directory.path(), "fish");
    for (words, expected) in TYPED {
        let script = format!("source {}; complete -C '{}'", words[0], words.join(" "));
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &script])
            .env("HOME", directory.path());
        let given = process::run(fish.current_dir(directory.path())).unwrap();
        // Beside each stands what it is for.
        let given: Vec<_> = given
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        assert_eq!(given, expected, "{words:?}");
    }
}

#[test]
fn zsh_reads_its_script_and_registers_it() {
    skip_unless!(needs::program("zsh"));
    let directory = tempfile::tempdir().unwrap();
    scripts(directory.path(), "zsh");
    for (program, _) in STYLES {
        let script = format!(
            "autoload -Uz compinit; compinit -D; source ./{program}; print -r -- $_comps[{program}]"
        );
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", &script])
            .current_dir(directory.path());
        let done = process::finish(&mut zsh).unwrap();
        assert_eq!(done.output, format!("_{program}\n"));
    }
}
