//! `plan`: what a build would do, and with `--explain` why.

use yadokari_build::Services;

use super::{Stdout, ignore_broken_pipe};
use crate::convert::{Action, Job};
use crate::report::Failure;

/// Prints the plan of a job to standard output.
///
/// # Errors
///
/// What would stop the build before its first step, and a standard output that cannot be written to.
pub async fn show(job: &Job, services: &Services, stdout: &mut Stdout<'_>) -> Result<(), Failure> {
    let planned = match job.action {
        Action::Explain => yadokari_build::explain(&job.request, services).await,
        Action::Plan | Action::Build | Action::Check => {
            yadokari_build::plan(&job.request, services).await
        }
    };
    let planned = planned.map_err(|error| Failure::from(&error))?;
    let text = planned.to_string();
    ignore_broken_pipe(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}
