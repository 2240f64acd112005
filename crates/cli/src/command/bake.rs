//! `bake`: builds several images, those that need others after them, and tells of every failure.

mod jobs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, join_all};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use yadokari_build::{Events, Services};
use yadokari_sandbox::Cancel;

pub use self::jobs::Jobs;

use super::Stdout;
use super::build::{check_places, facts};
use super::placeless::{Placeless, Remark};
use crate::bake::{self, Bake, BakeError, Surroundings};
use crate::console::{Console, Group};
use crate::convert::Job;
use crate::environment::Environment;
use crate::flags;
use crate::interrupt::{Interrupt, Told, exit_code};
use crate::report::{Failure, UNUSABLE};
use crate::services;

/// All that was asked for, understood.
#[derive(Debug)]
pub struct Plan {
    /// What files and overrides say.
    pub bake: Bake,
    /// The targets asked for.
    pub chosen: Vec<String>,
    /// They and those they need, each after what it needs.
    pub order: Vec<String>,
}

/// Reads the files and applies the overrides.
///
/// # Errors
///
/// A file, an override or a name that cannot be used.
pub fn plan(flags: &flags::Bake, environment: &Environment) -> Result<Plan, Failure> {
    let told = |error: BakeError| Failure {
        hint: error.hint(),
        code: UNUSABLE,
        ..Failure::new(&error)
    };
    let mut bake = bake::read(&flags.file, &surroundings(flags, environment)).map_err(told)?;
    bake.set(&flags.set).map_err(told)?;
    let chosen = bake.select(&flags.targets).map_err(told)?;
    let order = bake.in_order(&chosen).map_err(told)?;
    if flags.push.is_some_and(|push| push.0) {
        for (_, target) in bake
            .targets
            .iter_mut()
            .filter(|(name, target)| chosen.contains(name) && !target.tags.is_empty())
        {
            // What has no name is built all the same, to see whether it can be.
            target.output = vec!["type=registry".to_owned()];
        }
    }
    Ok(Plan {
        bake,
        chosen,
        order,
    })
}

