//! What the flags and variables mean: one conversion into a [`Job`]. Nothing later sees a flag.

mod cache;
mod cache_mounts;
mod compression;
mod console;
mod contexts;
mod labels;
mod names;
mod output_spec;
mod outputs;
mod platforms;
mod refused;
pub mod registry;
mod run;
mod secrets;
mod templates;
mod unneeded;
mod usage;

use std::path::{Path, PathBuf};

use yadokari_build::{BuildRequest, Compat, SnapshotMethod, SnapshotRequest};
use yadokari_image::Platform;
use yadokari_layer::Limits;

pub use console::{ConsoleSettings, LogFormat, Verbosity, console_of};
pub use names::target;
pub use registry::RegistrySettings;
pub use usage::UsageError;

use crate::environment::Environment;
use crate::flags::commands::Build;
use crate::flags::go::{Size, Switch};
use crate::flags::place::{CompatFlag, IsolationFlag, PlaceFlags, SnapshotFlag};
use crate::flags::{BuildFlags, Style};

/// One build as it was asked for, with all that surrounds it.
#[derive(Debug, Clone)]
pub struct Job {
    /// What to build.
    pub request: BuildRequest,
    /// How registries are reached.
    pub registry: RegistrySettings,
    /// How a RUN is kept apart.
    pub isolation: IsolationFlag,
    /// What is done with the request.
    pub action: Action,
    /// The user says that this is a container.
    pub force: bool,
    /// Print the plan before building.
    pub print_plan: bool,
    /// What is told, and how.
    pub console: ConsoleSettings,
    /// File that gets a trace of the work.
    pub trace: Option<PathBuf>,
    /// Files that get facts about the result.
    pub facts: FactFiles,
    /// The result goes nowhere, and nobody said that it should.
    pub placeless: bool,
    /// Remarks on the command line, one line each.
    pub notices: Vec<String>,
}

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Build and publish.
    Build,
    /// Print the plan.
    Plan,
    /// Print the plan, and why steps have to be done.
    Explain,
    /// Check the Dockerfile.
    Check,
}

/// Files that docker's command line can ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FactFiles {
    /// Gets the image's id.
    pub iidfile: Option<PathBuf>,
    /// Gets facts as JSON.
    pub metadata: Option<PathBuf>,
}

/// Everything that the parts of the conversion look at.
#[derive(Clone, Copy)]
struct Given<'a> {
    flags: &'a BuildFlags,
    path: Option<&'a str>,
    style: Style,
    environment: &'a Environment,
}

/// Gives a build's command line its meaning.
///
/// # Errors
///
/// The first value or combination that cannot be used.
pub fn job(build: &Build, style: Style, environment: &Environment) -> Result<Job, UsageError> {
    let (build, remark) = templates::with_destinations(build, environment)?;
    let given = Given {
        flags: &build.flags,
        path: build.path.as_deref(),
        style,
        environment,
    };
    let mut notices = unneeded::notices(given);
    notices.extend(remark);
    let action = action(given)?;
    let request = request(given, action, &mut notices)?;
    let registry = registry::settings(&build.flags.kaniko.registry, environment)?;
    Ok(Job {
        registry: RegistrySettings {
            insecure_registries: outputs::insecure_hosts(given, registry.insecure_registries)?,
            ..registry
        },
        isolation: build.flags.place.isolation,
        action,
        force: is_on(given.flags.kaniko.force),
        print_plan: environment
            .text("KANIKO_PRINT_PLAN")
            .is_some_and(|value| value != "0" && value != "false"),
        console: console::settings(given)?,
        facts: FactFiles {
            iidfile: below(given, given.flags.docker.iidfile.as_deref()),
            metadata: below(given, given.flags.docker.metadata_file.as_deref()),
        },
        placeless: action == Action::Build && outputs::placeless(given, &request.outputs),
        request,
        trace: given.flags.docker.trace.clone(),
        notices,
    })
}

/// Reads only what a build's command line says of how it is told of.
///
/// # Errors
///
/// A value that means nothing.
pub fn console(
    build: &Build,
    style: Style,
    environment: &Environment,
) -> Result<ConsoleSettings, UsageError> {
    console::settings(Given {
        flags: &build.flags,
        path: build.path.as_deref(),
        style,
        environment,
    })
}

/// The Dockerfile as typed. Without one, docker takes the context's; kaniko looks for its default name as
/// for any other, in the working directory first.
fn dockerfile(given: Given<'_>) -> &str {
    let default = match given.style {
        Style::Kaniko => "Dockerfile",
        Style::Docker => "",
    };
    nonempty(given.flags.kaniko.dockerfile.as_deref()).unwrap_or(default)
}

