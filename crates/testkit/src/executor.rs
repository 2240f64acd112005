//! The executable under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};

use crate::{cache, process};

/// The built static executable.
///
/// `YADOKARI_EXECUTOR` names it, if set. Otherwise it is `<target>/dist/yadokari`, which is built first where it is
/// missing or older than a source file.
///
/// # Errors
///
/// If the named file is missing or the build fails.
pub fn path() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("YADOKARI_EXECUTOR") {
        let path = cache::workspace().join(named);
        ensure!(
            path.is_file(),
            "YADOKARI_EXECUTOR names {}, which is not a file",
            path.display()
        );
        return Ok(path);
    }
    let path = cache::target().join("dist/yadokari");
    std::fs::create_dir_all(cache::directory())?;
    let _one_builds = cache::lock(&cache::directory().join("dist.lock"))?;
    if !is_current(&path)? {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        process::run(
            build
                .args(["xtask", "dist"])
                .current_dir(cache::workspace()),
        )?;
    }
    Ok(path)
}

/// Whether an executable file is ELF and names no interpreter, so that it runs from an empty root.
#[must_use]
pub fn is_static_elf(bytes: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    if bytes.get(..5) != Some(b"\x7fELF\x02") {
        return false;
    }
    program_headers(bytes).is_some_and(|kinds| !kinds.contains(&INTERPRETER))
}

/// The types of a 64-bit little-endian ELF file's program headers.
fn program_headers(bytes: &[u8]) -> Option<Vec<u32>> {
    let number = |at: usize, width: usize| -> Option<usize> {
        let digits = bytes.get(at..at + width)?;
        Some(
            digits
                .iter()
                .rev()
                .fold(0, |sum, digit| (sum << 8) | usize::from(*digit)),
        )
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    (0..count)
        .map(|index| Some(number(table.checked_add(index * size)?, 4)? as u32))
        .collect()
}

/// Whether the executable is newer than every source file of the workspace.
fn is_current(executable: &Path) -> Result<bool> {
    let Ok(built) = executable
        .metadata()
        .and_then(|metadata| metadata.modified())
    else {
        return Ok(false);
    };
    let top = cache::workspace();
    let newest = [
        newest_below(&top.join("crates"))?,
        modified(&top.join("Cargo.lock"))?,
    ];
    Ok(newest.into_iter().all(|time| time <= built))
}

/// The newest modification time of the Rust sources of the product's crates.
fn newest_below(directory: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir()
            && !["tests", "testkit", "xtask"]
                .iter()
                .any(|name| path.ends_with(name))
        {
            newest = newest.max(newest_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            newest = newest.max(modified(&path)?);
        }
    }
    Ok(newest)
}

fn modified(path: &Path) -> Result<SystemTime> {
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_dynamic_and_busybox_is_not() {
        assert!(!is_static_elf(&std::fs::read("/proc/self/exe").unwrap()));
        assert!(!is_static_elf(b"#!/bin/sh\n"));
        assert!(!is_static_elf(b"\x7fELF\x02"));
        let busybox = crate::base::busybox_binary().unwrap();
        assert!(is_static_elf(&std::fs::read(busybox).unwrap()));
    }
}
