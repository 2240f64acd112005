//! The builds of a plan: each target's command line, read as any other.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use yadokari_build::{CacheLocation, NoCache};

use super::Plan;
use crate::bake::{BakeError, Places, Target, layout_output};
use crate::convert::{self, ConsoleSettings, Job, UsageError};
use crate::environment::Environment;
use crate::flags::commands::Build;
use crate::flags::{self, Command, Invocation, Style};
use crate::report::{Failure, UNUSABLE};

/// The builds of a plan, as jobs.
#[derive(Debug)]
pub struct Jobs {
    pub(super) jobs: Vec<Named>,
    /// Dockerfiles that stood in descriptions, and images that others read.
    pub(super) scratch: TempDir,
}

/// One of the builds.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) job: Job,
    /// Indices of the jobs that have to end first, well or not.
    pub(super) after: Vec<usize>,
    /// Indices of the jobs whose images it reads.
    pub(super) needs: Vec<usize>,
}

impl Jobs {
    /// Gives every target's command line its meaning.
    ///
    /// # Errors
    ///
    /// A target that asks for what cannot be done, or a scratch directory that cannot be made.
    pub fn new(
        plan: &Plan,
        flags: &flags::Bake,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let scratch = TempDir::with_prefix("yadokari-bake-").map_err(|error| {
            Failure::told(format!("cannot make a temporary directory: {error}"))
        })?;
        let mut jobs: Vec<Named> = Vec::new();
        for name in &plan.order {
            let target = &plan.bake.targets[name];
            let job = job(plan, name, flags, environment, scratch.path())?;
            let find = |wanted: &str| jobs.iter().position(|other| other.name == wanted);
            let needs: Vec<usize> = target.needs().filter_map(find).collect();
            let mut after = needs.clone();
            // Targets of the same files follow each other: the later ones find the stages of the earlier ones cached.
            after.extend(
                jobs.iter()
                    .rposition(|other| plan.bake.targets[&other.name].recipe() == target.recipe()),
            );
            jobs.push(Named {
                name: name.clone(),
                job,
                after,
                needs,
            });
        }
        let mut jobs = Self { jobs, scratch };
        jobs.share_cache();
        Ok(jobs)
    }

    /// How all of them are told of.
    pub fn console(&self) -> Option<ConsoleSettings> {
        self.jobs.first().map(|named| named.job.console)
    }

    /// Whether no image goes anywhere but to other targets, and nobody said that it should be so.
    pub(super) fn nothing_is_kept(&self) -> bool {
        let is_read = |at: usize| self.jobs.iter().any(|other| other.needs.contains(&at));
        let mut jobs = self.jobs.iter().enumerate();
        jobs.all(|(at, named)| named.job.placeless || (is_read(at) && self.is_scratch(&named.job)))
    }

    fn is_scratch(&self, job: &Job) -> bool {
        let outputs = &job.request.outputs;
        let mut files = outputs.files.iter();
        !outputs.push
            && !outputs.load
            && files.all(|file| file.path.starts_with(self.scratch.path()))
    }

    /// Where no cache was asked for, one that lasts as long as this command carries stages from target to target.
    fn share_cache(&mut self) {
        for named in &mut self.jobs {
            let cache = &mut named.job.request.cache;
            if cache.enabled || cache.no_cache != NoCache::Never {
                continue;
            }
            let directory = self.scratch.path().join("layers");
            cache.enabled = true;
            cache.push = true;
            cache.repository = Some(CacheLocation::Directory(directory));
        }
    }
}

/// The command line of one target, read as any other.
fn job(
    plan: &Plan,
    name: &str,
    flags: &flags::Bake,
    environment: &Environment,
    scratch: &Path,
) -> Result<Job, Failure> {
    let target = &plan.bake.targets[name];
    refuse_missing_context(target, name, environment)?;
    let mut arguments = vec!["build".to_owned()];
    let mut own = target.arguments(Places {
        inline: inline(target, name, scratch)?.as_deref(),
        images: scratch,
    });
    let context = own.pop();
    arguments.extend(own);
    let is_read = plan.order.iter().any(|other| {
        plan.bake.targets[other]
            .needs()
            .any(|needed| needed == name)
    });
    if is_read {
        arguments.push(format!("--output={}", layout_output(&scratch.join(name))));
    }
    arguments.extend(shared_flags(flags));
    arguments.extend(context);
    let wrong = |reason: String| Failure {
        code: UNUSABLE,
        ..Failure::told(format!("target `{name}`: {reason}"))
    };
    let environment = environment.with_command(&arguments);
    match flags::parse(&environment) {
        Ok(Invocation::Command(Command::Build(build), _)) => converted(&build, &environment)
            .map(|job| named(job, target, &environment))
            .map_err(|error| Failure {
                hint: error.hint(),
                ..wrong(error.to_string())
            }),
        Ok(_) => Err(wrong("is no build".to_owned())),
        Err(error) => Err(wrong(error.to_string().trim_end().to_owned())),
    }
}

/// A context that is not there is told with the line that names it, before other targets are built.
fn refuse_missing_context(
    target: &Target,
    name: &str,
    environment: &Environment,
) -> Result<(), Failure> {
    let missing = |path: &&Path| !environment.directory.join(path).is_dir();
    if target.local_context().filter(missing).is_none() {
        return Ok(());
    }
    let error = BakeError::NoContext {
        place: target.context_in.clone(),
        context: target.context.clone(),
        target: name.to_owned(),
    };
    Err(Failure {
        hint: error.hint(),
        code: UNUSABLE,
        ..Failure::new(&error)
    })
}

/// What is said of a Dockerfile names it with its directory, since there are several; one that stands in a description has
/// the description's name.
fn named(mut job: Job, target: &Target, environment: &Environment) -> Job {
    let is_there = |path: &PathBuf| environment.directory.join(path).is_file();
    let file = target.local_dockerfile().filter(is_there);
    job.request.dockerfile_name = match &target.inline {
        Some(_) => Some(target.inline_in.clone()),
        None => file.map(|path| path.display().to_string()),
    };
    job
}

fn converted(build: &Build, environment: &Environment) -> Result<Job, UsageError> {
    convert::job(build, Style::Docker, environment)
}

/// Flags of the command that every target's build gets.
fn shared_flags(flags: &flags::Bake) -> Vec<String> {
    let mut out = Vec::new();
    let switches = [("no-cache", flags.no_cache), ("pull", flags.pull)];
    for (name, switch) in switches {
        out.extend(switch.map(|switch| format!("--{name}={}", switch.0)));
    }
    out.extend(flags.allow.iter().map(|right| format!("--allow={right}")));
    out.extend(
        flags
            .progress
            .iter()
            .map(|mode| format!("--progress={mode}")),
    );
    out.extend(flags.build.iter().cloned());
    out
}

/// Writes a Dockerfile that stands in the description where a build can read it.
fn inline(target: &Target, name: &str, scratch: &Path) -> Result<Option<PathBuf>, Failure> {
    let Some(text) = &target.inline else {
        return Ok(None);
    };
    let path = scratch.join(format!("{name}.Dockerfile"));
    match std::fs::write(&path, text) {
        Ok(()) => Ok(Some(path)),
        Err(source) => Err(Failure::new(&BakeError::Inline { path, source })),
    }
}