fn surroundings(flags: &flags::Bake, environment: &Environment) -> Surroundings {
    let mut profiles = flags.profile.clone();
    let named = environment.text("COMPOSE_PROFILES").unwrap_or_default();
    profiles.extend(named.split(',').map(str::to_owned));
    let variables = environment.variables();
    Surroundings {
        working: environment.directory.clone(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        profiles,
    }
}

impl Plan {
    /// The plan as `docker buildx bake --print` shows it.
    pub fn print(&self, flags: &flags::Bake) -> String {
        let asked = match flags.targets.as_slice() {
            [] => &self.chosen,
            names => names,
        };
        self.bake.print(&self.order, asked)
    }
}

/// What became of one target.
type Outcome = Result<Value, Arc<Failure>>;
type Waiting<'a> = Shared<BoxFuture<'a, Outcome>>;

/// Builds all of them and tells of all failures. The exit code is that of the first one.
///
/// # Errors
///
/// The interrupt handler or the services cannot be set up.
pub async fn run(
    jobs: &Jobs,
    flags: &flags::Bake,
    environment: &Environment,
    console: &Arc<Console>,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let Some(first) = jobs.jobs.first() else {
        return Ok(0);
    };
    if let Some(path) = &flags.metadata_file {
        yadokari_build::check_file(&environment.directory.join(path))
            .map_err(|error| Failure::from(&error))?;
    }
    let started = Instant::now();
    let mut interrupt = Interrupt::listen().map_err(|error| Failure::new(&error))?;
    services::wait_for_root(&first.job.request.state_dir, console, &mut interrupt).await?;
    let services = services::services(
        &first.job,
        environment,
        Arc::clone(console),
        Cancel::new(),
        true,
    )?;
    let cancels: Vec<Cancel> = jobs.jobs.iter().map(|_| Cancel::new()).collect();
    let mut stopped = None;
    let on_signal = |told: Told| {
        cancels.iter().for_each(Cancel::cancel);
        stopped = Some(exit_code(told.name()));
        console.notice(&told.to_string());
    };
    let work = build_all(jobs, &services, &cancels, console);
    let done = interrupt.guard(&services.cancel, on_signal, work).await;
    let outcomes = done.map_err(|interrupted| Failure::new(&interrupted))?;
    let code = tell(jobs, &outcomes, console, started);
    write_facts(jobs, &outcomes, flags, environment)?;
    if first.job.console.quiet {
        print_digests(&outcomes, stdout)?;
    }
    Ok(stopped.unwrap_or(code))
}

/// Starts all builds; each waits for those it has to come after.
async fn build_all(
    jobs: &Jobs,
    services: &Services,
    cancels: &[Cancel],
    console: &Arc<Console>,
) -> Vec<Outcome> {
    // In a container without namespaces a command takes over the root directory, so only one build can go on.
    let at_once = if services.runner.abilities().parallel {
        services.threads.max(2)
    } else {
        1
    };
    let slots = Arc::new(Semaphore::new(at_once));
    let group = Group::new(Arc::clone(console), jobs.scratch.path());
    let remark = jobs.nothing_is_kept().then(|| {
        let text = "the images go nowhere: add --push, or an output to the targets";
        Remark::new(text, console)
    });
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    for (index, named) in jobs.jobs.iter().enumerate() {
        let events: Arc<dyn Events> = Arc::new(group.build(&named.name, index));
        let services = Services {
            events: match &remark {
                Some(remark) => Placeless::new(events, remark),
                None => events,
            },
            cancel: cancels[index].clone(),
            ..services.clone()
        };
        let before: Vec<_> = named.after.iter().map(|at| waiting[*at].clone()).collect();
        let needed: Vec<_> = named
            .needs
            .iter()
            .map(|at| (jobs.jobs[*at].name.clone(), waiting[*at].clone()))
            .collect();
        let slots = Arc::clone(&slots);
        let work = async move {
            join_all(before).await;
            for (name, outcome) in needed {
                if outcome.await.is_err() {
                    return Err(Arc::new(Failure::told(format!(
                        "not built: `{name}`, which it reads, failed"
                    ))));
                }
            }
            let _slot = slots.acquire().await;
            build(&named.job, &services).await
        };
        waiting.push(work.boxed().shared());
    }
    join_all(waiting).await
}

async fn build(job: &Job, services: &Services) -> Outcome {
    check_places(job).map_err(Arc::new)?;
    let built = yadokari_build::build(&job.request, services).await;
    let built = built.map_err(|error| Arc::new(Failure::from(&error)))?;
    Ok(facts(job, &built))
}

/// The summary, then every failure. Gives the exit code.
fn tell(jobs: &Jobs, outcomes: &[Outcome], console: &Console, started: Instant) -> u8 {
    let failed: Vec<_> = jobs
        .jobs
        .iter()
        .zip(outcomes)
        .filter_map(|(named, outcome)| Some((named, outcome.as_ref().err()?)))
        .collect();
    if failed.is_empty() {
        console.summary(started.elapsed());
        return 0;
    }
    let built = outcomes.len() - failed.len();
    console.partial_summary(started.elapsed(), built, outcomes.len());
    console.close();
    for (named, failure) in &failed {
        console.failure(&Failure {
            message: format!("target `{}`: {}", named.name, failure.message),
            ..Failure::clone(failure)
        });
    }
    let failure = Failure::told(format!(
        "{} of {} targets failed, {built} built",
        failed.len(),
        outcomes.len()
    ));
    console.failure(&failure);
    failed[0].1.code
}

/// `--metadata-file`: the facts of each image under its target's name.
fn write_facts(
    jobs: &Jobs,
    outcomes: &[Outcome],
    flags: &flags::Bake,
    environment: &Environment,
) -> Result<(), Failure> {
    let Some(path) = &flags.metadata_file else {
        return Ok(());
    };
    let all: Map<String, Value> = jobs
        .jobs
        .iter()
        .zip(outcomes)
        .filter_map(|(named, outcome)| Some((named.name.clone(), outcome.as_ref().ok()?.clone())))
        .collect();
    let path = environment.directory.join(path);
    super::build::write(&path, &format!("{:#}\n", Value::Object(all)))
}

fn print_digests(outcomes: &[Outcome], stdout: &mut Stdout<'_>) -> Result<(), Failure> {
    let digests: BTreeMap<usize, &str> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(at, outcome)| {
            Some((
                at,
                outcome.as_ref().ok()?["containerimage.digest"].as_str()?,
            ))
        })
        .collect();
    let lines: String = digests
        .values()
        .map(|digest| format!("{digest}\n"))
        .collect();
    super::print(stdout, lines)
}
