//! The implementations that a build uses, chosen and joined.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use yadokari_build::{Clock, Services};
use yadokari_context::GitLibrary;
use yadokari_registry::Options;
use yadokari_sandbox::{Cancel, Isolation, Probe, Recovered, Runner, Sandbox, Settings};

use crate::console::Console;
use crate::convert::{Job, RegistrySettings};
use crate::environment::Environment;
use crate::flags::place::IsolationFlag;
use crate::report::Failure;

mod git;
pub mod registry;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the clock is read"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Makes what a build needs. A runner is only looked for when `runs` says that there may be a RUN to run.
///
/// # Errors
///
/// No isolation works here, the state directory cannot be used, or a certificate cannot be read.
pub fn services(
    job: &Job,
    environment: &Environment,
    console: Arc<Console>,
    cancel: Cancel,
    runs: bool,
) -> Result<Services, Failure> {
    prepare_state(&job.request.state_dir, environment, &console)?;
    let settings = sandbox_settings(&job.request.state_dir, environment, job.force);
    let isolation = if runs {
        isolation(&settings, job.isolation)?
    } else {
        Isolation::Chroot
    };
    let runner: Arc<dyn Runner> = Arc::new(Sandbox::new(isolation, settings));
    let options = options(&job.registry, environment)?;
    let downloads = |verify| {
        yadokari_registry::download_client(&options, verify).map_err(|error| Failure::new(&error))
    };
    let http = downloads(true)?;
    let library = GitLibrary::new(http.clone(), downloads(false)?);
    Ok(Services {
        http,
        git: git::tool(environment, library),
        registry: yadokari_registry::Client::new(options).map_err(|error| Failure::new(&error))?,
        runner,
        clock: Arc::new(SystemClock),
        events: console,
        cancel,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    })
}

fn options(settings: &RegistrySettings, environment: &Environment) -> Result<Options, Failure> {
    registry::options(settings, environment).map_err(|error| Failure::from(&error))
}

/// What the sandbox is told.
pub fn sandbox_settings(state_dir: &Path, environment: &Environment, force: bool) -> Settings {
    Settings {
        hints: environment.hints(force),
        ..Settings::new(state_dir)
    }
}

/// Makes the state directory, for this user alone, and undoes what a killed build left behind.
fn prepare_state(
    state_dir: &Path,
    environment: &Environment,
    console: &Console,
) -> Result<(), Failure> {
    let told = |error: std::io::Error| {
        let hint = format!(
            "choose another directory with --state-dir or YADOKARI_DIR (you are user {})",
            environment.user
        );
        Failure {
            causes: vec![error.to_string()],
            ..Failure::told(format!(
                "cannot make the state directory {}",
                state_dir.display()
            ))
        }
        .with_hint(hint)
    };
    std::fs::create_dir_all(state_dir).map_err(told)?;
    match yadokari_sandbox::recover(state_dir) {
        Ok(Recovered::Restored { .. }) => {
            console.notice("a build that was killed here had left its files in /; they are out of the way again");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(&error)),
    }
}

fn isolation(settings: &Settings, wanted: IsolationFlag) -> Result<Isolation, Failure> {
    let probe = yadokari_sandbox::probe(settings);
    let wanted = match wanted {
        IsolationFlag::Auto => return probe.best().ok_or_else(|| nothing_works(&probe)),
        IsolationFlag::Namespaces => Isolation::Namespaces,
        IsolationFlag::Rootswap => Isolation::Rootswap,
        IsolationFlag::Chroot => Isolation::Chroot,
    };
    match probe
        .of(wanted)
        .and_then(|attempt| attempt.obstacle.as_ref())
    {
        None => Ok(wanted),
        Some(obstacle) => Err(Failure {
            causes: vec![obstacle.reason.clone()],
            ..Failure::told(format!("--isolation {wanted} does not work here"))
        }
        .with_hint(obstacle.remedy.clone())),
    }
}

fn nothing_works(probe: &Probe) -> Failure {
    let obstacles = probe
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt.isolation, attempt.obstacle.as_ref()?)));
    let causes = obstacles
        .map(|(isolation, obstacle)| format!("{isolation}: {}", obstacle.reason))
        .collect();
    Failure {
        causes,
        ..Failure::told("no kind of isolation works here, so no RUN can run")
    }
    .with_hint("`yadokari doctor` says what each of them needs")
}
