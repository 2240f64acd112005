//! Which names a walk takes.

use std::collections::BTreeSet;

use yadokari_tree::TreePath;

/// What becomes of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclude {
    /// It is taken.
    Keep,
    /// It is left out, with everything below it.
    Skip,
    /// A directory that is left out unless something below it is kept.
    SkipButDescend,
}

/// Asked for every name below the root with its path and whether it is a
/// directory; several threads ask at once.
pub type ExcludePredicate<'a> = dyn Fn(&TreePath, bool) -> Exclude + Sync + 'a;

/// How names are chosen.
#[derive(Clone, Copy)]
pub(crate) enum Selection<'a> {
    AllBut(&'a BTreeSet<TreePath>),
    Ask(&'a ExcludePredicate<'a>),
}

/// A selection, prepared for one directory.
pub(crate) enum Chosen<'a> {
    AllBut(Vec<&'a [u8]>),
    Ask(TreePath, &'a ExcludePredicate<'a>),
}

impl<'a> Selection<'a> {
    pub(crate) fn within(self, directory: impl FnOnce() -> TreePath) -> Chosen<'a> {
        match self {
            Self::AllBut(paths) if paths.is_empty() => Chosen::AllBut(Vec::new()),
            Self::AllBut(paths) => Chosen::AllBut(names_in(paths, &directory())),
            Self::Ask(predicate) => Chosen::Ask(directory(), predicate),
        }
    }
}

fn names_in<'a>(paths: &'a BTreeSet<TreePath>, directory: &TreePath) -> Vec<&'a [u8]> {
    paths
        .range(directory..)
        .take_while(|path| path.starts_with(directory))
        .filter(|path| path.parent().as_ref() == Some(directory))
        .filter_map(|path| path.file_name())
        .collect()
}

impl Chosen<'_> {
    pub(crate) fn decide(&self, name: &[u8], is_directory: bool) -> Exclude {
        match self {
            Self::AllBut(names) if names.contains(&name) => Exclude::Skip,
            Self::AllBut(_) => Exclude::Keep,
            Self::Ask(directory, predicate) => predicate(&directory.join(name), is_directory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_left_out_in_its_own_directory_only() {
        let paths: BTreeSet<TreePath> = ["/etc/hosts", "/etc/ssl/x", "/hosts"]
            .map(TreePath::from)
            .into();
        let selection = Selection::AllBut(&paths);
        let etc = selection.within(|| "/etc".into());
        assert_eq!(etc.decide(b"hosts", false), Exclude::Skip);
        assert_eq!(etc.decide(b"x", false), Exclude::Keep);
        let root = selection.within(TreePath::root);
        assert_eq!(root.decide(b"hosts", false), Exclude::Skip);
        assert_eq!(root.decide(b"etc", true), Exclude::Keep);
    }
}
