//! What to do next about failures whose own error does not say: the mistakes that everybody makes once.

use std::error::Error;
use std::io;
use std::path::Path;

use yadokari_build::{BuildError, BuildErrorKind, CopyFailure};
use yadokari_context::{ContextError, DockerfileError, HttpError};

/// A cause that the error's own chain does not have.
pub(crate) fn cause(error: &BuildError) -> Option<String> {
    match error.kind() {
        BuildErrorKind::Ignored {
            file,
            line,
            pattern,
            ..
        } => Some(format!("excluded by {file}:{line} (`{pattern}`)")),
        _ => None,
    }
}

/// What to do about a failed build.
pub(crate) fn hint(error: &BuildError) -> Option<String> {
    if let Some(hint) = error.hint() {
        return Some(hint);
    }
    match error.kind() {
        BuildErrorKind::Failed { code, .. } => Some(of_status(*code).to_owned()),
        BuildErrorKind::Misspelt { .. }
        | BuildErrorKind::Copy(CopyFailure::Missing { .. } | CopyFailure::MissingPrefix { .. }) => {
            Some(
                "paths are relative to the build context, or to the root of what `--from` names; \
                 check the spelling and case"
                    .to_owned(),
            )
        }
        BuildErrorKind::Context(ContextError::Open { path, source })
            if source.kind() == io::ErrorKind::NotADirectory =>
        {
            let path = path.display();
            Some(format!(
                "the context is a directory: write `-f {path} .` for a Dockerfile of that name, `tar://{path}` for an archive"
            ))
        }
        BuildErrorKind::Context(ContextError::Open { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Some(
                "the context is a directory, an archive or a URL; a path is relative to the working directory"
                    .to_owned(),
            )
        }
        BuildErrorKind::Context(ContextError::SubPathOutside { .. }) => Some(
            "name a directory in the context; links on the way to it may not lead out".to_owned(),
        ),
        BuildErrorKind::Dockerfile(DockerfileError::Missing {
            directory,
            containerfile,
            ..
        }) => Some(of_missing_dockerfile(
            directory.as_deref(),
            containerfile.as_deref(),
        )),
        // Their own hints are about the output, where these would be about the state directory.
        BuildErrorKind::Output { .. } | BuildErrorKind::Cancelled => None,
        BuildErrorKind::Context(ContextError::Object(error)) if error.hint().is_some() => {
            error.hint().map(str::to_owned)
        }
        _ => of_system(error),
    }
}

/// What to do where there is no Dockerfile.
fn of_missing_dockerfile(directory: Option<&Path>, containerfile: Option<&Path>) -> String {
    if let Some(path) = containerfile {
        let path = path.strip_prefix(".").unwrap_or(path);
        return format!(
            "there is a Containerfile: name it with `-f {}`",
            path.display()
        );
    }
    let looked = directory.map(|directory| {
        let whole = directory.canonicalize();
        let whole = whole.as_deref().unwrap_or(directory);
        format!("it is not in {}; ", whole.display())
    });
    format!(
        "{}name it with `-f FILE`, and give its context as the argument",
        looked.unwrap_or_default()
    )
}

/// What a command's exit status says, by the conventions of shells.
fn of_status(code: i32) -> &'static str {
    match code {
        126 => {
            "the file is there and cannot be executed: check its mode, its `#!` line and its architecture"
        }
        127 => {
            "a command is not in the image: install it in an earlier RUN, or check its name and PATH"
        }
        137 => {
            "the command was killed, often because memory ran out: give the job more, or let the command do less at once"
        }
        _ => "what the command printed stands above; its exit status is this program's",
    }
}

/// What the operating system's words call for.
fn of_system(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let of_io = || error.downcast_ref::<io::Error>().and_then(of_io);
        let hint = error.downcast_ref::<HttpError>().and_then(of_http);
        if let Some(hint) = hint.or_else(of_io) {
            return Some(hint.to_owned());
        }
        next = error.source();
    }
    None
}

/// What a web server's refusal calls for.
fn of_http(error: &HttpError) -> Option<&'static str> {
    let HttpError::Status { status, .. } = error else {
        return None;
    };
    match status {
        401 | 403 => Some(
            "the server lets nobody in without a login: a RUN can fetch such a file with a secret",
        ),
        404 | 410 => Some("there is no such file on that server: check the URL"),
        500.. => Some("the server has trouble of its own: try again later"),
        _ => None,
    }
}

fn of_io(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or choose another place with --state-dir")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("choose a place that can be written to with --state-dir")
        }
        io::ErrorKind::ConnectionRefused => {
            Some("nothing listens there: check the host, the port, and that the registry runs")
        }
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => {
            Some("check the network, the firewall, and the proxy (HTTPS_PROXY, NO_PROXY)")
        }
        io::ErrorKind::PermissionDenied => {
            Some("check who owns the file or directory and who runs the build")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error below others.
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_full_disk_is_recognized_wherever_it_stands() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        for error in [&Outer(full()) as &(dyn Error + 'static), &full()] {
            assert!(of_system(error).unwrap().contains("free some space"));
        }
        assert_eq!(of_system(&Outer(io::Error::other("x"))), None);
    }

    #[test]
    fn statuses_of_shells_are_explained() {
        for (code, words) in [
            (126, "cannot be executed"),
            (127, "not in the image"),
            (137, "memory"),
            (3, "above"),
        ] {
            assert!(of_status(code).contains(words), "{code}");
        }
    }
}
