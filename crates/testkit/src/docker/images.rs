//! Images of the executor, made without a build.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

use super::Docker;
use crate::{base, process};

/// The images that are published: the bare one, and the one with a shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Nothing but the executable and its directories.
    Executor,
    /// With busybox in `/busybox`, as a CI job needs it for its `script:` lines.
    Debug,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Self::Executor => "yadokari:executor",
            Self::Debug => "yadokari:debug",
        }
    }

    /// The image's configuration, as `docker import --change` takes it.
    fn changes(self) -> Vec<&'static str> {
        let mut changes = vec![
            "ENV HOME=/root",
            "ENV USER=root",
            "ENV DOCKER_CONFIG=/kaniko/.docker/",
            "ENV SSL_CERT_DIR=/kaniko/ssl/certs",
            "WORKDIR /workspace",
            "ENTRYPOINT [\"/kaniko/executor\"]",
        ];
        changes.push(match self {
            Self::Executor => "ENV PATH=/usr/local/bin:/kaniko",
            Self::Debug => "ENV PATH=/usr/local/bin:/kaniko:/busybox",
        });
        changes
    }
}

impl Docker {
    /// Imports the executor's image and returns its name.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or docker refuses it.
    pub fn executor_image(&self, executor: &Path, flavour: Flavour) -> Result<&'static str> {
        let archive = tempfile::NamedTempFile::new()?;
        write_root(archive.as_file(), executor, flavour)?;
        self.import(archive.path(), flavour.name(), &flavour.changes())?;
        Ok(flavour.name())
    }

    /// Imports a tar archive of a root filesystem as an image.
    ///
    /// # Errors
    ///
    /// If docker refuses it.
    pub fn import(&self, archive: &Path, name: &str, changes: &[&str]) -> Result<()> {
        let mut command = self.command();
        command.arg("import");
        for change in changes {
            command.arg("--change").arg(change);
        }
        process::run(command.arg(archive).arg(name)).map(drop)
    }
}

fn write_root(file: impl Write, executor: &Path, flavour: Flavour) -> Result<()> {
    let mut archive = Builder::new(std::io::BufWriter::new(file));
    for directory in [
        "kaniko",
        "kaniko/.docker",
        "kaniko/ssl",
        "kaniko/ssl/certs",
        "root",
        "usr/local/bin",
        "workspace",
    ] {
        append(
            &mut archive,
            EntryType::Directory,
            &format!("{directory}/"),
            &[],
        )?;
    }
    append(
        &mut archive,
        EntryType::Regular,
        "kaniko/executor",
        &read(executor)?,
    )?;
    link(
        &mut archive,
        EntryType::Symlink,
        "kaniko/warmer",
        "executor",
    )?;
    link(
        &mut archive,
        EntryType::Symlink,
        "usr/local/bin/yadokari",
        "/kaniko/executor",
    )?;
    if flavour == Flavour::Debug {
        append(&mut archive, EntryType::Directory, "busybox/", &[])?;
        append(
            &mut archive,
            EntryType::Regular,
            "busybox/busybox",
            &read(&base::busybox_binary()?)?,
        )?;
        for applet in base::APPLETS {
            link(
                &mut archive,
                EntryType::Link,
                &format!("busybox/{applet}"),
                "busybox/busybox",
            )?;
        }
    }
    archive
        .into_inner()?
        .flush()
        .context("cannot write the image")
}

fn append(
    archive: &mut Builder<impl Write>,
    kind: EntryType,
    path: &str,
    bytes: &[u8],
) -> Result<()> {
    let mut header = header(kind, bytes.len());
    Ok(archive.append_data(&mut header, path, bytes)?)
}

fn link(
    archive: &mut Builder<impl Write>,
    kind: EntryType,
    path: &str,
    target: &str,
) -> Result<()> {
    Ok(archive.append_link(&mut header(kind, 0), path, target)?)
}

fn header(kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(size as u64);
    header.set_mtime(base::CREATED);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
