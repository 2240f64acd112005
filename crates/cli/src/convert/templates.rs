//! `--destination-template`: destinations that follow from GitLab's variables.

use std::borrow::Cow;

use super::UsageError;
use crate::environment::Environment;
use crate::flags::commands::Build;
use crate::flags::go::Switch;
use crate::gitlab::{Pipeline, expand};

/// The build with the templates' destinations among its own, and a remark if they came to nothing.
///
/// Templates that have no value here make no destination: a pipeline of a branch does not push what only a release has. When
/// nothing else is asked for either, the image is built and not pushed.
pub(super) fn with_destinations<'a>(
    build: &'a Build,
    environment: &Environment,
) -> Result<(Cow<'a, Build>, Option<String>), UsageError> {
    let templates = &build.flags.place.destination_template;
    if templates.is_empty() {
        return Ok((Cow::Borrowed(build), None));
    }
    let pipeline = Pipeline::of(environment);
    let mut build = build.clone();
    for template in templates {
        let names = expand(template, &pipeline).map_err(|error| {
            UsageError::value("destination-template", Some(template), error.to_string())
        })?;
        let destinations = &mut build.flags.kaniko.destination;
        let new: Vec<_> = names
            .into_iter()
            .filter(|name| !destinations.contains(name))
            .collect();
        destinations.extend(new);
    }
    let nothing = build.flags.kaniko.destination.is_empty();
    if nothing && build.flags.kaniko.no_push.is_none() {
        build.flags.kaniko.no_push = Some(Switch(true));
    }
    let remark = nothing.then(|| {
        "no --destination-template has a value in this pipeline, so the image is not pushed"
            .to_owned()
    });
    Ok((Cow::Owned(build), remark))
}
