//! COPY and ADD.

use std::sync::Arc;

use tokio::sync::OwnedRwLockReadGuard;
use yadokari_dockerfile::value::owner::Owner as OwnerWords;
use yadokari_layer::{ArchiveKind, Contents, LayerReader, Limits};
use yadokari_plan::{Copy, Source, Unpack};
use yadokari_rootfs::Root;
use yadokari_tree::{
    Changes, ContentDigest, Metadata, Node, Timestamp, Tree, TreePath, Xattrs, diff,
};

use super::remote::Fetched;
use super::{At, Made, accounts};
use crate::blocking::blocking;
use crate::copy::{
    CopyFailure, ExtractFailure, Extraction, Origin, Origins, Owner, Placement, Rules, ScratchPath,
    Selected, copy_digesting, nearest_path, select, select_with_parents, shown,
};
use crate::error::{BuildError, BuildErrorKind};
use crate::stage::files::StageFiles;
use crate::stage::pack::Sources;
use crate::state::Roots;
use crate::time::timestamp;
use crate::users::Accounts;

/// Puts the sources where the instruction says, in the stage's tree.
pub(crate) async fn copy(
    at: At<'_>,
    copy: &Copy,
    files: &mut StageFiles,
) -> Result<Made, BuildError> {
    let owner = owner(at, copy, files).await?;
    let below = files.tree(at.work).await?;
    let (tree, root) = if copy.sources.is_empty() {
        (Tree::empty(), None)
    } else {
        at.source(&copy.from).await?
    };
    let work = at.work;
    let remotes = work
        .remotes
        .fetched(copy, &work.services, work.roots.path());
    let remotes = remotes.await?;
    let mut job = Job {
        copy: copy.clone(),
        below,
        tree,
        root,
        remotes,
        owner,
        now: timestamp(at.work.services.clock.now()),
        scratch: Arc::clone(&at.work.roots),
        limits: at.work.limits(),
        own: None,
    };
    let (mut placed, mut stay) = place(at, &job).await;
    if placed.as_ref().is_err_and(needs_own_files) {
        drop(stay);
        job.own = Some(files.root(at.work).await?.0);
        (placed, stay) = place(at, &job).await;
    }
    let placed = placed.map_err(|error| explain(at, &job, error))?;
    if placed.replaces_unread_files() {
        // Files of the layers below are digested while those layers are packed.
        for layer in files.layers() {
            layer.finished().await?;
        }
    }
    let (changes, after, contents) = blocking(move || {
        let done = placed.compare();
        drop(stay);
        done
    })
    .await?;
    Ok(Made::Changes {
        changes: Arc::new(changes),
        after,
        contents: Arc::new(contents),
        sources: if work.movable.has(&copy.from) {
            Sources::Movable
        } else {
            Sources::Settled
        },
    })
}

/// Places all sources on a thread of its own; what they are read from stays where it is as long as the guard lives.
async fn place(
    at: At<'_>,
    job: &Job,
) -> (Result<Placed, BuildError>, Option<OwnedRwLockReadGuard<()>>) {
    let stay = at.work.stay_with(&job.copy.from).await;
    let job = job.clone();
    (blocking(move || job.place_all()).await, stay)
}

/// An archive may link to files of the layers below, which are not on disk unless something asks for them.
fn needs_own_files(error: &BuildError) -> bool {
    matches!(
        error.kind(),
        BuildErrorKind::Extract(ExtractFailure::Below { .. })
    )
}

/// Who `--chown` makes the owner; names are looked up in the stage's own files.
async fn owner(
    at: At<'_>,
    copy: &Copy,
    files: &mut StageFiles,
) -> Result<Option<Owner>, BuildError> {
    let Some(words) = &copy.chown else {
        return Ok(None);
    };
    if OwnerWords::parse(words).has_name() {
        return Ok(Some(accounts(files, at.work).await?.owner(words)));
    }
    Ok(Some(Accounts::default().owner(words)))
}

/// A source that is missing because an ignore file hides it, or because its name is misspelt, deserves to be told so.
fn explain(at: At<'_>, job: &Job, error: BuildError) -> BuildError {
    let BuildErrorKind::Copy(CopyFailure::Missing { path }) = error.kind() else {
        return error;
    };
    if let Some(ignored) = ignored(at, &job.copy.from, path) {
        return ignored.into();
    }
    match nearest_path(&job.tree, path) {
        Some(near) => BuildErrorKind::Misspelt {
            path: path.clone(),
            near,
        }
        .into(),
        None => error,
    }
}

