//! The mounts of a RUN: everything they show is prepared in the state directory first.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;
use yadokari_dockerfile::instruction::{Mount, MountKind, Sharing};
use yadokari_layer::Contents;
use yadokari_plan::{Run, RunMount, Source};
use yadokari_rootfs::Root;
use yadokari_sandbox::{self as sandbox, MountSource};
use yadokari_tree::{Follow, Node, Tree, TreePath, diff};

use super::At;
use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::request::SecretSource;

/// Mounts that are ready, and what has to be undone after the command.
#[derive(Debug)]
pub(crate) struct Prepared {
    mounts: Vec<sandbox::Mount>,
    variables: Vec<(OsString, OsString)>,
    /// Files that exist for this command only: secrets, copies for binds. Removed when dropped.
    directory: TempDir,
    locks: Vec<OwnedMutexGuard<()>>,
    agents: usize,
}

impl Prepared {
    /// Prepares all mounts of a RUN.
    pub(crate) async fn new(at: At<'_>, run: &Run) -> Result<Self, BuildError> {
        let parent = at.work.roots.path();
        let directory = TempDir::with_prefix_in("mounts-", parent)
            .map_err(|source| BuildError::disk(parent, source))?;
        let mut prepared = Self {
            mounts: Vec::new(),
            variables: Vec::new(),
            directory,
            locks: Vec::new(),
            agents: 0,
        };
        prepared.script(run)?;
        for mount in &run.mounts {
            prepared.add(at, mount).await?;
        }
        Ok(prepared)
    }

    /// The mounts.
    pub(crate) fn mounts(&self) -> &[sandbox::Mount] {
        &self.mounts
    }

    /// Variables that mounts bring.
    pub(crate) fn variables(&self) -> &[(OsString, OsString)] {
        &self.variables
    }

    /// Removes what existed for the command only.
    pub(crate) async fn finish(self) -> Result<(), BuildError> {
        let path = self.directory.path().to_owned();
        let removed = blocking(move || {
            let result = self.directory.close();
            drop(self.locks);
            result
        });
        removed
            .await
            .map_err(|source| BuildError::disk(&path, source))
    }

    /// A heredoc that is a program of its own.
    fn script(&mut self, run: &Run) -> Result<(), BuildError> {
        let Some((name, content)) = &run.script else {
            return Ok(());
        };
        let path = self.file(content, 0o755, 0, 0)?;
        self.push(
            PathBuf::from("/dev/pipes").join(name),
            MountSource::File(path),
            true,
        );
        Ok(())
    }

    async fn add(&mut self, at: At<'_>, mount: &RunMount) -> Result<(), BuildError> {
        match mount.mount.kind {
            MountKind::Bind => self.bind(at, mount).await,
            MountKind::Cache => self.cache(at, mount).await,
            MountKind::Tmpfs => {
                let size = mount.mount.size.map(i64::cast_unsigned);
                self.push(
                    target(mount),
                    MountSource::Tmpfs { size, mode: 0o1777 },
                    false,
                );
                Ok(())
            }
            MountKind::Secret => self.secret(at, mount),
            MountKind::Ssh => self.ssh(at, mount),
        }
    }

    fn push(&mut self, target: PathBuf, source: MountSource, read_only: bool) {
        self.mounts.push(sandbox::Mount {
            target,
            source,
            read_only,
        });
    }

    /// Shows a tree. What a command may change is a copy, and so is what only a copy can protect.
    async fn bind(&mut self, at: At<'_>, mount: &RunMount) -> Result<(), BuildError> {
        let from = mount.from.as_ref().unwrap_or(&Source::Context);
        let shown = Shown::find(at, from, mount.mount.source.as_deref()).await?;
        let read_only = mount.mount.read_only;
        let is_stage = matches!(from, Source::Stage(_) | Source::Image(_));
        let in_place =
            read_only && is_stage && at.work.services.runner.abilities().read_only_mounts;
        let source = if in_place {
            shown.in_place()
        } else {
            shown
                .copied(at, self.directory.path(), self.mounts.len())
                .await?
        };
        self.push(target(mount), source, read_only);
        Ok(())
    }

