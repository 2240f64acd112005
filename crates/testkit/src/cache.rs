//! Where base images are kept between runs, and how one process makes what many wait for.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's top directory.
#[must_use]
pub fn workspace() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    crates
        .and_then(Path::parent)
        .expect("this crate lies two folders below the workspace")
        .to_path_buf()
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, or `target` of the workspace.
#[must_use]
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => workspace().join(directory),
        None => workspace().join("target"),
    }
}

/// The directory for what is slow to make and the same for every test.
#[must_use]
pub fn directory() -> PathBuf {
    target().join("testkit")
}

/// Makes `name` in the cache unless it is there, and returns its path.
///
/// `make` gets a path that does not exist and fills it; only when it succeeds does the result take its name, so a
/// broken-off run leaves nothing half-made. Processes that ask for the same name wait for the first.
///
/// # Errors
///
/// If the cache cannot be written, or what `make` says.
pub fn once(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let directory = directory();
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let (made, unfinished) = (
        directory.join(name),
        directory.join(format!("{name}.unfinished")),
    );
    let _lock = lock(&directory.join(format!("{name}.lock")))?;
    if made.exists() {
        return Ok(made);
    }
    remove(&unfinished)?;
    make(&unfinished).with_context(|| format!("cannot make {}", made.display()))?;
    std::fs::rename(&unfinished, &made)
        .with_context(|| format!("cannot rename to {}", made.display()))?;
    Ok(made)
}

/// Holds an exclusive lock on a file until the value is dropped.
///
/// # Errors
///
/// If the file cannot be made or locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    file.lock()
        .with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_attempt_leaves_nothing_and_a_later_one_is_kept() {
        let name = format!("once-{}", std::process::id());
        let failed = once(&name, |path| {
            std::fs::write(path, "half")?;
            anyhow::bail!("broken off")
        });
        assert!(failed.is_err());
        assert!(!directory().join(&name).exists());
        let path = once(&name, |path| Ok(std::fs::write(path, "whole")?)).unwrap();
        let again = once(&name, |_| panic!("made twice")).unwrap();
        assert_eq!(
            (std::fs::read_to_string(&path).unwrap(), &again),
            ("whole".into(), &path)
        );
        for file in [path, directory().join(format!("{name}.lock"))] {
            std::fs::remove_file(file).unwrap();
        }
    }
}
