//! Rates of archiving and of compression.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set itself up has failed"
)]

use std::collections::BTreeMap;
use std::io::sink;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use yadokari_layer::{Compression, LayerReader, Limits, TarOptions, compress, write_tar};
use yadokari_tree::{Changes, Metadata, Node, Tree, TreePath, diff};

fn main() {
    divan::main();
}

/// Files of 100 bytes to 100 kB that compress about as programs do.
fn files() -> (Changes, BTreeMap<TreePath, Vec<u8>>) {
    let mut tree = Tree::empty();
    let mut bytes = BTreeMap::new();
    for number in 0..1_000_usize {
        let path = TreePath::parse(format!("usr/lib/d{}/file-{number}", number / 50));
        let body = body(number, 100 * (1 + number % 10) * (1 + number % 100));
        let node = Node::file(Metadata::new(0o644), body.len() as u64);
        tree.insert(&path, node).unwrap();
        bytes.insert(path, body);
    }
    (diff(&Tree::empty(), &tree), bytes)
}

fn body(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u32 | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut body = Vec::with_capacity(length + 16);
    while body.len() < length {
        match next() % 3 {
            0 => body.extend_from_slice(&next().to_le_bytes()),
            1 => body.extend_from_slice(b"some text that "),
            _ => body.extend_from_slice(&[0; 12]),
        }
    }
    body.truncate(length);
    body
}

fn archive() -> Vec<u8> {
    let (changes, bytes) = files();
    let mut tar = Vec::new();
    write_tar(&changes, &bytes, &TarOptions::default(), &mut tar).unwrap();
    tar
}

#[divan::bench]
fn tar(bencher: Bencher<'_, '_>) {
    let (changes, bytes) = files();
    let size: usize = bytes.values().map(Vec::len).sum();
    bencher.counter(BytesCount::new(size)).bench(|| {
        write_tar(
            black_box(&changes),
            &bytes,
            &TarOptions::default(),
            &mut sink(),
        )
        .unwrap();
    });
}

#[divan::bench(args = [1, 2, 4], consts = [1, 6, 9], sample_count = 10)]
fn gzip<const LEVEL: u32>(bencher: Bencher<'_, '_>, threads: usize) {
    compressed(bencher, Compression::Gzip { level: LEVEL }, threads);
}

#[divan::bench(args = [1, 2, 4], consts = [1, 3, 9], sample_count = 10)]
fn zstd<const LEVEL: i32>(bencher: Bencher<'_, '_>, threads: usize) {
    compressed(bencher, Compression::Zstd { level: LEVEL }, threads);
}

fn compressed(bencher: Bencher<'_, '_>, compression: Compression, threads: usize) {
    let tar = archive();
    bencher
        .counter(BytesCount::of_slice(&tar))
        .bench(|| compress(&mut &*tar, compression, threads, &mut sink()).unwrap());
}

#[divan::bench]
fn reading_gzip(bencher: Bencher<'_, '_>) {
    let tar = archive();
    let mut layer = Vec::new();
    compress(&mut &*tar, Compression::GZIP, 2, &mut layer).unwrap();
    bencher.counter(BytesCount::of_slice(&tar)).bench(|| {
        let mut reader = LayerReader::inline(&*layer, Limits::default()).unwrap();
        while reader.next_entry().unwrap().is_some() {}
        reader.finish().unwrap()
    });
}
