//! What a source with `--parents` or `--exclude` takes, as a tree of its own.

use yadokari_dockerfile::ignore::Patterns;
use yadokari_tree::{Kind, Node, Tree, TreePath};

use super::filter::{Filter, Include, Verdict};
use super::{CopyFailure, Selected};

/// The entries below a directory that a copy takes, at their paths relative to it.
///
/// `pattern` is what a `--parents` source names below its pivot. Directories on the way to what is taken
/// are there with their metadata. Files are the same nodes, so digests that are known of them are too.
pub(crate) fn taken(
    directory: &Selected,
    pattern: Option<&str>,
    exclude: Option<&Patterns>,
) -> Result<Tree, CopyFailure> {
    let include = pattern.map(Include::new).transpose()?;
    let filter = Filter {
        include: include.as_ref(),
        exclude,
    };
    let mut tree = Tree::empty();
    collect(&directory.node, &TreePath::root(), &filter, &mut tree)?;
    Ok(tree)
}

fn collect(
    directory: &Node,
    at: &TreePath,
    filter: &Filter<'_>,
    tree: &mut Tree,
) -> Result<(), CopyFailure> {
    for (name, child) in directory.children().into_iter().flatten() {
        let path = at.join(name.as_bytes());
        match (filter.verdict(path.as_bytes())?, child.kind()) {
            (Verdict::Take, Kind::Directory(_)) => {
                put(tree, &path, Node::empty_directory(child.metadata().clone()));
                collect(child, &path, filter, tree)?;
            }
            (Verdict::Take, _) => put(tree, &path, child.clone()),
            (Verdict::Through, Kind::Directory(_)) => {
                collect(child, &path, filter, tree)?;
                if let Some(metadata) = tree.metadata_mut(&path) {
                    *metadata = child.metadata().clone();
                }
            }
            (Verdict::Through | Verdict::Skip, _) => {}
        }
    }
    Ok(())
}

fn put(tree: &mut Tree, path: &TreePath, node: Node) {
    tree.insert(path, node)
        .expect("all above it are directories of the source");
}

#[cfg(test)]
mod tests {
    use yadokari_tree::tree;

    use super::*;

    const SOURCE: &str = "/d/ 0700\n/d/a 0644 x\n/d/b 0644 y\n/e/ 0711\n/e/a 0600 z\n/empty/ 0755";

    fn paths(pattern: Option<&str>, exclude: &[&str]) -> String {
        let source = Selected {
            path: TreePath::root(),
            node: tree(SOURCE).root().clone(),
            name: Vec::new(),
        };
        let exclude = Patterns::from_words(exclude).unwrap();
        let found = taken(&source, pattern, Some(&exclude)).unwrap();
        found
            .walk()
            .map(|(path, _)| path.to_string())
            .filter(|path| path != "/")
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn only_what_matches_and_is_not_excluded_is_taken() {
        assert_eq!(paths(None, &[]), "/d /d/a /d/b /e /e/a /empty");
        assert_eq!(paths(None, &["d"]), "/e /e/a /empty");
        assert_eq!(paths(None, &["d", "!d/b"]), "/d /d/b /e /e/a /empty");
        assert_eq!(paths(Some("*/a"), &[]), "/d /d/a /e /e/a");
        assert_eq!(paths(Some("d"), &["d/a"]), "/d /d/b");
        assert_eq!(paths(Some("z*"), &[]), "");
    }

    #[test]
    fn directories_on_the_way_keep_their_metadata_and_files_their_identity() {
        let whole = tree(SOURCE);
        let source = Selected {
            path: TreePath::root(),
            node: whole.root().clone(),
            name: Vec::new(),
        };
        let found = taken(&source, Some("*/a"), None).unwrap();
        let get = |tree: &Tree, path: &str| tree.get(&TreePath::parse(path)).unwrap().clone();
        assert_eq!(get(&found, "/d").metadata().mode, 0o700);
        assert!(get(&found, "/d/a").same(&get(&whole, "/d/a")));
    }
}
