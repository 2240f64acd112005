//! The busybox root filesystem.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tar::{Builder, EntryType, Header};

use super::CREATED;
use crate::{cache, process};

/// The commands that get a link in `/bin`.
pub const APPLETS: &[&str] = &[
    "[",
    "ash",
    "awk",
    "base64",
    "basename",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "grep",
    "groups",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "id",
    "install",
    "ip",
    "kill",
    "link",
    "ln",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mv",
    "nc",
    "nproc",
    "nslookup",
    "od",
    "paste",
    "pidof",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "split",
    "stat",
    "stty",
    "sync",
    "tac",
    "tail",
    "tar",
    "tee",
    "test",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "umount",
    "uname",
    "uniq",
    "unlink",
    "unxz",
    "usleep",
    "vi",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "xxd",
    "yes",
    "zcat",
];

/// A static busybox: the installed one, or the one in Debian's package `busybox-static`, which needs no root.
///
/// # Errors
///
/// If there is none and the package cannot be fetched.
pub fn binary() -> Result<PathBuf> {
    let installed = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
    if let Some(path) = installed
        .into_iter()
        .find(|path| path.exists() && is_static(path))
    {
        return Ok(path);
    }
    let directory = cache::once("busybox-static", fetch)?;
    Ok(directory.join("root/bin/busybox"))
}

/// The root filesystem as a tar archive.
pub(super) fn archive(busybox: &Path) -> Result<Vec<u8>> {
    let binary =
        std::fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let mut archive = Archive(Builder::new(Vec::new()));
    archive.directory("bin", 0o755)?;
    archive.file("bin/busybox", 0o755, &binary)?;
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "bin/busybox")?;
    }
    for (path, mode) in DIRECTORIES {
        archive.directory(path, *mode)?;
    }
    for (path, mode, text) in FILES {
        archive.file(path, *mode, text.as_bytes())?;
    }
    Ok(archive.0.into_inner()?)
}

/// Downloads Debian's package into a new directory, as an ordinary user can, and unpacks it below `root`.
///
/// # Errors
///
/// If the package cannot be fetched or holds no static busybox.
pub fn fetch(directory: &Path) -> Result<()> {
    std::fs::create_dir(directory)?;
    // The machine's own package lists may be missing, and only root may fetch them; private ones are as good.
    if download(directory, &[]).is_err() {
        let private = [format!("Dir::State={}", directory.join("state").display())];
        std::fs::create_dir_all(directory.join("state/lists/partial"))?;
        process::run(apt(directory, &private).arg("update"))?;
        download(directory, &private).context(
            "there is no static busybox, and Debian's package busybox-static cannot be fetched",
        )?;
    }
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
    let mut files = std::fs::read_dir(directory)?
        .flatten()
        .map(|entry| entry.path());
    let package = files
        .find(is_package)
        .context("apt-get download left no package")?;
    process::run(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(package)
            .arg(directory.join("root")),
    )?;
    if !is_static(&directory.join("root/bin/busybox")) {
        bail!("the package busybox-static holds no static /bin/busybox");
    }
    Ok(())
}

fn download(directory: &Path, options: &[String]) -> Result<()> {
    process::run(apt(directory, options).args(["download", "busybox-static"])).map(drop)
}

fn apt(directory: &Path, options: &[String]) -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-q").current_dir(directory).env("LC_ALL", "C");
    for option in options {
        command.arg("-o").arg(option);
    }
    command
}

/// Whether an ELF executable has no interpreter.
fn is_static(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| crate::executor::is_static_elf(&bytes))
}

struct Archive(Builder<Vec<u8>>);

impl Archive {
    fn directory(&mut self, path: &str, mode: u32) -> Result<()> {
        self.entry(EntryType::Directory, &format!("{path}/"), mode, &[])
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        self.entry(EntryType::Regular, path, mode, bytes)
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = header(EntryType::Link, 0o755, 0);
        Ok(self.0.append_link(&mut header, path, target)?)
    }

    fn entry(&mut self, kind: EntryType, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = header(kind, mode, bytes.len() as u64);
        Ok(self.0.append_data(&mut header, path, bytes)?)
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(CREATED);
    header.set_uid(0);
    header.set_gid(0);
    header
}

const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/local", 0o755),
    ("usr/local/bin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\nmail:x:8:\nusers:x:100:\nnogroup:x:65534:\n",
    ),
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    ),
    ("etc/shadow", 0o600, "root:*:19000:0:99999:7:::\n"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_has_links_for_the_applets_and_a_sticky_tmp() {
        let bytes = archive(Path::new("/proc/self/exe")).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: std::collections::BTreeMap<String, u32> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (
                    entry.path().unwrap().display().to_string(),
                    entry.header().mode().unwrap(),
                )
            })
            .collect();
        assert_eq!(found["tmp/"], 0o1777);
        assert_eq!(found["etc/shadow"], 0o600);
        assert!(found.contains_key("bin/sh") && found.contains_key("bin/["));
    }
}
