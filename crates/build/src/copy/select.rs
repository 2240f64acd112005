//! Which files the sources of a COPY name.

use yadokari_dockerfile::glob;
use yadokari_tree::{Follow, Kind, Node, Tree, TreePath};

use super::{CopyFailure, shown};

/// One thing that a source names.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    /// Where it really is, symbolic links resolved.
    pub(crate) path: TreePath,
    /// What is there; never a symbolic link unless links are kept.
    pub(crate) node: Node,
    /// The last component of the name it was asked for by, which a copied file keeps.
    pub(crate) name: Vec<u8>,
}

/// Finds what one source word names, in the order of the walk.
///
/// A plain word must name something; a pattern may match nothing, but the directories before its
/// first wildcard must exist. Links are followed inside the tree.
pub(crate) fn select(tree: &Tree, word: &str) -> Result<Vec<Selected>, CopyFailure> {
    let asked = TreePath::parse(word.as_bytes());
    // What `..` takes away does not make a pattern of the rest.
    if asked
        .components()
        .any(|name| glob::has_wildcard(&String::from_utf8_lossy(name)))
    {
        return select_pattern(tree, &asked);
    }
    let missing = || CopyFailure::Missing {
        path: shown(&asked),
    };
    let found = tree
        .resolve(asked.as_bytes(), Follow::All)
        .map_err(|_| missing())?;
    let node = found.node.ok_or_else(missing)?;
    Ok(vec![Selected {
        name: name_of(&asked),
        path: found.path,
        node,
    }])
}

fn name_of(path: &TreePath) -> Vec<u8> {
    path.file_name().map(<[u8]>::to_vec).unwrap_or_default()
}

fn select_pattern(tree: &Tree, word: &TreePath) -> Result<Vec<Selected>, CopyFailure> {
    let (prefix, pattern) = split_at_wildcard(word);
    let missing = || CopyFailure::MissingPrefix {
        path: shown(&prefix),
    };
    let start = tree
        .resolve(prefix.as_bytes(), Follow::All)
        .map_err(|_| missing())?;
    let node = start.node.ok_or_else(missing)?;
    let mut walk = PatternWalk {
        tree,
        pattern: &pattern,
        found: Vec::new(),
    };
    walk.descend(&start.path, &node, &mut Vec::new())?;
    Ok(walk.found)
}

/// Splits `a/b/c*/d` into `a/b` and `c*/d`.
fn split_at_wildcard(path: &TreePath) -> (TreePath, String) {
    let mut prefix = TreePath::root();
    let mut rest: Vec<String> = Vec::new();
    for component in path.components() {
        let text = String::from_utf8_lossy(component).into_owned();
        if rest.is_empty() && !glob::has_wildcard(&text) {
            prefix = prefix.join(component);
        } else {
            rest.push(text);
        }
    }
    (prefix, rest.join("/"))
}

struct PatternWalk<'a> {
    tree: &'a Tree,
    pattern: &'a str,
    found: Vec<Selected>,
}

impl PatternWalk<'_> {
    /// Matches what is below a directory; what matches is taken whole and not entered.
    fn descend(
        &mut self,
        at: &TreePath,
        node: &Node,
        relative: &mut Vec<u8>,
    ) -> Result<(), CopyFailure> {
        let Kind::Directory(children) = node.kind() else {
            return Ok(());
        };
        for (name, child) in children {
            let length = relative.len();
            if length > 0 {
                relative.push(b'/');
            }
            relative.extend_from_slice(name.as_bytes());
            let path = at.join(name.as_bytes());
            if self.matches(relative)? {
                self.take(&path)?;
            } else {
                self.descend(&path, child, relative)?;
            }
            relative.truncate(length);
        }
        Ok(())
    }

    fn matches(&self, relative: &[u8]) -> Result<bool, CopyFailure> {
        glob::matches(self.pattern, relative).map_err(|_| CopyFailure::Pattern {
            pattern: self.pattern.to_owned(),
        })
    }

    fn take(&mut self, path: &TreePath) -> Result<(), CopyFailure> {
        let missing = || CopyFailure::Missing { path: shown(path) };
        let found = self
            .tree
            .resolve(path.as_bytes(), Follow::All)
            .map_err(|_| missing())?;
        let node = found.node.ok_or_else(missing)?;
        self.found.push(Selected {
            name: name_of(path),
            path: found.path,
            node,
        });
        Ok(())
    }
}

/// A source of `COPY --parents`: the directory that is left out of the copied paths, and what below it is taken.
#[derive(Debug, Clone)]
pub(crate) struct WithParents {
    /// The directory before `/./`, or the root.
    pub(crate) pivot: Selected,
    /// What is taken, relative to the pivot; may hold wildcards.
    pub(crate) pattern: String,
}

/// Finds the pivot of a `--parents` source and checks that a plain path exists.
///
/// Links are neither followed nor traversed.
pub(crate) fn select_with_parents(tree: &Tree, word: &str) -> Result<WithParents, CopyFailure> {
    let (pivot, rest) = match word.trim_start_matches("./").split_once("/./") {
        Some((pivot, rest)) => (
            TreePath::parse(pivot.as_bytes()),
            TreePath::parse(rest.as_bytes()),
        ),
        None => (TreePath::root(), TreePath::parse(word.as_bytes())),
    };
    let whole = rest
        .components()
        .fold(pivot.clone(), |path, name| path.join(name));
    let missing = |path: &TreePath| CopyFailure::Missing { path: shown(path) };
    if rest.is_root() {
        return Err(missing(&whole));
    }
    let node = tree.get(&pivot).cloned().ok_or_else(|| missing(&pivot))?;
    let pattern = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    if !glob::has_wildcard(&pattern) && tree.get(&whole).is_none() {
        return Err(missing(&whole));
    }
    let name = name_of(&pivot);
    Ok(WithParents {
        pivot: Selected {
            path: pivot,
            node,
            name,
        },
        pattern,
    })
}
