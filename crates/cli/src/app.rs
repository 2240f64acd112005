//! From the command line to the exit code.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::DumpableBehavior;
use tokio::runtime::Runtime;
use tracing::Instrument as _;
use yadokari_sandbox::{IdMap, UserNamespace, UserNamespaceError};

use crate::command::{self, Stdout, login, print, printed};
use crate::console::{Console, Screen};
use crate::convert::{self, Action, ConsoleSettings, Job, UsageError};
use crate::environment::Environment;
use crate::flags::commands::Build;
use crate::flags::gitlab::GitlabCommand;
use crate::flags::images::{Index, LogFlags};
use crate::flags::{Command, Invocation, Login, Style};
use crate::images::Task;
use crate::report::{Failure, UNUSABLE};
use crate::services::SystemClock;
use crate::trace::{Listener, Trace};
use crate::{flags, logging};

/// Runs the program. Starts threads only after everything that needs a process with one thread is done.
pub fn run(environment: &Environment) -> ExitCode {
    let (settings, outcome) = match flags::parse(environment) {
        Ok(invocation) => {
            let settings = early_settings(&invocation, environment);
            (settings, dispatch(invocation, environment))
        }
        Err(error) => (ConsoleSettings::of(environment), explain(&error)),
    };
    ExitCode::from(match outcome {
        Ok(code) => code,
        Err(failure) => told(&failure, &console_of(settings)),
    })
}

