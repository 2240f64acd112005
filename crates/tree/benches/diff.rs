//! What comparing trees costs: as much as what is different.

use divan::{Bencher, black_box};
use yadokari_tree::{Metadata, Node, Tree, TreePath, diff};

fn main() {
    divan::main();
}

/// Directories of a hundred files each.
fn tree(files: usize) -> Tree {
    let mut tree = Tree::empty();
    for number in 0..files {
        let path = TreePath::parse(format!("usr/share/d{}/file-{number}", number / 100));
        let node = Node::file_of(Metadata::new(0o644), number.to_string());
        let inserted = tree.insert(&path, node);
        assert!(inserted.is_ok());
    }
    tree
}

#[divan::bench(args = [1_000, 100_000])]
fn one_file_touched(bencher: Bencher<'_, '_>, files: usize) {
    let before = tree(files);
    let mut after = before.clone();
    let touched = Node::file_of(Metadata::new(0o644), "touched");
    assert!(after.insert(&"/etc/motd".into(), touched).is_ok());
    bencher.bench(|| diff(black_box(&before), black_box(&after)));
}

#[divan::bench(args = [1_000, 100_000])]
fn nothing_shared(bencher: Bencher<'_, '_>, files: usize) {
    let (before, after) = (tree(files), tree(files));
    bencher.bench(|| diff(black_box(&before), black_box(&after)));
}

#[divan::bench(args = [1_000, 100_000])]
fn everything_new(bencher: Bencher<'_, '_>, files: usize) {
    let (before, after) = (Tree::empty(), tree(files));
    bencher.bench(|| diff(black_box(&before), black_box(&after)));
}
