//! Labels and annotations.

use std::collections::BTreeMap;

use yadokari_image::Platform;

use super::{Given, UsageError};

/// Annotations by what they are put on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) manifest: BTreeMap<String, String>,
    pub(super) descriptor: BTreeMap<String, String>,
    pub(super) index: BTreeMap<String, String>,
}

/// Reads `--label`; a bare key is a label without a value.
pub(super) fn labels(given: Given<'_>) -> Result<BTreeMap<String, String>, UsageError> {
    let pair = |text: &String| match text.split_once('=').unwrap_or((text, "")) {
        ("", _) => Err(UsageError::value("label", Some(text), "expected KEY=VALUE")),
        (key, value) => Ok((key.to_owned(), value.to_owned())),
    };
    given
        .flags
        .kaniko
        .label
        .iter()
        .filter(|label| !label.is_empty())
        .map(pair)
        .collect()
}

impl Annotations {
    /// Adds an annotation whose place is given as buildx gives it: `manifest`, `index`, `manifest-descriptor`, each with
    /// `[platform]` after it if need be. Returns whether the place is one that exists.
    pub(super) fn add(
        &mut self,
        place: &str,
        platforms: &[Platform],
        key: &str,
        value: &str,
    ) -> Result<(), PlaceUnknown> {
        let (kind, platform) = match place.split_once('[') {
            Some((kind, rest)) => (kind, Some(rest.strip_suffix(']').ok_or(PlaceUnknown)?)),
            None => (place, None),
        };
        if let Some(platform) = platform {
            let platform = Platform::parse(platform).map_err(|_| PlaceUnknown)?;
            if !platforms.contains(&platform) {
                return Ok(());
            }
        }
        let annotations = match kind {
            "manifest" => &mut self.manifest,
            "manifest-descriptor" => &mut self.descriptor,
            "index" => &mut self.index,
            _ => return Err(PlaceUnknown),
        };
        annotations.insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    /// Adds kaniko's `key=value` or buildx' `place,place:key=value`.
    pub(super) fn add_flag(&mut self, platforms: &[Platform], key: &str, value: &str) {
        let prefixed = key.split_once(':').and_then(|(places, key)| {
            let mut with = self.clone();
            places
                .split(',')
                .try_for_each(|place| with.add(place, platforms, key, value))
                .ok()?;
            Some(with)
        });
        match prefixed {
            Some(with) => *self = with,
            None => drop(self.manifest.insert(key.to_owned(), value.to_owned())),
        }
    }
}

/// No manifest, index or descriptor is called that.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlaceUnknown;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_go_where_their_prefix_says() {
        let platforms = [Platform::parse("linux/amd64").unwrap()];
        let mut annotations = Annotations::default();
        for key in [
            "a",
            "manifest:b",
            "manifest-descriptor:c",
            "index,manifest:d",
            "manifest[linux/amd64]:e",
            "x:f",
        ] {
            annotations.add_flag(&platforms, key, "1");
        }
        annotations.add_flag(&platforms, "manifest[linux/arm64]:g", "1");
        assert_eq!(
            annotations.manifest.keys().collect::<Vec<_>>(),
            ["a", "b", "d", "e", "x:f"]
        );
        assert_eq!(annotations.descriptor.keys().collect::<Vec<_>>(), ["c"]);
        assert_eq!(annotations.index.keys().collect::<Vec<_>>(), ["d"]);
    }
}
