//! Finds the executable the way container runtimes do.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::RunError;

/// Finds `program` below `root`, which is `/` in the child that is about to become it.
///
/// A name with a slash is taken as it is, relative to `cwd`. Others are searched in
/// the `PATH` of `env`; an empty element means the working directory.
///
/// # Errors
///
/// [`RunError::Exec`] with the runtime's words.
pub(crate) fn executable(
    root: &Path,
    program: &OsStr,
    env: &[(OsString, OsString)],
    cwd: &Path,
) -> Result<PathBuf, RunError> {
    if program.as_bytes().contains(&b'/') {
        let path = cwd.join(program);
        return check(root, &path)
            .map(|()| path)
            .map_err(|reason| failure(program, reason));
    }
    if program.is_empty() {
        return Err(failure(program, "executable file not found in $PATH"));
    }
    let path = env
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map_or(OsStr::new(""), |(_, value)| value);
    search(root, program, path, cwd)
        .ok_or_else(|| failure(program, "executable file not found in $PATH"))
}

fn search(root: &Path, program: &OsStr, path: &OsStr, cwd: &Path) -> Option<PathBuf> {
    path.as_bytes()
        .split(|byte| *byte == b':')
        .map(|directory| cwd.join(OsStr::from_bytes(directory)).join(program))
        .find(|candidate| check(root, candidate).is_ok())
}

fn check(root: &Path, path: &Path) -> Result<(), &'static str> {
    let inside = root.join(path.strip_prefix("/").unwrap_or(path));
    let metadata = fs::metadata(inside).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory",
        Some(libc::ENOTDIR) => "not a directory",
        Some(libc::ELOOP) => "too many levels of symbolic links",
        _ => "permission denied",
    })?;
    if metadata.is_dir() {
        return Err("is a directory");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err("permission denied");
    }
    Ok(())
}

fn failure(program: &OsStr, reason: &str) -> RunError {
    RunError::Exec {
        program: program.to_string_lossy().into_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for directory in ["bin", "sbin/tool", "w/bin"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        for (file, mode) in [
            ("bin/tool", 0o755),
            ("bin/data", 0o644),
            ("w/bin/here", 0o711),
            ("w/mine", 0o755),
        ] {
            fs::write(root.path().join(file), "").unwrap();
            fs::set_permissions(root.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        root
    }

    fn found(program: &str, path: Option<&str>) -> Result<String, String> {
        let root = root();
        let env: Vec<(OsString, OsString)> = path
            .map(|path| ("PATH".into(), path.into()))
            .into_iter()
            .collect();
        match executable(root.path(), OsStr::new(program), &env, Path::new("/w")) {
            Ok(path) => Ok(path.to_str().unwrap().to_owned()),
            Err(RunError::Exec { reason, .. }) => Err(reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_searched_and_paths_are_not() {
        let nowhere = "executable file not found in $PATH".to_owned();
        for (program, path, expected) in [
            ("tool", Some("/sbin:/bin"), Ok("/bin/tool".to_owned())),
            ("tool", Some("/nowhere"), Err(nowhere.clone())),
            ("tool", None, Err(nowhere.clone())),
            ("data", Some("/bin"), Err(nowhere.clone())),
            ("mine", Some("/bin:"), Ok("/w/mine".to_owned())),
            ("bin/here", None, Ok("/w/bin/here".to_owned())),
            ("/bin/tool", None, Ok("/bin/tool".to_owned())),
            ("/bin/data", None, Err("permission denied".to_owned())),
            (
                "/bin/nosuch",
                None,
                Err("no such file or directory".to_owned()),
            ),
            ("/bin/tool/x", None, Err("not a directory".to_owned())),
            ("/sbin/tool", None, Err("is a directory".to_owned())),
            ("", Some("/bin"), Err(nowhere)),
        ] {
            assert_eq!(found(program, path), expected, "{program} in {path:?}");
        }
    }
}
