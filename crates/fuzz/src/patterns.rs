//! Ignore files and wildcards: they match or do not, and a `!` of the whole path brings everything back.

use yadokari_dockerfile::glob;
use yadokari_dockerfile::ignore::Patterns;

/// Takes the first line for a path, and the rest for an ignore file.
pub fn check(bytes: &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (path, file) = bytes.split_at(end);
    if let Ok(patterns) = Patterns::parse(file) {
        let _ = patterns.excludes(path);
    }
    if let Ok(pattern) = std::str::from_utf8(file) {
        let _ = glob::matches(pattern.trim_start_matches('\n'), path);
    }
    let mut all = file.to_vec();
    all.extend(b"\n!**");
    if let Ok(patterns) = Patterns::parse(&all) {
        assert!(patterns.excludes(b"any/path").is_none());
    }
}
