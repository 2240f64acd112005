//! One file per kind of step.

pub(crate) mod begin;
pub(crate) mod caches;
pub(crate) mod copy;
pub(crate) mod mounts;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod shown;
pub(crate) mod snapshots;
pub(crate) mod workdir;

use std::sync::Arc;

use yadokari_layer::Contents;
use yadokari_plan::{Source, Stage, StageId};
use yadokari_rootfs::{Root, Snapshot};
use yadokari_tree::{Changes, Tree};

use self::begin::Beginning;
use crate::error::BuildError;
use crate::stage::StageResult;
use crate::stage::files::StageFiles;
use crate::stage::pack::Sources;
use crate::stage::stages::Stages;
use crate::users::Accounts;
use crate::work::Work;

/// Where a step stands: its stage, its place there, and the stages it may read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) work: &'a Arc<Work>,
    pub(crate) stage: &'a Stage,
    pub(crate) index: usize,
    pub(crate) others: &'a Stages,
    /// Whether it began: standing still for other stages is no time of its own.
    pub(crate) begun: &'a Beginning,
}

/// What a step made of its stage's files.
pub(crate) enum Made {
    /// Changes of the tree, with the bytes elsewhere.
    Changes {
        changes: Arc<Changes>,
        after: Tree,
        contents: Arc<dyn Contents + Send + Sync>,
        sources: Sources,
    },
    /// Changes that are on disk already, where a command left them.
    OnDisk {
        changes: Arc<Changes>,
        after: Tree,
        /// What a scan found, if one was made.
        snapshot: Option<Snapshot>,
        root: Arc<Root>,
    },
}

impl At<'_> {
    /// What another stage came to, once it is built.
    pub(crate) async fn other(&self, id: &StageId) -> Result<Arc<StageResult>, BuildError> {
        self.others.built(*id).await
    }

    /// The tree that a step reads, and the directory its files are in.
    pub(crate) async fn source(
        &self,
        source: &Source,
    ) -> Result<(Tree, Option<Arc<Root>>), BuildError> {
        let threads = self.work.services.threads;
        let local = match source {
            Source::Scratch => return Ok((Tree::empty(), None)),
            Source::Context => Arc::clone(&self.work.context),
            Source::Named(name) => Arc::clone(&self.work.named[name]),
            Source::Stage(id) => {
                let stage = self.other(id).await?;
                return files_of(&stage.files, self.work).await;
            }
            Source::Image(key) => return files_of(&self.work.image_files(key), self.work).await,
        };
        let stay = self.work.stay_with(source).await;
        let files = local.files(threads).await?;
        drop(stay);
        Ok((files.tree().clone(), Some(Arc::clone(files.root()))))
    }
}

async fn files_of(
    files: &tokio::sync::Mutex<StageFiles>,
    work: &Work,
) -> Result<(Tree, Option<Arc<Root>>), BuildError> {
    let (root, tree) = files.lock().await.root(work).await?;
    Ok((tree, Some(root)))
}

/// The accounts of a stage, from its files on disk.
pub(crate) async fn accounts(files: &mut StageFiles, work: &Work) -> Result<Accounts, BuildError> {
    let (root, _) = files.root(work).await?;
    Ok(read_accounts(&root))
}

/// Files that are missing, too large or not regular count as empty, so that numbers still work.
pub(crate) fn read_accounts(root: &Root) -> Accounts {
    let read = |path: &str| {
        root.read_file(&yadokari_tree::TreePath::parse(path), ACCOUNTS_LIMIT)
            .unwrap_or_default()
    };
    Accounts::parse(&read("/etc/passwd"), &read("/etc/group"))
}

/// The largest passwd or group file that is looked at, in bytes.
const ACCOUNTS_LIMIT: u64 = 10 << 20;