/// How a failure is told that comes before there is a console, or from a command that has none.
fn early_settings(invocation: &Invocation, environment: &Environment) -> ConsoleSettings {
    let Invocation::Command(command, style) = invocation else {
        return ConsoleSettings::of(environment);
    };
    let build = match command {
        Command::Build(build) => Some(&**build),
        Command::Plan(plan) => Some(&plan.build),
        Command::Lint(lint) => Some(&lint.build),
        _ => None,
    };
    let asked = build.map(|build| convert::console(build, *style, environment));
    // Settings that cannot be used are themselves told of.
    let asked = asked.and_then(Result::ok);
    asked.unwrap_or_else(|| ConsoleSettings::of(environment))
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
        Command::Bake(bake) => run_bake(&bake, environment),
        Command::Plan(plan) => run_job(
            &Job {
                action: if plan.explain {
                    Action::Explain
                } else {
                    Action::Plan
                },
                ..job(&plan.build, style, environment)?
            },
            environment,
        ),
        Command::Cache(cache) => {
            // What builds left may belong to other ids of this user. Where they cannot be had,
            // removing such files says so.
            drop(become_root());
            let done = command::cache::run(&cache, environment, stdout);
            runtime()?.block_on(done)
        }
        Command::Lint(lint) => {
            let job = Job {
                action: Action::Check,
                // They are about where an image goes, and there will be none.
                notices: Vec::new(),
                ..job(
                    &command::lint::of_file(&lint.build, environment),
                    style,
                    environment,
                )?
            };
            if lint.json {
                lint_json(&job, environment)
            } else {
                run_job(&job, environment)
            }
        }
        Command::Push(push) => run_task(&Task::Push(push), environment),
        Command::Copy(copy) => run_task(&Task::Copy(copy), environment),
        Command::Index(index) => match *index {
            Index::Create(create) => run_task(&Task::Index(Box::new(create)), environment),
        },
        Command::Inspect(inspect) => run_task(&Task::Inspect(inspect), environment),
        Command::Tags(tags) => run_task(&Task::Tags(tags), environment),
        Command::Cleanup(cleanup) => run_task(&Task::Cleanup(cleanup), environment),
        Command::Warm(warm) => run_task(&Task::Warm(warm), environment),
        Command::Login(login) => {
            let login = Login {
                // Kaniko's users log in where nothing can be reached, too.
                store_only: login.store_only || style == Style::Kaniko,
                ..*login
            };
            let told = runtime()?.block_on(login::run(&login, environment, &mut Person))?;
            finish(stdout, &told)
        }
        Command::Logout(logout) => {
            let done = login::logout(&logout, environment);
            finish(stdout, &runtime()?.block_on(done)?)
        }
        Command::Doctor(doctor) => {
            let standing = become_root();
            let done = command::doctor::run(&doctor, environment, &standing, stdout);
            runtime()?.block_on(done)
        }
        Command::Gitlab(gitlab) => match gitlab.command {
            GitlabCommand::Tags(tags) => {
                let settings = convert::console_of(&LogFlags::default(), environment);
                let settings = settings.map_err(|error| Failure::from(&error))?;
                let console = console(settings, Vec::new());
                command::gitlab::tags(&tags, environment, &console, stdout)
            }
        },
        Command::Completions(completions) => {
            command::completions::run(completions.shell, style, stdout)
        }
        Command::Man(man) => command::man::run(&man, environment, stdout),
        Command::Version => finish(stdout, &format!("yadokari {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// Moves images, until it is done or a signal comes.
fn run_task(task: &Task, environment: &Environment) -> Result<u8, Failure> {
    let console = console(task.console(environment)?, Vec::new());
    let done = runtime()?.block_on(task.until_signal(environment, &console));
    console.close();
    match done {
        Ok(text) => finish(&mut std::io::stdout(), &text),
        Err(failure) => Ok(told(&failure, &console)),
    }
}

fn job(build: &Build, style: Style, environment: &Environment) -> Result<Job, Failure> {
    convert::job(build, style, environment).map_err(|error| Failure::from(&error))
}

fn run_job(job: &Job, environment: &Environment) -> Result<u8, Failure> {
    let standing = if job.action == Action::Build {
        hide(environment)?;
        Some(become_root())
    } else {
        None
    };
    let runtime = runtime()?;
    let trace = Trace::open(job, environment, runtime.handle())?;
    let console = console(settings_of(job), trace.listeners());
    let remark = standing.as_ref().and_then(remark);
    remark.iter().for_each(|remark| console.notice(remark));
    let one_owner = matches!(standing, Some(Ok(IdMap::Single { .. })));
    let stdout = &mut std::io::stdout();
    let work = command::build::run(job, environment, &console, stdout);
    let done = runtime.block_on(work.instrument(trace.root(environment)));
    trace.finish(&console);
    console.close();
    runtime.shutdown_timeout(PATIENCE);
    match done.map_err(|failure| hinted(failure, one_owner)) {
        Ok(()) => Ok(0),
        Err(failure) => Ok(told(&failure, &console)),
    }
}

fn run_bake(flags: &flags::Bake, environment: &Environment) -> Result<u8, Failure> {
    let plan = command::bake::plan(flags, environment)?;
    let stdout = &mut std::io::stdout();
    if flags.print {
        return finish(stdout, &plan.print(flags));
    }
    let jobs = command::bake::Jobs::new(&plan, flags, environment)?;
    let Some(settings) = jobs.console() else {
        return Err(Failure::told(
            "no target is described, so there is nothing to build",
        ));
    };
    hide(environment)?;
    let standing = become_root();
    let runtime = runtime()?;
    let console = console(settings, Vec::new());
    remark(&standing)
        .iter()
        .for_each(|remark| console.notice(remark));
    let work = command::bake::run(&jobs, flags, environment, &console, stdout);
    let done = runtime.block_on(work);
    console.close();
    runtime.shutdown_timeout(PATIENCE);
    Ok(done.unwrap_or_else(|failure| told(&failure, &console)))
}

/// What is only printed has no display above it that would stay.
fn settings_of(job: &Job) -> ConsoleSettings {
    ConsoleSettings {
        live: job.console.live && job.action == Action::Build,
        ..job.console
    }
}

/// A step that fails where all files have one owner may well have wanted a second one.
fn hinted(failure: Failure, one_owner: bool) -> Failure {
    if !one_owner || failure.excerpt.is_none() {
        return failure;
    }
    let owners = "this user has a single id, so nothing can get a second owner: install the package `uidmap`, \
         and add a line for this user to /etc/subuid and /etc/subgid";
    let hint = match &failure.hint {
        Some(hint) => format!("{hint}\n{owners}"),
        None => owners.to_owned(),
    };
    failure.with_hint(hint)
}

fn lint_json(job: &Job, environment: &Environment) -> Result<u8, Failure> {
    let console = console(settings_of(job), Vec::new());
    let stdout = &mut std::io::stdout();
    let runtime = runtime()?;
    let work = command::build::lint_json(job, environment, &console, stdout);
    let done = runtime.block_on(work);
    Ok(done.unwrap_or_else(|failure| told(&failure, &console)))
}

fn console(settings: ConsoleSettings, listeners: Vec<Listener>) -> Arc<Console> {
    let screen = settings.live.then(Screen::of_standard_error);
    logging::start(settings, listeners, screen.as_ref());
    Arc::new(match screen {
        Some(screen) => Console::on_screen(settings, Arc::new(SystemClock), screen),
        None => console_of(settings),
    })
}

/// A console without a display.
fn console_of(settings: ConsoleSettings) -> Console {
    Console::new(settings, Arc::new(SystemClock), Box::new(std::io::stderr()))
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
fn become_root() -> Result<IdMap, UserNamespaceError> {
    yadokari_sandbox::enter_user_namespace(&UserNamespace::default())
}

/// What cannot be done without more ids, or without being user 0 at all.
fn remark(standing: &Result<IdMap, UserNamespaceError>) -> Option<String> {
    match standing {
        Ok(IdMap::Single { reason }) => Some(format!("every file has one owner here: {reason}")),
        Ok(_) => None,
        Err(error) => Some(format!("no RUN can run: {error}")),
    }
}

/// How long work that is left over when a command ends may take to end too.
const PATIENCE: Duration = Duration::from_secs(5);

fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::told(format!("cannot start the runtime: {error}")))
}

/// Whoever sits at the terminal, or writes to standard input.
struct Person;

impl login::Prompt for Person {
    fn read_all(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn ask(&mut self, question: &str) -> std::io::Result<String> {
        std::io::stderr().write_all(question.as_bytes())?;
        let mut text = String::new();
        std::io::stdin().read_line(&mut text)?;
        Ok(text.trim_end_matches(['\n', '\r']).to_owned())
    }

    fn ask_secret(&mut self, question: &str) -> std::io::Result<String> {
        rpassword::prompt_password(question)
    }
}

fn finish(stdout: &mut Stdout<'_>, text: &str) -> Result<u8, Failure> {
    print(stdout, text)?;
    Ok(0)
}

/// What clap has to say: help goes to standard output, complaints to standard error.
fn explain(error: &clap::Error) -> Result<u8, Failure> {
    let written = error.print();
    if error.use_stderr() {
        // There is nobody to tell that nobody listens.
        return Ok(UNUSABLE);
    }
    printed(written.and_then(|()| std::io::stdout().flush()))?;
    Ok(0)
}

/// Tells a failure as everything else was told. Gives the exit code.
fn told(failure: &Failure, console: &Console) -> u8 {
    console.failure(failure);
    failure.code
}
