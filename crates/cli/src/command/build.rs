//! `build`, `plan` and `lint`: the commands that read a Dockerfile.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use yadokari_build::{Built, Services};
use yadokari_sandbox::Cancel;

use super::Stdout;
use crate::console::Console;
use crate::convert::{Action, Job};
use crate::environment::Environment;
use crate::interrupt::Interrupt;
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
    let interrupt = Interrupt::listen().map_err(|error| Failure::new(&error))?;
    let services = services::services(
        job,
        environment,
        Arc::clone(console),
        cancel.clone(),
        job.action == Action::Build,
    )?;
    let done = interrupt
        .guard(&cancel, act(job, &services, console, stdout))
        .await;
    done.unwrap_or_else(|interrupted| Err(Failure::new(&interrupted)))
}

async fn act(
    job: &Job,
    services: &Services,
    console: &Console,
    stdout: &mut Stdout<'_>,
) -> Result<(), Failure> {
    match job.action {
        Action::Build => build(job, services, console, stdout).await,
        Action::Plan => plan(job, services, stdout).await,
        Action::Check => check(job, services, console).await,
    }
}

async fn build(
    job: &Job,
    services: &Services,
    console: &Console,
    stdout: &mut Stdout<'_>,
) -> Result<(), Failure> {
    if job.print_plan {
        plan(job, services, stdout).await?;
    }
    let started = Instant::now();
    let built = yadokari_build::build(&job.request, services)
        .await
        .map_err(|error| Failure::from(&error))?;
    write_facts(job, &built)?;
    console.summary(started.elapsed());
    if job.console.quiet {
        print(stdout, &format!("{}\n", built.digest))?;
    }
    Ok(())
}

async fn plan(job: &Job, services: &Services, stdout: &mut Stdout<'_>) -> Result<(), Failure> {
    let planned = yadokari_build::plan(&job.request, services)
        .await
        .map_err(|error| Failure::from(&error))?;
    print(stdout, &planned.to_string())
}

async fn check(job: &Job, services: &Services, console: &Console) -> Result<(), Failure> {
    let checked = yadokari_build::check(&job.request, services)
        .await
        .map_err(|error| Failure::from(&error))?;
    checked.warnings.iter().for_each(|warning| {
        console.lint(warning);
        console.quote(&Excerpt::cut(&checked.name, &checked.bytes, warning.span));
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
    print(stdout, &format!("{:#}\n", json!(warnings)))?;
    Ok(if warnings.is_empty() { 0 } else { FAILED })
}

fn write_facts(job: &Job, built: &Built) -> Result<(), Failure> {
    if let Some(path) = &job.facts.iidfile {
        write(path, &built.config.to_string())?;
    }
    let Some(path) = &job.facts.metadata else {
        return Ok(());
    };
    let names: Vec<_> = job
        .request
        .outputs
        .destinations
        .iter()
        .map(ToString::to_string)
        .collect();
    let facts = json!({"containerimage.digest": built.digest.to_string(), "containerimage.config.digest": built.config.to_string(), "image.name": names.join(",")});
    write(path, &format!("{facts:#}\n"))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::told(format!("cannot write {}", path.display()))
    })
}

fn print(stdout: &mut Stdout<'_>, text: &str) -> Result<(), Failure> {
    super::ignore_broken_pipe(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}