/// The line of an ignore file that hides a path.
fn ignored(at: At<'_>, from: &Source, path: &str) -> Option<BuildErrorKind> {
    let files = match from {
        Source::Context => &at.work.context,
        Source::Named(name) => &at.work.named[name],
        _ => return None,
    };
    let ignore = files.ignore.as_ref()?;
    let inside = path.trim_start_matches('/').as_bytes();
    let pattern = ignore.patterns.excludes(inside)?;
    Some(BuildErrorKind::Ignored {
        path: path.to_owned(),
        file: ignore.file.clone(),
        line: pattern.line,
        pattern: pattern.text.clone(),
    })
}

/// A copy with everything it needs, to be done on a thread of its own.
#[derive(Clone)]
struct Job {
    copy: Copy,
    below: Tree,
    tree: Tree,
    root: Option<Arc<Root>>,
    remotes: Vec<Arc<Fetched>>,
    owner: Option<Owner>,
    now: Timestamp,
    scratch: Arc<Roots>,
    limits: Limits,
    /// The stage's own files on disk, where they are needed.
    own: Option<Arc<Root>>,
}

/// Sources that were put into the tree, before it is known which of them changed anything.
struct Placed {
    link: bool,
    below: Tree,
    start: Tree,
    after: Tree,
    origins: Origins,
}

impl Job {
    fn place_all(&self) -> Result<Placed, BuildError> {
        let start = if self.copy.link {
            Tree::empty()
        } else {
            self.below.clone()
        };
        let rules = Rules {
            owner: self.owner,
            chmod: self.copy.chmod.as_ref().map(|chmod| &chmod.mode),
            exclude: self.copy.exclude.as_ref().map(|(_, patterns)| patterns),
            now: self.now,
            shares: self.copy.from == Source::Context,
        };
        let mut placement = Placement::new(start.clone(), rules);
        for word in &self.copy.sources {
            self.place(&mut placement, word)?;
        }
        for fetched in &self.remotes {
            self.place_remote(&mut placement, fetched)?;
        }
        for document in &self.copy.documents {
            let bytes = Arc::new(document.content.clone());
            let (size, metadata) = (bytes.len() as u64, self.plain(0o644, self.now));
            placement.write(
                &document.name,
                size,
                metadata,
                Origin::Bytes(bytes),
                &self.copy.destination,
            )?;
        }
        let (after, origins) = placement.finish();
        Ok(Placed {
            link: self.copy.link,
            below: self.below.clone(),
            start,
            after,
            origins,
        })
    }

