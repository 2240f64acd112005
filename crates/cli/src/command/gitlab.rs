//! `gitlab tags`: the names that a pipeline's image should get.

use serde_json::json;

use super::Stdout;
use crate::console::Console;
use crate::environment::Environment;
use crate::flags::gitlab::Tags;
use crate::gitlab::{Pipeline, expand};
use crate::report::{Failure, UNUSABLE};

/// Prints a name a line. That there is none is told.
///
/// # Errors
///
/// A template that cannot be used, or nothing that says the image's name.
pub fn tags(
    tags: &Tags,
    environment: &Environment,
    console: &Console,
    stdout: &mut Stdout<'_>,
) -> Result<u8, Failure> {
    let pipeline = Pipeline::of(environment);
    let mut names = Vec::new();
    for template in templates(tags, environment)? {
        let made = expand(&template, &pipeline).map_err(|error| Failure {
            code: UNUSABLE,
            ..Failure::told(format!("--template: `{template}`: {error}"))
        })?;
        names.extend(made);
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    if names.is_empty() {
        console.notice("no template has a value in this pipeline, so there is no name");
    }
    let text = if tags.json {
        format!("{:#}\n", json!(names))
    } else {
        names.iter().map(|name| format!("{name}\n")).collect()
    };
    super::print(stdout, text)?;
    Ok(0)
}

fn templates(tags: &Tags, environment: &Environment) -> Result<Vec<String>, Failure> {
    if !tags.template.is_empty() {
        return Ok(tags.template.clone());
    }
    let image = tags
        .image
        .as_deref()
        .or(environment.text("CI_REGISTRY_IMAGE"));
    let image = image.ok_or_else(|| {
        Failure {
            code: UNUSABLE,
            ..Failure::told("nothing says the image's name: CI_REGISTRY_IMAGE is not set")
        }
        .with_hint("name it with --image REGISTRY/REPOSITORY")
    })?;
    Ok(vec![format!("{image}:{{auto}}")])
}
