//! [`Mirror`]: another place to pull a registry's images from.

use std::collections::BTreeMap;
use std::fmt;

use yadokari_image::Repository;

use crate::host;

/// A host, with a path in front of the repositories, that holds another registry's images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mirror {
    host: String,
    prefix: String,
    plain_http: bool,
}

/// A text that is no mirror, or no registry map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The host or the path does not follow the grammar of image names.
    #[error("invalid registry mirror `{text}`")]
    Format {
        /// The text as given.
        text: String,
    },
    /// An entry of a registry map is not `registry=replacement`.
    #[error("invalid registry map entry `{text}`, expected registry=replacement")]
    MapEntry {
        /// The entry as given.
        text: String,
    },
}

impl Mirror {
    /// Reads `host[:port][/path]`; `https://` and `http://` in front are understood,
    /// and the latter allows plain HTTP for this mirror.
    ///
    /// # Errors
    ///
    /// [`MirrorError::Format`]
    pub fn parse(text: &str) -> Result<Self, MirrorError> {
        let (plain_http, rest) = match text.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("https://").unwrap_or(text)),
        };
        let rest = rest.trim_end_matches('/');
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let mirror = Self {
            host: host::canonical(host).to_owned(),
            prefix: prefix.to_owned(),
            plain_http,
        };
        match mirror.path_of("x") {
            Some(_) => Ok(mirror),
            None => Err(MirrorError::Format {
                text: text.to_owned(),
            }),
        }
    }

    /// Whether plain HTTP was asked for by an `http://` in front.
    #[must_use]
    pub fn plain_http(&self) -> bool {
        self.plain_http
    }

    /// The mirror's host with its port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where `repository` is found on this mirror; `None` if the name becomes invalid.
    #[must_use]
    pub fn repository(&self, repository: &Repository) -> Option<Repository> {
        self.path_of(repository.path())
    }

    fn path_of(&self, path: &str) -> Option<Repository> {
        let path = match self.prefix.as_str() {
            "" => path.to_owned(),
            prefix => format!("{prefix}/{path}"),
        };
        Repository::new(&self.host, &path).ok()
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => f.write_str(&self.host),
            prefix => write!(f, "{}/{prefix}", self.host),
        }
    }
}

/// Reads `old=new;old2=new2`, adding to `map`; several replacements of one registry keep their order.
///
/// # Errors
///
/// [`MirrorError`] for an entry that is not of that form.
pub fn parse_registry_map(
    text: &str,
    map: &mut BTreeMap<String, Vec<Mirror>>,
) -> Result<(), MirrorError> {
    for entry in text.split(';').filter(|entry| !entry.is_empty()) {
        let (registry, replacement) =
            entry.split_once('=').ok_or_else(|| MirrorError::MapEntry {
                text: entry.to_owned(),
            })?;
        map.entry(host::canonical(registry).to_owned())
            .or_default()
            .push(Mirror::parse(replacement)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_mirror(mirror: &str) -> String {
        let repository = Repository::parse("busybox").unwrap();
        let mirror = Mirror::parse(mirror).unwrap();
        mirror.repository(&repository).unwrap().to_string()
    }

    #[test]
    fn a_mirror_may_have_a_path() {
        assert_eq!(on_mirror("mirror.gcr.io"), "mirror.gcr.io/library/busybox");
        assert_eq!(on_mirror("https://a:1/b/c/"), "a:1/b/c/library/busybox");
        assert_eq!(on_mirror("registry"), "registry/library/busybox");
        assert!(Mirror::parse("http://a").unwrap().plain_http());
    }

    #[test]
    fn hostile_mirrors_are_refused() {
        for text in [
            "",
            "/",
            "http://",
            "a b",
            "a/B",
            "a/../b",
            "user:pass@host",
            "a?b",
        ] {
            assert!(Mirror::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_registry_map_keeps_the_order_of_replacements() {
        let mut map = BTreeMap::new();
        parse_registry_map("index.docker.io=a;docker.io=b/c;ghcr.io=d:1;", &mut map).unwrap();
        let hub: Vec<_> = map["docker.io"].iter().map(ToString::to_string).collect();
        assert_eq!(hub, ["a", "b/c"]);
        assert_eq!(map["ghcr.io"][0].host(), "d:1");
        assert!(parse_registry_map("x", &mut map).is_err());
    }
}
