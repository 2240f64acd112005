//! Which records a build may see: names that part branches from one another within one cache.

use yadokari_image::Digest;
use yadokari_plan::Key;

use crate::mounts::is_mount_tag;

/// The scopes of a cache: records are written to one and read from several.
///
/// Without any, there is one nameless scope. Who has no scope does not see the records of those that have one, and
/// the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    names: Vec<String>,
}

impl Scopes {
    /// Writes to the first of these scopes and reads from all of them, the first before the others.
    pub fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// The scope that is written to; `None` is the nameless one.
    pub fn own(&self) -> Option<&str> {
        self.names.first().map(String::as_str)
    }

    /// All scopes that are read, in order.
    pub fn all(&self) -> Vec<Option<&str>> {
        if self.names.is_empty() {
            return vec![None];
        }
        self.names.iter().map(|name| Some(name.as_str())).collect()
    }
}

/// What a tag of a cache stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// The record of a key.
    Record(Key),
    /// What the last build of some target was made from.
    Trail(String),
    /// What is known of a downloaded file.
    Download(String),
    /// A saved cache mount.
    Mount,
}

/// The tag of a record in a scope.
pub(crate) fn record_tag(scope: Option<&str>, key: Key) -> String {
    scoped(scope, &key.to_string())
}

/// The tag of a trail in a scope.
pub(crate) fn trail_tag(scope: Option<&str>, name: &str) -> String {
    scoped(
        scope,
        &format!("{TRAIL}{}", Digest::of(name.as_bytes()).hex()),
    )
}

/// The tag of what is known of the file at a URL.
pub(crate) fn download_tag(scope: Option<&str>, url: &str) -> String {
    scoped(
        scope,
        &format!("{DOWNLOAD}{}", Digest::of(url.as_bytes()).hex()),
    )
}

/// Reads a tag; `None` for one that this program does not write.
pub(crate) fn parse_tag(tag: &str) -> Option<Name> {
    if is_mount_tag(tag) {
        return Some(Name::Mount);
    }
    let name = tag.rsplit_once('.').map_or(tag, |(_, name)| name);
    let digits = |rest: &str| Key::from_hex(rest).map(|_| rest.to_owned());
    if let Some(rest) = name.strip_prefix(TRAIL) {
        return digits(rest).map(Name::Trail);
    }
    match name.strip_prefix(DOWNLOAD) {
        Some(rest) => digits(rest).map(Name::Download),
        None => Key::from_hex(name).map(Name::Record),
    }
}

/// A tag in a scope.
pub(crate) fn scoped(scope: Option<&str>, name: &str) -> String {
    match scope {
        None => name.to_owned(),
        Some(scope) => format!("{}.{name}", slug(scope)),
    }
}

/// A scope as the beginning of a tag. Names that a tag cannot hold get a digest, and so do those that look as if they
/// had one, so that no two are the same.
fn slug(scope: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if scope.len() <= LONGEST
        && !scope.is_empty()
        && scope.chars().all(fits)
        && !scope.starts_with('-')
        && !has_digest(scope)
    {
        return scope.to_owned();
    }
    let readable: String = scope
        .chars()
        .map(|c| if fits(c) { c } else { '-' })
        .take(LONGEST - DIGITS - 1)
        .collect();
    let digest = &Digest::of(scope.as_bytes()).hex()[..DIGITS];
    format!("{}_{digest}", readable.trim_start_matches('-'))
}

/// Whether a name ends as those do that are written with a digest.
fn has_digest(scope: &str) -> bool {
    let Some((_, end)) = scope.rsplit_once('_') else {
        return false;
    };
    end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// So many digits of a digest that nobody finds another name with the same.
const DIGITS: usize = 16;

/// A tag has 128 characters, of which a key with its prefix takes 70.
const LONGEST: usize = 50;

const TRAIL: &str = "last-";

const DOWNLOAD: &str = "url-";

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_hex(&"a".repeat(64)).unwrap()
    }

    #[test]
    fn without_scopes_there_is_one_without_a_name() {
        assert_eq!(Scopes::default().all(), [None]);
        assert_eq!(Scopes::default().own(), None);
        let two = Scopes::new(vec!["feature".to_owned(), "main".to_owned()]);
        assert_eq!(two.own(), Some("feature"));
        assert_eq!(two.all(), [Some("feature"), Some("main")]);
    }

    #[test]
    fn scopes_have_tags_of_their_own_whatever_they_are_called() {
        let long = "x".repeat(300);
        let mut names = vec![
            "a",
            "a/b",
            "a-b",
            "a.b",
            "",
            "-a",
            "a b",
            "ä",
            &long,
            "a/b/c",
            "a_b",
            "release/1.0",
        ];
        // A branch may be called as another's tags begin.
        let slugs: Vec<String> = names.iter().map(|name| slug(name)).collect();
        let twice: Vec<String> = slugs.iter().map(|name| slug(name)).collect();
        let further = slugs.iter().chain(&twice).map(String::as_str);
        for name in further {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        assert_eq!(names.len(), 12 + 9 + 9);
        let mut tags: Vec<String> = names
            .iter()
            .map(|name| record_tag(Some(name), key()))
            .collect();
        tags.push(record_tag(None, key()));
        for (index, tag) in tags.iter().enumerate() {
            assert!(!tags[..index].contains(tag), "{tag}");
            assert!(tag.len() <= 128, "{tag}");
            assert!(
                tag.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                    && !tag.starts_with(['-', '.']),
                "{tag}"
            );
            assert_eq!(parse_tag(tag), Some(Name::Record(key())));
        }
    }

    #[test]
    fn tags_of_others_are_no_names() {
        for tag in ["latest", "v1.2", "last-x", "", ".", &"a".repeat(63)] {
            assert_eq!(parse_tag(tag), None, "{tag}");
        }
        assert!(matches!(
            parse_tag(&trail_tag(Some("main"), "Dockerfile app")),
            Some(Name::Trail(_))
        ));
    }
}
