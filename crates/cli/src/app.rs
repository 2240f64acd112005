//! From the command line to the exit code.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::DumpableBehavior;
use yadokari_sandbox::{IdMap, UserNamespace};

use crate::command::{self, login};
use crate::console::Console;
use crate::convert::{self, Action, ConsoleSettings, Job, UsageError};
use crate::environment::Environment;
use crate::flags::commands::Build;
use crate::flags::{Command, Invocation, Style};
use crate::report::{Failure, UNUSABLE};
use crate::services::SystemClock;
use crate::{flags, logging};

/// Runs the program. Starts threads only after everything that needs a process with one thread is done.
pub fn run(environment: &Environment) -> ExitCode {
    let outcome = match flags::parse(environment) {
        Ok(invocation) => dispatch(invocation, environment),
        Err(error) => return explain(&error),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            tell(&failure, environment);
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(invocation: Invocation, environment: &Environment) -> Result<u8, Failure> {
    match invocation {
        Invocation::Refused { name } => Err(Failure::from(&UsageError::CommandRefused { name })),
        Invocation::Command(command, style) => run_command(command, style, environment),
    }
}

fn run_command(command: Command, style: Style, environment: &Environment) -> Result<u8, Failure> {
    let stdout = &mut std::io::stdout();
    match command {
        Command::Build(build) => run_job(&job(&build, style, environment)?, environment),
        Command::Plan(build) => run_job(
            &Job {
                action: Action::Plan,
                ..job(&build, style, environment)?
            },
            environment,
        ),
        Command::Lint(lint) => {
            let job = Job {
                action: Action::Check,
                ..job(&lint.build, style, environment)?
            };
            if lint.json {
                lint_json(&job, environment)
            } else {
                run_job(&job, environment)
            }
        }
        Command::Login(login) => {
            let text = login::run(&login, environment, read_password)?;
            finish(stdout, &text)
        }
        Command::Logout(logout) => finish(stdout, &login::logout(&logout, environment)?),
        Command::Doctor(doctor) => {
            let remark = become_root()?;
            command::doctor::run(&doctor, environment, remark.as_deref(), stdout)
        }
        Command::Version => finish(stdout, &format!("yadokari {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

fn job(build: &Build, style: Style, environment: &Environment) -> Result<Job, Failure> {
    convert::job(build, style, environment).map_err(|error| Failure::from(&error))
}

fn run_job(job: &Job, environment: &Environment) -> Result<u8, Failure> {
    let remark = if job.action == Action::Build {
        hide(environment)?;
        become_root()?
    } else {
        None
    };
    let console = console(job.console);
    remark.iter().for_each(|remark| console.notice(remark));
    let stdout = &mut std::io::stdout();
    let done = block_on(command::build::run(job, environment, &console, stdout))?;
    match done.map_err(|failure| hinted(failure, remark.is_some())) {
        Ok(()) => Ok(0),
        Err(failure) if console.error(failure.to_json()) => Ok(failure.code),
        Err(failure) => Err(failure),
    }
}

/// A step that fails where all files have one owner may well have wanted a second one.
fn hinted(failure: Failure, one_owner: bool) -> Failure {
    if !one_owner || failure.hint.is_some() || failure.excerpt.is_none() {
        return failure;
    }
    failure.with_hint(
        "this user has a single id, so nothing can get a second owner: install the package `uidmap`, \
         and add a line for this user to /etc/subuid and /etc/subgid",
    )
}

fn lint_json(job: &Job, environment: &Environment) -> Result<u8, Failure> {
    let console = console(job.console);
    let stdout = &mut std::io::stdout();
    block_on(command::build::lint_json(
        job,
        environment,
        &console,
        stdout,
    ))?
}

fn console(settings: ConsoleSettings) -> Arc<Console> {
    logging::start(settings);
    Arc::new(Console::new(
        settings,
        Arc::new(SystemClock),
        Box::new(std::io::stderr()),
    ))
}

/// Keeps a RUN that shares our processes from reading credentials out of our memory and environment.
///
/// An ordinary user's RUN has processes of its own, and that user's identities are mapped through `/proc`, which
/// must stay readable for it.
fn hide(environment: &Environment) -> Result<(), Failure> {
    if environment.user != 0 {
        return Ok(());
    }
    let hidden = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hidden.map_err(|error| {
        Failure::told(format!(
            "cannot protect this process from its commands: {error}"
        ))
    })
}

/// An ordinary user becomes user 0 of a user namespace. Must come before any thread starts.
///
/// Gives a remark when files of other owners cannot be made there.
fn become_root() -> Result<Option<String>, Failure> {
    match yadokari_sandbox::enter_user_namespace(&UserNamespace::default()) {
        Ok(IdMap::Single { reason }) => {
            Ok(Some(format!("every file has one owner here: {reason}")))
        }
        Ok(_) => Ok(None),
        Err(error) => Err(Failure::new(&error)),
    }
}

/// Runs asynchronous work; what is left of it when it ends gets a moment to end too.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::told(format!("cannot start the runtime: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(done)
}

fn read_password() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn finish(stdout: &mut dyn std::io::Write, text: &str) -> Result<u8, Failure> {
    // A reader that went away misses nothing.
    let _ = stdout.write_all(text.as_bytes());
    Ok(0)
}

/// What clap has to say: help goes to standard output, complaints to standard error.
fn explain(error: &clap::Error) -> ExitCode {
    // There is nobody to tell that nobody listens.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::from(UNUSABLE)
    } else {
        ExitCode::SUCCESS
    }
}

fn tell(failure: &Failure, environment: &Environment) {
    let refused = environment.text("NO_COLOR").is_some();
    let color =
        !refused && (environment.terminals.stderr || environment.text("GITLAB_CI").is_some());
    let _ = std::io::stderr().write_all(failure.render(color).as_bytes());
}
