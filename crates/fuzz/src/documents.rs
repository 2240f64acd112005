//! What a registry says: references, digests, platforms, manifests, indexes and configurations.

use yadokari_image::{Digest, ImageConfig, Index, Manifest, Platform, Reference, json};

/// Reads the bytes as each of them; what is read comes back the same when it is written and read again.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(reference) = Reference::parse(&text) {
        let written = reference.to_string();
        assert_eq!(
            Reference::parse(&written).map(|again| again.to_string()),
            Ok(written)
        );
    }
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    if let Ok(platform) = Platform::parse(&text) {
        assert_eq!(Platform::parse(&platform.to_string()), Ok(platform));
    }
    if let Ok(manifest) = Manifest::parse(bytes) {
        drop(Manifest::parse(&json::indented(&manifest)).expect("a manifest reads what it wrote"));
    }
    if let Ok(index) = Index::parse(bytes) {
        drop(Index::parse(&json::indented(&index)).expect("an index reads what it wrote"));
    }
    if let Ok(config) = ImageConfig::parse(bytes) {
        drop(
            ImageConfig::parse(&json::compact(&config))
                .expect("a configuration reads what it wrote"),
        );
    }
}
