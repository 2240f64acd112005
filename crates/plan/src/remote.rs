//! What kind of thing a source of ADD is.

/// Where a source word leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    /// A file of the context.
    Local,
    /// A URL that is downloaded.
    Http,
    /// A git repository.
    Git,
}

impl SourceKind {
    /// Classifies a word by its form alone: without a scheme, nothing but `user@host:path` is remote.
    pub(crate) fn of(word: &str) -> Self {
        let lower = word.to_ascii_lowercase();
        if lower.starts_with("git://") || lower.starts_with("ssh://") || is_scp_like(word) {
            return Self::Git;
        }
        let Some(rest) = lower
            .strip_prefix("http://")
            .or_else(|| lower.strip_prefix("https://"))
        else {
            return Self::Local;
        };
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        if path.contains('/') && path.ends_with(".git") {
            Self::Git
        } else {
            Self::Http
        }
    }
}

/// `user@host:path`, as scp and git take it.
fn is_scp_like(word: &str) -> bool {
    let Some((user, rest)) = word.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    plain(user) && plain(host) && !path.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart_by_their_form() {
        for (word, kind) in [
            ("a.txt", SourceKind::Local),
            ("github.com/foo/bar", SourceKind::Local),
            ("ftp://host/file", SourceKind::Local),
            ("http://host/file.txt", SourceKind::Http),
            ("https://host/repo.git", SourceKind::Git),
            ("http://host/repo.git#v1:sub", SourceKind::Git),
            ("http://host/repo.git?ref=x", SourceKind::Git),
            ("git://host/repo", SourceKind::Git),
            ("git@github.com:foo/bar.git", SourceKind::Git),
            ("HTTP://host/x", SourceKind::Http),
        ] {
            assert_eq!(SourceKind::of(word), kind, "{word}");
        }
    }
}
