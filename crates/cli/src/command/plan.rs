//! `plan`: what a build would do, and with `--explain` why.

use yadokari_build::Services;

use super::{Stdout, print};
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
    print(stdout, planned.to_string())
}