fn request(
    given: Given<'_>,
    action: Action,
    notices: &mut Vec<String>,
) -> Result<BuildRequest, UsageError> {
    refused::refuse(given)?;
    let outputs = outputs::outputs(given, action, notices)?;
    let cache = cache::request(given, &outputs.outputs)?;
    let cache_mounts = cache_mounts::request(given, &cache, &outputs.outputs)?;
    let build_args = run::build_args(given);
    Ok(BuildRequest {
        contexts: contexts::contexts(given)?,
        dockerfile: dockerfile(given).to_owned(),
        dockerfile_name: None,
        targets: given
            .flags
            .kaniko
            .target
            .iter()
            .filter(|target| !target.is_empty())
            .cloned()
            .collect(),
        check: build_args
            .iter()
            .rfind(|(name, _)| name == "BUILDKIT_DOCKERFILE_CHECK")
            .map(|(_, value)| value.clone()),
        build_args,
        labels: labels::labels(given)?,
        annotations: outputs.annotations.image,
        platforms: outputs.platforms,
        host: Platform::host(),
        secrets: secrets::secrets(given)?,
        run: run::defaults(given)?,
        cache,
        cache_mounts,
        warmed: warmed(given),
        outputs: outputs.outputs,
        format: outputs.format,
        times: outputs.times,
        compat: compat(given.flags.place.compat),
        snapshot: snapshot(given),
        limits: limits(given),
        state_dir: state_dir(given),
    })
}

fn action(given: Given<'_>) -> Result<Action, UsageError> {
    let flags = given.flags;
    let called = match flags
        .docker
        .call
        .as_deref()
        .map(|call| call.split(',').next().unwrap_or(call))
    {
        None | Some("build" | "") => Action::Build,
        Some("check") => Action::Check,
        Some(_) => {
            return Err(UsageError::value(
                "call",
                flags.docker.call.as_deref(),
                "expected build or check",
            ));
        }
    };
    Ok(
        match (is_on(flags.docker.check), is_on(flags.kaniko.dryrun)) {
            (true, _) => Action::Check,
            (false, true) => Action::Plan,
            (false, false) => called,
        },
    )
}

fn compat(flag: CompatFlag) -> Compat {
    match flag {
        CompatFlag::Buildkit => Compat::Buildkit,
        CompatFlag::Kaniko => Compat::Kaniko,
    }
}

fn snapshot(given: Given<'_>) -> SnapshotRequest {
    SnapshotRequest {
        method: match given.flags.place.snapshot {
            SnapshotFlag::Auto => SnapshotMethod::Auto,
            SnapshotFlag::Overlay => SnapshotMethod::Overlay,
            SnapshotFlag::Scan => SnapshotMethod::Scan,
        },
        single: is_on(given.flags.kaniko.single_snapshot) || is_on(given.flags.classic.squash),
        ignore_paths: given.flags.kaniko.ignore_path.clone(),
    }
}

/// Reads `--max-layer-size` and `--max-layer-entries`.
fn limits(given: Given<'_>) -> Limits {
    let PlaceFlags {
        max_layer_size,
        max_layer_entries,
        ..
    } = given.flags.place;
    let usual = Limits::default();
    Limits {
        unpacked_bytes: max_layer_size.map_or(usual.unpacked_bytes, |Size(bytes)| bytes),
        entries: max_layer_entries.unwrap_or(usual.entries),
        ..usual
    }
}

fn state_dir(given: Given<'_>) -> PathBuf {
    let PlaceFlags { state_dir, .. } = &given.flags.place;
    let chosen = state_dir
        .clone()
        .or_else(|| given.flags.kaniko.kaniko_dir.clone());
    let from_environment = || {
        given
            .environment
            .path("YADOKARI_DIR")
            .or_else(|| given.environment.path("KANIKO_DIR"))
    };
    let dir = chosen
        .or_else(from_environment)
        .unwrap_or_else(|| given.environment.default_state_dir());
    given.environment.directory.join(dir)
}

/// The directory that `warmer` fills: the one that is named, or kaniko's in kaniko's style.
fn warmed(given: Given<'_>) -> Option<PathBuf> {
    let usual = (given.style == Style::Kaniko).then(|| PathBuf::from("/cache"));
    below(given, given.flags.kaniko.cache_dir.as_deref()).or(usual)
}

/// A path that was given, below the working directory.
fn below(given: Given<'_>, path: Option<&Path>) -> Option<PathBuf> {
    let path = path.filter(|path| !path.as_os_str().is_empty())?;
    Some(given.environment.directory.join(path))
}

fn is_on(switch: Option<Switch>) -> bool {
    switch == Some(Switch(true))
}

/// A switch that may also be set by a variable; the flag wins.
///
/// A variable with another value than a boolean counts as unset, as it does in kaniko.
fn is_on_or_variable(switch: Option<Switch>, environment: &Environment, variable: &str) -> bool {
    is_on(switch.or_else(|| environment.text(variable)?.parse().ok()))
}

fn nonempty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
