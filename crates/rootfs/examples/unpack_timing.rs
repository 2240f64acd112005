//! Times unpacking: `unpack_timing NEW-DIRECTORY LAYER...`.
#![expect(clippy::print_stdout, reason = "figures are what this is for")]

use std::fs::File;
use std::time::Instant;

use yadokari_layer::{LayerReader, Limits};
use yadokari_rootfs::{Root, ScanOptions, Snapshot, unpack};
use yadokari_tree::Tree;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let root = Root::create(arguments.next().ok_or("which directory?")?)?;
    let mut tree = Tree::empty();
    for layer in arguments {
        let start = Instant::now();
        let mut archive = LayerReader::new(File::open(&layer)?, Limits::default())?;
        let unpacked = unpack(&root, &mut tree, &mut archive)?;
        let diff_id = archive.finish()?;
        println!("{layer} {diff_id:?}: {unpacked:?} in {:?}", start.elapsed());
    }
    let start = Instant::now();
    let snapshot = Snapshot::take(&root, &tree, &ScanOptions::default())?;
    println!("known in {:?}", start.elapsed());
    println!("same: {}", snapshot.tree().root().same(tree.root()));
    Ok(())
}
