//! Fetches the sources of ADD that are elsewhere.

use std::path::Path;
use std::sync::Arc;

use yadokari_context::{
    BuildContext, CheckoutOptions, Download, GitCredentials, GitReference, authorization, download,
    keep_all, parse_checksum,
};
use yadokari_dockerfile::secret::redacted;
use yadokari_plan::Remote;

use super::{Fetched, host};
use crate::error::{BuildError, BuildErrorKind};
use crate::prepare::inputs::checkout_options;
use crate::request::{BuildRequest, SecretSource};
use crate::services::Services;

/// What to ask a server for.
pub(super) fn wish(remote: &Remote, request: &BuildRequest) -> Result<Download, BuildError> {
    Ok(Download {
        url: remote.url.clone(),
        headers: authorization(&remote.url, |name| secret(request, name)),
        checksum: remote.checksum.as_deref().map(parse_checksum).transpose()?,
        limit: None,
    })
}

/// Fetches one remote source.
pub(crate) async fn fetch(
    remote: &Remote,
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<Fetched, BuildError> {
    if remote.git {
        return checkout(remote, request, services, scratch).await;
    }
    let wanted = wish(remote, request)?;
    Ok(Fetched::File(
        download(&services.http, &wanted, scratch).await?,
    ))
}

/// A secret that authorizes downloads: `HTTP_AUTH_TOKEN_<host>` and the like.
fn secret(request: &BuildRequest, name: &str) -> Option<String> {
    match request.secrets.values.get(name)? {
        SecretSource::Value(value) => Some(String::from_utf8_lossy(value.expose()).into_owned()),
        SecretSource::File(path) => std::fs::read_to_string(path).ok(),
    }
}

/// Secrets that authorize git over http: for one host, or for all.
fn git_credentials(request: &BuildRequest, remote: &str) -> Option<GitCredentials> {
    let host = host(remote)?;
    let find =
        |name: &str| secret(request, &format!("{name}.{host}")).or_else(|| secret(request, name));
    let token = || {
        let token = find("GIT_AUTH_TOKEN")?;
        GitCredentials::from_parts(Some(token.trim()), None, None)
    };
    match find("GIT_AUTH_HEADER") {
        Some(header) => Some(GitCredentials::Header(header.trim().to_owned())),
        None => token(),
    }
}

async fn checkout(
    remote: &Remote,
    request: &BuildRequest,
    services: &Services,
    scratch: &Path,
) -> Result<Fetched, BuildError> {
    let Some(mut reference) = GitReference::parse(&remote.url)? else {
        let text = format!("{}: not a git repository", redacted(&remote.url));
        return Err(BuildErrorKind::Refused(text).into());
    };
    if let Some(checksum) = &remote.checksum {
        reference.checksum = Some(checksum.clone());
    }
    let given = checkout_options(&request.contexts.git);
    let options = CheckoutOptions {
        keep_git_dir: remote.keep_git_dir,
        credentials: git_credentials(request, &reference.remote).or(given.credentials),
        ..given
    };
    let checkout = services.git.checkout(&reference, &options, scratch);
    let checkout = checkout.await?;
    let commit = checkout.commit().to_owned();
    let identity = identity(&reference, &options, &commit);
    let time = checkout.commit_time();
    let context = BuildContext::git(checkout)?;
    let files = context.files(&keep_all, services.threads)?;
    Ok(Fetched::Git {
        root: Arc::clone(files.root()),
        tree: files.tree().clone(),
        remote: reference.remote,
        commit,
        identity,
        time,
        _context: context,
    })
}

/// What decides the files of a checkout.
///
/// A commit is the same wherever it comes from, and whoever fetches it: tokens that change with every job are no part of
/// this. Only `.git` knows where it came from, and by which name.
fn identity(reference: &GitReference, options: &CheckoutOptions, commit: &str) -> String {
    let files = (
        commit,
        &reference.subdirectory,
        reference.submodules.unwrap_or(options.submodules),
        reference.commit_time,
    );
    let keeps = reference.keep_git_dir.or(options.keep_git_dir) == Some(true);
    let kept = keeps.then_some((
        &reference.remote,
        &reference.reference,
        &reference.commit,
        options.depth,
        reference.fetch_by_commit,
    ));
    format!("{files:?} {kept:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_the_same_whoever_fetches_it_and_from_where() {
        let of = |address: &str, keep: bool| {
            let reference = GitReference::parse(address).unwrap().unwrap();
            let options = CheckoutOptions {
                keep_git_dir: keep.then_some(true),
                ..CheckoutOptions::default()
            };
            identity(&reference, &options, "c0ffee")
        };
        let plain = of("https://h/r.git", false);
        let kept = of("https://h/r.git", true);
        for (address, keep, expected) in [
            ("https://oauth2:hunter2@h/r.git", false, Some(&plain)),
            ("https://mirror/r.git#main", false, Some(&plain)),
            ("https://h/r.git?branch=main", false, Some(&plain)),
            ("https://h/r.git?submodules=true", false, Some(&plain)),
            ("https://h/r.git?submodules=false", false, None),
            ("https://h/r.git#:sub", false, None),
            ("https://h/r.git?mtime=commit", false, None),
            ("https://oauth2:hunter2@h/r.git", true, Some(&kept)),
            ("https://h/r.git?keep-git-dir=true", false, Some(&kept)),
            ("https://mirror/r.git", true, None),
            ("https://h/r.git#main", true, None),
        ] {
            let found = of(address, keep);
            assert!(!found.contains("hunter2"), "{found}");
            let known = [&plain, &kept].into_iter().find(|known| **known == found);
            assert_eq!(known, expected, "{address}");
        }
        assert_ne!(plain, kept);
    }
}
