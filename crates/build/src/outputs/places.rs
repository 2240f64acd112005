//! Whether results can be written where they are wanted: looked at before anything is built, since that may take long.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::error::{BuildError, BuildErrorKind};
use crate::request::{FileOutput, FileOutputKind, Outputs};

/// Why a result cannot be written where it is wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputFailure {
    /// The directory that is to hold it is not there.
    #[error("there is no directory {}", .0.display())]
    NoDirectory(PathBuf),
    /// Something else has the name of a directory.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A directory has the name of the file.
    #[error("a directory has this name")]
    IsADirectory,
    /// The file, or the directory that is to hold it, is not open to us.
    #[error("{} cannot be written to", .path.display())]
    Closed {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The system refused while it was written.
    #[error("{0}")]
    System(#[from] io::Error),
    /// Something else failed while it was written.
    #[error(transparent)]
    Broken(#[from] BuildError),
}

impl OutputFailure {
    /// What to do about it.
    pub(crate) fn hint(&self, output: &Path) -> Option<String> {
        match self {
            Self::NoDirectory(directory) => {
                Some(format!("make it first: `mkdir -p {}`", directory.display()))
            }
            Self::IsADirectory => Some(format!(
                "name a file in it, such as {}",
                output.join("image.tar").display()
            )),
            Self::NotADirectory(_) => Some("name another place".to_owned()),
            Self::Closed { .. } | Self::System(_) | Self::Broken(_) => of_system(self, output),
        }
    }

    /// As the failure of this output.
    pub(crate) fn of(self, output: &Path) -> BuildError {
        BuildErrorKind::Output {
            path: output.to_owned(),
            source: Box::new(self),
        }
        .into()
    }
}

/// The place of an output in words: `-` is no file.
pub(crate) fn shown(output: &Path) -> std::path::Display<'_> {
    match output == Path::new("-") {
        true => Path::new("standard output").display(),
        false => output.display(),
    }
}

/// Says of a failure which output it is about.
pub(crate) fn about(output: &Path, error: BuildError) -> BuildError {
    match error.kind() {
        BuildErrorKind::Output { .. } | BuildErrorKind::Cancelled => error,
        _ => OutputFailure::Broken(error).of(output),
    }
}

fn of_system(failure: &OutputFailure, output: &Path) -> Option<String> {
    let mut next: Option<&(dyn Error + 'static)> = Some(failure);
    while let Some(error) = next {
        if let Some(system) = error.downcast_ref::<io::Error>() {
            return of_kind(system.kind(), output);
        }
        next = error.source();
    }
    None
}

fn of_kind(kind: io::ErrorKind, output: &Path) -> Option<String> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!(
            "free some space where {} is, or write the output elsewhere",
            shown(output)
        )),
        io::ErrorKind::PermissionDenied => {
            Some("check who owns that place and who runs the build".to_owned())
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("name a place that can be written to".to_owned()),
        _ => None,
    }
}

/// Looks whether all results that are files can be written. Nothing is made.
///
/// # Errors
///
/// The first that cannot.
pub(crate) fn check(outputs: &Outputs) -> Result<(), BuildError> {
    for output in &outputs.files {
        check_output(output)?;
    }
    let digest = outputs.digest_file.as_deref();
    let digest =
        digest.filter(|place| !place.starts_with("http://") && !place.starts_with("https://"));
    let names = [
        digest.map(Path::new),
        outputs.name_with_digest_file.as_deref(),
        outputs.name_tag_with_digest_file.as_deref(),
    ];
    names
        .into_iter()
        .flatten()
        .try_for_each(|path| facts(path, Parents::Made).map_err(|failure| failure.of(path)))
}

/// Looks whether a file can be written into a directory that is there.
///
/// # Errors
///
/// [`BuildErrorKind::Output`] if it cannot.
pub fn check_file(path: &Path) -> Result<(), BuildError> {
    facts(path, Parents::Needed).map_err(|failure| failure.of(path))
}

fn check_output(output: &FileOutput) -> Result<(), BuildError> {
    let path = output.path.as_path();
    if path == Path::new("-") {
        return Ok(());
    }
    let looked = match output.kind {
        FileOutputKind::DockerArchive | FileOutputKind::OciArchive => file(path, Parents::Needed),
        FileOutputKind::Tar => file(path, Parents::Made),
        FileOutputKind::Local | FileOutputKind::OciDirectory => directory(path, Parents::Made),
    };
    looked.map_err(|failure| failure.of(path))
}

/// What becomes of directories that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parents {
    /// They are made when the result is written.
    Made,
    /// Nobody makes them.
    Needed,
}

