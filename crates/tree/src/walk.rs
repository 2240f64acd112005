//! Depth-first iteration.

use std::collections::btree_map;

use crate::{Name, Node, Tree, TreePath};

/// Every name below the root with its node, in path order, parents first.
#[derive(Debug)]
pub struct Walk<'a> {
    directories: Vec<btree_map::Iter<'a, Name, Node>>,
    path: TreePath,
}

impl<'a> Iterator for Walk<'a> {
    type Item = (TreePath, &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((name, node)) = self.directories.last_mut()?.next() else {
                self.directories.pop();
                self.path.pop();
                continue;
            };
            self.path.push(name);
            let path = self.path.clone();
            match node.children() {
                Some(children) => self.directories.push(children.iter()),
                None => drop(self.path.pop()),
            }
            return Some((path, node));
        }
    }
}

impl Tree {
    /// Every name but the root, depth-first, siblings in byte order.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            directories: vec![self.children().iter()],
            path: TreePath::root(),
        }
    }

    /// The regular files among [`walk`](Self::walk); a hard-linked one once per name.
    pub fn files(&self) -> impl Iterator<Item = (TreePath, &Node)> {
        self.walk().filter(|(_, node)| node.is_file())
    }

    /// [`walk`](Self::walk) without building paths.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut directories = vec![self.children().values()];
        std::iter::from_fn(move || {
            loop {
                let Some(node) = directories.last_mut()?.next() else {
                    directories.pop();
                    continue;
                };
                directories.extend(node.children().map(|children| children.values()));
                return Some(node);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::tree;

    #[test]
    fn parents_come_first_and_paths_in_order() {
        let walked = tree("/a.b 0644 x\n/a/z/y 0644 x\n/a/b 0644 x\n/c/ 0755");
        let paths: Vec<_> = walked.walk().map(|(path, _)| path).collect();
        assert!(paths.is_sorted());
        let text: Vec<_> = paths.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["/a", "/a/b", "/a/z", "/a/z/y", "/a.b", "/c"]);
        assert_eq!(walked.nodes().count(), 6);
        assert_eq!(walked.files().count(), 3);
    }
}
