//! Where the build's files come from.

use yadokari_build::{Contexts, GitOptions, GitPull, Secret};

use super::{Given, UsageError, nonempty};
use crate::flags::{Style, go};

/// Reads `--context`, `--bucket`, `--context-sub-path`, `--build-context`, `--git` and the variables of git.
pub(super) fn contexts(given: Given<'_>) -> Result<Contexts, UsageError> {
    let named = given
        .flags
        .docker
        .build_context
        .iter()
        .map(|text| named(text))
        .collect::<Result<_, _>>()?;
    Ok(Contexts {
        main: main_context(given)?,
        sub_path: given
            .flags
            .kaniko
            .context_sub_path
            .clone()
            .filter(|path| !path.as_os_str().is_empty()),
        named,
        git: git(given)?,
    })
}

fn main_context(given: Given<'_>) -> Result<String, UsageError> {
    let flag = nonempty(given.flags.kaniko.context.as_deref());
    if let (Some(flag), Some(path)) = (flag, given.path) {
        let quoted = |text: &str| format!("`{text}`");
        return Err(UsageError::Contradiction {
            first: format!("--context {}", quoted(flag)),
            second: quoted(path),
        });
    }
    let bucket = nonempty(given.flags.kaniko.bucket.as_deref());
    Ok(match (bucket, flag.or(given.path), given.style) {
        (Some(bucket), _, _) if bucket.contains("://") => bucket.to_owned(),
        (Some(bucket), ..) => format!("gs://{bucket}"),
        (None, Some(context), _) => context.to_owned(),
        (None, None, Style::Kaniko) => "/workspace/".to_owned(),
        (None, None, Style::Docker) => ".".to_owned(),
    })
}

fn named(text: &str) -> Result<(String, String), UsageError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(UsageError::value(
            "build-context",
            Some(text),
            "expected NAME=VALUE",
        )),
    }
}

fn git(given: Given<'_>) -> Result<GitOptions, UsageError> {
    let mut git = GitOptions::default();
    for line in &given.flags.kaniko.git {
        let wrong = |reason: String| UsageError::value("git", Some(line), reason);
        for (key, value) in go::options(line).map_err(wrong)? {
            set_git(&mut git, &key, value.as_deref()).map_err(|reason| wrong(reason.to_owned()))?;
        }
    }
    git.pull = pull_method(given)?;
    let token = given.environment.text("GIT_TOKEN");
    git.username = token
        .map(|_| "x-access-token")
        .or(given.environment.text("GIT_USERNAME"))
        .map(str::to_owned);
    git.password = token
        .or(given.environment.text("GIT_PASSWORD"))
        .map(Secret::new);
    Ok(git)
}

/// What `git://` means.
fn pull_method(given: Given<'_>) -> Result<GitPull, UsageError> {
    match given.environment.text("GIT_PULL_METHOD") {
        None | Some("https") => Ok(GitPull::Https),
        Some("http") => Ok(GitPull::Http),
        Some("git") => Ok(GitPull::Git),
        Some(other) => Err(UsageError::VariableValue {
            variable: "GIT_PULL_METHOD",
            value: other.to_owned(),
            expected: "https, http or git",
        }),
    }
}

fn set_git(git: &mut GitOptions, key: &str, value: Option<&str>) -> Result<(), &'static str> {
    let switch = || {
        value
            .and_then(|value| value.parse::<go::Switch>().ok())
            .map(|go::Switch(on)| on)
            .ok_or("expected true or false")
    };
    match key {
        "branch" => git.branch = value.map(str::to_owned),
        "single-branch" => git.single_branch = switch()?,
        "depth" => {
            let depth: u32 = value
                .and_then(|value| value.parse().ok())
                .ok_or("depth is a number")?;
            git.depth = Some(depth).filter(|depth| *depth > 0);
        }
        "recurse-submodules" => git.recurse_submodules = switch()?,
        "insecure-skip-tls" => git.insecure_skip_tls = switch()?,
        _ => {
            return Err(
                "expected branch=, single-branch=, depth=, recurse-submodules= or insecure-skip-tls=",
            );
        }
    }
    Ok(())
}
