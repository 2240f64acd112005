//! [`Descriptor`]: what names a blob and says how to read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Platform, Unknown};

/// Names a blob by digest and size, and says what it is.
///
/// See the [OCI content descriptor](https://github.com/opencontainers/image-spec/blob/main/descriptor.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob holds; empty when the document left it out.
    #[serde(default)]
    pub media_type: String,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Length of the blob in bytes.
    pub size: u64,
    /// Places to fetch the blob from, for layers that registries may not hold.
    #[serde(default, skip_serializing_if = "is_none_or_empty")]
    pub urls: Option<Vec<String>>,
    /// Free annotations.
    #[serde(default, skip_serializing_if = "crate::manifest::no_annotations")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The blob itself in base64, for small ones that are carried inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The platform that the described manifest is for, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The type of the artifact that the described manifest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields this type has no name for.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Descriptor {
    /// Describes a blob by its media type, digest and size in bytes, and nothing more.
    #[must_use]
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: None,
            annotations: None,
            data: None,
            platform: None,
            artifact_type: None,
            other: Unknown::new(),
        }
    }

    /// Describes the blob `bytes`.
    #[must_use]
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Whether both name the same bytes, whatever else they say.
    #[must_use]
    pub fn same_blob(&self, other: &Self) -> bool {
        self.digest == other.digest && self.size == other.size
    }
}

fn is_none_or_empty(urls: &Option<Vec<String>>) -> bool {
    urls.as_ref().is_none_or(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn keys_come_in_the_order_of_the_specification() {
        let text = r#"{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"urls":["u"],"annotations":{"a":"b"},"data":"","platform":{"architecture":"arm","os":"linux","variant":"v7"},"artifactType":"t","x":[1]}"#;
        let descriptor: Descriptor = serde_json::from_str(text).unwrap();
        assert_eq!(String::from_utf8(json::compact(&descriptor)).unwrap(), text);
    }

    #[test]
    fn a_negative_size_or_another_algorithm_is_refused() {
        let cases = [
            r#"{"mediaType":"a","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":-1}"#,
            r#"{"mediaType":"a","digest":"md5:00","size":1}"#,
            r#"{"mediaType":"a","size":1}"#,
        ];
        for text in cases {
            assert!(serde_json::from_str::<Descriptor>(text).is_err(), "{text}");
        }
    }
}
