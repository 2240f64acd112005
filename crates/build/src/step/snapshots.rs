//! Finding out what a command changed: by an overlay over its root, or by a scan of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tracing::Instrument as _;
use yadokari_rootfs::{OverlayMarks, OverlayUpper, Root, ScanOptions, Snapshot, scan};
use yadokari_sandbox::{self as sandbox, Isolation, Overlay, RunError, RunSpec};
use yadokari_tree::{Tree, TreePath, diff};

use super::{At, Made};
use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::request::SnapshotMethod;
use crate::stage::files::StageFiles;
use crate::trace::work_span;
use crate::work::Work;

/// What a root is before anything of a step happens to it.
pub(crate) enum Snapshots {
    Overlay { before: Tree, marks: OverlayMarks },
    Scan { before: Snapshot },
}

/// A command is running.
pub(crate) enum Running {
    Overlay {
        before: Tree,
        /// The tree of the root below the overlay.
        below: Tree,
        upper: OverlayUpper,
    },
    Scan {
        before: Snapshot,
    },
}

impl Snapshots {
    /// Chooses how changes are found and takes what that needs.
    pub(crate) async fn prepare(at: At<'_>, files: &mut StageFiles) -> Result<Self, BuildError> {
        Ok(match overlay(at.work).await? {
            Some(marks) => {
                let (_, before) = files.root(at.work).await?;
                Self::Overlay { before, marks }
            }
            None => Self::Scan {
                before: files.take_snapshot(at.work).await?,
            },
        })
    }

    /// Gives the command its overlay, over a root that is `tree` by now.
    pub(crate) async fn start(
        self,
        root: &Arc<Root>,
        tree: Tree,
        spec: &mut RunSpec,
    ) -> Result<Running, BuildError> {
        let (before, marks) = match self {
            Self::Scan { before } => return Ok(Running::Scan { before }),
            Self::Overlay { before, marks } => (before, marks),
        };
        let below = root.directories().into_iter().skip(1);
        let lower = below.map(Path::to_owned).collect();
        let root = Arc::clone(root);
        let upper = blocking(move || OverlayUpper::create(&root, marks)).await?;
        spec.overlay = Some(Overlay {
            upper: upper.upper().to_owned(),
            lower,
            work: upper.work().to_owned(),
            marks: told(marks),
        });
        Ok(Running::Overlay {
            before,
            below: tree,
            upper,
        })
    }
}

impl Running {
    /// Finds what the command changed, after which all of it is in the root.
    pub(crate) async fn finish(self, at: At<'_>, root: Arc<Root>) -> Result<Made, BuildError> {
        let options = at.work.scan_options();
        blocking(move || self.changes(root, &options))
            .instrument(work_span!("snapshot", "{}", at.stage.name))
            .await
    }

    fn changes(self, root: Arc<Root>, options: &ScanOptions) -> Result<Made, BuildError> {
        let started = Instant::now();
        let (before, after, snapshot) = match self {
            Self::Overlay {
                before,
                below,
                upper,
            } => {
                let after = collect(upper, &root, &below, &options.exclude)?;
                (before, after, None)
            }
            Self::Scan { before } => {
                let snapshot = scan(&root, Some(&before), options)?;
                (
                    before.tree().clone(),
                    snapshot.tree().clone(),
                    Some(snapshot),
                )
            }
        };
        let changes = Arc::new(diff(&before, &after));
        tracing::debug!(elapsed = ?started.elapsed(), changes = changes.len(), overlay = snapshot.is_none(), "found what the command changed");
        Ok(Made::OnDisk {
            changes,
            after,
            snapshot,
            root,
        })
    }
}

fn collect(
    upper: OverlayUpper,
    root: &Root,
    below: &Tree,
    exclude: &BTreeSet<TreePath>,
) -> Result<Tree, BuildError> {
    let after = upper.collect(root, below, exclude)?;
    upper.merge(root)?;
    Ok(after)
}

/// The marks of the overlay that commands get, if they get one.
pub(crate) async fn overlay(work: &Work) -> Result<Option<OverlayMarks>, BuildError> {
    let runner = Arc::clone(&work.services.runner);
    match work.request.snapshot.method {
        SnapshotMethod::Scan => Ok(None),
        SnapshotMethod::Auto if runner.isolation() != Isolation::Namespaces => Ok(None),
        SnapshotMethod::Auto => Ok(blocking(move || runner.overlay()).await.ok().map(same)),
        SnapshotMethod::Overlay => {
            let marks = blocking(move || runner.overlay()).await.map_err(refused)?;
            Ok(Some(same(marks)))
        }
    }
}

fn refused(reason: RunError) -> BuildError {
    BuildErrorKind::Refused(format!("--snapshot=overlay cannot be used here: {reason}")).into()
}

fn same(marks: sandbox::OverlayMarks) -> OverlayMarks {
    match marks {
        sandbox::OverlayMarks::Trusted => OverlayMarks::Trusted,
        sandbox::OverlayMarks::User => OverlayMarks::User,
    }
}

fn told(marks: OverlayMarks) -> sandbox::OverlayMarks {
    match marks {
        OverlayMarks::Trusted => sandbox::OverlayMarks::Trusted,
        OverlayMarks::User => sandbox::OverlayMarks::User,
    }
}
