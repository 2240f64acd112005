//! WORKDIR: a directory that has to exist.

use std::sync::Arc;

use yadokari_dockerfile::value::owner::Owner as OwnerWords;
use yadokari_plan::Workdir;
use yadokari_tree::{Timestamp, Tree, diff};

use super::{At, Made, accounts};
use crate::copy::{CopyFailure, Origins, Owner, Placement, Rules};
use crate::error::BuildError;
use crate::stage::files::StageFiles;
use crate::stage::pack::Sources;
use crate::time::timestamp;
use crate::users::Accounts;

/// Makes the directory and what is missing above it, for the user the configuration names.
pub(crate) async fn workdir(
    at: At<'_>,
    workdir: &Workdir,
    files: &mut StageFiles,
) -> Result<Made, BuildError> {
    let owner = if OwnerWords::parse(&workdir.user).has_name() {
        accounts(files, at.work).await?.owner(&workdir.user)
    } else {
        Accounts::default().owner(&workdir.user)
    };
    let before = files.tree(at.work).await?;
    let now = timestamp(at.work.services.clock.now());
    let mut after = with_directory(&before, &workdir.path, owner, now)?;
    if let Some(epoch) = at.work.plan.epoch {
        pin_created(
            &before,
            &mut after,
            &workdir.path,
            Timestamp {
                seconds: epoch,
                nanos: 0,
            },
        );
    }
    let changes = diff(&before, &after);
    Ok(Made::Changes {
        changes: Arc::new(changes),
        after,
        contents: Arc::new(Origins::default()),
        sources: Sources::Settled,
    })
}

/// A tree in which a directory exists; links on the way are followed, existing directories left alone.
pub(crate) fn with_directory(
    before: &Tree,
    path: &str,
    owner: Owner,
    now: Timestamp,
) -> Result<Tree, CopyFailure> {
    let rules = Rules {
        owner: Some(owner),
        chmod: None,
        exclude: None,
        now,
        shares: false,
    };
    let mut placement = Placement::new(before.clone(), rules);
    placement.directory(path)?;
    Ok(placement.finish().0)
}

/// Gives the directory itself the epoch if it was made here; its parents were touched by their children.
fn pin_created(before: &Tree, after: &mut Tree, path: &str, epoch: Timestamp) {
    let Ok(found) = after.resolve(path, yadokari_tree::Follow::All) else {
        return;
    };
    if before.get(&found.path).is_none()
        && let Some(metadata) = after.metadata_mut(&found.path)
    {
        metadata.mtime = epoch;
    }
}
