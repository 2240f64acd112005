//! Ignore patterns as the question a walk asks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use yadokari_dockerfile::ignore::{Patterns, Visit};
use yadokari_rootfs::Exclude;
use yadokari_tree::TreePath;

/// Decides about names of a walk, and remembers what it found out about directories.
pub(crate) struct Filter<'a> {
    patterns: &'a Patterns,
    directories: Mutex<HashMap<TreePath, Visit>>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(patterns: &'a Patterns) -> Self {
        let directories = Mutex::default();
        Self {
            patterns,
            directories,
        }
    }

    pub(crate) fn decide(&self, path: &TreePath, is_directory: bool) -> Exclude {
        if self.patterns.is_empty() {
            return Exclude::Keep;
        }
        let visit = self.visit(path, is_directory);
        match visit.is_excluded() {
            false => Exclude::Keep,
            true if is_directory && self.patterns.may_reinclude_below(path.as_bytes()) => {
                Exclude::SkipButDescend
            }
            true => Exclude::Skip,
        }
    }

    fn visit(&self, path: &TreePath, is_directory: bool) -> Visit {
        let parent = match path.parent() {
            Some(parent) if !parent.is_root() => self.directory(&parent),
            _ => Visit::default(),
        };
        let visit = self.patterns.visit(&parent, path.as_bytes());
        if is_directory {
            self.known().insert(path.clone(), visit.clone());
        }
        visit
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TreePath, Visit>> {
        self.directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A walk asks for a directory before it asks for what is in it.
    fn directory(&self, path: &TreePath) -> Visit {
        // The lock must be gone before the directory itself is looked at.
        let known = self.known().get(path).cloned();
        known.unwrap_or_else(|| self.visit(path, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_entered_only_where_something_may_be_kept() {
        let patterns = Patterns::parse(b"out\nd\n!d/a.txt\n").unwrap();
        let filter = Filter::new(&patterns);
        for (path, is_directory, expected) in [
            ("out", true, Exclude::Skip),
            ("d", true, Exclude::SkipButDescend),
            ("d/a.txt", false, Exclude::Keep),
            ("d/b.txt", false, Exclude::Skip),
            ("e", true, Exclude::Keep),
            ("e/out", false, Exclude::Keep),
            ("out/deep/x", false, Exclude::Skip),
        ] {
            assert_eq!(
                filter.decide(&TreePath::parse(path), is_directory),
                expected,
                "{path}"
            );
        }
    }
}
