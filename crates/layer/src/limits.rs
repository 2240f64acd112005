//! How much an archive may ask for.

/// Bounds on what a layer archive makes its reader do. Each has its own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Members, headers that extend others included.
    pub entries: u64,
    /// Bytes of one extended header, long name or sparse map.
    pub pax_bytes: u64,
    /// Bytes of a path or a link's target.
    pub name_length: usize,
    /// Bytes after decompression, holes of sparse files included.
    pub unpacked_bytes: u64,
}

/// Generous for any real image: ten million members, 1 MiB headers, names of a
/// kernel's 4096 bytes, 1 TiB unpacked.
impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            pax_bytes: 1 << 20,
            name_length: 4096,
            unpacked_bytes: 1 << 40,
        }
    }
}
