//! Programs from PyPI, each in an environment of its own.

use std::path::PathBuf;
use std::process::Command;

use yadokari_testkit::{cache, process};

/// The programs of an environment with this requirement, `name==version`, which is installed once.
pub(crate) fn programs_of(requirement: &str) -> PathBuf {
    let place = cache::once(&requirement.replace("==", "-"), |directory| {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(directory))?;
        let mut pip = Command::new(directory.join("bin/pip"));
        process::run(pip.args(["install", "--quiet", requirement])).map(drop)
    });
    place.unwrap().join("bin")
}

/// A script of such an environment, by its interpreter: the environment was moved after it was made, and the first lines of its scripts
/// name the old place.
pub(crate) fn script(requirement: &str, name: &str) -> Command {
    let programs = programs_of(requirement);
    let mut command = Command::new(programs.join("python3"));
    command.arg(programs.join(name));
    command
}
