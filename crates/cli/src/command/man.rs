//! `man`: manual pages, made from the definitions of the command line.

use std::path::Path;

use clap_mangen::Man as Page;

use super::{Stdout, print, reference};
use crate::environment::Environment;
use crate::flags::commands::Man;
use crate::flags::parse::command;
use crate::report::Failure;

/// Prints the page of the program, or one of everything, or writes those of all commands.
///
/// # Errors
///
/// A page cannot be written.
pub fn run(man: &Man, environment: &Environment, stdout: &mut Stdout<'_>) -> Result<u8, Failure> {
    match &man.directory {
        None if man.markdown => print(stdout, reference::page())?,
        Some(directory) => write_all(&environment.directory.join(directory))?,
        None => print(stdout, page(&command())?)?,
    }
    Ok(0)
}

fn write_all(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    let mut whole = command();
    whole.build();
    let mut waiting = vec![whole];
    while let Some(command) = waiting.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name());
        let path = directory.join(format!("{name}.1"));
        let written = std::fs::write(&path, page(&command)?);
        written.map_err(|error| unwritable(&path, &error))?;
        let below = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help");
        waiting.extend(below.cloned());
    }
    Ok(())
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let made = Page::new(command.clone()).render(&mut text);
    made.map_err(|error| Failure::told(format!("cannot make the page: {error}")))?;
    Ok(text)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::told(format!("cannot write {}: {error}", path.display()))
}
