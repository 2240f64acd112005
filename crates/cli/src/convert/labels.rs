//! Labels and annotations.

use std::collections::BTreeMap;

use yadokari_build as build;
use yadokari_image::Platform;

use super::{Given, UsageError};

/// Annotations by what they are put on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    /// Those of the image itself.
    pub(super) image: build::Annotations,
    /// Those of an index where a layout lists it.
    pub(super) index_descriptor: BTreeMap<String, String>,
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
    /// Adds an annotation whose place is given as buildx gives it: `manifest`, `index`, `manifest-descriptor` or
    /// `index-descriptor`, the two of manifests with `[platform]` after it if need be.
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
        let platform = platform
            .map(|text| Platform::parse(text).map_err(|_| PlaceUnknown))
            .transpose()?;
        let (all, of_platforms) = match kind {
            "manifest" => (
                &mut self.image.manifest,
                Some(&mut self.image.platform_manifest),
            ),
            "manifest-descriptor" => (
                &mut self.image.descriptor,
                Some(&mut self.image.platform_descriptor),
            ),
            "index" => (&mut self.image.index, None),
            "index-descriptor" => (&mut self.index_descriptor, None),
            _ => return Err(PlaceUnknown),
        };
        match (platform, of_platforms) {
            (None, _) => drop(all.insert(key.to_owned(), value.to_owned())),
            (Some(_), None) => return Err(PlaceUnknown),
            (Some(platform), Some(_)) if !platforms.contains(&platform) => {}
            (Some(platform), Some(list)) => list.push((platform, key.to_owned(), value.to_owned())),
        }
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
            None => drop(self.image.manifest.insert(key.to_owned(), value.to_owned())),
        }
    }

    /// An annotation that only an image of several platforms has a place for.
    pub(super) fn of_an_index(&self) -> Option<&String> {
        self.image
            .index
            .keys()
            .chain(self.index_descriptor.keys())
            .next()
    }

    /// Those of the entry that a layout lists the image under.
    pub(super) fn of_entry(&self, platforms: &[Platform]) -> BTreeMap<String, String> {
        match platforms {
            [_, _, ..] => self.index_descriptor.clone(),
            _ => self.image.of_descriptor(None),
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
        let [amd, arm] = ["linux/amd64", "linux/arm64"].map(|text| Platform::parse(text).unwrap());
        let platforms = [amd.clone(), arm.clone()];
        let mut annotations = Annotations::default();
        for key in [
            "a",
            "manifest:b",
            "manifest-descriptor:c",
            "index,manifest:d",
            "manifest[linux/amd64]:e",
            "manifest-descriptor[linux/arm64]:f",
            "index-descriptor:g",
            "manifest[linux/s390x]:h",
            "index[linux/amd64]:i",
            "x:j",
        ] {
            annotations.add_flag(&platforms, key, "1");
        }
        let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>();
        let image = &annotations.image;
        assert_eq!(
            keys(&image.of_manifest(Some(&amd))),
            ["a", "b", "d", "e", "index[linux/amd64]:i", "x:j"]
        );
        assert_eq!(
            keys(&image.of_manifest(Some(&arm))),
            ["a", "b", "d", "index[linux/amd64]:i", "x:j"]
        );
        assert_eq!(keys(&image.of_descriptor(Some(&amd))), ["c"]);
        assert_eq!(keys(&image.of_descriptor(Some(&arm))), ["c", "f"]);
        assert_eq!(keys(&image.index), ["d"]);
        assert_eq!(keys(&annotations.of_entry(&platforms)), ["g"]);
        assert_eq!(keys(&annotations.of_entry(&[])), ["c", "f"]);
    }
}
