//! `yadokari plan`: what a build would do, with the answers of the cache.

use std::fmt;

use yadokari_image::Platform;
use yadokari_plan::{Operation, Plan, Stage, Step};

use crate::drive::prepare;
use crate::error::BuildError;
use crate::inputs::Inputs;
use crate::request::BuildRequest;
use crate::schedule::Schedule;
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
    let scratch = Scratch::new(&request.state_dir)?;
    let inputs = Inputs::load(request, services, scratch.path()).await?;
    let platforms: Vec<Option<&Platform>> = match request.platforms.as_slice() {
        [] => vec![None],
        several => several.iter().map(Some).collect(),
    };
    let mut text = String::new();
    for platform in platforms {
        let prepared = prepare(request, services, &inputs, platform, scratch.path()).await;
        let prepared = prepared.map_err(|error| error.in_file(&inputs.file))?;
        let plan = &prepared.resolved.plan;
        let schedule = Schedule::new(plan, &|step| prepared.hits.contains_key(&step), false);
        for stage in &plan.stages {
            describe(&mut text, plan, stage);
            for (index, step) in stage.steps.iter().enumerate() {
                let key = prepared
                    .keys
                    .step(stage.id, index)
                    .map(|key| key.to_string());
                let fate = fate(&schedule, stage, index, step);
                line(&mut text, fate, key.as_deref(), step);
            }
        }
    }
    Ok(Planned { text })
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