/// A file of facts, which is written over where it cannot be replaced because something is mounted there.
fn facts(path: &Path, parents: Parents) -> Result<(), OutputFailure> {
    match file(path, parents) {
        Err(OutputFailure::Closed { .. }) if path.is_file() => writable(path),
        looked => looked,
    }
}

/// A file that is made anew beside the old one. Links, pipes and devices are written to, which shows when they are opened:
/// `/dev/stdout` may be ours without being open to us.
fn file(path: &Path, parents: Parents) -> Result<(), OutputFailure> {
    if path.is_dir() {
        return Err(OutputFailure::IsADirectory);
    }
    let is_replaced = fs::symlink_metadata(path).map_or(true, |entry| entry.is_file());
    match path.parent().filter(|_| is_replaced) {
        Some(parent) => directory(parent, parents),
        None => Ok(()),
    }
}

fn directory(path: &Path, parents: Parents) -> Result<(), OutputFailure> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => writable(path),
        Ok(_) => Err(OutputFailure::NotADirectory(path.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OutputFailure::Closed {
            path: path.to_owned(),
            source: error,
        }),
        Err(_) => match (parents, path.parent()) {
            (Parents::Made, Some(above)) => directory(above, parents),
            _ => Err(OutputFailure::NoDirectory(path.to_owned())),
        },
    }
}

fn writable(path: &Path) -> Result<(), OutputFailure> {
    access(path, Access::WRITE_OK).map_err(|errno| OutputFailure::Closed {
        path: path.to_owned(),
        source: errno.into(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What is said of an output of this kind at a place below a directory with `file`, `directory` and links.
    fn told(kind: FileOutputKind, place: &str) -> String {
        let ground = tempfile::tempdir().unwrap();
        fs::write(ground.path().join("file"), "").unwrap();
        fs::create_dir(ground.path().join("directory")).unwrap();
        symlink("nowhere", ground.path().join("link")).unwrap();
        symlink("directory", ground.path().join("linked")).unwrap();
        let output = FileOutput {
            kind,
            path: match place {
                "-" | "/dev/null" => place.into(),
                _ => ground.path().join(place),
            },
            names: Vec::new(),
            annotations: std::collections::BTreeMap::new(),
            platform_split: None,
            fresh: false,
        };
        let told = match check_output(&output) {
            Ok(()) => String::new(),
            Err(error) => format!(
                "{error}: {}; {}",
                error.source().unwrap(),
                error.hint().unwrap_or_default()
            ),
        };
        let ground = ground.path().display().to_string();
        told.replace(&ground, "")
    }

    #[test]
    fn what_can_be_written_is_left_alone() {
        for (kind, place) in [
            (FileOutputKind::DockerArchive, "new.tar"),
            (FileOutputKind::DockerArchive, "file"),
            (FileOutputKind::DockerArchive, "link"),
            (FileOutputKind::OciArchive, "linked/new.tar"),
            (FileOutputKind::OciArchive, "-"),
            (FileOutputKind::OciArchive, "/dev/null"),
            (FileOutputKind::Tar, "some/where/new.tar"),
            (FileOutputKind::Local, "directory"),
            (FileOutputKind::Local, "some/where"),
            (FileOutputKind::OciDirectory, "directory/new"),
        ] {
            assert_eq!(told(kind, place), "", "{kind:?} {place}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_with_what_to_do() {
        for (kind, place, expected) in [
            (
                FileOutputKind::DockerArchive,
                "some/new.tar",
                "cannot write /some/new.tar: there is no directory /some; make it first: `mkdir -p /some`",
            ),
            (
                FileOutputKind::OciArchive,
                "directory",
                "cannot write /directory: a directory has this name; name a file in it, such as /directory/image.tar",
            ),
            (
                FileOutputKind::Tar,
                "file/new.tar",
                "cannot write /file/new.tar: /file is not a directory; name another place",
            ),
            (
                FileOutputKind::Local,
                "file",
                "cannot write /file: /file is not a directory; name another place",
            ),
        ] {
            assert_eq!(told(kind, place), expected, "{kind:?} {place}");
        }
    }

    #[test]
    fn a_full_disk_is_that_of_the_output() {
        let full = BuildError::disk(
            Path::new("/out/tmp-1"),
            io::Error::from(io::ErrorKind::StorageFull),
        );
        let error = about(Path::new("/out/image.tar"), full);
        assert_eq!(
            error.hint().unwrap(),
            "free some space where /out/image.tar is, or write the output elsewhere"
        );
        assert_eq!(error.to_string(), "cannot write /out/image.tar");
    }
}
