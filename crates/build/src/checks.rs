//! Checking a Dockerfile without building it.

use yadokari_dockerfile::lint::Warning;

use crate::drive::plan_request;
use crate::error::BuildError;
use crate::events::Event;
use crate::prepare::images::{self, Resolved};
use crate::prepare::inputs::Inputs;
use crate::request::BuildRequest;
use crate::services::Services;
use crate::state::Scratch;

/// A Dockerfile that was checked.
#[derive(Debug)]
pub struct Checked {
    /// What the build checks found, in the order of the file.
    pub warnings: Vec<Warning>,
    /// The file's name for messages.
    pub name: String,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Whether the file says that warnings count as errors, and there are some.
    pub failed: Option<yadokari_dockerfile::lint::Violations>,
}

/// Runs the build checks on all stages of a Dockerfile, or on those that the asked targets need.
///
/// Base images are resolved, because some checks ask about them; nothing is downloaded or run.
///
/// # Errors
///
/// [`BuildError`] if the Dockerfile cannot be read, parsed or evaluated.
pub async fn check(request: &BuildRequest, services: &Services) -> Result<Checked, BuildError> {
    let scratch = Scratch::new(&request.state_dir)?;
    let inputs = Inputs::load(request, services, scratch.path()).await?;
    let mut wanted = plan_request(request, &inputs, request.platforms.first());
    wanted.all_stages = wanted.targets.is_empty();
    let resolved = images::resolve(&inputs.parsed.dockerfile, &wanted, services).await;
    let warnings = sorted(&inputs, &resolved);
    if let Err(error) = resolved {
        services.events.on(Event::Source(&inputs.file));
        tell(services, &warnings);
        return Err(error.in_file(&inputs.file));
    }
    let failed = inputs.parsed.dockerfile.check.verdict(&warnings).err();
    Ok(Checked {
        warnings,
        name: inputs.file.name.clone(),
        bytes: inputs.file.bytes.clone(),
        failed,
    })
}

/// The warnings of parsing and planning that are wanted, in the order of the file; of planning that failed, those
/// that were found before.
pub(crate) fn sorted(inputs: &Inputs, planned: &Result<Resolved, BuildError>) -> Vec<Warning> {
    let planned = match planned {
        Ok(resolved) => resolved.plan.warnings.as_slice(),
        Err(error) => error.warnings(),
    };
    let all = inputs.parsed.warnings.iter().chain(planned).cloned();
    let mut kept = inputs.parsed.dockerfile.check.filter(all);
    kept.sort_by_key(|warning| warning.span.first_line);
    kept
}

/// Tells of warnings as they stand.
pub(crate) fn tell(services: &Services, warnings: &[Warning]) {
    for warning in warnings {
        services.events.on(Event::Lint(warning));
    }
}
