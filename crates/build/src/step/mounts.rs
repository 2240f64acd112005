//! The mounts of a RUN: everything they show is prepared in the state directory first.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use yadokari_dockerfile::instruction::{Mount, MountKind};
use yadokari_plan::{Run, RunMount, Source};
use yadokari_sandbox::{self as sandbox, MountSource};
use yadokari_tree::{Follow, Tree};

use super::At;
use super::caches::{Taken, Wanted};
use super::shown::Shown;
use crate::blocking::blocking;
use crate::error::{BuildError, BuildErrorKind};
use crate::places::unreadable;
use crate::request::SecretSource;
use crate::ssh::{self, Access, Agent, Served};

/// Mounts that are ready, and what has to be undone after the command.
#[derive(Debug)]
pub(crate) struct Prepared {
    mounts: Vec<sandbox::Mount>,
    variables: Vec<(OsString, OsString)>,
    /// Files that exist for this command only: secrets, copies for binds. Removed when dropped.
    directory: TempDir,
    /// Caches, which others may not use meanwhile or have to share.
    taken: Vec<Taken>,
    agents: usize,
    /// Sockets that are answered for the command.
    served: Vec<Served>,
}

impl Prepared {
    /// Prepares all mounts of a RUN on these files.
    pub(crate) async fn new(at: At<'_>, run: &Run, tree: &Tree) -> Result<Self, BuildError> {
        let parent = at.work.roots.path();
        let directory = TempDir::with_prefix_in("mounts-", parent)
            .map_err(|source| BuildError::disk(parent, source))?;
        let mut prepared = Self {
            mounts: Vec::new(),
            variables: Vec::new(),
            directory,
            taken: Vec::new(),
            agents: 0,
            served: Vec::new(),
        };
        prepared.script(run)?;
        let mut caches = Vec::new();
        for mount in &run.mounts {
            prepared.add(at, mount, tree).await?;
            caches.extend(Wanted::find(at, mount).await?);
        }
        prepared.caches(at, caches).await?;
        for sandbox::Mount {
            target,
            source,
            read_only,
        } in &prepared.mounts
        {
            tracing::debug!(target = %target.display(), ?source, read_only, "mount");
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

    /// Removes what existed for the command only, after the command succeeded.
    pub(crate) async fn finish(self, at: At<'_>) -> Result<(), BuildError> {
        let Self {
            directory,
            taken,
            served,
            ..
        } = self;
        drop(served);
        let path = directory.path().to_owned();
        let removed = blocking(move || directory.close()).await;
        for cache in taken {
            cache.give_back(at);
        }
        removed.map_err(|source| BuildError::disk(&path, source))
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

    async fn add(&mut self, at: At<'_>, mount: &RunMount, tree: &Tree) -> Result<(), BuildError> {
        match mount.mount.kind {
            MountKind::Bind => self.bind(at, mount).await,
            // Caches come last, when all that has to be waited for is there.
            MountKind::Cache => Ok(()),
            MountKind::Tmpfs => {
                let size = mount.mount.size.map(i64::cast_unsigned);
                let mode = tmpfs_mode(tree, &target(mount));
                self.push(target(mount), MountSource::Tmpfs { size, mode }, false);
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
        let source = match shown.in_place().filter(|_| in_place) {
            Some(source) => source,
            None => {
                let number = self.mounts.len();
                shown.copied(at, self.directory.path(), number).await?
            }
        };
        self.push(target(mount), source, read_only);
        Ok(())
    }

    /// Takes the caches of the command, always in the same order, so that no two commands wait for each other.
    async fn caches(&mut self, at: At<'_>, mut wanted: Vec<Wanted>) -> Result<(), BuildError> {
        wanted.sort_by(|one, other| one.name.cmp(&other.name));
        for same in wanted.chunk_by(|one, other| one.name == other.name) {
            let taken = Taken::take(at, same).await?;
            for mount in same {
                let copy = self
                    .directory
                    .path()
                    .join(format!("cache-{}", self.mounts.len()));
                let (source, read_only) = taken.shown(at, mount, copy).await?;
                self.push(
                    mount.target.clone(),
                    MountSource::Directory(source),
                    read_only,
                );
            }
            self.taken.push(taken);
        }
        Ok(())
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
            .map(|source| read_secret(id, source))
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
        match at.work.agents.get(&id) {
            Some(agent) => {
                let socket = self.agent(agent, &mount.mount)?;
                self.push(target.into(), MountSource::Socket(socket), false);
            }
            None if mount.mount.required => {
                let asked = mount.mount.id.clone().unwrap_or_default();
                return Err(BuildErrorKind::AgentMissing(asked).into());
            }
            None => {}
        }
        Ok(())
    }

    /// Makes a socket that answers for an agent until the command is done.
    fn agent(&mut self, agent: &Arc<Agent>, mount: &Mount) -> Result<PathBuf, BuildError> {
        let path = self
            .directory
            .path()
            .join(format!("agent-{}", self.served.len()));
        let access = Access {
            mode: mount.mode.unwrap_or(0o600),
            uid: mount.uid.unwrap_or(0),
            gid: mount.gid.unwrap_or(0),
        };
        let served = ssh::serve(Arc::clone(agent), &path, access)
            .map_err(|source| BuildError::disk(&path, source))?;
        self.served.push(served);
        Ok(path)
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

/// What a tmpfs lies over gives it its mode; where there is nothing, everybody may write.
fn tmpfs_mode(tree: &Tree, target: &Path) -> u32 {
    let covered = tree.resolve(target.as_os_str().as_bytes(), Follow::All);
    let covered = covered.ok().and_then(|found| found.node);
    covered.map_or(0o1777, |node| u32::from(node.metadata().mode))
}

fn target(mount: &RunMount) -> PathBuf {
    PathBuf::from(mount.target.as_deref().unwrap_or("/"))
}

fn read_secret(id: &str, source: &SecretSource) -> Result<Vec<u8>, BuildError> {
    match source {
        SecretSource::Value(value) => Ok(value.expose().to_vec()),
        SecretSource::File(path) => fs::read(path).map_err(|source| unreadable(id, path, source)),
    }
}