    async fn cache(&mut self, at: At<'_>, mount: &RunMount) -> Result<(), BuildError> {
        let id = cache_id(at, mount);
        let lock = {
            let mut locks = at.work.cache_locks.lock().await;
            Arc::clone(locks.entry(id.clone()).or_default())
        };
        let mut directory = at.work.request.state_dir.join("cache-mounts").join(&id);
        match mount.mount.sharing.unwrap_or_default() {
            Sharing::Shared => {}
            Sharing::Locked => self.locks.push(lock.lock_owned().await),
            Sharing::Private => match lock.try_lock_owned() {
                Ok(guard) => self.locks.push(guard),
                Err(_) => {
                    directory = self
                        .directory
                        .path()
                        .join(format!("private-{}", self.mounts.len()));
                }
            },
        }
        if !directory.exists() {
            self.new_cache(at, mount, &directory).await?;
        }
        self.push(
            target(mount),
            MountSource::Directory(directory),
            mount.mount.read_only,
        );
        Ok(())
    }

    /// Makes a cache, with the files it is seeded from.
    async fn new_cache(
        &self,
        at: At<'_>,
        mount: &RunMount,
        directory: &Path,
    ) -> Result<(), BuildError> {
        let failed = |source| BuildError::disk(directory, source);
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let fresh = TempDir::with_prefix_in("new-", self.directory.path()).map_err(failed)?;
        let path = fresh.path().join("cache");
        match &mount.from {
            Some(from) => {
                let shown = Shown::find(at, from, mount.mount.source.as_deref()).await?;
                shown.copy_to(at, &path).await?;
            }
            None => fs::create_dir(&path).map_err(failed)?,
        }
        let Mount { mode, uid, gid, .. } = &mount.mount;
        if mount.from.is_none() || mode.is_some() {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode.unwrap_or(0o755)))
                .map_err(failed)?;
        }
        chown(&path, Some(uid.unwrap_or(0)), Some(gid.unwrap_or(0))).map_err(failed)?;
        match fs::rename(&path, directory) {
            // Another build of this machine was first.
            Err(_) if directory.exists() => Ok(()),
            result => result.map_err(failed),
        }
    }

    fn secret(&mut self, at: At<'_>, mount: &RunMount) -> Result<(), BuildError> {
        let options = &mount.mount;
        let named = options.id.as_deref().or(options.source.as_deref());
        let last = options
            .target
            .as_deref()
            .and_then(|target| target.rsplit('/').next());
        let id = named.or(last).unwrap_or_default();
        let value = at
            .work
            .request
            .secrets
            .values
            .get(id)
            .map(read_secret)
            .transpose()?;
        if value.is_none() && options.required {
            return Err(BuildErrorKind::SecretMissing(id.to_owned()).into());
        }
        if let Some(name) = &options.env {
            let value = value.clone().unwrap_or_default();
            self.variables
                .push((name.into(), std::ffi::OsStr::from_bytes(&value).to_owned()));
        }
        if let (Some(target), Some(value)) = (&mount.target, &value) {
            let mode = options.mode.unwrap_or(0o400);
            let path = self.file(
                value,
                mode,
                options.uid.unwrap_or(0),
                options.gid.unwrap_or(0),
            )?;
            self.push(target.into(), MountSource::File(path), true);
        }
        Ok(())
    }

    fn ssh(&mut self, at: At<'_>, mount: &RunMount) -> Result<(), BuildError> {
        let id = mount
            .mount
            .id
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let target = mount
            .target
            .clone()
            .unwrap_or_else(|| format!("/run/buildkit/ssh_agent.{}", self.agents));
        self.agents += 1;
        self.variables
            .push(("SSH_AUTH_SOCK".into(), target.clone().into()));
        match at
            .work
            .request
            .secrets
            .ssh
            .get(&id)
            .and_then(|paths| paths.first())
        {
            Some(socket) => self.push(target.into(), MountSource::Socket(socket.clone()), false),
            None if mount.mount.required => {
                return Err(BuildErrorKind::AgentMissing(
                    mount.mount.id.clone().unwrap_or_default(),
                )
                .into());
            }
            None => {}
        }
        Ok(())
    }

    /// Writes a file that only this command sees.
    fn file(&self, bytes: &[u8], mode: u32, uid: u32, gid: u32) -> Result<PathBuf, BuildError> {
        let path = self
            .directory
            .path()
            .join(format!("file-{}", self.mounts.len()));
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            io::Write::write_all(&mut file, bytes)?;
            chown(&path, Some(uid), Some(gid))?;
            file.set_permissions(fs::Permissions::from_mode(mode))
        };
        write().map_err(|source| BuildError::disk(&path, source))?;
        Ok(path)
    }
}

fn target(mount: &RunMount) -> PathBuf {
    PathBuf::from(mount.target.as_deref().unwrap_or("/"))
}

