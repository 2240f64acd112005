//! The implementations that a build uses, chosen and joined.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use yadokari_build::{Clock, Services};
use yadokari_context::{GitLibrary, ObjectStores, Web};
use yadokari_registry::Options;
use yadokari_sandbox::{Cancel, Isolation, Nowhere, Recovered, Runner, Sandbox, Settings};

use crate::console::Console;
use crate::convert::{Job, RegistrySettings};
use crate::environment::Environment;
use crate::flags::place::IsolationFlag;
use crate::interrupt::{Interrupt, Interrupted};
use crate::report::Failure;

mod engine;
mod git;
pub mod registry;
mod retries;

use retries::Retries;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        now()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the clock is read"
)]
fn now() -> SystemTime {
    SystemTime::now()
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
    let runner = if runs {
        runner(settings, job.isolation)?
    } else {
        Arc::new(Sandbox::new(Isolation::Chroot, settings))
    };
    let options = options(&job.registry, environment)?;
    let downloads = |verify| {
        yadokari_registry::download_client(&options, verify).map_err(|error| Failure::new(&error))
    };
    let http = downloads(true)?;
    let confidential = yadokari_registry::confidential_client(&options);
    let confidential = confidential.map_err(|error| Failure::new(&error))?;
    let patience = Arc::new(Retries(options.retry));
    let library = GitLibrary::new(http.clone(), downloads(false)?);
    let git = git::tool(environment, library).with_patience(patience.clone());
    let variables = environment
        .variables()
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Services {
        objects: ObjectStores::new(confidential, variables),
        http: Web::new(http, patience),
        git,
        registry: yadokari_registry::Client::new(options).map_err(|error| Failure::new(&error))?,
        engine: job
            .request
            .outputs
            .load
            .then(|| engine::engine(environment))
            .transpose()?,
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

/// Makes a directory that nobody else may enter. One that exists keeps its mode.
pub fn private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
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
    private_directory(state_dir).map_err(told)?;
    match yadokari_sandbox::recover(state_dir) {
        Ok(Recovered::Restored { .. }) => {
            console.notice("a build that was killed here had left its files in /; they are out of the way again");
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(&error)),
    }
}

/// Tells those who look closer what commands can be run in.
fn tell(probe: &yadokari_sandbox::Probe) {
    for attempt in &probe.attempts {
        let (isolation, overlay) = (attempt.isolation, attempt.overlay);
        match &attempt.obstacle {
            None => {
                tracing::debug!(%isolation, overlay, landlock = attempt.landlock, "isolation works");
            }
            Some(yadokari_sandbox::Obstacle { reason, .. }) => {
                tracing::debug!(%isolation, reason, "isolation does not work");
            }
        }
    }
}

/// Waits while another build runs a command in this container, in whose root all paths would be looked up.
///
/// # Errors
///
/// A signal came meanwhile.
pub async fn wait_for_root(
    state_dir: &Path,
    console: &Console,
    interrupt: &mut Interrupt,
) -> Result<(), Interrupted> {
    let mut told = false;
    while let Some(pid) = yadokari_sandbox::occupant(state_dir) {
        if !std::mem::replace(&mut told, true) {
            console.notice(&format!(
                "another build runs a command in place of this container's root (process {pid}); waiting for its end"
            ));
        }
        interrupt.unless(tokio::time::sleep(TICK)).await?;
    }
    Ok(())
}

/// How often it is looked whether another build's command has ended.
const TICK: Duration = Duration::from_millis(100);

/// The best that works, or what is wanted. Where nothing works, a build may still have no RUN.
fn runner(settings: Settings, wanted: IsolationFlag) -> Result<Arc<dyn Runner>, Failure> {
    let probe = yadokari_sandbox::probe(&settings);
    tell(&probe);
    let wanted = match wanted {
        IsolationFlag::Auto => {
            return Ok(match probe.best() {
                Some(best) => Arc::new(Sandbox::new(best, settings)),
                None => Arc::new(Nowhere::new(&probe)),
            });
        }
        IsolationFlag::Namespaces => Isolation::Namespaces,
        IsolationFlag::Rootswap => Isolation::Rootswap,
        IsolationFlag::Chroot => Isolation::Chroot,
    };
    match probe
        .of(wanted)
        .and_then(|attempt| attempt.obstacle.as_ref())
    {
        None => Ok(Arc::new(Sandbox::new(wanted, settings))),
        Some(obstacle) => Err(Failure {
            causes: vec![obstacle.reason.clone()],
            ..Failure::told(format!("--isolation {wanted} does not work here"))
        }
        .with_hint(obstacle.remedy.clone())),
    }
}
