//! What a path that is not there may well mean.

use yadokari_dockerfile::suggest;
use yadokari_tree::{Follow, Kind, Tree, TreePath};

/// The path of a tree that differs from `path` in one name, and there in a few letters or in case.
pub(crate) fn nearest_path(tree: &Tree, path: &str) -> Option<String> {
    let path = TreePath::parse(path.as_bytes());
    let names: Vec<&[u8]> = path.components().collect();
    let mut above = TreePath::root();
    for (index, name) in names.iter().enumerate() {
        let next = above.join(name);
        if exists(tree, &next) {
            above = next;
            continue;
        }
        let near = nearest_name(tree, &above, std::str::from_utf8(name).ok()?)?;
        let start = above.join(near.as_bytes());
        let rest = names[index + 1..].iter();
        let whole = rest.fold(start, |path, name| path.join(name));
        return exists(tree, &whole).then(|| whole.to_string());
    }
    None
}

fn exists(tree: &Tree, path: &TreePath) -> bool {
    let found = tree.resolve(path.as_bytes(), Follow::All);
    found.is_ok_and(|found| found.node.is_some())
}

fn nearest_name(tree: &Tree, directory: &TreePath, name: &str) -> Option<String> {
    let node = tree.resolve(directory.as_bytes(), Follow::All).ok()?.node?;
    let Kind::Directory(children) = node.kind() else {
        return None;
    };
    let names: Vec<&str> = children
        .keys()
        .filter_map(|name| std::str::from_utf8(name.as_bytes()).ok())
        .collect();
    let same = names.iter().find(|known| known.eq_ignore_ascii_case(name));
    let near = same.copied();
    near.or_else(|| suggest::nearest(name, names.iter().copied()))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_misspelt_name_is_found_wherever_it_stands() {
        let tree =
            yadokari_tree::tree("/README.md 0644 a\n/src/main.c 0644 b\n/src/other/deep 0644 c");
        let cases = [
            ("/readme.md", Some("/README.md")),
            ("/src/man.c", Some("/src/main.c")),
            ("/scr/main.c", Some("/src/main.c")),
            ("/src/othr/deep", Some("/src/other/deep")),
            ("/scr/man.c", None),
            ("/src/main.c/below", None),
            ("/nope", None),
            ("/", None),
        ];
        for (path, expected) in cases {
            assert_eq!(nearest_path(&tree, path).as_deref(), expected, "{path}");
        }
    }
}
