//! Scanning roots and unpacking layers, on the filesystem of temporary files.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set itself up has failed"
)]

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tempfile::TempDir;
use yadokari_layer::{LayerReader, Limits, PackOptions, pack};
use yadokari_rootfs::{Root, ScanOptions, Snapshot, copy_root, scan, unpack};
use yadokari_tree::{Metadata, Node, Tree, TreePath, diff};

fn main() {
    divan::main();
}

const FILES: usize = 5_000;

/// A layer of small files in directories of a hundred.
fn layer() -> Vec<u8> {
    let mut tree = Tree::empty();
    let mut bytes = BTreeMap::new();
    for number in 0..FILES {
        let path = TreePath::parse(format!("usr/share/d{}/file-{number}", number / 100));
        let body = format!("{number}\n").repeat(1 + number % 500);
        let node = Node::file(Metadata::new(0o644), body.len() as u64);
        tree.insert(&path, node).unwrap();
        bytes.insert(path, body);
    }
    let changes = diff(&Tree::empty(), &tree);
    let mut layer = Vec::new();
    pack(&changes, &bytes, &PackOptions::default(), &mut layer).unwrap();
    layer
}

fn unpacked(layer: &[u8], directory: &Path) -> (Root, Tree) {
    let root = Root::create(directory.join("root")).unwrap();
    let mut tree = Tree::empty();
    let archive = Cursor::new(layer.to_vec());
    let mut archive = LayerReader::new(archive, Limits::default()).unwrap();
    unpack(&root, &mut tree, &mut archive).unwrap();
    archive.finish().unwrap();
    (root, tree)
}

#[divan::bench(sample_count = 10)]
fn unpacking(bencher: Bencher<'_, '_>) {
    let layer = layer();
    bencher
        .counter(ItemsCount::new(FILES))
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_refs(|directory| unpacked(black_box(&layer), directory.path()));
}

#[divan::bench(sample_count = 10)]
fn copying_a_root(bencher: Bencher<'_, '_>) {
    let temp = tempfile::tempdir().unwrap();
    let (root, tree) = unpacked(&layer(), temp.path());
    bencher
        .counter(ItemsCount::new(FILES))
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_refs(|directory: &mut TempDir| {
            let copy = Root::open(directory.path()).unwrap();
            copy_root(&root, black_box(&tree), &copy).unwrap();
        });
}

#[divan::bench]
fn scanning_for_the_first_time(bencher: Bencher<'_, '_>) {
    let temp = tempfile::tempdir().unwrap();
    let (root, tree) = unpacked(&layer(), temp.path());
    bencher
        .counter(ItemsCount::new(FILES))
        .bench_local(|| Snapshot::take(&root, black_box(&tree), &ScanOptions::default()).unwrap());
}

#[divan::bench(args = [1, 2, 4])]
fn scanning_again(bencher: Bencher<'_, '_>, threads: usize) {
    let temp = tempfile::tempdir().unwrap();
    let (root, tree) = unpacked(&layer(), temp.path());
    let options = ScanOptions {
        threads,
        ..ScanOptions::default()
    };
    let before = Snapshot::take(&root, &tree, &options).unwrap();
    bencher
        .counter(ItemsCount::new(FILES))
        .bench_local(|| scan(&root, Some(black_box(&before)), &options).unwrap());
}

#[divan::bench]
fn keeping_a_snapshot(bencher: Bencher<'_, '_>) {
    let temp = tempfile::tempdir().unwrap();
    let (root, tree) = unpacked(&layer(), temp.path());
    let snapshot = Snapshot::take(&root, &tree, &ScanOptions::default()).unwrap();
    bencher.counter(ItemsCount::new(FILES)).bench_local(|| {
        let mut bytes = Vec::new();
        snapshot.write(&mut bytes).unwrap();
        Snapshot::read(&mut &*bytes).unwrap()
    });
}
