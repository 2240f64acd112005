//! `build` and `lint`: the commands that read a Dockerfile and act on it; `plan` runs through here too.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use yadokari_build::{Built, Services};
use yadokari_image::Digest;
use yadokari_sandbox::Cancel;

use super::placeless::{Placeless, Remark};
use super::{Stdout, print};
use crate::console::Console;
use crate::convert::{Action, FactFiles, Job};
use crate::environment::Environment;
use crate::interrupt::{Interrupt, Told, exit_code};
use crate::report::{Excerpt, FAILED, Failure};
use crate::services;

/// Does what the job says; warnings and progress go to the console, results to standard output and files.
///
/// # Errors
///
/// What stopped it.
pub async fn run(
    job: &Job,
    environment: &Environment,
    console: &Arc<Console>,
    stdout: &mut Stdout<'_>,
) -> Result<(), Failure> {
    job.notices.iter().for_each(|notice| console.notice(notice));
    let cancel = Cancel::new();
    let mut interrupt = Interrupt::listen().map_err(|error| Failure::new(&error))?;
    services::wait_for_root(&job.request.state_dir, console, &mut interrupt).await?;
    let services = services::services(
        job,
        environment,
        Arc::clone(console),
        cancel.clone(),
        job.action == Action::Build,
    )?;
    let stopped = Cell::new(None);
    let on_signal = |told: Told| {
        stopped.set(Some(exit_code(told.name())));
        console.notice(&told.to_string());
    };
    let done = interrupt
        .guard(&cancel, on_signal, act(job, &services, console, stdout))
        .await;
    let done = done.unwrap_or_else(|interrupted| Err(Failure::new(&interrupted)));
    done.map_err(|failure| Failure {
        code: stopped.get().unwrap_or(failure.code),
        ..failure
    })
}

async fn act(
    job: &Job,
    services: &Services,
    console: &Arc<Console>,
    stdout: &mut Stdout<'_>,
) -> Result<(), Failure> {
    match job.action {
        Action::Build => build(job, services, console, stdout).await,
        Action::Plan | Action::Explain => super::plan::show(job, services, stdout).await,
        Action::Check => check(job, services, console).await,
    }
}

async fn build(
    job: &Job,
    services: &Services,
    console: &Arc<Console>,
    stdout: &mut Stdout<'_>,
) -> Result<(), Failure> {
    if job.print_plan {
        super::plan::show(job, services, stdout).await?;
    }
    check_places(job)?;
    let started = Instant::now();
    let built = yadokari_build::build(&job.request, &watched(job, services, console))
        .await
        .map_err(|error| Failure::from(&error))?;
    write_facts(job, &built)?;
    console.summary(started.elapsed());
    if job.console.quiet {
        print(stdout, format!("{}\n", image_id(&built)))?;
    }
    Ok(())
}

/// The services of a build, which tells that its result goes nowhere if that is so.
fn watched(job: &Job, services: &Services, console: &Arc<Console>) -> Services {
    let mut services = services.clone();
    if job.placeless {
        let text = "the image goes nowhere: add --push, --load or an --output";
        let remark = Remark::new(text, console);
        services.events = Placeless::new(services.events, &remark);
    }
    services
}

/// Looks whether everything on this machine can be read and written that a build needs at its end or in the middle.
pub(super) fn check_places(job: &Job) -> Result<(), Failure> {
    let FactFiles { iidfile, metadata } = &job.facts;
    let mut facts = [iidfile, metadata].into_iter().flatten();
    yadokari_build::check_places(&job.request)
        .and_then(|()| facts.try_for_each(|path| yadokari_build::check_file(path)))
        .map_err(|error| Failure::from(&error))
}

async fn check(job: &Job, services: &Services, console: &Console) -> Result<(), Failure> {
    let checked = yadokari_build::check(&job.request, services)
        .await
        .map_err(|error| Failure::from(&error))?;
    checked.warnings.iter().for_each(|warning| {
        let excerpt = Excerpt::cut(&checked.name, &checked.bytes, warning.span);
        console.lint(warning, Some(&excerpt));
    });
    match checked.warnings.len() {
        0 => Ok(()),
        1 => Err(Failure::told("the Dockerfile has 1 warning")),
        count => Err(Failure::told(format!(
            "the Dockerfile has {count} warnings"
        ))),
    }
}

/// `lint --json`: the warnings as an array on standard output. Exit code 1 when there are any.
///
/// # Errors
///
/// The Dockerfile cannot be read or parsed.
pub async fn lint_json(
    job: &Job,
    environment: &Environment,
    console: &Arc<Console>,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let services = services::services(job, environment, Arc::clone(console), Cancel::new(), false)?;
    let checked = yadokari_build::check(&job.request, &services)
        .await
        .map_err(|error| Failure::from(&error))?;
    let warning = |warning: &yadokari_dockerfile::Warning| {
        json!({
            "rule": warning.rule.name(),
            "line": warning.span.first_line,
            "end": warning.span.last_line,
            "message": warning.message,
        })
    };
    let warnings: Vec<_> = checked.warnings.iter().map(warning).collect();
    print(stdout, format!("{:#}\n", json!(warnings)))?;
    Ok(if warnings.is_empty() { 0 } else { FAILED })
}

/// What docker calls an image by: the digest of its configuration, or of its index where there are several platforms.
fn image_id(built: &Built) -> Digest {
    built.config.unwrap_or(built.digest)
}

fn write_facts(job: &Job, built: &Built) -> Result<(), Failure> {
    if let Some(path) = &job.facts.iidfile {
        write(path, &image_id(built).to_string())?;
    }
    match &job.facts.metadata {
        Some(path) => write(path, &format!("{:#}", facts(job, built))),
        None => Ok(()),
    }
}

/// The facts that buildx writes of a build, under its names.
pub(super) fn facts(job: &Job, built: &Built) -> Value {
    let names = job.request.outputs.destinations.iter();
    let names: Vec<_> = names.map(ToString::to_string).collect();
    let mut facts = json!({
        "containerimage.descriptor": built.descriptor,
        "containerimage.digest": built.digest.to_string(),
    });
    if let Some(config) = built.config {
        facts["containerimage.config.digest"] = config.to_string().into();
    }
    if !names.is_empty() {
        facts["image.name"] = names.join(",").into();
    }
    facts
}

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    yadokari_store::write_atomically(path, text.as_bytes()).map_err(|error| Failure::new(&error))
}