    fn extraction(&self) -> Extraction<'_> {
        Extraction {
            scratch: &self.scratch,
            below: self.own.as_ref(),
        }
    }

    fn plain(&self, mode: u16, mtime: Timestamp) -> Metadata {
        Metadata {
            mode,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Xattrs::default(),
        }
    }

    fn place(&self, placement: &mut Placement<'_>, word: &str) -> Result<(), BuildError> {
        let destination = &self.copy.destination;
        let root = self.root.as_ref();
        if self.copy.parents {
            let source = select_with_parents(&self.tree, word)?;
            return Ok(placement.copy_with_parents(&source, root, destination)?);
        }
        self.refuse_dangling(word)?;
        for selected in select(&self.tree, word)? {
            match self.archive(&selected)? {
                Some(archive) => placement.extract(archive, self.extraction(), destination)?,
                None => placement.copy(&selected, root, destination)?,
            }
        }
        Ok(())
    }

    /// With `--exclude`, the reference fails on a dangling link at the top of a copied context.
    fn refuse_dangling(&self, word: &str) -> Result<(), CopyFailure> {
        if self.copy.exclude.is_none() || !TreePath::parse(word).is_root() {
            return Ok(());
        }
        for (name, node) in self.tree.root().children().into_iter().flatten() {
            let path = TreePath::root().join(name.as_bytes());
            let leads = self
                .tree
                .resolve(path.as_bytes(), yadokari_tree::Follow::All);
            if node.is_symlink() && !leads.is_ok_and(|found| found.node.is_some()) {
                return Err(CopyFailure::Missing { path: shown(&path) });
            }
        }
        Ok(())
    }

    /// Opens a selected file as an archive, if it is one and archives are extracted.
    fn archive(&self, selected: &Selected) -> Result<Option<LayerReader<'static>>, BuildError> {
        let Some(root) = self
            .root
            .as_ref()
            .filter(|_| self.copy.unpack != Unpack::Never && selected.node.is_file())
        else {
            return Ok(None);
        };
        let open = || {
            let failed =
                |source| BuildError::disk(std::path::Path::new(&selected.path.to_string()), source);
            root.open_file(&selected.path).map_err(failed)
        };
        if ArchiveKind::sniff(open()?)
            .map_err(|source| BuildError::disk(root.path(), source))?
            .is_none()
        {
            return Ok(None);
        }
        Ok(Some(LayerReader::new(open()?, self.limits)?))
    }

    fn place_remote(
        &self,
        placement: &mut Placement<'_>,
        fetched: &Arc<Fetched>,
    ) -> Result<(), BuildError> {
        let destination = &self.copy.destination;
        match &**fetched {
            Fetched::Git { root, tree, .. } => {
                let selected = Selected {
                    path: TreePath::root(),
                    node: tree.root().clone(),
                    name: Vec::new(),
                };
                Ok(placement.copy(&selected, Some(root), destination)?)
            }
            Fetched::File(file) => {
                let opened = || {
                    std::fs::File::open(file.path())
                        .map_err(|source| BuildError::disk(file.path(), source))
                };
                if self.copy.unpack == Unpack::Always
                    && ArchiveKind::sniff(opened()?)
                        .map_err(|source| BuildError::disk(file.path(), source))?
                        .is_some()
                {
                    return Ok(placement.extract(
                        LayerReader::new(opened()?, self.limits)?,
                        self.extraction(),
                        destination,
                    )?);
                }
                let mtime = file.last_modified.unwrap_or_default();
                let path = ScratchPath {
                    path: file.path().to_owned(),
                    _directory: None,
                };
                Ok(placement.write(
                    &file.name,
                    file.size,
                    self.plain(0o600, mtime),
                    Origin::File(Arc::new(path)),
                    destination,
                )?)
            }
        }
    }
}

impl Placed {
    /// Files that look exactly like those they replace: only their bytes tell whether they changed.
    fn lookalikes(&self) -> impl Iterator<Item = (TreePath, &Node, &Node)> {
        let both = self.origins.folders().filter_map(move |folder| {
            let (old, new) = (self.start.get(folder)?, self.after.get(folder)?);
            Some((folder, old.children()?, new.children()?))
        });
        both.flat_map(|(folder, old, new)| {
            new.iter().filter_map(move |(name, new)| {
                let old = old.get(name).filter(|old| !old.same(new))?;
                same_looks(old, new).then(|| (folder.join(name), old, new))
            })
        })
    }

    /// Whether the bytes of a file that is replaced by its like are not known.
    fn replaces_unread_files(&self) -> bool {
        self.lookalikes().any(|(_, old, _)| {
            old.content()
                .is_some_and(|content| content.digest().is_none())
        })
    }

    /// Finds what really changed.
    fn compare(self) -> Result<(Changes, Tree, Origins), BuildError> {
        for (path, _, new) in self.lookalikes() {
            if let Some(content) = new.content().filter(|content| content.digest().is_none()) {
                content.set_digest(digest(&self.origins, &path, new)?);
            }
        }
        let changes = diff(&self.start, &self.after);
        if !self.link {
            return Ok((changes, self.after, self.origins));
        }
        let mut stacked = self.below;
        changes.apply_to(&mut stacked);
        Ok((changes, stacked, self.origins))
    }
}

fn same_looks(old: &Node, new: &Node) -> bool {
    let (Some(old_content), Some(new_content)) = (old.content(), new.content()) else {
        return false;
    };
    old_content.size == new_content.size
        && old.metadata().mtime == new.metadata().mtime
        && old.metadata().same_rights(new.metadata())
}

fn digest(origins: &Origins, path: &TreePath, node: &Node) -> Result<ContentDigest, BuildError> {
    let failed = |source| BuildError::disk(std::path::Path::new(&path.to_string()), source);
    let mut content = origins.open(path, node).map_err(failed)?;
    copy_digesting(&mut content, &mut std::io::sink()).map_err(failed)
}
