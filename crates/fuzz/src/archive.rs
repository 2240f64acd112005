//! Layers: a hostile archive gives entries below the root, or an error, within its limits.

use std::io::Read as _;

use yadokari_layer::{ArchiveKind, LayerReader, Limits};

/// Reads the bytes as a layer, whatever they are compressed with.
pub fn check(bytes: &[u8]) {
    drop(ArchiveKind::sniff(bytes));
    let limits = Limits {
        unpacked_bytes: 1 << 20,
        ..Limits::default()
    };
    let Ok(mut reader) = LayerReader::inline(bytes, limits) else {
        return;
    };
    let mut total = 0;
    while let Ok(Some((entry, content))) = reader.next_entry() {
        assert!(
            entry
                .path()
                .components()
                .all(|name| name != b".." && !name.is_empty())
        );
        let mut copied = Vec::new();
        let Ok(count) = content.take(1 << 20).read_to_end(&mut copied) else {
            return;
        };
        total += count;
        assert!(total <= 1 << 21);
    }
    drop(reader.finish());
}
