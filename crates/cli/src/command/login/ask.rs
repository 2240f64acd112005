//! Who logs in: what the command line says, and what a person at a terminal adds.

use std::io;

use yadokari_registry::Secret;

use super::host;
use crate::environment::Environment;
use crate::flags::Login;
use crate::report::{Failure, UNUSABLE};

/// Where the answers come from.
pub trait Prompt {
    /// All of standard input, without the end of its last line.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read_all(&mut self) -> io::Result<String>;

    /// One line of a person who is asked `question`.
    ///
    /// # Errors
    ///
    /// There is no terminal, or it is gone.
    fn ask(&mut self, question: &str) -> io::Result<String>;

    /// The same, where the answer does not show.
    ///
    /// # Errors
    ///
    /// There is no terminal, or it is gone.
    fn ask_secret(&mut self, question: &str) -> io::Result<String>;
}

/// User name and password, neither of them empty.
pub(super) fn credentials(
    login: &Login,
    environment: &Environment,
    prompt: &mut dyn Prompt,
) -> Result<(String, Secret), Failure> {
    let username = match given(login.username.as_deref()) {
        Some(name) => name,
        // Standard input holds the password then, and nothing to answer with.
        None if login.password_stdin => return Err(missing("--username")),
        None => asked(environment, "--username", || {
            prompt.ask(&format!("Username for {}: ", host(&login.registry)))
        })?,
    };
    let password = match given(login.password.as_deref()) {
        Some(password) => password,
        None if login.password_stdin => prompt
            .read_all()
            .map_err(|error| Failure::told(format!("cannot read the password: {error}")))?,
        None => asked(environment, "--password-stdin", || {
            prompt.ask_secret("Password: ")
        })?,
    };
    match password.is_empty() {
        true => Err(missing("--password-stdin")),
        false => Ok((username, Secret::new(password))),
    }
}

fn given(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// An answer from whoever sits at the terminal; without one the flag that was left out is named.
fn asked(
    environment: &Environment,
    flag: &str,
    ask: impl FnOnce() -> io::Result<String>,
) -> Result<String, Failure> {
    if !environment.terminals.stdin {
        return Err(missing(flag));
    }
    let answer = ask().map_err(|error| {
        Failure::told(format!("cannot ask at this terminal: {error}"))
            .with_hint(format!("give {flag}"))
    })?;
    match answer.trim() {
        "" => Err(missing(flag)),
        _ if flag == "--username" => Ok(answer.trim().to_owned()),
        _ => Ok(answer),
    }
}

fn missing(flag: &str) -> Failure {
    Failure {
        code: UNUSABLE,
        ..Failure::told(format!(
            "{flag} is missing, and there is no answer from a terminal"
        ))
    }
    .with_hint("echo \"$PASSWORD\" | yadokari login --username NAME --password-stdin REGISTRY")
}
