//! `yadokari plan`: what a build would do, with the answers of the cache.

use std::collections::HashSet;
use std::fmt;

use yadokari_image::Platform;
use yadokari_plan::{Keys, Operation, Plan, Stage, Step};

use crate::caching::explain::Reasons;
use crate::error::BuildError;
use crate::prepare::inputs::Inputs;
use crate::prepare::schedule::Schedule;
use crate::prepare::{Purpose, prepare};
use crate::request::BuildRequest;
use crate::services::Services;
use crate::state::Scratch;

/// A plan that is not carried out.
#[derive(Debug)]
pub struct Planned {
    text: String,
}

/// Plans a build without carrying it out; the cache is asked.
///
/// # Errors
///
/// [`BuildError`] as [`crate::build()`] would give it before its first step.
pub async fn plan(request: &BuildRequest, services: &Services) -> Result<Planned, BuildError> {
    planned(request, services, Purpose::Show).await
}

/// Plans a build as [`plan`] does, and says of each step that has to be done what changed since the last build.
///
/// # Errors
///
/// As [`plan`].
pub async fn explain(request: &BuildRequest, services: &Services) -> Result<Planned, BuildError> {
    planned(request, services, Purpose::Explain).await
}

async fn planned(
    request: &BuildRequest,
    services: &Services,
    purpose: Purpose,
) -> Result<Planned, BuildError> {
    let scratch = Scratch::new(&request.state_dir)?;
    let inputs = Inputs::load(request, services, scratch.path()).await?;
    let platforms: Vec<Option<&Platform>> = match request.platforms.as_slice() {
        [] => vec![None],
        several => several.iter().map(Some).collect(),
    };
    let mut texts = Vec::new();
    for platform in platforms {
        let all = HashSet::new();
        let how = (purpose, &all);
        let prepared = prepare(request, services, &inputs, platform, scratch.path(), how).await;
        let prepared = prepared.map_err(|error| error.in_file(&inputs.file))?;
        texts.push(text(
            &prepared.resolved.plan,
            &prepared.keys,
            &prepared.schedule,
            &prepared.caching.reasons,
        ));
    }
    let text = texts.join("\n");
    Ok(Planned { text })
}

/// The stages of a plan with what becomes of each step, and why.
fn text(plan: &Plan, keys: &Keys, schedule: &Schedule, reasons: &Reasons) -> String {
    let mut text = String::new();
    for stage in &plan.stages {
        describe(&mut text, plan, stage);
        for (index, step) in stage.steps.iter().enumerate() {
            let key = keys.step(stage.id, index).map(|key| key.to_string());
            let fate = fate(schedule, stage, index, step);
            line(&mut text, fate, key.as_deref(), step);
            for reason in reasons.get(&(stage.id, index)).into_iter().flatten() {
                text.push_str(&format!("{:>28}because {reason}\n", ""));
            }
        }
    }
    text
}

fn describe(text: &mut String, plan: &Plan, stage: &Stage) {
    if !text.is_empty() {
        text.push('\n');
    }
    let target = if stage.id == plan.target {
        ", published"
    } else {
        ""
    };
    text.push_str(&format!(
        "{} ({}{target}): {}\n",
        stage.name, stage.platform, stage.title
    ));
}

/// What becomes of a step.
fn fate(schedule: &Schedule, stage: &Stage, index: usize, step: &Step) -> &'static str {
    if !schedule.needs(stage.id) {
        "skipped"
    } else if matches!(step.operation, Operation::Metadata) {
        "config"
    } else if schedule.is_cached(stage, index) {
        "cached"
    } else {
        "runs"
    }
}

/// A step with the first digits of its key, where it has one.
fn line(text: &mut String, fate: &str, key: Option<&str>, step: &Step) {
    let key = key.map_or("", |key| &key[..12]);
    let row = format!(
        "{:>5}  {fate:<7}  {key:<12}  {}",
        step.span.first_line, step.title
    );
    text.push_str(row.trim_end());
    text.push('\n');
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
