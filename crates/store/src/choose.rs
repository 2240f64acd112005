//! Which of a layout's images is meant.

use yadokari_image::{Descriptor, Digest};

use crate::entries::{IMAGE_NAME, REF_NAME};
use crate::layout::{Layout, LayoutError, annotation};

/// A layout in words: `PATH[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutName {
    /// The directory.
    pub path: String,
    /// A tag or full name in it.
    pub tag: Option<String>,
    /// The digest of one of its manifests or indexes.
    pub digest: Option<Digest>,
}

impl LayoutName {
    /// Reads a name. A tag stands behind the last colon, if no slash comes after that.
    ///
    /// What follows an `@` and is no digest is a part of the path.
    ///
    /// ```
    /// use yadokari_store::LayoutName;
    ///
    /// let name = LayoutName::parse("/a:b/dir:1.0");
    /// assert_eq!((name.path.as_str(), name.tag.as_deref()), ("/a:b/dir", Some("1.0")));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let digest = text.rsplit_once('@');
        let digest = digest.and_then(|(rest, digest)| Some((rest, digest.parse().ok()?)));
        let (rest, digest) = match digest {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let tagged = rest.rsplit_once(':');
        let tagged = tagged.filter(|(path, tag)| !path.is_empty() && !tag.contains('/'));
        let (path, tag) = tagged.unwrap_or((rest, ""));
        Self {
            path: path.to_owned(),
            tag: (!tag.is_empty()).then(|| tag.to_owned()),
            digest,
        }
    }
}

impl Layout {
    /// The entry with this digest, else the one with this tag or full name, else the only image there is.
    ///
    /// An image without a name answers to any, if it is the only one. What refers to other manifests is chosen by name or
    /// digest alone.
    ///
    /// # Errors
    ///
    /// [`LayoutError::Choice`] with the names there are, if none or several fit; else as [`Layout::index`].
    pub fn choose(
        &self,
        tag: Option<&str>,
        digest: Option<Digest>,
    ) -> Result<Descriptor, LayoutError> {
        let entries = self.index()?.manifests;
        if let Some(digest) = digest {
            let found = entries.iter().find(|entry| entry.digest == digest);
            return found
                .cloned()
                .ok_or_else(|| self.no_choice(Some(digest.to_string()), &entries));
        }
        let named = |entry: &&Descriptor| names(entry).any(|name| Some(name) == tag);
        if let Some(entry) = entries.iter().find(named) {
            return Ok(entry.clone());
        }
        let mut images: Vec<_> = entries
            .iter()
            .filter(|entry| entry.artifact_type.is_none())
            .collect();
        // One image under several names is one image.
        images.dedup_by(|one, other| one.same_blob(other));
        match images.as_slice() {
            [only] if tag.is_none() || names(only).next().is_none() => Ok((*only).clone()),
            _ => Err(self.no_choice(tag.map(str::to_owned), &entries)),
        }
    }

    fn no_choice(&self, wanted: Option<String>, entries: &[Descriptor]) -> LayoutError {
        let names = entries.iter().flat_map(names).map(str::to_owned);
        LayoutError::Choice {
            path: self.path().to_owned(),
            wanted,
            names: names.collect(),
            images: entries.len(),
        }
    }
}

/// The names of an entry, the short one first.
fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    [REF_NAME, IMAGE_NAME]
        .into_iter()
        .filter_map(|key| annotation(entry, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Others;
    use crate::testing::export;

    #[test]
    fn a_name_is_a_path_a_tag_and_a_digest() {
        let digest = Digest::of(b"");
        let at = |text: &str| format!("{text}@{digest}");
        let table = [
            ("dir".to_owned(), "dir", None, false),
            ("/a/dir:1.0".to_owned(), "/a/dir", Some("1.0"), false),
            ("/a:b/dir".to_owned(), "/a:b/dir", None, false),
            ("dir:".to_owned(), "dir", None, false),
            (at("dir"), "dir", None, true),
            (at("dir:tag"), "dir", Some("tag"), true),
            ("user@host/dir".to_owned(), "user@host/dir", None, false),
            (":x".to_owned(), ":x", None, false),
        ];
        for (text, path, tag, has_digest) in table {
            let name = LayoutName::parse(&text);
            let found = (
                name.path.as_str(),
                name.tag.as_deref(),
                name.digest.is_some(),
            );
            assert_eq!(found, (path, tag, has_digest), "{text}");
        }
    }

    #[test]
    fn the_image_that_is_meant_is_found_or_the_names_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let exports = [
            export(&[b"one"], &["a:1"]),
            export(&[b"two"], &["r.example/b:2"]),
        ];
        let layout = Layout::write(folder.path().join("l"), &exports, Others::Keep).unwrap();
        let [one, two] = [0, 1].map(|at| layout.index().unwrap().manifests[at].clone());
        let table = [
            (Some("1"), None, Some(&one)),
            (Some("r.example/b:2"), None, Some(&two)),
            (None, Some(two.digest), Some(&two)),
            (Some("1"), Some(two.digest), Some(&two)),
            (Some("3"), None, None),
            (None, None, None),
            (None, Some(Digest::of(b"other")), None),
        ];
        for (tag, digest, expected) in table {
            let found = layout.choose(tag, digest);
            assert_eq!(found.as_ref().ok(), expected, "{tag:?} {digest:?}");
            let told = found.err().map(|error| error.to_string());
            assert!(told.is_none_or(|told| told.contains("1, docker.io/library/a:1, 2")));
        }
        let nameless = [export(&[b"one"], &[])];
        let layout = Layout::write(folder.path().join("n"), &nameless, Others::Keep).unwrap();
        assert!(layout.choose(Some("any"), None).is_ok());
        assert!(layout.choose(None, None).is_ok());
    }
}
