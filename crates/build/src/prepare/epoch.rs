//! `SOURCE_DATE_EPOCH` as something that has a time: a context, or the remote source of a stage.

use std::path::Path;
use std::sync::Arc;

use yadokari_context::ContextKind;
use yadokari_plan::{Epoch, PlanErrorKind, Request, remote_of_stage};

use crate::error::{BuildError, BuildErrorKind};
use crate::prepare::inputs::{Inputs, LocalFiles};
use crate::request::BuildRequest;
use crate::services::Services;
use crate::step::remote::{Fetched, fetch};

/// The build arguments, with seconds where the epoch is the name of something.
///
/// What has no time leaves the build without an epoch: a directory of this machine, a server that does not say.
///
/// # Errors
///
/// If nothing goes by that name, or its source cannot be fetched.
pub(crate) async fn settled_arguments(
    inputs: &Inputs,
    wanted: Request,
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<Vec<(String, String)>, BuildError> {
    let dockerfile = &inputs.parsed.dockerfile;
    let Epoch::Of(name) = Epoch::asked(dockerfile, &wanted.build_args)? else {
        return Ok(wanted.build_args);
    };
    let seconds = if name == "context" {
        time_of_files(&inputs.context, services).await?
    } else if let Some(files) = inputs.named.get(&name) {
        time_of_files(files, services).await?
    } else if wanted.named.contains_key(&name) {
        return Err(BuildErrorKind::Plan(PlanErrorKind::Epoch(name)).into());
    } else {
        let remote = remote_of_stage(dockerfile, &wanted, &name)?;
        time_of_fetched(&fetch(&remote, request, services, scratch).await?)
    };
    Ok(Epoch::settled(dockerfile, &wanted.build_args, seconds))
}

/// What the source of a context says; for an archive without that, its newest entry.
async fn time_of_files(
    files: &Arc<LocalFiles>,
    services: &Services,
) -> Result<Option<i64>, BuildError> {
    let said = files.context().time();
    if said.is_some() || files.context().kind() == ContextKind::Directory {
        return Ok(said);
    }
    let listed = files.files(services.threads).await?;
    let times = listed.tree().nodes().map(|node| node.metadata().mtime);
    Ok(times.max().map(|newest| newest.seconds))
}

fn time_of_fetched(fetched: &Fetched) -> Option<i64> {
    match fetched {
        Fetched::File(file) => file.last_modified.map(|time| time.seconds),
        Fetched::Git { time, .. } => Some(*time),
    }
}
