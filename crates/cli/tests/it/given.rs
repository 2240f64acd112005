//! Command lines and surroundings as tests give them.

use std::path::Path;

use yadokari::convert::{Job, UsageError, job};
use yadokari::environment::Environment;
use yadokari::flags::{Command, Invocation, parse};

/// Surroundings of a root user in a container, started as `program` in `/ci`.
pub(crate) fn environment(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Environment {
    let environment = Environment::of_command(program, arguments, Path::new("/ci"));
    environment.with_variables(variables.iter().copied())
}

/// What a command line means.
pub(crate) fn try_job(
    program: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Job, UsageError> {
    let environment = environment(program, arguments, variables);
    match parse(&environment).unwrap_or_else(|error| panic!("{arguments:?}: {error}")) {
        Invocation::Command(Command::Build(build), style) => job(&build, style, &environment),
        other => panic!("{arguments:?} is no build: {other:?}"),
    }
}

/// kaniko's command line without a destination.
pub(crate) fn kaniko(arguments: &[&str]) -> Job {
    kaniko_with(arguments, &[])
}

/// kaniko's command line without a destination, with variables.
pub(crate) fn kaniko_with(arguments: &[&str], variables: &[(&str, &str)]) -> Job {
    let arguments: Vec<_> = ["--no-push"].iter().chain(arguments).copied().collect();
    try_job("executor", &arguments, variables)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}

/// docker's command line.
pub(crate) fn docker(arguments: &[&str]) -> Job {
    docker_with(arguments, &[])
}

/// docker's command line, with variables.
pub(crate) fn docker_with(arguments: &[&str], variables: &[(&str, &str)]) -> Job {
    let arguments: Vec<_> = ["build"]
        .iter()
        .chain(arguments)
        .chain(&["."])
        .copied()
        .collect();
    try_job("yadokari", &arguments, variables)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
}