/// The name of a cache's directory: its id, and what it is seeded from.
fn cache_id(at: At<'_>, mount: &RunMount) -> String {
    const NAMESPACE: &str = "BUILDKIT_CACHE_MOUNT_NS";
    let namespace = at
        .work
        .request
        .build_args
        .iter()
        .rev()
        .find(|(name, _)| name == NAMESPACE);
    let id = mount
        .mount
        .id
        .as_deref()
        .or(mount.target.as_deref())
        .unwrap_or_default();
    let mut hasher = Sha256::new();
    for part in [
        namespace.map_or("", |(_, value)| value),
        id,
        &format!("{:?}", mount.from),
        mount.mount.source.as_deref().unwrap_or_default(),
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_secret(source: &SecretSource) -> Result<Vec<u8>, BuildError> {
    match source {
        SecretSource::Value(value) => Ok(value.expose().to_vec()),
        SecretSource::File(path) => fs::read(path).map_err(|source| BuildError::disk(path, source)),
    }
}

/// A part of a tree that is to be seen by a command.
struct Shown {
    tree: Tree,
    root: Option<Arc<Root>>,
    path: TreePath,
    node: Node,
    outside: bool,
}

impl Shown {
    async fn find(at: At<'_>, from: &Source, path: Option<&str>) -> Result<Self, BuildError> {
        let (tree, root) = at.source(from).await?;
        let asked = TreePath::parse(path.unwrap_or("/"));
        let missing = || BuildErrorKind::MountMissing(asked.to_string());
        let found = tree
            .resolve(asked.as_bytes(), Follow::All)
            .map_err(|_| missing())?;
        let node = found.node.ok_or_else(missing)?;
        let outside = matches!(from, Source::Context | Source::Named(_));
        Ok(Self {
            path: found.path,
            node,
            tree,
            root,
            outside,
        })
    }

    /// The files where they are.
    fn in_place(&self) -> MountSource {
        let top = self
            .root
            .as_ref()
            .map(|root| root.path().to_owned())
            .unwrap_or_default();
        let path = top.join(std::ffi::OsStr::from_bytes(self.path.as_bytes()));
        if self.node.is_directory() {
            MountSource::Directory(path)
        } else {
            MountSource::File(path)
        }
    }

    /// A copy that the command may do anything with.
    async fn copied(
        &self,
        at: At<'_>,
        directory: &Path,
        number: usize,
    ) -> Result<MountSource, BuildError> {
        let path = directory.join(format!("bind-{number}"));
        self.copy_to(at, &path).await?;
        Ok(if self.node.is_directory() {
            MountSource::Directory(path)
        } else {
            MountSource::File(path)
        })
    }

    async fn copy_to(&self, at: At<'_>, path: &Path) -> Result<(), BuildError> {
        let below = Below {
            root: self.root.clone(),
            prefix: self.path.clone(),
        };
        let (node, subtree) = (self.node.clone(), self.tree.subtree(&self.path));
        let (path, stay) = (path.to_owned(), at.work.stay().await);
        let outside = self.outside;
        blocking(move || {
            let copied = match subtree {
                Some(tree) => copy_tree(&tree, &below, &path),
                None => copy_file(&node, &below, &path),
            };
            drop(outside.then_some(stay));
            copied
        })
        .await
    }
}

fn copy_tree(tree: &Tree, below: &Below, path: &Path) -> Result<(), BuildError> {
    let root = Root::create(path).map_err(|source| BuildError::disk(path, source))?;
    yadokari_rootfs::apply(&root, &diff(&Tree::empty(), tree), below)?;
    Ok(())
}

fn copy_file(node: &Node, below: &Below, path: &Path) -> Result<(), BuildError> {
    let failed = |source| BuildError::disk(path, source);
    let mut from = below.open(&TreePath::root(), node).map_err(failed)?;
    let mut to = fs::File::create_new(path).map_err(failed)?;
    io::copy(&mut from, &mut to).map_err(failed)?;
    let metadata = node.metadata();
    chown(path, Some(metadata.uid), Some(metadata.gid)).map_err(failed)?;
    to.set_permissions(fs::Permissions::from_mode(u32::from(metadata.mode)))
        .map_err(failed)
}

/// Files below a directory of a root, by their path from there.
struct Below {
    root: Option<Arc<Root>>,
    prefix: TreePath,
}

impl Contents for Below {
    fn open(&self, path: &TreePath, node: &Node) -> io::Result<Box<dyn Read + '_>> {
        match &self.root {
            Some(root) => root.open(&self.prefix.join(path.as_bytes()), node),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
