//! `completions`: what a shell needs to know to complete our command line.

use clap_complete::Shell;

use super::Stdout;
use crate::flags::{Style, parse};
use crate::report::Failure;

/// Prints a script for a shell.
///
/// # Errors
///
/// Standard output cannot be written to.
pub fn run(shell: Shell, style: Style, stdout: &mut Stdout<'_>) -> Result<u8, Failure> {
    let mut script = Vec::new();
    let (mut command, name) = match style {
        Style::Docker => (parse::command(), "yadokari"),
        Style::Kaniko => (parse::executor_command(), "executor"),
    };
    clap_complete::generate(shell, &mut command, name, &mut script);
    super::print(stdout, script)?;
    Ok(0)
}
